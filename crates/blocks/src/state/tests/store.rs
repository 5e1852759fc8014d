//! Prefixes of keys.

use super::{super::check, bench, stores, views};
use crate::testing::{info, loaded, open};
use component::state::{Get, StateStore};
use proptest::prelude::*;
use std::sync::Arc;

/// The key that a store sees for `key`.
async fn whole(properties: &[(&str, &str)], key: &str) -> Option<String> {
    let store: Arc<dyn StateStore> = Arc::new(open::<component_local::state::State>(&[]).await);
    let mut snapshot = runtime::Snapshot::default();
    snapshot.state.extend([loaded("st", properties, store.clone())]);
    let bench = bench(snapshot);
    let body = serde_json::json!([{"key": key, "value": 1}]).to_string();
    assert_eq!(bench.http("POST", "/v1.0/state/st", &body).await.status, 204);
    for prefix in ["app||", "ns.app||", "st||", "", "custom||"] {
        let get = Get {
            key: format!("{prefix}{key}"),
            ..Get::default()
        };
        if store.get(get).await.unwrap().is_some() {
            return Some(prefix.to_owned());
        }
    }
    None
}

#[tokio::test]
async fn prefixes() {
    for (mode, want) in [
        (None, "app||"),
        (Some(""), "app||"),
        (Some("appid"), "app||"),
        (Some("AppID"), "app||"),
        (Some("namespace"), "ns.app||"),
        (Some("name"), "st||"),
        (Some("none"), ""),
        (Some("Custom"), "custom||"),
    ] {
        let properties: Vec<(&str, &str)> = mode.map(|mode| ("KeyPrefix", mode)).into_iter().collect();
        assert_eq!(whole(&properties, "k").await.as_deref(), Some(want), "{mode:?}");
    }
}

#[tokio::test]
async fn keys_come_back_without_their_prefix() {
    let bench = bench(stores(&[("mem", &[("keyPrefix", "namespace")])]).await);
    bench
        .http("POST", "/v1.0/state/mem", r#"[{"key":"a","value":1}]"#)
        .await;
    let lines = bench
        .http("POST", "/v1.0/state/mem/bulk", r#"{"keys":["a"]}"#)
        .await
        .json();
    assert_eq!(lines[0]["key"], "a");
}

#[tokio::test]
async fn applications_do_not_see_each_other() {
    let bench = bench(views(("one", &[]), ("other", &[("keyPrefix", "name")])).await);
    bench
        .http("POST", "/v1.0/state/one", r#"[{"key":"a","value":1}]"#)
        .await;
    assert_eq!(bench.http("GET", "/v1.0/state/one/a", "").await.status, 200);
    assert_eq!(bench.http("GET", "/v1.0/state/other/a", "").await.status, 204);
}

#[tokio::test]
async fn a_prefix_that_none_may_be() {
    let snapshot = stores(&[("mem", &[("keyPrefix", "a||b")]), ("good", &[])]).await;
    let why = check(&snapshot.state["mem"], &info()).unwrap_err();
    assert!(why.contains("input key/keyPrefix 'a||b' can't contain '||'"), "{why}");
    check(&snapshot.state["good"], &info()).unwrap();
    let answer = bench(snapshot).http("GET", "/v1.0/state/mem/k", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "ERR_INTERNAL"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_key_comes_back(keys in proptest::collection::vec("\\PC{1,12}", 1..5), mode in "(appid|none|name|[a-z]{1,8})") {
        let keys: Vec<String> = keys.into_iter().filter(|key| !key.contains("||")).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = bench(stores(&[("mem", &[("keyPrefix", &mode)])]).await);
            let items: Vec<_> = keys.iter().map(|key| serde_json::json!({"key": key, "value": key})).collect();
            let body = serde_json::to_string(&items).unwrap();
            assert_eq!(bench.http("POST", "/v1.0/state/mem", &body).await.status, 204);
            let body = serde_json::json!({"keys": keys}).to_string();
            let lines = bench.http("POST", "/v1.0/state/mem/bulk", &body).await.json();
            for (key, line) in keys.iter().zip(lines.as_array().unwrap()) {
                assert_eq!((line["key"].as_str(), line["data"].as_str()), (Some(key.as_str()), Some(key.as_str())));
            }
        });
    }
}
