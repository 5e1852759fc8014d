//! JSON of requests read as loosely as Go reads it: names of fields without case, unknown ones skipped, `null` for what is
//! missing.

use bytes::Bytes;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Declares a struct that is read so. Each field has the name that it has in JSON; `null` is its default.
macro_rules! loose {
    ($(#[$meta:meta])* $vis:vis struct $name:ident $(<$life:lifetime>)? {
        $( $(#[$fmeta:meta])* $field:ident : $ty:ty = $key:literal ),* $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Default)]
        $vis struct $name $(<$life>)? { $( $(#[$fmeta])* $vis $field: $ty, )* }

        $crate::loose::deserialize!($name $(<$life>)?, { $( $field = $key ),* });
    };
}

/// How such a struct is read.
macro_rules! deserialize {
    ($name:ident <$life:lifetime>, $fields:tt) => {
        impl<$life> serde::Deserialize<$life> for $name<$life> {
            $crate::loose::deserialize!(@body $life, $name<$life>, stringify!($name), $fields);
        }
    };
    ($name:ident, $fields:tt) => {
        impl<'de> serde::Deserialize<'de> for $name {
            $crate::loose::deserialize!(@body 'de, $name, stringify!($name), $fields);
        }
    };
    (@body $life:lifetime, $ty:ty, $what:expr, { $( $field:ident = $key:literal ),* }) => {
        fn deserialize<D: serde::Deserializer<$life>>(from: D) -> Result<Self, D::Error> {
            struct Loosely;
            impl<$life> serde::de::Visitor<$life> for Loosely {
                type Value = $ty;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_unit<E>(self) -> Result<$ty, E> {
                    Ok(Default::default())
                }

                fn visit_map<A: serde::de::MapAccess<$life>>(self, mut map: A) -> Result<$ty, A::Error> {
                    let mut value: $ty = Default::default();
                    while let Some(name) = map.next_key::<$crate::loose::Name<'_>>()? {
                        let name = &*name.0;
                        $( if name.eq_ignore_ascii_case($key) {
                            value.$field = map.next_value::<Option<_>>()?.unwrap_or_default();
                            continue;
                        } )*
                        let _unknown = name;
                        map.next_value::<serde::de::IgnoredAny>()?;
                    }
                    Ok(value)
                }
            }
            from.deserialize_any(Loosely)
        }
    };
}

pub(crate) use {deserialize, loose};

/// The name of a field: borrowed unless it holds escapes.
pub(crate) struct Name<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> serde::Deserialize<'de> for Name<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> serde::de::Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Text)
    }
}

/// The texts of a map; one that is `null` is empty.
#[derive(Default)]
pub(crate) struct Texts(pub(crate) component::Metadata);

impl<'de> serde::Deserialize<'de> for Texts {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let map = std::collections::HashMap::<String, Option<String>>::deserialize(from)?;
        Ok(Self(
            map.into_iter()
                .map(|(name, text)| (name, text.unwrap_or_default()))
                .collect(),
        ))
    }
}

/// A JSON value as its text without the blanks between its parts: numbers keep their digits, strings their escapes.
pub(crate) fn compact(value: Option<&RawValue>) -> Cow<'_, str> {
    let Some(value) = value else {
        return Cow::Borrowed("null");
    };
    let text = value.get();
    let bytes = text.as_bytes();
    let Some(first) = blank(bytes, 0) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut at = first;
    while at < bytes.len() {
        if is_blank(bytes[at]) {
            at += 1;
            continue;
        }
        let next = blank(bytes, at).unwrap_or(bytes.len());
        out.push_str(&text[at..next]);
        at = next;
    }
    Cow::Owned(out)
}

/// A part of a body as bytes: without a copy if it is most of a large body, so that what is kept of a body is never held by a
/// much smaller part of it.
pub(crate) fn part_of(body: &Bytes, text: &str) -> Bytes {
    let (start, part) = (body.as_ptr() as usize, text.as_ptr() as usize);
    match part.checked_sub(start) {
        Some(at) if at + text.len() <= body.len() && text.len() >= SHARED_FROM && text.len() * 2 >= body.len() => {
            body.slice(at..at + text.len())
        }
        _ => Bytes::copy_from_slice(text.as_bytes()),
    }
}

/// Smaller parts are copied.
const SHARED_FROM: usize = 4096;

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The first blank outside of strings, from a place outside of strings on.
fn blank(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            byte if is_blank(*byte) => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// The place after a string that begins at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    while let Some(found) = bytes.get(at..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) {
        match bytes[at + found] {
            b'"' => return at + found + 1,
            _ => at += found + 2,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    loose! {
        struct Inner { number: Option<i32> = "number" }
    }

    loose! {
        struct Sample<'a> {
            text: String = "text",
            list: Vec<Inner> = "list",
            raw: Option<&'a RawValue> = "raw",
            texts: Texts = "texts",
        }
    }

    #[test]
    fn reads_loosely() {
        let sample: Sample<'_> = serde_json::from_str(
            r#"{"TEXT":"a","list":[{"Number":5},null,{}],"more":{"x":1},"r\u0061w":{"a" : 1},"texts":{"a":"b","c":null}}"#,
        )
        .unwrap();
        assert_eq!(sample.text, "a");
        let numbers: Vec<_> = sample.list.iter().map(|inner| inner.number).collect();
        assert_eq!(numbers, [Some(5), None, None]);
        assert_eq!(compact(sample.raw), r#"{"a":1}"#);
        assert_eq!(sample.texts.0.len(), 2);
        assert_eq!(sample.texts.0["c"], "");
        let empty: Sample<'_> = serde_json::from_str(r#"{"text":null,"list":null,"raw":null,"texts":null}"#).unwrap();
        assert!(empty.text.is_empty() && empty.list.is_empty() && empty.raw.is_none() && empty.texts.0.is_empty());
        assert_eq!(compact(empty.raw), "null");
        assert!(serde_json::from_str::<Sample<'_>>("null").is_ok());
        for bad in ["[]", "5", r#"{"text":5}"#, r#"{"list":{}}"#, r#"{"texts":{"a":1}}"#] {
            assert!(serde_json::from_str::<Sample<'_>>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn compacts_only_between_parts() {
        for (raw, want) in [
            ("5", "5"),
            (r#" { "a b" : [ 1 , 2.50e3 ] } "#, r#"{"a b":[1,2.50e3]}"#),
            (r#""a \" b \\""#, r#""a \" b \\""#),
            ("[\n\t\"x\",\r\n 12345678901234567890]", r#"["x",12345678901234567890]"#),
        ] {
            let value: &RawValue = serde_json::from_str(raw).unwrap();
            assert_eq!(compact(Some(value)), want);
        }
    }
}
