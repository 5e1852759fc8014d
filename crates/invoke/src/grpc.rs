//! Invocation over gRPC: `InvokeService`.

use crate::{
    Invoke,
    call::{Answer, Call, GrpcAnswer},
    codes,
    fault::Fault,
    guard::Front,
    headers::{self, Origin},
    http::refused,
    local::{details_in, status_with},
    method,
    payload::{Content, Payload},
    rpc, upload,
};
use api::{Body, Cx};
use app::Along;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use prost::Message;
use std::collections::HashMap;
use tonic_types::pb::ErrorInfo;
use wire::{common::v1::InvokeResponse, google::protobuf::Any, runtime::v1::InvokeServiceRequest};

/// How much of what an application says of its failure is told in the details of the status.
const MOST_DETAIL: usize = 63;

impl Invoke {
    /// `InvokeService`.
    pub(crate) async fn invoke_service(&self, cx: Cx, request: http::Request<Body>) -> Response<Body> {
        let limit = self.runtime.info.body_limit();
        match self.invoke_service_or_fail(cx, request, limit).await {
            Ok(response) => response,
            Err(fault) => rpc::failed(&fault),
        }
    }

    async fn invoke_service_or_fail(
        &self,
        cx: Cx,
        request: http::Request<Body>,
        limit: usize,
    ) -> Result<Response<Body>, Fault> {
        let authority = request.uri().authority().map(|a| a.as_str().to_owned());
        let message = rpc::read_request(request.into_body(), limit).await?;
        let request = InvokeServiceRequest::decode(message)
            .map_err(|e| Fault::status(codes::INTERNAL, format!("grpc: error unmarshalling request: {e}")))?;
        let id = request.id;
        let failed = |why: String| Fault::status(codes::INTERNAL, format!("failed to invoke, id: {id}, err: {why}"));
        let message = request.message.ok_or_else(|| failed("message is nil".into()))?;
        let method = method::normalize(&message.method)
            .map_err(|fault| failed(fault.to_string()))?
            .into_owned();
        let data = message.data.unwrap_or_default();
        let (verb, query) = match message.http_extension {
            Some(extension) => (Some(extension.verb()), extension.querystring),
            None => (None, String::new()),
        };
        let call = Call {
            method,
            verb,
            query,
            metadata: metadata(cx.headers, authority.as_deref()),
            origin: Origin::Grpc,
            content_type: HeaderValue::from_str(&message.content_type)
                .ok()
                .filter(|value| !value.is_empty()),
            type_url: data.type_url,
            body: Payload::Whole(data.value.into()),
            along: Along {
                trace: cx.trace.clone(),
                baggage: cx.baggage,
            },
            repeats: false,
        };
        let answer = self.guarded(&cx.snapshot, &id, call, Front::Grpc).await;
        let answer = answer.map_err(|error| Fault::status(codes::INTERNAL, refused(id.clone(), error).to_string()))?;
        let mut response = match answer {
            Answer::Http(response) => from_http(response, limit).await.map_err(|e| failed(e.to_string()))?,
            Answer::Grpc(answer) => from_grpc(*answer),
        };
        cx.trace.write_http(response.headers_mut());
        Ok(response)
    }
}

/// Metadata as they go on: their content type tells that they came by gRPC.
fn metadata(mut headers: HeaderMap, authority: Option<&str>) -> HeaderMap {
    for name in ["te", "content-length", "grpc-timeout", "grpc-encoding"] {
        headers.remove(name);
    }
    headers
        .entry(header::CONTENT_TYPE)
        .or_insert(HeaderValue::from_static(headers::GRPC));
    if let Some(Ok(authority)) = authority.map(HeaderValue::from_str) {
        headers.insert("dapr-authority", authority);
    }
    headers
}

/// The answer of an HTTP application.
async fn from_http(response: Response<Content>, limit: usize) -> Result<Response<Body>, api::body::ReadError> {
    let (parts, content) = response.into_parts();
    let data = content.gather(limit).await?;
    let mut metadata = headers::to_grpc_caller(&parts.headers);
    metadata.insert(headers::HTTP_STATUS, HeaderValue::from(parts.status.as_u16()));
    if !parts.status.is_success() {
        return Ok(failure(parts.status, &data, metadata));
    }
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.map_or_else(String::new, |v| String::from_utf8_lossy(v.as_bytes()).into_owned());
    Ok(good(data, String::new(), content_type, metadata, HeaderMap::new()))
}

fn good(data: Bytes, type_url: String, content_type: String, headers: HeaderMap, more: HeaderMap) -> Response<Body> {
    let data = Any {
        type_url,
        value: data.into(),
    };
    let message = InvokeResponse {
        data: Some(data),
        content_type,
    };
    let mut trailers = upload::good();
    trailers.extend(more);
    rpc::answer(headers, rpc::framed(&message), trailers)
}

/// An HTTP status that is a failure, as a status of gRPC.
fn failure(status: StatusCode, data: &[u8], headers: HeaderMap) -> Response<Body> {
    let code = codes::from_http(status.as_u16());
    let reason = codes::reason(status);
    let mut shown = &*String::from_utf8_lossy(data);
    while shown.len() > MOST_DETAIL {
        let end = (0..=MOST_DETAIL).rev().find(|end| shown.is_char_boundary(*end));
        shown = &shown[..end.unwrap_or_default()];
    }
    let info = ErrorInfo {
        reason: reason.clone().into_owned(),
        domain: api::error::DOMAIN.to_owned(),
        metadata: HashMap::from([
            ("http.code".to_owned(), status.as_u16().to_string()),
            ("http.error_message".to_owned(), shown.to_owned()),
        ]),
    };
    let info = Any {
        type_url: "type.googleapis.com/google.rpc.ErrorInfo".to_owned(),
        value: info.encode_to_vec(),
    };
    let mut trailers = upload::bad(code, &reason);
    rpc::put_details(
        &mut trailers,
        &status_with(code, &reason, &[info.encode_to_vec().into()]),
    );
    rpc::refusal(headers, trailers)
}

/// The answer of a gRPC application.
fn from_grpc(answer: GrpcAnswer) -> Response<Body> {
    if answer.code == codes::OK {
        let GrpcAnswer {
            data,
            type_url,
            content_type,
            headers,
            trailers,
            ..
        } = answer;
        return good(data, type_url, content_type, headers, trailers);
    }
    let mut trailers = answer.trailers;
    let details = if answer.details.is_empty() {
        details_in(&trailers)
    } else {
        answer.details
    };
    trailers.extend(upload::bad(answer.code, &answer.message));
    if !details.is_empty() {
        rpc::put_details(&mut trailers, &status_with(answer.code, &answer.message, &details));
    }
    rpc::refusal(answer.headers, trailers)
}
