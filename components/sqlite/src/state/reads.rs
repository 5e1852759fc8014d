//! Reading keys.

use super::table::Table;
use crate::database::Error;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use component::{
    ComponentError, Metadata,
    state::{BulkItem, Item},
};
use jiff::Timestamp;
use rusqlite::{CachedStatement, Connection, params, types::ValueRef};

/// How SQLite writes a time.
pub(super) const TIME_FORMAT: &str = "%Y-%m-%d %H:%M:%S";

impl Table {
    /// Reads one key.
    pub(super) fn get(&self, connection: &Connection, key: &str) -> Result<Option<Item>, Error> {
        get_with(&mut connection.prepare_cached(&self.get)?, key)
    }

    /// Reads keys as they all were at one moment.
    pub(super) fn get_all(&self, connection: &Connection, keys: &[String]) -> Result<Vec<BulkItem>, Error> {
        // Without a transaction around it, each read would see a moment of its own.
        let transaction = connection.is_autocommit().then(|| connection.unchecked_transaction());
        let transaction = transaction.transpose()?;
        let mut statement = connection.prepare_cached(&self.get)?;
        let mut items = Vec::with_capacity(keys.len());
        for key in keys {
            let result = match get_with(&mut statement, key) {
                Err(error) if error.is_transient() => return Err(error),
                result => result.map_err(ComponentError::from),
            };
            let key = key.clone();
            items.push(BulkItem { key, result });
        }
        drop(transaction);
        Ok(items)
    }

    /// A page of keys, in the order in which their rows were made.
    pub(super) fn keys_like(
        &self,
        connection: &Connection,
        pattern: &str,
        limit: Option<u32>,
        after: i64,
    ) -> Result<(Vec<String>, Option<String>), Error> {
        let mut statement = connection.prepare_cached(&self.keys_like)?;
        // One more than asked for tells whether there is another page.
        let rows = limit.map_or(-1, |limit| i64::from(limit) + 1);
        let mut rows = statement.query(params![pattern, after, rows])?;
        let (mut keys, mut last) = (Vec::new(), None);
        while let Some(row) = rows.next()? {
            if limit.is_some_and(|limit| keys.len() >= limit as usize) {
                return Ok((keys, Some(last.unwrap_or(after).to_string())));
            }
            keys.push(row.get(0)?);
            last = Some(row.get::<_, i64>(1)?);
        }
        Ok((keys, None))
    }
}

fn get_with(statement: &mut CachedStatement<'_>, key: &str) -> Result<Option<Item>, Error> {
    let mut rows = statement.query([key])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let mut metadata = Metadata::new();
    match row.get_ref(3)? {
        ValueRef::Null => {}
        ValueRef::Text(time) => {
            let time = String::from_utf8_lossy(time);
            if is_past(&time) {
                return Ok(None);
            }
            metadata.insert("ttlExpireTime".into(), rfc3339(&time));
        }
        // For SQLite any number is before any text, and so before now.
        _ => return Ok(None),
    }
    let value = match row.get_ref(0)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        _ => return Err(damaged(key, "its value is not text")),
    };
    let data = if row.get(1)? {
        STANDARD.decode(value).map_err(|error| damaged(key, error))?.into()
    } else {
        Bytes::copy_from_slice(value)
    };
    Ok(Some(Item {
        data,
        etag: row.get(2)?,
        metadata,
        content_type: None,
    }))
}

/// Whether a time that SQLite wrote is not after the present second; times of this form have the order of their texts.
fn is_past(time: &str) -> bool {
    *time <= *Timestamp::now().strftime(TIME_FORMAT).to_string()
}

/// `2026-01-02 03:04:05` becomes `2026-01-02T03:04:05Z`.
fn rfc3339(time: &str) -> String {
    match time.split_once(' ') {
        Some((date, clock)) if !clock.contains(['Z', '+', ' ']) => format!("{date}T{clock}Z"),
        _ => time.to_owned(),
    }
}

fn damaged(key: &str, problem: impl std::fmt::Display) -> Error {
    Error::Refused(ComponentError::permanent(format!(
        "the row of key {key:?} is damaged: {problem}"
    )))
}
