//! `components`: what is loaded, what a folder would have loaded, what could be loaded, and the fields of one.

use super::not_available;
use crate::{
    args::{self, ListFormat},
    discover::{Running, running},
    messages::{self, Messages},
    paths::Home,
    table::{Format, Table, structured},
};
use anyhow::{Result, bail};
use component::{Entry, Kind, Status};
use resources::{Component, Filter, Severity, load};
use serde::Serialize;
use std::path::PathBuf;

/// Prints them.
pub(crate) async fn components(args: &args::Components, home: &Home, messages: &Messages) -> Result<()> {
    if args.kubernetes || args.all_namespaces || args.namespace.is_some() {
        return Err(not_available("components --kubernetes"));
    }
    let format = match args.output {
        ListFormat::List => Format::Table,
        ListFormat::Json => Format::Json,
        ListFormat::Yaml => Format::Yaml,
    };
    if let Some(name) = &args.component_type {
        return of_type(name, format);
    }
    if args.available {
        return available(args.name.as_deref().unwrap_or_default(), format);
    }
    if !args.resources_path.is_empty() {
        return in_folders(&args.resources_path, args, format, messages);
    }
    let all = running().await?;
    match (&args.app_id, all.is_empty()) {
        (Some(id), _) if !all.iter().any(|sidecar| sidecar.app_id() == id) => {
            bail!("no sidecar of application {id:?} runs")
        }
        (None, true) => {
            let folders: Vec<PathBuf> = home.default_resources().into_iter().collect();
            let messages = messages.beside_output();
            match folders.first() {
                Some(folder) => messages.info(format!("No sidecar runs. One would load, from {}:", folder.display())),
                None => messages.info("No sidecar runs, and there are no default components: `dapr init` writes some"),
            }
            in_folders(&folders, args, format, &messages)
        }
        _ => loaded(&all, args, format, messages),
    }
}

/// A component that a sidecar has loaded.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadedRow<'a> {
    app_id: &'a str,
    name: &'a str,
    r#type: &'a str,
    version: &'a str,
    capabilities: &'a [String],
}

fn loaded(all: &[Running], args: &args::Components, format: Format, messages: &Messages) -> Result<()> {
    let mut rows = Vec::new();
    for sidecar in all
        .iter()
        .filter(|sidecar| args.app_id.as_deref().is_none_or(|id| id == sidecar.app_id()))
    {
        let Some(metadata) = &sidecar.metadata else {
            messages.warn(format!(
                "{}: the sidecar at {} does not tell",
                sidecar.app_id(),
                sidecar.api.place()
            ));
            continue;
        };
        rows.extend(metadata.components.iter().map(|component| LoadedRow {
            app_id: &metadata.id,
            name: &component.name,
            r#type: &component.type_name,
            version: &component.version,
            capabilities: &component.capabilities,
        }));
    }
    rows.retain(|row| args.name.as_deref().is_none_or(|name| name == row.name));
    let mut table = Table::new(&["APP ID", "NAME", "TYPE", "VERSION", "CAPABILITIES"]);
    for row in &rows {
        table.row([
            row.app_id.into(),
            row.name.into(),
            row.r#type.into(),
            row.version.into(),
            row.capabilities.join(","),
        ]);
    }
    print(&rows, &table, format)
}

/// A component as a file describes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileRow {
    name: String,
    r#type: String,
    version: String,
    scopes: Vec<String>,
    available: bool,
}

impl From<Component> for FileRow {
    fn from(component: Component) -> Self {
        let (type_name, version) = (component.spec.type_name, component.spec.version);
        let registry = catalog::registry();
        let found = Kind::split(&type_name).and_then(|(kind, name)| registry.find(kind, name, &version));
        Self {
            available: found.is_some(),
            name: component.metadata.name,
            r#type: type_name,
            version: if version.is_empty() { "v1".into() } else { version },
            scopes: component.scopes,
        }
    }
}

fn in_folders(folders: &[PathBuf], args: &args::Components, format: Format, messages: &Messages) -> Result<()> {
    let mut read = load::Loaded::default();
    for folder in folders {
        // all applications: scopes are shown, not applied
        let Some(files) = resource_files(folder) else {
            bail!("the folder {} cannot be read", folder.display())
        };
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            read.add_text(&text, &file, &Filter::default());
        }
    }
    read.check_unique()?;
    for problem in read
        .problems
        .iter()
        .filter(|problem| problem.severity != Severity::Debug)
    {
        messages.warn(problem.to_string());
    }
    let mut rows: Vec<FileRow> = read.components.into_iter().map(FileRow::from).collect();
    rows.retain(|row| args.name.as_deref().is_none_or(|name| name == row.name));
    let mut table = Table::new(&["NAME", "TYPE", "VERSION", "SCOPES", "AVAILABLE"]);
    for row in &rows {
        table.row([
            row.name.clone(),
            row.r#type.clone(),
            row.version.clone(),
            row.scopes.join(","),
            yes(row.available),
        ]);
    }
    print(&rows, &table, format)
}

fn resource_files(folder: &PathBuf) -> Option<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).ok()?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| load::is_resource_file(file) && file.is_file());
    files.sort();
    Some(files)
}

/// A component that could be loaded.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntryRow {
    r#type: String,
    aliases: Vec<String>,
    versions: &'static [&'static str],
    status: &'static str,
    summary: &'static str,
}

impl From<&Entry> for EntryRow {
    fn from(entry: &Entry) -> Self {
        let mut names = entry.names.iter().map(|name| format!("{}{name}", entry.kind.prefix()));
        Self {
            r#type: names.next().unwrap_or_default(),
            aliases: names.collect(),
            versions: entry.versions,
            status: status(entry.status),
            summary: entry.summary,
        }
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Stable => "stable",
        Status::Beta => "beta",
        Status::Alpha => "alpha",
    }
}

/// All that could be loaded, or those whose type begins with or is a name.
fn available(name: &str, format: Format) -> Result<()> {
    let registry = catalog::registry();
    let mut rows: Vec<EntryRow> = registry.entries().iter().map(EntryRow::from).collect();
    rows.sort_by(|one, other| one.r#type.cmp(&other.r#type));
    let kind = format!("{name}.");
    rows.retain(|row| {
        name.is_empty() || row.r#type == name || row.aliases.iter().any(|a| a == name) || row.r#type.starts_with(&kind)
    });
    let mut table = Table::new(&["TYPE", "VERSIONS", "STATUS", "SUMMARY"]);
    for row in &rows {
        table.row([
            row.r#type.clone(),
            row.versions.join(","),
            row.status.into(),
            row.summary.into(),
        ]);
    }
    print(&rows, &table, format)
}

/// A metadata field of a component.
#[derive(Serialize)]
struct FieldRow {
    name: &'static str,
    aliases: &'static [&'static str],
    r#type: &'static str,
    required: bool,
    default: &'static str,
    secret: bool,
    description: &'static str,
}

/// A component with its fields.
#[derive(Serialize)]
struct Manual {
    #[serde(flatten)]
    entry: EntryRow,
    metadata: Vec<FieldRow>,
}

/// The fields of a type; of a kind (`state`), its types.
fn of_type(name: &str, format: Format) -> Result<()> {
    let registry = catalog::registry();
    if Kind::ALL.iter().any(|kind| kind.prefix().trim_end_matches('.') == name) {
        return available(name, format);
    }
    let found = Kind::split(name).and_then(|(kind, short)| {
        registry
            .entries()
            .iter()
            .find(|e| e.kind == kind && e.names.iter().any(|n| n.eq_ignore_ascii_case(short)))
    });
    let Some(entry) = found else {
        let near: Vec<String> = registry
            .entries()
            .iter()
            .map(|entry| EntryRow::from(entry).r#type)
            .collect();
        let near: Vec<&String> = near
            .iter()
            .filter(|other| other.contains(name) || shares_name(other, name))
            .collect();
        let hint = match near.is_empty() {
            true => "`dapr components --available` lists all".to_owned(),
            false => format!(
                "did you mean {}?",
                near.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ")
            ),
        };
        bail!("there is no component {name}: {hint}");
    };
    let metadata = (entry.fields)().into_iter().map(|field| FieldRow {
        name: field.name,
        aliases: field.aliases,
        r#type: field.kind,
        required: field.required,
        default: field.default,
        secret: field.secret,
        description: field.doc,
    });
    let manual = Manual {
        entry: EntryRow::from(entry),
        metadata: metadata.collect(),
    };
    if let Some(text) = structured(&manual, format)? {
        messages::print(&text);
        return Ok(());
    }
    messages::print(&manual_text(&manual));
    Ok(())
}

fn manual_text(manual: &Manual) -> String {
    let entry = &manual.entry;
    let mut text = format!(
        "{} ({}, {})\n{}\n",
        entry.r#type,
        entry.versions.join(", "),
        entry.status,
        entry.summary
    );
    if !entry.aliases.is_empty() {
        text.push_str(&format!("Also called {}\n", entry.aliases.join(", ")));
    }
    text.push('\n');
    let mut table = Table::new(&["FIELD", "TYPE", "REQUIRED", "DEFAULT", "DESCRIPTION"]);
    for field in &manual.metadata {
        let names: Vec<&str> = std::iter::once(field.name)
            .chain(field.aliases.iter().copied())
            .collect();
        table.row([
            names.join(", "),
            field.r#type.into(),
            yes(field.required),
            field.default.into(),
            field.description.into(),
        ]);
    }
    text + &table.render()
}

/// Whether two types differ only in their kind.
fn shares_name(one: &str, other: &str) -> bool {
    one.rsplit('.').next() == other.rsplit('.').next()
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.into()
}

fn print<T: Serialize>(rows: &[T], table: &Table, format: Format) -> Result<()> {
    messages::print(&structured(&rows, format)?.unwrap_or_else(|| table.render()));
    Ok(())
}
