//! gRPC calls: from a request's bytes to wire messages and back.

use crate::{ApiError, Body, Cx, body::BodyError};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use http_body_util::BodyExt;
use std::future::ready;
use tonic::{
    Request, Response, Status,
    codec::{Codec, Decoder, Encoder},
    server::{Grpc, StreamingService, UnaryService},
};
use tonic_prost::ProstCodec;

/// Answers a unary call by `f`.
pub async fn unary<Req, Res, F, Fut>(cx: Cx, request: http::Request<Body>, f: F) -> http::Response<Body>
where
    Req: prost::Message + Default + Send + 'static,
    Res: prost::Message + Default + Send + 'static,
    F: FnOnce(Cx, Req) -> Fut,
    Fut: Future<Output = Result<Response<Res>, ApiError>> + Send + 'static,
    F: Send + 'static,
{
    let limit = cx.info().body_limit();
    let mut grpc = Grpc::new(ProstCodec::<Res, Req>::default())
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit);
    let response = grpc
        .unary(
            Unary(Some((cx, f)), std::marker::PhantomData),
            request.map(tonic::body::Body::new),
        )
        .await;
    too_large(response).map(|body| body.map_err(|e: Status| BodyError::from(e)).boxed_unsync())
}

struct Unary<F, M>(Option<(Cx, F)>, std::marker::PhantomData<fn(M)>);

impl<Req, Res, F, Fut> UnaryService<Req> for Unary<F, Req>
where
    F: FnOnce(Cx, Req) -> Fut,
    Fut: Future<Output = Result<Response<Res>, ApiError>> + Send + 'static,
    Res: Send + 'static,
{
    type Response = Res;
    type Future = futures_util::future::BoxFuture<'static, Result<Response<Res>, Status>>;

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        match self.0.take() {
            Some((cx, f)) => {
                let work = f(cx, request.into_inner());
                Box::pin(async move { work.await.map_err(|e| to_status(&e)) })
            }
            None => Box::pin(ready(Err(Status::internal("a unary call was answered twice")))),
        }
    }
}

/// Answers a call that streams both ways (or one) by `f`.
pub async fn streaming<Req, Res, F, Fut, S>(cx: Cx, request: http::Request<Body>, f: F) -> http::Response<Body>
where
    Req: prost::Message + Default + Send + 'static,
    Res: prost::Message + Default + Send + 'static,
    F: FnOnce(Cx, tonic::Streaming<Req>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<S, ApiError>> + Send + 'static,
    S: Stream<Item = Result<Res, Status>> + Send + 'static,
{
    let limit = cx.info().body_limit();
    let mut grpc = Grpc::new(ProstCodec::<Res, Req>::default())
        .max_decoding_message_size(limit)
        .max_encoding_message_size(limit);
    let response = grpc
        .streaming(
            Streams(Some((cx, f)), std::marker::PhantomData),
            request.map(tonic::body::Body::new),
        )
        .await;
    too_large(response).map(|body| body.map_err(|e: Status| BodyError::from(e)).boxed_unsync())
}

struct Streams<F, M>(Option<(Cx, F)>, std::marker::PhantomData<fn(M)>);

impl<Req, Res, F, Fut, S> StreamingService<Req> for Streams<F, Req>
where
    F: FnOnce(Cx, tonic::Streaming<Req>) -> Fut,
    Fut: Future<Output = Result<S, ApiError>> + Send + 'static,
    S: Stream<Item = Result<Res, Status>> + Send + 'static,
    Res: Send + 'static,
{
    type Response = Res;
    type ResponseStream = BoxStream<'static, Result<Res, Status>>;
    type Future = futures_util::future::BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<tonic::Streaming<Req>>) -> Self::Future {
        match self.0.take() {
            Some((cx, f)) => {
                let work = f(cx, request.into_inner());
                Box::pin(async move {
                    let stream = work.await.map_err(|e| to_status(&e))?;
                    Ok(Response::new(stream.boxed()))
                })
            }
            None => Box::pin(ready(Err(Status::internal("a streaming call was answered twice")))),
        }
    }
}

/// A message over the limit, told as clients of the original know it. tonic says OUT_OF_RANGE in words of its own.
fn too_large<B>(mut response: http::Response<B>) -> http::Response<B> {
    let is_code = |code: &str| response.headers().get("grpc-status").is_some_and(|v| v == code);
    if !is_code("11") {
        return response;
    }
    let Some(text) = response.headers().get("grpc-message").and_then(|v| v.to_str().ok()) else {
        return response;
    };
    if !text.contains("message%20length%20too%20large") {
        return response;
    }
    let numbers: Vec<&str> = text
        .split("%20")
        .filter(|word| word.bytes().all(|b| b.is_ascii_digit()))
        .collect();
    let [found, limit] = numbers[..] else { return response };
    let message = format!("grpc: received message larger than max ({found} vs. {limit})").replace(' ', "%20");
    if let Ok(message) = http::HeaderValue::try_from(message) {
        response.headers_mut().insert("grpc-message", message);
        response
            .headers_mut()
            .insert("grpc-status", http::HeaderValue::from_static("8"));
    }
    response
}

/// The status of an error; it remembers the kind of error, for the metric that counts them.
pub fn to_status(error: &ApiError) -> Status {
    error.status()
}

/// An answer that is an error and nothing else.
pub fn status_response(status: Status) -> http::Response<Body> {
    status
        .into_http::<tonic::body::Body>()
        .map(|body| body.map_err(|e: Status| BodyError::from(e)).boxed_unsync())
}

/// A codec that passes messages as bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct RawCodec;

impl Codec for RawCodec {
    type Encode = bytes::Bytes;
    type Decode = bytes::Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = bytes::Bytes;
    type Error = Status;

    fn encode(&mut self, item: bytes::Bytes, to: &mut tonic::codec::EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put(to, item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = bytes::Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut tonic::codec::DecodeBuf<'_>) -> Result<Option<bytes::Bytes>, Status> {
        let length = bytes::Buf::remaining(from);
        Ok(Some(bytes::Buf::copy_to_bytes(from, length)))
    }
}
