//! The one transaction of a consumer: it tells what has become of its messages, and takes new ones.

use super::{
    bell::Bell,
    consumers::{self, Identity},
    now_ms, retention,
};
use crate::database::Error;
use bytes::Bytes;
use component::Metadata;
use rusqlite::{CachedStatement, Connection, Params, Row, params};
use std::time::Duration;

/// While so many messages of a group wait for redelivery, it takes no fresh ones: the application is not well.
const MOST_RETRIES: i64 = 1000;

/// How many bytes a consumer takes at once, beyond the first message.
const MOST_BYTES: usize = 4 << 20;

/// A message that was delivered.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivery {
    pub(super) seq: i64,
    /// How often it has been refused.
    pub(super) attempts: u32,
    /// Whether it is among the retries; otherwise it is fresh.
    pub(super) is_retry: bool,
    pub(super) data: Bytes,
    pub(super) content_type: Option<String>,
    pub(super) metadata: Metadata,
}

/// A message that was refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failure {
    pub(super) seq: i64,
    pub(super) attempts: u32,
    pub(super) due_at: i64,
}

/// What a consumer tells and asks.
#[derive(Debug, Clone)]
pub(super) struct Poll {
    pub(super) me: Identity,
    /// The fresh messages that it still has, in order.
    pub(super) pending: Vec<i64>,
    /// How many retries it still has.
    pub(super) retries: usize,
    /// The retries that are done with.
    pub(super) settled: Vec<i64>,
    pub(super) failed: Vec<Failure>,
    /// How many messages it wants.
    pub(super) want: usize,
    /// Whether to look after the other consumers, which it does now and then, and whenever it finds no more messages.
    pub(super) inspect: bool,
    /// Whether to remove messages that all groups are done with.
    pub(super) trim: bool,
    pub(super) lease: Duration,
}

/// What it gets.
#[derive(Debug)]
pub(super) enum Polled {
    /// Others have taken over what it held.
    Superseded,
    /// It goes on.
    Batch {
        deliveries: Vec<Delivery>,
        /// There may be more at once; if not, it will be woken.
        more: bool,
        /// When the next redelivery is due.
        next_due: Option<i64>,
        /// Other consumers of the group hold messages.
        others_busy: bool,
    },
}

impl Poll {
    /// Carries it out, within a transaction.
    pub(super) fn carry_out(mut self, connection: &Connection, bell: &Bell) -> Result<Polled, Error> {
        if !self.is_known(connection)? {
            return Ok(Polled::Superseded);
        }
        self.record(connection)?;
        let (mut deliveries, mut more) = self.take(connection)?;
        let mut others_busy = false;
        if self.inspect || !more {
            others_busy = consumers::bury(connection, bell, self.me)?;
            if deliveries.is_empty() {
                (deliveries, more) = self.take(connection)?;
            }
        }
        let fresh = deliveries
            .iter()
            .filter(|delivery| !delivery.is_retry)
            .map(|delivery| delivery.seq);
        self.pending.extend(fresh);
        let held = self.pending.len() + self.retries + deliveries.iter().filter(|delivery| delivery.is_retry).count();
        let waiting = (self.want > 0).then_some(!more);
        consumers::note(connection, self.me, &self.pending, held, waiting, self.lease)?;
        if self.trim {
            retention::trim(connection, self.me.topic)?;
        }
        let (_, next_due) = self.retries_of_group(connection)?;
        Ok(Polled::Batch {
            deliveries,
            more,
            next_due,
            others_busy,
        })
    }

    fn is_known(&self, connection: &Connection) -> Result<bool, Error> {
        let mut select = connection.prepare_cached("SELECT 1 FROM pubsub_consumers WHERE id = ?1")?;
        Ok(select.exists([self.me.consumer])?)
    }

    /// Writes down what has become of messages.
    fn record(&self, connection: &Connection) -> Result<(), Error> {
        for seq in &self.settled {
            forget_retry(connection, self.me, *seq)?;
        }
        let mut upsert = connection.prepare_cached(
            "INSERT INTO pubsub_retries (group_id, seq, attempts, due_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (group_id, seq) DO UPDATE SET attempts = excluded.attempts, due_at = excluded.due_at,
               consumer_id = NULL",
        )?;
        for failure in &self.failed {
            upsert.execute(params![self.me.group, failure.seq, failure.attempts, failure.due_at])?;
        }
        Ok(())
    }

    /// Takes messages: first those that are due again, then fresh ones. The second value tells whether there may be more.
    fn take(&self, connection: &Connection) -> Result<(Vec<Delivery>, bool), Error> {
        let mut deliveries = Vec::new();
        if self.want == 0 {
            return Ok((deliveries, true));
        }
        let mut room = MOST_BYTES;
        let (waiting, next_due) = self.retries_of_group(connection)?;
        if next_due.is_some_and(|due| due <= now_ms()) {
            self.take_due(connection, &mut deliveries, &mut room)?;
        }
        if waiting >= MOST_RETRIES {
            return Ok((deliveries, false));
        }
        let more = deliveries.len() >= self.want || self.take_fresh(connection, &mut deliveries, &mut room)?;
        Ok((deliveries, more))
    }

    /// How many retries the group has, and when the next is due that nobody has.
    fn retries_of_group(&self, connection: &Connection) -> Result<(i64, Option<i64>), Error> {
        let mut select = connection.prepare_cached(
            "SELECT count(*), min(CASE WHEN consumer_id IS NULL THEN due_at END) FROM pubsub_retries WHERE group_id = ?1",
        )?;
        Ok(select.query_row([self.me.group], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    fn take_due(&self, connection: &Connection, into: &mut Vec<Delivery>, room: &mut usize) -> Result<(), Error> {
        let mut select = connection.prepare_cached(
            "SELECT r.seq, r.attempts, m.expires_at, m.content_type, m.metadata, m.data
             FROM pubsub_retries r LEFT JOIN pubsub_messages m ON m.seq = r.seq
             WHERE r.group_id = ?1 AND r.consumer_id IS NULL AND r.due_at <= ?2 ORDER BY r.seq LIMIT ?3",
        )?;
        let read = read(&mut select, params![self.me.group, now_ms(), limit(self.want)], room)?;
        for seq in read.lost {
            forget_retry(connection, self.me, seq)?;
        }
        let mut claim =
            connection.prepare_cached("UPDATE pubsub_retries SET consumer_id = ?3 WHERE group_id = ?1 AND seq = ?2")?;
        for delivery in read.taken {
            claim.execute(params![self.me.group, delivery.seq, self.me.consumer])?;
            into.push(Delivery {
                is_retry: true,
                ..delivery
            });
        }
        Ok(())
    }

    /// Answers whether there may be more.
    fn take_fresh(&self, connection: &Connection, into: &mut Vec<Delivery>, room: &mut usize) -> Result<bool, Error> {
        let mut select = connection.prepare_cached("SELECT cursor FROM pubsub_groups WHERE id = ?1")?;
        let cursor: i64 = select.query_row([self.me.group], |row| row.get(0))?;
        let mut select = connection.prepare_cached(
            "SELECT seq, 0, expires_at, content_type, metadata, data FROM pubsub_messages
             WHERE topic_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
        )?;
        let want = self.want.saturating_sub(into.len());
        let read = read(&mut select, params![self.me.topic, cursor, limit(want)], room)?;
        let more = read.full || read.taken.len() + read.lost.len() >= want;
        let last = read
            .taken
            .last()
            .map(|delivery| delivery.seq)
            .max(read.lost.last().copied());
        if let Some(last) = last {
            connection
                .prepare_cached("UPDATE pubsub_groups SET cursor = ?2 WHERE id = ?1")?
                .execute(params![self.me.group, last])?;
        }
        into.extend(read.taken);
        Ok(more)
    }
}

/// Removes a retry that is done with; its message, too, if it was kept for that alone.
fn forget_retry(connection: &Connection, me: Identity, seq: i64) -> Result<(), Error> {
    connection
        .prepare_cached("DELETE FROM pubsub_retries WHERE group_id = ?1 AND seq = ?2")?
        .execute([me.group, seq])?;
    connection
        .prepare_cached(
            "DELETE FROM pubsub_messages WHERE seq = ?1 AND seq <= (SELECT trimmed FROM pubsub_topics WHERE id = ?2)
               AND NOT EXISTS (SELECT 1 FROM pubsub_retries r WHERE r.seq = ?1)",
        )?
        .execute([seq, me.topic])?;
    Ok(())
}

/// What was read.
#[derive(Default)]
struct Read {
    taken: Vec<Delivery>,
    /// The numbers of those that are gone or have expired.
    lost: Vec<i64>,
    /// There was no more room.
    full: bool,
}

fn read(select: &mut CachedStatement<'_>, parameters: impl Params, room: &mut usize) -> Result<Read, Error> {
    let (mut read, now) = (Read::default(), now_ms());
    let mut rows = select.query(parameters)?;
    while let Some(row) = rows.next()? {
        let expires_at: Option<i64> = row.get(2)?;
        match delivery(row)? {
            Some(delivery) if expires_at.is_none_or(|time| time > now) => {
                let size = delivery.data.len();
                if size > *room && *room < MOST_BYTES {
                    read.full = true;
                    break;
                }
                *room = room.saturating_sub(size);
                read.taken.push(delivery);
            }
            _ => read.lost.push(row.get(0)?),
        }
    }
    Ok(read)
}

fn delivery(row: &Row<'_>) -> Result<Option<Delivery>, Error> {
    let Some(data) = row.get_ref(5)?.as_blob_or_null().map_err(rusqlite::Error::from)? else {
        return Ok(None);
    };
    let metadata = row.get_ref(4)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    Ok(Some(Delivery {
        seq: row.get(0)?,
        attempts: row.get(1)?,
        is_retry: false,
        data: Bytes::copy_from_slice(data),
        content_type: row.get(3)?,
        // What cannot be read is as good as nothing: the message itself matters.
        metadata: metadata
            .and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default(),
    }))
}

fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
