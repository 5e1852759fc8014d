//! The metadata API: what the sidecar is and what it has loaded; and its shutdown.

mod http;

use api::{ApiError, Cx, Op, call, errors, op, unary};
use app::App;
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};
use wire::runtime::v1::{
    ActorRuntime, AppConnectionHealthProperties, AppConnectionProperties, GetMetadataRequest, GetMetadataResponse,
    MetadataHttpEndpoint, MetadataMcpServer, MetadataResiliency, MetadataWorkflowAccessPolicy, MetadataWorkflows,
    PubsubSubscription, RegisteredComponents, SetMetadataRequest, ShutdownRequest,
};

errors! { "common";
    /// The body could not be read.
    Body { why: String } = "ERR_BODY_READ", http 400, grpc InvalidArgument, "failed to read request body: {why}";
}

/// The version of Dapr whose interfaces the sidecar has.
pub const DAPR_VERSION: &str = "1.18.3";

/// Tells what subscriptions there are.
pub type Subscriptions = Box<dyn Fn() -> Vec<PubsubSubscription> + Send + Sync>;

/// Ends the sidecar; `true` at once, without finishing anything.
pub type Stop = Box<dyn Fn(bool) + Send + Sync>;

/// What is known of the actors that the application hosts.
#[derive(Debug, Clone, Default)]
pub enum Actors {
    /// Actors are off.
    #[default]
    Off,
    /// The application has not been asked yet which types it hosts.
    Starting,
    /// The application hosts these types.
    Hosting(Vec<String>),
}

impl Actors {
    fn document(&self) -> ActorRuntime {
        use wire::runtime::v1::actor_runtime::ActorRuntimeStatus as Status;
        let (status, types, placement) = match self {
            Self::Off => (Status::Disabled, &[][..], "placement: disconnected"),
            Self::Starting => (Status::Initializing, &[][..], ""),
            Self::Hosting(types) => (Status::Running, types.as_slice(), "placement: disconnected"),
        };
        let active = types.iter().map(|t| wire::runtime::v1::ActiveActorsCount {
            r#type: t.clone(),
            count: 0,
        });
        ActorRuntime {
            runtime_status: status.into(),
            active_actors: active.collect(),
            host_ready: false,
            placement: placement.into(),
        }
    }
}

/// The block.
pub struct Metadata {
    app: Option<Arc<App>>,
    actors: RwLock<Actors>,
    subscriptions: Subscriptions,
    extended: RwLock<BTreeMap<String, String>>,
    stop: Stop,
}

/// The operations of this block.
pub const OPS: &[Op<Metadata>] = &[
    op("GetMetadata", "metadata", "v1.0")
        .get("/v1.0/metadata", call!(http::get))
        .grpc(unary!(Metadata::get))
        .public(),
    op("SetMetadata", "metadata", "v1.0")
        .put("/v1.0/metadata/{key}", call!(http::set))
        .grpc(unary!(Metadata::set))
        .public(),
    op("Shutdown", "shutdown", "v1.0")
        .post("/v1.0/shutdown", call!(http::shutdown))
        .grpc(unary!(Metadata::shutdown)),
];

/// The header, and the gRPC metadata, that asks for an end at once.
const FORCE: &str = "dapr-force-shutdown";

impl Metadata {
    /// The block; `version` is that of this project.
    pub fn new(app: Option<Arc<App>>, version: &str, subscriptions: Subscriptions, stop: Stop) -> Self {
        let known = [("daprRuntimeVersion", DAPR_VERSION), ("outriggerVersion", version)];
        let extended = known.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        Self {
            app,
            actors: RwLock::default(),
            subscriptions,
            extended: RwLock::new(extended),
            stop,
        }
    }

    /// Sets what is known of the application's actors.
    pub fn set_actors(&self, actors: Actors) {
        *self.actors.write() = actors;
    }

    /// What the sidecar is and has loaded.
    pub async fn get(&self, cx: &Cx, _: GetMetadataRequest) -> Result<GetMetadataResponse, ApiError> {
        let snapshot = &cx.snapshot;
        let components = snapshot.components.iter().map(|c| RegisteredComponents {
            name: c.name.clone(),
            r#type: c.spec_type.clone(),
            version: c.version.clone(),
            capabilities: c.capabilities.clone(),
        });
        let mut endpoints: Vec<String> = snapshot.endpoints.keys().cloned().collect();
        endpoints.sort();
        let names = |names: &[String]| names.to_vec();
        Ok(GetMetadataResponse {
            id: cx.info().app_id.clone(),
            runtime_version: DAPR_VERSION.into(),
            enabled_features: snapshot
                .configuration
                .features()
                .enabled_names()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            registered_components: components.collect(),
            extended_metadata: self
                .extended
                .read()
                .iter()
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
            subscriptions: (self.subscriptions)(),
            http_endpoints: endpoints
                .into_iter()
                .map(|name| MetadataHttpEndpoint { name })
                .collect(),
            app_connection_properties: Some(self.connection()),
            actor_runtime: Some(self.actors.read().document()),
            mcp_servers: names(&snapshot.mcp_servers)
                .into_iter()
                .map(|name| MetadataMcpServer { name })
                .collect(),
            workflow_access_policies: names(&snapshot.workflow_access_policies)
                .into_iter()
                .map(|name| MetadataWorkflowAccessPolicy { name })
                .collect(),
            resiliencies: names(&snapshot.resiliencies)
                .into_iter()
                .map(|name| MetadataResiliency { name })
                .collect(),
            workflows: Some(MetadataWorkflows::default()),
            ..GetMetadataResponse::default()
        })
    }

    fn connection(&self) -> AppConnectionProperties {
        let Some(app) = &self.app else {
            return AppConnectionProperties {
                protocol: "http".into(),
                channel_address: "127.0.0.1".into(),
                ..AppConnectionProperties::default()
            };
        };
        let options = app.options();
        let health = app.health().options().map(|health| AppConnectionHealthProperties {
            health_check_path: if options.protocol.is_grpc() {
                String::new()
            } else {
                health.path.clone()
            },
            health_probe_interval: resources::GoDuration::from(health.interval).to_string(),
            health_probe_timeout: resources::GoDuration::from(health.timeout).to_string(),
            health_threshold: i32::try_from(health.threshold).unwrap_or(i32::MAX),
        });
        AppConnectionProperties {
            port: i32::from(options.port),
            protocol: options.protocol.name().into(),
            channel_address: options.address.clone(),
            max_concurrency: options
                .max_concurrency
                .map_or(0, |n| i32::try_from(n).unwrap_or(i32::MAX)),
            health,
        }
    }

    /// Sets a value of the extended metadata.
    pub async fn set(&self, _: &Cx, request: SetMetadataRequest) -> Result<(), ApiError> {
        self.extended.write().insert(request.key, request.value);
        Ok(())
    }

    /// Ends the sidecar after the answer.
    pub async fn shutdown(&self, cx: &Cx, _: ShutdownRequest) -> Result<(), ApiError> {
        let force = cx
            .headers
            .get(FORCE)
            .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"true"));
        (self.stop)(force);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
