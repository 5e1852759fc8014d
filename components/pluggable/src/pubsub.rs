//! Pluggable message brokers.

use crate::{
    connection::{Connection, Link},
    error::plain,
    exchange::{self, Exchange, Opening, Outcomes, Work},
    setup,
};
use async_trait::async_trait;
use bytes::Bytes;
use component::{
    ComponentError, OpenError, Opened, Properties,
    pubsub::{
        BulkPublish, BulkPublisher, FailedEntries, Feature, Handler, Message, PubSub, Publish, Subscribe, Subscription,
    },
};
use futures_util::{FutureExt, future::BoxFuture};
use std::sync::Arc;
use tonic::Code;
use wire::components::v1::{self as pb, pub_sub_client::PubSubClient};

const FEATURES: [Feature; 4] = [
    Feature::MessageTtl,
    Feature::SubscribeWildcards,
    Feature::BulkPublish,
    Feature::BulkSubscribeImmediate,
];

/// A message broker behind a socket.
struct Broker {
    client: PubSubClient<Link>,
    name: String,
    features: Vec<Feature>,
}

/// Opens a message broker.
pub(crate) async fn open(connection: Connection, properties: &Properties, name: String) -> Result<Opened, OpenError> {
    let metadata = setup::metadata(properties);
    let init = setup::init(move |link| {
        let metadata = Some(metadata.clone());
        async move { PubSubClient::new(link).init(pb::PubSubInitRequest { metadata }).await }
    });
    connection
        .initialise(init)
        .await
        .map_err(|status| setup::failed(&status))?;
    let mut client = PubSubClient::new(connection.link()).max_decoding_message_size(setup::MESSAGE_LIMIT);
    let listed = setup::features(client.features(pb::FeaturesRequest {}).await)?;
    let features = FEATURES
        .into_iter()
        .filter(|feature| listed.iter().any(|name| name == feature.name()));
    let features = features.collect();
    Ok(Opened::PubSub(Arc::new(Broker { client, name, features })))
}

#[async_trait]
impl PubSub for Broker {
    fn features(&self) -> Vec<Feature> {
        self.features.clone()
    }

    async fn publish(&self, request: Publish) -> Result<(), ComponentError> {
        let request = pb::PublishRequest {
            data: request.data,
            pubsub_name: self.name.clone(),
            topic: request.topic,
            metadata: request.metadata,
            content_type: request.content_type.unwrap_or_default(),
        };
        let answer = self.client.clone().publish(request).await;
        answer.map(|_| ()).map_err(|status| plain(&status))
    }

    async fn subscribe(&self, request: Subscribe, handler: Arc<dyn Handler>) -> Result<Subscription, ComponentError> {
        exchange::subscribe(Pull {
            client: self.client.clone(),
            about: format!("messages of topic {} from {}", request.topic, self.name),
            request,
            handler,
        })
        .await
    }

    fn bulk_publish(&self) -> Option<&dyn BulkPublisher> {
        self.features.contains(&Feature::BulkPublish).then_some(self)
    }

    /// A broker that cannot pause need not.
    async fn pause(&self) -> Result<(), ComponentError> {
        match self.client.clone().pause(pb::PauseRequest {}).await {
            Err(status) if status.code() != Code::Unimplemented => Err(plain(&status)),
            _ => Ok(()),
        }
    }

    async fn ping(&self) -> Result<(), ComponentError> {
        let answer = self.client.clone().ping(pb::PingRequest {}).await;
        answer.map(|_| ()).map_err(|status| plain(&status))
    }
}

#[async_trait]
impl BulkPublisher for Broker {
    async fn bulk_publish(&self, request: BulkPublish) -> Result<FailedEntries, ComponentError> {
        let entries = request.entries.into_iter().map(|entry| pb::BulkMessageEntry {
            entry_id: entry.entry_id,
            event: entry.data,
            content_type: entry.content_type,
            metadata: entry.metadata,
        });
        let request = pb::BulkPublishRequest {
            entries: entries.collect(),
            pubsub_name: self.name.clone(),
            topic: request.topic,
            metadata: request.metadata,
        };
        let answer = self.client.clone().bulk_publish(request).await;
        let failed = answer.map_err(|status| plain(&status))?.into_inner().failed_entries;
        Ok(failed
            .into_iter()
            .map(|entry| (entry.entry_id, ComponentError::transient(entry.error)))
            .collect())
    }
}

/// The messages of one topic.
struct Pull {
    client: PubSubClient<Link>,
    about: String,
    request: Subscribe,
    handler: Arc<dyn Handler>,
}

impl Exchange for Pull {
    type Outcome = pb::PullMessagesRequest;
    type Delivery = pb::PullMessagesResponse;

    fn about(&self) -> &str {
        &self.about
    }

    fn open(&self, outcomes: Outcomes<Self::Outcome>) -> Opening<Self::Delivery> {
        let mut client = self.client.clone();
        async move { client.pull_messages(outcomes).await }.boxed()
    }

    fn first(&self) -> Option<Self::Outcome> {
        Some(pb::PullMessagesRequest {
            topic: Some(pb::Topic {
                name: self.request.topic.clone(),
                metadata: self.request.metadata.clone(),
            }),
            ..Default::default()
        })
    }

    fn ping(&self) -> BoxFuture<'_, ()> {
        let mut client = self.client.clone();
        async move { client.ping(pb::PingRequest {}).await }.map(|_| ()).boxed()
    }

    fn work(&self, delivery: Self::Delivery) -> (String, Work) {
        let topic = match delivery.topic_name.is_empty() {
            true => self.request.topic.clone(),
            false => delivery.topic_name,
        };
        let message = Message {
            topic,
            data: delivery.data,
            content_type: Some(delivery.content_type).filter(|text| !text.is_empty()),
            metadata: delivery.metadata,
        };
        let handler = self.handler.clone();
        let work = async move { handler.handle(message).await.map(|()| Bytes::new()) };
        (delivery.id, work.boxed())
    }

    fn outcome(id: String, result: Result<Bytes, String>) -> Self::Outcome {
        pb::PullMessagesRequest {
            topic: None,
            ack_message_id: id,
            ack_error: result.err().map(|message| pb::AckMessageError { message }),
        }
    }
}
