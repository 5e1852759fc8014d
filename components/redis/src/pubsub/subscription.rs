//! A running subscription: one task that reads, hands out, acknowledges and tries again.
//!
//! A message is acknowledged when its handler has succeeded. Until then it is pending in Redis, where any sidecar of the
//! application takes it over once nobody has touched it for the processing time-out.

use super::{
    entry::{Entry, Id},
    ledger::{Fetch, Fetched, Ledger, Limits},
    stream::{Blocked, Blocking, Reader, Stream},
};
use component::pubsub::{Handler, Message};
use futures_util::{FutureExt, future::BoxFuture};
use redis::RedisResult;
use std::{
    future::{Future, pending},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// How many acknowledgements are gathered at most, and for how long.
const ACKS_AT_ONCE: usize = 100;
const ACKS_GATHERED: Duration = Duration::from_millis(5);
/// How long to leave Redis alone after a command failed.
const PAUSE: Duration = Duration::from_millis(250);
/// How old a message in our hands is at least before Redis is told of it again.
const LEAST_AGE: Duration = Duration::from_millis(20);
/// How long a subscription that closes tries to reach Redis, at most.
const FAREWELL: Duration = Duration::from_secs(6);

/// When pending messages are taken over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Redelivery {
    /// How often to look for them; also the longest pause before a message of ours that failed is tried again.
    pub(super) interval: Duration,
    /// For how long nobody must have touched them.
    pub(super) timeout: Duration,
}

/// How a subscription is run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) depth: usize,
    pub(super) concurrency: usize,
    /// Nothing if pending messages are left alone.
    pub(super) redelivery: Option<Redelivery>,
}

/// What a command in the background brought.
enum Chore {
    Touched(Vec<Id>, RedisResult<()>),
    Fetched(Vec<Fetch>, RedisResult<Vec<(Id, Fetched)>>),
    /// What a sweep found, and whether there is more.
    Swept(RedisResult<(Vec<(Id, Fetched)>, bool)>),
}

enum Event {
    Cancelled,
    Handled(Result<(Id, bool), JoinError>),
    Read(Box<Reader>, RedisResult<Vec<Entry>>),
    Acknowledged(Vec<Id>, RedisResult<()>),
    Chore(Chore),
    Woke,
}

/// A command in the background; at most one of a kind is under way.
type Slot<T> = Option<BoxFuture<'static, T>>;

pub(super) struct Work {
    stream: Stream,
    handler: Arc<dyn Handler>,
    settings: Settings,
    ledger: Ledger,
    workers: JoinSet<(Id, bool)>,
    reader: Option<Reader>,
    blocked: Arc<Blocked>,
    reading: Slot<(Reader, RedisResult<Vec<Entry>>)>,
    acknowledging: Slot<(Vec<Id>, RedisResult<()>)>,
    chore: Slot<Chore>,
    /// When gathered acknowledgements are sent.
    ack_at: Instant,
    sweep_at: Instant,
    touch_at: Instant,
    /// Before this no chore is begun.
    chores_after: Instant,
    stopping: bool,
    /// When a subscription that closes gives up on Redis.
    give_up_at: Option<Instant>,
}

impl Work {
    pub(super) fn new(stream: Stream, handler: Arc<dyn Handler>, settings: Settings) -> Self {
        let now = Instant::now();
        let reader = Reader::new(stream.clone());
        Self {
            blocked: reader.blocked(),
            reader: Some(reader),
            stream,
            handler,
            settings,
            ledger: Ledger::new(Limits {
                depth: settings.depth,
                longest_pause: settings.redelivery.map(|redelivery| redelivery.interval),
            }),
            workers: JoinSet::new(),
            reading: None,
            acknowledging: None,
            chore: None,
            ack_at: now,
            // What a sidecar left behind that is gone is looked for first of all.
            sweep_at: now,
            touch_at: now,
            chores_after: now,
            stopping: false,
            give_up_at: None,
        }
    }

    /// Runs until the token is cancelled and what was begun is finished.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        loop {
            let now = Instant::now();
            self.begin(now);
            if self.is_over(now) {
                break;
            }
            let wake = self.next_wake(now);
            let event = tokio::select! {
                () = cancel.cancelled(), if !self.stopping => Event::Cancelled,
                Some(handled) = self.workers.join_next(), if !self.workers.is_empty() => Event::Handled(handled),
                (reader, outcome) = ready(&mut self.reading) => Event::Read(Box::new(reader), outcome),
                (ids, outcome) = ready(&mut self.acknowledging) => Event::Acknowledged(ids, outcome),
                chore = ready(&mut self.chore) => Event::Chore(chore),
                () = sleep_until(wake) => Event::Woke,
            };
            self.take(event).await;
        }
        let left = self.ledger.leave(Instant::now());
        if !left.is_empty() {
            // Else they are taken over when the processing time-out is over.
            let _given = tokio::time::timeout(FAREWELL, self.stream.give_back(&left)).await;
        }
    }

    /// Begins all that can be begun.
    fn begin(&mut self, now: Instant) {
        if !self.stopping {
            while self.ledger.running() < self.settings.concurrency
                && let Some((id, message)) = self.ledger.start()
            {
                self.workers.spawn(handle(self.handler.clone(), id, message));
            }
            // Reading in big bites costs less than reading each time that one message is through.
            let room = self.ledger.room();
            if room >= (self.settings.depth / 2).max(1)
                && let Some(reader) = self.reader.take()
            {
                self.reading = Some(reader.read(room).boxed());
            }
        }
        if self.acknowledging.is_none() && self.ledger.done() > 0 && now >= self.ack_at {
            let (stream, ids) = (self.stream.clone(), self.ledger.take_done());
            self.acknowledging = Some(
                async move {
                    let outcome = stream.acknowledge(&ids).await;
                    (ids, outcome)
                }
                .boxed(),
            );
        }
        if self.chore.is_none() && now >= self.chores_after {
            self.chore = self.next_chore(now);
        }
        if self.stopping && self.workers.is_empty() && self.give_up_at.is_none() {
            self.give_up_at = Some(now + FAREWELL);
        }
    }

    fn next_chore(&mut self, now: Instant) -> Slot<Chore> {
        let redelivery = self.settings.redelivery?;
        let stream = self.stream.clone();
        if now >= self.touch_at {
            let age = (redelivery.timeout / 3).max(LEAST_AGE);
            self.touch_at = now + age / 2;
            let ids = self.ledger.stale(now, age);
            if !ids.is_empty() {
                let touching = async move {
                    let outcome = stream.touch(&ids).await;
                    Chore::Touched(ids, outcome)
                };
                return Some(touching.boxed());
            }
        }
        if self.stopping {
            return None;
        }
        let due = self.ledger.take_due(now);
        if !due.is_empty() {
            let fetching = async move {
                let outcome = stream.fetch(&due).await;
                Chore::Fetched(due, outcome)
            };
            return Some(fetching.boxed());
        }
        let room = self.ledger.room();
        if now < self.sweep_at || room == 0 {
            return None;
        }
        let held = self.ledger.ids();
        let sweeping = async move {
            let (idle, more) = stream.pending(redelivery.timeout, &held, room).await?;
            Ok((stream.fetch(&idle).await?, more))
        };
        Some(sweeping.map(Chore::Swept).boxed())
    }

    fn is_over(&self, now: Instant) -> bool {
        self.stopping
            && self.workers.is_empty()
            && (self.give_up_at.is_some_and(|when| now >= when)
                || (self.reading.is_none() && self.acknowledging.is_none() && self.ledger.done() == 0))
    }

    /// When there is something to begin that does not come with an event.
    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let mut wake = self.give_up_at;
        let mut at = |when: Instant| wake = Some(wake.map_or(when, |wake| wake.min(when)));
        if self.acknowledging.is_none() && self.ledger.done() > 0 {
            at(self.ack_at);
        }
        if self.chore.is_none() && self.settings.redelivery.is_some() {
            let after = self.chores_after;
            at(self.touch_at.max(after));
            if !self.stopping && self.ledger.room() > 0 {
                at(self.sweep_at.max(after));
                if let Some(due) = self.ledger.next_due() {
                    at(due.max(after));
                }
            }
        }
        wake.map(|wake| wake.max(now))
    }

    async fn take(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Woke => {}
            Event::Cancelled => {
                self.stopping = true;
                match self.blocked.get() {
                    Blocking::No => self.reading = None,
                    Blocking::Client(client) => {
                        let unblocking = self.stream.unblock(client);
                        let _unblocked = tokio::time::timeout(PAUSE, unblocking).await;
                    }
                    // Ends by itself.
                    Blocking::Somebody => {}
                }
                self.ack_at = now;
            }
            Event::Handled(handled) => {
                let before = self.ledger.done();
                self.finish(handled, now);
                while let Some(handled) = self.workers.try_join_next() {
                    self.finish(handled, now);
                }
                self.time_acks(before, now);
            }
            Event::Read(reader, outcome) => self.read(*reader, outcome, now),
            Event::Acknowledged(ids, outcome) => {
                if let Err(error) = &outcome {
                    tracing::debug!(%error, topic = self.stream.topic, "redis: failed to acknowledge");
                    self.ack_at = now + PAUSE;
                }
                self.ledger.acknowledged(ids, outcome.is_ok());
            }
            Event::Chore(chore) => self.done_with(chore, now),
        }
    }

    fn finish(&mut self, handled: Result<(Id, bool), JoinError>, now: Instant) {
        // Workers catch panics and nobody aborts them.
        if let Ok((id, success)) = handled {
            self.ledger.finish(id, success, now);
        }
    }

    /// Sends acknowledgements soon, or at once if there are many or nothing else is going on.
    fn time_acks(&mut self, before: usize, now: Instant) {
        let idle = self.ledger.running() == 0 && self.ledger.queued() == 0;
        if idle || self.stopping || self.ledger.done() >= ACKS_AT_ONCE {
            self.ack_at = self.ack_at.min(now);
        } else if before == 0 {
            self.ack_at = self.ack_at.max(now + ACKS_GATHERED);
        }
    }

    fn read(&mut self, reader: Reader, outcome: RedisResult<Vec<Entry>>, now: Instant) {
        match outcome {
            Ok(entries) => {
                let before = self.ledger.done();
                self.ledger.admit(entries, now);
                self.time_acks(before, now);
                if reader.has_recovered()
                    && let Some(redelivery) = self.settings.redelivery
                {
                    tracing::info!(topic = self.stream.topic, "redis: reads again");
                    // What Redis gave out while nobody could hear it is pending and nobody's.
                    self.sweep_at = self.sweep_at.min(now + redelivery.timeout + PAUSE);
                }
            }
            Err(error) if reader.failures() == 1 => {
                tracing::warn!(%error, topic = self.stream.topic, "redis: failed to read, trying again");
            }
            Err(error) => tracing::debug!(%error, topic = self.stream.topic, "redis: failed to read again"),
        }
        self.reader = Some(reader);
    }

    fn done_with(&mut self, chore: Chore, now: Instant) {
        let failed = match chore {
            Chore::Touched(ids, outcome) => outcome.map(|()| self.ledger.touched(&ids, now)).err(),
            Chore::Fetched(due, outcome) => match outcome {
                Ok(found) => {
                    self.ledger.fetched(found, now);
                    None
                }
                Err(error) => {
                    self.ledger.postpone(&due, now + PAUSE);
                    Some(error)
                }
            },
            Chore::Swept(Ok((found, more))) => {
                self.ledger.fetched(found, now);
                self.sweep_at = match (more, self.settings.redelivery) {
                    (false, Some(redelivery)) => now + redelivery.interval.mul_f64(0.9 + fastrand::f64() / 5.0),
                    _ => now,
                };
                None
            }
            Chore::Swept(Err(error)) => Some(error),
        };
        if let Some(error) = failed {
            tracing::debug!(%error, topic = self.stream.topic, "redis: failed to take care of pending messages");
            self.chores_after = now + PAUSE;
        }
    }
}

/// Hands a message over; returns whether it was handled. A panic counts as a failure.
async fn handle(handler: Arc<dyn Handler>, id: Id, message: Message) -> (Id, bool) {
    let topic = message.topic.clone();
    let handled = AssertUnwindSafe(async { handler.handle(message).await })
        .catch_unwind()
        .await;
    match handled {
        Ok(Ok(())) => return (id, true),
        Ok(Err(error)) => tracing::debug!(%error, topic, %id, "redis: a message is to be delivered again"),
        Err(_) => tracing::error!(topic, %id, "redis: the handler of a message panicked"),
    }
    (id, false)
}

/// Waits for what is under way, for ever if nothing is, and empties the slot.
async fn ready<F: Future + Unpin>(slot: &mut Option<F>) -> F::Output {
    match slot {
        None => pending().await,
        Some(under_way) => {
            let outcome = under_way.await;
            *slot = None;
            outcome
        }
    }
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        None => pending().await,
        Some(when) => tokio::time::sleep_until(when.into()).await,
    }
}
