//! The servers of the sidecar: both APIs, the public part, and the one for other sidecars.

use crate::settings::Settings;
use api::{
    Body, Table,
    cors::Cors,
    op::GrpcCall,
    server::{ApiLog, Bound, GrpcServer, HttpServer, Layers, ListenError, Options, Server, bind},
    token::ApiToken,
};
use http_body_util::BodyExt;
use resources::Configuration;
use runtime::Runtime;
use std::{
    path::PathBuf,
    sync::{Arc, OnceLock},
};
use telemetry::{metrics::Metrics, trace::Tracer};
use tokio_util::sync::CancellationToken;

/// What all servers of a sidecar share.
pub(crate) struct Shared<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) runtime: &'a Arc<Runtime>,
    pub(crate) configuration: &'a Configuration,
    pub(crate) metrics: &'a Metrics,
    pub(crate) tracer: &'a Tracer,
}

/// Server tasks that are running.
pub(crate) type Tasks = Vec<(&'static str, std::pin::Pin<Box<dyn Future<Output = ()> + Send>>)>;

impl Shared<'_> {
    fn layers(&self) -> Layers {
        let log = self.configuration.api_logging();
        Layers {
            runtime: self.runtime.clone(),
            access: Arc::new(self.configuration.spec.api.clone().unwrap_or_default()),
            token: ApiToken::new(self.settings.api_token.clone()),
            cors: Cors::parse(&self.settings.allowed_origins),
            metrics: self.metrics.clone(),
            tracer: self.tracer.clone(),
            log: ApiLog {
                enabled: self.settings.api_logging.unwrap_or(log.enabled),
                obfuscate_urls: log.obfuscate_urls,
                omit_health_checks: log.omit_health_checks,
            },
            max_header_bytes: self.settings.read_buffer_size.max(4096) + 4096,
        }
    }

    fn options(&self, http2_only: bool) -> Options {
        let headers = u32::try_from(self.settings.read_buffer_size).unwrap_or(u32::MAX);
        // gRPC metadata may be as much larger as the original lets it be.
        let max_header_bytes = if http2_only {
            headers.saturating_mul(1024)
        } else {
            headers.saturating_add(4096)
        };
        Options {
            http2_only,
            h2c_upgrade: !http2_only,
            max_header_bytes,
            grace: self.settings.grace,
        }
    }

    /// Binds and makes the HTTP API, the gRPC API and the public server.
    pub(crate) async fn apis(&self, table: &Table, cancel: &CancellationToken) -> Result<Tasks, ListenError> {
        let mut tasks: Tasks = Vec::new();
        let http = HttpServer::new(self.layers(), table);
        let bound = self
            .bind(&self.settings.listen, self.settings.http_port, "http")
            .await?;
        tracing::info!(target: "dapr.runtime.http", "HTTP server listening on {}", shown(&bound, self.settings.http_port));
        tasks.push((
            "http-api",
            Box::pin(Server::new(bound, http, self.options(false)).run(cancel.clone())),
        ));
        if let Some(port) = self.settings.public_port {
            let public = HttpServer::public(self.layers(), table);
            let bound = bind(&self.settings.public_listen, port, None).await?;
            tracing::info!(target: "dapr.runtime.http", "HTTP public server listening on {}", shown(&bound, port));
            tasks.push((
                "http-public",
                Box::pin(Server::new(bound, public, self.options(false)).run(cancel.clone())),
            ));
        }
        let grpc = reflected(GrpcServer::new(self.layers(), table));
        let bound = self
            .bind(&self.settings.listen, self.settings.grpc_port, "grpc")
            .await?;
        tracing::info!(target: "dapr.runtime.grpc.api", "gRPC server listening on {}", shown(&bound, self.settings.grpc_port));
        tasks.push((
            "grpc-api",
            Box::pin(Server::new(bound, grpc, self.options(true)).run(cancel.clone())),
        ));
        Ok(tasks)
    }

    /// Makes the server for other sidecars of a port that is bound already.
    pub(crate) fn internal(&self, table: &Table, bound: Bound, cancel: &CancellationToken) -> Tasks {
        let layers = Layers {
            token: ApiToken::default(),
            access: Arc::default(),
            log: ApiLog::default(),
            ..self.layers()
        };
        let server = Server::new(bound, GrpcServer::new(layers, table), self.options(true));
        vec![("grpc-internal", Box::pin(server.run(cancel.clone())))]
    }

    async fn bind(&self, addresses: &[String], port: u16, what: &str) -> Result<Bound, ListenError> {
        let socket: Option<PathBuf> = self
            .settings
            .unix_folder
            .as_ref()
            .map(|f| f.join(format!("dapr-{}-{what}.socket", self.settings.app_id)));
        bind(addresses, port, socket).await
    }
}

fn shown(bound: &Bound, port: u16) -> String {
    let addresses: Vec<String> = bound.addresses().iter().map(ToString::to_string).collect();
    if addresses.is_empty() {
        format!("a Unix socket instead of port {port}")
    } else {
        format!("TCP address: {}", addresses.join(", "))
    }
}

/// Adds server reflection, over which clients find the services of the API. Its tables are made when somebody asks first:
/// they cost more than all the rest of a start.
fn reflected(server: GrpcServer) -> GrpcServer {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::FILE_DESCRIPTOR_SET)
            .with_service_name(api::op::DAPR)
    };
    server
        .service("/grpc.reflection.v1.", service_call(move || builder().build_v1().ok()))
        .service(
            "/grpc.reflection.v1alpha.",
            service_call(move || builder().build_v1alpha().ok()),
        )
}

/// A generated gRPC service as a row's function; it is made at the first call.
fn service_call<S>(make: impl Fn() -> Option<S> + Send + Sync + 'static) -> GrpcCall
where
    S: tower_service::Service<
            http::Request<tonic::body::Body>,
            Response = http::Response<tonic::body::Body>,
            Error = std::convert::Infallible,
        > + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let made: OnceLock<Option<S>> = OnceLock::new();
    Arc::new(move |_, request: http::Request<Body>| {
        let service = made.get_or_init(&make).clone();
        Box::pin(async move {
            let Some(mut service) = service else {
                return api::grpc::status_response(tonic::Status::internal(
                    "the descriptors of the API cannot be read",
                ));
            };
            let Ok(response) = service.call(request.map(tonic::body::Body::new)).await;
            response.map(|body| body.map_err(Into::into).boxed_unsync())
        })
    })
}
