//! From a head and a body to the bytes of a gRPC stream.

use crate::{
    codes,
    proto::{PAYLOAD_PREFIX, put_payload_prefix},
};
use api::{Body, BodyError};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// The most bytes of a body in one message.
const PIECE: usize = 64 * 1024;
/// A body up to this size is copied behind its head, so that both are sent at once.
const COPIED: usize = 8 * 1024;

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// As a request does: it just ends.
    Request,
    /// As an answer does: with trailers.
    Response,
}

/// A head and a body that is whole.
pub(crate) fn whole(head: &[u8], body: Bytes, end: End) -> Body {
    if body.len() > COPIED {
        return stream(head, api::body::full(body), end);
    }
    let mut out = BytesMut::with_capacity(head.len() + PAYLOAD_PREFIX + body.len());
    out.extend_from_slice(head);
    if !body.is_empty() {
        put_payload_prefix(&mut out, 0, body.len());
        out.extend_from_slice(&body);
    }
    match end {
        End::Request => once(out.freeze()),
        End::Response => answered(Some(out.freeze()), good()),
    }
}

/// A head and a body that streams.
pub(crate) fn stream(head: &[u8], body: Body, end: End) -> Body {
    Upload {
        head: head.into(),
        body: Some(body),
        chunk: Bytes::new(),
        piece: None,
        seq: 0,
        end,
        over: None,
    }
    .boxed_unsync()
}

/// The trailers of an answer that is whole.
pub(crate) fn good() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers
}

/// The trailers of an answer that broke off.
pub(crate) fn bad(code: i32, why: &str) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(2);
    trailers.insert("grpc-status", HeaderValue::from(code));
    if let Ok(value) = HeaderValue::from_str(&escaped(why)) {
        trailers.insert("grpc-message", value);
    }
    trailers
}

/// A text as `grpc-message` holds it.
pub(crate) fn escaped(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if (0x20..0x7f).contains(&byte) && byte != b'%' {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ok = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// One message. Nothing is said of its length, which gRPC does not do either.
pub(crate) fn once(message: Bytes) -> Body {
    let (message, trailers) = (Some(message), None);
    Answered { message, trailers }.boxed_unsync()
}

/// At most one message, and trailers.
pub(crate) fn answered(message: Option<Bytes>, trailers: HeaderMap) -> Body {
    let trailers = Some(trailers);
    Answered { message, trailers }.boxed_unsync()
}

struct Answered {
    message: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl http_body::Body for Answered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.message.is_none() && self.trailers.is_none()
    }
}

/// A head, then a body in numbered pieces: before each piece a few bytes of its own, then the bytes as they came.
struct Upload {
    /// What has to be sent before the next piece.
    head: BytesMut,
    body: Option<Body>,
    /// What came of the body and was not sent yet.
    chunk: Bytes,
    /// The piece that is sent next, its prefix being sent already.
    piece: Option<Bytes>,
    seq: u64,
    end: End,
    /// The body has ended, and what is to be said of it.
    over: Option<HeaderMap>,
}

impl Upload {
    /// Cuts the next piece, and puts what comes before it behind the head; a small one as a whole.
    fn cut(&mut self) {
        let piece = self.chunk.split_to(self.chunk.len().min(PIECE));
        put_payload_prefix(&mut self.head, self.seq, piece.len());
        self.seq += 1;
        if piece.len() <= COPIED {
            self.head.extend_from_slice(&piece);
        } else {
            self.piece = Some(piece);
        }
    }

    fn head(&mut self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(Some(Ok(Frame::data(self.head.split().freeze()))))
    }

    fn finish(&mut self, trailers: HeaderMap) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.body = None;
        match self.end {
            End::Request => Poll::Ready(None),
            End::Response => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
        }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            if let Some(piece) = this.piece.take() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            if !this.chunk.is_empty() {
                this.cut();
                return this.head();
            }
            if this.over.is_some() && !this.head.is_empty() {
                return this.head();
            }
            if let Some(trailers) = this.over.take() {
                return this.finish(trailers);
            }
            let Some(body) = &mut this.body else {
                return Poll::Ready(None);
            };
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending if this.head.is_empty() => return Poll::Pending,
                // The head must not wait for a body that comes late.
                Poll::Pending => return this.head(),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        this.chunk = data;
                    }
                }
                Poll::Ready(Some(Err(error))) if this.end == End::Request => {
                    this.body = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(Some(Err(error))) => this.over = Some(bad(codes::INTERNAL, &error.to_string())),
                Poll::Ready(None) => this.over = Some(good()),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            None => true,
            Some(body) => {
                self.end == End::Request
                    && self.head.is_empty()
                    && self.piece.is_none()
                    && self.chunk.is_empty()
                    && (self.over.is_some() || body.is_end_stream())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
