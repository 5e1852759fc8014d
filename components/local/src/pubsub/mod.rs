//! `pubsub.in-memory`: a message broker in the memory of the sidecar.

use component::{
    Component, ComponentError, Open, OpenError, async_trait,
    pubsub::{Feature, Handler, Message, PubSub, Publish, Subscribe, Subscription},
};
use futures_util::FutureExt;
use parking_lot::RwLock;
use std::{collections::HashMap, panic::AssertUnwindSafe, sync::Arc};
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;

/// How many messages wait for a subscription before a publisher does. Few, since what is acknowledged and still here when
/// the sidecar ends has to be handed over within the time of its shutdown.
const QUEUE: usize = 64;

/// A message broker in the memory of the sidecar.
///
/// Each subscription gets its own copy of every message, one after the other, in the order of publishing; a message that
/// its handler refuses is not delivered again. A subscription that is slow holds up those who publish to it. A topic that
/// ends with `*` subscribes to all topics that begin with what stands before it and go on.
#[derive(Default)]
pub struct Broker {
    topics: Arc<RwLock<Topics>>,
}

impl Component for Broker {
    const NAMES: &'static [&'static str] = &["in-memory"];
    const SUMMARY: &'static str = "Passes messages on within the sidecar, for tests and development: nothing is kept for \
                                   later, and no other sidecar sees them.";
    type Options = ();

    async fn open((): (), _: Open) -> Result<Self, OpenError> {
        Ok(Self::default())
    }
}

/// The subscriptions that stand.
#[derive(Default)]
struct Topics {
    exact: HashMap<String, Vec<Queue>>,
    /// What stands before the `*` at the end of a pattern, and who asked for it.
    prefixes: Vec<(String, Queue)>,
}

/// Where messages wait for a subscription.
type Queue = Sender<Message>;

impl Topics {
    /// Hands a copy of the message to each subscription; returns what did not fit, with the queue that is full.
    fn deliver(&self, message: Message) -> Vec<(Queue, Message)> {
        let mut full = Vec::new();
        let mut send = |queue: &Queue, message| {
            if let Err(TrySendError::Full(message)) = queue.try_send(message) {
                full.push((queue.clone(), message));
            }
        };
        let exact = self.exact.get(&message.topic).into_iter().flatten();
        let patterned = self.prefixes.iter().filter_map(|(prefix, queue)| {
            let rest = message.topic.strip_prefix(prefix.as_str())?;
            (!rest.is_empty()).then_some(queue)
        });
        // The last one gets the message itself.
        let mut last: Option<&Queue> = None;
        for queue in exact.chain(patterned) {
            if let Some(queue) = last.replace(queue) {
                send(queue, message.clone());
            }
        }
        if let Some(queue) = last {
            send(queue, message);
        }
        full
    }

    fn add(&mut self, topic: &str, queue: Queue) {
        match topic.strip_suffix('*') {
            Some(prefix) => self.prefixes.push((prefix.to_owned(), queue)),
            None => self.exact.entry(topic.to_owned()).or_default().push(queue),
        }
    }

    fn remove(&mut self, topic: &str, queue: &Queue) {
        if topic.ends_with('*') {
            return self.prefixes.retain(|(_, other)| !other.same_channel(queue));
        }
        if let Some(queues) = self.exact.get_mut(topic) {
            queues.retain(|other| !other.same_channel(queue));
            if queues.is_empty() {
                self.exact.remove(topic);
            }
        }
    }
}

#[async_trait]
impl PubSub for Broker {
    fn features(&self) -> Vec<Feature> {
        vec![Feature::SubscribeWildcards]
    }

    async fn publish(&self, request: Publish) -> Result<(), ComponentError> {
        let message = Message {
            topic: request.topic,
            data: request.data,
            content_type: request.content_type,
            metadata: request.metadata,
        };
        let full = self.topics.read().deliver(message);
        for (queue, message) in full {
            // An error says that the subscription has ended meanwhile.
            let _ended = queue.send(message).await;
        }
        Ok(())
    }

    async fn subscribe(&self, request: Subscribe, handler: Arc<dyn Handler>) -> Result<Subscription, ComponentError> {
        let (queue, messages) = channel(QUEUE);
        let topic = request.topic;
        let weak = queue.downgrade();
        self.topics.write().add(&topic, queue);
        let topics = self.topics.clone();
        Ok(Subscription::spawn(|cancel| async move {
            let leave = || {
                if let Some(queue) = weak.upgrade() {
                    topics.write().remove(&topic, &queue);
                }
            };
            deliver_all(messages, &cancel, handler.as_ref(), leave).await;
        }))
    }

    async fn close(&self) {
        *self.topics.write() = Topics::default();
    }
}

/// Hands messages over until the subscription or the broker is closed, and then those that are still waiting.
async fn deliver_all(
    mut messages: Receiver<Message>,
    cancel: &CancellationToken,
    handler: &dyn Handler,
    leave: impl FnOnce(),
) {
    while let Some(Some(message)) = cancel.run_until_cancelled(messages.recv()).await {
        deliver(message, handler).await;
    }
    leave();
    messages.close();
    while let Some(message) = messages.recv().await {
        deliver(message, handler).await;
    }
}

async fn deliver(message: Message, handler: &dyn Handler) {
    match AssertUnwindSafe(handler.handle(message)).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "a message is lost: pubsub.in-memory does not deliver again"),
        Err(_panic) => tracing::error!("a message is lost: its handler panicked"),
    }
}
