//! The limit of concurrent calls to the application.

use bytes::Bytes;
use component::middleware::{Body, BodyError};
use http::Response;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many calls may be under way; without a number it costs nothing.
pub(crate) struct Limit(Option<Arc<Semaphore>>);

/// The right to one call.
pub(crate) struct Permit(Option<OwnedSemaphorePermit>);

impl Limit {
    pub(crate) fn new(most: Option<usize>) -> Self {
        Self(
            most.filter(|n| *n > 0)
                .map(|n| Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS)))),
        )
    }

    /// Waits for a place.
    pub(crate) async fn acquire(&self) -> Permit {
        match &self.0 {
            None => Permit(None),
            // The semaphore is never closed.
            Some(places) => Permit(places.clone().acquire_owned().await.ok()),
        }
    }
}

impl Permit {
    /// Holds the place until the answer's body is done with.
    pub(crate) fn hold(self, response: Response<Body>) -> Response<Body> {
        match self.0 {
            None => response,
            Some(permit) => response.map(|body| Held { body, _permit: permit }.boxed_unsync()),
        }
    }
}

struct Held {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
