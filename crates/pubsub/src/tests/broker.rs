//! A broker that tells what it was asked, and whose deliveries are in the hands of the test.

use component::{
    ComponentError, Metadata, async_trait,
    pubsub::{
        BulkEntry, BulkHandler, BulkMessage, BulkOptions, BulkPublish, BulkPublisher, BulkSubscriber, FailedEntries,
        Feature, Handler, Message, PubSub, Publish, Subscribe, Subscription,
    },
};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::{mpsc, oneshot};

/// A delivery, and where to tell what became of it.
type Delivery = (Message, oneshot::Sender<Result<(), ComponentError>>);

/// The broker.
#[derive(Default)]
pub(super) struct Fake {
    /// Results of publishing, in order; success when there is none.
    pub(super) results: Mutex<VecDeque<ComponentError>>,
    pub(super) published: Mutex<Vec<Publish>>,
    /// Bulks that were published; only if there is native bulk publishing.
    pub(super) bulks: Mutex<Vec<BulkPublish>>,
    /// Errors of subscribing, in order.
    pub(super) refusals: Mutex<VecDeque<ComponentError>>,
    pub(super) subscribed: Mutex<Vec<Subscribe>>,
    queues: Mutex<Vec<(String, mpsc::UnboundedSender<Delivery>)>>,
    bulk_handlers: Mutex<Vec<Arc<dyn BulkHandler>>>,
    pub(super) pauses: Mutex<usize>,
    pub(super) native: bool,
    pub(super) features: Vec<Feature>,
}

impl Fake {
    /// Delivers a message; what is returned tells what became of it.
    pub(super) fn deliver(
        &self,
        topic: &str,
        data: &str,
        metadata: Metadata,
    ) -> oneshot::Receiver<Result<(), ComponentError>> {
        let (tell, told) = oneshot::channel();
        let message = Message {
            topic: topic.into(),
            data: data.to_owned().into(),
            content_type: None,
            metadata,
        };
        let queues = self.queues.lock();
        if let Some((_, queue)) = queues
            .iter()
            .rev()
            .find(|(own, queue)| own == topic && !queue.is_closed())
        {
            let _sent = queue.send((message, tell));
        }
        told
    }

    /// Delivers messages together, by the broker's own means.
    pub(super) async fn deliver_bulk(&self, topic: &str, entries: &[(&str, &str)]) -> FailedEntries {
        let handler = self.bulk_handlers.lock().last().cloned().unwrap();
        let entries = entries.iter().map(|(id, data)| BulkEntry {
            entry_id: (*id).to_owned(),
            data: (*data).to_owned().into(),
            ..BulkEntry::default()
        });
        let message = BulkMessage {
            topic: topic.into(),
            entries: entries.collect(),
            metadata: Metadata::new(),
        };
        handler.handle(message).await
    }
}

#[async_trait]
impl PubSub for Fake {
    fn features(&self) -> Vec<Feature> {
        self.features.clone()
    }

    async fn publish(&self, request: Publish) -> Result<(), ComponentError> {
        self.published.lock().push(request);
        match self.results.lock().pop_front() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    async fn subscribe(&self, request: Subscribe, handler: Arc<dyn Handler>) -> Result<Subscription, ComponentError> {
        if let Some(error) = self.refusals.lock().pop_front() {
            return Err(error);
        }
        let (queue, mut deliveries) = mpsc::unbounded_channel::<Delivery>();
        self.queues.lock().push((request.topic.clone(), queue));
        self.subscribed.lock().push(request);
        Ok(Subscription::spawn(|cancel| async move {
            let mut flying = tokio::task::JoinSet::new();
            while let Some(Some((message, tell))) = cancel.run_until_cancelled(deliveries.recv()).await {
                let handler = handler.clone();
                flying.spawn(async move {
                    let _told = tell.send(handler.handle(message).await);
                });
            }
            deliveries.close();
            while flying.join_next().await.is_some() {}
        }))
    }

    fn bulk_publish(&self) -> Option<&dyn BulkPublisher> {
        self.native.then_some(self as &dyn BulkPublisher)
    }

    fn bulk_subscribe(&self) -> Option<&dyn BulkSubscriber> {
        self.native.then_some(self as &dyn BulkSubscriber)
    }

    async fn pause(&self) -> Result<(), ComponentError> {
        *self.pauses.lock() += 1;
        Ok(())
    }
}

#[async_trait]
impl BulkPublisher for Fake {
    async fn bulk_publish(&self, request: BulkPublish) -> Result<FailedEntries, ComponentError> {
        let failed = request.entries.iter().filter_map(|entry| {
            let error = self.results.lock().pop_front()?;
            (!error.message.is_empty()).then(|| (entry.entry_id.clone(), error))
        });
        let failed = failed.collect();
        self.bulks.lock().push(request);
        Ok(failed)
    }
}

#[async_trait]
impl BulkSubscriber for Fake {
    async fn bulk_subscribe(
        &self,
        request: Subscribe,
        _: BulkOptions,
        handler: Arc<dyn BulkHandler>,
    ) -> Result<Subscription, ComponentError> {
        self.subscribed.lock().push(request);
        self.bulk_handlers.lock().push(handler);
        Ok(Subscription::spawn(|cancel| async move { cancel.cancelled().await }))
    }
}
