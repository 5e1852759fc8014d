//! Delivery of single messages.

use super::{
    bench::{Bench, Setup, declare, eventually, nothing_more, one, policies, snapshot},
    broker::Fake,
    grpc_app::GrpcApp,
    http_app::HttpApp,
};
use app::Protocol;
use component::Metadata;
use resources::Subscription;
use runtime::Snapshot;
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tonic::Status;

async fn with(subscriptions: Vec<Arc<Subscription>>) -> Snapshot {
    Snapshot {
        subscriptions,
        ..one().await
    }
}

/// A subscription to the topic at the route of its name; what fails goes to `dead`.
fn dead_lettering(topic: &str) -> Arc<Subscription> {
    declare(topic, &[&format!("/{topic}")], |spec| {
        spec.dead_letter_topic = "dead".into()
    })
}

async fn http(snapshot: Snapshot, app: &HttpApp) -> Bench {
    Bench::started(Setup {
        snapshot,
        app: Some((app.port, Protocol::Http)),
        ..Setup::default()
    })
    .await
}

async fn grpc(snapshot: Snapshot, app: &GrpcApp) -> Bench {
    Bench::started(Setup {
        snapshot,
        app: Some((app.port, Protocol::Grpc)),
        ..Setup::default()
    })
    .await
}

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn an_http_application_gets_the_event_and_its_metadata() {
    let mut app = HttpApp::willing(None).await;
    let bench = http(with(vec![declare("t", &["a b"], nothing_more)]).await, &app).await;
    let path = "/v1.0/publish/ps/t?metadata.foo=bar&metadata.content-length=7&metadata.a%20b=c";
    bench
        .send(
            path,
            &[("content-type", "application/json"), ("traceparent", PARENT)],
            r#"{"n" : 1}"#,
        )
        .await;
    let got = app.next().await;
    assert_eq!(got.path, "/a%20b");
    assert_eq!(
        (got.header("content-type"), got.header("foo")),
        ("application/cloudevents+json", "bar")
    );
    assert_eq!((got.header("pubsubname"), got.header("traceparent")), ("ps", PARENT));
    assert_eq!(got.header("content-length"), got.body.len().to_string());
    assert_eq!(got.json()["data"], json!({"n": 1}));
    bench.post("t", "text/plain", "x").await;
    assert_eq!(
        app.next().await.header("traceparent"),
        "00-00000000000000000000000000000000-0000000000000000-00"
    );
    eventually("counted", || bench.ingress("t", "success", "success") == 2).await;
}

#[tokio::test]
async fn answers_of_an_http_application() {
    // Topic, status, body; whether the dead letter topic gets it; how it is counted.
    let table = [
        (
            "success",
            200,
            r#"{"status":"SUCCESS"}"#,
            false,
            [("success", "success", 1), ("retry", "retry", 0)],
        ),
        (
            "empty",
            200,
            "",
            false,
            [("success", "success", 1), ("retry", "retry", 0)],
        ),
        (
            "garbage",
            201,
            "hello",
            false,
            [("success", "success", 1), ("retry", "retry", 0)],
        ),
        (
            "number",
            200,
            r#"{"status":5}"#,
            false,
            [("success", "success", 1), ("retry", "retry", 0)],
        ),
        (
            "drop",
            200,
            r#"{"Status":"DROP"} x"#,
            true,
            [("drop", "success", 1), ("drop", "drop", 0)],
        ),
        (
            "retry",
            200,
            r#"{"status":"RETRY"}"#,
            true,
            [("retry", "retry", 1), ("drop", "drop", 1)],
        ),
        (
            "unknown",
            200,
            r#"{"status":"retry"}"#,
            true,
            [("retry", "retry", 1), ("drop", "drop", 1)],
        ),
        ("missing", 404, "", true, [("drop", "drop", 1), ("retry", "retry", 0)]),
        (
            "broken",
            500,
            "oops",
            true,
            [("retry", "retry", 1), ("drop", "drop", 1)],
        ),
        ("moved", 302, "", true, [("retry", "retry", 1), ("drop", "drop", 1)]),
    ];
    let mut app = HttpApp::start(None, move |got| {
        let found = table.iter().find(|(topic, ..)| got.path == format!("/{topic}"));
        found.map_or((200, String::new()), |(_, status, body, ..)| {
            (*status, (*body).to_owned())
        })
    })
    .await;
    let mut subscriptions = vec![declare("dead", &["/dead"], nothing_more)];
    subscriptions.extend(table.iter().map(|(topic, ..)| dead_lettering(topic)));
    let bench = http(with(subscriptions).await, &app).await;
    for (topic, _, _, dead, counts) in table {
        bench.post(topic, "application/json", "1").await;
        assert_eq!(app.next().await.path, format!("/{topic}"));
        if dead {
            let got = app.next().await;
            assert_eq!((got.path.as_str(), &got.json()["topic"]), ("/dead", &json!(topic)));
        }
        for (process_status, status, count) in counts {
            let what = format!("{topic} {process_status}/{status} {count}");
            eventually(&what, || bench.ingress(topic, process_status, status) == count).await;
        }
    }
    app.nothing().await;
}

#[tokio::test]
async fn routes_choose_and_drop() {
    let mut app = HttpApp::willing(None).await;
    let rules = [r#"event.data.n == 1 => /one"#, r#"event.type == "x" => /x"#];
    let with_default = [r#"event.data.n == 1 => /one"#, "/rest"];
    let bench = http(
        with(vec![
            declare("rules", &rules, |spec| spec.dead_letter_topic = "dead".into()),
            declare("rest", &with_default, nothing_more),
            declare("none", &[], nothing_more),
            declare("bad", &["foo( => /bad", "/default"], nothing_more),
            declare("dead", &["/dead"], nothing_more),
        ])
        .await,
        &app,
    )
    .await;
    for (topic, data, path) in [
        ("rules", r#"{"n":1}"#, "/one"),
        ("rules", r#"{"n":2}"#, "/dead"),
        ("rules", r#"{"q":2}"#, "/dead"),
        ("rest", r#"{"n":2}"#, "/rest"),
    ] {
        bench.post(topic, "application/json", data).await;
        assert_eq!(app.next().await.path, path, "{topic} {data}");
    }
    // Neither another rule nor the default stands in for one that cannot be evaluated.
    bench.post("rest", "application/json", r#"{"q":2}"#).await;
    bench.post("none", "application/json", "1").await;
    bench.post("bad", "application/json", "1").await;
    app.nothing().await;
    assert_eq!(bench.listed().len(), 4, "{:?}", bench.listed());
}

#[tokio::test]
async fn what_cannot_be_read_or_is_too_old_goes_to_the_dead_letter_topic() {
    let mut app = HttpApp::willing(None).await;
    let raw = |spec: &mut resources::subscription::SubscriptionSpec| {
        spec.metadata.insert("rawPayload".into(), "true".into());
    };
    let bench = http(
        with(vec![dead_lettering("t"), declare("dead", &["/dead"], raw)]).await,
        &app,
    )
    .await;
    bench
        .send("/v1.0/publish/ps/t?metadata.rawPayload=true", &[], "hello")
        .await;
    let got = app.next().await;
    assert_eq!(
        (got.path.as_str(), &got.json()["data_base64"]),
        ("/dead", &json!("aGVsbG8="))
    );
    assert_eq!(got.json()["datacontenttype"], "application/octet-stream");
    let ce = "application/cloudevents+json";
    bench
        .post("t", ce, r#"{"id":"i","expiration":"2020-01-01T00:00:00Z"}"#)
        .await;
    assert_eq!(app.next().await.path, "/dead");
    bench
        .post(
            "t",
            ce,
            r#"{"id":"i","expiration":"some day","traceid":5,"traceparent":{"x":1}}"#,
        )
        .await;
    assert_eq!(app.next().await.path, "/t");
}

#[tokio::test]
async fn policies_repeat_deliveries_and_then_the_broker_keeps_the_message() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let app = HttpApp::start(None, move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        (500, String::new())
    })
    .await;
    let fake = Arc::new(Fake::default());
    let broker: Arc<dyn component::pubsub::PubSub> = fake.clone();
    let loaded = Snapshot {
        policies: policies("inbound", r#"{"policy":"constant","duration":"1ms","maxRetries":4}"#),
        subscriptions: vec![declare("t", &["/t"], nothing_more), dead_lettering("d")],
        ..snapshot(&[("ps", &[], &broker)])
    };
    let bench = http(loaded, &app).await;
    let error = fake
        .deliver("t", r#"{"id":"1"}"#, Metadata::new())
        .await
        .unwrap()
        .unwrap_err();
    assert!(error.is_transient());
    assert_eq!(calls.load(Ordering::SeqCst), 5);
    assert_eq!(bench.ingress("t", "retry", "retry"), 6);
    // With a dead letter topic the broker is done with it, unless even that topic does not take it.
    fake.deliver("d", r#"{"id":"2"}"#, [("k".to_owned(), "v".to_owned())].into())
        .await
        .unwrap()
        .unwrap();
    let dead = fake.published.lock()[0].clone();
    assert_eq!(
        (dead.topic.as_str(), &*dead.data, dead.metadata["k"].as_str()),
        ("dead", &br#"{"id":"2"}"#[..], "v")
    );
    fake.results
        .lock()
        .push_back(component::ComponentError::transient("full"));
    let error = fake
        .deliver("d", r#"{"id":"3"}"#, Metadata::new())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(error.message, "full");
    // What will never be of use is not kept.
    fake.deliver("t", "no JSON", Metadata::new()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_grpc_application_gets_the_event_in_parts() {
    let mut app = GrpcApp::start(Vec::new(), false, |_| Ok(0)).await;
    let raw = |spec: &mut resources::subscription::SubscriptionSpec| {
        spec.metadata.insert("rawPayload".into(), "true".into());
    };
    let bench = grpc(
        with(vec![
            declare("t", &["/t"], nothing_more),
            declare("raw", &["/raw"], raw),
        ])
        .await,
        &app,
    )
    .await;
    let event = r#"{"specversion":"1.0","id":"i","source":"s","type":"ty","datacontenttype":"application/json","data":{"a":1},
        "subject":"su","ext":{"list":[1,null,true]},"traceparent":5}"#;
    let path = "/v1.0/publish/ps/t?metadata.foo=bar&metadata.grpc-x=1";
    bench
        .send(
            path,
            &[
                ("content-type", "application/cloudevents+json"),
                ("traceparent", PARENT),
            ],
            event,
        )
        .await;
    let (got, metadata) = app.next().await;
    assert_eq!(
        (got.id.as_str(), got.source.as_str(), got.r#type.as_str()),
        ("i", "s", "ty")
    );
    assert_eq!(
        (got.topic.as_str(), got.pubsub_name.as_str(), got.path.as_str()),
        ("t", "ps", "/t")
    );
    assert_eq!(
        (&*got.data, got.data_content_type.as_str()),
        (&br#"{"a":1}"#[..], "application/json")
    );
    let extensions = got.extensions.unwrap().fields;
    assert!(
        ["subject", "ext", "topic", "pubsubname", "time", "traceid"]
            .iter()
            .all(|name| extensions.contains_key(*name))
    );
    assert_eq!(metadata.get("foo").unwrap(), "bar");
    assert_eq!(metadata.get("pubsubname").unwrap(), "ps");
    assert!(metadata.get("grpc-x").is_none());
    assert_eq!(metadata.get("traceparent").unwrap(), PARENT);
    assert!(metadata.get_bin("grpc-trace-bin").is_some());
    bench.publish("t", "1").await;
    let (_, metadata) = app.next().await;
    assert_eq!(
        metadata.get("traceparent").unwrap(),
        "00-00000000000000000000000000000000-0000000000000000-00"
    );
    bench
        .send("/v1.0/publish/ps/raw?metadata.rawPayload=true", &[], "hello")
        .await;
    let (got, _) = app.next().await;
    assert_eq!(
        (&*got.data, got.data_content_type.as_str()),
        (&b"hello"[..], "application/octet-stream")
    );
}

#[tokio::test]
async fn answers_of_a_grpc_application() {
    let table = [
        ("success", Ok(0), false, ("success", "success")),
        ("retry", Ok(1), true, ("retry", "retry")),
        ("drop", Ok(2), true, ("drop", "success")),
        ("unknown", Ok(9), true, ("retry", "retry")),
        (
            "unimplemented",
            Err(Status::unimplemented("no")),
            false,
            ("drop", "drop"),
        ),
        ("missing", Err(Status::not_found("no")), true, ("retry", "retry")),
    ];
    let answers = table.clone();
    let mut app = GrpcApp::start(Vec::new(), false, move |event| {
        let found = answers.iter().find(|(topic, ..)| event.topic == *topic);
        found.map_or(Ok(0), |(_, answer, ..)| answer.clone())
    })
    .await;
    let mut subscriptions = vec![declare("dead", &["/dead"], nothing_more)];
    subscriptions.extend(table.iter().map(|(topic, ..)| dead_lettering(topic)));
    let bench = grpc(with(subscriptions).await, &app).await;
    for (topic, _, dead, (process_status, status)) in table {
        bench.publish(topic, "1").await;
        assert_eq!(app.next().await.0.topic, topic);
        if dead {
            assert_eq!(app.next().await.0.topic, "dead", "{topic}");
        }
        eventually(topic, || bench.ingress(topic, process_status, status) == 1).await;
    }
    app.nothing().await;
}

#[tokio::test]
async fn events_in_binary_mode_are_put_together() {
    let mut app = HttpApp::willing(None).await;
    let fake = Arc::new(Fake::default());
    let broker: Arc<dyn component::pubsub::PubSub> = fake.clone();
    let loaded = Snapshot {
        subscriptions: vec![declare("t", &[r#"event.type == "order" => /order"#], nothing_more)],
        ..snapshot(&[("ps", &[], &broker)])
    };
    let _bench = http(loaded, &app).await;
    let metadata = [("ce_specversion", "1.0"), ("ce_id", "7"), ("ce_type", "order")];
    let metadata: Metadata = metadata.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    fake.deliver("t", "plain", metadata).await.unwrap().unwrap();
    let got = app.next().await;
    assert_eq!(
        (got.path.as_str(), &got.json()["data"], &got.json()["id"]),
        ("/order", &json!("plain"), &json!("7"))
    );
}
