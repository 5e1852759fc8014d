//! Message brokers.

use super::*;
use component::{
    ComponentError, Metadata,
    pubsub::{BulkEntry, BulkPublish, Feature, Handler, Message, PubSub, Publish, Subscribe},
};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::sync::Semaphore;
use wire::components::v1::{PullMessagesRequest, PullMessagesResponse};

const BROKER: Script = Script {
    services: &["PubSub"],
    features: &[
        "MESSAGE_TTL",
        "BULK_PUBSUB",
        "BULK_SUBSCRIBE_IMMEDIATE",
        "NO_SUCH_FEATURE",
    ],
    max_size: 0,
    lazy: false,
    ping_after: Duration::ZERO,
    pausable: true,
    alpha: false,
    init_error: None,
};

/// Handles a message whenever the test lets it; refuses `bad`.
struct Gate {
    seen: Mutex<Vec<Message>>,
    begun: Semaphore,
    open: Semaphore,
}

impl Gate {
    fn new(open: usize) -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            begun: Semaphore::new(0),
            open: Semaphore::new(open),
        })
    }

    /// Waits until so many more messages are in work.
    async fn begun(&self, count: u32) {
        soon(self.begun.acquire_many(count))
            .await
            .expect("is not closed")
            .forget();
    }
}

#[component::async_trait]
impl Handler for Gate {
    async fn handle(&self, message: Message) -> Result<(), ComponentError> {
        let bad = message.data == "bad";
        self.seen.lock().push(message);
        self.begun.add_permits(1);
        self.open.acquire().await.expect("is not closed").forget();
        match bad {
            true => Err(ComponentError::transient("refused")),
            false => Ok(()),
        }
    }
}

async fn broker(script: Script) -> (TempDir, Fake, Arc<dyn PubSub>) {
    let (folder, fake, found) = found(script).await;
    match open(&found, Kind::PubSub, &[("consumerID", "c")]).await {
        Ok(Opened::PubSub(broker)) => (folder, fake, broker),
        other => panic!("not a broker: {other:?}"),
    }
}

fn to(topic: &str) -> Subscribe {
    Subscribe {
        topic: topic.to_owned(),
        metadata: Metadata::from([("raw".to_owned(), "true".to_owned())]),
    }
}

fn message(id: &str, data: &'static str) -> PullMessagesResponse {
    PullMessagesResponse {
        data: data.into(),
        id: id.to_owned(),
        topic_name: "a".to_owned(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        content_type: "text/plain".to_owned(),
    }
}

fn ack(id: &str, error: Option<&str>) -> PullMessagesRequest {
    PullMessagesRequest {
        topic: None,
        ack_message_id: id.to_owned(),
        ack_error: error.map(|message| wire::components::v1::AckMessageError {
            message: message.to_owned(),
        }),
    }
}

#[tokio::test]
async fn publishes() {
    let (_folder, fake, broker) = broker(BROKER).await;
    assert_eq!(
        broker.features(),
        [
            Feature::MessageTtl,
            Feature::BulkPublish,
            Feature::BulkSubscribeImmediate
        ]
    );
    let publish = Publish {
        topic: "a".to_owned(),
        data: "data".into(),
        metadata: Metadata::from([("ttlInSeconds".to_owned(), "5".to_owned())]),
        ..Publish::default()
    };
    broker.publish(publish).await.expect("publishes");
    let (instance, sent) = fake.calls("Publish").remove(0);
    assert_eq!(instance, "comp");
    for part in ["b\"data\"", "pubsub_name: \"comp\"", "topic: \"a\"", "ttlInSeconds"] {
        assert!(sent.contains(part), "{part} in {sent}");
    }
}

#[tokio::test]
async fn publishes_together_if_the_component_can() {
    let (_folder, _fake, broker) = broker(BROKER).await;
    let entry = |id: &str, data: &'static str| BulkEntry {
        entry_id: id.to_owned(),
        data: data.into(),
        ..BulkEntry::default()
    };
    let bulk = |topic: &str| BulkPublish {
        topic: topic.to_owned(),
        entries: vec![entry("1", "good"), entry("2", "bad")],
        metadata: Metadata::new(),
    };
    let bulks = broker.bulk_publish().expect("the feature is listed");
    let failed = bulks.bulk_publish(bulk("a")).await.expect("publishes");
    let failed: Vec<_> = failed
        .iter()
        .map(|(id, error)| (id.as_str(), error.message.as_str()))
        .collect();
    assert_eq!(failed, [("2", "refused")]);
    let error = bulks.bulk_publish(bulk("err:14:down")).await.expect_err("all failed");
    assert_eq!(error.message, "rpc error: code = Unavailable desc = down");

    let (_folder, _fake, plain) = self::broker(Script {
        features: &[],
        ..BROKER
    })
    .await;
    assert!(plain.bulk_publish().is_none());
}

#[tokio::test]
async fn acknowledges_each_message_by_its_outcome() {
    let (_folder, mut fake, broker) = broker(BROKER).await;
    let gate = Gate::new(100);
    let subscription = broker.subscribe(to("a"), gate.clone()).await.expect("subscribes");
    let (_, first) = fake.calls("PullMessages/first").remove(0);
    assert!(
        first.contains("name: \"a\"") && first.contains("\"raw\": \"true\""),
        "{first}"
    );
    assert_eq!(fake.calls("PullMessages")[0].0, "comp");

    fake.messages.send(message("1", "good")).expect("the component runs");
    assert_eq!(soon(fake.acks.recv()).await, Some(ack("1", None)));
    fake.messages.send(message("2", "bad")).expect("the component runs");
    assert_eq!(soon(fake.acks.recv()).await, Some(ack("2", Some("refused"))));

    let seen = gate.seen.lock().remove(0);
    assert_eq!((seen.topic.as_str(), seen.data.as_ref()), ("a", b"good".as_ref()));
    assert_eq!(seen.metadata["k"], "v");
    assert_eq!(seen.content_type.as_deref(), Some("text/plain"));
    soon(subscription.close()).await;
    soon(fake.ended.recv()).await.expect("the stream ends");
}

#[tokio::test]
async fn messages_are_handled_side_by_side() {
    let (_folder, mut fake, broker) = broker(BROKER).await;
    let gate = Gate::new(0);
    let subscription = broker.subscribe(to("a"), gate.clone()).await.expect("subscribes");
    for id in 0..50 {
        fake.messages
            .send(message(&id.to_string(), "good"))
            .expect("the component runs");
    }
    gate.begun(50).await;
    gate.open.add_permits(50);
    for _ in 0..50 {
        soon(fake.acks.recv()).await.expect("an acknowledgement");
    }
    soon(subscription.close()).await;
}

#[tokio::test]
async fn a_component_that_is_silent_at_first_does_not_hold_up_subscribing() {
    let (_folder, mut fake, broker) = broker(Script { lazy: true, ..BROKER }).await;
    let gate = Gate::new(100);
    let subscription = soon(broker.subscribe(to("a"), gate.clone())).await.expect("subscribes");
    assert_eq!(fake.calls("PullMessages/first").len(), 1, "the component has the call");
    fake.messages.send(message("1", "good")).expect("the component runs");
    assert_eq!(soon(fake.acks.recv()).await, Some(ack("1", None)));
    soon(subscription.close()).await;
}

#[tokio::test]
async fn an_error_that_comes_at_once_is_that_of_subscribing() {
    let (_folder, _fake, broker) = broker(Script {
        ping_after: QUIET,
        ..BROKER
    })
    .await;
    let error = broker
        .subscribe(to("err:5:no such topic"), Gate::new(0))
        .await
        .expect_err("fails");
    assert_eq!(error.message, "rpc error: code = NotFound desc = no such topic");
}

#[tokio::test]
async fn closing_waits_for_what_is_in_work_and_takes_in_nothing_new() {
    let (_folder, mut fake, broker) = broker(BROKER).await;
    let gate = Gate::new(0);
    let subscription = broker.subscribe(to("a"), gate.clone()).await.expect("subscribes");
    fake.messages.send(message("1", "good")).expect("the component runs");
    gate.begun(1).await;

    let closing = tokio::spawn(subscription.close());
    tokio::time::sleep(QUIET).await;
    assert!(!closing.is_finished(), "a message is in work");
    fake.messages.send(message("2", "good")).expect("the component runs");
    tokio::time::sleep(QUIET).await;
    gate.open.add_permits(10);
    soon(closing).await.expect("closes");

    assert_eq!(soon(fake.acks.recv()).await, Some(ack("1", None)));
    soon(fake.ended.recv()).await.expect("the stream ends");
    assert!(fake.acks.try_recv().is_err(), "what came later has no outcome");
    assert_eq!(gate.seen.lock().len(), 1);
}

#[tokio::test]
async fn a_stream_stays_open_for_a_while_after_the_last_outcome() {
    let (_folder, mut fake, broker) = broker(BROKER).await;
    let gate = Gate::new(0);
    let subscription = broker.subscribe(to("a"), gate.clone()).await.expect("subscribes");
    fake.messages.send(message("1", "good")).expect("the component runs");
    gate.begun(1).await;
    let closing = tokio::spawn(subscription.close());
    gate.open.add_permits(10);
    soon(fake.acks.recv()).await.expect("an acknowledgement");
    // The component goes on with the next message; nobody takes it in, and it is not refused either.
    fake.messages.send(message("2", "good")).expect("the component runs");
    soon(closing).await.expect("closes");
    assert!(
        fake.inside.messages.lock().await.try_recv().is_err(),
        "the component has sent it"
    );
    assert!(fake.acks.try_recv().is_err());
}

#[tokio::test]
async fn dropping_ends_the_stream() {
    let (_folder, mut fake, broker) = broker(BROKER).await;
    drop(broker.subscribe(to("a"), Gate::new(0)).await.expect("subscribes"));
    soon(fake.ended.recv()).await.expect("the stream ends");
}

#[tokio::test]
async fn a_stream_that_ends_is_opened_again() {
    let (_folder, mut fake, broker) = broker(BROKER).await;
    let gate = Gate::new(100);
    let subscription = broker.subscribe(to("a"), gate.clone()).await.expect("subscribes");
    for round in ["1", "2"] {
        fake.messages.send(message("end", "")).expect("the component runs");
        soon(fake.ended.recv()).await.expect("the stream ends");
        fake.messages.send(message(round, "good")).expect("the component runs");
        assert_eq!(soon(fake.acks.recv()).await, Some(ack(round, None)));
    }
    assert_eq!(fake.calls("PullMessages/first").len(), 3);
    assert_eq!(fake.calls("PubSub/Init").len(), 1, "the component was not restarted");
    soon(subscription.close()).await;
}

#[tokio::test]
async fn a_restarted_component_is_subscribed_to_again() {
    let (_folder, mut fake, broker) = broker(BROKER).await;
    let gate = Gate::new(0);
    let subscription = broker.subscribe(to("a"), gate.clone()).await.expect("subscribes");
    fake.messages.send(message("lost", "good")).expect("the component runs");
    gate.begun(1).await;
    fake.stop().await;
    tokio::time::sleep(QUIET).await;
    fake.serve();

    fake.messages.send(message("1", "good")).expect("the component runs");
    gate.begun(1).await;
    gate.open.add_permits(2);
    assert_eq!(
        soon(fake.acks.recv()).await,
        Some(ack("1", None)),
        "the other's stream is gone"
    );
    let initialised = fake.calls("PubSub/Init");
    assert_eq!(initialised.len(), 2, "{initialised:?}");
    soon(subscription.close()).await;
    assert!(fake.acks.try_recv().is_err());
}

#[tokio::test]
async fn closing_while_the_component_is_away_does_not_hang() {
    let (_folder, mut fake, broker) = broker(BROKER).await;
    let subscription = broker.subscribe(to("a"), Gate::new(0)).await.expect("subscribes");
    fake.stop().await;
    tokio::time::sleep(QUIET).await;
    soon(subscription.close()).await;
}

#[tokio::test]
async fn pauses_if_the_component_can() {
    let (_folder, fake, broker) = broker(BROKER).await;
    broker.pause().await.expect("pauses");
    assert_eq!(fake.calls("Pause").len(), 1);

    let (_folder, fake, broker) = self::broker(Script {
        pausable: false,
        ..BROKER
    })
    .await;
    broker.pause().await.expect("need not pause");
    assert_eq!(fake.calls("Pause").len(), 1);
}
