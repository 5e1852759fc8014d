//! Writing keys.

use super::{reads::TIME_FORMAT, table::Table};
use crate::database::Error;
use base64::{Engine, engine::general_purpose::STANDARD};
use component::{
    ComponentError, ErrorKind, Metadata,
    state::{Concurrency, Delete, Set, ttl_seconds},
};
use jiff::Timestamp;
use rusqlite::{Connection, params};
use serde::de::IgnoredAny;
use std::time::Duration;
use uuid::Uuid;

/// A write, checked and turned into what the table holds, before it takes up the thread that writes.
pub(super) enum Write {
    /// Writes a row.
    Set {
        key: String,
        value: String,
        is_binary: bool,
        expires: Option<String>,
        condition: Condition,
    },
    /// Removes a row.
    Delete { key: String, etag: Option<String> },
}

/// What must be so for a row to be written.
pub(super) enum Condition {
    /// Nothing.
    None,
    /// The key has no value yet.
    Absent,
    /// The value is the one with this entity tag.
    Matches(String),
}

impl Write {
    /// Checks a request to write a key.
    pub(super) fn set(request: Set) -> Result<Self, ComponentError> {
        request.options.check()?;
        if request.key.is_empty() {
            return Err(ComponentError::permanent("missing key in set operation"));
        }
        let expires = expiration(&request.metadata)?;
        let condition = match request.etag {
            Some(etag) if !etag.is_empty() => Condition::Matches(etag),
            _ if request.options.concurrency == Concurrency::FirstWrite => Condition::Absent,
            _ => Condition::None,
        };
        let (value, is_binary) = to_text(&request.value, request.content_type.as_deref());
        Ok(Self::Set {
            key: request.key,
            value,
            is_binary,
            expires,
            condition,
        })
    }

    /// Checks a request to delete a key.
    pub(super) fn delete(request: Delete) -> Result<Self, ComponentError> {
        request.options.check()?;
        if request.key.is_empty() {
            return Err(ComponentError::permanent("missing key in delete operation"));
        }
        Ok(Self::Delete {
            key: request.key,
            etag: request.etag.filter(|etag| !etag.is_empty()),
        })
    }

    /// Does it, with one statement. The row of a key stays the same row, and so keeps its place in listings.
    pub(super) fn carry_out(&self, table: &Table, connection: &Connection) -> Result<(), Error> {
        match self {
            Self::Set {
                key,
                value,
                is_binary,
                expires,
                condition,
            } => {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                let new_etag: &str = Uuid::new_v4().hyphenated().encode_lower(&mut text);
                let row = params![key, value, is_binary, new_etag, expires];
                let changed = match condition {
                    Condition::None => connection.prepare_cached(&table.upsert)?.execute(row)?,
                    Condition::Absent => connection.prepare_cached(&table.insert)?.execute(row)?,
                    Condition::Matches(etag) => connection
                        .prepare_cached(&table.update)?
                        .execute(params![key, value, is_binary, new_etag, expires, etag])?,
                };
                must_have_changed(changed)
            }
            Self::Delete { key, etag: Some(etag) } => {
                let mut statement = connection.prepare_cached(&table.delete_matching)?;
                must_have_changed(statement.execute([key, etag])?)
            }
            Self::Delete { key, etag: None } => {
                connection.prepare_cached(&table.delete)?.execute([key])?;
                Ok(())
            }
        }
    }
}

impl Table {
    /// Removes expired rows, unless another sidecar has done so within the interval.
    pub(super) fn clean(&self, connection: &Connection, interval: Duration) -> Result<usize, Error> {
        // A little less than the interval, so that one's own last turn does not hinder the next.
        let recent = i64::try_from(interval.as_millis())
            .unwrap_or(i64::MAX)
            .saturating_sub(100);
        if connection.prepare_cached(&self.claim_cleaning)?.execute([recent])? == 0 {
            return Ok(0);
        }
        Ok(connection.prepare_cached(&self.clean)?.execute([])?)
    }
}

/// What the table holds for a value: JSON as it is, all else in base64.
fn to_text(value: &[u8], content_type: Option<&str>) -> (String, bool) {
    let declared_json = content_type.is_none_or(|name| name.to_ascii_lowercase().contains("json"));
    // JSON as programs write it begins at once; that tells most binary values apart without reading on.
    let looks_like_json = matches!(
        value.first(),
        Some(b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
    );
    if declared_json
        && looks_like_json
        && let Ok(text) = std::str::from_utf8(value)
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
    {
        return (text.to_owned(), false);
    }
    (STANDARD.encode(value), true)
}

/// When a row expires, as SQLite writes times. No time to live, 0 and -1: never, also if one was set before.
fn expiration(metadata: &Metadata) -> Result<Option<String>, ComponentError> {
    match ttl_seconds(metadata)? {
        Some(seconds @ ..-1) => Err(ComponentError::permanent(format!(
            "error parsing TTL: incorrect value for metadata 'ttlInSeconds': must be -1 or greater, not {seconds}"
        ))),
        Some(seconds @ 1..) => {
            let now = Timestamp::now().as_second();
            let at = now
                .checked_add(seconds)
                .and_then(|second| Timestamp::from_second(second).ok());
            Ok(at.map(|time| time.strftime(TIME_FORMAT).to_string()))
        }
        _ => Ok(None),
    }
}

/// A conditional write that wrote nothing has met another entity tag.
fn must_have_changed(rows: usize) -> Result<(), Error> {
    if rows > 0 {
        return Ok(());
    }
    let text = "possible etag mismatch. error from state store";
    Err(ComponentError::new(ErrorKind::EtagMismatch, text).into())
}
