//! `pubsub.sqlite`: a durable log in a file that the sidecars of one machine share.
//!
//! - What is published is on disk when publishing returns; messages that are published at the same time share a sync.
//! - Each consumer group gets each message at least once. Sidecars of one group share the messages among them. A group
//!   that is new begins with what is published from then on, or with what is there (`initialOffset`).
//! - A message that is refused comes again, later each time, and does not hold up others. With `concurrency` 1 a sidecar
//!   delivers in the order of publishing, but for those.
//! - What a sidecar that dies had in work is delivered again, by others of its group within seconds. What it had finished
//!   within the last moment before, too.
//! - Sidecars wake each other through sockets beside the file; nobody polls while there is nothing to do.
//! - A message is removed when all groups of its topic are done with it, when it expires (`ttlInSeconds`), or when it is
//!   older than `retention`. Removed messages make room for new ones in the file; the file does not shrink.

mod bell;
mod consumer;
mod consumers;
mod core;
mod options;
mod poll;
mod publish;
mod ranges;
mod retention;
mod schema;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use options::{InitialOffset, Options};

use crate::database::{Access, Error, Gate, Settings, Worker, create_folder_of, migrate};
use bell::Bell;
use component::{
    Component, ComponentError, Metadata, Open, OpenError, async_trait,
    config::Value,
    pubsub::{
        BulkHandler, BulkOptions, BulkPublish, BulkPublisher, BulkSubscriber, FailedEntries, Feature, Handler, Publish,
        Subscribe, Subscription,
    },
};
use consumer::{Consumer, Subject, Target};
use core::Bounds;
use jiff::Timestamp;
use poll::{Poll, Polled};
use publish::Outgoing;
use rusqlite::Connection;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often, at most, publishing looks for messages that are too old.
const SWEEP: Duration = Duration::from_secs(60);

/// After how many pages the log is written back to the file: more than SQLite's own number, since most messages are gone
/// by then.
const CHECKPOINT_PAGES: u32 = 4000;

/// A durable log in a SQLite file.
pub struct PubSub {
    shared: Arc<Shared>,
    app_id: String,
    tasks: TaskTracker,
}

/// What subscriptions use, too.
struct Shared {
    options: Options,
    worker: Worker,
    bell: Bell,
    stop: CancellationToken,
    next_sweep: AtomicI64,
}

/// What is dropped without being closed leaves no task behind.
impl Drop for PubSub {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

impl Component for PubSub {
    const NAMES: &'static [&'static str] = &["sqlite"];
    const STATUS: component::Status = component::Status::Beta;
    const SUMMARY: &'static str = "A durable message log in a SQLite file that the sidecars of one machine share: consumer \
        groups, redelivery and expiry without a server.";
    type Options = Options;

    async fn open(options: Options, cx: Open) -> Result<Self, OpenError> {
        let settings = options.settings()?;
        let (path, table) = (
            settings.location.path().map(ToOwned::to_owned),
            options.metadata_table_name.clone(),
        );
        let opening = tokio::task::spawn_blocking(move || connect(&settings, &table));
        let (connection, gate) = opening.await.map_err(OpenError::failed)?.map_err(OpenError::failed)?;
        let shared = Shared {
            worker: Worker::spawn(connection, options.timeout, gate).map_err(OpenError::failed)?,
            bell: Bell::new(path.as_deref()).map_err(OpenError::failed)?,
            options,
            stop: CancellationToken::new(),
            next_sweep: AtomicI64::new(0),
        };
        let pubsub = Self {
            shared: Arc::new(shared),
            app_id: cx.app_id,
            tasks: TaskTracker::new(),
        };
        pubsub.sweep_now_and_then();
        Ok(pubsub)
    }
}

fn connect(settings: &Settings, metadata_table: &str) -> Result<(Connection, Option<Gate>), Error> {
    let problem = |what: &str, error: std::io::Error| {
        ComponentError::permanent(format!("{what} of {}: {error}", settings.location.uri()))
    };
    create_folder_of(&settings.location).map_err(|error| problem("creating the folder", error))?;
    let connection = settings.writer()?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    migrate(
        &connection,
        metadata_table,
        schema::MIGRATIONS_KEY,
        &schema::STEPS.map(str::to_owned),
    )?;
    let gate = settings.location.path().map(Gate::open).transpose();
    Ok((
        connection,
        gate.map_err(|error| problem("opening the lock files", error))?,
    ))
}

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

impl Shared {
    /// A poll always tells how it ended, however long it takes: a batch whose answer nobody waits for would be held by a
    /// consumer that does not know of it.
    fn poll(self: &Arc<Self>, poll: Poll) -> std::pin::Pin<Box<dyn Future<Output = Result<Polled, Error>> + Send>> {
        let shared = self.clone();
        Box::pin(async move {
            let asker = shared.clone();
            let work = move |connection: &Connection| poll.carry_out(connection, &asker.bell);
            shared.worker.call_patiently(Access::Relaxed, work).await
        })
    }

    /// When a message that was refused once more is due again; nothing if it is given up.
    fn redelivery(&self, seq: i64, attempts: u32) -> Option<(u32, i64)> {
        let attempts = attempts.saturating_add(1);
        if self.options.max_retries.is_some_and(|most| attempts > most) {
            tracing::warn!("message {seq} is given up after {attempts} deliveries");
            return None;
        }
        let delay = i64::try_from(self.options.delay(attempts).as_millis()).unwrap_or(i64::MAX);
        Some((attempts, now_ms().saturating_add(delay)))
    }
}

impl PubSub {
    async fn append(&self, topic: String, messages: Vec<Outgoing>) -> Result<(), ComponentError> {
        let shared = self.shared.clone();
        let work = move |connection: &Connection| publish::append(connection, &shared.bell, &topic, &messages);
        self.shared.worker.call(Access::Whole, work).await?;
        self.sweep_now_and_then();
        Ok(())
    }

    /// Removes what is too old or expired: those who publish see to it, so that nothing runs while nothing is published.
    fn sweep_now_and_then(&self) {
        let (now, next) = (now_ms(), self.shared.next_sweep.load(Ordering::Relaxed));
        let later = now + i64::try_from(SWEEP.as_millis()).unwrap_or(i64::MAX);
        let mine = now >= next
            && self
                .shared
                .next_sweep
                .compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if mine {
            let shared = self.shared.clone();
            self.tasks.spawn(async move { sweep(&shared).await });
        }
    }

    fn subject(
        &self,
        request: Subscribe,
        target: Target,
        bulk: Option<BulkOptions>,
    ) -> Result<Subject, ComponentError> {
        let options = &self.shared.options;
        let named = |name: &str| options::named(&request.metadata, name);
        let group = named("consumerID").unwrap_or(&options.consumer_id);
        let group = if group.is_empty() { &self.app_id } else { group };
        if group.is_empty() {
            return Err(ComponentError::permanent(
                "neither consumerID nor an app id names the consumer group",
            ));
        }
        let initial = named("initialOffset").map(InitialOffset::parse).transpose();
        let concurrency = named("concurrency").map(usize::parse).transpose();
        let wrong = |problem: String| ComponentError::permanent(format!("the subscription's metadata: {problem}"));
        let concurrency = concurrency.map_err(wrong)?.unwrap_or(options.concurrency).max(1);
        let unit = bulk.map_or((1, Duration::ZERO), |bulk| (bulk.max_messages.max(1), bulk.max_wait));
        let least = unit.0.max(concurrency);
        Ok(Subject {
            group: group.to_owned(),
            initial: initial.map_err(wrong)?.unwrap_or(options.initial_offset),
            bounds: Bounds {
                concurrency,
                window: (least, least.saturating_mul(2).max(options.queue_depth)),
                unit,
                lease: options.lease_duration,
            },
            topic: request.topic,
            target,
        })
    }

    async fn consume(&self, subject: Subject) -> Result<Subscription, ComponentError> {
        let consumer = Consumer::join(self.shared.clone(), subject).await?;
        let (tracked, stop) = (self.tasks.token(), self.shared.stop.clone());
        Ok(Subscription::spawn(|cancel| async move {
            let _tracked = tracked;
            consumer
                .run(async move {
                    tokio::select! {
                        () = cancel.cancelled() => {}
                        () = stop.cancelled() => {}
                    }
                })
                .await;
        }))
    }
}

async fn sweep(shared: &Shared) {
    let age = i64::try_from(shared.options.retention.as_millis()).unwrap_or(i64::MAX);
    let limits = retention::Limits {
        now: now_ms(),
        oldest: now_ms().saturating_sub(age),
        unsubscribed: shared.options.unsubscribed_limit,
    };
    loop {
        let work = move |connection: &Connection| retention::sweep(connection, limits);
        match shared.worker.call(Access::Relaxed, work).await {
            Ok(true) if !shared.stop.is_cancelled() => {}
            Ok(_) => return,
            Err(error) => return tracing::warn!("removing old messages: {error}"),
        }
    }
}

#[async_trait]
impl component::pubsub::PubSub for PubSub {
    fn features(&self) -> Vec<Feature> {
        vec![Feature::MessageTtl, Feature::BulkPublish]
    }

    async fn publish(&self, request: Publish) -> Result<(), ComponentError> {
        let message = Outgoing::new(request.data, request.content_type, &request.metadata)?;
        self.append(request.topic, vec![message]).await
    }

    async fn subscribe(&self, request: Subscribe, handler: Arc<dyn Handler>) -> Result<Subscription, ComponentError> {
        self.consume(self.subject(request, Target::Single(handler), None)?)
            .await
    }

    fn bulk_publish(&self) -> Option<&dyn BulkPublisher> {
        Some(self)
    }

    fn bulk_subscribe(&self) -> Option<&dyn BulkSubscriber> {
        Some(self)
    }

    async fn pause(&self) -> Result<(), ComponentError> {
        self.shared.stop.cancel();
        Ok(())
    }

    async fn ping(&self) -> Result<(), ComponentError> {
        let work = |connection: &Connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?);
        self.shared.worker.call(Access::Read, work).await.map_err(Into::into)
    }

    async fn close(&self) {
        self.shared.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.shared.worker.close().await;
    }
}

#[async_trait]
impl BulkPublisher for PubSub {
    /// All entries in one transaction: all are published, or none.
    async fn bulk_publish(&self, request: BulkPublish) -> Result<FailedEntries, ComponentError> {
        let whole = request.metadata;
        let messages = request.entries.into_iter().map(|entry| {
            let mut metadata: Metadata = whole.clone();
            metadata.extend(entry.metadata);
            Outgoing::new(entry.data, Some(entry.content_type), &metadata)
        });
        let messages = messages.collect::<Result<Vec<_>, _>>()?;
        if !messages.is_empty() {
            self.append(request.topic, messages).await?;
        }
        Ok(Vec::new())
    }
}

#[async_trait]
impl BulkSubscriber for PubSub {
    async fn bulk_subscribe(
        &self,
        request: Subscribe,
        options: BulkOptions,
        handler: Arc<dyn BulkHandler>,
    ) -> Result<Subscription, ComponentError> {
        self.consume(self.subject(request, Target::Bulk(handler), Some(options))?)
            .await
    }
}
