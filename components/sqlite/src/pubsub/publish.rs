//! Writing messages.

use super::{bell::Bell, consumers, now_ms};
use crate::database::Error;
use bytes::Bytes;
use component::{ComponentError, Metadata};
use rusqlite::{Connection, OptionalExtension, params};

/// A message to write.
#[derive(Debug)]
pub(super) struct Outgoing {
    data: Bytes,
    content_type: Option<String>,
    /// A JSON object, or nothing.
    metadata: Option<String>,
    published_at: i64,
    expires_at: Option<i64>,
}

impl Outgoing {
    /// A message as it was given. A time to live that is no number is ignored, as the original does.
    pub(super) fn new(data: Bytes, content_type: Option<String>, metadata: &Metadata) -> Result<Self, ComponentError> {
        let published_at = now_ms();
        let ttl = super::options::named(metadata, "ttlInSeconds");
        let ttl: Option<i64> = ttl.and_then(|text| text.trim().parse().ok()).filter(|ttl| *ttl >= 0);
        let json = (!metadata.is_empty())
            .then(|| serde_json::to_string(metadata))
            .transpose();
        Ok(Self {
            data,
            content_type: content_type.filter(|name| !name.is_empty()),
            metadata: json.map_err(|error| ComponentError::permanent(error.to_string()))?,
            published_at,
            expires_at: ttl.map(|ttl| published_at.saturating_add(ttl.saturating_mul(1000))),
        })
    }
}

/// Writes messages of one topic, and wakes whoever waits for them.
///
/// It rings before the transaction is committed: who wakes must wait for the lock and then sees the messages. Were it the
/// other way round, a publisher that dies in between would leave messages that nobody is woken for.
pub(super) fn append(connection: &Connection, bell: &Bell, topic: &str, messages: &[Outgoing]) -> Result<(), Error> {
    let topic_id = topic_id(connection, topic)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO pubsub_messages (topic_id, published_at, expires_at, content_type, metadata, data)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for message in messages {
        insert.execute(params![
            topic_id,
            message.published_at,
            message.expires_at,
            message.content_type,
            message.metadata,
            &*message.data,
        ])?;
    }
    consumers::wake_topic(connection, bell, topic_id)
}

/// The number of a topic; it gets one if it has none.
pub(super) fn topic_id(connection: &Connection, topic: &str) -> Result<i64, Error> {
    let mut select = connection.prepare_cached("SELECT id FROM pubsub_topics WHERE name = ?1")?;
    if let Some(id) = select.query_row([topic], |row| row.get(0)).optional()? {
        return Ok(id);
    }
    connection
        .prepare_cached("INSERT INTO pubsub_topics (name) VALUES (?1)")?
        .execute([topic])?;
    Ok(connection.last_insert_rowid())
}
