//! The block as a whole: two sidecars in one process, applications of hyper, and a resolver that knows both.

mod grpc;
mod http;
mod policies;
mod proxy;
mod services;
mod streaming;
mod told;
mod wire;

use crate::Invoke;
use api::{
    Body, BodyError, Table,
    server::{ApiLog, GrpcServer, HttpServer, Layers, Options, Server, bind},
    token::ApiToken,
};
use app::{App, Health, Protocol};
use bytes::Bytes;
use client::{Address, Client, Version};
use component::{
    ComponentError, async_trait,
    name_resolution::{NameResolver, Resolve},
};
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use parking_lot::Mutex;
use resources::load::{Filter, parse_str};
use runtime::{Endpoint, Info, Runtime, Snapshot};
use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};
use telemetry::{metrics::Metrics, trace::Tracer};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use ::http::{HeaderMap, Request, Response, StatusCode};

/// What an application does with a request.
type Handler = Arc<dyn Fn(Request<Incoming>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// A server for a test; it ends with it.
struct Served {
    port: u16,
    _end: DropGuard,
}

/// Serves an application over HTTP/1.1 and HTTP/2.
async fn serve<F>(handler: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static) -> Served
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("has an address").port();
    let cancel = CancellationToken::new();
    let end = cancel.clone();
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let stream = tokio::select! {
                () = end.cancelled() => return,
                accepted = listener.accept() => accepted.expect("accepts").0,
            };
            let handler = handler.clone();
            connections.spawn(async move {
                let service = service_fn(move |request| {
                    let answer = handler(request);
                    async move { Ok::<_, Infallible>(answer.await) }
                });
                let _ended = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Served {
        port,
        _end: cancel.drop_guard(),
    }
}

/// An application that answers with what it received: the request line, its headers sorted, and its body.
async fn mirror() -> Served {
    serve(|request: Request<Incoming>| async move {
        let (parts, body) = request.into_parts();
        let mut lines = vec![format!("{} {}", parts.method, parts.uri)];
        let mut headers: Vec<String> = parts
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        headers.sort();
        lines.extend(headers);
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        lines.push(String::from_utf8_lossy(&body).into_owned());
        Response::new(api::body::full(lines.join("\n")))
    })
    .await
}

/// Where sidecars are; filled when they are started.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<HashMap<String, String>>>);

#[async_trait]
impl NameResolver for Names {
    async fn resolve(&self, request: Resolve<'_>) -> Result<Vec<String>, ComponentError> {
        match self.0.lock().get(request.app_id) {
            Some(address) => Ok(vec![address.clone()]),
            None => Err(ComponentError::permanent(format!(
                "couldn't find service: {}",
                request.app_id
            ))),
        }
    }
}

/// How a sidecar is started.
struct Setup {
    id: &'static str,
    app: Option<u16>,
    protocol: &'static str,
    token: Option<&'static str>,
    policies: String,
    endpoints: Vec<Endpoint>,
    limit: usize,
    only_call_local: bool,
    metrics: Metrics,
    access: Option<Arc<dyn crate::Access>>,
}

impl Setup {
    fn new(id: &'static str) -> Self {
        Self {
            id,
            app: None,
            protocol: "http",
            token: None,
            policies: String::new(),
            endpoints: Vec::new(),
            limit: 4 << 20,
            only_call_local: false,
            metrics: Metrics::disabled(),
            access: None,
        }
    }

    fn app(mut self, app: &Served) -> Self {
        self.app = Some(app.port);
        self
    }

    fn protocol(mut self, protocol: &'static str) -> Self {
        self.protocol = protocol;
        self
    }

    fn policies(mut self, spec: &str) -> Self {
        let spec = spec.replace('\n', "\n  ");
        self.policies =
            format!("apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata:\n  name: one\nspec:\n  {spec}\n");
        self
    }
}

/// A sidecar that can do nothing but invoke.
struct Sidecar {
    http: Client,
    grpc: Client,
    internal: String,
    block: Arc<Invoke>,
    _end: DropGuard,
}

async fn start(setup: Setup, names: &Names) -> Sidecar {
    let mut snapshot = Snapshot::default();
    if !setup.policies.is_empty() {
        let loaded = parse_str(&setup.policies, "test", &Filter::default());
        assert_eq!(loaded.resiliencies.len(), 1, "{:?}", loaded.problems);
        let (policies, warnings) = outgoing::Policies::build(&loaded.resiliencies, outgoing::Options::default());
        assert!(warnings.is_empty(), "{warnings:?}");
        snapshot.policies = Arc::new(policies);
    }
    for endpoint in setup.endpoints {
        snapshot.endpoints.insert(endpoint.name.clone(), Arc::new(endpoint));
    }
    let info = Info {
        app_id: setup.id.into(),
        namespace: "default".into(),
        host_address: "10.0.0.1".into(),
        max_body_size: setup.limit,
        ..Info::default()
    };
    let runtime = Arc::new(Runtime::new(info, snapshot));
    let app = setup.app.map(|port| {
        let options = app::Options {
            protocol: Protocol::parse(setup.protocol).expect("a protocol"),
            address: "127.0.0.1".into(),
            port,
            max_concurrency: None,
            token: setup.token.map(str::to_owned),
            max_header_bytes: 4096,
        };
        Arc::new(App::new(options, Health::new(None), runtime.clone(), Metrics::disabled()).expect("a channel"))
    });
    let mut block = Invoke::new(crate::Options {
        runtime: runtime.clone(),
        app,
        resolver: Some(Arc::new(names.clone())),
        metrics: setup.metrics,
        tracer: Tracer::off(),
    });
    if let Some(access) = setup.access {
        block = block.with_access(access);
    }
    let block = Arc::new(block);
    let layers = Layers {
        runtime,
        access: Arc::default(),
        token: ApiToken::default(),
        cors: None,
        metrics: Metrics::disabled(),
        tracer: Tracer::off(),
        log: ApiLog::default(),
        max_header_bytes: 65536,
    };
    let table = Table::default()
        .add(&block, crate::OPS)
        .http_fallback(&block, crate::HTTP_FALLBACK)
        .grpc_fallback(&block, crate::GRPC_FALLBACK);
    let operations = if setup.only_call_local {
        &crate::INTERNAL_OPS[..1]
    } else {
        crate::INTERNAL_OPS
    };
    let mut internal = Table::default().add(&block, operations);
    if !setup.only_call_local {
        internal = internal.grpc_fallback(&block, crate::INTERNAL_GRPC_FALLBACK);
    }
    let cancel = CancellationToken::new();
    let http = listen(HttpServer::new(layers.clone(), &table), false, &cancel).await;
    let grpc = listen(GrpcServer::new(layers.clone(), &table), true, &cancel).await;
    let internal = listen(GrpcServer::new(layers, &internal), true, &cancel).await;
    names.0.lock().insert(setup.id.to_owned(), internal.clone());
    Sidecar {
        http: client(&http, Version::Http1),
        grpc: client(&grpc, Version::Http2),
        internal,
        block,
        _end: cancel.drop_guard(),
    }
}

async fn listen<A: api::server::Answer>(answer: A, http2_only: bool, cancel: &CancellationToken) -> String {
    let bound = bind(&["127.0.0.1".into()], 0, None).await.expect("binds");
    let address = bound.addresses()[0].to_string();
    let options = Options {
        http2_only,
        h2c_upgrade: false,
        max_header_bytes: 65536,
        grace: Duration::from_millis(100),
    };
    tokio::spawn(Server::new(bound, answer, options).run(cancel.clone()));
    address
}

fn client(address: &str, version: Version) -> Client {
    let options = client::Options {
        version,
        ..client::Options::default()
    };
    Client::new(Address::Tcp(address.to_owned()), options)
}

/// An answer, read to its end.
#[derive(Debug)]
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Result<Bytes, String>,
}

impl Got {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes());
        Self {
            status: parts.status,
            headers: parts.headers,
            body: body.map_err(|e: BodyError| e.to_string()),
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(self.body.as_ref().expect("a whole body")).expect("text")
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("a header of text"))
    }

    /// The message of an error.
    fn message(&self) -> String {
        let json: serde_json::Value = serde_json::from_str(self.text()).expect("JSON");
        assert_eq!(json["errorCode"], "ERR_DIRECT_INVOKE", "{json}");
        json["message"].as_str().expect("a message").to_owned()
    }
}

impl Sidecar {
    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.http.send(request).await.expect("an answer")
    }

    /// Calls with a method, a target, headers and a body of known length.
    async fn call(&self, method: &str, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Got {
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", self.http.authority());
        for (name, value) in headers {
            request = request.header(*name, value.as_bytes());
        }
        let request = request.body(api::body::full(body.into())).expect("a request");
        Got::read(self.send(request).await).await
    }

    async fn get(&self, target: &str) -> Got {
        self.call("GET", target, &[], Bytes::new()).await
    }

    /// Sends a body of unknown length.
    async fn chunked(&self, target: &str, pieces: Vec<Bytes>) -> Got {
        let body = streaming::body(futures_util::stream::iter(pieces));
        let request = Request::post(target)
            .header("host", self.http.authority())
            .body(body)
            .expect("a request");
        Got::read(self.send(request).await).await
    }
}

/// Two sidecars: `caller` and `callee`, both with the same application.
async fn pair(app: &Served, protocol: &'static str) -> (Sidecar, Sidecar) {
    let names = Names::default();
    let callee = start(Setup::new("callee").app(app).protocol(protocol), &names).await;
    let caller = start(Setup::new("caller").app(app).protocol(protocol), &names).await;
    (caller, callee)
}
