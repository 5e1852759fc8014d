//! Messages that are handed over together.

use super::{
    LOG,
    deliver::{Delivery, Done, Failed, Opened, Reply, Target},
    deliver_grpc, deliver_http,
    routes::Route,
    spec::Bulk,
};
use crate::{
    cloud_event::Event,
    content::{BINARY, CLOUD_EVENT},
};
use app::Along;
use bytes::Bytes;
use component::{
    ComponentError, Metadata, async_trait,
    pubsub::{BulkEntry, BulkHandler, BulkMessage, FailedEntries, Handler, Message},
};
use futures_util::{FutureExt, future::join_all};
use outgoing::{CallCx, CallError, Class};
use parking_lot::Mutex;
use std::{sync::Arc, time::Instant};
use telemetry::trace::{Kind, TraceContext};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// What an application says to a bulk.
#[derive(Debug)]
pub(super) enum Statuses {
    /// It takes no bulks there.
    NotThere,
    /// What became of each entry; nothing for those that must come again.
    Each(Vec<(String, Option<Reply>)>),
}

/// An entry that goes to the application.
pub(super) struct OpenedEntry<'a> {
    pub(super) entry: &'a BulkEntry,
    /// The event, or the payload as it was published.
    pub(super) data: &'a Bytes,
    trace: Option<TraceContext>,
}

impl OpenedEntry<'_> {
    pub(super) fn content_type(&self, delivery: &Delivery) -> &'static str {
        if delivery.is_raw() { BINARY } else { CLOUD_EVENT }
    }
}

/// Entries that go to the same place.
pub(super) struct Group<'a> {
    pub(super) id: String,
    pub(super) topic: &'a str,
    pub(super) route: &'a Route,
    pub(super) metadata: &'a Metadata,
    pub(super) entries: Vec<&'a OpenedEntry<'a>>,
}

/// What is to be done with an entry.
#[derive(Debug, Clone)]
enum Outcome {
    /// Nothing more.
    Done,
    /// Nothing more, although it was of no use.
    Ignored,
    /// It goes to the dead letter topic, or nowhere.
    Dropped,
    /// It goes to the dead letter topic, or must come again.
    Again(String),
}

impl Delivery {
    /// Takes messages from the broker to the application; returns those that must come again.
    async fn deliver_bulk(&self, message: &BulkMessage) -> FailedEntries {
        let topic = self.app_topic(&message.topic);
        let started = Instant::now();
        let mut outcomes: Vec<Outcome> = vec![Outcome::Dropped; message.entries.len()];
        let events: Vec<Bytes> = message
            .entries
            .iter()
            .map(|entry| self.event_of(topic, entry))
            .collect();
        let mut groups: Vec<(Arc<Route>, Vec<usize>, Vec<OpenedEntry<'_>>)> = Vec::new();
        for (at, (entry, event)) in message.entries.iter().zip(&events).enumerate() {
            let Some((route, trace)) = self.open(topic, entry, event) else {
                continue;
            };
            let data = if self.is_raw() { &entry.data } else { event };
            let opened = OpenedEntry { entry, data, trace };
            match groups.iter_mut().find(|(other, ..)| other.path == route.path) {
                Some((_, places, entries)) => {
                    places.push(at);
                    entries.push(opened);
                }
                None => groups.push((route, vec![at], vec![opened])),
            }
        }
        let sent = groups.iter().map(|(route, places, entries)| async move {
            let outcomes = self.send_group(topic, route, &message.metadata, entries).await;
            (places, outcomes)
        });
        let sent: Vec<_> = sent.map(FutureExt::boxed).collect();
        for (places, found) in join_all(sent).await {
            for (at, outcome) in places.iter().zip(found) {
                outcomes[*at] = outcome;
            }
        }
        self.count_bulk(topic, started, &outcomes);
        self.settle(message, outcomes).await
    }

    /// The event of an entry, without what may follow it.
    fn event_of(&self, topic: &str, entry: &BulkEntry) -> Bytes {
        let content_type = Some(entry.content_type.as_str()).filter(|t| !t.is_empty());
        let event = self.envelope(topic, &entry.data, content_type, &entry.metadata);
        match Event::parse_measured(&event).map(|(_, length)| length) {
            Ok(length) => event.slice(..length),
            Err(_) => event,
        }
    }

    /// Reads and routes an entry; nothing if it is of no use.
    fn open(&self, topic: &str, entry: &BulkEntry, bytes: &Bytes) -> Option<(Arc<Route>, Option<TraceContext>)> {
        let pubsub = &self.spec().pubsub;
        let event = match Event::parse(bytes) {
            Ok(event) => event,
            Err(why) => {
                tracing::error!(target: LOG, "error deserializing one of the messages in bulk cloud event in pubsub {pubsub} and topic {topic}: {why}");
                return None;
            }
        };
        let opened = Opened {
            event,
            bytes,
            topic,
            metadata: &entry.metadata,
        };
        if let Some(since) = opened.event.expired() {
            tracing::warn!(target: LOG, "dropping expired pub/sub event {} as of {since}", opened.id());
            return None;
        }
        match self.subscription.routes.find(&opened.event) {
            Ok(Some(route)) => Some((route, opened.trace())),
            Ok(None) => {
                tracing::warn!(target: LOG, "No matching route for event in pubsub {pubsub} and topic {topic}; skipping");
                None
            }
            Err(why) => {
                tracing::error!(target: LOG, "Error finding matching route for event in bulk subscribe {pubsub} and topic {topic} for entry id {}: {why}", entry.entry_id);
                None
            }
        }
    }

    /// Hands entries over as the policies say: what is repeated is only what failed.
    async fn send_group(
        &self,
        topic: &str,
        route: &Route,
        metadata: &Metadata,
        entries: &[OpenedEntry<'_>],
    ) -> Vec<Outcome> {
        let outcomes: Mutex<Vec<Option<Outcome>>> = Mutex::new(vec![None; entries.len()]);
        let attempt = |_: u32| async {
            let left: Vec<usize> = {
                let outcomes = outcomes.lock();
                (0..entries.len()).filter(|at| outcomes[*at].is_none()).collect()
            };
            let group = Group {
                id: uuid::Uuid::new_v4().to_string(),
                topic,
                route,
                metadata,
                entries: left.iter().map(|at| &entries[*at]).collect(),
            };
            let statuses = self.attempt_bulk(&group).await?;
            note(&statuses, entries, &left, &mut outcomes.lock())
        };
        let result = self
            .policy()
            .run(&CallCx::new(&self.shared.never), |n| attempt(n).boxed())
            .await;
        let why = result.err().map(|error| {
            tracing::warn!(target: LOG, "encountered a retriable error while publishing subscribed messages to topic {topic}, err: {error}");
            let permanent = matches!(&error, CallError::Inner(failed) if failed.class == Class::Permanent);
            (permanent, error.to_string())
        });
        let left = || match &why {
            Some((true, _)) => Outcome::Dropped,
            Some((false, why)) => Outcome::Again(why.clone()),
            None => Outcome::Done,
        };
        outcomes
            .into_inner()
            .into_iter()
            .map(|outcome| outcome.unwrap_or_else(left))
            .collect()
    }

    async fn attempt_bulk(&self, group: &Group<'_>) -> Result<Statuses, Failed> {
        let parent = group.entries.iter().find_map(|entry| entry.trace.as_ref());
        let mut span = self
            .shared
            .tracer
            .start(format_args!("pubsub/{}", group.topic), parent, Kind::Consumer);
        let along = Along {
            trace: span.context().clone(),
            baggage: None,
        };
        let result = match &self.target {
            Target::Http(app) => deliver_http::send_bulk(app, self, &along, group).await,
            Target::Grpc(app) => deliver_grpc::send_bulk(app, self, &along, group).await,
            Target::Stream(_) => Err(Failed::permanent("streams take one message at a time")),
        };
        if let Err(failed) = &result {
            span.set_error(failed);
        }
        result
    }

    fn count_bulk(&self, topic: &str, started: Instant, outcomes: &[Outcome]) {
        let (metrics, pubsub) = (&self.shared.metrics, &self.spec().pubsub);
        metrics.pubsub_bulk_ingress(pubsub, topic, "", started.elapsed());
        let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| wanted(outcome)).count() as u64;
        let dead = !self.spec().dead_letter.is_empty();
        let again = count(|outcome| matches!(outcome, Outcome::Again(_)));
        let dropped = count(|outcome| matches!(outcome, Outcome::Dropped | Outcome::Ignored));
        metrics.pubsub_bulk_ingress_events(
            pubsub,
            topic,
            "SUCCESS",
            count(|outcome| matches!(outcome, Outcome::Done)),
        );
        metrics.pubsub_bulk_ingress_events(pubsub, topic, "DROP", if dead { dropped + again } else { dropped });
        metrics.pubsub_bulk_ingress_events(pubsub, topic, "RETRY", if dead { 0 } else { again });
    }

    /// Sends what is to be sent to the dead letter topic; returns what must come again.
    async fn settle(&self, message: &BulkMessage, outcomes: Vec<Outcome>) -> FailedEntries {
        let dead = !self.spec().dead_letter.is_empty();
        let each = message.entries.iter().zip(outcomes).map(|(entry, outcome)| async move {
            let done: Done = match outcome {
                Outcome::Done | Outcome::Ignored => Ok(()),
                Outcome::Again(why) if !dead => Err(ComponentError::transient(why)),
                Outcome::Again(_) | Outcome::Dropped => {
                    let content_type = Some(entry.content_type.clone()).filter(|t| !t.is_empty());
                    self.to_dead_letter_topic(entry.data.clone(), content_type, entry.metadata.clone())
                        .await
                }
            };
            done.err().map(|error| (entry.entry_id.clone(), error))
        });
        let each: Vec<_> = each.map(FutureExt::boxed).collect();
        join_all(each).await.into_iter().flatten().collect()
    }
}

/// Notes what an application said of the entries that it was sent; an error if some of them must be sent again.
fn note(
    statuses: &Statuses,
    entries: &[OpenedEntry<'_>],
    sent: &[usize],
    outcomes: &mut [Option<Outcome>],
) -> Result<(), Failed> {
    let Statuses::Each(statuses) = statuses else {
        sent.iter().for_each(|at| outcomes[*at] = Some(Outcome::Ignored));
        return Ok(());
    };
    for (id, reply) in statuses {
        let Some(at) = sent.iter().find(|at| entries[**at].entry.entry_id == *id) else {
            tracing::warn!(target: LOG, "Invalid entry id received from app while processing pub/sub event {id}");
            continue;
        };
        match reply {
            Some(Reply::Success) => outcomes[*at] = Some(Outcome::Done),
            Some(_) => {
                tracing::warn!(target: LOG, "DROP status returned from app while processing pub/sub event {id}");
                outcomes[*at] = Some(Outcome::Dropped);
            }
            None => {}
        }
    }
    if sent.iter().any(|at| outcomes[*at].is_none()) {
        return Err(Failed::transient(
            "some messages of the bulk were not processed by the app",
        ));
    }
    Ok(())
}

#[async_trait]
impl BulkHandler for Delivery {
    async fn handle(&self, message: BulkMessage) -> FailedEntries {
        self.hold_if_closed().await;
        self.deliver_bulk(&message).await
    }
}

/// Gathers messages of a broker that brings them one by one.
pub(crate) struct Gather {
    delivery: Arc<Delivery>,
    /// Nothing if messages are handed over at once.
    queue: Option<mpsc::Sender<Waiting>>,
}

/// A message that waits for its bulk, and who waits for what becomes of it.
type Waiting = (Message, oneshot::Sender<Done>);

impl Gather {
    /// What gathers, and the task that hands over; it ends when the gatherer is dropped. `flush` makes it hand over at once
    /// what is there.
    pub(crate) fn new(
        delivery: Arc<Delivery>,
        bulk: Bulk,
        flush: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::channel(bulk.max_messages.clamp(1, 1024));
        let task = gather(delivery.clone(), waiting, bulk, flush);
        let queue = Some(queue);
        (Self { delivery, queue }, task)
    }

    /// Hands every message over as it comes, as a bulk of one.
    pub(crate) fn immediate(delivery: Arc<Delivery>) -> Self {
        Self { delivery, queue: None }
    }
}

#[async_trait]
impl Handler for Gather {
    async fn handle(&self, message: Message) -> Done {
        self.delivery.hold_if_closed().await;
        let Some(queue) = &self.queue else {
            return single(&self.delivery, message).await;
        };
        let (tell, told) = oneshot::channel();
        if queue.send((message, tell)).await.is_ok()
            && let Ok(done) = told.await
        {
            return done;
        }
        // The subscription has ended: the message belongs to somebody else now.
        std::future::pending().await
    }
}

async fn single(delivery: &Delivery, message: Message) -> Done {
    let bulk = BulkMessage {
        topic: message.topic.clone(),
        entries: vec![entry(message)],
        metadata: Metadata::new(),
    };
    match delivery.deliver_bulk(&bulk).await.pop() {
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

fn entry(message: Message) -> BulkEntry {
    BulkEntry {
        entry_id: uuid::Uuid::new_v4().to_string(),
        data: message.data,
        content_type: message.content_type.unwrap_or_default(),
        metadata: message.metadata,
    }
}

async fn gather(delivery: Arc<Delivery>, mut waiting: mpsc::Receiver<Waiting>, bulk: Bulk, flush: CancellationToken) {
    while let Some(first) = waiting.recv().await {
        let mut batch = vec![first];
        let wait = tokio::time::sleep(bulk.max_wait);
        tokio::pin!(wait);
        while batch.len() < bulk.max_messages {
            let next = tokio::select! {
                biased;
                next = waiting.recv() => next,
                () = &mut wait => None,
                () = flush.cancelled() => None,
            };
            match next {
                Some(next) => batch.push(next),
                None => break,
            }
        }
        hand_over(&delivery, batch).await;
    }
}

async fn hand_over(delivery: &Delivery, batch: Vec<Waiting>) {
    // A subscription to a pattern brings several topics.
    let mut topics: Vec<(String, Vec<BulkEntry>, Vec<oneshot::Sender<Done>>)> = Vec::new();
    for (message, tell) in batch {
        let topic = message.topic.clone();
        match topics.iter_mut().find(|(other, ..)| *other == topic) {
            Some((_, entries, tells)) => {
                entries.push(entry(message));
                tells.push(tell);
            }
            None => topics.push((topic, vec![entry(message)], vec![tell])),
        }
    }
    for (topic, entries, tells) in topics {
        let ids: Vec<String> = entries.iter().map(|entry| entry.entry_id.clone()).collect();
        let bulk = BulkMessage {
            topic,
            entries,
            metadata: Metadata::new(),
        };
        let mut failed = delivery.deliver_bulk(&bulk).await;
        for (id, tell) in ids.iter().zip(tells) {
            let error = failed
                .iter()
                .position(|(other, _)| other == id)
                .map(|at| failed.swap_remove(at).1);
            // Whoever waited may have gone.
            let _told = tell.send(error.map_or(Ok(()), Err));
        }
    }
}
