//! A part of the keys, behind one lock.

use super::like::Like;
use bytes::Bytes;
use component::Metadata;
use jiff::Timestamp;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// Maps below this capacity are not worth shrinking.
const SMALL: usize = 64;

/// When a value ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expiry {
    /// On the clock that never jumps.
    at: Instant,
    /// On the clock that people read.
    shown: Timestamp,
}

impl Expiry {
    /// The end of a time to live that begins now; nothing if it lies beyond what clocks can tell.
    pub(super) fn after(ttl: Duration) -> Option<Self> {
        Some(Self {
            at: Instant::now().checked_add(ttl)?,
            shown: Timestamp::now().checked_add(ttl).ok()?,
        })
    }

    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// What a read answers with a value that ends.
    pub(super) fn metadata(&self) -> Metadata {
        let text = self.shown.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Metadata::from([("ttlExpireTime".to_owned(), text)])
    }
}

/// What is stored under a key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) data: Bytes,
    /// The number of the write that made it.
    pub(super) written: u64,
    /// The number of the write that first made the key.
    first_written: u64,
    pub(super) expires: Option<Expiry>,
}

/// The keys of one lock, and the ends of those that have one.
#[derive(Debug, Default)]
pub(super) struct Shard {
    items: HashMap<Arc<str>, Entry>,
    ends: BTreeSet<(Instant, Arc<str>)>,
}

impl Shard {
    /// What is stored under the key and has not expired.
    pub(super) fn live(&mut self, key: &str, now: Instant) -> Option<&Entry> {
        let expired = |entry: &Entry| entry.expires.is_some_and(|expiry| expiry.at <= now);
        if self.items.get(key).is_some_and(expired) {
            self.remove(key);
        }
        self.items.get(key)
    }

    /// Stores a value under the write's number.
    pub(super) fn upsert(&mut self, key: String, data: Bytes, expires: Option<Expiry>, written: u64) {
        let (key, first_written) = match self.items.remove_entry(key.as_str()) {
            Some((key, old)) => {
                self.forget_end(&key, &old);
                (key, old.first_written)
            }
            None => (Arc::from(key), written),
        };
        if let Some(expiry) = expires {
            self.ends.insert((expiry.at, key.clone()));
        }
        let entry = Entry {
            data,
            written,
            first_written,
            expires,
        };
        self.items.insert(key, entry);
    }

    /// Removes a key, and gives back the room of many.
    pub(super) fn remove(&mut self, key: &str) {
        if let Some((key, old)) = self.items.remove_entry(key) {
            self.forget_end(&key, &old);
        }
        if self.items.capacity() > SMALL && self.items.len() < self.items.capacity() / 4 {
            self.items.shrink_to(self.items.len() * 2);
        }
    }

    fn forget_end(&mut self, key: &Arc<str>, entry: &Entry) {
        if let Some(expiry) = entry.expires {
            self.ends.remove(&(expiry.at, key.clone()));
        }
    }

    /// Removes what has expired; says when the next value does.
    pub(super) fn sweep(&mut self, now: Instant) -> Option<Instant> {
        while let Some((at, key)) = self.ends.first() {
            if *at > now {
                return Some(*at);
            }
            let key = key.clone();
            self.remove(&key);
        }
        None
    }

    /// Adds the keys first written after the given write that match the pattern.
    pub(super) fn list(&self, like: &Like, after: u64, now: Instant, found: &mut Vec<(u64, Arc<str>)>) {
        let matching = self.items.iter().filter(|(key, entry)| {
            entry.first_written > after && entry.expires.is_none_or(|expiry| expiry.at > now) && like.matches(key)
        });
        found.extend(matching.map(|(key, entry)| (entry.first_written, key.clone())));
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.items.len(), self.ends.len())
    }

    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.items.capacity()
    }
}
