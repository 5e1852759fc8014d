//! Configuration files: expansion of variables, merging, decoding.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::Configuration;
use crate::decode::{self, DecodeError, same_name};
use crate::env;
use crate::load::Header;
use crate::meta::{Kind, is_common_field};
use crate::problem::{Problem, Severity};
use crate::yaml::{self, YamlError};

/// A configuration, and what was odd about its files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadedConfiguration {
    /// All files put together.
    pub configuration: Configuration,
    /// What has no effect.
    pub problems: Vec<Problem>,
}

/// Why a configuration cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// A file is not there or cannot be read.
    #[error("open {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// A file is no YAML.
    #[error("{}: {error}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        #[source]
        error: YamlError,
    },
    /// A file is no map.
    #[error("{}: expected a map", path.display())]
    NoMap {
        /// The file.
        path: PathBuf,
    },
    /// A value has the wrong type.
    #[error("{}: {error}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Which one, and what is wrong with it.
        #[source]
        error: DecodeError,
    },
}

/// Reads configuration files, of which the later ones win field by field; a list replaces a list. `$NAME` and `${NAME}`
/// anywhere in a file are replaced by what `variable` says, before the file is parsed.
pub fn load_files(
    files: &[PathBuf],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<LoadedConfiguration, ConfigurationError> {
    let mut texts = Vec::with_capacity(files.len());
    for path in files {
        let bytes = fs::read(path).map_err(|error| ConfigurationError::Read {
            path: path.clone(),
            error,
        })?;
        texts.push((path.clone(), String::from_utf8_lossy(&bytes).into_owned()));
    }
    from_texts(&texts, variable)
}

/// Like [`load_files`], of texts and the names they came under.
pub fn from_texts(
    texts: &[(PathBuf, String)],
    variable: impl Fn(&str) -> Option<String>,
) -> Result<LoadedConfiguration, ConfigurationError> {
    let mut merged = Map::new();
    let mut problems = Vec::new();
    for (path, text) in texts {
        let Some(value) = read(path, &env::expand(text, &variable), &mut problems)? else {
            continue;
        };
        // Decoded by itself first, so that an error names its file.
        let decoded = decode::from_value::<Configuration>(&value).map_err(|error| ConfigurationError::Decode {
            path: path.clone(),
            error,
        })?;
        let name = decoded.value.metadata.name;
        let unknown = decoded.unknown.into_iter().filter(|field| !is_common_field(field));
        problems.extend(unknown.map(|field| notice(path, &name, field, "unknown field, it has no effect")));
        let Value::Object(map) = value else {
            return Err(ConfigurationError::NoMap { path: path.clone() });
        };
        merge(&mut merged, map);
    }
    let decoded = decode::from_value(&Value::Object(merged)).map_err(|error| {
        let path = texts.last().map(|(path, _)| path.clone()).unwrap_or_default();
        ConfigurationError::Decode { path, error }
    })?;
    Ok(LoadedConfiguration {
        configuration: decoded.value,
        problems,
    })
}

/// The one document of a file that counts: the first of kind Configuration, or the first if there is none.
fn read(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Result<Option<Value>, ConfigurationError> {
    let mut values = Vec::new();
    for document in yaml::documents(text) {
        let value = document.content.map_err(|error| ConfigurationError::Yaml {
            path: path.to_owned(),
            error,
        })?;
        let header = Header::read(&value).map_err(|_| ConfigurationError::NoMap { path: path.to_owned() })?;
        values.push((header, value));
    }
    let chosen = values
        .iter()
        .position(|(header, _)| header.kind == Kind::Configuration.name())
        .unwrap_or(0);
    for (index, (header, _)) in values.iter().enumerate() {
        if index != chosen {
            problems.push(notice(
                path,
                &header.name,
                String::new(),
                "not read: a file holds one configuration",
            ));
        } else if header.kind != Kind::Configuration.name() {
            let message = format!("expected Configuration, found {:?}", header.kind);
            problems.push(notice(path, &header.name, "kind".to_owned(), &message));
        }
    }
    Ok(values.into_iter().nth(chosen).map(|(_, value)| value))
}

/// Puts `upper` over `lower`: maps field by field (names without case), everything else as a whole. Settings of name
/// resolution, which only their component knows, are replaced as a whole.
fn merge(lower: &mut Map<String, Value>, upper: Map<String, Value>) {
    for (name, value) in upper {
        if value.is_null() {
            continue;
        }
        let existing = lower.keys().find(|key| same_name(key, &name)).cloned();
        let slot = lower
            .entry(existing.unwrap_or_else(|| name.clone()))
            .or_insert(Value::Null);
        match (slot, value) {
            (Value::Object(below), Value::Object(above)) if !same_name(&name, "configuration") => merge(below, above),
            (slot, value) => *slot = value,
        }
    }
}

fn notice(path: &Path, name: &str, field: String, message: &str) -> Problem {
    Problem {
        severity: Severity::Notice,
        source: path.to_owned(),
        line: 0,
        kind: Some(Kind::Configuration),
        resource: name.to_owned(),
        field,
        message: message.to_owned(),
    }
}
