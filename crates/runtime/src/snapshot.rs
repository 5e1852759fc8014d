//! The snapshot, and the handle that swaps it.

use arc_swap::{ArcSwap, Guard};
use component::{
    Properties,
    binding::{InputBinding, OutputBinding},
    middleware::{HttpMiddleware, Pipeline},
    pubsub::PubSub,
    secrets::SecretStore,
    state::StateStore,
};
use resources::{Configuration, Subscription};
use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, OnceLock},
};

/// Who the sidecar is; fixed for its life.
#[derive(Debug, Clone, Default)]
pub struct Info {
    /// The application's id.
    pub app_id: String,
    /// The namespace; `default` when none is set.
    pub namespace: String,
    /// Whether `NAMESPACE` was set.
    pub namespace_set: bool,
    /// The address at which other sidecars reach this one.
    pub host_address: String,
    /// The port of the internal gRPC server.
    pub internal_port: u16,
    /// The port of the HTTP API.
    pub http_port: u16,
    /// The port of the gRPC API.
    pub grpc_port: u16,
    /// The largest body of a request, in bytes; 0 means that there is no limit.
    pub max_body_size: usize,
}

impl Info {
    /// The largest body of a request as a number that can be compared with.
    pub fn body_limit(&self) -> usize {
        if self.max_body_size == 0 {
            usize::MAX
        } else {
            self.max_body_size
        }
    }
}

/// A component that is loaded: its names, its metadata, and itself.
pub struct Loaded<T: ?Sized> {
    /// The name of its resource.
    pub name: String,
    /// Its type, such as `state.redis`.
    pub spec_type: String,
    /// Its version.
    pub version: String,
    /// Its metadata after secrets and environment were resolved; a block finds here what is meant for the sidecar rather
    /// than for the component (key prefix, scopes, encryption …).
    pub properties: Properties,
    /// The component.
    pub instance: Arc<T>,
    derived: OnceLock<Box<dyn Any + Send + Sync>>,
}

impl<T: ?Sized> Loaded<T> {
    /// A loaded component.
    pub fn new(name: &str, spec_type: &str, version: &str, properties: Properties, instance: Arc<T>) -> Self {
        let (name, spec_type, version) = (name.into(), spec_type.into(), version.into());
        Self {
            name,
            spec_type,
            version,
            properties,
            instance,
            derived: OnceLock::new(),
        }
    }

    /// What a block derives from the metadata, once for the life of the component. Each kind of component has one block
    /// that may call this, always with the same type; another type gets nothing.
    pub fn derived<D: Any + Send + Sync>(&self, make: impl FnOnce(&Properties) -> D) -> Option<&D> {
        self.derived
            .get_or_init(|| Box::new(make(&self.properties)))
            .downcast_ref()
    }
}

impl<T: ?Sized> std::fmt::Debug for Loaded<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}/{})", self.name, self.spec_type, self.version)
    }
}

/// A line of the metadata API's list of components.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The component's name.
    pub name: String,
    /// Its type.
    pub spec_type: String,
    /// Its version.
    pub version: String,
    /// What it can do.
    pub capabilities: Vec<String>,
}

/// A value of an HTTP endpoint's header, resolved.
#[derive(Clone)]
pub struct EndpointHeader {
    /// The header's name.
    pub name: String,
    /// Its value; may be a secret.
    pub value: String,
}

/// An HTTP service outside that is called by name.
#[derive(Clone, Default)]
pub struct Endpoint {
    /// The name of its resource.
    pub name: String,
    /// Where it is.
    pub base_url: String,
    /// Headers of each request to it.
    pub headers: Vec<EndpointHeader>,
    /// Certificates (PEM) to trust instead of the system's; empty for the system's.
    pub root_ca: String,
    /// The client's certificate (PEM), if one is to be shown.
    pub client_certificate: String,
    /// The key (PEM) of that certificate.
    pub client_key: String,
}

/// Components of one kind by name.
pub type ByName<T> = HashMap<String, Arc<Loaded<T>>>;

/// What is loaded.
#[derive(Default)]
pub struct Snapshot {
    /// The merged configuration.
    pub configuration: Arc<Configuration>,
    /// Time-outs, retries and circuit breakers.
    pub policies: Arc<outgoing::Policies>,
    /// Names of the resiliency resources.
    pub resiliencies: Vec<String>,
    /// State stores.
    pub state: ByName<dyn StateStore>,
    /// Message brokers.
    pub pubsub: ByName<dyn PubSub>,
    /// Secret stores.
    pub secrets: ByName<dyn SecretStore>,
    /// Bindings that take calls.
    pub output_bindings: ByName<dyn OutputBinding>,
    /// Bindings that bring events.
    pub input_bindings: ByName<dyn InputBinding>,
    /// Steps of pipelines.
    pub middlewares: ByName<dyn HttpMiddleware>,
    /// What stands before the HTTP API.
    pub http_pipeline: Pipeline,
    /// What stands before the application.
    pub app_http_pipeline: Pipeline,
    /// HTTP services outside.
    pub endpoints: HashMap<String, Arc<Endpoint>>,
    /// Declared subscriptions.
    pub subscriptions: Vec<Arc<Subscription>>,
    /// All components, in the order in which they were loaded.
    pub components: Vec<Listed>,
    /// Names of the MCP servers.
    pub mcp_servers: Vec<String>,
    /// Names of the workflow access policies.
    pub workflow_access_policies: Vec<String>,
}

impl Snapshot {
    /// Closes all components; none may be in use any more. Those that depend on nothing come last.
    pub async fn close(&self) {
        futures_util::future::join_all(self.input_bindings.values().map(|c| c.instance.close())).await;
        futures_util::future::join_all(self.pubsub.values().map(|c| c.instance.close())).await;
        futures_util::future::join_all(self.output_bindings.values().map(|c| c.instance.close())).await;
        futures_util::future::join_all(self.state.values().map(|c| c.instance.close())).await;
        futures_util::future::join_all(self.secrets.values().map(|c| c.instance.close())).await;
    }
}

/// The handle of what is loaded.
pub struct Runtime {
    /// Who the sidecar is.
    pub info: Info,
    snapshot: ArcSwap<Snapshot>,
}

impl Runtime {
    /// A runtime with a first snapshot.
    pub fn new(info: Info, snapshot: Snapshot) -> Self {
        Self {
            info,
            snapshot: ArcSwap::from_pointee(snapshot),
        }
    }

    /// The snapshot of now, to keep for as long as a request takes.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The snapshot of now, for a short look.
    pub fn peek(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    /// Puts a new snapshot in place; requests that began before keep theirs.
    pub fn swap(&self, next: Snapshot) -> Arc<Snapshot> {
        self.snapshot.swap(Arc::new(next))
    }
}
