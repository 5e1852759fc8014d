//! `Upgrade: h2c`: a connection that begins as HTTP/1.1 and goes on as HTTP/2 (RFC 7540, 3.2).
//!
//! RFC 9113 dropped it and hyper has no server side for it, but clients of the original may use it. The first request
//! becomes stream 1 of the new connection: [`Upgraded`] passes the client's preface on and slips that request in behind
//! it, as a HEADERS frame, before anything else that the client sends.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, header};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether a request asks for the upgrade. One with a body is served over HTTP/1.1.
pub(super) fn asked_for<B: http_body::Body>(request: &Request<B>) -> bool {
    let has = |name: header::HeaderName, word: &str| {
        request
            .headers()
            .get_all(name)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(','))
            .any(|v| v.trim().eq_ignore_ascii_case(word))
    };
    request.version() == http::Version::HTTP_11
        && has(header::UPGRADE, "h2c")
        && has(header::CONNECTION, "upgrade")
        && request.headers().contains_key("http2-settings")
        && request.body().is_end_stream()
}

/// The answer that agrees to the upgrade.
pub(super) fn agree<B: Default>() -> http::Response<B> {
    let mut response = http::Response::new(B::default());
    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    response
        .headers_mut()
        .insert(header::UPGRADE, HeaderValue::from_static("h2c"));
    response
}

/// A request as the HEADERS frame of stream 1, with the end of the stream in it.
pub(super) fn first_frame(method: &http::Method, uri: &http::Uri, headers: &HeaderMap) -> Bytes {
    let mut block = BytesMut::new();
    let host = headers.get(header::HOST).map_or(&b"localhost"[..], |v| v.as_bytes());
    literal(&mut block, b":method", method.as_str().as_bytes());
    literal(&mut block, b":scheme", b"http");
    literal(&mut block, b":authority", host);
    literal(
        &mut block,
        b":path",
        uri.path_and_query().map_or("/", |p| p.as_str()).as_bytes(),
    );
    for (name, value) in headers {
        let hop_by_hop = [
            "host",
            "connection",
            "upgrade",
            "http2-settings",
            "keep-alive",
            "transfer-encoding",
            "proxy-connection",
            "te",
        ];
        if !hop_by_hop.contains(&name.as_str()) {
            literal(&mut block, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    let mut frame = BytesMut::with_capacity(block.len() + 9);
    frame.put_uint(block.len() as u64, 3);
    frame.put_u8(0x1); // HEADERS
    frame.put_u8(0x4 | 0x1); // END_HEADERS, END_STREAM
    frame.put_u32(1);
    frame.extend_from_slice(&block);
    frame.freeze()
}

/// A header as HPACK writes one that is in no table and is to be kept in none (RFC 7541, 6.2.2).
fn literal(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    out.put_u8(0);
    text(out, name);
    text(out, value);
}

/// A text as HPACK writes it, without Huffman's code: its length with a prefix of seven bits, and its bytes.
fn text(out: &mut BytesMut, bytes: &[u8]) {
    if bytes.len() < 127 {
        out.put_u8(bytes.len() as u8);
    } else {
        out.put_u8(127);
        let mut rest = bytes.len() - 127;
        while rest >= 128 {
            out.put_u8((rest % 128) as u8 | 0x80);
            rest /= 128;
        }
        out.put_u8(rest as u8);
    }
    out.extend_from_slice(bytes);
}

/// A connection after the upgrade: the client's preface and its first frame (SETTINGS), then the first request, then the rest.
pub(super) struct Upgraded<T> {
    inner: T,
    request: Bytes,
    // What was read of the preface and the SETTINGS frame, until both are whole.
    head: BytesMut,
    out: Bytes,
    whole: bool,
}

impl<T> Upgraded<T> {
    pub(super) fn new(inner: T, request: Bytes) -> Self {
        Self {
            inner,
            request,
            head: BytesMut::new(),
            out: Bytes::new(),
            whole: false,
        }
    }

    /// Where the client's first frame ends, once enough was read to know.
    fn head_length(&self) -> Option<usize> {
        let frame = self.head.get(PREFACE.len()..)?;
        let length =
            usize::from(*frame.first()?) << 16 | usize::from(*frame.get(1)?) << 8 | usize::from(*frame.get(2)?);
        Some(PREFACE.len() + 9 + length)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Upgraded<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while !this.whole {
            let mut space = [0; 1024];
            let mut read = ReadBuf::new(&mut space);
            std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                this.whole = true;
                this.out = std::mem::take(&mut this.head).freeze();
                break;
            }
            this.head.extend_from_slice(read.filled());
            if let Some(length) = this.head_length().filter(|length| this.head.len() >= *length) {
                let mut all = BytesMut::with_capacity(this.head.len() + this.request.len());
                all.extend_from_slice(&this.head[..length]);
                all.extend_from_slice(&std::mem::take(&mut this.request));
                all.extend_from_slice(&this.head[length..]);
                this.out = all.freeze();
                this.head = BytesMut::new();
                this.whole = true;
            } else if this.head.len() > 64 * 1024 {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "no HTTP/2 preface after the upgrade",
                )));
            }
        }
        if this.out.has_remaining() {
            let length = this.out.len().min(buf.remaining());
            buf.put_slice(&this.out.split_to(length));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Upgraded<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
