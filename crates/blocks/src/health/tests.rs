//! Tests of the health endpoints.

use super::{Health, OPS};
use crate::testing::{Bench, check_transports};
use runtime::Snapshot;
use serde_json::json;
use service::Health as Parts;

#[test]
fn operations_have_both_transports() {
    let no_rpc = "Dapr's gRPC API has no RPC for it";
    check_transports(OPS, &[], &[("Healthz", no_rpc), ("HealthzOutbound", no_rpc)]);
}

#[tokio::test]
async fn readiness() {
    let (all, outbound) = (Parts::default(), Parts::default());
    let (app, api) = (all.target("app"), all.target("api"));
    let out = outbound.target("components");
    let bench = Bench::new(Snapshot::default(), OPS, |_| Health { all, outbound });

    let answer = bench.http("GET", "/v1.0/healthz", "").await;
    let want = json!({"errorCode": "ERR_HEALTH_NOT_READY", "message": answer.message()});
    assert_eq!((answer.status, answer.json()), (500, want));
    assert!(
        answer.message().starts_with("dapr is not ready: ["),
        "{}",
        answer.message()
    );
    assert!(answer.message().contains("app") && answer.message().contains("api"));
    let answer = bench.http("GET", "/v1.0/healthz/outbound", "").await;
    let want =
        json!({"errorCode": "ERR_OUTBOUND_HEALTH_NOT_READY", "message": "dapr outbound is not ready: [components]"});
    assert_eq!((answer.status, answer.json()), (500, want));

    out.ready();
    assert_eq!(bench.http("GET", "/v1.0/healthz/outbound", "").await.status, 204);
    app.ready();
    assert_eq!(
        bench.http("GET", "/v1.0/healthz", "").await.message(),
        "dapr is not ready: [api]"
    );
    api.ready();
    assert_eq!(bench.http("GET", "/v1.0/healthz", "").await.status, 204);
    app.not_ready();
    assert_eq!(bench.http("GET", "/v1.0/healthz", "").await.status, 500);
}

#[tokio::test]
async fn the_application_that_is_asked_for() {
    let all = Parts::default();
    all.target("api").ready();
    let bench = Bench::new(Snapshot::default(), OPS, |_| Health {
        all,
        outbound: Parts::default(),
    });
    let other = (500, "ERR_HEALTH_APPID_NOT_MATCH".to_owned());
    for (query, want) in [
        ("", (204, String::new())),
        ("?appid=app", (204, String::new())),
        ("?appid=other", other.clone()),
        ("?appid=", other),
    ] {
        let answer = bench.http("GET", &format!("/v1.0/healthz{query}"), "").await;
        assert_eq!((answer.status, answer.code()), want, "{query}");
    }
}
