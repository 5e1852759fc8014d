//! The secrets API over HTTP.

use super::Secrets;
use api::{
    ApiError, HttpRequest, HttpResponse,
    request::{json_content, no_content},
};
use http::StatusCode;
use std::collections::BTreeMap;
use wire::runtime::v1::{GetBulkSecretRequest, GetSecretRequest};

pub(super) async fn get(block: &Secrets, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let message = GetSecretRequest {
        store_name: request.param("store").to_owned(),
        key: request.param("key").to_owned(),
        metadata: request.query_metadata(),
    };
    let found = block.get(&request.cx, message).await?;
    if found.data.is_empty() {
        return Ok(no_content());
    }
    let sorted: BTreeMap<_, _> = found.data.into_iter().collect();
    Ok(json_content(StatusCode::OK, &sorted))
}

pub(super) async fn get_bulk(block: &Secrets, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let message = GetBulkSecretRequest {
        store_name: request.param("store").to_owned(),
        metadata: request.query_metadata(),
    };
    let found = block.get_bulk(&request.cx, message).await?;
    let sorted = |map: std::collections::HashMap<_, _>| map.into_iter().collect::<BTreeMap<String, String>>();
    let all: BTreeMap<_, _> = found
        .data
        .into_iter()
        .map(|(key, secret)| (key, sorted(secret.secrets)))
        .collect();
    Ok(json_content(StatusCode::OK, &all))
}
