//! Tests of the metadata API through both servers.

use super::{DAPR_VERSION, Metadata, OPS};
use crate::testing::{Bench, check_transports, info};
use app::{App, HealthOptions, Options, Protocol};
use parking_lot::Mutex;
use prost::Message;
use runtime::{Endpoint, Runtime, Snapshot, snapshot::Listed};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use telemetry::metrics::Metrics;
use wire::runtime::v1::{
    GetMetadataRequest, GetMetadataResponse, PubsubSubscription, PubsubSubscriptionRule, PubsubSubscriptionRules,
    PubsubSubscriptionType, SetMetadataRequest, ShutdownRequest,
};

fn app(protocol: Protocol) -> Arc<App> {
    let options = Options {
        protocol,
        address: "127.0.0.1".into(),
        port: 3000,
        max_concurrency: Some(7),
        token: None,
        max_header_bytes: 4096,
    };
    let health = HealthOptions {
        path: "/healthz".into(),
        interval: Duration::from_secs(5),
        timeout: Duration::from_millis(500),
        threshold: 3,
    };
    let runtime = Arc::new(Runtime::new(info(), Snapshot::default()));
    Arc::new(App::new(options, app::Health::new(Some(health)), runtime, Metrics::disabled()).unwrap())
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot {
        components: vec![
            Listed {
                name: "mem".into(),
                spec_type: "state.in-memory".into(),
                version: "v1".into(),
                capabilities: vec!["ETAG".into(), "ACTOR".into()],
            },
            Listed {
                name: "env".into(),
                spec_type: "secretstores.local.env".into(),
                version: "v1".into(),
                capabilities: vec![],
            },
        ],
        resiliencies: vec!["r".into()],
        mcp_servers: vec!["m".into()],
        workflow_access_policies: vec!["w".into()],
        ..Snapshot::default()
    };
    for name in ["two", "one"] {
        snapshot.endpoints.insert(
            name.into(),
            Arc::new(Endpoint {
                name: name.into(),
                ..Endpoint::default()
            }),
        );
    }
    snapshot
}

fn subscriptions() -> Vec<PubsubSubscription> {
    let rule = |r#match: &str, path: &str| PubsubSubscriptionRule {
        r#match: r#match.into(),
        path: path.into(),
    };
    vec![PubsubSubscription {
        pubsub_name: "ps".into(),
        topic: "t".into(),
        rules: Some(PubsubSubscriptionRules {
            rules: vec![rule("event.type == 'a'", "/a"), rule("", "/b")],
        }),
        dead_letter_topic: "dead".into(),
        r#type: PubsubSubscriptionType::Declarative.into(),
        ..PubsubSubscription::default()
    }]
}

fn bench(
    snapshot: Snapshot,
    app: Option<Arc<App>>,
    list: fn() -> Vec<PubsubSubscription>,
) -> (Bench, Arc<Mutex<Vec<bool>>>) {
    let stops = Arc::new(Mutex::new(Vec::new()));
    let noted = stops.clone();
    let stop = Box::new(move |force| noted.lock().push(force));
    let bench = Bench::new(snapshot, OPS, |_| Metadata::new(app, "0.0.1", Box::new(list), stop));
    (bench, stops)
}

#[test]
fn operations_have_both_transports() {
    check_transports(OPS, &[], &[]);
}

#[tokio::test]
async fn a_sidecar_with_nothing() {
    let (bench, _) = bench(Snapshot::default(), None, Vec::new);
    let answer = bench.http("GET", "/v1.0/metadata", "").await;
    let mut found = answer.json();
    found.as_object_mut().unwrap().remove("enabledFeatures");
    let want = json!({
        "id": "app", "runtimeVersion": DAPR_VERSION,
        "extended": {"daprRuntimeVersion": DAPR_VERSION, "outriggerVersion": "0.0.1"},
        "appConnectionProperties": {"protocol": "http", "channelAddress": "127.0.0.1"},
        "actorRuntime": {"runtimeStatus": "DISABLED", "hostReady": false, "placement": "placement: disconnected"},
    });
    assert_eq!((answer.status, found), (200, want));
}

#[tokio::test]
async fn a_sidecar_with_everything() {
    let (bench, _) = bench(snapshot(), Some(app(Protocol::Http)), subscriptions);
    let found = bench.http("GET", "/v1.0/metadata", "").await.json();
    let want = json!([
        {"name": "mem", "type": "state.in-memory", "version": "v1", "capabilities": ["ETAG", "ACTOR"]},
        {"name": "env", "type": "secretstores.local.env", "version": "v1"},
    ]);
    assert_eq!(without_empty(found["components"].clone()), want);
    assert_eq!(found["httpEndpoints"], json!([{"name": "one"}, {"name": "two"}]));
    for (field, name) in [
        ("resiliencies", "r"),
        ("mcpServers", "m"),
        ("workflowAccessPolicies", "w"),
    ] {
        assert_eq!(found[field], json!([{"name": name}]));
    }
    let want = json!([{"pubsubname": "ps", "topic": "t", "deadLetterTopic": "dead", "type": "DECLARATIVE",
        "rules": [{"match": "event.type == 'a'", "path": "/a"}, {"path": "/b"}]}]);
    assert_eq!(found["subscriptions"], want);
    let want = json!({"port": 3000, "protocol": "http", "channelAddress": "127.0.0.1", "maxConcurrency": 7, "health": {
        "healthCheckPath": "/healthz", "healthProbeInterval": "5s", "healthProbeTimeout": "500ms", "healthThreshold": 3}});
    assert_eq!(found["appConnectionProperties"], want);

    let found: GetMetadataResponse = bench.grpc("GetMetadata", &GetMetadataRequest {}).await.unwrap();
    assert_eq!(
        (
            found.id.as_str(),
            found.registered_components.len(),
            found.subscriptions
        ),
        ("app", 2, subscriptions())
    );
    assert_eq!(
        found
            .app_connection_properties
            .unwrap()
            .health
            .unwrap()
            .health_check_path,
        "/healthz"
    );
    assert!(found.workflows.is_some());
}

/// Lists that are empty, left out.
fn without_empty(mut list: serde_json::Value) -> serde_json::Value {
    for item in list.as_array_mut().unwrap() {
        item.as_object_mut()
            .unwrap()
            .retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
    }
    list
}

#[tokio::test]
async fn a_grpc_application_has_no_path_of_health() {
    let (bench, _) = bench(Snapshot::default(), Some(app(Protocol::Grpc)), Vec::new);
    let found = bench.http("GET", "/v1.0/metadata", "").await.json();
    let connection = &found["appConnectionProperties"];
    assert_eq!(
        (&connection["protocol"], connection["health"].get("healthCheckPath")),
        (&json!("grpc"), None)
    );
}

#[tokio::test]
async fn extended_metadata() {
    let (bench, _) = bench(Snapshot::default(), None, Vec::new);
    for (key, value) in [("k", "v\"<1"), ("a%2Fb", ""), ("k", "again")] {
        let answer = bench.http("PUT", &format!("/v1.0/metadata/{key}"), value).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    }
    let request = SetMetadataRequest {
        key: "g".into(),
        value: "w".into(),
    };
    bench.grpc::<_, ()>("SetMetadata", &request).await.unwrap();
    let extended = bench.http("GET", "/v1.0/metadata", "").await.json()["extended"].clone();
    assert_eq!(
        (&extended["k"], &extended["a/b"], &extended["g"]),
        (&json!("again"), &json!(""), &json!("w"))
    );
}

#[tokio::test]
async fn shutdown() {
    let (bench, stops) = bench(Snapshot::default(), None, Vec::new);
    assert_eq!(bench.http("POST", "/v1.0/shutdown", "").await.status, 204);
    bench
        .send("POST", "/v1.0/shutdown", &[("dapr-force-shutdown", "True")], "")
        .await;
    bench.grpc::<_, ()>("Shutdown", &ShutdownRequest {}).await.unwrap();
    let message = ShutdownRequest {}.encode_to_vec();
    bench
        .call::<()>("Shutdown", &[message], &[("dapr-force-shutdown", "true")])
        .await
        .result
        .unwrap();
    assert_eq!(*stops.lock(), [false, true, false, true]);
}
