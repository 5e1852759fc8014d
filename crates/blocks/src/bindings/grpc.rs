//! The output bindings API over gRPC: the metadata of an answer are also sent as metadata of the call, and come with errors
//! as well.

use super::{Bindings, Failed};
use api::{Body, BodyError, Cx, grpc};
use component::Metadata;
use futures_util::{future::BoxFuture, stream};
use http::{HeaderMap, HeaderName};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use std::sync::Arc;
use tonic::metadata::{MetadataKey, MetadataMap};
use wire::runtime::v1::InvokeBindingRequest;

/// What of a gRPC status is told by headers.
const STATUS: [HeaderName; 3] = [
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
];

pub(super) fn invoke(
    block: Arc<Bindings>,
    cx: Cx,
    request: http::Request<Body>,
) -> BoxFuture<'static, http::Response<Body>> {
    let answer = grpc::unary(cx, request, move |cx, message: InvokeBindingRequest| async move {
        match block.invoke(&cx, message).await {
            Ok(found) => {
                let mut response = tonic::Response::new(found);
                let headers = headers(&response.get_ref().metadata);
                *response.metadata_mut() = headers;
                Ok(response)
            }
            Err(Failed { mut error, metadata }) => {
                let mut status = error.status();
                *status.metadata_mut() = headers(&metadata);
                error.status = Some(Box::new(status));
                Err(error)
            }
        }
    });
    Box::pin(async move { headers_first(answer.await) })
}

/// Metadata of the call for those of an answer.
fn headers(metadata: &Metadata) -> MetadataMap {
    let mut headers = MetadataMap::new();
    for (name, value) in metadata {
        let name = MetadataKey::from_bytes(format!("metadata.{}", name.to_ascii_lowercase()).as_bytes());
        if let (Ok(name), Ok(value)) = (name, value.parse()) {
            headers.insert(name, value);
        }
    }
    headers
}

/// An answer that is an error alone has one block of headers, which clients take for trailers. The metadata belong before.
fn headers_first(response: http::Response<Body>) -> http::Response<Body> {
    let (mut parts, body) = response.into_parts();
    let mut trailers = HeaderMap::new();
    for name in STATUS {
        if let Some(value) = parts.headers.remove(&name) {
            trailers.insert(name, value);
        }
    }
    if trailers.is_empty() {
        return http::Response::from_parts(parts, body);
    }
    let end = stream::iter([Ok::<_, BodyError>(Frame::trailers(trailers))]);
    http::Response::from_parts(parts, StreamBody::new(end).boxed_unsync())
}
