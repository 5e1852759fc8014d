//! The HTTP API: the layers that a request passes, in their order, and the route at their end.

use super::{
    listen::Answer,
    log::{ApiLog, Called},
    router::{Match, Router},
};
use crate::{
    Body, Cx, HttpRequest, HttpResponse, Transport,
    body::{self, Limited},
    cors::Cors,
    op::{HttpCall, Table},
    path,
    request::{self, ErrorCode, Params},
    token::ApiToken,
};
use component::{async_trait, middleware::Next};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use resources::configuration::api::{ApiSpec, Protocol};
use runtime::{Runtime, Snapshot};
use std::{borrow::Cow, net::SocketAddr, sync::Arc, time::Instant};
use telemetry::{
    metrics::{Metrics, http::Exchange},
    trace::{Kind, Span, TraceContext, Tracer, baggage},
};

/// What a server needs besides its table.
#[derive(Clone)]
pub struct Layers {
    /// What is loaded.
    pub runtime: Arc<Runtime>,
    /// Which operations may be called.
    pub access: Arc<ApiSpec>,
    /// The token that callers must show.
    pub token: ApiToken,
    /// Cross-origin requests.
    pub cors: Option<Cors>,
    /// Metrics.
    pub metrics: Metrics,
    /// Traces.
    pub tracer: Tracer,
    /// The log of calls.
    pub log: ApiLog,
    /// The most bytes of a request's headers.
    pub max_header_bytes: usize,
}

/// The header that carries baggage.
pub(super) const BAGGAGE: http::HeaderName = http::HeaderName::from_static("baggage");

/// The HTTP server of the API, or of its public part.
pub struct HttpServer {
    layers: Layers,
    router: Arc<Router>,
    fallback: Option<HttpCall>,
    /// Raw paths that need no token, are not traced, and can be left out of the log.
    open_paths: Vec<&'static str>,
    public: bool,
}

impl HttpServer {
    /// A server of the rows that are allowed.
    pub fn new(layers: Layers, table: &Table) -> Self {
        let fallback = table
            .http_fallback
            .clone()
            .filter(|_| layers.access.permits(Protocol::Http, "invoke", "v1.0", "invoke"));
        Self::build(layers, table, fallback, false)
    }

    /// A server of the public port: what is public, without tokens.
    pub fn public(layers: Layers, table: &Table) -> Self {
        let layers = Layers {
            token: ApiToken::default(),
            ..layers
        };
        Self::build(layers, table, None, true)
    }

    fn build(layers: Layers, table: &Table, fallback: Option<HttpCall>, public: bool) -> Self {
        let router = Arc::new(Router::new(table, &layers.access, public));
        let open = table
            .rows
            .iter()
            .filter(|row| !row.guarded)
            .flat_map(|row| row.routes.iter().map(|r| r.1));
        let open_paths = open.collect();
        Self {
            layers,
            router,
            fallback,
            open_paths,
            public,
        }
    }

    async fn layered(self: Arc<Self>, request: Request<Body>) -> HttpResponse {
        let (mut parts, body) = request.into_parts();
        if head_size(&parts.uri, &parts.headers) > self.layers.max_header_bytes {
            return request::status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        let started = Instant::now();
        let guarded = !self.open_paths.contains(&parts.uri.path());
        let baggage = match baggage(&parts.headers) {
            Ok(baggage) => baggage,
            Err(why) => return text(StatusCode::BAD_REQUEST, why),
        };
        let path = path::clean(parts.uri.path()).into_owned();
        let (span, trace) = self.trace(&parts.headers, &path, guarded);
        let origin = self
            .layers
            .cors
            .as_ref()
            .filter(|_| !self.public)
            .map(|_| parts.headers.clone());
        if let (Some(cors), Some(origin)) = (&self.layers.cors, &origin)
            && let Some(response) = cors.preflight(&parts.method, origin)
        {
            return response;
        }
        let request_bytes = body.size_hint().exact().unwrap_or(0);
        let method = parts.method.clone();
        let mut response = if guarded && !self.layers.token.admits(&mut parts.headers) {
            text(StatusCode::UNAUTHORIZED, "invalid api token".into())
        } else {
            let cx = self.context(parts.headers, trace.clone(), baggage.clone());
            let input = Input {
                method: parts.method,
                uri: parts.uri,
                version: parts.version,
                path: path.clone(),
                guarded,
                started,
            };
            self.piped(cx, input, body).await
        };
        if let (Some(cors), Some(origin)) = (&self.layers.cors, &origin)
            && origin.contains_key(header::ORIGIN)
        {
            cors.decorate(origin, response.headers_mut());
        }
        if guarded {
            trace.write_http(response.headers_mut());
            if let Some(baggage) = baggage {
                response.headers_mut().insert(BAGGAGE, baggage);
            }
        }
        self.record(&method, &path, request_bytes, started, &response);
        finish(span, response.status());
        response
    }

    fn trace(&self, headers: &HeaderMap, path: &str, guarded: bool) -> (Option<Span>, TraceContext) {
        let parent = TraceContext::from_http(headers);
        if !guarded || !self.layers.tracer.is_on() {
            return (None, parent.unwrap_or_default());
        }
        let mut span = self.layers.tracer.start(path, parent.as_ref(), Kind::Server);
        span.set_attribute_with("dapr.api", || path.to_owned().into());
        span.set_attribute("dapr.protocol", "http");
        let context = span.context().clone();
        (Some(span), context)
    }

    fn context(&self, headers: HeaderMap, trace: TraceContext, baggage: Option<HeaderValue>) -> Cx {
        let runtime = self.layers.runtime.clone();
        let snapshot: Arc<Snapshot> = runtime.snapshot();
        Cx {
            runtime,
            snapshot,
            trace,
            baggage,
            transport: Transport::Http,
            headers,
        }
    }

    /// Through the components of the pipeline, if there are any, to the route.
    async fn piped(self: &Arc<Self>, cx: Cx, input: Input, body: Body) -> HttpResponse {
        let limit = cx.info().body_limit() as u64;
        let known = body.size_hint().exact();
        let body = if known.is_some_and(|length| length <= limit) {
            body
        } else {
            Limited::new(body, limit).boxed_unsync()
        };
        if self.public || cx.snapshot.http_pipeline.is_empty() {
            return self.routed(cx, input, body).await;
        }
        let mut request = Request::new(body);
        *request.method_mut() = input.method.clone();
        *request.uri_mut() = input.uri.clone();
        *request.version_mut() = input.version;
        *request.headers_mut() = cx.headers.clone();
        let pipeline = cx.snapshot.http_pipeline.clone();
        pipeline
            .run(
                request,
                &End {
                    server: self,
                    cx,
                    guarded: input.guarded,
                    started: input.started,
                },
            )
            .await
    }

    async fn routed(&self, cx: Cx, input: Input, body: Body) -> HttpResponse {
        let log = self.layers.log.wants(input.guarded);
        let called = log.then(|| Called::http(&input.method, &input.uri, &cx.headers, input.started));
        let (name, response) = self.dispatch(cx, input, body).await;
        if let Some(called) = called {
            called.done(
                &self.layers.log,
                name,
                response.status().as_u16(),
                response.body().size_hint().exact(),
            );
        }
        response
    }

    async fn dispatch(&self, cx: Cx, input: Input, body: Body) -> (&'static str, HttpResponse) {
        let (call, params, name) = match self.router.find(&input.method, &input.path) {
            Match::Route(found, params) => (&found.call, params, self.router.rows[found.row].name),
            Match::BadEscape(found) => {
                let response = text(StatusCode::BAD_REQUEST, format!("invalid URL escape in {}", input.path));
                return (self.router.rows[found.row].name, response);
            }
            Match::OtherMethods(methods) if self.fallback.is_none() => return ("", method_not_allowed(&methods)),
            Match::OtherMethods(_) | Match::None => match &self.fallback {
                Some(call) => (call, Params::new(), "InvokeService"),
                None => return ("", text(StatusCode::NOT_FOUND, "404 page not found\n".into())),
            },
        };
        let request = HttpRequest {
            cx,
            method: input.method,
            uri: input.uri,
            version: input.version,
            params,
            body,
        };
        let response = match call(request).await {
            Ok(response) => response,
            Err(error) => request::error_response(&error),
        };
        (name, response)
    }

    fn record(&self, method: &Method, path: &str, request_bytes: u64, started: Instant, response: &HttpResponse) {
        if !self.layers.metrics.is_enabled() {
            return;
        }
        if let Some(ErrorCode(code)) = response.extensions().get() {
            self.layers.metrics.error_code(code.category, code.code);
        }
        self.layers.metrics.http_server_request(&Exchange {
            method: method.as_str(),
            path,
            status: response.status().as_u16(),
            request_bytes,
            response_bytes: response.body().size_hint().exact().unwrap_or(0),
            elapsed: started.elapsed(),
        });
    }
}

/// A request's head after the layers.
struct Input {
    method: Method,
    uri: Uri,
    version: http::Version,
    path: String,
    guarded: bool,
    started: Instant,
}

impl Answer for HttpServer {
    async fn answer(self: Arc<Self>, mut request: Request<Body>, peer: Option<SocketAddr>) -> HttpResponse {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        self.layered(request).await
    }
}

/// The end of the pipeline of components: the route. What the components changed counts.
struct End<'a> {
    server: &'a Arc<HttpServer>,
    cx: Cx,
    guarded: bool,
    started: Instant,
}

#[async_trait]
impl Next for End<'_> {
    async fn run(&self, request: Request<Body>) -> HttpResponse {
        let (parts, body) = request.into_parts();
        let cx = Cx {
            headers: parts.headers,
            ..self.cx.clone()
        };
        let path = path::clean(parts.uri.path()).into_owned();
        let input = Input {
            method: parts.method,
            uri: parts.uri,
            version: parts.version,
            path,
            guarded: self.guarded,
            started: self.started,
        };
        self.server.routed(cx, input, body).await
    }
}

/// The first `baggage` header, if it is valid.
pub(super) fn baggage(headers: &HeaderMap) -> Result<Option<HeaderValue>, String> {
    let Some(value) = headers.get(&BAGGAGE) else {
        return Ok(None);
    };
    let text: Cow<'_, str> = String::from_utf8_lossy(value.as_bytes());
    if text.is_empty() {
        return Ok(None);
    }
    baggage::validate(&text)
        .map(|()| Some(value.clone()))
        .map_err(|e| e.to_string())
}

fn head_size(uri: &Uri, headers: &HeaderMap) -> usize {
    let target = uri.path_and_query().map_or(1, |p| p.as_str().len());
    target
        + headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>()
}

fn method_not_allowed(methods: &[Method]) -> HttpResponse {
    let mut response = request::status(StatusCode::METHOD_NOT_ALLOWED);
    for method in methods {
        if let Ok(value) = HeaderValue::from_str(method.as_str()) {
            response.headers_mut().append(header::ALLOW, value);
        }
    }
    response
}

fn text(status: StatusCode, what: String) -> HttpResponse {
    let mut response = http::Response::new(body::full(what));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

fn finish(span: Option<Span>, status: StatusCode) {
    let Some(mut span) = span else { return };
    span.set_attribute("dapr.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.set_error(&status);
    }
    span.end();
}
