//! `secretstores.local.file`: secrets from a JSON file.

use component::{
    Component, ComponentError, Config, ErrorKind, Metadata, Open, OpenError, async_trait,
    secrets::{Secret, SecretStore},
};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, HashMap};

#[cfg(test)]
mod tests;

/// How deep objects and lists may lie in each other.
const DEPTH: usize = 128;

/// Options of `secretstores.local.file`.
#[derive(Debug, Config)]
pub struct Options {
    /// Path of a JSON file whose top level is an object; a relative path begins at the directory that the sidecar was
    /// started in. It is read once, at start. Numbers and booleans are given as they are written in the file, null as an
    /// empty value.
    #[config(required)]
    pub secrets_file: String,
    /// What stands between the names when objects in objects are made one level: with `:`, the value of
    /// `{"db": {"users": ["ann"]}}` is the secret `db:users:0`.
    #[config(default = ":")]
    pub nested_separator: String,
    /// Whether the top level names the secrets and what lies below are the several values of each. Without it each single
    /// value is a secret of its own.
    pub multi_valued: bool,
}

/// A JSON file as a secret store.
pub struct File {
    secrets: BTreeMap<String, Secret>,
    multi_valued: bool,
}

impl Component for File {
    const NAMES: &'static [&'static str] = &["local.file"];
    const SUMMARY: &'static str = "Reads secrets from a JSON file on the sidecar's machine, for development.";
    type Options = Options;

    async fn open(options: Options, _: Open) -> Result<Self, OpenError> {
        let path = &options.secrets_file;
        let text = tokio::fs::read_to_string(path)
            .await
            .map_err(|error| OpenError::failed(format_args!("cannot read secretsFile {path}: {error}")))?;
        Self::parse(&text, &options)
            .map_err(|problem| OpenError::failed(format_args!("cannot use secretsFile {path}: {problem}")))
    }
}

/// An object of JSON whose values are not looked at yet.
type Object<'a> = BTreeMap<String, &'a RawValue>;

impl File {
    fn parse(text: &str, options: &Options) -> Result<Self, String> {
        let top: Object<'_> = serde_json::from_str(text).map_err(not_json)?;
        let separator = &options.nested_separator;
        let mut secrets = BTreeMap::new();
        for (name, value) in top {
            let mut values = HashMap::new();
            if options.multi_valued {
                flatten(&name, None, value, separator, DEPTH, &mut values)?;
                secrets.insert(name, values.into_iter().collect());
            } else {
                flatten(&name, Some(&name), value, separator, DEPTH, &mut values)?;
                let single = |(name, value): (String, String)| (name.clone(), Secret::from([(name, value)]));
                secrets.extend(values.into_iter().map(single));
            }
        }
        Ok(Self {
            secrets,
            multi_valued: options.multi_valued,
        })
    }
}

/// Adds all single values within `value`. Each is named by the way to it, which begins with `path`; a value to which no way
/// leads has the name `top`.
fn flatten(
    top: &str,
    path: Option<&str>,
    value: &RawValue,
    separator: &str,
    depth: usize,
    found: &mut HashMap<String, String>,
) -> Result<(), String> {
    let below = |name: &str| match path {
        Some(path) => format!("{path}{separator}{name}"),
        None => name.to_owned(),
    };
    let deeper = || depth.checked_sub(1).ok_or_else(|| format!("more than {DEPTH} levels"));
    let text = value.get();
    let single = match text.as_bytes().first() {
        Some(b'{') => {
            let object: Object<'_> = serde_json::from_str(text).map_err(not_json)?;
            for (name, value) in object {
                flatten(top, Some(&below(&name)), value, separator, deeper()?, found)?;
            }
            return Ok(());
        }
        Some(b'[') => {
            let list: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
            for (i, value) in list.into_iter().enumerate() {
                flatten(top, Some(&below(&i.to_string())), value, separator, deeper()?, found)?;
            }
            return Ok(());
        }
        Some(b'"') => serde_json::from_str(text).map_err(not_json)?,
        Some(b'n') | None => String::new(),
        Some(_) => text.to_owned(),
    };
    found.insert(path.unwrap_or(top).to_owned(), single);
    Ok(())
}

fn not_json(error: serde_json::Error) -> String {
    format!("it is no JSON object: {error}")
}

#[async_trait]
impl SecretStore for File {
    async fn get(&self, name: &str, _: &Metadata) -> Result<Secret, ComponentError> {
        let missing = || ComponentError::new(ErrorKind::NotFound, format!("secret {name} not found"));
        self.secrets.get(name).cloned().ok_or_else(missing)
    }

    async fn bulk_get(&self, _: &Metadata) -> Result<BTreeMap<String, Secret>, ComponentError> {
        Ok(self.secrets.clone())
    }

    fn multiple_values(&self) -> bool {
        self.multi_valued
    }
}
