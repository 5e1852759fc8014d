//! Connection strings: where a database is and how it wants to be opened.

use component::{Config, ConfigError, Field, OpenError, Properties};
use std::path::{Path, PathBuf};

/// The field that each component of this family has. Its absence is told in the words that users of Dapr know, so it is
/// found when the component opens and not when its metadata are decoded.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionString(String);

impl Config for ConnectionString {
    fn fields() -> Vec<Field> {
        vec![Field {
            name: "connectionString",
            aliases: &["url"],
            kind: "string",
            required: true,
            default: "",
            secret: false,
            doc: "Where the database is: the path of a file, a URI such as `file:data.db?mode=ro`, or `:memory:`.",
        }]
    }

    fn decode(properties: &Properties) -> Result<Self, ConfigError> {
        let given = properties.get("connectionString").or_else(|| properties.get("url"));
        Ok(Self(given.unwrap_or_default().trim().to_owned()))
    }
}

impl ConnectionString {
    /// What the text says.
    pub(crate) fn parse(&self) -> Result<Location, OpenError> {
        if self.0.is_empty() {
            return Err(OpenError::failed("missing connection string"));
        }
        Location::parse(&self.0).map_err(|problem| {
            let error = ConfigError::invalid("connectionString", &self.0, problem);
            OpenError::Config(error)
        })
    }
}

/// Where a database is, and the parameters of its connection string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    uri: String,
    path: Option<PathBuf>,
    memory: bool,
    read_only: bool,
    pragmas: Vec<(String, String)>,
}

impl Location {
    /// Reads a connection string; the error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (target, query) = text.split_once('?').unwrap_or((text, ""));
        let target = target.strip_prefix("file:").unwrap_or(target);
        let mut location = Self {
            uri: String::new(),
            path: None,
            memory: target == ":memory:",
            read_only: false,
            pragmas: Vec::new(),
        };
        let mut kept = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            if !location.take_parameter(parameter)? {
                kept.push(parameter);
            }
        }
        if location.memory {
            location.uri = ":memory:".into();
        } else {
            location.path = Some(path_of(target));
            let query = if kept.is_empty() { "" } else { "?" };
            location.uri = format!("file:{target}{query}{}", kept.join("&"));
        }
        Ok(location)
    }

    /// Takes note of a parameter; answers whether it was one of ours, which SQLite must not see.
    fn take_parameter(&mut self, parameter: &str) -> Result<bool, String> {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "mode" if value == "memory" => self.memory = true,
            "mode" if value == "ro" => self.read_only = true,
            "immutable" if !matches!(value, "" | "0" | "off" | "no" | "false") => self.read_only = true,
            // Each writer locks when it begins, whatever is asked for: with a lock that comes later, a transaction that
            // has read could not be waited for.
            "_txlock" if matches!(value, "deferred" | "immediate" | "exclusive") => return Ok(true),
            "_txlock" => {
                return Err(format!(
                    "_txlock is {value:?}: known are deferred, immediate and exclusive"
                ));
            }
            "_pragma" => {
                let pragma = parse_pragma(value)?;
                self.pragmas.push(pragma);
                return Ok(true);
            }
            _ => return Ok(name.starts_with('_')),
        }
        Ok(false)
    }

    /// What SQLite is to open.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// The file, if there is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether the database is in memory: it ends with its connection.
    pub(crate) fn is_memory(&self) -> bool {
        self.memory
    }

    /// Whether nothing can be written.
    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Pragmas that each connection begins with.
    pub(crate) fn pragmas(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pragmas.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The path in a URI: `//host` is left out, percent signs are decoded, as SQLite does.
fn path_of(target: &str) -> PathBuf {
    let target = match target.strip_prefix("//") {
        Some(rest) => rest.find('/').map_or("", |slash| &rest[slash..]),
        None => target,
    };
    let target = target.split('#').next().unwrap_or_default();
    PathBuf::from(percent_decoded(target))
}

fn percent_decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let code = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                out.push(byte);
                rest = &tail[2..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads `name(value)` or `name=value`.
fn parse_pragma(text: &str) -> Result<(String, String), String> {
    let text = percent_decoded(text);
    let (name, value) = match text.split_once('(') {
        Some((name, value)) => (name, value.strip_suffix(')').unwrap_or(value)),
        None => text.split_once('=').unwrap_or((&text, "1")),
    };
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
    let instead = match name.as_str() {
        "busy_timeout" => "busyTimeout",
        "journal_mode" => "disableWAL",
        _ => "",
    };
    if !instead.is_empty() {
        return Err(format!(
            "pragma `{name}` can not be set in the connection string; please use the `{instead}` metadata property instead"
        ));
    }
    let plain = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if !plain(&name) || !plain(&value) {
        return Err(format!("_pragma is {text:?}: write it as name(value)"));
    }
    Ok((name, value))
}
