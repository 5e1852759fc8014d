//! What a block sees of a request.

use crate::{
    ApiError, Body,
    body::{self, ReadError},
    error, json, path,
};
use bytes::Bytes;
use component::Metadata;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use runtime::{Info, Runtime, Snapshot};
use serde::{Serialize, de::DeserializeOwned};
use smallvec::SmallVec;
use std::sync::Arc;
use telemetry::trace::TraceContext;

/// Over what a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// HTTP.
    Http,
    /// gRPC.
    Grpc,
}

/// The context of a request: what was loaded when it began, and what goes on with it.
#[derive(Clone)]
pub struct Cx {
    /// Who the sidecar is, and the handle of what is loaded.
    pub runtime: Arc<Runtime>,
    /// What was loaded when the request began.
    pub snapshot: Arc<Snapshot>,
    /// The trace that the request belongs to; all zero if there is none. What goes out carries it.
    pub trace: TraceContext,
    /// The `baggage` header, valid, as it came.
    pub baggage: Option<HeaderValue>,
    /// Over what it came.
    pub transport: Transport,
    /// The metadata of a gRPC request, the headers of an HTTP request.
    pub headers: HeaderMap,
}

impl Cx {
    /// A context for work that no request began.
    pub fn internal(runtime: &Arc<Runtime>) -> Self {
        Self {
            runtime: runtime.clone(),
            snapshot: runtime.snapshot(),
            trace: TraceContext::default(),
            baggage: None,
            transport: Transport::Grpc,
            headers: HeaderMap::new(),
        }
    }

    /// Who the sidecar is.
    pub fn info(&self) -> &Info {
        &self.runtime.info
    }
}

/// Parameters of a path by name, decoded. Few enough to be searched one by one.
pub type Params = SmallVec<[(&'static str, String); 4]>;

/// An HTTP request on its way to a block.
pub struct HttpRequest {
    /// Its context, with its headers.
    pub cx: Cx,
    /// Its method.
    pub method: http::Method,
    /// Its target as it was sent.
    pub uri: http::Uri,
    /// Whether it came as HTTP/1.1 or HTTP/2.
    pub version: http::Version,
    /// Its path parameters.
    pub params: Params,
    /// Its body.
    pub body: Body,
}

/// An HTTP answer.
pub type HttpResponse = http::Response<Body>;

impl HttpRequest {
    /// A path parameter, decoded; empty if the route has none of that name.
    pub fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value)
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.cx.headers.get(name).and_then(|v| v.to_str().ok())
    }

    /// The query's names and values, decoded, in their order.
    pub fn query(&self) -> impl Iterator<Item = (String, String)> {
        let query = self.uri.query().unwrap_or_default();
        query.split('&').filter(|part| !part.is_empty()).map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (path::unescape_query(name), path::unescape_query(value))
        })
    }

    /// The first query value of a name.
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.query().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Query values `metadata.<name>=<value>` by name.
    pub fn query_metadata(&self) -> Metadata {
        if self.uri.query().is_none() {
            return Metadata::new();
        }
        self.query()
            .filter_map(|(name, value)| Some((name.strip_prefix("metadata.")?.to_owned(), value)))
            .collect()
    }

    /// The whole body; an error if it is over the limit or breaks off.
    pub async fn bytes(&mut self) -> Result<Bytes, ReadError> {
        let limit = self.cx.info().body_limit();
        body::read(std::mem::replace(&mut self.body, body::empty()), limit).await
    }

    /// The whole body as JSON. What is wrong with it becomes `ERR_MALFORMED_REQUEST`.
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        let malformed = |why: String| ApiError::from(error::Error::Malformed { why });
        let bytes = self.bytes().await.map_err(|e| malformed(e.to_string()))?;
        json::parse(&bytes).map_err(malformed)
    }
}

/// An answer without a body.
pub fn no_content() -> HttpResponse {
    status(StatusCode::NO_CONTENT)
}

/// An answer of a status alone.
pub fn status(status: StatusCode) -> HttpResponse {
    let mut response = http::Response::new(body::empty());
    *response.status_mut() = status;
    response
}

/// An answer with a body.
pub fn content(status: StatusCode, content_type: HeaderValue, bytes: impl Into<Bytes>) -> HttpResponse {
    let mut response = http::Response::new(body::full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// The content type of JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer of JSON.
pub fn json_content<T: Serialize>(code: StatusCode, value: &T) -> HttpResponse {
    match serde_json::to_vec(value) {
        Ok(bytes) => content(code, JSON, bytes),
        Err(e) => error_response(&error::Error::Internal { why: e.to_string() }.into()),
    }
}

/// An answer of JSON that is text already.
pub fn raw_json(code: StatusCode, bytes: impl Into<Bytes>) -> HttpResponse {
    content(code, JSON, bytes)
}

/// The answer to a request that failed.
pub fn error_response(error: &ApiError) -> HttpResponse {
    let code = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = content(code, JSON, error.json());
    response.extensions_mut().insert(ErrorCode(error.code));
    response
}

/// The kind of error that an answer tells of, for the metric that counts them.
#[derive(Clone, Copy)]
pub struct ErrorCode(pub &'static crate::Code);

/// Sets `metadata.<name>` headers of an answer; names and values that no header can hold are left out.
pub fn set_metadata_headers<'a>(headers: &mut HeaderMap, metadata: impl IntoIterator<Item = (&'a String, &'a String)>) {
    for (name, value) in metadata {
        let name = http::HeaderName::from_bytes(format!("metadata.{name}").as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.insert(name, value);
        }
    }
}
