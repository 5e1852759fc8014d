//! Operations: what a building block can do, as rows of a table.
//!
//! A row gives an operation its HTTP routes, its gRPC name and its group in the allow-lists; the servers, the generated
//! reference and the tests read the same rows.
//!
//! ```ignore
//! pub const OPS: &[Op<State>] = &[
//!     op("GetState", "state", "v1.0").get("/v1.0/state/{store}/{key}", call!(http::get)).grpc(unary!(State::get)),
//! ];
//! ```

use crate::{ApiError, Body, Cx, HttpRequest, HttpResponse};
use futures_util::future::BoxFuture;
use http::Method;
use std::sync::Arc;

/// The gRPC service of the sidecar's API.
pub const DAPR: &str = "dapr.proto.runtime.v1.Dapr";

/// What answers an HTTP request.
pub type HttpFn<B> = fn(Arc<B>, HttpRequest) -> BoxFuture<'static, Result<HttpResponse, ApiError>>;

/// What answers a gRPC request of any shape.
pub type GrpcFn<B> = fn(Arc<B>, Cx, http::Request<Body>) -> BoxFuture<'static, http::Response<Body>>;

/// A route: methods, a path with `{parameters}` (the last may be `{*rest}`), and what answers.
pub struct Route<B: 'static> {
    /// The methods; empty for any.
    pub methods: &'static [Method],
    /// The path.
    pub path: &'static str,
    /// What answers.
    pub call: HttpFn<B>,
}

impl<B> Clone for Route<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Route<B> {}

/// How many routes one operation may have.
const ROUTES: usize = 4;

/// An operation of the block `B`.
pub struct Op<B: 'static> {
    /// The name of its RPC, which is also its name in logs.
    pub name: &'static str,
    /// Its group in the allow-lists.
    pub group: &'static str,
    /// The version of its group: `v1.0`, `v1.0-alpha1`, `v1.0-beta1`.
    pub version: &'static str,
    /// Its HTTP routes.
    pub routes: [Option<Route<B>>; ROUTES],
    /// The full name of its gRPC service.
    pub service: &'static str,
    /// What answers over gRPC.
    pub grpc: Option<GrpcFn<B>>,
    /// Other RPC names that mean the same.
    pub grpc_aliases: &'static [&'static str],
    /// Whether it can be denied, is traced, and needs the API token: all but the health endpoints.
    pub guarded: bool,
    /// Whether it is also served on the public port.
    pub public: bool,
}

/// Begins a row.
pub const fn op<B>(name: &'static str, group: &'static str, version: &'static str) -> Op<B> {
    Op {
        name,
        group,
        version,
        routes: [None; ROUTES],
        service: DAPR,
        grpc: None,
        grpc_aliases: &[],
        guarded: true,
        public: false,
    }
}

impl<B> Op<B> {
    /// Adds a route.
    pub const fn route(mut self, methods: &'static [Method], path: &'static str, call: HttpFn<B>) -> Self {
        let mut at = 0;
        while at < ROUTES {
            if self.routes[at].is_none() {
                self.routes[at] = Some(Route { methods, path, call });
                return self;
            }
            at += 1;
        }
        panic!("an operation has at most four routes")
    }

    /// Adds a route for GET.
    pub const fn get(self, path: &'static str, call: HttpFn<B>) -> Self {
        self.route(&[Method::GET], path, call)
    }

    /// Adds a route for DELETE.
    pub const fn delete(self, path: &'static str, call: HttpFn<B>) -> Self {
        self.route(&[Method::DELETE], path, call)
    }

    /// Adds a route for POST.
    pub const fn post(self, path: &'static str, call: HttpFn<B>) -> Self {
        self.route(&[Method::POST], path, call)
    }

    /// Adds a route for PUT.
    pub const fn put(self, path: &'static str, call: HttpFn<B>) -> Self {
        self.route(&[Method::PUT], path, call)
    }

    /// Adds a route for POST and PUT, which mean the same in most of Dapr's API.
    pub const fn post_or_put(self, path: &'static str, call: HttpFn<B>) -> Self {
        self.route(&[Method::POST, Method::PUT], path, call)
    }

    /// Sets what answers over gRPC.
    pub const fn grpc(mut self, call: GrpcFn<B>) -> Self {
        self.grpc = Some(call);
        self
    }

    /// Names other RPCs of the same service that mean the same.
    pub const fn grpc_aliases(mut self, names: &'static [&'static str]) -> Self {
        self.grpc_aliases = names;
        self
    }

    /// Names a gRPC service other than [`DAPR`].
    pub const fn service(mut self, service: &'static str) -> Self {
        self.service = service;
        self
    }

    /// The operation is always allowed, without a token, and not traced.
    pub const fn unguarded(mut self) -> Self {
        self.guarded = false;
        self
    }

    /// The operation is also served on the public port.
    pub const fn public(mut self) -> Self {
        self.public = true;
        self
    }
}

/// Makes an HTTP row's function from `async fn(&Block, HttpRequest) -> Result<HttpResponse, E>`.
#[macro_export]
macro_rules! call {
    ($f:expr) => {
        |block, request| Box::pin(async move { $f(&*block, request).await.map_err($crate::ApiError::from) })
    };
}

/// Makes a gRPC row's function from `async fn(&Block, &Cx, Request) -> Result<Response, E>`, where the messages are wire messages.
#[macro_export]
macro_rules! unary {
    ($f:expr) => {
        |block, cx, request| {
            Box::pin($crate::grpc::unary(cx, request, move |cx, message| async move {
                $f(&*block, &cx, message)
                    .await
                    .map(::tonic::Response::new)
                    .map_err($crate::ApiError::from)
            }))
        }
    };
}

/// As [`unary!`], from a function that returns a `tonic::Response`, which may carry metadata.
#[macro_export]
macro_rules! unary_with_metadata {
    ($f:expr) => {
        |block, cx, request| {
            Box::pin($crate::grpc::unary(cx, request, move |cx, message| async move {
                $f(&*block, &cx, message).await.map_err($crate::ApiError::from)
            }))
        }
    };
}

/// As [`unary!`], for `async fn(Arc<Block>, Cx, tonic::Streaming<Request>) -> Result<Stream of Result<Response, Status>, E>`.
#[macro_export]
macro_rules! streaming {
    ($f:expr) => {
        |block, cx, request| {
            Box::pin($crate::grpc::streaming(cx, request, move |cx, messages| async move {
                $f(block, cx, messages).await.map_err($crate::ApiError::from)
            }))
        }
    };
}

/// Makes a row's function from `async fn(&Block, Cx, http::Request<Body>) -> http::Response<Body>`, which speaks gRPC itself.
#[macro_export]
macro_rules! raw {
    ($f:expr) => {
        |block, cx, request| Box::pin(async move { $f(&*block, cx, request).await })
    };
}

/// What answers, the block's type erased.
pub type HttpCall = Arc<dyn Fn(HttpRequest) -> BoxFuture<'static, Result<HttpResponse, ApiError>> + Send + Sync>;
/// What answers over gRPC, the block's type erased.
pub type GrpcCall = Arc<dyn Fn(Cx, http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> + Send + Sync>;

/// A row, the block's type erased.
#[derive(Clone)]
pub struct Row {
    /// As [`Op::name`].
    pub name: &'static str,
    /// As [`Op::group`].
    pub group: &'static str,
    /// As [`Op::version`].
    pub version: &'static str,
    /// As [`Op::guarded`].
    pub guarded: bool,
    /// As [`Op::public`].
    pub public: bool,
    /// Methods, path, and what answers.
    pub routes: Vec<(&'static [Method], &'static str, HttpCall)>,
    /// Full paths (`/service/method`) over gRPC.
    pub grpc_paths: Vec<String>,
    /// What answers over gRPC.
    pub grpc: Option<GrpcCall>,
}

/// The rows of all blocks.
#[derive(Clone, Default)]
pub struct Table {
    /// The rows.
    pub rows: Vec<Row>,
    /// What answers HTTP requests that no route takes.
    pub http_fallback: Option<HttpCall>,
    /// What answers gRPC requests for services that are not ours.
    pub grpc_fallback: Option<GrpcCall>,
}

impl Table {
    /// Adds a block's rows.
    pub fn add<B: Send + Sync + 'static>(mut self, block: &Arc<B>, ops: &'static [Op<B>]) -> Self {
        for op in ops {
            let routes = op.routes.iter().flatten().map(|route| {
                let (block, call) = (block.clone(), route.call);
                let call: HttpCall = Arc::new(move |request| call(block.clone(), request));
                (route.methods, route.path, call)
            });
            let names = std::iter::once(&op.name).chain(op.grpc_aliases);
            self.rows.push(Row {
                name: op.name,
                group: op.group,
                version: op.version,
                guarded: op.guarded,
                public: op.public,
                routes: routes.collect(),
                grpc_paths: names.map(|name| format!("/{}/{name}", op.service)).collect(),
                grpc: op.grpc.map(|call| {
                    let block = block.clone();
                    Arc::new(move |cx, request| call(block.clone(), cx, request)) as GrpcCall
                }),
            });
        }
        self
    }

    /// Sets what answers HTTP requests that no route takes.
    pub fn http_fallback<B: Send + Sync + 'static>(mut self, block: &Arc<B>, call: HttpFn<B>) -> Self {
        let block = block.clone();
        self.http_fallback = Some(Arc::new(move |request| call(block.clone(), request)));
        self
    }

    /// Sets what answers gRPC requests for services that are not ours.
    pub fn grpc_fallback<B: Send + Sync + 'static>(mut self, block: &Arc<B>, call: GrpcFn<B>) -> Self {
        let block = block.clone();
        self.grpc_fallback = Some(Arc::new(move |cx, request| call(block.clone(), cx, request)));
        self
    }
}
