//! The gRPC API, and the gRPC server for other sidecars.

use super::{http::Layers, http::baggage, listen::Answer, log::Called};
use crate::{
    Body, Cx, Transport,
    body::BodyError,
    grpc::status_response,
    op::{GrpcCall, Table},
};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use resources::configuration::api::Protocol;
use std::{
    collections::HashMap,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};
use telemetry::{
    metrics::{Metrics, grpc::status_name},
    trace::{Kind, Span, TraceContext},
};
use tonic::Status;

enum Found {
    Call(GrpcCall, &'static str),
    Denied,
}

/// A gRPC server of a table's rows.
pub struct GrpcServer {
    layers: Layers,
    paths: HashMap<String, Found>,
    services: Vec<(&'static str, GrpcCall)>,
    fallback: Option<GrpcCall>,
}

impl GrpcServer {
    /// A server of the rows; those that are not allowed answer that they are not available.
    pub fn new(layers: Layers, table: &Table) -> Self {
        let mut paths = HashMap::new();
        for row in &table.rows {
            let Some(call) = &row.grpc else { continue };
            let allowed = !row.guarded || layers.access.permits(Protocol::Grpc, row.group, row.version, "");
            for path in &row.grpc_paths {
                paths.insert(
                    path.clone(),
                    if allowed {
                        Found::Call(call.clone(), row.name)
                    } else {
                        Found::Denied
                    },
                );
            }
        }
        let fallback = table
            .grpc_fallback
            .clone()
            .filter(|_| layers.access.permits(Protocol::Grpc, "invoke", "v1.0", ""));
        Self {
            layers,
            paths,
            services: Vec::new(),
            fallback,
        }
    }

    /// Adds a whole service by the start of its paths, such as reflection.
    pub fn service(mut self, prefix: &'static str, call: GrpcCall) -> Self {
        self.services.push((prefix, call));
        self
    }

    async fn layered(self: Arc<Self>, mut request: Request<Body>) -> Response<Body> {
        let started = Instant::now();
        let path = request.uri().path().to_owned();
        let headers = request.headers_mut();
        if !self.layers.token.admits(headers) {
            return status_response(unauthenticated());
        }
        let baggage = match baggage(headers) {
            Ok(baggage) => baggage,
            Err(why) => return status_response(Status::invalid_argument(why)),
        };
        let (call, _name) = match self.find(&path) {
            Ok(found) => found,
            Err(status) => return status_response(status),
        };
        let called = self
            .layers
            .log
            .wants(true)
            .then(|| Called::grpc(&path, headers, started));
        let (span, trace) = self.trace(headers, &path);
        let runtime = self.layers.runtime.clone();
        let snapshot = runtime.snapshot();
        let cx = Cx {
            runtime,
            snapshot,
            trace,
            baggage,
            transport: Transport::Grpc,
            headers: headers.clone(),
        };
        let response = call(cx, request).await;
        if self.layers.metrics.is_enabled() || span.is_some() || called.is_some() {
            return Watched::response(
                response,
                Watch {
                    metrics: self.layers.metrics.clone(),
                    path,
                    started,
                    span,
                    called,
                    log: self.layers.log,
                },
            );
        }
        response
    }

    fn find(&self, path: &str) -> Result<(GrpcCall, &'static str), Status> {
        match self.paths.get(path) {
            Some(Found::Call(call, name)) => return Ok((call.clone(), name)),
            Some(Found::Denied) => return Err(Status::unimplemented("requested endpoint is not available")),
            None => {}
        }
        if let Some((_, call)) = self.services.iter().find(|(prefix, _)| path.starts_with(prefix)) {
            return Ok((call.clone(), ""));
        }
        match &self.fallback {
            Some(call) => Ok((call.clone(), "")),
            None => Err(Status::unimplemented(format!("unknown method {path}"))),
        }
    }

    fn trace(&self, headers: &HeaderMap, path: &str) -> (Option<Span>, TraceContext) {
        let parent = TraceContext::from_grpc(headers);
        if !self.layers.tracer.is_on() {
            return (None, parent.unwrap_or_default());
        }
        let mut span = self.layers.tracer.start(path, parent.as_ref(), Kind::Server);
        span.set_attribute_with("dapr.api", || path.to_owned().into());
        span.set_attribute("dapr.protocol", "grpc");
        let context = span.context().clone();
        (Some(span), context)
    }
}

fn unauthenticated() -> Status {
    use tonic_types::StatusExt;
    let details = tonic_types::ErrorDetails::with_error_info("INVALID_API_TOKEN", crate::error::DOMAIN, HashMap::new());
    Status::with_error_details(tonic::Code::Unauthenticated, "invalid api token", details)
}

impl Answer for GrpcServer {
    async fn answer(self: Arc<Self>, mut request: Request<Body>, peer: Option<SocketAddr>) -> Response<Body> {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        self.layered(request).await
    }
}

/// What is told about a call once its answer has gone out.
struct Watch {
    metrics: Metrics,
    path: String,
    started: Instant,
    span: Option<Span>,
    called: Option<Called>,
    log: super::log::ApiLog,
}

/// A body that tells how the call ended.
struct Watched {
    body: Body,
    watch: Option<Watch>,
    sent: u64,
}

impl Watched {
    fn response(response: Response<Body>, watch: Watch) -> Response<Body> {
        let (parts, body) = response.into_parts();
        // An answer of headers alone has its status there.
        if let Some(status) = grpc_status(&parts.headers) {
            watch.done(status, 0);
            return Response::from_parts(parts, body);
        }
        Response::from_parts(
            parts,
            Self {
                body,
                watch: Some(watch),
                sent: 0,
            }
            .boxed_unsync(),
        )
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<i32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

impl Watch {
    fn done(mut self, status: i32, sent: u64) {
        self.metrics
            .grpc_server_completed(&self.path, status_name(status), 0, sent, self.started.elapsed());
        if let Some(called) = self.called.take() {
            called.done(&self.log, "", status as u16, None);
        }
        if let Some(mut span) = self.span.take() {
            span.set_attribute("rpc.grpc.status_code", i64::from(status));
            if status != 0 {
                span.set_error(&status_name(status));
            }
            span.end();
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // The caller went away before the end.
        if let Some(watch) = self.watch.take() {
            watch.done(tonic::Code::Cancelled as i32, self.sent);
        }
    }
}

impl http_body::Body for Watched {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        let sent = self.sent;
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.sent += data.len() as u64;
                } else if let Some(trailers) = frame.trailers_ref()
                    && let Some(watch) = self.watch.take()
                {
                    watch.done(grpc_status(trailers).unwrap_or(2), sent);
                }
            }
            Some(Err(_)) => {
                if let Some(watch) = self.watch.take() {
                    watch.done(tonic::Code::Unknown as i32, sent);
                }
            }
            None => {
                if let Some(watch) = self.watch.take() {
                    watch.done(0, sent);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
