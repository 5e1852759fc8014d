//! Bodies: they stream, and are gathered only where a block needs the whole.

use bytes::{Buf, Bytes, BytesMut};
pub use component::middleware::{Body, BodyError, empty, full};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// A body was larger than the limit, or broke off.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// More than the limit came.
    #[error("http: request body too large")]
    TooLarge,
    /// The sender went away or sent nonsense.
    #[error("{0}")]
    Broken(String),
}

/// Reads a whole body of at most `limit` bytes.
pub async fn read(mut body: Body, limit: usize) -> Result<Bytes, ReadError> {
    if body.size_hint().lower() > limit as u64 {
        return Err(ReadError::TooLarge);
    }
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|e| {
            if e.is::<ReadError>() {
                ReadError::TooLarge
            } else {
                ReadError::Broken(e.to_string())
            }
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > limit {
            return Err(ReadError::TooLarge);
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
            continue;
        }
        if rest.is_empty() {
            let known = usize::try_from(body.size_hint().lower()).unwrap_or(0).min(limit);
            rest.reserve(first.len() + data.len() + known);
            rest.extend_from_slice(&first);
            first = Bytes::new();
        }
        rest.extend_from_slice(&data);
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}

pin_project_lite::pin_project! {
    /// A body that fails once more than `left` bytes came through.
    pub struct Limited<B> {
        #[pin]
        inner: B,
        left: u64,
    }
}

impl<B> Limited<B> {
    /// Lets at most `limit` bytes through.
    pub fn new(inner: B, limit: u64) -> Self {
        Self { inner, left: limit }
    }
}

impl<B> http_body::Body for Limited<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.project();
        match std::task::ready!(this.inner.poll_frame(cx)) {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    match this.left.checked_sub(data.remaining() as u64) {
                        Some(left) => *this.left = left,
                        None => return Poll::Ready(Some(Err(ReadError::TooLarge.into()))),
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
