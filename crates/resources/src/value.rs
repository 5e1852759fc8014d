//! Values that are written out, or that refer to a secret or to the environment.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::number::go_json_float;

/// A value of any type that is used as text: `true`, `3`, `"abc"`, `{a: [1]}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DynamicValue(pub Value);

impl DynamicValue {
    /// The value as text: what is no text becomes compact JSON, as Go writes it (keys sorted, `1000.0` as `1000`).
    pub fn as_text(&self) -> Cow<'_, str> {
        match &self.0 {
            Value::Null => Cow::Borrowed(""),
            Value::String(text) => Cow::Borrowed(text),
            other => {
                let mut text = String::new();
                write_json(other, &mut text);
                Cow::Owned(text)
            }
        }
    }

    /// Whether nothing is written, or an empty text.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Value::Null) || matches!(&self.0, Value::String(text) if text.is_empty())
    }
}

impl fmt::Display for DynamicValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_text())
    }
}

impl From<&str> for DynamicValue {
    fn from(text: &str) -> Self {
        Self(Value::String(text.to_owned()))
    }
}

impl From<String> for DynamicValue {
    fn from(text: String) -> Self {
        Self(Value::String(text))
    }
}

/// Writes JSON as Go does: keys sorted, whole floats without a fraction.
pub(crate) fn write_json(value: &Value, out: &mut String) {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => out.push_str(&go_json_float(float)),
            _ => out.push_str(&number.to_string()),
        },
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|one, other| one.0.cmp(other.0));
            out.push('{');
            for (index, (name, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(name.clone()).to_string());
                out.push(':');
                write_json(item, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

/// The place of a secret in a secret store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// The name of the secret.
    pub name: String,
    /// The key within it; empty means the same as the name.
    pub key: String,
}

impl SecretKeyRef {
    /// The key within the secret.
    pub fn key(&self) -> &str {
        if self.key.is_empty() { &self.name } else { &self.key }
    }
}

/// A named value: an item of a component's metadata, a header of an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NameValue {
    /// What it is called.
    pub name: String,
    /// The value, if it is written out or already resolved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<DynamicValue>,
    /// The secret that holds the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretKeyRef>,
    /// The variable of the environment that holds the value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_ref: Option<String>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueSource<'a> {
    /// It is written out.
    Literal(&'a DynamicValue),
    /// It is in a secret store.
    Secret(&'a SecretKeyRef),
    /// It is in a variable of the environment.
    Env(&'a str),
    /// There is none: the empty text.
    Nothing,
}

impl NameValue {
    /// A value that is written out.
    pub fn literal(name: impl Into<String>, value: impl Into<DynamicValue>) -> Self {
        Self {
            name: name.into(),
            value: Some(value.into()),
            ..Self::default()
        }
    }

    /// Where the value comes from. A secret wins over a written value, which wins over the environment.
    pub fn source(&self) -> ValueSource<'_> {
        source(
            self.value.as_ref(),
            self.secret_key_ref.as_ref(),
            self.env_ref.as_deref(),
        )
    }
}

/// See [`NameValue::source`].
pub(crate) fn source<'a>(
    value: Option<&'a DynamicValue>,
    secret: Option<&'a SecretKeyRef>,
    env: Option<&'a str>,
) -> ValueSource<'a> {
    if let Some(secret) = secret.filter(|secret| !secret.name.is_empty()) {
        return ValueSource::Secret(secret);
    }
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        return ValueSource::Literal(value);
    }
    match env.filter(|name| !name.is_empty()) {
        Some(name) => ValueSource::Env(name),
        None => ValueSource::Nothing,
    }
}

#[cfg(test)]
mod tests;
