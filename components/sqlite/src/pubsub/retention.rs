//! Removing messages: those that all groups are done with, that have expired, that are too old, or that nobody is there for.

use crate::database::Error;
use rusqlite::{Connection, OptionalExtension, params};

/// How many messages one transaction removes at most, since all others wait meanwhile.
const CHUNK: usize = 512;

/// Removes messages of a topic that all of its groups are done with. Those that a group is to get again stay.
pub(super) fn trim(connection: &Connection, topic: i64) -> Result<(), Error> {
    let bounds = connection
        .prepare_cached(
            "SELECT t.trimmed, (SELECT min(cursor) FROM pubsub_groups WHERE topic_id = ?1),
               (SELECT min(low) FROM pubsub_consumers WHERE topic_id = ?1)
             FROM pubsub_topics t WHERE t.id = ?1",
        )?
        .query_row([topic], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
    let Some((trimmed, Some(cursor), low)): Option<(i64, Option<i64>, Option<i64>)> = bounds.optional()? else {
        return Ok(());
    };
    let bound = low.map_or(cursor, |low| cursor.min(low - 1));
    if bound <= trimmed {
        return Ok(());
    }
    let chunk = i64::try_from(CHUNK).unwrap_or(i64::MAX);
    let last: Option<i64> = connection
        .prepare_cached(
            "SELECT max(seq) FROM (SELECT seq FROM pubsub_messages
               WHERE topic_id = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4)",
        )?
        .query_row([topic, trimmed, bound, chunk], |row| row.get(0))?;
    let last = last.unwrap_or(bound);
    connection
        .prepare_cached(
            "DELETE FROM pubsub_messages WHERE topic_id = ?1 AND seq > ?2 AND seq <= ?3
               AND NOT EXISTS (SELECT 1 FROM pubsub_retries r WHERE r.seq = pubsub_messages.seq)",
        )?
        .execute([topic, trimmed, last])?;
    connection
        .prepare_cached("UPDATE pubsub_topics SET trimmed = ?2 WHERE id = ?1")?
        .execute([topic, last])?;
    Ok(())
}

/// What is removed though no group is done with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Now.
    pub(super) now: i64,
    /// What was published before is too old.
    pub(super) oldest: i64,
    /// How many messages of a topic without groups stay.
    pub(super) unsubscribed: u32,
}

/// Removes some; answers whether there may be more.
pub(super) fn sweep(connection: &Connection, limits: Limits) -> Result<bool, Error> {
    let expired = connection
        .prepare_cached(&format!(
            "DELETE FROM pubsub_messages WHERE seq IN
               (SELECT seq FROM pubsub_messages WHERE expires_at <= ?1 ORDER BY expires_at LIMIT {CHUNK})"
        ))?
        .execute([limits.now])?;
    // Numbers grow with time, so that the oldest messages are those with the lowest numbers.
    let old = connection
        .prepare_cached(&format!(
            "DELETE FROM pubsub_messages WHERE published_at < ?1 AND seq IN
               (SELECT seq FROM pubsub_messages ORDER BY seq LIMIT {CHUNK})"
        ))?
        .execute([limits.oldest])?;
    if old > 0 {
        tracing::warn!("removed {old} messages that were older than the retention allows");
    }
    let mut unsubscribed = 0;
    for topic in topics_without_groups(connection)? {
        unsubscribed += connection
            .prepare_cached(&format!(
                "DELETE FROM pubsub_messages WHERE seq IN (SELECT seq FROM pubsub_messages
                   WHERE topic_id = ?1 AND seq <= (SELECT seq FROM pubsub_messages WHERE topic_id = ?1
                     ORDER BY seq DESC LIMIT 1 OFFSET ?2) ORDER BY seq LIMIT {CHUNK})"
            ))?
            .execute(params![topic, limits.unsubscribed])?;
    }
    Ok(expired >= CHUNK || old >= CHUNK || unsubscribed > 0)
}

fn topics_without_groups(connection: &Connection) -> Result<Vec<i64>, Error> {
    let mut select = connection.prepare_cached(
        "SELECT id FROM pubsub_topics t WHERE NOT EXISTS (SELECT 1 FROM pubsub_groups g WHERE g.topic_id = t.id)",
    )?;
    let topics = select.query_map([], |row| row.get(0))?;
    Ok(topics.collect::<Result<_, _>>()?)
}
