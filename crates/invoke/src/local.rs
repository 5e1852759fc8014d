//! Calls to the application of this sidecar, without a network between them.

use crate::{
    Invoke,
    call::{Answer, Call, GrpcAnswer, method_of},
    codes,
    download::{decode_binary, fault_in},
    fault::Fault,
    headers::{self, Origin},
    method,
    payload::settle,
    rpc, upload,
};
use app::App;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header, uri::PathAndQuery};
use prost::Message;
use std::{borrow::Cow, sync::Arc};
use wire::{
    common::v1::{HttpExtension, InvokeRequest, InvokeResponse},
    google::protobuf::Any,
};

/// The content type of data that are messages.
pub(crate) const PROTOBUF: &str = "application/x-protobuf";

impl Invoke {
    /// The application, if there is one and it is well.
    pub(crate) fn well_app(&self) -> Result<Arc<App>, Fault> {
        let app = self.app.load_full().ok_or_else(Fault::no_app)?;
        if !app.health().is_well() {
            return Err(Fault::status(codes::INTERNAL, app::AppError::Unhealthy.to_string()));
        }
        Ok(app)
    }

    /// Calls the application.
    pub(crate) async fn call_app(&self, call: Call) -> Result<Answer, Fault> {
        let app = self.well_app()?;
        if app.options().protocol.is_grpc() {
            self.call_grpc_app(&app, call).await
        } else {
            call_http_app(&app, call).await
        }
    }

    async fn call_grpc_app(&self, app: &App, call: Call) -> Result<Answer, Fault> {
        let limit = self.runtime.info.body_limit();
        let data = call
            .body
            .gather(limit)
            .await
            .map_err(|why| Fault::text(why).for_good())?;
        let content_type = call.content_type.as_ref().or_else(|| match call.origin {
            Origin::Http => call.metadata.get(header::CONTENT_TYPE),
            Origin::Grpc => None,
        });
        let message = InvokeRequest {
            method: call.method,
            data: Some(Any {
                type_url: call.type_url,
                value: data.into(),
            }),
            content_type: content_type.map_or_else(String::new, |v| String::from_utf8_lossy(v.as_bytes()).into_owned()),
            http_extension: call.verb.map(|verb| HttpExtension {
                verb: verb.into(),
                querystring: call.query,
            }),
        };
        let mut headers = headers::to_grpc_app(&call.metadata, call.origin);
        call.along.trace.write_grpc(&mut headers);
        if !call.along.trace.is_valid() {
            call.along.trace.write_http(&mut headers);
        }
        let mut request = rpc::request(
            Uri::from_static("/dapr.proto.runtime.v1.AppCallback/OnInvoke"),
            headers,
            upload::once(rpc::framed(&message)),
        );
        request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        let sent = app.grpc(&call.along, request).await;
        let response = sent.map_err(|error| Fault::from_grpc_app(&error))?;
        let reply = rpc::read(response, limit).await?;
        grpc_answer(reply)
    }
}

fn grpc_answer(reply: rpc::Reply) -> Result<Answer, Fault> {
    let rpc::Reply {
        mut headers,
        mut trailers,
        message,
    } = reply;
    let mut answer = GrpcAnswer::default();
    if let Some(fault) = fault_in(&trailers) {
        answer.code = fault.code.unwrap_or(codes::UNKNOWN);
        answer.message = fault.text;
        answer.details = details_of(fault.details);
    } else {
        let message = InvokeResponse::decode(message).map_err(|e| {
            Fault::status(
                codes::INTERNAL,
                format!("grpc: failed to unmarshal the received message: {e}"),
            )
        })?;
        let data = message.data.unwrap_or_default();
        answer.content_type = message.content_type;
        answer.type_url = data.type_url;
        answer.data = data.value.into();
    }
    headers::from_grpc(&mut headers);
    headers::from_grpc(&mut trailers);
    answer.headers = headers;
    answer.trailers = trailers;
    Ok(Answer::Grpc(Box::new(answer)))
}

/// The details in an encoded `google.rpc.Status`.
pub(crate) fn details_of(status: Bytes) -> Vec<Bytes> {
    #[derive(Clone, PartialEq, Message)]
    struct Details {
        #[prost(bytes = "bytes", repeated, tag = "3")]
        details: Vec<Bytes>,
    }
    Details::decode(status).map(|status| status.details).unwrap_or_default()
}

/// `grpc-status-details-bin` of a status, without its encoding as text.
pub(crate) fn status_with(code: i32, message: &str, details: &[Bytes]) -> Vec<u8> {
    #[derive(Clone, PartialEq, Message)]
    struct Status {
        #[prost(int32, tag = "1")]
        code: i32,
        #[prost(string, tag = "2")]
        message: String,
        #[prost(bytes = "bytes", repeated, tag = "3")]
        details: Vec<Bytes>,
    }
    let (message, details) = (message.to_owned(), details.to_vec());
    Status { code, message, details }.encode_to_vec()
}

/// Details in binary metadata, if there are any.
pub(crate) fn details_in(headers: &http::HeaderMap) -> Vec<Bytes> {
    match headers.get("grpc-status-details-bin") {
        Some(value) => details_of(decode_binary(value.as_bytes())),
        None => Vec::new(),
    }
}

async fn call_http_app(app: &App, call: Call) -> Result<Answer, Fault> {
    let base = || format!("http://{}:{}", app.options().address, app.options().port);
    let (body, along) = (call.body.clone(), call.along.clone());
    let request = http_request(call, "/", &base)?;
    let method = request.method().clone();
    let url = |target: &str| format!("{}{target}", base());
    let target = request.uri().clone();
    match app.http(&along, request).await {
        Ok(mut response) => {
            headers::from_http_app(response.headers_mut());
            Ok(Answer::Http(settle(response, method == Method::HEAD).await))
        }
        Err(error) => {
            let broken = body.broken();
            let is_final = broken.is_some() || !body.can_replay();
            let fault = Fault::from_app(&method, &url(&target.to_string()), &error, broken);
            Err(if is_final { fault.for_good() } else { fault })
        }
    }
}

/// A call as an HTTP request; its target is `prefix`, which ends with a slash, the method and the query.
pub(crate) fn http_request(call: Call, prefix: &str, base: &dyn Fn() -> String) -> Result<Request<api::Body>, Fault> {
    let invalid = |why: &str| Fault::status(codes::INVALID_ARGUMENT, why).for_good();
    let verb = call.verb.ok_or_else(|| invalid("missing HTTP extension field"))?;
    let verb = method_of(verb).ok_or_else(|| invalid("invalid HTTP verb"))?;
    let path = method::encode(&call.method, base)?;
    let target = target(prefix, &path, &call.query)?;
    let mut headers = call.metadata;
    headers::to_http_app(&mut headers, call.origin);
    if !call.type_url.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    } else if let Some(content_type) = call.content_type {
        headers.entry(header::CONTENT_TYPE).or_insert(content_type);
    }
    if call.body.exact().is_some() {
        // It is told by the body itself.
        headers.remove(header::CONTENT_LENGTH);
    }
    if call.body.exact() == Some(0) && matches!(verb, Method::POST | Method::PUT | Method::PATCH) {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let bodiless = matches!(verb, Method::GET | Method::HEAD);
    if bodiless && call.body.exact().is_none() && !headers.contains_key(header::CONTENT_LENGTH) {
        // Without it these methods have no body.
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    let mut request = Request::new(call.body.body());
    *request.method_mut() = verb;
    *request.uri_mut() = Uri::from(target);
    *request.headers_mut() = headers;
    Ok(request)
}

fn target(prefix: &str, path: &str, query: &str) -> Result<PathAndQuery, Fault> {
    let mut out = String::with_capacity(prefix.len() + path.len() + query.len() + 1);
    out.push_str(prefix);
    out.push_str(path);
    if !query.is_empty() {
        out.push('?');
        out.push_str(&plain_query(query));
    }
    PathAndQuery::from_maybe_shared(Bytes::from(out)).map_err(|e| Fault::text(e.to_string()).for_good())
}

/// A query that can be written in a request: one that came over HTTP is, byte for byte.
fn plain_query(query: &str) -> Cow<'_, str> {
    let bad = |b: u8| !b.is_ascii_graphic() || matches!(b, b'#' | b'<' | b'>' | b'"');
    if !query.bytes().any(bad) {
        return Cow::Borrowed(query);
    }
    let mut out = String::with_capacity(query.len() * 2);
    for b in query.bytes() {
        if bad(b) {
            use std::fmt::Write;
            // Writing to a string does not fail.
            let _ok = write!(out, "%{b:02X}");
        } else {
            out.push(char::from(b));
        }
    }
    Cow::Owned(out)
}
