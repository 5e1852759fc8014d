//! What a gRPC status of a component means.

use bytes::Bytes;
use component::{ApiAnswer, ComponentError, ErrorKind, GrpcStatus};
use prost::Message;
use std::{collections::HashMap, error::Error};
use tonic::{Code, Status};
use tonic_types::{StatusExt, pb};

/// The field that a violation names when it is about an entity tag.
const ETAG: &str = "etag";
/// Marks of an error that says what the API is to answer, in the metadata of its `ErrorInfo`.
const API_MARK: &str = "kit_error";
const API_STATUS: &str = "http_code";
const API_CODE: &str = "tag";

/// An error of any call.
pub(crate) fn plain(status: &Status) -> ComponentError {
    let (code, message) = told(status);
    ComponentError {
        kind: kind(code),
        message: format!("rpc error: code = {} desc = {message}", name(code)),
        status: Some(Box::new(GrpcStatus {
            code: code as i32,
            message,
            details: Bytes::copy_from_slice(status.details()),
            api: None,
        })),
    }
}

/// An error of a call to a state store: the store may say what the API is to answer.
pub(crate) fn of_state(status: &Status) -> ComponentError {
    let mut error = plain(status);
    let Some((api, details)) = api_answer(status) else {
        return error;
    };
    if let Some(grpc) = &mut error.status {
        error.message = format!("api error: code = {} desc = {}", name(status.code()), grpc.message);
        grpc.api = Some(api);
        grpc.details = details;
    }
    error
}

/// An error of a write to a state store: it may be about entity tags.
pub(crate) fn of_write(status: &Status) -> ComponentError {
    match etag(status) {
        Some((ErrorKind::EtagMismatch, detail)) => ComponentError::etag_mismatch(detail),
        Some((_, detail)) => ComponentError::etag_invalid(detail),
        None => of_state(status),
    }
}

/// An error of a transaction: the class tells about entity tags, the text stays that of the call.
pub(crate) fn of_transaction(status: &Status) -> ComponentError {
    let error = of_state(status);
    match etag(status) {
        Some((kind, _)) => ComponentError { kind, ..error },
        None => error,
    }
}

/// The class of an error about an entity tag and what the component says about it.
fn etag(status: &Status) -> Option<(ErrorKind, String)> {
    let kind = match status.code() {
        Code::FailedPrecondition => ErrorKind::EtagMismatch,
        Code::InvalidArgument => ErrorKind::EtagInvalid,
        _ => return None,
    };
    let violations = status.get_details_bad_request()?.field_violations;
    let violation = violations.into_iter().find(|violation| violation.field == ETAG)?;
    Some((kind, violation.description))
}

/// What the API is to answer, and the details without the marks that say so.
fn api_answer(status: &Status) -> Option<(ApiAnswer, Bytes)> {
    let mut all = pb::Status::decode(status.details()).ok()?;
    for any in &mut all.details {
        if !any.type_url.ends_with("/google.rpc.ErrorInfo") {
            continue;
        }
        let Ok(mut info) = pb::ErrorInfo::decode(any.value.as_slice()) else {
            continue;
        };
        if info.metadata.get(API_MARK).is_some_and(|mark| mark == "true") {
            let api = take_api_answer(&mut info.metadata);
            any.value = info.encode_to_vec();
            return Some((api, all.encode_to_vec().into()));
        }
    }
    None
}

fn take_api_answer(metadata: &mut HashMap<String, String>) -> ApiAnswer {
    metadata.remove(API_MARK);
    let http_status = metadata.remove(API_STATUS).and_then(|text| text.parse().ok());
    ApiAnswer {
        http_status: http_status.filter(|status| (100..1000).contains(status)).unwrap_or(500),
        error_code: metadata.remove(API_CODE).unwrap_or_default(),
    }
}

/// The code and text of a status. One that was made on this side has the error that it comes from as its source: then the
/// component could not be reached, or was lost.
fn told(status: &Status) -> (Code, String) {
    let Some(mut cause) = status.source() else {
        return (status.code(), status.message().to_owned());
    };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let code = match status.code() {
        Code::Unknown => Code::Unavailable,
        code => code,
    };
    (code, format!("connection error: {cause}"))
}

/// The class of a code. A component that does not choose a code sends `Unknown`, so that may pass.
fn kind(code: Code) -> ErrorKind {
    match code {
        Code::NotFound => ErrorKind::NotFound,
        Code::Unimplemented => ErrorKind::Unsupported,
        Code::InvalidArgument
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unauthenticated
        | Code::DataLoss => ErrorKind::Permanent,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable => ErrorKind::Transient,
    }
}

/// The name of a code as gRPC's Go library writes it: clients know the texts.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}
