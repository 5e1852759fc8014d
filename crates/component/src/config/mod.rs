//! Decoding a component's metadata into a typed struct, as loosely as Dapr does: names without case, numbers and booleans
//! as text, durations in Go's syntax. One struct drives decoding, validation, listing and the reference page.

use std::{collections::HashMap, time::Duration};

/// The metadata of a component, after secrets and environment were resolved: names and texts.
#[derive(Debug, Clone, Default)]
pub struct Properties(HashMap<String, (String, String)>);

impl Properties {
    /// The value of a name; case does not matter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(|(_, value)| value.as_str())
    }

    /// Sets a value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.0.insert(name.to_ascii_lowercase(), (name, value.into()));
    }

    /// All names and values as they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.values().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<T: IntoIterator<Item = (K, V)>>(iter: T) -> Self {
        let mut all = Self::default();
        for (name, value) in iter {
            all.set(name, value);
        }
        all
    }
}

/// What is wrong with a component's metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A field that must be there is not.
    #[error("metadata field {field} is missing: {hint}")]
    Missing {
        /// The field.
        field: String,
        /// What it is for.
        hint: String,
    },
    /// A field holds what it cannot hold.
    #[error("metadata field {field} is {value:?}: {problem}")]
    Invalid {
        /// The field.
        field: String,
        /// What it holds; not shown for secrets.
        value: String,
        /// What is wrong.
        problem: String,
    },
}

impl ConfigError {
    /// An error about a field's value.
    pub fn invalid(field: &str, value: &str, problem: impl std::fmt::Display) -> Self {
        Self::Invalid {
            field: field.into(),
            value: value.into(),
            problem: problem.to_string(),
        }
    }
}

/// One metadata field of a component: its manual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The name in the resource.
    pub name: &'static str,
    /// Other names that mean the same.
    pub aliases: &'static [&'static str],
    /// What type of value it takes, in a word.
    pub kind: &'static str,
    /// Whether it must be given.
    pub required: bool,
    /// What it is when it is not given; empty if nothing.
    pub default: &'static str,
    /// Whether it should come from a secret store.
    pub secret: bool,
    /// What it is for.
    pub doc: &'static str,
}

/// Options of a component. Derive it:
///
/// ```ignore
/// #[derive(Config)]
/// pub struct Options {
///     /// Address of the server, `host:port`.
///     #[config(required)]
///     pub redis_host: String,               // metadata name: redisHost
///     /// How long a message may be in work.
///     #[config(name = "processingTimeout", default = "15s")]
///     pub timeout: std::time::Duration,
///     /// Password.
///     #[config(secret, alias = "password")]
///     pub redis_password: Option<String>,
///     #[config(flatten)]
///     pub common: Common,
/// }
/// ```
pub trait Config: Sized {
    /// The fields, in order.
    fn fields() -> Vec<Field>;

    /// Decodes metadata; the error names the field.
    fn decode(properties: &Properties) -> Result<Self, ConfigError>;
}

/// No options.
impl Config for () {
    fn fields() -> Vec<Field> {
        Vec::new()
    }

    fn decode(_: &Properties) -> Result<Self, ConfigError> {
        Ok(())
    }
}

/// A value of a metadata field.
pub trait Value: Sized {
    /// What type of value it is, in a word.
    const KIND: &'static str;

    /// Reads the value; the error says what is wrong with it.
    fn parse(text: &str) -> Result<Self, String>;

    /// What the value is when the field is absent and has no default; nothing if it must be there.
    fn absent() -> Option<Self> {
        None
    }
}

impl Value for String {
    const KIND: &'static str = "string";

    fn parse(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl Value for bool {
    const KIND: &'static str = "bool";

    /// What Dapr takes for true: 1, t, true, y, yes, on. All else is false.
    fn parse(text: &str) -> Result<Self, String> {
        Ok(matches!(
            text.trim().to_ascii_lowercase().as_str(),
            "1" | "t" | "true" | "y" | "yes" | "on"
        ))
    }

    fn absent() -> Option<Self> {
        Some(false)
    }
}

macro_rules! numbers {
    ($($t:ty),*) => { $(
        impl Value for $t {
            const KIND: &'static str = "number";

            fn parse(text: &str) -> Result<Self, String> {
                text.trim().parse().map_err(|_| concat!("not a number of type ", stringify!($t)).to_owned())
            }
        }
    )* };
}

numbers!(i32, i64, u16, u32, u64, usize, f64);

impl Value for Duration {
    const KIND: &'static str = "duration";

    /// Go's syntax (`1m30s`, `500ms`); a bare number is seconds.
    fn parse(text: &str) -> Result<Self, String> {
        parse_duration(text, Duration::from_secs(1))
    }
}

/// A duration whose bare numbers are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub Duration);

impl Value for Millis {
    const KIND: &'static str = "duration (ms)";

    fn parse(text: &str) -> Result<Self, String> {
        parse_duration(text, Duration::from_millis(1)).map(Self)
    }
}

impl Value for Vec<String> {
    const KIND: &'static str = "list";

    /// Values between commas.
    fn parse(text: &str) -> Result<Self, String> {
        Ok(text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect())
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: Value> Value for Option<T> {
    const KIND: &'static str = T::KIND;

    fn parse(text: &str) -> Result<Self, String> {
        T::parse(text).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

/// Parses Go's duration syntax; a bare number counts `unit`s. Negative durations are refused.
pub fn parse_duration(text: &str, unit: Duration) -> Result<Duration, String> {
    let text = text.trim();
    let wrong = || "not a duration such as 5s, 1m30s or 500ms".to_owned();
    if let Ok(number) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(number * unit.as_secs_f64()).map_err(|_| wrong());
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = 0f64;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let (name, seconds) = [
            ("ns", 1e-9),
            ("us", 1e-6),
            ("µs", 1e-6),
            ("μs", 1e-6),
            ("ms", 1e-3),
            ("s", 1.0),
            ("m", 60.0),
            ("h", 3600.0),
        ]
        .into_iter()
        .filter(|(name, _)| rest.starts_with(name))
        .max_by_key(|(name, _)| name.len())
        .ok_or_else(wrong)?;
        rest = &rest[name.len()..];
        total += number * seconds;
    }
    Duration::try_from_secs_f64(total).map_err(|_| wrong())
}

/// What the derive macro calls for one field.
#[doc(hidden)]
pub fn take<T: Value>(properties: &Properties, field: &Field) -> Result<T, ConfigError> {
    let given = std::iter::once(&field.name)
        .chain(field.aliases)
        .find_map(|name| properties.get(name))
        .filter(|text| !text.is_empty());
    let text = match given {
        Some(text) => text,
        None if field.required => {
            return Err(ConfigError::Missing {
                field: field.name.into(),
                hint: field.doc.trim().into(),
            });
        }
        None if !field.default.is_empty() => field.default,
        None => {
            return T::absent().ok_or_else(|| ConfigError::Missing {
                field: field.name.into(),
                hint: field.doc.trim().into(),
            });
        }
    };
    T::parse(text).map_err(|problem| {
        let shown = if field.secret { "(hidden)" } else { text };
        ConfigError::invalid(field.name, shown, problem)
    })
}

#[cfg(test)]
mod tests;
