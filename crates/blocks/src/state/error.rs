//! The errors of the state API.

use api::{ApiError, Cx, Detail, Transport, error::HttpAnswer, errors};
use component::{ComponentError, ErrorKind, GrpcStatus};

/// Names and values of an error's information.
pub type Info = Vec<(String, String)>;

const STORES: &str = "https://docs.dapr.io/reference/components-reference/supported-state-stores/";
const STORES_TOLD: &str = "Check the list of state stores and the features they support";

errors! { "state";
    /// No state store is loaded at all.
    NotConfigured { store: String, info: Info } = "ERR_STATE_STORE_NOT_CONFIGURED", reason "DAPR_STATE_NOT_CONFIGURED", http 500, grpc FailedPrecondition,
        "state store {store} is not configured", with [Detail::Info(info.clone())];
    /// No state store of that name is loaded.
    NotFound { store: String, info: Info } = "ERR_STATE_STORE_NOT_FOUND", reason "DAPR_STATE_NOT_FOUND", http 400, grpc InvalidArgument,
        "state store {store} is not found", with [Detail::Info(info.clone())];
    /// A key holds what separates prefixes from keys.
    IllegalKey { store: String, key: String } = "ERR_MALFORMED_REQUEST", reason "DAPR_STATE_ILLEGAL_KEY", http 400, grpc InvalidArgument,
        "input key/keyPrefix '{key}' can't contain '||'",
        with [Detail::resource("state", store), Detail::field(key, format!("input key/keyPrefix '{key}' can't contain '||'"))];
    /// The store has no transactions.
    NoTransactions { store: String } = "ERR_STATE_STORE_NOT_SUPPORTED", reason "DAPR_STATE_TRANSACTIONS_NOT_SUPPORTED", http 500, grpc Unimplemented,
        "state store {store} doesn't support transactions", with [Detail::resource("state", store), Detail::help(STORES, STORES_TOLD)];
    /// A transaction has more operations than the store can take.
    TooManyOperations { store: String, count: usize, max: usize } = "ERR_STATE_STORE_TOO_MANY_TRANSACTIONS", reason "DAPR_STATE_TOO_MANY_TRANSACTIONS", http 400, grpc InvalidArgument,
        "the transaction contains {count} operations, which is more than what the state store supports: {max}",
        with [
            Detail::Info(vec![("currentOpsTransaction".into(), count.to_string()), ("maxOpsPerTransaction".into(), max.to_string())]),
            Detail::resource("state", store),
        ];
    /// The store answers no queries, or holds what only the sidecar can read.
    NoQueries { store: String } = "ERR_STATE_STORE_NOT_SUPPORTED", reason "DAPR_STATE_QUERYING_NOT_SUPPORTED", http 500, grpc Internal,
        "state store does not support querying", with [Detail::resource("state", store)];
    /// The store could not answer a query.
    Query { store: String, why: String } = "ERR_STATE_QUERY", reason "DAPR_STATE_QUERY_FAILED", http 500, grpc Internal,
        "state store {store} query failed: {why}", with [Detail::resource("state", store)];
    /// A key could not be read.
    Get { store: String, key: String, why: String } = "ERR_STATE_GET", http 500, grpc Internal,
        "fail to get {key} from state store {store}: {why}", with [Detail::GrpcReason("ERR_STATE_GET")];
    /// Several keys could not be read.
    BulkGet { why: String } = "ERR_STATE_BULK_GET", http 500, grpc Unknown, "{why}";
    /// A key to be written is empty.
    EmptyKey = "ERR_STATE_SAVE", http 400, grpc InvalidArgument, "state key cannot be empty", with [Detail::GrpcReason("ERR_STATE_SAVE")];
    /// A value is not the JSON that its content type says.
    NotJson { why: String } = "ERR_STATE_SAVE", http 400, grpc Unknown, "{why}";
    /// Keys could not be written.
    Save { store: String, why: String } = "ERR_STATE_SAVE", http 500, grpc Internal,
        "failed saving state in state store {store}: {why}", with [Detail::GrpcReason("ERR_STATE_SAVE")];
    /// A key was not written since its entity tag is another one.
    SaveMismatch { store: String, why: String } = "ERR_STATE_SAVE", http 409, grpc Aborted,
        "failed saving state in state store {store}: {why}", with [Detail::GrpcReason("ERR_STATE_SAVE")];
    /// A key was not written since the store cannot have given the entity tag.
    SaveInvalid { store: String, why: String } = "ERR_STATE_SAVE", http 400, grpc InvalidArgument,
        "failed saving state in state store {store}: {why}", with [Detail::GrpcReason("ERR_STATE_SAVE")];
    /// A key could not be deleted.
    Delete { key: String, why: String } = "ERR_STATE_DELETE", http 500, grpc Internal,
        "failed deleting state with key {key}: {why}", with [Detail::GrpcReason("ERR_STATE_DELETE")];
    /// A key was not deleted since its entity tag is another one.
    DeleteMismatch { key: String, why: String } = "ERR_STATE_DELETE", http 409, grpc Aborted,
        "failed deleting state with key {key}: {why}", with [Detail::GrpcReason("ERR_STATE_DELETE")];
    /// A key was not deleted since the store cannot have given the entity tag.
    DeleteInvalid { key: String, why: String } = "ERR_STATE_DELETE", http 400, grpc InvalidArgument,
        "failed deleting state with key {key}: {why}", with [Detail::GrpcReason("ERR_STATE_DELETE")];
    /// Keys could not be deleted.
    BulkDelete { store: String, why: String } = "ERR_STATE_BULK_DELETE", http 500, grpc Internal,
        "failed deleting state in state store {store}: {why}", with [Detail::GrpcReason("ERR_STATE_BULK_DELETE")];
    /// Keys were not deleted since the entity tag of one is another one.
    BulkDeleteMismatch { store: String, why: String } = "ERR_STATE_BULK_DELETE", http 409, grpc Aborted,
        "failed deleting state in state store {store}: {why}", with [Detail::GrpcReason("ERR_STATE_BULK_DELETE")];
    /// Keys were not deleted since the store cannot have given the entity tag of one.
    BulkDeleteInvalid { store: String, why: String } = "ERR_STATE_BULK_DELETE", http 400, grpc InvalidArgument,
        "failed deleting state in state store {store}: {why}", with [Detail::GrpcReason("ERR_STATE_BULK_DELETE")];
    /// A transaction has an operation that is neither upsert nor delete.
    UnknownOperation { operation: String } = "ERR_NOT_SUPPORTED_STATE_OPERATION", http 400, grpc Unimplemented,
        "operation type {operation} not supported", with [Detail::GrpcReason("ERR_NOT_SUPPORTED_STATE_OPERATION")];
    /// A transaction was not carried out.
    Transaction { why: String } = "ERR_STATE_TRANSACTION", http 500, grpc Internal,
        "error while executing state transaction: {why}", with [Detail::GrpcReason("ERR_STATE_TRANSACTION")];
}

/// Errors of requests that say nothing of state stores.
pub mod malformed {
    use api::errors;

    errors! { "common";
        /// The request cannot be understood.
        Body { why: String } = "ERR_MALFORMED_REQUEST", http 400, grpc InvalidArgument, "{why}";
        /// An item has no key.
        NoKey = "ERR_MALFORMED_REQUEST", http 400, grpc InvalidArgument, "\"key\" is a required field";
    }
}

/// What HTTP clients are told about the sidecar when a store is missing.
pub(super) fn whose(cx: &Cx) -> Info {
    match cx.transport {
        Transport::Http => vec![("appID".into(), cx.info().app_id.clone())],
        Transport::Grpc => Info::new(),
    }
}

/// A key that no key may be; HTTP clients are told the gRPC code as well.
pub(super) fn illegal_key(store: &str, key: &str) -> ApiError {
    let mut error = ApiError::from(Error::IllegalKey {
        store: store.into(),
        key: key.into(),
    });
    let told = format!("api error: code = InvalidArgument desc = {}", error.message);
    let plain = std::mem::replace(&mut error.message, told);
    error.with_grpc_message(plain)
}

/// How an operation's failure is told: as one of three kinds, by what the store says about entity tags.
pub(super) fn by_kind(
    error: ComponentError,
    other: impl FnOnce(String) -> Error,
    mismatch: impl FnOnce(String) -> Error,
    invalid: impl FnOnce(String) -> Error,
) -> ApiError {
    let ComponentError { kind, message, status } = error;
    let api = ApiError::from(match kind {
        ErrorKind::EtagMismatch => mismatch(message),
        ErrorKind::EtagInvalid => invalid(message),
        _ => other(message),
    });
    passed_on(api, status.as_deref())
}

/// The same failure whatever the store says about entity tags.
pub(super) fn of_component(error: ComponentError, other: impl FnOnce(String) -> Error) -> ApiError {
    let ComponentError { message, status, .. } = error;
    passed_on(ApiError::from(other(message)), status.as_deref())
}

/// What a pluggable component wants callers to see: gRPC clients its status, HTTP clients its HTTP status.
fn passed_on(mut error: ApiError, status: Option<&GrpcStatus>) -> ApiError {
    if let Some((status, answer)) = status.and_then(|status| Some((status, status.api.as_ref()?))) {
        error.status = Some(Box::new(tonic_status(status)));
        error.http = Some(Box::new(HttpAnswer {
            status: answer.http_status,
            code: None,
            details: Vec::new(),
        }));
    }
    error
}

/// A failed bulk read: gRPC clients see whatever status a pluggable component answers with.
pub(super) fn of_bulk_get(error: ComponentError) -> ApiError {
    let status = error.status.as_deref().map(|status| Box::new(tonic_status(status)));
    let mut api = of_component(error, |why| Error::BulkGet { why });
    api.status = status.or(api.status);
    api
}

/// A failed query: what a pluggable component wants callers to see is told to the letter.
pub(super) fn of_query(store: &str, error: ComponentError) -> ApiError {
    let told = |status: &GrpcStatus| {
        let answer = status.api.clone()?;
        Some((status.message.clone(), answer, http_details(status)))
    };
    let told = error.status.as_deref().and_then(told);
    let mut api = of_component(error, |why| Error::Query {
        store: store.into(),
        why,
    });
    if let Some((message, answer, details)) = told {
        api.message = message;
        api.http = Some(Box::new(HttpAnswer {
            status: answer.http_status,
            code: Some(answer.error_code),
            details,
        }));
    }
    api
}

fn tonic_status(status: &GrpcStatus) -> tonic::Status {
    tonic::Status::with_details(
        tonic::Code::from_i32(status.code),
        &status.message,
        status.details.clone(),
    )
}

/// The details of a status as the JSON of an HTTP answer.
fn http_details(status: &GrpcStatus) -> Vec<serde_json::Value> {
    use prost::Message;
    let Ok(all) = tonic_types::pb::Status::decode(status.details.clone()) else {
        return Vec::new();
    };
    let infos = all
        .details
        .iter()
        .filter(|any| any.type_url.ends_with("/google.rpc.ErrorInfo"));
    infos
        .filter_map(|any| tonic_types::pb::ErrorInfo::decode(any.value.as_slice()).ok())
        .map(|info| {
            let metadata = (!info.metadata.is_empty()).then_some(info.metadata);
            serde_json::json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "domain": info.domain, "metadata": metadata, "reason": info.reason,
            })
        })
        .collect()
}
