//! From the bytes of a gRPC stream to a body.

use crate::{
    codes,
    fault::Fault,
    frames::{Decoder, Event},
};
use api::{Body, BodyError};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use percent_encoding::percent_decode;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// What the trailers of gRPC say: nothing, if all is well.
pub(crate) fn fault_in(trailers: &HeaderMap) -> Option<Fault> {
    let code = trailers
        .get("grpc-status")?
        .to_str()
        .ok()
        .and_then(|code| code.parse().ok());
    let code = code.unwrap_or(codes::UNKNOWN);
    if code == codes::OK {
        return None;
    }
    let message = trailers.get("grpc-message").map_or(&b""[..], |value| value.as_bytes());
    let text = percent_decode(message).decode_utf8_lossy().into_owned();
    let mut fault = Fault::status(code, text);
    if let Some(details) = trailers.get("grpc-status-details-bin") {
        fault.details = decode_binary(details.as_bytes());
    }
    Some(fault)
}

/// Decodes a value of binary metadata; empty if it is none.
pub(crate) fn decode_binary(value: &[u8]) -> Bytes {
    use base64::{
        Engine,
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    };
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    ENGINE.decode(value).map(Bytes::from).unwrap_or_default()
}

/// Reads a stream up to its head. What follows is its body.
pub(crate) async fn open(mut stream: Body) -> Result<(Bytes, Download), Fault> {
    let mut decoder = Decoder::default();
    loop {
        match decoder
            .next()
            .map_err(|e| Fault::status(codes::INTERNAL, e.to_string()))?
        {
            Some(Event::Head(head)) => {
                return Ok((
                    head,
                    Download {
                        stream,
                        decoder,
                        done: false,
                    },
                ));
            }
            Some(Event::Data(_)) => return Err(headless()),
            None => {}
        }
        match stream.frame().await {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => decoder.push(data),
                Err(frame) => match frame.trailers_ref().and_then(fault_in) {
                    Some(fault) => return Err(fault),
                    None => return Err(headless()),
                },
            },
            Some(Err(error)) => return Err(Fault::status(codes::UNAVAILABLE, error.to_string())),
            None => return Err(headless()),
        }
    }
}

fn headless() -> Fault {
    let text = "parsing InternalInvokeRequest error: request does not contain the required fields in the leading chunk";
    Fault::status(codes::INVALID_ARGUMENT, text)
}

/// The body behind a head.
pub(crate) struct Download {
    stream: Body,
    decoder: Decoder,
    done: bool,
}

impl Download {
    /// The body, boxed.
    pub(crate) fn boxed(self) -> Body {
        self.boxed_unsync()
    }

    fn fail(&mut self, error: impl Into<BodyError>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.done = true;
        Poll::Ready(Some(Err(error.into())))
    }
}

/// A body whose length was told.
pub(crate) struct WithLength {
    body: Download,
    left: u64,
}

impl WithLength {
    /// The body, boxed.
    #[allow(clippy::new_ret_no_self)]
    pub(crate) fn new(body: Download, length: u64) -> Body {
        let left = length;
        Self { body, left }.boxed_unsync()
    }
}

impl http_body::Body for WithLength {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err("the body is longer than it was said to be".into()))),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.done {
            return Poll::Ready(None);
        }
        loop {
            match this.decoder.next() {
                Ok(Some(Event::Data(data))) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                // Only one head is of use.
                Ok(Some(Event::Head(_))) => continue,
                Ok(None) => {}
                Err(error) => return this.fail(error),
            }
            match ready!(Pin::new(&mut this.stream).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.decoder.push(data),
                    Err(frame) => {
                        if let Some(fault) = frame.trailers_ref().and_then(fault_in) {
                            return this.fail(fault.to_string());
                        }
                        if !this.decoder.is_between() {
                            return this.fail("unexpected EOF");
                        }
                    }
                },
                Some(Err(error)) => return this.fail(error),
                None if this.decoder.is_between() => {
                    this.done = true;
                    return Poll::Ready(None);
                }
                None => return this.fail("unexpected EOF"),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done || (self.decoder.is_between() && self.stream.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
