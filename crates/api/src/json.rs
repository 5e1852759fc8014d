//! JSON of requests, as loosely as Go reads it.

use serde::Deserialize;

/// Reads one JSON value from the start of `bytes`; what follows it is not read. The error is in the words of Go's
/// `encoding/json` where clients know those.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<T>();
    match stream.next() {
        None => Err("EOF".into()),
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) if error.is_eof() => Err("unexpected EOF".into()),
        Some(Err(error)) => Err(error.to_string()),
    }
}
