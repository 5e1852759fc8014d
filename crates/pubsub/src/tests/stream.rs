//! Subscriptions by streams.

use super::{
    bench::{Bench, Setup, declare, eventually, nothing_more, one, policies, snapshot},
    broker::Fake,
    http_app::HttpApp,
};
use app::Protocol;
use component::{Metadata, pubsub::PubSub as Broker};
use runtime::Snapshot;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;
use wire::runtime::v1::{
    SubscribeTopicEventsRequestAlpha1 as Request, SubscribeTopicEventsRequestInitialAlpha1 as Initial,
    SubscribeTopicEventsRequestProcessedAlpha1 as Processed, SubscribeTopicEventsResponseAlpha1 as Response,
    TopicEventRequest, TopicEventResponse,
    subscribe_topic_events_request_alpha1::SubscribeTopicEventsRequestType as Sent,
    subscribe_topic_events_response_alpha1::SubscribeTopicEventsResponseType as Got,
};

/// A client's stream.
struct Stream {
    send: mpsc::UnboundedSender<Request>,
    receive: Streaming<Response>,
}

fn initial(pubsub: &str, topic: &str) -> Sent {
    Sent::InitialRequest(Initial {
        pubsub_name: pubsub.into(),
        topic: topic.into(),
        ..Initial::default()
    })
}

impl Stream {
    async fn open(bench: &Bench) -> Self {
        let (send, requests) = mpsc::unbounded_channel();
        let requests = UnboundedReceiverStream::new(requests);
        let receive = bench
            .client()
            .subscribe_topic_events_alpha1(requests)
            .await
            .unwrap()
            .into_inner();
        Self { send, receive }
    }

    /// A stream that stands.
    async fn standing(bench: &Bench, first: Sent) -> Self {
        let mut stream = Self::open(bench).await;
        stream.send(first);
        assert!(matches!(stream.next().await, Ok(Some(Got::InitialResponse(_)))));
        stream
    }

    fn send(&self, message: Sent) {
        let message = Request {
            subscribe_topic_events_request_type: Some(message),
        };
        self.send.send(message).unwrap();
    }

    async fn next(&mut self) -> Result<Option<Got>, Status> {
        let next = tokio::time::timeout(Duration::from_secs(10), self.receive.message())
            .await
            .expect("in time")?;
        Ok(next.and_then(|response| response.subscribe_topic_events_response_type))
    }

    async fn event(&mut self) -> TopicEventRequest {
        match self.next().await {
            Ok(Some(Got::EventMessage(event))) => event,
            other => panic!("{other:?}"),
        }
    }

    fn answer(&self, id: &str, status: i32) {
        self.send(Sent::EventProcessed(Processed {
            id: id.into(),
            status: Some(TopicEventResponse { status }),
        }));
    }
}

async fn bench() -> Bench {
    Bench::new(Setup {
        snapshot: one().await,
        ..Setup::default()
    })
}

fn fake() -> (Arc<Fake>, Arc<dyn Broker>) {
    let fake = Arc::new(Fake::default());
    (fake.clone(), fake)
}

#[tokio::test]
async fn events_come_in_order_and_are_answered() {
    let bench = bench().await;
    let mut stream = Stream::standing(&bench, initial("ps", "t")).await;
    assert_eq!(bench.listed(), ["ps t / STREAMING"]);
    let publishing = {
        let mut client = bench.client();
        tokio::spawn(async move {
            for n in 0..300 {
                let request = wire::runtime::v1::PublishEventRequest {
                    pubsub_name: "ps".into(),
                    topic: "t".into(),
                    data: n.to_string().into(),
                    data_content_type: "text/plain".into(),
                    ..Default::default()
                };
                client.publish_event(request).await.unwrap();
            }
        })
    };
    for n in 0..300 {
        let event = stream.event().await;
        assert_eq!(
            (&*event.data, event.path.as_str(), event.topic.as_str()),
            (n.to_string().as_bytes(), "/", "t")
        );
        stream.answer(&event.id, 0);
    }
    publishing.await.unwrap();
    drop(stream);
    eventually("it leaves the list", || bench.listed().is_empty()).await;
}

#[tokio::test]
async fn the_protocol_is_kept() {
    let bench = bench().await;
    let limited = [("subscriptionScopes", "app=other")];
    let mut loaded = snapshot(&[("limited", &limited, &super::bench::in_memory().await)]);
    loaded
        .pubsub
        .insert("ps".into(), bench.runtime.snapshot().pubsub["ps"].clone());
    bench.reload(loaded).await;
    let processed = || {
        Sent::EventProcessed(Processed {
            id: "x".into(),
            status: None,
        })
    };
    for (first, code, message) in [
        (initial("", "t"), Code::Unknown, "pubsubName is required"),
        (initial("ps", ""), Code::Unknown, "topic is required"),
        (initial("none", "t"), Code::InvalidArgument, "pubsub none is not found"),
        (
            initial("limited", "t"),
            Code::Unknown,
            "failed to create subscription for limited: subscription to topic 't' on pubsub 'limited' is not allowed",
        ),
        (processed(), Code::Unknown, "initial request is required"),
    ] {
        let mut stream = Stream::open(&bench).await;
        stream.send(first);
        let status = stream.next().await.unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message));
        let reason = status.get_details_error_info().map(|info| info.reason);
        assert_eq!(reason.is_some(), code == Code::InvalidArgument);
    }
    let mut stream = Stream::open(&bench).await;
    stream.send = mpsc::unbounded_channel().0;
    assert_eq!(stream.next().await.unwrap_err().message(), "EOF");
    let mut stream = Stream::standing(&bench, initial("ps", "t")).await;
    stream.send(processed());
    stream.send(initial("ps", "t"));
    let status = stream.next().await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Unknown, "duplicate initial request received")
    );
    eventually("nothing is left", || bench.listed().is_empty()).await;
}

#[tokio::test]
async fn several_streams_get_every_message() {
    let bench = bench().await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(Stream::standing(&bench, initial("ps", "t")).await);
    }
    bench.publish("t", "1").await;
    for stream in &mut streams {
        let event = stream.event().await;
        stream.answer(&event.id, 0);
    }
    assert_eq!(bench.listed().len(), 3);
}

#[tokio::test]
async fn answers_mean_what_they_mean_elsewhere() {
    let (fake, broker) = fake();
    let mut loaded = snapshot(&[("ps", &[], &broker)]);
    loaded.policies = policies("inbound", r#"{"policy":"constant","duration":"1ms","maxRetries":2}"#);
    let bench = Bench::new(Setup {
        snapshot: loaded,
        ..Setup::default()
    });
    let mut stream = Stream::standing(&bench, initial("ps", "t")).await;
    let told = fake.deliver("t", r#"{"id":"1"}"#, Metadata::new());
    for _ in 0..3 {
        let event = stream.event().await;
        assert_eq!(event.id, "1");
        stream.answer("1", 1);
    }
    assert!(told.await.unwrap().is_err());
    // An event without an id, and two with the same one.
    let all = [r#"{"a":1}"#, r#"{"id":"2","n":1}"#, r#"{"id":"2","n":2}"#]
        .map(|data| fake.deliver("t", data, Metadata::new()));
    for _ in 0..3 {
        let id = stream.event().await.id;
        stream.answer(&id, 0);
    }
    for told in all {
        told.await.unwrap().unwrap();
    }
    let dead = Sent::InitialRequest(Initial {
        pubsub_name: "ps".into(),
        topic: "u".into(),
        dead_letter_topic: Some("dead".into()),
        ..Initial::default()
    });
    let mut stream = Stream::standing(&bench, dead).await;
    let told = fake.deliver("u", r#"{"id":"3"}"#, Metadata::new());
    stream.event().await;
    stream.answer("3", 2);
    told.await.unwrap().unwrap();
    assert_eq!(fake.published.lock()[0].topic, "dead");
}

#[tokio::test]
async fn what_a_client_has_not_answered_is_handed_back() {
    let (fake, broker) = fake();
    let bench = Bench::new(Setup {
        snapshot: snapshot(&[("ps", &[], &broker)]),
        ..Setup::default()
    });
    for gone in [false, true] {
        let mut stream = Stream::standing(&bench, initial("ps", "t")).await;
        let told = fake.deliver("t", r#"{"id":"1"}"#, Metadata::new());
        stream.event().await;
        if gone {
            drop(stream);
        } else {
            stream.send = mpsc::unbounded_channel().0;
            assert!(matches!(stream.next().await, Ok(None)));
        }
        assert_eq!(told.await.unwrap().unwrap_err().message, "stream closed");
    }
    assert_eq!(bench.metric(&["ingress_count"]), Vec::<String>::new());
}

#[tokio::test]
async fn the_end_waits_for_answers() {
    let (fake, broker) = fake();
    let bench = Bench::new(Setup {
        snapshot: snapshot(&[("ps", &[], &broker)]),
        ..Setup::default()
    });
    let mut stream = Stream::standing(&bench, initial("ps", "t")).await;
    let mut idle = Stream::open(&bench).await;
    let told = fake.deliver("t", r#"{"id":"1"}"#, Metadata::new());
    stream.event().await;
    let block = bench.block.clone();
    let stopping = tokio::spawn(async move { block.stop().await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!stopping.is_finished());
    stream.answer("1", 0);
    told.await.unwrap().unwrap();
    assert_eq!(stream.next().await.unwrap_err().message(), "stream closed");
    assert_eq!(idle.next().await.unwrap_err().message(), "api server closed");
    stopping.await.unwrap();
}

#[tokio::test]
async fn streams_survive_the_replacement_of_their_component() {
    let (fake, broker) = fake();
    let bench = Bench::new(Setup {
        snapshot: snapshot(&[("ps", &[], &broker)]),
        ..Setup::default()
    });
    let mut stream = Stream::standing(&bench, initial("ps", "t")).await;
    bench.reload(Snapshot::default()).await;
    assert_eq!(bench.listed().len(), 1);
    bench.reload(snapshot(&[("ps", &[], &broker)])).await;
    eventually("subscribed again", || fake.subscribed.lock().len() == 2).await;
    let told = fake.deliver("t", r#"{"id":"1"}"#, Metadata::new());
    let event = stream.event().await;
    stream.answer(&event.id, 0);
    told.await.unwrap().unwrap();
}

#[tokio::test]
async fn streams_stand_beside_other_subscriptions() {
    let mut app = HttpApp::willing(None).await;
    let bench = Bench::started(Setup {
        snapshot: Snapshot {
            subscriptions: vec![declare("t", &["/t"], nothing_more)],
            ..one().await
        },
        app: Some((app.port, Protocol::Http)),
        ..Setup::default()
    })
    .await;
    let mut stream = Stream::standing(&bench, initial("ps", "t")).await;
    assert_eq!(bench.listed(), ["ps t /t DECLARATIVE", "ps t / STREAMING"]);
    bench.publish("t", "1").await;
    let event = stream.event().await;
    stream.answer(&event.id, 0);
    assert_eq!(app.next().await.path, "/t");
}
