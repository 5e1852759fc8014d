//! Run templates: `dapr.yaml`. Reading and checking them; an error names the file, the application and the field.

use super::settings::Settings;
use crate::paths;
use anyhow::{Context, Result, bail};
use resources::{decode, yaml};
use serde::Deserialize;
use serde_json::Value;
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// The name of a template in a folder.
pub(crate) const FILE: &str = "dapr.yaml";

/// A template that was read.
#[derive(Debug)]
pub(crate) struct Template {
    /// Its file; for standard input `-` in the current folder.
    pub(crate) path: PathBuf,
    /// What it is called: as it says, or as its folder.
    pub(crate) name: String,
    /// Its applications: what they say, over what is common. Their paths are absolute.
    pub(crate) apps: Vec<Settings>,
    /// What has no effect.
    pub(crate) warnings: Vec<String>,
}

/// The document as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Document {
    version: Value,
    name: String,
    common: Settings,
    apps: Vec<Settings>,
}

/// The file that `--run-file` means: a file, `dapr.yaml` in a folder, or `-` in the current folder for standard input.
pub(crate) fn file(given: &Path) -> Result<PathBuf> {
    let path = paths::absolute(given)?;
    if given == Path::new("-") {
        return Ok(path);
    }
    let path = path
        .canonicalize()
        .with_context(|| format!("the template {} cannot be read", given.display()))?;
    if !path.is_dir() {
        return Ok(path);
    }
    let file = path.join(FILE);
    match file.is_file() {
        true => Ok(file),
        false => bail!("there is no {FILE} in the folder {}", given.display()),
    }
}

impl Template {
    /// Reads the template that `--run-file` means.
    pub(crate) fn read(given: &Path) -> Result<Self> {
        let path = file(given)?;
        let mut text = String::new();
        if given == Path::new("-") {
            std::io::stdin()
                .read_to_string(&mut text)
                .context("the template cannot be read from standard input")?;
        } else {
            text =
                fs::read_to_string(&path).with_context(|| format!("the template {} cannot be read", path.display()))?;
        }
        Self::parse(&text, path).with_context(|| format!("the template {} is wrong", given.display()))
    }

    /// Reads a template's text. Relative paths are those of its file's folder; within an application, of its own folder.
    pub(crate) fn parse(text: &str, path: PathBuf) -> Result<Self> {
        let value = one_document(text)?;
        let decoded = decode::from_value::<Document>(&value)
            .map_err(|error| anyhow::anyhow!("{}: {}", place(&value, &error.path), error.message))?;
        let mut warnings: Vec<String> = decoded
            .unknown
            .iter()
            .map(|field| format!("{}: unknown field, it has no effect", place(&value, field)))
            .collect();
        let document = decoded.value;
        check_version(&document.version)?;
        if document.apps.is_empty() {
            bail!("apps: there is no application");
        }
        let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
        let ignored = document.common.of_one_application();
        warnings.extend(
            ignored
                .iter()
                .map(|field| format!("common.{field}: only an application can have it, it has no effect")),
        );
        let common = document.common.without_what_is_of_one().with_paths_from(&folder);
        let mut apps = Vec::new();
        for (index, app) in document.apps.into_iter().enumerate() {
            apps.push(resolve(app, &common, &folder).with_context(|| place(&value, &format!("apps[{index}]")))?);
        }
        check_ids(&apps)?;
        let of_folder = folder
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let name = if document.name.is_empty() {
            of_folder
        } else {
            document.name
        };
        Ok(Self {
            path,
            name,
            apps,
            warnings,
        })
    }
}

fn one_document(text: &str) -> Result<Value> {
    let mut documents = yaml::documents(text).into_iter();
    let Some(first) = documents.next() else {
        bail!("it is empty")
    };
    if let Some(second) = documents.next() {
        bail!(
            "line {}: there must be one document, here begins a second one",
            second.line
        );
    }
    first.content.context("it is no YAML")
}

fn check_version(version: &Value) -> Result<()> {
    let known = match version {
        Value::Null => true,
        Value::Number(number) => number.as_f64() == Some(1.0),
        Value::String(text) => matches!(text.as_str(), "" | "1" | "v1"),
        _ => false,
    };
    if !known {
        bail!("version: expected 1, found {version}");
    }
    Ok(())
}

/// An application's settings over the common ones, with its folder, its id, and absolute paths.
fn resolve(app: Settings, common: &Settings, folder: &Path) -> Result<Settings> {
    let written = app.app_dir_path.clone().unwrap_or_default();
    if written.trim().is_empty() {
        bail!("appDirPath: it is missing");
    }
    let own = paths::within(folder, Path::new(&written));
    if !own.is_dir() {
        bail!("appDirPath: there is no folder {}", own.display());
    }
    let mut app = app.with_paths_from(&own);
    prefer_own_files(&mut app, &own);
    let mut app = app.over(common.clone());
    if app.app_id.as_ref().is_none_or(|id| id.is_empty()) {
        app.app_id = own.file_name().map(|name| name.to_string_lossy().into_owned());
    }
    app.app_dir_path = Some(own.display().to_string());
    Ok(app)
}

/// An application's folder may hold resources and a configuration, which come before the common ones.
fn prefer_own_files(app: &mut Settings, folder: &Path) {
    let hidden = folder.join(".dapr");
    let resources = hidden.join("resources");
    if app.resources().is_none() && resources.is_dir() {
        app.resources_paths = Some(super::settings::Paths(vec![resources.display().to_string()]));
    }
    let config = hidden.join("config.yaml");
    if app.config_file_path.is_none() && config.is_file() {
        app.config_file_path = Some(config.display().to_string());
    }
}

fn check_ids(apps: &[Settings]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    for app in apps {
        let id = app.app_id.as_deref().unwrap_or_default();
        if !seen.insert(id) {
            bail!("appID: two applications are called {id:?}; each needs an id of its own");
        }
    }
    Ok(())
}

/// A field's path with the id of its application: `apps[1] (orders): appPort`.
fn place(document: &Value, path: &str) -> String {
    let within = path.strip_prefix("apps[").and_then(|rest| rest.split_once(']'));
    let Some((index, field)) = within else {
        return if path.is_empty() {
            "the document".into()
        } else {
            path.into()
        };
    };
    let apps = document
        .as_object()
        .and_then(|map| map.iter().find(|(name, _)| name.eq_ignore_ascii_case("apps")));
    let app = index
        .parse::<usize>()
        .ok()
        .and_then(|index| apps?.1.get(index)?.as_object());
    let text = |name: &str| {
        let found = app?.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        found.1.as_str().map(str::to_owned)
    };
    let name = text("appID").or_else(|| text("appDirPath"));
    let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
    match field.trim_start_matches('.') {
        "" => format!("apps[{index}]{name}"),
        field => format!("apps[{index}]{name}: {field}"),
    }
}

#[cfg(test)]
mod tests;
