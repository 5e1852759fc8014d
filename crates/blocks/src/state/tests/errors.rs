//! The errors: codes, statuses, texts, details, over both transports.

use super::{
    bench,
    fake::{Fake, told},
    stores,
};
use crate::testing::{Bench, loaded, reason};
use bytes::Bytes;
use component::state::StateStore;
use serde_json::{Value, json};
use std::sync::Arc;
use tonic::Code;
use tonic_types::StatusExt;
use wire::{
    common::v1::StateItem,
    runtime::v1::{
        DeleteBulkStateRequest, DeleteStateRequest, ExecuteStateTransactionRequest, GetBulkStateRequest,
        GetBulkStateResponse, GetStateRequest, GetStateResponse, QueryStateRequest, QueryStateResponse,
        SaveStateRequest,
    },
};

/// The status of each RPC for a store, with a key.
async fn statuses(bench: &Bench, store: &str, key: &str) -> Vec<(&'static str, tonic::Status)> {
    let (store_name, key) = (store.to_owned(), key.to_owned());
    let states = vec![StateItem {
        key: key.clone(),
        value: Bytes::from_static(b"1"),
        ..StateItem::default()
    }];
    let get = GetStateRequest {
        store_name: store_name.clone(),
        key: key.clone(),
        ..Default::default()
    };
    let bulk = GetBulkStateRequest {
        store_name: store_name.clone(),
        keys: vec![key.clone()],
        ..Default::default()
    };
    let save = SaveStateRequest {
        store_name: store_name.clone(),
        states: states.clone(),
    };
    let delete = DeleteStateRequest {
        store_name: store_name.clone(),
        key,
        ..Default::default()
    };
    let delete_bulk = DeleteBulkStateRequest {
        store_name: store_name.clone(),
        states,
    };
    let transact = ExecuteStateTransactionRequest {
        store_name: store_name.clone(),
        ..Default::default()
    };
    let query = QueryStateRequest {
        store_name,
        query: format!(r#"{{"page":{{"token":"{}"}}}}"#, delete.key),
        ..Default::default()
    };
    let mut all = vec![
        (
            "GetState",
            bench.grpc::<_, GetStateResponse>("GetState", &get).await.err(),
        ),
        (
            "GetBulkState",
            bench.grpc::<_, GetBulkStateResponse>("GetBulkState", &bulk).await.err(),
        ),
        ("SaveState", bench.grpc::<_, ()>("SaveState", &save).await.err()),
        ("DeleteState", bench.grpc::<_, ()>("DeleteState", &delete).await.err()),
        (
            "DeleteBulkState",
            bench.grpc::<_, ()>("DeleteBulkState", &delete_bulk).await.err(),
        ),
        (
            "ExecuteStateTransaction",
            bench.grpc::<_, ()>("ExecuteStateTransaction", &transact).await.err(),
        ),
        (
            "QueryStateAlpha1",
            bench
                .grpc::<_, QueryStateResponse>("QueryStateAlpha1", &query)
                .await
                .err(),
        ),
    ];
    all.retain(|(_, status)| status.is_some());
    all.into_iter().map(|(name, status)| (name, status.unwrap())).collect()
}

const ROUTES: [(&str, &str); 6] = [
    ("GET", "/v1.0/state/nope/k"),
    ("POST", "/v1.0/state/nope"),
    ("DELETE", "/v1.0/state/nope/k"),
    ("POST", "/v1.0/state/nope/bulk"),
    ("POST", "/v1.0/state/nope/transaction"),
    ("POST", "/v1.0-alpha1/state/nope/query"),
];

#[tokio::test]
async fn a_store_that_is_missing() {
    for (some, code, http, message, grpc) in [
        (
            false,
            "NOT_CONFIGURED",
            500,
            "state store nope is not configured",
            Code::FailedPrecondition,
        ),
        (
            true,
            "NOT_FOUND",
            400,
            "state store nope is not found",
            Code::InvalidArgument,
        ),
    ] {
        let list: &[(&str, &[(&str, &str)])] = if some { &[("mem", &[])] } else { &[] };
        let bench = bench(stores(list).await);
        for (method, target) in ROUTES {
            let answer = bench.http(method, target, "").await;
            assert_eq!(
                (answer.status, answer.code()),
                (http, format!("ERR_STATE_STORE_{code}")),
                "{target}"
            );
            assert_eq!(answer.message(), message);
            let details = answer.json()["details"].clone();
            let want = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "dapr.io",
                "reason": format!("DAPR_STATE_{code}"), "metadata": {"appID": "app"}}]);
            assert_eq!(details, want);
        }
        let all = statuses(&bench, "nope", "k").await;
        assert_eq!(all.len(), 7);
        for (name, status) in all {
            assert_eq!((status.code(), status.message()), (grpc, message), "{name}");
            let info = status.get_details_error_info().unwrap();
            assert_eq!(
                (info.reason, info.domain.as_str()),
                (format!("DAPR_STATE_{code}"), "dapr.io")
            );
            assert!(info.metadata.is_empty() && status.get_details_resource_info().is_none());
        }
    }
}

#[tokio::test]
async fn a_key_that_no_key_may_be() {
    let bench = bench(stores(&[("mem", &[])]).await);
    let plain = "input key/keyPrefix 'x||y' can't contain '||'";
    for (method, target, body) in [
        ("GET", "/v1.0/state/mem/x||y", ""),
        ("GET", "/v1.0/state/mem/x%7C%7Cy", ""),
        ("DELETE", "/v1.0/state/mem/x||y", ""),
        ("POST", "/v1.0/state/mem", r#"[{"key":"x||y","value":1}]"#),
        ("POST", "/v1.0/state/mem/bulk", r#"{"keys":["a","x||y"]}"#),
        (
            "POST",
            "/v1.0/state/mem/transaction",
            r#"{"operations":[{"operation":"upsert","request":{"key":"x||y"}}]}"#,
        ),
        (
            "POST",
            "/v1.0/state/mem/transaction",
            r#"{"operations":[{"operation":"delete","request":{"key":"x||y"}}]}"#,
        ),
    ] {
        let answer = bench.http(method, target, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "ERR_MALFORMED_REQUEST"),
            "{target}"
        );
        assert_eq!(
            answer.message(),
            format!("api error: code = InvalidArgument desc = {plain}")
        );
        let details = answer.json()["details"].clone();
        let of = |kind: &str| {
            let found = details
                .as_array()
                .unwrap()
                .iter()
                .find(|detail| detail["@type"] == format!("type.googleapis.com/google.rpc.{kind}"));
            found.cloned().unwrap_or(Value::Null)
        };
        assert_eq!(
            (&of("ErrorInfo")["reason"], &of("ErrorInfo")["metadata"]),
            (&json!("DAPR_STATE_ILLEGAL_KEY"), &Value::Null)
        );
        assert_eq!(
            (
                &of("ResourceInfo")["resource_type"],
                &of("ResourceInfo")["resource_name"]
            ),
            (&json!("state"), &json!("mem"))
        );
        assert_eq!(
            of("BadRequest")["field_violations"],
            json!([{"field": "x||y", "description": plain}])
        );
    }
    for (name, status) in statuses(&bench, "mem", "x||y").await {
        if name == "QueryStateAlpha1" {
            continue;
        }
        assert_eq!(
            (status.code(), status.message()),
            (Code::InvalidArgument, plain),
            "{name}"
        );
        assert_eq!(reason(&status), "DAPR_STATE_ILLEGAL_KEY");
        assert_eq!(status.get_details_resource_info().unwrap().resource_name, "mem");
        assert_eq!(
            status.get_details_bad_request().unwrap().field_violations[0].field,
            "x||y"
        );
    }
    let text = bench.metrics.render();
    assert!(
        text.contains(r#"dapr_error_code_total{app_id="app",category="state",error_code="ERR_MALFORMED_REQUEST"} 7"#)
    );
}

async fn faked() -> Bench {
    let mut snapshot = stores(&[("mem", &[])]).await;
    snapshot
        .state
        .extend([loaded("fake", &[], Fake::new(Some(0)) as Arc<dyn StateStore>)]);
    bench(snapshot)
}

#[tokio::test]
async fn failures_of_a_store() {
    let bench = faked().await;
    let post = |key: &str, more: &str| format!(r#"[{{"key":"{key}","value":1}}{more}]"#);
    for (key, why, save_status, get_status) in [
        ("broken", "it broke", 500, 500),
        ("plain", "rpc error: code = NotFound desc = plain", 500, 500),
        ("told", "api error: code = DataLoss desc = the-message", 506, 506),
        (
            "mismatch",
            "possible etag mismatch. error from state store: theirs",
            409,
            500,
        ),
        ("invalid", "invalid etag value: odd", 400, 500),
    ] {
        for more in ["", r#",{"key":"b","value":1}"#] {
            let answer = bench.http("POST", "/v1.0/state/fake", &post(key, more)).await;
            let want = json!({"errorCode": "ERR_STATE_SAVE", "message": format!("failed saving state in state store fake: {why}")});
            assert_eq!((answer.status, answer.json()), (save_status, want), "{key}");
        }
        let answer = bench.http("DELETE", &format!("/v1.0/state/fake/{key}"), "").await;
        let want =
            json!({"errorCode": "ERR_STATE_DELETE", "message": format!("failed deleting state with key {key}: {why}")});
        assert_eq!((answer.status, answer.json()), (save_status, want), "{key}");
        let answer = bench.http("GET", &format!("/v1.0/state/fake/{key}"), "").await;
        let want =
            json!({"errorCode": "ERR_STATE_GET", "message": format!("fail to get {key} from state store fake: {why}")});
        assert_eq!((answer.status, answer.json()), (get_status, want), "{key}");
        let answer = bench
            .http("POST", "/v1.0/state/fake/bulk", &format!(r#"{{"keys":["{key}"]}}"#))
            .await;
        let want = json!({"errorCode": "ERR_STATE_BULK_GET", "message": why});
        assert_eq!((answer.status, answer.json()), (get_status, want), "{key}");
        let body = format!(r#"{{"operations":[{{"operation":"delete","request":{{"key":"{key}"}}}}]}}"#);
        let answer = bench.http("POST", "/v1.0/state/fake/transaction", &body).await;
        let want = json!({"errorCode": "ERR_STATE_TRANSACTION", "message": format!("error while executing state transaction: {why}")});
        assert_eq!((answer.status, answer.json()), (500, want), "{key}");
    }
}

#[tokio::test]
async fn failures_of_a_store_over_grpc() {
    let bench = faked().await;
    let codes = async |key: &str| -> Vec<(&'static str, Code, String)> {
        let all = statuses(&bench, "fake", key).await.into_iter();
        all.map(|(name, status)| (name, status.code(), reason(&status)))
            .collect()
    };
    let internal = |name: &'static str, code: &str| (name, Code::Internal, code.to_owned());
    assert_eq!(
        codes("broken").await,
        [
            internal("GetState", "ERR_STATE_GET"),
            ("GetBulkState", Code::Unknown, String::new()),
            internal("SaveState", "ERR_STATE_SAVE"),
            internal("DeleteState", "ERR_STATE_DELETE"),
            internal("DeleteBulkState", "ERR_STATE_BULK_DELETE"),
            internal("QueryStateAlpha1", "DAPR_STATE_QUERY_FAILED"),
        ]
    );
    assert_eq!(codes("plain").await[1], ("GetBulkState", Code::NotFound, String::new()));
    for (name, code) in [("mismatch", Code::Aborted), ("invalid", Code::InvalidArgument)] {
        let found = codes(name).await;
        assert!(found[2..5].iter().all(|(_, found, _)| *found == code), "{found:?}");
    }
    for (name, status) in statuses(&bench, "fake", "told").await {
        assert_eq!(
            (status.code(), status.message()),
            (Code::DataLoss, "the-message"),
            "{name}"
        );
        let info = status.get_details_error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str(), info.metadata.len()),
            ("the-reason", "the-domain", 0)
        );
    }
    assert!(told().status.is_some());
}

#[tokio::test]
async fn queries_that_fail() {
    let bench = faked().await;
    let target = "/v1.0-alpha1/state/fake/query";
    let answer = bench.http("POST", target, r#"{"page":{"token":"told"}}"#).await;
    let details = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "the-domain", "metadata": null, "reason": "the-reason"}]);
    assert_eq!(answer.status, 506);
    assert_eq!(
        answer.json(),
        json!({"errorCode": "the-tag", "message": "the-message", "details": details})
    );
    let answer = bench.http("POST", target, r#"{"page":{"token":"broken"}}"#).await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "ERR_STATE_QUERY"));
    assert_eq!(answer.message(), "state store fake query failed: it broke");
    assert_eq!(answer.json()["details"].as_array().unwrap().len(), 2);
    let answer = bench.http("POST", "/v1.0-alpha1/state/mem/query", "{}").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (500, "ERR_STATE_STORE_NOT_SUPPORTED")
    );
    assert_eq!(answer.message(), "state store does not support querying");
    let status = statuses(&bench, "mem", "k").await.pop().unwrap().1;
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Internal, "DAPR_STATE_QUERYING_NOT_SUPPORTED")
    );
    assert_eq!(status.get_details_resource_info().unwrap().resource_name, "mem");
}

#[tokio::test]
async fn an_empty_key() {
    let bench = faked().await;
    let states = vec![StateItem::default()];
    let status = bench
        .grpc::<_, ()>(
            "SaveState",
            &SaveStateRequest {
                store_name: "mem".into(),
                states,
            },
        )
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "state key cannot be empty")
    );
    assert_eq!(reason(&status), "ERR_STATE_SAVE");
}
