//! A store that does as its keys say, and remembers what it was asked for.

use async_trait::async_trait;
use bytes::Bytes;
use component::{
    ApiAnswer, ComponentError, ErrorKind, GrpcStatus, Metadata,
    state::{
        BulkItem, Delete, Feature, Get, Item, Operation, Queries, Query, QueryItem, QueryResult, Set, StateStore,
        Transactions,
    },
};
use parking_lot::Mutex;
use prost::Message;
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Fake {
    /// How many operations a transaction may have; nothing if it has no transactions.
    pub(super) transactions: Option<usize>,
    pub(super) calls: Mutex<Vec<String>>,
    pub(super) sets: Mutex<Vec<Set>>,
    pub(super) deletes: Mutex<Vec<Delete>>,
    pub(super) gets: Mutex<Vec<Get>>,
    pub(super) query: Mutex<Option<Query>>,
    pub(super) committed: Mutex<Vec<(Vec<Operation>, Metadata)>>,
}

impl Fake {
    pub(super) fn new(transactions: Option<usize>) -> Arc<Self> {
        Arc::new(Self {
            transactions,
            ..Self::default()
        })
    }

    fn note(&self, call: &str) {
        self.calls.lock().push(call.to_owned());
    }
}

/// What a pluggable component sends that says what callers are to see.
pub(super) fn told() -> ComponentError {
    let info = tonic_types::pb::ErrorInfo {
        reason: "the-reason".into(),
        domain: "the-domain".into(),
        ..Default::default()
    };
    let any = prost_types::Any {
        type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(),
        value: info.encode_to_vec(),
    };
    let status = tonic_types::pb::Status {
        code: 15,
        message: "the-message".into(),
        details: vec![any],
    };
    ComponentError {
        kind: ErrorKind::Permanent,
        message: "api error: code = DataLoss desc = the-message".into(),
        status: Some(Box::new(GrpcStatus {
            code: status.code,
            message: status.message.clone(),
            details: Bytes::from(status.encode_to_vec()),
            api: Some(ApiAnswer {
                http_status: 506,
                error_code: "the-tag".into(),
            }),
        })),
    }
}

/// What a pluggable component sends that says nothing of callers.
fn plain() -> ComponentError {
    ComponentError {
        kind: ErrorKind::NotFound,
        message: "rpc error: code = NotFound desc = plain".into(),
        status: Some(Box::new(GrpcStatus {
            code: 5,
            message: "plain".into(),
            details: Bytes::new(),
            api: None,
        })),
    }
}

fn check(key: &str) -> Result<(), ComponentError> {
    match key.rsplit('|').next().unwrap_or_default() {
        "told" => Err(told()),
        "plain" => Err(plain()),
        "broken" => Err(ComponentError::transient("it broke")),
        "mismatch" => Err(ComponentError::etag_mismatch("theirs")),
        "invalid" => Err(ComponentError::etag_invalid("odd")),
        _ => Ok(()),
    }
}

fn check_all<'a>(mut keys: impl Iterator<Item = &'a String>) -> Result<(), ComponentError> {
    keys.try_for_each(|key| check(key))
}

#[async_trait]
impl StateStore for Fake {
    fn features(&self) -> Vec<Feature> {
        Vec::new()
    }

    async fn get(&self, request: Get) -> Result<Option<Item>, ComponentError> {
        self.note("get");
        check(&request.key)?;
        let metadata = Metadata::from([
            ("ttlExpireTime".into(), "soon".into()),
            ("a b".into(), "no header".into()),
        ]);
        let item = Item {
            data: Bytes::from_static(b"1"),
            etag: Some("e1".into()),
            metadata,
            content_type: None,
        };
        self.gets.lock().push(request);
        Ok(Some(item))
    }

    async fn set(&self, request: Set) -> Result<(), ComponentError> {
        self.note("set");
        check(&request.key)?;
        self.sets.lock().push(request);
        Ok(())
    }

    async fn delete(&self, request: Delete) -> Result<(), ComponentError> {
        self.note("delete");
        check(&request.key)?;
        self.deletes.lock().push(request);
        Ok(())
    }

    async fn bulk_get(&self, requests: Vec<Get>, parallelism: usize) -> Result<Vec<BulkItem>, ComponentError> {
        self.note(&format!("bulk_get {parallelism}"));
        check_all(requests.iter().map(|request| &request.key))?;
        let item = |request: Get| BulkItem {
            result: match request.key.ends_with("bad") {
                true => Err(ComponentError::permanent("some error")),
                false => Ok(Some(Item {
                    data: Bytes::from(format!("{:?}", request.key)),
                    ..Item::default()
                })),
            },
            key: request.key,
        };
        Ok(requests.into_iter().rev().map(item).collect())
    }

    async fn bulk_set(&self, requests: Vec<Set>) -> Result<(), ComponentError> {
        self.note("bulk_set");
        check_all(requests.iter().map(|request| &request.key))
    }

    async fn bulk_delete(&self, requests: Vec<Delete>) -> Result<(), ComponentError> {
        self.note("bulk_delete");
        check_all(requests.iter().map(|request| &request.key))
    }

    fn transactions(&self) -> Option<&dyn Transactions> {
        self.transactions.map(|_| self as _)
    }

    fn queries(&self) -> Option<&dyn Queries> {
        Some(self)
    }
}

#[async_trait]
impl Transactions for Fake {
    async fn execute(&self, operations: Vec<Operation>, metadata: Metadata) -> Result<(), ComponentError> {
        let key = |operation: &Operation| match operation {
            Operation::Upsert(set) => check(&set.key),
            Operation::Delete(delete) => check(&delete.key),
        };
        operations.iter().try_for_each(key)?;
        self.committed.lock().push((operations, metadata));
        Ok(())
    }

    fn max_operations(&self) -> Option<usize> {
        self.transactions.filter(|max| *max > 0)
    }
}

#[async_trait]
impl Queries for Fake {
    async fn query(&self, query: Query) -> Result<QueryResult, ComponentError> {
        for key in ["told", "plain", "broken"] {
            if query.json.contains(key) {
                check(key)?;
            }
        }
        let nothing = query.json.contains("nothing");
        *self.query.lock() = Some(query);
        if nothing {
            return Ok(QueryResult::default());
        }
        let item = |key: &str, data: &'static str, error: &str| QueryItem {
            key: key.into(),
            data: Bytes::from_static(data.as_bytes()),
            etag: Some("e".into()),
            error: error.into(),
        };
        let items = vec![item("app||a", r#"{"z" : 1}"#, ""), item("b", "not json", "an error")];
        Ok(QueryResult {
            items,
            token: "next".into(),
            metadata: Metadata::from([("m".into(), "n".into())]),
        })
    }
}
