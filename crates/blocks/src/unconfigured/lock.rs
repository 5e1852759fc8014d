//! Locks, where no lock store is loaded.

use super::{Unconfigured, message};
use api::{ApiError, Cx, HttpRequest, HttpResponse, errors};
use serde::{Deserialize, Deserializer, de::Error as _};
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

/// The JSON of both requests: names of fields in either style.
#[derive(Default, Deserialize)]
struct Lock {
    #[serde(rename = "resourceId", alias = "resource_id")]
    _resource_id: Option<String>,
    #[serde(rename = "lockOwner", alias = "lock_owner")]
    _lock_owner: Option<String>,
    #[serde(
        default,
        rename = "expiryInSeconds",
        alias = "expiry_in_seconds",
        deserialize_with = "number"
    )]
    expiry: i32,
}

/// A number, also one in quotes.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<i32, D::Error> {
    let number = match serde_json::Value::deserialize(from)? {
        serde_json::Value::Null => return Ok(0),
        serde_json::Value::String(text) => text.parse().ok(),
        serde_json::Value::Number(number) => number.as_f64(),
        _ => None,
    };
    let whole = number.filter(|n: &f64| n.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(n));
    whole
        .map(|n| n as i32)
        .ok_or_else(|| D::Error::custom("invalid value for int32 field expiryInSeconds"))
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
    message::<Lock>(&mut request).await?;
    Err(Error::NotConfigured.into())
}

pub(super) async fn lock(_: &Unconfigured, _: &Cx, request: TryLockRequest) -> Result<TryLockResponse, ApiError> {
    Err(lock_error(&request.store_name, request.expiry_in_seconds))
}

pub(super) async fn unlock(_: &Unconfigured, _: &Cx, _: UnlockRequest) -> Result<UnlockResponse, ApiError> {
    Err(Error::NotConfigured.into())
}
