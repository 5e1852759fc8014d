//! The API over gRPC: values are bytes.

use super::{bench, fake::Fake, memory};
use crate::testing::{loaded, reason};
use bytes::Bytes;
use component::state::{Concurrency, StateStore};
use runtime::Snapshot;
use std::{collections::HashMap, sync::Arc};
use tonic::Code;
use wire::{
    common::v1::{Etag, StateItem, StateOptions},
    runtime::v1::{
        DeleteBulkStateRequest, DeleteStateRequest, GetBulkStateRequest, GetBulkStateResponse, GetStateRequest,
        GetStateResponse, QueryStateRequest, QueryStateResponse, SaveStateRequest,
    },
};

fn item(key: &str, value: &'static [u8]) -> StateItem {
    StateItem {
        key: key.into(),
        value: Bytes::from_static(value),
        ..StateItem::default()
    }
}

fn save(store: &str, states: Vec<StateItem>) -> SaveStateRequest {
    SaveStateRequest {
        store_name: store.into(),
        states,
    }
}

fn get(store: &str, key: &str) -> GetStateRequest {
    GetStateRequest {
        store_name: store.into(),
        key: key.into(),
        ..GetStateRequest::default()
    }
}

fn etag(value: &str) -> Option<Etag> {
    Some(Etag { value: value.into() })
}

#[tokio::test]
async fn bytes_come_back_as_they_were() {
    let bench = memory().await;
    let states = vec![
        item("raw", b"\xff\x00 {"),
        item("empty", b""),
        item("json", br#"{"a" : 1}"#),
    ];
    bench.grpc::<_, ()>("SaveState", &save("mem", states)).await.unwrap();
    for (key, want) in [
        ("raw", b"\xff\x00 {".as_slice()),
        ("empty", b""),
        ("json", br#"{"a" : 1}"#),
        ("none", b""),
    ] {
        let found: GetStateResponse = bench.grpc("GetState", &get("mem", key)).await.unwrap();
        assert_eq!(&found.data[..], want, "{key}");
        assert_eq!(found.etag.is_empty(), key == "none");
    }
    assert_eq!(bench.http("GET", "/v1.0/state/mem/empty", "").await.status, 204);
    let request = GetBulkStateRequest {
        store_name: "mem".into(),
        keys: vec!["raw".into(), "none".into(), String::new()],
        parallelism: -3,
        ..GetBulkStateRequest::default()
    };
    let found: GetBulkStateResponse = bench.grpc("GetBulkState", &request).await.unwrap();
    let lines: Vec<_> = found
        .items
        .iter()
        .map(|item| (item.key.as_str(), item.data.len(), item.error.as_str()))
        .collect();
    assert_eq!(lines, [("raw", 4, ""), ("none", 0, ""), ("", 0, "")]);
    // Over HTTP what is no JSON is a string, and what is no text has an error of its own.
    let answer = bench
        .http("POST", "/v1.0/state/mem/bulk", r#"{"keys":["raw","json"]}"#)
        .await
        .json();
    assert!(answer[0]["error"].as_str().unwrap().contains("neither JSON nor text"));
    assert_eq!(answer[1]["data"]["a"], 1);
}

#[tokio::test]
async fn json_by_content_type_is_checked_and_compact() {
    let bench = memory().await;
    let with = |key: &str, value: &'static [u8], name: &str, told: &str| {
        let metadata = HashMap::from([(name.to_owned(), told.to_owned())]);
        save(
            "mem",
            vec![StateItem {
                metadata,
                ..item(key, value)
            }],
        )
    };
    bench
        .grpc::<_, ()>(
            "SaveState",
            &with("a", br#" {"a" : 1}"#, "contentType", "application/json"),
        )
        .await
        .unwrap();
    let found: GetStateResponse = bench.grpc("GetState", &get("mem", "a")).await.unwrap();
    assert_eq!(&found.data[..], br#"{"a":1}"#);
    let bad = bench
        .grpc::<_, ()>("SaveState", &with("b", b"[1] x", "contentType", "application/json"))
        .await
        .unwrap_err();
    assert_eq!((bad.code(), reason(&bad)), (Code::Unknown, String::new()));
    for (name, told) in [
        ("contenttype", "application/json"),
        ("contentType", "application/json; charset=utf-8"),
        ("contentType", "text/plain"),
    ] {
        bench
            .grpc::<_, ()>("SaveState", &with("b", b"[1] x", name, told))
            .await
            .unwrap();
        let found: GetStateResponse = bench.grpc("GetState", &get("mem", "b")).await.unwrap();
        assert_eq!(&found.data[..], b"[1] x");
    }
}

#[tokio::test]
async fn entity_tags_and_options() {
    let bench = memory().await;
    bench
        .grpc::<_, ()>("SaveState", &save("mem", vec![item("a", b"1")]))
        .await
        .unwrap();
    for (tag, code) in [("", Code::Ok), ("77", Code::Aborted)] {
        let states = vec![StateItem {
            etag: etag(tag),
            ..item("a", b"2")
        }];
        let result = bench.grpc::<_, ()>("SaveState", &save("mem", states)).await;
        assert_eq!(result.err().map_or(Code::Ok, |status| status.code()), code, "{tag}");
        let request = DeleteStateRequest {
            store_name: "mem".into(),
            key: "b".into(),
            etag: etag(tag),
            ..Default::default()
        };
        let result = bench.grpc::<_, ()>("DeleteState", &request).await;
        assert_eq!(result.err().map_or(Code::Ok, |status| status.code()), code, "{tag}");
    }
    let states = vec![
        StateItem {
            etag: etag("8"),
            ..item("a", b"")
        },
        item("b", b""),
    ];
    let request = DeleteBulkStateRequest {
        store_name: "mem".into(),
        states,
    };
    let status = bench.grpc::<_, ()>("DeleteBulkState", &request).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Aborted, "ERR_STATE_BULK_DELETE")
    );
    for number in [-1, 7] {
        let options = Some(StateOptions {
            concurrency: number,
            consistency: number,
        });
        let states = vec![StateItem {
            options,
            ..item("a", b"1")
        }];
        bench.grpc::<_, ()>("SaveState", &save("mem", states)).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_store_is_asked_for() {
    let fake = Fake::new(None);
    let mut snapshot = Snapshot::default();
    snapshot
        .state
        .extend([loaded("fake", &[], fake.clone() as Arc<dyn StateStore>)]);
    let bench = bench(snapshot);
    let options = Some(StateOptions {
        concurrency: 1,
        consistency: 0,
    });
    bench
        .grpc::<_, ()>(
            "SaveState",
            &save(
                "fake",
                vec![StateItem {
                    options,
                    ..item("a", b"1")
                }],
            ),
        )
        .await
        .unwrap();
    let set = fake.sets.lock().pop().unwrap();
    assert_eq!(
        (set.options.concurrency, set.etag, set.content_type),
        (Concurrency::FirstWrite, None, None)
    );
    bench
        .grpc::<_, ()>("SaveState", &save("fake", vec![item("a", b"1"), item("b", b"1")]))
        .await
        .unwrap();
    bench.grpc::<_, ()>("SaveState", &save("fake", vec![])).await.unwrap();
    for keys in [&["a"][..], &["a", "b"], &[]] {
        let states = keys.iter().map(|key| item(key, b"")).collect();
        let request = DeleteBulkStateRequest {
            store_name: "fake".into(),
            states,
        };
        bench.grpc::<_, ()>("DeleteBulkState", &request).await.unwrap();
    }
    assert_eq!(
        *fake.calls.lock(),
        ["set", "bulk_set", "delete", "bulk_delete", "bulk_delete"]
    );
    let request = QueryStateRequest {
        store_name: "fake".into(),
        query: "{}".into(),
        ..Default::default()
    };
    let found: QueryStateResponse = bench.grpc("QueryStateAlpha1", &request).await.unwrap();
    let keys: Vec<_> = found
        .results
        .iter()
        .map(|row| (row.key.as_str(), row.error.as_str()))
        .collect();
    assert_eq!(
        (keys, found.token.as_str()),
        (vec![("a", ""), ("b", "an error")], "next")
    );
    let text = bench.metrics.render();
    for (operation, count) in [("set", 2), ("bulk_delete", 3), ("query", 1)] {
        let line = format!(
            r#"dapr_component_state_count{{app_id="app",component="fake",namespace="ns",operation="{operation}",success="true"}} {count}"#
        );
        assert!(text.contains(&line), "{line}");
    }
}
