//! `state.in-memory`: a key-value store in the memory of the sidecar.

use bytes::Bytes;
use component::{
    Component, ComponentError, Metadata, Open, OpenError, async_trait,
    state::{
        BulkItem, Concurrency, Delete, Feature, Get, Item, KeysLike, Operation, Options, Set, StateStore, Transactions,
        ttl_seconds,
    },
};
use parking_lot::{Mutex, MutexGuard};
use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::{Uuid, fmt::Hyphenated};

mod like;
mod shard;
#[cfg(test)]
mod tests;

use like::Like;
use shard::{Expiry, Shard};

/// How many locks the keys are spread over.
const SHARDS: usize = 32;

/// What has expired is hidden at once, and freed at most this often.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// A key-value store in the memory of the sidecar: gone when it ends, and seen by no other.
pub struct State {
    table: Arc<Table>,
    cancel: CancellationToken,
    janitor: Mutex<Option<JoinHandle<()>>>,
}

impl Component for State {
    const NAMES: &'static [&'static str] = &["in-memory"];
    const SUMMARY: &'static str =
        "Keeps state in the memory of the sidecar, for tests and development: it is gone when the sidecar ends.";
    type Options = ();

    async fn open((): (), _: Open) -> Result<Self, OpenError> {
        let table = Arc::new(Table::new());
        let cancel = CancellationToken::new();
        let work = cancel.clone().run_until_cancelled_owned(free_expired(table.clone()));
        let janitor = tokio::spawn(async move {
            let _cancelled = work.await;
        });
        Ok(Self {
            table,
            cancel,
            janitor: Mutex::new(Some(janitor)),
        })
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// All keys, and what is one for all of them.
struct Table {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// The half of each entity tag that tells this store from one before it.
    life: u64,
    /// Numbers the writes: the other half of an entity tag, and the order in which keys were first written.
    writes: AtomicU64,
    /// When the janitor looks again, in milliseconds since `born`.
    next_look: AtomicU64,
    born: Instant,
    /// Wakes the janitor before that.
    sooner: Notify,
}

/// A write that has been understood.
struct Change {
    shard: usize,
    key: String,
    etag: Option<String>,
    options: Options,
    /// The value and its end; nothing deletes the key.
    to: Option<(Bytes, Option<Expiry>)>,
}

impl Table {
    fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            life: Uuid::new_v4().as_u64_pair().0,
            writes: AtomicU64::new(1),
            next_look: AtomicU64::new(u64::MAX),
            born: Instant::now(),
            sooner: Notify::new(),
        }
    }

    fn shard_of(&self, key: &str) -> usize {
        usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or_default()
    }

    fn etag(&self, written: u64) -> Hyphenated {
        Uuid::from_u64_pair(self.life, written).hyphenated()
    }

    fn get(&self, key: &str) -> Option<Item> {
        let (data, written, expires) = {
            let mut shard = self.shards[self.shard_of(key)].lock();
            let entry = shard.live(key, Instant::now())?;
            (entry.data.clone(), entry.written, entry.expires)
        };
        Some(Item {
            data,
            etag: Some(self.etag(written).to_string()),
            metadata: expires.map(|expiry| expiry.metadata()).unwrap_or_default(),
            content_type: None,
        })
    }

    fn upserts(&self, set: Set) -> Result<Change, ComponentError> {
        set.options.check()?;
        // A copy, since the value may be a small part of a large request that would be held as long.
        let value = Bytes::copy_from_slice(&set.value);
        Ok(Change {
            shard: self.shard_of(&set.key),
            key: set.key,
            etag: set.etag,
            options: set.options,
            to: Some((value, expiry(&set.metadata)?)),
        })
    }

    fn deletes(&self, delete: Delete) -> Result<Change, ComponentError> {
        delete.options.check()?;
        Ok(Change {
            shard: self.shard_of(&delete.key),
            key: delete.key,
            etag: delete.etag,
            options: delete.options,
            to: None,
        })
    }

    /// Refuses a write whose entity tag is not the current one. A tag counts whatever the concurrency asked for.
    fn check(&self, shard: &mut Shard, change: &Change) -> Result<(), ComponentError> {
        let current = shard.live(&change.key, Instant::now()).map(|entry| entry.written);
        let given = change.etag.as_deref().filter(|etag| !etag.is_empty());
        let key = &change.key;
        match (given, current.map(|written| self.etag(written))) {
            (None, Some(_)) if change.options.concurrency == Concurrency::FirstWrite => Err(
                ComponentError::etag_mismatch("item already exists and no etag was passed"),
            ),
            (None, _) => Ok(()),
            (Some(_), None) => Err(ComponentError::etag_mismatch(format_args!(
                "state not exist or expired for key={key}"
            ))),
            (Some(given), Some(current)) if given == current.encode_lower(&mut [0; Hyphenated::LENGTH]) => Ok(()),
            (Some(given), Some(current)) => Err(ComponentError::etag_mismatch(format_args!(
                "state etag not match for key={key}: current={current}, expect={given}"
            ))),
        }
    }

    fn apply(&self, shard: &mut Shard, change: Change) {
        let Some((value, expires)) = change.to else {
            return shard.remove(&change.key);
        };
        let written = self.writes.fetch_add(1, Ordering::Relaxed);
        shard.upsert(change.key, value, expires, written);
        if expires.is_some_and(|expiry| self.since_birth(expiry.at()) < self.next_look.load(Ordering::SeqCst)) {
            self.sooner.notify_one();
        }
    }

    /// One change alone.
    fn change(&self, change: Change) -> Result<(), ComponentError> {
        let mut shard = self.shards[change.shard].lock();
        self.check(&mut shard, &change)?;
        self.apply(&mut shard, change);
        Ok(())
    }

    /// All changes under the locks of all their keys, which are taken in one order: first all checks, then all changes.
    fn change_all(&self, mut changes: Vec<Change>) -> Result<(), ComponentError> {
        let mut order: Vec<usize> = changes.iter().map(|change| change.shard).collect();
        order.sort_unstable();
        order.dedup();
        let mut locked: Vec<MutexGuard<'_, Shard>> = order.iter().map(|shard| self.shards[*shard].lock()).collect();
        for change in &mut changes {
            change.shard = order.partition_point(|shard| *shard < change.shard);
            self.check(&mut locked[change.shard], change)?;
        }
        for change in changes {
            self.apply(&mut locked[change.shard], change);
        }
        Ok(())
    }

    fn since_birth(&self, instant: Instant) -> u64 {
        u64::try_from(instant.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }

    /// Frees what has expired; says when the next value does.
    fn sweep(&self) -> Option<Instant> {
        // Whoever writes from here on wakes the janitor, so that nothing slips in between the look and the sleep.
        self.next_look.store(u64::MAX, Ordering::SeqCst);
        let now = Instant::now();
        let next = self.shards.iter().filter_map(|shard| shard.lock().sweep(now)).min();
        if let Some(next) = next {
            self.next_look.store(self.since_birth(next), Ordering::SeqCst);
        }
        next
    }

    fn list(&self, like: &Like, after: u64, limit: usize) -> (Vec<String>, Option<u64>) {
        let now = Instant::now();
        let mut found = Vec::new();
        for shard in &self.shards {
            shard.lock().list(like, after, now, &mut found);
        }
        found.sort_unstable();
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(written, _)| *written);
        (
            found.into_iter().map(|(_, key)| key.as_ref().to_owned()).collect(),
            next,
        )
    }
}

/// When a value that is written now ends. A time to live of zero or less is none.
fn expiry(metadata: &Metadata) -> Result<Option<Expiry>, ComponentError> {
    let seconds = ttl_seconds(metadata)?.and_then(|seconds| u64::try_from(seconds).ok());
    Ok(seconds
        .filter(|seconds| *seconds > 0)
        .and_then(|seconds| Expiry::after(Duration::from_secs(seconds))))
}

/// The janitor: sleeps until something expires, for ever if nothing does.
async fn free_expired(table: Arc<Table>) {
    loop {
        let next = table.sweep();
        tokio::select! {
            () = table.sooner.notified() => {}
            () = async { match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            } } => {}
        }
        sleep(SWEEP_PAUSE).await;
    }
}

#[async_trait]
impl StateStore for State {
    fn features(&self) -> Vec<Feature> {
        vec![
            Feature::Etag,
            Feature::Transactional,
            Feature::Ttl,
            Feature::DeleteWithPrefix,
            Feature::KeysLike,
        ]
    }

    async fn get(&self, request: Get) -> Result<Option<Item>, ComponentError> {
        Ok(self.table.get(&request.key))
    }

    async fn set(&self, request: Set) -> Result<(), ComponentError> {
        self.table.change(self.table.upserts(request)?)
    }

    async fn delete(&self, request: Delete) -> Result<(), ComponentError> {
        self.table.change(self.table.deletes(request)?)
    }

    async fn bulk_get(&self, requests: Vec<Get>, _: usize) -> Result<Vec<BulkItem>, ComponentError> {
        let read = |request: Get| BulkItem {
            result: Ok(self.table.get(&request.key)),
            key: request.key,
        };
        Ok(requests.into_iter().map(read).collect())
    }

    fn transactions(&self) -> Option<&dyn Transactions> {
        Some(self)
    }

    fn keys_like(&self) -> Option<&dyn KeysLike> {
        Some(self)
    }

    async fn close(&self) {
        self.cancel.cancel();
        let janitor = self.janitor.lock().take();
        if let Some(janitor) = janitor {
            let _ended = janitor.await;
        }
        for shard in &self.table.shards {
            shard.lock().clear();
        }
    }
}

#[async_trait]
impl Transactions for State {
    async fn execute(&self, operations: Vec<Operation>, _: Metadata) -> Result<(), ComponentError> {
        let understood = operations.into_iter().map(|operation| match operation {
            Operation::Upsert(set) => self.table.upserts(set),
            Operation::Delete(delete) => self.table.deletes(delete),
        });
        self.table.change_all(understood.collect::<Result<_, _>>()?)
    }
}

#[async_trait]
impl KeysLike for State {
    async fn keys_like(
        &self,
        pattern: &str,
        limit: Option<u32>,
        token: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), ComponentError> {
        let after = match token.filter(|token| !token.is_empty()) {
            Some(token) => token
                .parse()
                .map_err(|_| ComponentError::permanent(format!("invalid continuation token: {token:?}")))?,
            None => 0,
        };
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let (keys, next) = self.table.list(&Like::new(pattern), after, limit);
        Ok((keys, next.map(|next| next.to_string())))
    }
}
