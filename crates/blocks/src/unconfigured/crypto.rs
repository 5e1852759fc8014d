//! Cryptography, where no component for it is loaded.

use super::{AnyMessage, Unconfigured, message, refuse};
use api::{ApiError, Body, Cx, HttpRequest, HttpResponse, errors};
use futures_util::stream;
use std::sync::Arc;
use tonic::{Status, Streaming};
use wire::runtime::v1::{DecryptRequest, DecryptResponse, EncryptRequest, EncryptResponse};

errors! { "crypto";
    /// No component for cryptography is loaded at all.
    NotConfigured = "ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED", http 500, grpc Internal, "crypto providers not configured";
    /// The stream broke off before it said what to do.
    NoFirstMessage { why: String } = "ERR_CRYPTO", http 500, grpc Internal, "failed to perform operation: error receiving the first message: {why}";
}

mod request {
    api::errors! { "common";
        /// The stream does not begin with options that say what to do.
        Bad { why: String } = "ERR_BAD_REQUEST", http 400, grpc InvalidArgument, "invalid request: {why}";
        /// The parts of cryptography that are not offered as streams.
        Subtle = "ERR_API_UNIMPLEMENTED", http 501, grpc Unimplemented, "this API is currently not implemented";
    }
}

pub(super) async fn absent(_: &Unconfigured, _: HttpRequest) -> Result<HttpResponse, Error> {
    Err(Error::NotConfigured)
}

pub(super) async fn subtle(_: &Unconfigured, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    message::<AnyMessage>(&mut request).await?;
    Err(request::Error::Subtle.into())
}

pub(super) async fn refuse_subtle(_: &Unconfigured, cx: Cx, request: http::Request<Body>) -> http::Response<Body> {
    refuse(&cx, request, request::Error::Subtle).await
}

/// A stream of answers that never has any.
type Nothing<T> = stream::Empty<Result<T, Status>>;

pub(super) async fn encrypt(
    _: Arc<Unconfigured>,
    _: Cx,
    mut messages: Streaming<EncryptRequest>,
) -> Result<Nothing<EncryptResponse>, ApiError> {
    let options = first(&mut messages).await?.options.ok_or_else(no_options)?;
    let missing = |property| {
        ApiError::from(request::Error::Bad {
            why: format!("missing property '{property}' in the options message"),
        })
    };
    if options.key_name.is_empty() {
        return Err(missing("keyName"));
    }
    if options.key_wrap_algorithm.is_empty() {
        return Err(missing("keyWrapAlgorithm"));
    }
    Err(Error::NotConfigured.into())
}

pub(super) async fn decrypt(
    _: Arc<Unconfigured>,
    _: Cx,
    mut messages: Streaming<DecryptRequest>,
) -> Result<Nothing<DecryptResponse>, ApiError> {
    first(&mut messages).await?.options.ok_or_else(no_options)?;
    Err(Error::NotConfigured.into())
}

async fn first<T>(messages: &mut Streaming<T>) -> Result<T, Error> {
    match messages.message().await {
        Ok(Some(message)) => Ok(message),
        Ok(None) => Err(Error::NoFirstMessage { why: "EOF".into() }),
        Err(status) => Err(Error::NoFirstMessage {
            why: status.message().to_owned(),
        }),
    }
}

fn no_options() -> ApiError {
    request::Error::Bad {
        why: "first message does not contain the required options".into(),
    }
    .into()
}
