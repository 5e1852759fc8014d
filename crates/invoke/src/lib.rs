//! Service invocation: one application calls another through their sidecars.
//!
//! **What for:** an application names another and what it wants of it, over HTTP or gRPC, and gets its answer; where the
//! other one is and what it speaks is the sidecars' business. **What enters:** HTTP requests that no route takes
//! ([`HTTP_FALLBACK`]), `InvokeService` ([`OPS`]), gRPC calls of foreign services ([`GRPC_FALLBACK`]), and what other
//! sidecars send for this application ([`INTERNAL_OPS`], [`INTERNAL_GRPC_FALLBACK`]). **What leaves:** calls to the
//! application, to other sidecars, and to HTTP services outside. **What may live here:** finding the target, the rules for
//! paths and headers, the messages between sidecars, the raw gRPC proxy. Policies come from `outgoing`, connections from
//! `client`, the channel to the application from `app`.
//!
//! # A call over HTTP
//!
//! ```text
//! http ─▶ guard ─┬▶ local ─────────────────────────▶ application
//!                ├▶ remote ─▶ CallLocalStream ─▶ internal ─▶ local ─▶ application
//!                └▶ endpoint ──────────────────────▶ service outside
//! ```
//!
//! Bodies stream both ways and are held only where something needs the whole: a small body goes out in one piece with its
//! head, and a body of known length is kept for as long as the call may be made again.
//!
//! # Where it differs from the original
//!
//! - An answer that breaks off after 64 KiB, or whose length nobody knew, breaks off for the caller too; the original
//!   passes it on as if it were whole.
//! - `dapr-caller-*` and `dapr-callee-app-id` that a caller forged are replaced on their way to another sidecar.
//! - `-bin` headers of an HTTP caller reach an HTTP application, and answers to HEAD keep their length.
//! - A header that gRPC cannot carry is left out on the way to a gRPC application; the original refuses the call.
//! - What a gRPC application says of its failure is told as `application/json`, which it is.

mod access;
mod call;
mod codes;
mod download;
mod endpoint;
mod error;
mod fault;
mod frames;
mod grpc;
mod guard;
mod headers;
mod http;
mod internal;
mod local;
mod method;
mod payload;
mod peers;
mod proto;
mod proxy;
mod redirect;
mod remote;
mod resolve;
mod rpc;
mod status_json;
mod target;
#[cfg(test)]
mod tests;
mod unconfigured;
mod upload;

use api::{
    Op, call, op,
    op::{GrpcFn, HttpFn},
    raw,
};
use app::App;
use arc_swap::ArcSwapOption;
use component::name_resolution::NameResolver;
use runtime::Runtime;
use std::sync::Arc;
use telemetry::{
    metrics::Metrics,
    trace::{Span, Tracer},
};
use tokio_util::sync::CancellationToken;

pub use access::{Access, Caller, Operation};
pub use error::Error;
pub use peers::{PeerTls, SERVICE};

/// What invocation is made of.
pub struct Options {
    /// What is loaded.
    pub runtime: Arc<Runtime>,
    /// The application of this sidecar, if it has one.
    pub app: Option<Arc<App>>,
    /// What finds other sidecars, if anything does.
    pub resolver: Option<Arc<dyn NameResolver>>,
    /// Metrics.
    pub metrics: Metrics,
    /// Traces.
    pub tracer: Tracer,
}

/// The block.
pub struct Invoke {
    runtime: Arc<Runtime>,
    app: ArcSwapOption<App>,
    metrics: Metrics,
    tracer: Tracer,
    finder: resolve::Finder,
    peers: peers::Peers,
    services: endpoint::Services,
    access: Option<Arc<dyn Access>>,
    me: Me,
    /// Policies want to know when a call is not wanted any more: then its future is dropped.
    never: CancellationToken,
}

/// What other applications are told of this one.
struct Me {
    id: String,
    namespace: String,
    address: String,
    host: String,
    forwarded: String,
}

/// Whom a call is for.
enum Target<'a> {
    /// The application of this sidecar.
    Local,
    /// The application of another sidecar.
    Remote(target::AppId<'a>),
    /// An HTTP service outside.
    Service(endpoint::Service),
}

/// The span of a call on behalf of another sidecar.
type OnBehalf = Option<Span>;

impl Invoke {
    /// The block.
    pub fn new(options: Options) -> Self {
        let info = &options.runtime.info;
        let (address, host) = (info.host_address.clone(), host_name());
        let me = Me {
            id: info.app_id.clone(),
            namespace: info.namespace.clone(),
            forwarded: format!("for={address};by={address};host={host}"),
            address,
            host,
        };
        Self {
            finder: resolve::Finder::new(options.resolver, info.internal_port),
            me,
            app: ArcSwapOption::from(options.app),
            metrics: options.metrics,
            tracer: options.tracer,
            peers: peers::Peers::new(None),
            services: endpoint::Services::default(),
            access: None,
            never: CancellationToken::new(),
            runtime: options.runtime,
        }
    }

    /// Speaks TLS to other sidecars.
    pub fn with_peer_tls(mut self, tls: Arc<dyn PeerTls>) -> Self {
        self.peers = peers::Peers::new(Some(tls));
        self
    }

    /// Asks before other sidecars may call the application.
    pub fn with_access(mut self, access: Arc<dyn Access>) -> Self {
        self.access = Some(access);
        self
    }

    /// The application is another one from now on, or there is none.
    pub fn set_app(&self, app: Option<Arc<App>>) {
        self.app.store(app);
    }
}

/// The name of this host.
fn host_name() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = read
        .or_else(|_| std::fs::read_to_string("/etc/hostname"))
        .unwrap_or_default();
    name.trim().to_owned()
}

/// The operations of the API.
pub const OPS: &[Op<Invoke>] = &[op("InvokeService", "invoke", "v1.0").grpc(raw!(Invoke::invoke_service))];

/// The operations for other sidecars.
pub const INTERNAL_OPS: &[Op<Invoke>] = &[
    op("CallLocal", "invoke", "v1.0")
        .service(SERVICE)
        .grpc(raw!(Invoke::call_local)),
    op("CallLocalStream", "invoke", "v1.0")
        .service(SERVICE)
        .grpc(raw!(Invoke::call_local_stream)),
    op("CallActor", "invoke", "v1.0")
        .service(SERVICE)
        .grpc(raw!(Invoke::call_actor)),
    op("CallActorReminder", "invoke", "v1.0")
        .service(SERVICE)
        .grpc(raw!(Invoke::call_actor)),
    op("CallActorStream", "invoke", "v1.0")
        .service(SERVICE)
        .grpc(raw!(Invoke::call_actor)),
];

/// What answers HTTP requests that no route takes.
pub const HTTP_FALLBACK: HttpFn<Invoke> = call!(Invoke::http);

/// What answers gRPC calls of services that are not the sidecar's.
pub const GRPC_FALLBACK: GrpcFn<Invoke> = raw!(Invoke::proxy);

/// What answers such calls of other sidecars.
pub const INTERNAL_GRPC_FALLBACK: GrpcFn<Invoke> = raw!(Invoke::proxy_from_peer);
