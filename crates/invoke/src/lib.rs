//! Service invocation.

mod error;

use api::{Body, Cx, HttpRequest, HttpResponse, Op, call, op, op::{GrpcFn, HttpFn}, raw};
use app::App;
use component::name_resolution::NameResolver;
use runtime::Runtime;
use std::sync::Arc;
use telemetry::{metrics::Metrics, trace::Tracer};

pub use error::Error;

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
    _options: Options,
}

impl Invoke {
    /// The block.
    pub fn new(options: Options) -> Self {
        Self { _options: options }
    }

    async fn http(&self, _request: HttpRequest) -> Result<HttpResponse, Error> {
        Err(Error::NoTarget)
    }

    async fn todo(&self, _cx: Cx, _request: http::Request<Body>) -> http::Response<Body> {
        api::grpc::status_response(tonic::Status::unimplemented("not yet"))
    }
}

/// The service that other sidecars call.
pub const INTERNAL: &str = "dapr.proto.internals.v1.ServiceInvocation";
/// The operations of the API.
pub const OPS: &[Op<Invoke>] = &[op("InvokeService", "invoke", "v1.0").grpc(raw!(Invoke::todo))];
/// The operations for other sidecars.
pub const INTERNAL_OPS: &[Op<Invoke>] = &[op("CallLocal", "invoke", "v1.0").service(INTERNAL).grpc(raw!(Invoke::todo))];
/// What answers HTTP requests that no route takes.
pub const HTTP_FALLBACK: HttpFn<Invoke> = call!(Invoke::http);
/// What answers gRPC requests for the services of applications.
pub const GRPC_FALLBACK: GrpcFn<Invoke> = raw!(Invoke::todo);
/// What answers such requests of other sidecars.
pub const INTERNAL_GRPC_FALLBACK: GrpcFn<Invoke> = raw!(Invoke::todo);
