//! Calls of gRPC services that are not the sidecar's own, passed on as they are: bytes, metadata and trailers, both ways.

mod measured;

use crate::{
    Invoke,
    access::{Caller, Operation},
    codes,
    fault::{Fault, PeerFault},
    headers::{CALLEE_ID, CALLER_ID, CALLER_NAMESPACE, is_hop_by_hop},
    payload::{Payload, Replay},
    rpc,
    target::{self, APP_ID, AppId},
};
use api::{Body, Cx};
use app::Along;
use download::fault_in;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use measured::{Measured, Verdict};
use outgoing::{Builtin, CallCx, CallError, Failure};
use std::time::Instant;
use telemetry::metrics::service::Invocation;

use crate::download;

/// The metadata that says that a call is a stream, so that policies are for its beginning only.
const STREAM: HeaderName = HeaderName::from_static("dapr-stream");
/// How much of a request is kept for another attempt.
const KEPT: usize = 4 * 1024 * 1024;

impl Invoke {
    /// Passes on a call that came to the API.
    pub(crate) async fn proxy(&self, cx: Cx, request: Request<Body>) -> Response<Body> {
        let headers = request.headers();
        let Some(id) = headers.get(&CALLEE_ID).or_else(|| headers.get(&APP_ID)) else {
            let text = if request.uri().path().starts_with("/dapr.proto.") {
                "failed to proxy request: required metadata dapr-callee-app-id or dapr-app-id not found"
            } else {
                "cannot proxy request: missing dapr-callee-app-id or dapr-app-id metadata"
            };
            return rpc::failed(&Fault::status(codes::UNKNOWN, text));
        };
        let id = String::from_utf8_lossy(id.as_bytes()).into_owned();
        let result = self.proxy_to(cx, &id, request).await;
        result.unwrap_or_else(|fault| rpc::failed(&fault))
    }

    async fn proxy_to(&self, cx: Cx, id: &str, request: Request<Body>) -> Result<Response<Body>, Fault> {
        let app = target::parse(id, &self.me.namespace)?;
        let is_stream = request.headers().get(&STREAM).is_some_and(|value| value == "true");
        let kind = if is_stream {
            Invocation::Streaming
        } else {
            Invocation::Unary
        };
        self.metrics.service_invocation_request_sent(app.id, kind);
        let started = Instant::now();
        let is_local = app.id == self.me.id && app.namespace == self.me.namespace;
        let is_once = is_stream || is_local;
        let proxied = Proxied::new(&cx, request, self.runtime.info.body_limit(), is_once);
        let result = if is_local {
            self.to_app(&proxied, &cx).await
        } else {
            self.to_peer_guarded(&proxied, &cx, id, app).await
        };
        proxied.payload.release();
        if self.metrics.is_enabled() {
            let code = match &result {
                Ok(response) => status_of(response.headers()),
                Err(fault) => fault.code.unwrap_or(codes::UNKNOWN),
            };
            self.metrics
                .service_invocation_response_received(app.id, code, kind, started.elapsed());
        }
        result
    }

    /// Passes on a call that came from another sidecar to the application.
    pub(crate) async fn proxy_from_peer(&self, cx: Cx, request: Request<Body>) -> Response<Body> {
        let result = self.proxy_from_peer_or_fail(cx, request).await;
        result.unwrap_or_else(|fault| rpc::failed(&fault))
    }

    async fn proxy_from_peer_or_fail(&self, cx: Cx, request: Request<Body>) -> Result<Response<Body>, Fault> {
        let headers = request.headers();
        if let Some(id) = headers.get(&CALLEE_ID).or_else(|| headers.get(&APP_ID)) {
            let id = String::from_utf8_lossy(id.as_bytes());
            let app = target::parse(&id, &self.me.namespace)?;
            if app.id != self.me.id {
                let text = format!("cannot proxy request: {id} is not the application of this sidecar");
                return Err(Fault::status(codes::UNKNOWN, text));
            }
        }
        let caller = request.extensions().get::<Caller>().cloned();
        let path = request.uri().path().to_owned();
        let operation = Operation {
            name: &path,
            verb: None,
            is_grpc: true,
        };
        self.allow(caller.as_ref(), &operation)?;
        let source = headers
            .get(&CALLER_ID)
            .and_then(|id| id.to_str().ok())
            .unwrap_or_default();
        self.metrics.service_invocation_request_received(source);
        let proxied = Proxied::new(&cx, request, self.runtime.info.body_limit(), true);
        self.to_app(&proxied, &cx).await
    }

    async fn to_app(&self, call: &Proxied, cx: &Cx) -> Result<Response<Body>, Fault> {
        let app = self.well_app()?;
        if !app.options().protocol.is_grpc() {
            let text = "connection error: desc = \"the application does not speak gRPC\"";
            return Err(Fault::status(codes::UNAVAILABLE, text));
        }
        let along = Along {
            trace: cx.trace.clone(),
            baggage: cx.baggage.clone(),
        };
        let sent = app
            .grpc(&along, call.request(call.target.clone(), call.headers.clone()))
            .await;
        let response = sent.map_err(|error| call.verdict.or(Fault::from_grpc_app(&error)))?;
        Ok(call.answer(response))
    }

    async fn to_peer_guarded(
        &self,
        call: &Proxied,
        cx: &Cx,
        id: &str,
        app: AppId<'_>,
    ) -> Result<Response<Body>, Fault> {
        let policies = &cx.snapshot.policies;
        let endpoint = format!("{id}:{}", call.target.path());
        let policy = policies.app(id, &endpoint);
        if !policy.is_noop() {
            let attempt = |_| self.to_peer(call, app, cx);
            let bad = |response: &Response<Body>| failure(call, response);
            return policy
                .run_checked(&CallCx::new(&self.never), attempt, bad)
                .await
                .map_err(refused);
        }
        if policies.names_app(app.id) {
            return self.to_peer(call, app, cx).await;
        }
        let policy = policies.builtin(Builtin::ServiceRetries);
        let attempt = |_| async { self.to_peer(call, app, cx).await.map_err(PeerFault) };
        let unreachable =
            |failure: &Failure| matches!(failure, Failure::Grpc(codes::UNAVAILABLE | codes::UNAUTHENTICATED));
        let bad = |response: &Response<Body>| failure(call, response).filter(unreachable);
        let result = policy.run_checked(&CallCx::new(&self.never), attempt, bad).await;
        result.map_err(|error| refused(error.map(|PeerFault(fault)| fault)))
    }

    async fn to_peer(&self, call: &Proxied, app: AppId<'_>, cx: &Cx) -> Result<Response<Body>, Fault> {
        let result = self.to_peer_once(call, app, cx).await;
        match result {
            Ok(response) => Ok(call.answer(response)),
            Err(fault) if call.payload.can_replay() => Err(call.verdict.or(fault)),
            Err(fault) => Err(call.verdict.or(fault).for_good()),
        }
    }

    async fn to_peer_once(&self, call: &Proxied, app: AppId<'_>, cx: &Cx) -> Result<Response<Body>, Fault> {
        let address = self.finder.find(app).await?;
        let peer = self
            .peers
            .at(&address, app)
            .map_err(|e| Fault::text(e.to_string()).for_good())?;
        let target = call.target.path_and_query().map_or("/", |target| target.as_str());
        let target = peer
            .client
            .request_uri(target)
            .map_err(|e| Fault::text(e.to_string()).for_good())?;
        let mut headers = call.headers.clone();
        let told = [
            (CALLER_ID, self.me.id.as_str()),
            (CALLER_NAMESPACE, self.me.namespace.as_str()),
            (CALLEE_ID, app.id),
        ];
        for (name, value) in told {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        if cx.trace.is_valid() {
            cx.trace.write_grpc(&mut headers);
        }
        let response = peer.client.send(call.request(target, headers)).await.map_err(|error| {
            self.finder.forget(app);
            Fault::from_peer(&error)
        })?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let text = format!(
            "unexpected HTTP status code received from server: {}",
            response.status()
        );
        Err(Fault::status(codes::UNAVAILABLE, text))
    }
}

/// A call that is passed on.
struct Proxied {
    target: Uri,
    headers: HeaderMap,
    payload: Payload,
    limit: u64,
    verdict: Verdict,
}

impl Proxied {
    fn new(cx: &Cx, request: Request<Body>, limit: usize, is_once: bool) -> Self {
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        let unwanted = |name: &str| is_hop_by_hop(name) && name != "te";
        let gone: Vec<HeaderName> = headers.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
        for name in gone
            .iter()
            .chain([&APP_ID, &app::TOKEN, &header::HOST, &header::CONTENT_LENGTH])
        {
            headers.remove(name);
        }
        if let Some(baggage) = &cx.baggage {
            headers.insert("baggage", baggage.clone());
        }
        let kept = if is_once { 0 } else { KEPT.min(limit) };
        let limit = limit as u64;
        let verdict = Verdict::default();
        let body = Measured::request(body, limit, verdict.clone());
        Self {
            target: parts.uri,
            headers,
            payload: Payload::Stream(Replay::keeping(body, kept as u64)),
            limit,
            verdict,
        }
    }

    fn request(&self, target: Uri, headers: HeaderMap) -> Request<Body> {
        let mut request = Request::new(self.payload.body());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = target;
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = headers;
        request
    }

    /// The answer, its messages measured.
    fn answer(&self, response: Response<Body>) -> Response<Body> {
        if response.headers().contains_key("grpc-status") {
            return response;
        }
        let (limit, verdict) = (self.limit, self.verdict.clone());
        response.map(|body| Measured::response(body, limit, verdict))
    }
}

/// The status of an answer of headers alone.
fn status_of(headers: &HeaderMap) -> i32 {
    fault_in(headers).and_then(|fault| fault.code).unwrap_or(codes::OK)
}

/// The bad news of an answer, if the call could be made again.
fn failure(call: &Proxied, response: &Response<Body>) -> Option<Failure> {
    let code = status_of(response.headers());
    (code != codes::OK && call.payload.can_replay()).then_some(Failure::Grpc(code))
}

fn refused(error: CallError<Fault>) -> Fault {
    match error {
        CallError::Inner(fault) => fault,
        CallError::Timeout => Fault::status(codes::DEADLINE_EXCEEDED, error.to_string()),
        other => Fault::status(codes::UNKNOWN, other.to_string()),
    }
}
