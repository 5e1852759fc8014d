//! The application as a channel for generated gRPC clients.

use crate::{Along, App, AppError};
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tonic::Status;

/// A channel whose calls carry what goes along with one request.
#[derive(Clone)]
pub struct Channel {
    app: Arc<App>,
    along: Along,
}

impl Channel {
    pub(crate) fn new(app: Arc<App>, along: Along) -> Self {
        Self { app, along }
    }
}

impl tower_service::Service<Request<tonic::body::Body>> for Channel {
    type Response = Response<tonic::body::Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let (app, along) = (self.app.clone(), self.along.clone());
        Box::pin(async move {
            let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
            let response = app.grpc(&along, request).await.map_err(|e| status(&e))?;
            Ok(response.map(|body| tonic::body::Body::new(body.map_err(|e| Status::unavailable(e.to_string())))))
        })
    }
}

/// The status of a call that got no answer.
fn status(error: &AppError) -> Status {
    match error {
        AppError::Send(_) => Status::unavailable(format!("connection error: desc = \"transport: {error}\"")),
        other => Status::internal(other.to_string()),
    }
}
