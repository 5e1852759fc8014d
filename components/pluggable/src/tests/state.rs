//! State stores.

use super::*;
use bytes::Bytes;
use component::{
    ErrorKind, Metadata,
    state::{Concurrency, Consistency, Delete, Feature, Get, Operation, Options, Query, Set, StateStore, Transactions},
};
use std::sync::Arc;

const FULL: Script = Script {
    services: &[
        "StateStore",
        "TransactionalStateStore",
        "TransactionalStoreMultiMaxSize",
        "QueriableStateStore",
    ],
    features: &["ETAG", "NO_SUCH_FEATURE", "TRANSACTIONAL", "TTL"],
    max_size: 3,
    lazy: false,
    ping_after: Duration::ZERO,
    pausable: true,
    alpha: false,
    init_error: None,
};

async fn store(script: Script) -> (TempDir, Fake, Arc<dyn StateStore>) {
    let (folder, fake, found) = found(script).await;
    match open(&found, Kind::State, &[("Url", "x"), ("keyPrefix", "none")]).await {
        Ok(Opened::State(store)) => (folder, fake, store),
        other => panic!("not a state store: {other:?}"),
    }
}

fn get(key: &str) -> Get {
    Get {
        key: key.to_owned(),
        ..Get::default()
    }
}

fn set(key: &str, value: &str, etag: Option<&str>) -> Set {
    Set {
        key: key.to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
        etag: etag.map(str::to_owned),
        ..Set::default()
    }
}

fn delete(key: &str, etag: Option<&str>) -> Delete {
    Delete {
        key: key.to_owned(),
        etag: etag.map(str::to_owned),
        ..Delete::default()
    }
}

fn transactions(store: &Arc<dyn StateStore>) -> &dyn Transactions {
    store.transactions().expect("the store has transactions")
}

#[tokio::test]
async fn initialises_with_its_metadata_and_names_itself_on_each_call() {
    let (_folder, fake, store) = store(FULL).await;
    store.ping().await.expect("answers");
    let calls = fake.inside.calls.lock().clone();
    let methods: Vec<&str> = calls.iter().map(|(method, _, _)| *method).collect();
    assert_eq!(methods, ["StateStore/Init", "StateStore/Features", "StateStore/Ping"]);
    assert!(calls.iter().all(|(_, instance, _)| instance == "comp"));
    assert!(calls[0].2.contains("\"Url\": \"x\"") && calls[0].2.contains("\"keyPrefix\": \"none\""));
    assert_eq!(store.features(), [Feature::Etag, Feature::Transactional, Feature::Ttl]);
}

#[tokio::test]
async fn reads_and_writes() {
    let (_folder, fake, store) = store(FULL).await;
    assert_eq!(store.get(get("a")).await.expect("reads"), None);
    let write = Set {
        metadata: Metadata::from([("ttlInSeconds".to_owned(), "5".to_owned())]),
        options: Options {
            concurrency: Concurrency::FirstWrite,
            consistency: Consistency::Strong,
        },
        content_type: Some("text/x".to_owned()),
        ..set("a", "1", None)
    };
    store.set(write).await.expect("writes");
    let sent = &fake.calls("Set")[0].1;
    for part in [
        "ttlInSeconds",
        "ConcurrencyFirstWrite",
        "ConsistencyStrong",
        "text/x",
        "etag: None",
    ] {
        assert!(sent.contains(part), "{part} in {sent}");
    }
    let item = store.get(get("a")).await.expect("reads").expect("is there");
    assert_eq!((item.data.as_ref(), item.etag.as_deref()), (b"1".as_ref(), Some("1")));
    assert_eq!(item.metadata["ttlExpireTime"], "later");
    assert_eq!(item.content_type.as_deref(), Some("text/plain"));

    store.delete(delete("a", Some("1"))).await.expect("deletes");
    assert_eq!(store.get(get("a")).await.expect("reads"), None);
}

#[tokio::test]
async fn entity_tags_have_errors_of_their_own() {
    let (_folder, _fake, store) = store(FULL).await;
    store.set(set("a", "1", None)).await.expect("writes");
    let mismatch = "possible etag mismatch. error from state store: another one is stored";
    let invalid = "invalid etag value: not a number";
    let bulk = |etag| vec![set("a", "2", Some(etag)), set("b", "2", None)];
    let several = |etag| vec![delete("a", Some(etag)), delete("b", None)];
    for (error, kind, message) in [
        (
            store.set(set("a", "2", Some("7"))).await,
            ErrorKind::EtagMismatch,
            mismatch,
        ),
        (
            store.set(set("a", "2", Some("x"))).await,
            ErrorKind::EtagInvalid,
            invalid,
        ),
        (
            store.delete(delete("a", Some("7"))).await,
            ErrorKind::EtagMismatch,
            mismatch,
        ),
        (
            store.delete(delete("a", Some("x"))).await,
            ErrorKind::EtagInvalid,
            invalid,
        ),
        (store.bulk_set(bulk("7")).await, ErrorKind::EtagMismatch, mismatch),
        (store.bulk_set(bulk("x")).await, ErrorKind::EtagInvalid, invalid),
        (store.bulk_delete(several("7")).await, ErrorKind::EtagMismatch, mismatch),
        (store.bulk_delete(several("x")).await, ErrorKind::EtagInvalid, invalid),
    ] {
        let error = error.expect_err("the entity tag is wrong");
        assert_eq!((error.kind, error.message.as_str()), (kind, message));
        assert!(error.status.is_none());
    }
}

#[tokio::test]
async fn bulk_reads_answer_for_each_key_in_order() {
    let (_folder, fake, store) = store(FULL).await;
    store
        .bulk_set(vec![set("a", "1", None), set("b", "2", None)])
        .await
        .expect("writes");
    let wanted = ["b", "nothing", "broken", "a", "b"].map(get).to_vec();
    let items = store.bulk_get(wanted, 4).await.expect("reads");
    let seen: Vec<String> = items
        .iter()
        .map(|item| match &item.result {
            Ok(Some(found)) => format!("{}={}", item.key, String::from_utf8_lossy(&found.data)),
            Ok(None) => format!("{} is not there", item.key),
            Err(error) => format!("{}: {error}", item.key),
        })
        .collect();
    assert_eq!(
        seen,
        ["b=2", "nothing is not there", "broken: cannot be read", "a=1", "b=2"]
    );
    assert!(fake.calls("BulkGet")[0].1.contains("parallelism: 4"));

    store
        .bulk_delete(vec![delete("a", None), delete("b", None)])
        .await
        .expect("deletes");
    assert!(fake.inside.store.lock().is_empty());
}

#[tokio::test]
async fn transactions_are_one_call() {
    let (_folder, fake, store) = store(FULL).await;
    store.set(set("old", "1", None)).await.expect("writes");
    let metadata = Metadata::from([("partitionKey".to_owned(), "p".to_owned())]);
    let steps = vec![
        Operation::Upsert(set("new", "2", None)),
        Operation::Delete(delete("old", Some("1"))),
    ];
    transactions(&store)
        .execute(steps, metadata)
        .await
        .expect("goes through");
    assert_eq!(fake.inside.store.lock().keys().collect::<Vec<_>>(), ["new"]);
    assert!(fake.calls("Transact")[0].1.contains("\"partitionKey\": \"p\""));

    let stale = vec![Operation::Upsert(set("new", "3", Some("9")))];
    let error = transactions(&store)
        .execute(stale, Metadata::new())
        .await
        .expect_err("is stale");
    assert_eq!(error.kind, ErrorKind::EtagMismatch);
    assert_eq!(error.message, "rpc error: code = FailedPrecondition desc = etag");
}

#[tokio::test]
async fn the_limit_of_transactions_is_asked_for_late_and_once() {
    let (_folder, fake, store) = store(FULL).await;
    assert!(fake.calls("MultiMaxSize").is_empty());
    for _ in 0..2 {
        assert_eq!(transactions(&store).limit().await.expect("tells"), Some(3));
    }
    assert_eq!(fake.calls("MultiMaxSize").len(), 1);

    for max_size in [0, -1] {
        let (_folder, _fake, store) = self::store(Script { max_size, ..FULL }).await;
        assert_eq!(transactions(&store).limit().await.expect("tells"), None);
    }
}

#[tokio::test]
async fn capabilities_are_what_the_component_serves() {
    let (_folder, _fake, plain) = store(Script {
        services: &["StateStore"],
        ..FULL
    })
    .await;
    assert!(plain.transactions().is_none() && plain.queries().is_none());
    assert_eq!(plain.features(), [Feature::Etag, Feature::Ttl]);

    let (_folder, _fake, silent) = store(Script { features: &[], ..FULL }).await;
    assert!(
        silent.transactions().is_none(),
        "the feature TRANSACTIONAL is not listed"
    );
    assert!(silent.queries().is_some());
}

#[tokio::test]
async fn queries_go_on_as_they_are() {
    let (_folder, fake, store) = store(FULL).await;
    store.set(set("a", "1", None)).await.expect("writes");
    let json = r#"{"filter":{"AND":[{"EQ":{"state":"CA"}},{"IN":{"id":[1,2.5,null]}}]},
        "sort":[{"key":"person.id","order":"DESC"},{"key":"b"}],"page":{"limit":3,"token":"tk"}}"#;
    let query = Query {
        json: json.to_owned(),
        metadata: Metadata::from([("q".to_owned(), "1".to_owned())]),
    };
    let result = store
        .queries()
        .expect("has queries")
        .query(query)
        .await
        .expect("answers");
    assert_eq!((result.token.as_str(), result.metadata["took"].as_str()), ("next", "1"));
    assert_eq!(result.items[0].key, "a");
    assert_eq!(result.items[0].etag.as_deref(), Some("1"));

    let sent = crate::state::query::parse(json).expect("is a query");
    assert_eq!(
        sent.filter["AND"].value,
        br#"[{"EQ":{"state":"CA"}},{"IN":{"id":[1,2.5,null]}}]"#
    );
    let sort: Vec<_> = sent.sort.iter().map(|sort| (sort.key.as_str(), sort.order)).collect();
    assert_eq!(sort, [("person.id", 1), ("b", 0)]);
    assert_eq!(
        sent.pagination.map(|page| (page.limit, page.token)),
        Some((3, "tk".to_owned()))
    );
    assert!(fake.calls("Query")[0].1.contains("\"q\": \"1\""));
}

#[tokio::test]
async fn what_is_no_query_is_refused_here() {
    let (_folder, fake, store) = store(FULL).await;
    for (json, problem) in [
        (r#"{"filter":{"XX":{"a":1}}}"#, "unsupported filter \"XX\""),
        (r#"{"filter":{"OR":[{"AND":[{"YY":1}]}]}}"#, "unsupported filter \"YY\""),
        (
            r#"{"filter":{"EQ":{"a":1,"b":2}}}"#,
            "EQ filter must contain one key-value pair",
        ),
        (r#"{"page":{"limit":"x"}}"#, "limit must be a whole number"),
        ("[]", "a query is an object"),
    ] {
        let query = Query {
            json: json.to_owned(),
            metadata: Metadata::new(),
        };
        let error = store
            .queries()
            .expect("has queries")
            .query(query)
            .await
            .expect_err(json);
        assert_eq!(error.message, format!("failed to parse JSON query body: {problem}"));
        assert_eq!(error.kind, ErrorKind::Permanent);
    }
    assert!(fake.calls("Query").is_empty());
}

#[tokio::test]
async fn a_restarted_component_is_initialised_before_it_is_used() {
    let (_folder, mut fake, store) = store(FULL).await;
    store.set(set("a", "1", None)).await.expect("writes");
    fake.stop().await;
    let error = store.get(get("a")).await.expect_err("nobody is there");
    assert_eq!(error.kind, ErrorKind::Transient);
    assert!(error.message.starts_with("rpc error: code = "), "{error}");

    fake.inside.calls.lock().clear();
    fake.serve();
    let item = store.get(get("a")).await.expect("is there again");
    assert_eq!(item.expect("is kept").data, "1");
    let calls = fake.inside.calls.lock().clone();
    let methods: Vec<&str> = calls.iter().map(|(method, _, _)| *method).collect();
    assert_eq!(methods, ["StateStore/Init", "Get"]);
    assert_eq!(calls[0].1, "comp");
}

#[tokio::test]
async fn values_may_be_large() {
    let (_folder, _fake, store) = store(FULL).await;
    let value = "x".repeat(3 * 1024 * 1024);
    for key in ["a", "b"] {
        store.set(set(key, &value, None)).await.expect("writes");
    }
    let items = store.bulk_get(["a", "b"].map(get).to_vec(), 0).await.expect("reads");
    assert!(
        items
            .iter()
            .all(|item| matches!(&item.result, Ok(Some(found)) if found.data.len() == value.len()))
    );
}
