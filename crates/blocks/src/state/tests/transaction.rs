//! Transactions.

use super::{bench, fake::Fake, stores};
use crate::testing::{Bench, loaded, reason};
use component::state::{Operation, StateStore};
use serde_json::json;
use std::sync::Arc;
use tonic::Code;
use tonic_types::StatusExt;
use wire::{
    common::v1::StateItem,
    runtime::v1::{ExecuteStateTransactionRequest, TransactionalStateOperation},
};

const MEM: &str = "/v1.0/state/mem/transaction";

async fn three() -> (Bench, Arc<Fake>) {
    let fake = Fake::new(Some(2));
    let mut snapshot = stores(&[("mem", &[])]).await;
    snapshot.state.extend([
        loaded("two", &[], fake.clone() as Arc<dyn StateStore>),
        loaded("none", &[], Fake::new(None) as Arc<dyn StateStore>),
    ]);
    (bench(snapshot), fake)
}

fn request(store: &str, operations: &[(&str, Option<&str>)]) -> ExecuteStateTransactionRequest {
    let operation = |(name, key): &(&str, Option<&str>)| TransactionalStateOperation {
        operation_type: (*name).into(),
        request: key.map(|key| StateItem {
            key: key.into(),
            ..StateItem::default()
        }),
    };
    ExecuteStateTransactionRequest {
        store_name: store.into(),
        operations: operations.iter().map(operation).collect(),
        metadata: Default::default(),
    }
}

#[tokio::test]
async fn all_or_nothing() {
    let (bench, _) = three().await;
    let body = r#"{"operations":[{"operation":"upsert","request":{"key":"a","value":[1, 2]}},
        {"OPERATION":"upsert","REQUEST":{"KEY":"b","VALUE":"x"}},{"operation":"delete","request":{"key":"a"}}]} junk"#;
    assert_eq!(bench.http("POST", MEM, body).await.status, 204);
    assert_eq!(bench.http("GET", "/v1.0/state/mem/a", "").await.status, 204);
    assert_eq!(bench.http("GET", "/v1.0/state/mem/b", "").await.text, r#""x""#);
    let body = r#"{"operations":[{"operation":"upsert","request":{"key":"a","value":1}},{"operation":"upsert","request":{"key":"b","value":2,"etag":"9"}}]}"#;
    let answer = bench.http("PUT", MEM, body).await;
    assert_eq!((answer.status, answer.code().as_str()), (500, "ERR_STATE_TRANSACTION"));
    assert!(
        answer
            .message()
            .starts_with("error while executing state transaction: possible etag mismatch. error from state store")
    );
    assert_eq!(bench.http("GET", "/v1.0/state/mem/a", "").await.status, 204);
    let mut message = request("mem", &[("upsert", Some("b"))]);
    message.operations[0].request.as_mut().unwrap().etag = Some(wire::common::v1::Etag { value: "5".into() });
    let status = bench
        .grpc::<_, ()>("ExecuteStateTransaction", &message)
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Internal, "ERR_STATE_TRANSACTION")
    );
}

#[tokio::test]
async fn bodies() {
    let (bench, _) = three().await;
    for body in [
        "{}",
        "null",
        r#"{"operations":null}"#,
        r#"{"operations":[{"operation":"upsert"}]}"#,
        r#"{"operations":[{"operation":"upsert","request":null}]}"#,
        r#"{"operations":[{"operation":"delete","request":{}}]}"#,
        r#"{"operations":[{"operation":"upsert","request":{"key":"t4","value":1,"foo":2}}],"metadata":{"ttlInSeconds":"1"}}"#,
    ] {
        assert_eq!(bench.http("POST", MEM, body).await.status, 204, "{body}");
    }
    for body in [
        "",
        "[]",
        r#"{"operations":{}}"#,
        r#"{"operations":[{"operation":5}]}"#,
        r#"{"operations":[{"operation":"upsert","request":{"key":5}}]}"#,
        r#"{"operations":[{"operation":"upsert","request":[1]}]}"#,
        r#"{"operations":[{"operation":"upsert","request":{"key":"k","metadata":{"a":1}}}]}"#,
        r#"{"operations":[{"operation":"upsert","request":{"key":"k","options":5}}]}"#,
    ] {
        let answer = bench.http("POST", MEM, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "ERR_MALFORMED_REQUEST"),
            "{body}"
        );
        assert!(answer.message().starts_with("failed deserializing HTTP body: "));
    }
    for name in ["", "bad", "Upsert"] {
        let answer = bench
            .http("POST", MEM, &format!(r#"{{"operations":[{{"operation":"{name}"}}]}}"#))
            .await;
        let want = json!({"errorCode": "ERR_NOT_SUPPORTED_STATE_OPERATION", "message": format!("operation type {name} not supported")});
        assert_eq!((answer.status, answer.json()), (400, want));
        let status = bench
            .grpc::<_, ()>("ExecuteStateTransaction", &request("mem", &[(name, Some("k"))]))
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::Unimplemented, "ERR_NOT_SUPPORTED_STATE_OPERATION")
        );
    }
    for name in ["upsert", "delete"] {
        bench
            .grpc::<_, ()>("ExecuteStateTransaction", &request("mem", &[(name, None)]))
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn stores_that_cannot() {
    let (bench, fake) = three().await;
    let answer = bench.http("POST", "/v1.0/state/none/transaction", "foo").await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (500, "ERR_STATE_STORE_NOT_SUPPORTED")
    );
    assert_eq!(answer.message(), "state store none doesn't support transactions");
    assert_eq!(answer.json()["details"].as_array().unwrap().len(), 3);
    let status = bench
        .grpc::<_, ()>("ExecuteStateTransaction", &request("none", &[]))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::Unimplemented, "DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED")
    );
    let help = status.get_details_help().unwrap();
    assert_eq!(
        help.links[0].url,
        "https://docs.dapr.io/reference/components-reference/supported-state-stores/"
    );
    assert_eq!(
        help.links[0].description,
        "Check the list of state stores and the features they support"
    );

    let step = r#"{"operation":"upsert","request":{"key":"k"}}"#;
    let many = format!(r#"{{"operations":[{step},{step},{step}]}}"#);
    let answer = bench.http("POST", "/v1.0/state/two/transaction", &many).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (400, "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS")
    );
    let text = "the transaction contains 3 operations, which is more than what the state store supports: 2";
    assert_eq!(answer.message(), text);
    let metadata = json!({"currentOpsTransaction": "3", "maxOpsPerTransaction": "2"});
    assert_eq!(answer.json()["details"][0]["metadata"], metadata);
    let operations = [("upsert", Some("a")), ("upsert", Some("b")), ("delete", Some("c"))];
    let status = bench
        .grpc::<_, ()>("ExecuteStateTransaction", &request("two", &operations))
        .await
        .unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::InvalidArgument, text));
    // What is wrong with an operation comes before what is wrong with their number.
    let bad = format!(r#"{{"operations":[{step},{step},{{"operation":"bad"}}]}}"#);
    assert_eq!(
        bench.http("POST", "/v1.0/state/two/transaction", &bad).await.code(),
        "ERR_NOT_SUPPORTED_STATE_OPERATION"
    );
    assert!(fake.committed.lock().is_empty());
}

#[tokio::test]
async fn what_the_store_is_asked_for() {
    let (bench, fake) = three().await;
    let body = r#"{"operations":[{"operation":"upsert","request":{"key":"a","value":{"q" : 1},"contentType":"t/x","etag":"e","metadata":{"m":"n"}}},
        {"operation":"delete","request":{"key":"b","value":5,"etag":"z"}}],"metadata":{"t":"u"}}"#;
    assert_eq!(
        bench.http("POST", "/v1.0/state/two/transaction", body).await.status,
        204
    );
    let (operations, metadata) = fake.committed.lock().pop().unwrap();
    assert_eq!(metadata["t"], "u");
    match &operations[..] {
        [Operation::Upsert(set), Operation::Delete(delete)] => {
            assert_eq!(
                (set.key.as_str(), &set.value[..], set.etag.as_deref()),
                ("app||a", br#"{"q":1}"#.as_slice(), Some("e"))
            );
            assert_eq!(
                (set.content_type.as_deref(), set.metadata["m"].as_str()),
                (Some("t/x"), "n")
            );
            assert_eq!((delete.key.as_str(), delete.etag.as_deref()), ("app||b", Some("z")));
        }
        other => panic!("{other:?}"),
    }
    let text = bench.metrics.render();
    let line = r#"dapr_component_state_count{app_id="app",component="two",namespace="ns",operation="transaction",success="true"} 1"#;
    assert!(text.contains(line), "{text}");
}
