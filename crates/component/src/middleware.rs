//! HTTP middleware: what stands between a listener and the API, or between the sidecar and the application.

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use std::sync::Arc;

/// Any error of a body.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A body that streams.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body that is whole already.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A body of nothing.
pub fn empty() -> Body {
    http_body_util::Empty::new()
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// What comes after a middleware: the rest of the pipeline and the end of it.
#[async_trait]
pub trait Next: Send + Sync {
    /// Passes the request on and returns the answer.
    async fn run(&self, request: http::Request<Body>) -> http::Response<Body>;
}

/// A step of a pipeline. It may change the request, answer by itself, or change the answer.
#[async_trait]
pub trait HttpMiddleware: Send + Sync + 'static {
    /// Handles a request; `next` is what comes after.
    async fn handle(&self, request: http::Request<Body>, next: &dyn Next) -> http::Response<Body>;
}

/// Middlewares in their order. An empty pipeline costs nothing: callers ask [`Pipeline::is_empty`] first.
#[derive(Clone, Default)]
pub struct Pipeline(Arc<[Arc<dyn HttpMiddleware>]>);

impl Pipeline {
    /// A pipeline of the given steps; the first sees a request first.
    pub fn new(steps: Vec<Arc<dyn HttpMiddleware>>) -> Self {
        Self(steps.into())
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs a request through all steps to `end`.
    pub async fn run(&self, request: http::Request<Body>, end: &dyn Next) -> http::Response<Body> {
        Rest { steps: &self.0, end }.run(request).await
    }
}

struct Rest<'a> {
    steps: &'a [Arc<dyn HttpMiddleware>],
    end: &'a dyn Next,
}

#[async_trait]
impl Next for Rest<'_> {
    async fn run(&self, request: http::Request<Body>) -> http::Response<Body> {
        match self.steps.split_first() {
            Some((first, steps)) => first.handle(request, &Rest { steps, end: self.end }).await,
            None => self.end.run(request).await,
        }
    }
}
