//! A subscription: it takes batches out of the database, hands them to a handler, and writes down what became of them.

use super::{
    Shared,
    bell::Ear,
    consumers,
    core::{Bounds, Core, Outcome},
    now_ms,
    options::InitialOffset,
    poll::{Delivery, Polled},
};
use crate::database::{Access, Error};
use component::{
    ComponentError,
    pubsub::{BulkEntry, BulkHandler, BulkMessage, Handler, Message},
};
use futures_util::FutureExt;
use std::{
    collections::HashSet,
    future::pending,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// Whom messages are handed to.
#[derive(Clone)]
pub(super) enum Target {
    /// One by one.
    Single(Arc<dyn Handler>),
    /// Several at once.
    Bulk(Arc<dyn BulkHandler>),
}

/// What is subscribed to, and how.
#[derive(Clone)]
pub(super) struct Subject {
    pub(super) topic: String,
    pub(super) group: String,
    pub(super) initial: InitialOffset,
    pub(super) bounds: Bounds,
    pub(super) target: Target,
}

/// A running subscription.
pub(super) struct Consumer {
    shared: Arc<Shared>,
    subject: Subject,
    ear: Ear,
    core: Core,
    /// How often others took over what this one held: what was handed over before does not count any more.
    generation: u32,
    calls: JoinSet<(u32, Vec<Outcome>)>,
}

type Polling = Pin<Box<dyn Future<Output = Result<Polled, Error>> + Send>>;

impl Consumer {
    /// Joins the group. From now on, what is published is kept for it.
    pub(super) async fn join(shared: Arc<Shared>, subject: Subject) -> Result<Self, ComponentError> {
        let (ear, core) = join(&shared, &subject).await?;
        Ok(Self {
            shared,
            subject,
            ear,
            core,
            generation: 0,
            calls: JoinSet::new(),
        })
    }

    /// Works until `stop` is done and nothing is in flight any more.
    pub(super) async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut polling: Option<Polling> = None;
        loop {
            self.begin_calls();
            if polling.is_none()
                && let Some(poll) = self.core.poll(Instant::now())
            {
                polling = Some(self.shared.poll(poll));
            }
            if self.core.has_stopped() && self.calls.is_empty() {
                break;
            }
            let deadline = self.core.deadline();
            let stopping = self.core.is_stopping();
            tokio::select! {
                result = answered(&mut polling) => {
                    polling = None;
                    self.polled(result).await;
                }
                Some(ended) = self.calls.join_next() => {
                    self.ended(ended);
                    while let Some(ended) = self.calls.try_join_next() {
                        self.ended(ended);
                    }
                }
                () = self.ear.heard(), if !stopping => self.core.ring(),
                () = passed(deadline) => {}
                () = &mut stop, if !stopping => self.core.stop(Instant::now(), now_ms()),
            }
        }
        self.leave().await;
    }

    fn begin_calls(&mut self) {
        while let Some(batch) = self.core.begin(Instant::now()) {
            let (target, topic) = (self.subject.target.clone(), self.subject.topic.clone());
            let (shared, generation) = (self.shared.clone(), self.generation);
            self.calls
                .spawn(async move { (generation, deliver(&shared, &target, topic, batch).await) });
        }
    }

    fn ended(&mut self, ended: Result<(u32, Vec<Outcome>), tokio::task::JoinError>) {
        match ended {
            Ok((generation, outcomes)) if generation == self.generation => self.core.end(&outcomes, Instant::now()),
            Ok(_) => {}
            Err(error) => tracing::error!("a delivery of pubsub.sqlite was lost: {error}"),
        }
    }

    async fn polled(&mut self, result: Result<Polled, Error>) {
        let now = Instant::now();
        match result {
            Ok(Polled::Batch {
                deliveries,
                more,
                next_due,
                others_busy,
            }) => {
                let due = next_due.map(|due| {
                    let wait = u64::try_from(due - now_ms()).unwrap_or(0);
                    now + Duration::from_millis(wait)
                });
                let look_at = due
                    .into_iter()
                    .chain(others_busy.then(|| now + super::core::INSPECTION))
                    .min();
                self.core.fill(deliveries, more, look_at, now);
            }
            Ok(Polled::Superseded) if self.core.is_stopping() => self.core.abandon(),
            Ok(Polled::Superseded) => match join(&self.shared, &self.subject).await {
                Ok((ear, core)) => {
                    tracing::warn!("others have taken over the messages of {}", self.subject.topic);
                    self.generation += 1;
                    (self.ear, self.core) = (ear, core);
                }
                Err(error) => self.failed(&error),
            },
            Err(error) => self.failed(&error.into()),
        }
    }

    fn failed(&mut self, error: &ComponentError) {
        tracing::warn!("polling topic {}: {error}", self.subject.topic);
        if self.core.is_stopping() && !error.is_transient() {
            self.core.abandon();
        } else {
            self.core.fail(Instant::now());
        }
    }

    /// Writes down the last outcomes and hands back the rest.
    async fn leave(mut self) {
        let (shared, me) = (self.shared.clone(), self.core.identity());
        let last = self.core.report(0, Instant::now());
        let left = self.shared.worker.call_patiently(Access::Relaxed, move |connection| {
            last.carry_out(connection, &shared.bell)?;
            consumers::leave(connection, &shared.bell, me)
        });
        if let Err(error) = left.await {
            tracing::warn!("leaving topic {}: {error}", self.subject.topic);
        }
    }
}

async fn join(shared: &Arc<Shared>, subject: &Subject) -> Result<(Ear, Core), ComponentError> {
    let ear = shared
        .bell
        .listen()
        .map_err(|error| ComponentError::transient(format!("opening a socket to be woken by: {error}")))?;
    let (name, asker, subscribed) = (ear.name.clone(), shared.clone(), subject.clone());
    let joined = shared.worker.call_patiently(Access::Whole, move |connection| {
        let names = (subscribed.topic.as_str(), subscribed.group.as_str());
        consumers::join(connection, &asker.bell, names, &name, subscribed.initial)
    });
    let me = joined.await?;
    Ok((ear, Core::new(me, subject.bounds, Instant::now())))
}

async fn answered(polling: &mut Option<Polling>) -> Result<Polled, Error> {
    match polling {
        Some(polling) => polling.await,
        None => pending().await,
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => pending().await,
    }
}

/// Hands messages over. A handler that panics has refused them.
async fn deliver(shared: &Shared, target: &Target, topic: String, batch: Vec<Delivery>) -> Vec<Outcome> {
    let known: Vec<(i64, u32, bool)> = batch.iter().map(|d| (d.seq, d.attempts, d.is_retry)).collect();
    let call = AssertUnwindSafe(hand_over(target, topic, batch)).catch_unwind();
    let refused = call.await.unwrap_or_else(|_| {
        tracing::error!("the handler of a subscription panicked");
        known.iter().map(|(seq, ..)| *seq).collect()
    });
    let outcomes = known.into_iter().map(|(seq, attempts, is_retry)| Outcome {
        seq,
        is_retry,
        refused: refused
            .contains(&seq)
            .then(|| shared.redelivery(seq, attempts))
            .flatten(),
    });
    outcomes.collect()
}

/// Answers which messages were refused.
async fn hand_over(target: &Target, topic: String, batch: Vec<Delivery>) -> HashSet<i64> {
    match target {
        Target::Single(handler) => {
            let mut refused = HashSet::new();
            for delivery in batch {
                let message = Message {
                    topic: topic.clone(),
                    data: delivery.data,
                    content_type: delivery.content_type,
                    metadata: delivery.metadata,
                };
                if let Err(error) = handler.handle(message).await {
                    tracing::debug!("a message of topic {topic} was refused: {error}");
                    refused.insert(delivery.seq);
                }
            }
            refused
        }
        Target::Bulk(handler) => {
            let entries = batch.into_iter().map(|delivery| BulkEntry {
                entry_id: delivery.seq.to_string(),
                data: delivery.data,
                content_type: delivery.content_type.unwrap_or_default(),
                metadata: delivery.metadata,
            });
            let bulk = BulkMessage {
                topic,
                entries: entries.collect(),
                ..BulkMessage::default()
            };
            let failed = handler.handle(bulk).await;
            failed.into_iter().filter_map(|(id, _)| id.parse().ok()).collect()
        }
    }
}
