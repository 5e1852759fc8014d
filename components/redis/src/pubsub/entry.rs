//! Entries of a stream: their ids, and how a message is kept in one.
//!
//! The field `data` holds the message, the field `metadata`, if there, its metadata as a JSON object of texts.

use component::{Metadata, pubsub::Message};
use redis::{Cmd, ToRedisArgs, Value};
use std::{fmt, str::FromStr};

/// The id of an entry: when it came, and its number within that millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id {
    millis: u64,
    number: u64,
}

impl Id {
    #[cfg(test)]
    pub(super) fn new(millis: u64, number: u64) -> Self {
        Self { millis, number }
    }

    /// The least id above this one.
    pub(super) fn next(self) -> Self {
        match self.number.checked_add(1) {
            Some(number) => Self { number, ..self },
            None => Self {
                millis: self.millis.saturating_add(1),
                number: 0,
            },
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.millis, self.number)
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (millis, number) = text.split_once('-').ok_or(())?;
        Ok(Self {
            millis: millis.parse().map_err(|_| ())?,
            number: number.parse().map_err(|_| ())?,
        })
    }
}

impl ToRedisArgs for Id {
    fn write_redis_args<W: redis::RedisWrite + ?Sized>(&self, out: &mut W) {
        out.write_arg_fmt(self);
    }
}

/// An entry as it was read.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: Id,
    /// The message; nothing if the entry holds none.
    pub(super) message: Option<Message>,
}

/// Adds a message's fields to a command.
pub(super) fn write(command: &mut Cmd, data: &[u8], metadata: &Metadata) {
    command.arg("data").arg(data);
    if !metadata.is_empty() {
        command.arg("metadata").arg(serde_json::json!(metadata).to_string());
    }
}

/// The id in an answer.
pub(super) fn id(value: &Value) -> Option<Id> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        Value::SimpleString(text) => text.parse().ok(),
        _ => None,
    }
}

/// One entry of an answer; nothing if it is not one.
pub(super) fn read(topic: &str, value: Value) -> Option<Entry> {
    let Value::Array(parts) = value else {
        return None;
    };
    let mut parts = parts.into_iter();
    let id = id(&parts.next()?)?;
    let Some(Value::Array(fields)) = parts.next() else {
        return Some(Entry { id, message: None });
    };
    let mut message = Message {
        topic: topic.to_owned(),
        ..Message::default()
    };
    let mut found = false;
    let mut fields = fields.into_iter();
    while let (Some(Value::BulkString(name)), Some(Value::BulkString(value))) = (fields.next(), fields.next()) {
        match name.as_slice() {
            b"data" => {
                message.data = value.into();
                found = true;
            }
            b"metadata" => message.metadata = serde_json::from_slice(&value).unwrap_or_default(),
            _ => {}
        }
    }
    Some(Entry {
        id,
        message: found.then_some(message),
    })
}

/// The entries in the answer to a read of one stream.
pub(super) fn read_all(topic: &str, answer: Value) -> Vec<Entry> {
    let Value::Array(streams) = answer else {
        return Vec::new();
    };
    let entries = streams.into_iter().filter_map(|stream| match stream {
        Value::Array(mut parts) if parts.len() == 2 => match parts.pop() {
            Some(Value::Array(entries)) => Some(entries),
            _ => None,
        },
        _ => None,
    });
    entries.flatten().filter_map(|entry| read(topic, entry)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(id: &str, fields: &[&str]) -> Value {
        Value::Array(vec![
            text(id),
            Value::Array(fields.iter().map(|field| text(field)).collect()),
        ])
    }

    #[test]
    fn ids() {
        let id: Id = "1700000000000-7".parse().expect("an id");
        assert_eq!(id.next().to_string(), "1700000000000-8");
        assert_eq!(Id::new(1, u64::MAX).next(), Id::new(2, 0));
        assert!("17".parse::<Id>().is_err());
        assert!("a-b".parse::<Id>().is_err());
        assert!(Id::new(2, 0) > Id::new(1, 9));
    }

    #[test]
    fn entries() {
        let answer = Value::Array(vec![Value::Array(vec![
            text("topic"),
            Value::Array(vec![
                entry("1-0", &["data", "hello", "metadata", r#"{"a":"b"}"#]),
                entry("1-1", &["other", "x"]),
                entry("1-2", &["data", "", "metadata", "{"]),
                Value::Array(vec![text("1-3"), Value::Nil]),
                Value::Int(3),
            ]),
        ])]);
        let entries = read_all("topic", answer);
        assert_eq!(entries.len(), 4);
        let first = entries[0].message.as_ref().expect("a message");
        assert_eq!((first.topic.as_str(), first.data.as_ref()), ("topic", &b"hello"[..]));
        assert_eq!(first.metadata["a"], "b");
        assert!(entries[1].message.is_none());
        let empty = entries[2].message.as_ref().expect("a message");
        assert!(empty.data.is_empty() && empty.metadata.is_empty());
        assert!(entries[3].message.is_none());
        assert!(read_all("topic", Value::Nil).is_empty());
    }

    #[test]
    fn fields() {
        let mut command = redis::cmd("XADD");
        write(&mut command, b"hello", &Metadata::new());
        write(&mut command, b"hello", &[("a".to_owned(), "b\"".to_owned())].into());
        let packed = String::from_utf8(command.get_packed_command()).expect("text");
        let words: Vec<&str> = packed.split("\r\n").skip(1).filter(|w| !w.starts_with('$')).collect();
        assert_eq!(
            words,
            [
                "XADD",
                "data",
                "hello",
                "data",
                "hello",
                "metadata",
                r#"{"a":"b\""}"#,
                ""
            ]
        );
    }
}
