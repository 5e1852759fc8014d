//! Heads as they are read.

use super::Malformed;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

/// A field of a message.
enum Value {
    Number(u64),
    Bytes(Bytes),
    Other,
}

/// Reads the fields of a message one after the other.
struct Fields(Bytes);

impl Fields {
    fn varint(&mut self) -> Result<u64, Malformed> {
        let (value, length) = read_varint(&self.0)?.ok_or(Malformed)?;
        let _read = self.0.split_to(length);
        Ok(value)
    }

    fn take(&mut self, length: u64) -> Result<Bytes, Malformed> {
        match usize::try_from(length) {
            Ok(length) if length <= self.0.len() => Ok(self.0.split_to(length)),
            _ => Err(Malformed),
        }
    }

    fn next(&mut self) -> Result<Option<(u64, Value)>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let length = self.varint()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return Err(Malformed),
        };
        Ok(Some((key >> 3, value)))
    }
}

/// Reads a number; nothing if it is not whole yet.
pub(crate) fn read_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, Malformed> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    if bytes.len() >= 10 { Err(Malformed) } else { Ok(None) }
}

/// What was read of a call's head.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) metadata: HeaderMap,
    /// Whether there is a message at all.
    pub(crate) has_message: bool,
    pub(crate) method: String,
    pub(crate) content_type: Bytes,
    /// The data, if they came with the head.
    pub(crate) data: Bytes,
    pub(crate) type_url: String,
    /// HTTP's verb, if the caller said anything of HTTP.
    pub(crate) verb: Option<i32>,
    pub(crate) query: String,
}

/// What was read of an answer's head.
#[derive(Debug, Default)]
pub(crate) struct Response {
    pub(crate) code: i32,
    pub(crate) message: String,
    /// Details of the status, each an encoded `Any`.
    pub(crate) details: Vec<Bytes>,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: HeaderMap,
    pub(crate) content_type: Bytes,
    /// The data, if they came with the head.
    pub(crate) data: Bytes,
    pub(crate) type_url: String,
}

fn text(bytes: Bytes) -> Result<String, Malformed> {
    String::from_utf8(bytes.into()).map_err(|_| Malformed)
}

fn read_any(any: Bytes, data: &mut Bytes, type_url: &mut String) -> Result<(), Malformed> {
    let mut fields = Fields(any);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => *type_url = text(bytes)?,
            (2, Value::Bytes(bytes)) => *data = bytes,
            _ => {}
        }
    }
    Ok(())
}

impl Request {
    /// Reads `InternalInvokeRequest`.
    pub(crate) fn read(bytes: Bytes) -> Result<Self, Malformed> {
        let mut out = Self::default();
        let mut fields = Fields(bytes);
        while let Some(field) = fields.next()? {
            match field {
                (2, Value::Bytes(entry)) => read_entry(entry, &mut out.metadata)?,
                (3, Value::Bytes(message)) => {
                    out.has_message = true;
                    out.read_message(message)?;
                }
                _ => {}
            }
        }
        Ok(out)
    }

    fn read_message(&mut self, message: Bytes) -> Result<(), Malformed> {
        let mut fields = Fields(message);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(bytes)) => self.method = text(bytes)?,
                (2, Value::Bytes(any)) => read_any(any, &mut self.data, &mut self.type_url)?,
                (3, Value::Bytes(bytes)) => self.content_type = bytes,
                (4, Value::Bytes(extension)) => {
                    self.verb = Some(0);
                    let mut fields = Fields(extension);
                    while let Some(field) = fields.next()? {
                        match field {
                            (1, Value::Number(verb)) => self.verb = Some(verb as i32),
                            (2, Value::Bytes(bytes)) => self.query = text(bytes)?,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Response {
    /// Reads `InternalInvokeResponse`.
    pub(crate) fn read(bytes: Bytes) -> Result<Self, Malformed> {
        let mut out = Self::default();
        let mut fields = Fields(bytes);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Bytes(status)) => out.read_status(status)?,
                (2, Value::Bytes(entry)) => read_entry(entry, &mut out.headers)?,
                (3, Value::Bytes(entry)) => read_entry(entry, &mut out.trailers)?,
                (4, Value::Bytes(message)) => {
                    let mut fields = Fields(message);
                    while let Some(field) = fields.next()? {
                        match field {
                            (1, Value::Bytes(any)) => read_any(any, &mut out.data, &mut out.type_url)?,
                            (2, Value::Bytes(bytes)) => out.content_type = bytes,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(out)
    }

    fn read_status(&mut self, status: Bytes) -> Result<(), Malformed> {
        let mut fields = Fields(status);
        while let Some(field) = fields.next()? {
            match field {
                (1, Value::Number(code)) => self.code = code as i32,
                (2, Value::Bytes(bytes)) => self.message = text(bytes)?,
                (3, Value::Bytes(detail)) => self.details.push(detail),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads an entry of a map of headers. A name that HTTP does not allow is left out; one of HTTP/2's own gets a prefix.
fn read_entry(entry: Bytes, headers: &mut HeaderMap) -> Result<(), Malformed> {
    let (mut key, mut list) = (Bytes::new(), Bytes::new());
    let mut fields = Fields(entry);
    while let Some(field) = fields.next()? {
        match field {
            (1, Value::Bytes(bytes)) => key = bytes,
            (2, Value::Bytes(bytes)) => list = bytes,
            _ => {}
        }
    }
    let name = match key.strip_prefix(b":") {
        Some(own) => HeaderName::from_bytes(&[b"dapr-", own].concat()),
        None => HeaderName::from_bytes(&key),
    };
    let Ok(name) = name else { return Ok(()) };
    let mut values = Fields(list);
    while let Some(field) = values.next()? {
        if let (1, Value::Bytes(value)) = field
            && let Ok(value) = HeaderValue::from_maybe_shared(value)
        {
            headers.append(name.clone(), value);
        }
    }
    Ok(())
}
