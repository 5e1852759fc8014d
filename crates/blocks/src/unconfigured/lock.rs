//! Locks, where no lock store is loaded.

use super::{Unconfigured, message, whole_number};
use api::{ApiError, Cx, HttpRequest, HttpResponse, errors};
use serde::Deserialize;
use wire::runtime::v1::{TryLockRequest, TryLockResponse, UnlockRequest, UnlockResponse};

errors! { "lock";
    /// No lock store is loaded at all.
    NotConfigured = "ERR_LOCK_STORE_NOT_CONFIGURED", http 500, grpc FailedPrecondition, "lock store is not configured";
}

mod request {
    api::errors! { "common";
        /// A lock would end at once.
        Expiry { store: String } = "ERR_MALFORMED_REQUEST", http 400, grpc InvalidArgument, "ExpiryInSeconds is not positive in lock store {store}";
    }
}

/// The JSON of a request for a lock: names of fields in either style.
#[derive(Default, Deserialize)]
struct Lock {
    #[serde(flatten)]
    _whose: Unlock,
    #[serde(
        default,
        rename = "expiryInSeconds",
        alias = "expiry_in_seconds",
        deserialize_with = "whole_number"
    )]
    expiry: i32,
}

/// The JSON of a request to end one.
#[derive(Default, Deserialize)]
struct Unlock {
    #[serde(rename = "resourceId", alias = "resource_id")]
    _resource_id: Option<String>,
    #[serde(rename = "lockOwner", alias = "lock_owner")]
    _lock_owner: Option<String>,
}

fn lock_error(store: &str, expiry: i32) -> ApiError {
    match expiry {
        ..=0 => request::Error::Expiry {
            store: store.to_owned(),
        }
        .into(),
        _ => Error::NotConfigured.into(),
    }
}

pub(super) async fn http_lock(_: &Unconfigured, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let lock: Lock = message(&mut request).await?;
    Err(lock_error(request.param("store"), lock.expiry))
}

pub(super) async fn http_unlock(_: &Unconfigured, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    message::<Unlock>(&mut request).await?;
    Err(Error::NotConfigured.into())
}

pub(super) async fn lock(_: &Unconfigured, _: &Cx, request: TryLockRequest) -> Result<TryLockResponse, ApiError> {
    Err(lock_error(&request.store_name, request.expiry_in_seconds))
}

pub(super) async fn unlock(_: &Unconfigured, _: &Cx, _: UnlockRequest) -> Result<UnlockResponse, ApiError> {
    Err(Error::NotConfigured.into())
}
