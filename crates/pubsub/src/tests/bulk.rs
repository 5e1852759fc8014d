//! Delivery of messages together.

use super::{
    bench::{Bench, Setup, bulk, declare, eventually, in_memory, nothing_more, policies, snapshot},
    broker::Fake,
    grpc_app::GrpcApp,
    http_app::{Got, HttpApp},
};
use app::Protocol;
use component::{Metadata, pubsub::PubSub as Broker};
use resources::subscription::SubscriptionSpec;
use runtime::Snapshot;
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;
use wire::runtime::v1::topic_event_bulk_request_entry::Event;

fn event(n: usize) -> String {
    format!(r#"{{"id":"{n}","datacontenttype":"application/json","data":{{"n":{n}}},"traceparent":""}}"#)
}

/// Answers each entry by what its number says.
fn by_number(got: &Got, status: impl Fn(u64) -> Option<&'static str>) -> (u16, String) {
    let body = got.json();
    let entries = body["entries"].as_array().cloned().unwrap_or_default();
    let statuses: Vec<Value> = entries
        .iter()
        .filter_map(|entry| {
            let status = status(entry["event"]["data"]["n"].as_u64().unwrap_or_default())?;
            Some(json!({"entryId": entry["entryId"], "status": status}))
        })
        .collect();
    (200, json!({ "statuses": statuses }).to_string())
}

fn fake(native: bool) -> (Arc<Fake>, Arc<dyn Broker>) {
    let mut fake = Fake::default();
    fake.native = native;
    let fake = Arc::new(fake);
    (fake.clone(), fake)
}

async fn start(snapshot: Snapshot, app: (u16, Protocol)) -> Bench {
    Bench::started(Setup {
        snapshot,
        app: Some(app),
        ..Setup::default()
    })
    .await
}

type Told = oneshot::Receiver<Result<(), component::ComponentError>>;

async fn failures(all: Vec<Told>) -> Vec<usize> {
    let mut failed = Vec::new();
    for (n, told) in all.into_iter().enumerate() {
        if told.await.unwrap().is_err() {
            failed.push(n);
        }
    }
    failed
}

fn deliver(fake: &Fake, topic: &str, count: usize) -> Vec<Told> {
    (0..count)
        .map(|n| fake.deliver(topic, &event(n), Metadata::new()))
        .collect()
}

#[tokio::test]
async fn messages_are_gathered_by_number_and_time() {
    let mut app = HttpApp::start(None, |got| by_number(got, |_| Some("SUCCESS"))).await;
    let (fake, broker) = fake(false);
    let loaded = Snapshot {
        subscriptions: vec![declare("t", &["/t"], |spec| spec.bulk_subscribe = bulk(3, 200))],
        ..snapshot(&[("ps", &[], &broker)])
    };
    let bench = start(loaded, (app.port, Protocol::Http)).await;
    let began = Instant::now();
    let all = deliver(&fake, "t", 4);
    let full = app.next().await;
    assert!(began.elapsed() < Duration::from_millis(150));
    assert_eq!(failures(all).await, [0usize; 0]);
    assert!(
        began.elapsed() >= Duration::from_millis(200),
        "the rest waits for its time"
    );
    let rest = app.next().await;
    let sizes = [&full, &rest].map(|got| got.json()["entries"].as_array().unwrap().len());
    assert_eq!(sizes, [3, 1]);
    let body = full.json();
    assert_eq!(full.header("content-type"), "application/json");
    assert_eq!((&body["pubsubname"], &body["topic"]), (&json!("ps"), &json!("t")));
    assert_eq!(
        (&body["type"], &body["metadata"]),
        (&json!("com.dapr.event.sent.bulk"), &json!({"pubsubName": "ps"}))
    );
    let entry = &body["entries"][0];
    assert_eq!(
        (&entry["contentType"], &entry["metadata"]),
        (&json!("application/cloudevents+json"), &json!({}))
    );
    assert!(entry["event"]["data"]["n"].is_number());
    assert_eq!(
        bench
            .metric(&["ingress_bulk_count", "process_status=\"\"", "} 2"])
            .len(),
        1
    );
    assert_eq!(
        bench
            .metric(&["ingress_bulk_event_count", "process_status=\"SUCCESS\"", "} 4"])
            .len(),
        1
    );
}

#[tokio::test]
async fn each_entry_has_a_status_of_its_own() {
    let answer = |got: &Got| {
        if got.path == "/dead" {
            return (200, String::new());
        }
        by_number(got, |n| {
            [
                Some("SUCCESS"),
                Some("RETRY"),
                Some("DROP"),
                Some(""),
                Some("success"),
                None,
            ][n as usize]
        })
    };
    let mut app = HttpApp::start(None, answer).await;
    let (fake, broker) = fake(false);
    let dead = |spec: &mut SubscriptionSpec| {
        spec.bulk_subscribe = bulk(6, 5000);
        spec.dead_letter_topic = "dead".into();
    };
    let loaded = Snapshot {
        subscriptions: vec![
            declare("t", &["/t"], |spec| spec.bulk_subscribe = bulk(6, 5000)),
            declare("d", &["/d"], dead),
        ],
        ..snapshot(&[("ps", &[], &broker)])
    };
    let _bench = start(loaded, (app.port, Protocol::Http)).await;
    assert_eq!(failures(deliver(&fake, "t", 6)).await, [1, 3, 4, 5]);
    app.next().await;
    assert_eq!(failures(deliver(&fake, "d", 6)).await, [0usize; 0]);
    let published = fake.published.lock().clone();
    assert_eq!(published.len(), 5);
    assert!(published.iter().all(|p| p.topic == "dead"));
}

#[tokio::test]
async fn only_what_failed_is_sent_again() {
    let answer = |got: &Got| {
        let many = got.json()["entries"].as_array().unwrap().len() > 1;
        by_number(got, |n| if many && n == 1 { None } else { Some("SUCCESS") })
    };
    let mut app = HttpApp::start(None, answer).await;
    let (fake, broker) = fake(false);
    let loaded = Snapshot {
        subscriptions: vec![declare("t", &["/t"], |spec| spec.bulk_subscribe = bulk(3, 5000))],
        policies: policies("inbound", r#"{"policy":"constant","duration":"1ms","maxRetries":2}"#),
        ..snapshot(&[("ps", &[], &broker)])
    };
    let _bench = start(loaded, (app.port, Protocol::Http)).await;
    assert_eq!(failures(deliver(&fake, "t", 3)).await, [0usize; 0]);
    app.next().await;
    let again = app.next().await.json();
    assert_eq!(again["entries"].as_array().unwrap().len(), 1);
    assert_eq!(again["entries"][0]["event"]["data"]["n"], 1);
    app.nothing().await;
}

#[tokio::test]
async fn answers_for_whole_bulks() {
    // Path, what fails, how many dead letters.
    let table = [
        ("empty", 200, true),
        ("missing", 404, false),
        ("broken", 500, true),
        ("garbage", 200, true),
    ];
    let app = HttpApp::start(None, move |got| {
        let found = table.iter().find(|(topic, ..)| got.path == format!("/{topic}"));
        let body = if got.path == "/garbage" { "hello" } else { "" };
        (found.map_or(200, |(_, status, _)| *status), body.to_owned())
    })
    .await;
    let (fake, broker) = fake(false);
    let subscriptions = table.iter().map(|(topic, ..)| {
        declare(topic, &[&format!("/{topic}")], |spec| {
            spec.bulk_subscribe = bulk(2, 5000);
            spec.dead_letter_topic = "dead".into();
        })
    });
    let loaded = Snapshot {
        subscriptions: subscriptions.collect(),
        ..snapshot(&[("ps", &[], &broker)])
    };
    let _bench = start(loaded, (app.port, Protocol::Http)).await;
    for (topic, _, dead) in table {
        fake.published.lock().clear();
        assert_eq!(failures(deliver(&fake, topic, 2)).await, [0usize; 0], "{topic}");
        assert_eq!(fake.published.lock().len(), if dead { 2 } else { 0 }, "{topic}");
    }
}

#[tokio::test]
async fn entries_are_grouped_by_their_route() {
    let mut app = HttpApp::start(None, |got| by_number(got, |_| Some("SUCCESS"))).await;
    let (fake, broker) = fake(true);
    let rules = [
        "event.data.n < 2.0 => /low",
        "event.data.n == 2 => /two",
        "event.data.missing == 1 => /never",
    ];
    let loaded = Snapshot {
        subscriptions: vec![declare("t", &rules, |spec| {
            spec.bulk_subscribe = bulk(0, 0);
            spec.dead_letter_topic = "dead".into();
        })],
        ..snapshot(&[("ps", &[], &broker)])
    };
    let _bench = start(loaded, (app.port, Protocol::Http)).await;
    let events: Vec<String> = (0..4).map(event).collect();
    let with_rest = format!("{} and more", events[2]);
    let entries = [
        ("a", events[0].as_str()),
        ("b", &events[1]),
        ("c", &with_rest),
        ("d", &events[3]),
        ("e", "no JSON"),
    ];
    assert_eq!(fake.deliver_bulk("t", &entries).await.len(), 0);
    let mut got = [app.next().await, app.next().await].map(|got| {
        let ids: Vec<String> = got.json()["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["entryId"].to_string())
            .collect();
        (got.path, ids.join(","))
    });
    got.sort();
    assert_eq!(
        got,
        [
            ("/low".to_owned(), "\"a\",\"b\"".to_owned()),
            ("/two".to_owned(), "\"c\"".to_owned())
        ]
    );
    let dead: Vec<_> = fake.published.lock().iter().map(|p| p.data.clone()).collect();
    assert_eq!(dead, [events[3].as_bytes(), b"no JSON"]);
    app.nothing().await;
}

#[tokio::test]
async fn a_grpc_application_gets_bulks_by_either_method() {
    for alpha in [false, true] {
        let mut app = GrpcApp::start(Vec::new(), alpha, |_| Ok(0)).await;
        let raw = |spec: &mut SubscriptionSpec| {
            spec.bulk_subscribe = bulk(1, 5000);
            spec.metadata.insert("rawPayload".into(), "true".into());
        };
        let (fake, broker) = fake(false);
        let loaded = Snapshot {
            subscriptions: vec![
                declare("t", &["/t"], |spec| spec.bulk_subscribe = bulk(2, 5000)),
                declare("raw", &["/raw"], raw),
            ],
            ..snapshot(&[("ps", &[], &broker)])
        };
        let _bench = start(loaded, (app.port, Protocol::Grpc)).await;
        assert_eq!(failures(deliver(&fake, "t", 2)).await, [0usize; 0]);
        let (got, by_alpha) = app.next_bulk().await;
        assert_eq!((by_alpha, got.entries.len(), got.path.as_str()), (alpha, 2, "/t"));
        assert_eq!(
            (got.pubsub_name.as_str(), got.metadata["pubsubName"].as_str()),
            ("ps", "ps")
        );
        let Some(Event::CloudEvent(first)) = &got.entries[0].event else {
            panic!("{got:?}")
        };
        assert_eq!(&*first.data, br#"{"n":0}"#);
        let told = fake.deliver("raw", "hello", Metadata::new());
        let (got, _) = app.next_bulk().await;
        assert_eq!(got.entries[0].event, Some(Event::Bytes("hello".into())));
        assert_eq!(got.entries[0].content_type, "application/octet-stream");
        told.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_application_without_bulks_drops_them() {
    // A server that knows none of the methods.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tonic::transport::Server::builder().add_routes(tonic::service::Routes::default());
    tokio::spawn(server.serve_with_incoming(tokio_stream::wrappers::TcpListenerStream::new(listener)));
    let (fake, broker) = fake(false);
    let loaded = Snapshot {
        subscriptions: vec![declare("t", &["/t"], |spec| {
            spec.bulk_subscribe = bulk(1, 5000);
            spec.dead_letter_topic = "dead".into();
        })],
        ..snapshot(&[("ps", &[], &broker)])
    };
    let _bench = start(loaded, (port, Protocol::Grpc)).await;
    assert_eq!(failures(deliver(&fake, "t", 1)).await, [0usize; 0]);
    assert_eq!(fake.published.lock().len(), 0);
}

#[tokio::test]
async fn closing_hands_over_what_was_gathered() {
    let mut app = HttpApp::start(None, |got| by_number(got, |_| Some("SUCCESS"))).await;
    let loaded = Snapshot {
        subscriptions: vec![
            declare("t", &["/t"], |spec| spec.bulk_subscribe = bulk(100, 60_000)),
            declare("u", &["/u"], nothing_more),
        ],
        ..snapshot(&[("ps", &[], &in_memory().await)])
    };
    let bench = start(loaded, (app.port, Protocol::Http)).await;
    bench.publish("t", "1").await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(app.waiting(), 0);
    tokio::time::timeout(Duration::from_secs(5), bench.block.stop())
        .await
        .unwrap();
    assert_eq!(app.next().await.path, "/t");
    eventually("counted", || {
        bench.metric(&["ingress_bulk_event_count", "SUCCESS", "} 1"]).len() == 1
    })
    .await;
}
