//! The rows of consumers: coming, going, dying, sleeping.

use super::{
    bell::{Bell, Rung},
    now_ms,
    options::InitialOffset,
    publish::topic_id,
    ranges,
};
use crate::database::Error;
use rusqlite::{Connection, OptionalExtension, params};
use std::time::Duration;

/// Which rows are a consumer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) consumer: i64,
    pub(super) group: i64,
    pub(super) topic: i64,
}

/// Makes the row of a consumer, and that of its group if it is the first. What is published from now on is delivered.
pub(super) fn join(
    connection: &Connection,
    bell: &Bell,
    (topic, group): (&str, &str),
    socket: &str,
    initial: InitialOffset,
) -> Result<Identity, Error> {
    let topic = topic_id(connection, topic)?;
    let mut select = connection.prepare_cached("SELECT id FROM pubsub_groups WHERE topic_id = ?1 AND name = ?2")?;
    let group = match select.query_row(params![topic, group], |row| row.get(0)).optional()? {
        Some(id) => id,
        None => {
            let begin = match initial {
                InitialOffset::Latest => "SELECT coalesce(max(seq), 0) FROM pubsub_messages",
                InitialOffset::Oldest => "SELECT trimmed FROM pubsub_topics WHERE id = ?1",
            };
            let insert = format!("INSERT INTO pubsub_groups (topic_id, name, cursor) VALUES (?1, ?2, ({begin}))");
            connection.execute(&insert, params![topic, group])?;
            connection.last_insert_rowid()
        }
    };
    connection.execute(
        "INSERT INTO pubsub_consumers (group_id, topic_id, socket, lease_until) VALUES (?1, ?2, ?3, ?4)",
        params![group, topic, socket, now_ms()],
    )?;
    let consumer = connection.last_insert_rowid();
    let identity = Identity { consumer, group, topic };
    bury(connection, bell, identity)?;
    Ok(identity)
}

/// Removes the row of a consumer and hands back what it holds, as if it had never been delivered.
pub(super) fn leave(connection: &Connection, bell: &Bell, identity: Identity) -> Result<(), Error> {
    hand_back(connection, identity.consumer)?;
    wake_topic(connection, bell, identity.topic)
}

/// Does for the other consumers of the group that have died, or not been heard of for too long, what [`leave`] does.
/// Answers whether any of those that are left holds messages.
pub(super) fn bury(connection: &Connection, bell: &Bell, me: Identity) -> Result<bool, Error> {
    let mut select = connection.prepare_cached(
        "SELECT id, socket, held, lease_until FROM pubsub_consumers WHERE group_id = ?1 AND id <> ?2",
    )?;
    let others = select.query_map(params![me.group, me.consumer], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    let others: Vec<(i64, String, i64, i64)> = others.collect::<Result<_, _>>()?;
    let now = now_ms();
    let mut outstanding = false;
    for (id, socket, held, lease_until) in others {
        if bell.probe(&socket) == Rung::Dead {
            tracing::info!("a consumer has died and leaves {held} messages");
            hand_back(connection, id)?;
            bell.remove(&socket);
        } else if held > 0 && lease_until < now {
            tracing::warn!("a consumer gives no sign of life; others take its {held} messages");
            hand_back(connection, id)?;
        } else {
            outstanding |= held > 0;
        }
    }
    Ok(outstanding)
}

/// Wakes the consumers of a topic that sleep.
pub(super) fn wake_topic(connection: &Connection, bell: &Bell, topic: i64) -> Result<(), Error> {
    let mut select =
        connection.prepare_cached("SELECT id, socket FROM pubsub_consumers WHERE topic_id = ?1 AND waiting = 1")?;
    let sleepers = select.query_map([topic], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let sleepers: Vec<(i64, String)> = sleepers.collect::<Result<_, _>>()?;
    for (id, socket) in sleepers {
        if bell.ring(&socket) == Rung::Dead {
            hand_back(connection, id)?;
            bell.remove(&socket);
        } else {
            connection
                .prepare_cached("UPDATE pubsub_consumers SET waiting = 0 WHERE id = ?1")?
                .execute([id])?;
        }
    }
    Ok(())
}

/// Says that a consumer is alive, holds what it holds, and whether it waits to be woken, if that is known anew.
pub(super) fn note(
    connection: &Connection,
    me: Identity,
    pending: &[i64],
    held: usize,
    waiting: Option<bool>,
    lease: Duration,
) -> Result<(), Error> {
    let lease = i64::try_from(lease.as_millis()).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "UPDATE pubsub_consumers SET pending = ?2, low = ?3, held = ?4, waiting = coalesce(?5, waiting), lease_until = ?6 WHERE id = ?1",
        )?
        .execute(params![
            me.consumer,
            ranges::write(pending.iter().copied()),
            pending.first(),
            i64::try_from(held).unwrap_or(i64::MAX),
            waiting,
            now_ms().saturating_add(lease),
        ])?;
    Ok(())
}

/// Makes everything a consumer holds due again and removes its row.
fn hand_back(connection: &Connection, consumer: i64) -> Result<(), Error> {
    let mut select = connection.prepare_cached("SELECT group_id, pending FROM pubsub_consumers WHERE id = ?1")?;
    let row = select.query_row([consumer], |row| Ok((row.get(0)?, row.get(1)?)));
    let Some((group, pending)): Option<(i64, String)> = row.optional()? else {
        return Ok(());
    };
    let (pending, now) = (ranges::read(&pending), now_ms());
    let mut insert = connection.prepare_cached(
        "INSERT INTO pubsub_retries (group_id, seq, attempts, due_at) VALUES (?1, ?2, 0, ?3) ON CONFLICT DO NOTHING",
    )?;
    for seq in &pending {
        insert.execute(params![group, seq, now])?;
    }
    connection
        .prepare_cached(
            "UPDATE pubsub_retries SET consumer_id = NULL, due_at = ?3 WHERE group_id = ?1 AND consumer_id = ?2",
        )?
        .execute(params![group, consumer, now])?;
    connection
        .prepare_cached("DELETE FROM pubsub_consumers WHERE id = ?1")?
        .execute([consumer])?;
    Ok(())
}
