//! What statuses of components become.

use super::*;
use component::{
    ApiAnswer, ComponentError, ErrorKind, Metadata,
    pubsub::Publish,
    state::{Get, Operation, Set},
};
use prost::Message;
use tonic_types::pb;

async fn component() -> (TempDir, Fake, Vec<Discovered>) {
    found(Script {
        services: &["StateStore", "TransactionalStateStore", "PubSub"],
        features: &["TRANSACTIONAL"],
        ..Script::default()
    })
    .await
}

fn get(key: &str) -> Get {
    Get {
        key: key.to_owned(),
        ..Get::default()
    }
}

fn set(key: &str) -> Set {
    Set {
        key: key.to_owned(),
        ..Set::default()
    }
}

/// The errors of reading and of writing a key, and of a transaction with it.
async fn errors(key: &str) -> [ComponentError; 3] {
    let (_folder, _fake, found) = component().await;
    let Ok(Opened::State(store)) = open(&found, Kind::State, &[]).await else {
        panic!("opens a state store");
    };
    let transaction = vec![Operation::Upsert(set(key))];
    let transactions = store.transactions().expect("has transactions");
    [
        store.get(get(key)).await.expect_err("fails"),
        store.set(set(key)).await.expect_err("fails"),
        transactions
            .execute(transaction, Metadata::new())
            .await
            .expect_err("fails"),
    ]
}

#[tokio::test]
async fn a_status_is_kept_as_it_came() {
    for error in errors("app||err:2:injected").await {
        assert_eq!(error.message, "rpc error: code = Unknown desc = injected");
        assert_eq!(error.kind, ErrorKind::Transient);
        let status = error.status.expect("the status is kept");
        assert_eq!(
            (status.code, status.message.as_str(), status.api),
            (2, "injected", None)
        );
        assert!(status.details.is_empty());
    }
}

#[tokio::test]
async fn codes_have_classes() {
    for (code, name, kind) in [
        (1, "Canceled", ErrorKind::Transient),
        (3, "InvalidArgument", ErrorKind::Permanent),
        (4, "DeadlineExceeded", ErrorKind::Transient),
        (5, "NotFound", ErrorKind::NotFound),
        (8, "ResourceExhausted", ErrorKind::Transient),
        (9, "FailedPrecondition", ErrorKind::Permanent),
        (12, "Unimplemented", ErrorKind::Unsupported),
        (14, "Unavailable", ErrorKind::Transient),
        (15, "DataLoss", ErrorKind::Permanent),
    ] {
        for error in errors(&format!("err:{code}:text")).await {
            assert_eq!(error.message, format!("rpc error: code = {name} desc = text"));
            assert_eq!(error.kind, kind, "{name}");
        }
    }
}

#[tokio::test]
async fn only_writes_have_errors_about_entity_tags() {
    let [read, write, transaction] = errors("err:9:text:etag:why").await;
    assert_eq!(read.kind, ErrorKind::Permanent);
    assert_eq!(read.message, "rpc error: code = FailedPrecondition desc = text");
    assert_eq!(write.kind, ErrorKind::EtagMismatch);
    assert_eq!(write.message, "possible etag mismatch. error from state store: why");
    assert_eq!(transaction.kind, ErrorKind::EtagMismatch);
    assert_eq!(transaction.message, "rpc error: code = FailedPrecondition desc = text");

    for error in errors("err:9:text:another-field:why").await {
        assert_eq!(error.kind, ErrorKind::Permanent);
        assert!(!error.status.expect("the status is kept").details.is_empty());
    }
}

#[tokio::test]
async fn a_store_may_say_what_the_api_answers() {
    for error in errors("err:15:get-error:kit:506:get-tag").await {
        assert_eq!(error.message, "api error: code = DataLoss desc = get-error");
        let status = error.status.expect("the status is kept");
        assert_eq!((status.code, status.message.as_str()), (15, "get-error"));
        let answer = ApiAnswer {
            http_status: 506,
            error_code: "get-tag".to_owned(),
        };
        assert_eq!(status.api, Some(answer));

        let details = pb::Status::decode(status.details).expect("a status").details;
        let info = pb::ErrorInfo::decode(details[0].value.as_slice()).expect("an ErrorInfo");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("A_REASON", "a.domain"));
        assert!(info.metadata.is_empty());
    }
}

#[tokio::test]
async fn a_status_that_is_no_http_status_is_500() {
    for bad in ["", "99999", "-1", "x"] {
        let [error, ..] = errors(&format!("err:15:m:kit:{bad}:tag")).await;
        let api = error
            .status
            .and_then(|status| status.api)
            .expect("an answer for the API");
        assert_eq!(api.http_status, 500, "{bad}");
    }
}

#[tokio::test]
async fn brokers_do_not_say_what_the_api_answers() {
    let (_folder, _fake, found) = component().await;
    let Ok(Opened::PubSub(broker)) = open(&found, Kind::PubSub, &[]).await else {
        panic!("opens a broker");
    };
    let publish = Publish {
        topic: "err:14:down:kit:418:tag".to_owned(),
        ..Publish::default()
    };
    let error = broker.publish(publish).await.expect_err("fails");
    assert_eq!(error.message, "rpc error: code = Unavailable desc = down");
    assert_eq!(error.status.map(|status| (status.code, status.api)), Some((14, None)));
}
