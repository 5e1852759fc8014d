//! Messages of gRPC, measured as they pass: one over the limit ends the call.

use crate::{codes, fault::Fault, proto::PREFIX, rpc::too_large, upload};
use api::{Body, BodyError};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// What was wrong with a request: whoever sends it only sees that it broke off.
#[derive(Clone, Default)]
pub(super) struct Verdict(Arc<Mutex<Option<Fault>>>);

impl Verdict {
    fn set(&self, fault: Fault) {
        self.0.lock().get_or_insert(fault);
    }

    fn get(&self) -> Option<Fault> {
        self.0.lock().clone()
    }

    /// What was wrong with the request, or else what the sender says.
    pub(super) fn or(&self, fault: Fault) -> Fault {
        self.get().unwrap_or(fault)
    }
}

/// Counts the bytes of messages.
#[derive(Default)]
struct Meter {
    /// The bytes of a prefix that were seen.
    prefix: [u8; PREFIX],
    seen: usize,
    /// What is left of a message.
    left: u64,
}

impl Meter {
    /// Passes bytes through; the length of a message that is over the limit.
    fn pass(&mut self, mut bytes: &[u8], limit: u64) -> Result<(), u64> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len() as u64);
                self.left -= skipped;
                bytes = &bytes[skipped as usize..];
                continue;
            }
            let take = (PREFIX - self.seen).min(bytes.len());
            self.prefix[self.seen..self.seen + take].copy_from_slice(&bytes[..take]);
            self.seen += take;
            bytes = &bytes[take..];
            if self.seen == PREFIX {
                self.seen = 0;
                let [_, a, b, c, d] = self.prefix;
                self.left = u64::from(u32::from_be_bytes([a, b, c, d]));
                if self.left > limit {
                    return Err(self.left);
                }
            }
        }
        Ok(())
    }
}

/// A body whose messages are measured.
pub(super) struct Measured {
    body: Body,
    meter: Meter,
    limit: u64,
    verdict: Verdict,
    is_response: bool,
    done: bool,
}

impl Measured {
    /// The body of a request. What is wrong with it goes into the verdict.
    pub(super) fn request(body: Body, limit: u64, verdict: Verdict) -> Body {
        Self::measured(body, limit, verdict, false)
    }

    /// The body of an answer. It ends with the verdict, or with a status of its own, if something is wrong.
    pub(super) fn response(body: Body, limit: u64, verdict: Verdict) -> Body {
        Self::measured(body, limit, verdict, true)
    }

    fn measured(body: Body, limit: u64, verdict: Verdict, is_response: bool) -> Body {
        Self {
            body,
            meter: Meter::default(),
            limit,
            verdict,
            is_response,
            done: false,
        }
        .boxed_unsync()
    }

    fn end(&mut self, fault: &Fault) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.done = true;
        if !self.is_response {
            return Poll::Ready(Some(Err(fault.to_string().into())));
        }
        let trailers = upload::bad(fault.code.unwrap_or(codes::UNKNOWN), &fault.text);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

impl http_body::Body for Measured {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        if this.done {
            return Poll::Ready(None);
        }
        match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                let Some(data) = frame.data_ref() else {
                    return Poll::Ready(Some(Ok(frame)));
                };
                match this.meter.pass(data, this.limit) {
                    Ok(()) => Poll::Ready(Some(Ok(frame))),
                    Err(length) => {
                        let fault = too_large(length, this.limit);
                        if !this.is_response {
                            this.verdict.set(fault.clone());
                        }
                        this.end(&fault)
                    }
                }
            }
            Some(Err(error)) if this.is_response => {
                let fault = Fault::status(codes::UNAVAILABLE, format!("error reading from server: {error}"));
                let fault = this.verdict.or(fault);
                this.end(&fault)
            }
            other => Poll::Ready(other),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.done || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_across_pieces() {
        let mut message = vec![0, 0, 0, 0, 7];
        message.extend_from_slice(b"seven..");
        let stream = message.repeat(20);
        for size in 1..30 {
            let mut meter = Meter::default();
            for piece in stream.chunks(size) {
                assert_eq!(meter.pass(piece, 7), Ok(()));
            }
            let mut meter = Meter::default();
            let bad = stream.chunks(size).find_map(|piece| meter.pass(piece, 6).err());
            assert_eq!(bad, Some(7));
        }
    }
}
