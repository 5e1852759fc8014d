//! Where subscriptions come from, and when they run.

use super::{
    bench::{Bench, Setup, declare, eventually, in_memory, nothing_more, one, snapshot},
    broker::Fake,
    grpc_app::GrpcApp,
    http_app::HttpApp,
};
use app::{HealthOptions, Protocol};
use component::{ComponentError, Metadata, pubsub::PubSub as Broker};
use resources::Subscription;
use runtime::Snapshot;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use wire::runtime::v1::{TopicRoutes, TopicRule, TopicSubscription};

const LIST: &str = r#"[
    {"pubsubname":"ps","topic":"b","route":"/pb"},
    {"pubsubname":"ps","topic":"p","route":"/p1"},
    {"PubsubName":"ps","Topic":"p","Route":"/p2"},
    {"pubsubname":"none","topic":"x","route":"/x"},
    {"pubsubname":"ps","topic":"noroute"},
    {"pubsubname":"ps","topic":"both","route":"/d","routes":{"rules":[{"match":"event.type==\"z\"","path":"/z"}]}},
    {"pubsubname":"ps","topic":"dd","route":"/d","routes":{"rules":[],"default":"/dd"},"deadLetterTopic":"x","metadata":{"k":"v"}},
    {"pubsubname":"ps","topic":"badcel","routes":{"rules":[{"match":"foo(","path":"/z"}]}}
] and more"#;

fn declared() -> Vec<Arc<Subscription>> {
    vec![
        declare("a", &["/a1"], nothing_more),
        declare("a", &["/a2"], nothing_more),
        declare("b", &["/db"], nothing_more),
        declare("c", &["/c"], |spec| spec.pubsubname = "none".into()),
        declare("d", &[], nothing_more),
    ]
}

async fn with(subscriptions: Vec<Arc<Subscription>>) -> Snapshot {
    Snapshot {
        subscriptions,
        ..one().await
    }
}

async fn start(snapshot: Snapshot, app: &HttpApp) -> Bench {
    Bench::started(Setup {
        snapshot,
        app: Some((app.port, Protocol::Http)),
        ..Setup::default()
    })
    .await
}

#[tokio::test]
async fn files_and_the_application_make_one_list() {
    let mut app = HttpApp::willing(Some(LIST)).await;
    let bench = start(with(declared()).await, &app).await;
    let want = [
        "ps a /a1 DECLARATIVE",
        "ps b /pb PROGRAMMATIC",
        "none c /c DECLARATIVE",
        "ps d  DECLARATIVE",
        "ps p /p2 PROGRAMMATIC",
        "none x /x PROGRAMMATIC",
        "ps both /z,/d PROGRAMMATIC",
        "ps dd /dd PROGRAMMATIC",
    ];
    assert_eq!(bench.listed(), want);
    let listed = bench.block.subscriptions();
    let dd = listed.iter().find(|one| one.topic == "dd").unwrap();
    assert_eq!((dd.dead_letter_topic.as_str(), dd.metadata["k"].as_str()), ("x", "v"));
    for (topic, path) in [("a", "/a1"), ("b", "/pb"), ("p", "/p2"), ("both", "/d"), ("dd", "/dd")] {
        bench.publish(topic, "1").await;
        assert_eq!(app.next().await.path, path);
    }
    bench.publish("d", "1").await;
    bench.publish("noroute", "1").await;
    app.nothing().await;
}

#[tokio::test]
async fn answers_that_are_no_list() {
    for (answer, takes) in [
        (Some("hello"), false),
        (Some("{}"), false),
        (Some(r#"[{"topic":[]}]"#), false),
        (Some("null"), true),
        (Some(""), true),
        (Some("[]"), true),
        (None, true),
    ] {
        let mut app = HttpApp::willing(answer).await;
        let bench = start(with(declared()).await, &app).await;
        assert_eq!(bench.listed().len(), 4, "{answer:?}");
        bench.publish("a", "1").await;
        if takes {
            assert_eq!(app.next().await.path, "/a1", "{answer:?}");
        } else {
            app.nothing().await;
        }
    }
}

#[tokio::test]
async fn an_application_that_is_not_to_be_asked_is_not() {
    let mut app = HttpApp::willing(Some(LIST)).await;
    let bench = Bench::started(Setup {
        snapshot: with(declared()).await,
        app: Some((app.port, Protocol::Http)),
        leave_app_alone: true,
        ..Setup::default()
    })
    .await;
    assert_eq!(bench.listed().len(), 4);
    bench.publish("p", "1").await;
    app.nothing().await;
    bench.publish("b", "1").await;
    assert_eq!(app.next().await.path, "/db");
}

#[tokio::test]
async fn a_grpc_application_is_asked() {
    let subscription = |topic: &str, routes: Option<TopicRoutes>| TopicSubscription {
        pubsub_name: "ps".into(),
        topic: topic.into(),
        routes,
        ..TopicSubscription::default()
    };
    let rules = TopicRoutes {
        rules: vec![TopicRule {
            r#match: r#"event.topic == "never""#.into(),
            path: "/r".into(),
        }],
        default: String::new(),
    };
    let list = vec![subscription("none", None), subscription("rules", Some(rules))];
    let mut app = GrpcApp::start(list, false, |_| Ok(0)).await;
    let bench = Bench::started(Setup {
        snapshot: one().await,
        app: Some((app.port, Protocol::Grpc)),
        ..Setup::default()
    })
    .await;
    assert_eq!(bench.listed(), ["ps none  PROGRAMMATIC", "ps rules /r PROGRAMMATIC"]);
    bench.publish("none", "1").await;
    assert_eq!(app.next().await.0.path, "");
    bench.publish("rules", "1").await;
    app.nothing().await;
}

#[tokio::test]
async fn without_an_application_nothing_is_taken_in() {
    let fake = Arc::new(Fake::default());
    let broker: Arc<dyn Broker> = fake.clone();
    let bench = Bench::started(Setup {
        snapshot: Snapshot {
            subscriptions: declared(),
            ..snapshot(&[("ps", &[], &broker)])
        },
        ..Setup::default()
    })
    .await;
    assert_eq!(bench.listed().len(), 4);
    bench.publish("a", "1").await;
    assert_eq!(fake.subscribed.lock().len(), 0);
    bench.block.stop().await;
}

#[tokio::test]
async fn scopes_are_kept_and_names_are_those_of_the_namespace() {
    let fake = Arc::new(Fake::default());
    let broker: Arc<dyn Broker> = fake.clone();
    let limits = [("subscriptionScopes", "app=a"), ("consumerID", "ns.app")];
    let subscriptions = vec![
        declare("a", &["/a"], |spec| {
            spec.metadata.insert("k".into(), "v".into());
        }),
        declare("b", &["/b"], nothing_more),
    ];
    let mut app = HttpApp::willing(None).await;
    let loaded = Snapshot {
        subscriptions,
        ..snapshot(&[("ps", &limits, &broker)])
    };
    let bench = start(loaded, &app).await;
    assert_eq!(bench.listed().len(), 2);
    let subscribed = fake.subscribed.lock().clone();
    assert_eq!(subscribed.len(), 1);
    assert_eq!(
        (subscribed[0].topic.as_str(), subscribed[0].metadata["k"].as_str()),
        ("nsa", "v")
    );
    fake.deliver("nsa", r#"{"id":"1"}"#, Metadata::new())
        .await
        .unwrap()
        .unwrap();
    app.next().await;
    eventually("counted under the name of the application", || {
        bench.ingress("a", "success", "success") == 1
    })
    .await;
}

#[tokio::test]
async fn a_broker_that_refuses_is_asked_again() {
    let fake = Arc::new(Fake::default());
    fake.refusals.lock().push_back(ComponentError::transient("not yet"));
    let broker: Arc<dyn Broker> = fake.clone();
    let app = HttpApp::willing(None).await;
    let loaded = Snapshot {
        subscriptions: vec![declare("a", &["/a"], nothing_more)],
        ..snapshot(&[("ps", &[], &broker)])
    };
    let _bench = start(loaded, &app).await;
    eventually("subscribed", || fake.subscribed.lock().len() == 1).await;
}

#[tokio::test]
async fn subscriptions_follow_the_health_of_the_application() {
    let mut app = HttpApp::start(Some(LIST), |_| (200, String::new())).await;
    let health = HealthOptions {
        path: "/dapr/subscribe".into(),
        interval: Duration::from_millis(20),
        timeout: Duration::from_millis(500),
        threshold: 1,
    };
    let fake = Arc::new(Fake::default());
    let broker: Arc<dyn Broker> = fake.clone();
    let bench = Bench::started(Setup {
        snapshot: Snapshot {
            subscriptions: declared(),
            ..snapshot(&[("ps", &[], &broker)])
        },
        app: Some((app.port, Protocol::Http)),
        health: Some(health),
        ..Setup::default()
    })
    .await;
    assert_eq!(
        (bench.listed().len(), fake.subscribed.lock().len()),
        (4, 0),
        "unwell: listed, but nothing runs"
    );
    let (cancel, channel) = (CancellationToken::new(), bench.app.clone().unwrap());
    let (health, metrics) = (channel.health().clone(), bench.metrics.clone());
    let checking = tokio::spawn({
        let (cancel, health) = (cancel.clone(), health.clone());
        async move { health.run(channel, metrics, cancel).await }
    });
    eventually("well", || fake.subscribed.lock().len() == 6).await;
    fake.deliver("a", r#"{"id":"1"}"#, Metadata::new())
        .await
        .unwrap()
        .unwrap();
    app.next().await;
    cancel.cancel();
    checking.await.unwrap();
    bench.block.stop().await;
    assert!(
        fake.deliver("a", r#"{"id":"2"}"#, Metadata::new()).await.is_err(),
        "nobody takes it"
    );
}

#[tokio::test]
async fn a_reload_changes_only_what_changed() {
    let mut app = HttpApp::willing(None).await;
    let fake = Arc::new(Fake::default());
    let broker: Arc<dyn Broker> = fake.clone();
    let topics = |names: &[&str]| {
        names
            .iter()
            .map(|t| declare(t, &["/x"], nothing_more))
            .collect::<Vec<_>>()
    };
    let first = snapshot(&[("ps", &[], &broker)]);
    let component = first.pubsub["ps"].clone();
    let bench = start(
        Snapshot {
            subscriptions: topics(&["a", "b"]),
            ..first
        },
        &app,
    )
    .await;
    let next = |names: &[&str]| {
        let mut next = Snapshot {
            subscriptions: topics(names),
            ..Snapshot::default()
        };
        next.pubsub.insert("ps".into(), component.clone());
        next
    };
    bench.reload(next(&["c", "b"])).await;
    assert_eq!(
        bench.listed(),
        ["ps b /x DECLARATIVE", "ps c /x DECLARATIVE"],
        "what changed comes last"
    );
    let subscribed = || {
        fake.subscribed
            .lock()
            .iter()
            .map(|s| s.topic.clone())
            .collect::<Vec<_>>()
    };
    let mut all = subscribed();
    all[..2].sort();
    assert_eq!(all, ["a", "b", "c"]);
    bench.reload(next(&["c", "b"])).await;
    assert_eq!(subscribed().len(), 3);
    // The component itself is replaced.
    bench
        .reload(Snapshot {
            subscriptions: topics(&["c", "b"]),
            ..snapshot(&[("ps", &[], &broker)])
        })
        .await;
    eventually("anew at the new component", || subscribed().len() == 5).await;
    fake.deliver("b", r#"{"id":"1"}"#, Metadata::new())
        .await
        .unwrap()
        .unwrap();
    app.next().await;
    // And removed, and added again.
    bench
        .reload(Snapshot {
            subscriptions: topics(&["b"]),
            ..Snapshot::default()
        })
        .await;
    assert_eq!(bench.listed().len(), 1);
    bench
        .reload(Snapshot {
            subscriptions: topics(&["b"]),
            ..snapshot(&[("ps", &[], &broker)])
        })
        .await;
    eventually("back", || subscribed().len() == 6).await;
}

#[tokio::test]
async fn a_reload_waits_for_what_is_in_flight_at_a_component_that_goes() {
    let mut app = HttpApp::willing(None).await;
    let fake = Arc::new(Fake::default());
    let broker: Arc<dyn Broker> = fake.clone();
    let subscriptions = vec![declare("a", &["/a"], nothing_more)];
    let bench = Arc::new(
        start(
            Snapshot {
                subscriptions: subscriptions.clone(),
                ..snapshot(&[("ps", &[], &broker)])
            },
            &app,
        )
        .await,
    );
    app.gate.send_replace(false);
    let told = fake.deliver("a", r#"{"id":"1"}"#, Metadata::new());
    app.next().await;
    bench.runtime.swap(Snapshot {
        subscriptions,
        ..Snapshot::default()
    });
    let block = bench.block.clone();
    let reloading = tokio::spawn(async move { block.reload().await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!reloading.is_finished());
    app.gate.send_replace(true);
    told.await.unwrap().unwrap();
    reloading.await.unwrap();
}

#[tokio::test]
async fn the_end_waits_for_what_is_in_flight() {
    let mut app = HttpApp::willing(None).await;
    let fake = Arc::new(Fake::default());
    let broker: Arc<dyn Broker> = fake.clone();
    let loaded = Snapshot {
        subscriptions: vec![declare("a", &["/a"], nothing_more)],
        ..snapshot(&[("ps", &[], &broker)])
    };
    let bench = start(loaded, &app).await;
    app.gate.send_replace(false);
    let told = fake.deliver("a", r#"{"id":"1"}"#, Metadata::new());
    app.next().await;
    bench.cancel.cancel();
    let block = bench.block.clone();
    let stopping = tokio::spawn(async move { block.stop().await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!stopping.is_finished());
    assert_eq!(*fake.pauses.lock(), 1);
    let late = fake.deliver("a", r#"{"id":"2"}"#, Metadata::new());
    app.gate.send_replace(true);
    told.await.unwrap().unwrap();
    stopping.await.unwrap();
    // Neither a positive nor a negative answer.
    assert!(late.await.is_err());
    assert_eq!(app.waiting(), 0);
}

#[tokio::test]
async fn many_subscriptions_leave_nothing_behind() {
    let app = HttpApp::willing(None).await;
    let broker = in_memory().await;
    let first = snapshot(&[("ps", &[], &broker)]);
    let component = first.pubsub["ps"].clone();
    let bench = start(first, &app).await;
    for round in 0..100 {
        let mut next = Snapshot {
            subscriptions: vec![declare(&format!("t{round}"), &["/x"], nothing_more)],
            ..Snapshot::default()
        };
        next.pubsub.insert("ps".into(), component.clone());
        bench.reload(next).await;
    }
    bench.reload(Snapshot::default()).await;
    assert_eq!(bench.listed(), Vec::<String>::new());
    // The broker, this test, and nobody else.
    assert_eq!(Arc::strong_count(&component), 1);
    bench.block.stop().await;
}
