//! Publish and subscribe.

use crate::{ComponentError, Metadata};
use async_trait::async_trait;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A message to publish.
#[derive(Debug, Clone, Default)]
pub struct Publish {
    /// The topic.
    pub topic: String,
    /// The message, already wrapped if it is to be.
    pub data: Bytes,
    /// The content type of `data`.
    pub content_type: Option<String>,
    /// Metadata of the request, such as `ttlInSeconds` or `partitionKey`.
    pub metadata: Metadata,
}

/// One message of a bulk, to publish or received.
#[derive(Debug, Clone, Default)]
pub struct BulkEntry {
    /// Names the entry within its bulk.
    pub entry_id: String,
    /// The message.
    pub data: Bytes,
    /// The content type of `data`.
    pub content_type: String,
    /// Metadata of the entry.
    pub metadata: Metadata,
}

/// Messages to publish together.
#[derive(Debug, Clone, Default)]
pub struct BulkPublish {
    /// The topic.
    pub topic: String,
    /// The messages, in order.
    pub entries: Vec<BulkEntry>,
    /// Metadata of the whole.
    pub metadata: Metadata,
}

/// Entries of a bulk that failed, and why. What is not named went well.
pub type FailedEntries = Vec<(String, ComponentError)>;

/// What to subscribe to.
#[derive(Debug, Clone, Default)]
pub struct Subscribe {
    /// The topic, or a pattern if the broker has those.
    pub topic: String,
    /// Metadata of the subscription.
    pub metadata: Metadata,
}

/// How a bulk of received messages is made up.
#[derive(Debug, Clone, Copy)]
pub struct BulkOptions {
    /// The most messages of one bulk.
    pub max_messages: usize,
    /// How long a bulk waits for more messages.
    pub max_wait: Duration,
}

/// A message that a broker delivers.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// The topic it was published on.
    pub topic: String,
    /// The message.
    pub data: Bytes,
    /// The content type, if the broker keeps it.
    pub content_type: Option<String>,
    /// Metadata that came with the message.
    pub metadata: Metadata,
}

/// Messages that a broker delivers together.
#[derive(Debug, Clone, Default)]
pub struct BulkMessage {
    /// The topic they were published on.
    pub topic: String,
    /// The messages, in order.
    pub entries: Vec<BulkEntry>,
    /// Metadata of the whole.
    pub metadata: Metadata,
}

/// Takes messages in. `Ok` means done with (delivered, dropped or dead-lettered); an error means that the broker must
/// deliver it again.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Takes one message in.
    async fn handle(&self, message: Message) -> Result<(), ComponentError>;
}

/// Takes messages in together.
#[async_trait]
pub trait BulkHandler: Send + Sync + 'static {
    /// Takes messages in; returns those that must be delivered again.
    async fn handle(&self, message: BulkMessage) -> FailedEntries;
}

/// A subscription that is running: a task that pulls messages and hands them to a handler.
///
/// Dropping it stops the pulling at once; [`Subscription::close`] also waits for the messages in flight.
#[derive(Debug)]
pub struct Subscription {
    cancel: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Subscription {
    /// Runs `work` as a task of its own. It must end soon after the token is cancelled: pull nothing new, finish what is
    /// in flight, return.
    pub fn spawn<F, Fut>(work: F) -> Self
    where
        F: FnOnce(CancellationToken) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let cancel = CancellationToken::new();
        let task = tokio::spawn(work(cancel.clone()));
        Self {
            cancel,
            task: Some(task),
        }
    }

    /// Stops taking messages in, without waiting for those in flight.
    pub fn pause(&self) {
        self.cancel.cancel();
    }

    /// Stops taking messages in and waits until those in flight are done with.
    pub async fn close(mut self) {
        self.cancel.cancel();
        if let Some(task) = self.task.take() {
            let _ended = task.await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

/// What a broker can do; a closed list, shown by the metadata API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Messages can expire in the broker.
    MessageTtl,
    /// A subscription may name a pattern of topics.
    SubscribeWildcards,
    /// Messages can be published together.
    BulkPublish,
    /// A bulk subscription hands over at once what is there.
    BulkSubscribeImmediate,
}

impl Feature {
    /// The name that the metadata API shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MessageTtl => "MESSAGE_TTL",
            Self::SubscribeWildcards => "SUBSCRIBE_WILDCARDS",
            Self::BulkPublish => "BULK_PUBSUB",
            Self::BulkSubscribeImmediate => "BULK_SUBSCRIBE_IMMEDIATE",
        }
    }
}

/// A message broker.
#[async_trait]
pub trait PubSub: Send + Sync + 'static {
    /// What the broker can do.
    fn features(&self) -> Vec<Feature>;

    /// Publishes a message; `Ok` means that the broker has it.
    async fn publish(&self, request: Publish) -> Result<(), ComponentError>;

    /// Subscribes to a topic. `Ok` means that the subscription stands: what is published from now on arrives.
    async fn subscribe(&self, request: Subscribe, handler: Arc<dyn Handler>) -> Result<Subscription, ComponentError>;

    /// The broker's own bulk publishing, if it has it; else messages are published one by one.
    fn bulk_publish(&self) -> Option<&dyn BulkPublisher> {
        None
    }

    /// The broker's own bulk subscribing, if it has it; else messages are gathered before they are handed over.
    fn bulk_subscribe(&self) -> Option<&dyn BulkSubscriber> {
        None
    }

    /// Asks the broker to hold back deliveries while the sidecar shuts down. Those that cannot need not.
    async fn pause(&self) -> Result<(), ComponentError> {
        Ok(())
    }

    /// Whether the broker can be reached.
    async fn ping(&self) -> Result<(), ComponentError> {
        Ok(())
    }

    /// Lets go of what the broker holds. No call follows.
    async fn close(&self) {}
}

/// Publishing messages together.
#[async_trait]
pub trait BulkPublisher: Send + Sync {
    /// Publishes messages; returns those that failed. An error means that all of them did.
    async fn bulk_publish(&self, request: BulkPublish) -> Result<FailedEntries, ComponentError>;
}

/// Subscribing to messages together.
#[async_trait]
pub trait BulkSubscriber: Send + Sync {
    /// Subscribes to a topic; messages come in bulks.
    async fn bulk_subscribe(
        &self,
        request: Subscribe,
        options: BulkOptions,
        handler: Arc<dyn BulkHandler>,
    ) -> Result<Subscription, ComponentError>;
}
