//! Unary calls of gRPC by hand: one message there, one back, with all that goes with them.

use crate::{codes, fault::Fault, proto::PREFIX, upload};
use api::Body;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt;
use prost::Message;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// A message behind its prefix.
pub(crate) fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut out = BytesMut::with_capacity(PREFIX + length);
    out.put_u8(0);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    message.encode_raw(&mut out);
    out.freeze()
}

/// A request of gRPC.
pub(crate) fn request(target: Uri, headers: HeaderMap, body: Body) -> Request<Body> {
    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = target;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = headers;
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, GRPC);
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    request
}

/// An answer of gRPC whose status comes with its body.
pub(crate) fn response(headers: HeaderMap, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    response
}

/// An answer of one message.
pub(crate) fn answer(headers: HeaderMap, message: Bytes, trailers: HeaderMap) -> Response<Body> {
    response(headers, upload::answered(Some(message), trailers))
}

/// An answer that is a status, behind headers.
pub(crate) fn refusal(headers: HeaderMap, trailers: HeaderMap) -> Response<Body> {
    if headers.is_empty() {
        let mut response = response(trailers, api::body::empty());
        response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
        return response;
    }
    response(headers, upload::answered(None, trailers))
}

/// An answer that is a status and nothing else.
pub(crate) fn failed(fault: &Fault) -> Response<Body> {
    let mut trailers = upload::bad(fault.code.unwrap_or(codes::UNKNOWN), &fault.text);
    put_details(&mut trailers, &fault.details);
    refusal(HeaderMap::new(), trailers)
}

/// Puts an encoded `google.rpc.Status` into trailers.
pub(crate) fn put_details(trailers: &mut HeaderMap, details: &[u8]) {
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
    if !details.is_empty()
        && let Ok(value) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(details))
    {
        trailers.insert("grpc-status-details-bin", value);
    }
}

/// What was answered to a unary call.
pub(crate) struct Reply {
    pub(crate) headers: HeaderMap,
    /// The trailers; if there was nothing but headers, those.
    pub(crate) trailers: HeaderMap,
    /// The message; empty if there was none.
    pub(crate) message: Bytes,
}

/// Reads the answer to a unary call.
pub(crate) async fn read(response: Response<Body>, limit: usize) -> Result<Reply, Fault> {
    let (parts, mut body) = response.into_parts();
    if parts.status != http::StatusCode::OK {
        let text = format!("unexpected HTTP status code received from server: {}", parts.status);
        return Err(Fault::status(codes::UNAVAILABLE, text));
    }
    if parts.headers.contains_key("grpc-status") {
        return Ok(Reply {
            headers: HeaderMap::new(),
            trailers: parts.headers,
            message: Bytes::new(),
        });
    }
    let mut reader = MessageReader::new(limit);
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Fault::status(codes::UNAVAILABLE, format!("error reading from server: {e}")))?;
        match frame.into_data() {
            Ok(data) => reader.push(data)?,
            Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Ok(Reply {
        headers: parts.headers,
        trailers,
        message: reader.message().unwrap_or_default(),
    })
}

/// Reads the only message of a request.
pub(crate) async fn read_request(mut body: Body, limit: usize) -> Result<Bytes, Fault> {
    let mut reader = MessageReader::new(limit);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| Fault::status(codes::INTERNAL, e.to_string()))?;
        if let Ok(data) = frame.into_data() {
            reader.push(data)?;
        }
    }
    reader
        .message()
        .ok_or_else(|| Fault::status(codes::INTERNAL, "the request ended without a message"))
}

/// Gathers a message from the pieces that it comes in.
struct MessageReader {
    limit: usize,
    first: Bytes,
    rest: BytesMut,
    checked: bool,
}

impl MessageReader {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            first: Bytes::new(),
            rest: BytesMut::new(),
            checked: false,
        }
    }

    fn push(&mut self, data: Bytes) -> Result<(), Fault> {
        if self.first.is_empty() && self.rest.is_empty() {
            self.first = data;
        } else {
            if self.rest.is_empty() {
                self.rest.extend_from_slice(&std::mem::take(&mut self.first));
            }
            self.rest.extend_from_slice(&data);
        }
        if !self.checked {
            let start: &[u8] = if self.rest.is_empty() { &self.first } else { &self.rest };
            if let Some(mut prefix) = start.get(..PREFIX) {
                self.checked = true;
                if prefix.get_u8() != 0 {
                    let text = "grpc: Decompressor is not installed for grpc-encoding";
                    return Err(Fault::status(codes::UNIMPLEMENTED, text));
                }
                let length = prefix.get_u32() as usize;
                if length > self.limit {
                    return Err(too_large(length as u64, self.limit as u64));
                }
                if length > start.len() {
                    self.rest.reserve((length + PREFIX).saturating_sub(self.rest.len()));
                }
            }
        }
        if self.first.len().max(self.rest.len()) > self.limit.saturating_add(PREFIX) {
            return Err(Fault::status(
                codes::INTERNAL,
                "more than one message where one is expected",
            ));
        }
        Ok(())
    }

    fn message(self) -> Option<Bytes> {
        let mut all = if self.rest.is_empty() {
            self.first
        } else {
            self.rest.freeze()
        };
        if all.len() < PREFIX {
            return None;
        }
        let length = all.split_to(PREFIX).slice(1..).get_u32() as usize;
        (length <= all.len()).then(|| all.slice(..length))
    }
}

/// A message is larger than allowed.
pub(crate) fn too_large(length: u64, limit: u64) -> Fault {
    let text = format!("grpc: received message larger than max ({length} vs. {limit})");
    Fault::status(codes::RESOURCE_EXHAUSTED, text).for_good()
}
