//! The output bindings API over HTTP.

use super::Bindings;
use crate::loose::{self, Texts, loose};
use api::{
    ApiError, HttpRequest, HttpResponse, json,
    request::{error_response, no_content, raw_json, set_metadata_headers},
};
use bytes::Bytes;
use http::StatusCode;
use serde_json::value::RawValue;
use std::borrow::Cow;
use wire::runtime::v1::InvokeBindingRequest;

loose! {
    struct Body<'a> {
        operation: String = "operation",
        data: Option<&'a RawValue> = "data",
        metadata: Texts = "metadata",
    }
}

pub(super) async fn invoke(block: &Bindings, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let malformed = |why: String| ApiError::from(api::error::Error::Malformed { why });
    let bytes = request.bytes().await.map_err(|e| malformed(e.to_string()))?;
    let body = json::parse::<Option<Body<'_>>>(&bytes)
        .map_err(malformed)?
        .unwrap_or_default();
    let data = match loose::compact(body.data) {
        Cow::Borrowed(text) => loose::part_of(&bytes, text),
        Cow::Owned(text) => Bytes::from(text),
    };
    let name = request.param("name").to_owned();
    let message = InvokeBindingRequest {
        name,
        data,
        metadata: body.metadata.0,
        operation: body.operation,
    };
    let (mut response, metadata) = match block.invoke(&request.cx, message).await {
        Ok(found) if found.data.is_empty() && found.metadata.is_empty() => (no_content(), found.metadata),
        Ok(found) => (raw_json(StatusCode::OK, found.data), found.metadata),
        Err(failed) => (error_response(&failed.error), failed.metadata),
    };
    set_metadata_headers(response.headers_mut(), &metadata);
    Ok(response)
}
