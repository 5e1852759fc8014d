//! From a tree of JSON values to typed resources, by the rules of Go's JSON package as the original applies it to YAML.
//!
//! - Names of fields are compared without case; an exact match wins, and of several the last one written.
//! - A number or a boolean may stand where text is wanted; text may not stand for a number or a boolean.
//! - `null` counts as not written.
//! - What no field takes is not an error: its path is handed back beside the value.
//! - An error names the path of the value that is wrong, and what it is.

use std::cell::RefCell;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::number::go_text_float;

/// A value that was decoded, and what was left over.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<T> {
    /// The value.
    pub value: T,
    /// Paths of the fields that nothing takes, in the order they were found.
    pub unknown: Vec<String>,
}

/// Why a tree of values does not make the wanted type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DecodeError {
    /// Where in the tree, as `spec.metadata[2].name`; empty for the root.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            path: String::new(),
            message: message.to_string(),
        }
    }
}

/// Decodes `value` as a `T`.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<Decoded<T>, DecodeError> {
    let context = Context::default();
    let decoded = T::deserialize(Decoder {
        value,
        context: &context,
    })?;
    Ok(Decoded {
        value: decoded,
        unknown: context.unknown.into_inner(),
    })
}

/// Decodes JSON text as a `T`.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<Decoded<T>, DecodeError> {
    let value: Value = serde_json::from_slice(text).map_err(de::Error::custom)?;
    from_value(&value)
}

/// One step of a path.
#[derive(Clone)]
enum Step {
    Field(String),
    Item(usize),
}

/// Where the decoder is, and what it has found so far.
#[derive(Default)]
struct Context {
    path: RefCell<Vec<Step>>,
    unknown: RefCell<Vec<String>>,
}

impl Context {
    fn path(&self) -> String {
        let mut text = String::new();
        for step in self.path.borrow().iter() {
            match step {
                Step::Field(name) if text.is_empty() => text.push_str(name),
                Step::Field(name) => {
                    text.push('.');
                    text.push_str(name);
                }
                Step::Item(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }

    /// Runs `decode` one step further down, and puts the path into an error that has none yet.
    fn within<T>(&self, step: Step, decode: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
        self.path.borrow_mut().push(step);
        let result = decode().map_err(|error| match error.path.as_str() {
            "" => DecodeError {
                path: self.path(),
                message: error.message,
            },
            _ => error,
        });
        self.path.borrow_mut().pop();
        result
    }

    fn unknown(&self, name: &str) {
        self.path.borrow_mut().push(Step::Field(name.to_owned()));
        self.unknown.borrow_mut().push(self.path());
        self.path.borrow_mut().pop();
    }
}

#[derive(Clone, Copy)]
struct Decoder<'a> {
    value: &'a Value,
    context: &'a Context,
}

impl<'a> Decoder<'a> {
    fn expected<T>(self, wanted: &str) -> Result<T, DecodeError> {
        Err(DecodeError {
            path: self.context.path(),
            message: format!("expected {wanted}, found {}", describe(self.value)),
        })
    }

    fn integer<T: TryFrom<i128>>(self, wanted: &str) -> Result<T, DecodeError> {
        let number = match self.value {
            Value::Null => Some(0),
            Value::Number(number) => whole(number),
            _ => None,
        };
        match number.and_then(|n| T::try_from(n).ok()) {
            Some(n) => Ok(n),
            None => self.expected(wanted),
        }
    }

    fn float(self) -> Result<f64, DecodeError> {
        match self.value {
            Value::Null => Ok(0.0),
            Value::Number(number) => Ok(number.as_f64().unwrap_or_default()),
            _ => self.expected("a number"),
        }
    }

    fn text(self) -> Result<String, DecodeError> {
        match self.value {
            Value::Null => Ok(String::new()),
            Value::String(text) => Ok(text.clone()),
            Value::Bool(flag) => Ok(flag.to_string()),
            Value::Number(number) => Ok(number_as_text(number)),
            _ => self.expected("text"),
        }
    }
}

/// What a value is, for error messages; long texts are cut.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => format!("the boolean {flag}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() > 40 => {
            format!("the text {:?}…", text.chars().take(40).collect::<String>())
        }
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map".to_owned(),
    }
}

/// A number without a fraction; `3.0` counts, as Go writes it `3`.
fn whole(number: &Number) -> Option<i128> {
    if let Some(n) = number.as_i64() {
        return Some(n.into());
    }
    if let Some(n) = number.as_u64() {
        return Some(n.into());
    }
    let float = number.as_f64()?;
    (float.fract() == 0.0 && float.abs() < 1e21).then_some(float as i128)
}

/// A number where text is wanted.
fn number_as_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => go_text_float(float),
        _ => number.to_string(),
    }
}

macro_rules! integers {
    ($($method:ident, $visit:ident, $wanted:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            visitor.$visit(self.integer($wanted)?)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Decoder<'_> {
    type Error = DecodeError;

    integers! {
        deserialize_i8, visit_i8, "a whole number of 8 bits";
        deserialize_i16, visit_i16, "a whole number of 16 bits";
        deserialize_i32, visit_i32, "a whole number of 32 bits";
        deserialize_i64, visit_i64, "a whole number";
        deserialize_u8, visit_u8, "a whole number from 0 to 255";
        deserialize_u16, visit_u16, "a whole number from 0 to 65535";
        deserialize_u32, visit_u32, "a whole number from 0 to 4294967295";
        deserialize_u64, visit_u64, "a whole number not below 0";
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(n), _) => visitor.visit_i64(n),
                (None, Some(n)) => visitor.visit_u64(n),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or_default()),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value {
            Value::Null => visitor.visit_bool(false),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            _ => self.expected("true or false"),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_f32(self.float()? as f32)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_string(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.value {
            Value::Null => visitor.visit_seq(Items {
                items: &[],
                next: 0,
                context: self.context,
            }),
            Value::Array(items) => visitor.visit_seq(Items {
                items,
                next: 0,
                context: self.context,
            }),
            _ => self.expected("a list"),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let entries = match self.value {
            Value::Null => Vec::new(),
            Value::Object(map) => map
                .iter()
                .map(|(name, value)| Entry {
                    field: name,
                    name,
                    value,
                })
                .collect(),
            _ => return self.expected("a map"),
        };
        visitor.visit_map(Fields::new(entries, self.context))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let entries = match self.value {
            Value::Null => Vec::new(),
            Value::Object(map) => match_fields(map, fields, self.context),
            _ => return self.expected("a map"),
        };
        visitor.visit_map(Fields::new(entries, self.context))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let text = self.text()?;
        let variant: StrDeserializer<'_, DecodeError> = text.as_str().into_deserializer();
        visitor.visit_enum(variant)
    }

    serde::forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct ignored_any
    }
}

/// A field of a struct or a key of a map.
struct Entry<'a> {
    /// What the type calls it.
    field: &'a str,
    /// What the document calls it.
    name: &'a str,
    value: &'a Value,
}

/// Finds for each entry of `map` the field that takes it, and reports those that no field takes.
fn match_fields<'a>(map: &'a Map<String, Value>, fields: &'static [&'static str], context: &Context) -> Vec<Entry<'a>> {
    let mut entries: Vec<Entry<'a>> = Vec::with_capacity(map.len());
    for (name, value) in map {
        let exact = fields.iter().find(|field| *field == name);
        let Some(field) = exact.or_else(|| fields.iter().find(|field| same_name(field, name))) else {
            context.unknown(name);
            continue;
        };
        if value.is_null() {
            continue;
        }
        entries.retain(|entry| entry.field != *field);
        entries.push(Entry { field, name, value });
    }
    entries
}

/// Whether two names of fields are the same but for case.
pub(crate) fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

struct Fields<'a> {
    entries: std::vec::IntoIter<Entry<'a>>,
    current: Option<Entry<'a>>,
    context: &'a Context,
}

impl<'a> Fields<'a> {
    fn new(entries: Vec<Entry<'a>>, context: &'a Context) -> Self {
        Self {
            entries: entries.into_iter(),
            current: None,
            context,
        }
    }
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = DecodeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, DecodeError> {
        self.current = self.entries.next();
        let Some(entry) = &self.current else { return Ok(None) };
        let name: StrDeserializer<'_, DecodeError> = entry.field.into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DecodeError> {
        let Some(entry) = self.current.take() else {
            return Err(de::Error::custom("a value without a name"));
        };
        let context = self.context;
        let step = Step::Field(entry.name.to_owned());
        context.within(step, || {
            seed.deserialize(Decoder {
                value: entry.value,
                context,
            })
        })
    }
}

struct Items<'a> {
    items: &'a [Value],
    next: usize,
    context: &'a Context,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = DecodeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, DecodeError> {
        let Some(value) = self.items.get(self.next) else {
            return Ok(None);
        };
        let (context, step) = (self.context, Step::Item(self.next));
        self.next += 1;
        context
            .within(step, || seed.deserialize(Decoder { value, context }))
            .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.items.len().checked_sub(self.next)
    }
}

#[cfg(test)]
mod tests;
