//! Loading of components: from resources to opened components in a snapshot.

use crate::{
    Endpoint, Info, Loaded, Snapshot,
    snapshot::{EndpointHeader, Listed},
};
use component::{Kind, Open, OpenError, Opened, Properties, Registry, middleware::Pipeline, pubsub, state};
use futures_util::future::BoxFuture;
use outgoing::{Builtin, CallCx, Class, Classify};
use resources::{
    Component, Configuration, HttpEndpoint, configuration, env, template,
    value::{NameValue, ValueSource},
};
use std::{sync::Arc, time::Duration};
use telemetry::metrics::Metrics;
use tokio_util::sync::CancellationToken;

const LOG: &str = "dapr.runtime.processor";

/// What follows a field's name in the property that says which secret the field came from.
pub const SECRET_NAME: &str = ".secret";

/// Why the sidecar cannot go on: a component that must be there is not.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// The type, or its version, is not one that this sidecar has.
    #[error("process component {name} error: {why}")]
    Unknown {
        /// The component.
        name: String,
        /// What is not known.
        why: String,
    },
    /// The component did not start.
    #[error(
        "process component {name} error: [INIT_COMPONENT_FAILURE]: initialization error occurred for {shown}: {inner}"
    )]
    Init {
        /// The component.
        name: String,
        /// The component with its type and version.
        shown: String,
        /// What its start told.
        inner: String,
    },
}

/// Opens a component of a type that is found at run time rather than compiled in.
pub trait Offer: Send + Sync {
    /// What opens it, if it is on offer.
    fn find(&self, kind: Kind, name: &str, version: &str) -> Option<Opener>;
}

/// Opens a component; may be called several times.
pub type Opener = Arc<dyn Fn(Properties, Open) -> BoxFuture<'static, Result<Opened, OpenError>> + Send + Sync>;

/// Loads components into snapshots.
pub struct Loader {
    /// The components that are compiled in.
    pub registry: Registry,
    /// Those that were found at run time.
    pub offers: Vec<Arc<dyn Offer>>,
    /// Who the sidecar is.
    pub info: Info,
    /// The name of the pod; empty outside of Kubernetes.
    pub pod_name: String,
    /// Metrics.
    pub metrics: Metrics,
    /// Reads the environment.
    pub environment: fn(&str) -> Option<String>,
    /// Ends loading.
    pub cancel: CancellationToken,
}

impl Loader {
    /// Loads components in their order, but what secrets come from before what needs them. A component that fails and is
    /// marked `ignoreErrors` is left out; any other ends the loading.
    pub async fn load(&self, snapshot: &mut Snapshot, components: Vec<Component>) -> Result<(), LoadError> {
        for component in in_order(components) {
            let name = component.metadata.name.clone();
            match self.load_one(snapshot, &component).await {
                Ok(()) => {}
                Err(error) if component.spec.ignore_errors => {
                    tracing::error!(target: LOG, "Ignoring error processing component: {error}");
                }
                Err(error) => {
                    tracing::warn!(target: LOG, "Error processing component, daprd will exit gracefully: {error}");
                    return Err(error);
                }
            }
            tracing::debug!(target: LOG, "component {name} processed");
        }
        Ok(())
    }

    async fn load_one(&self, snapshot: &mut Snapshot, component: &Component) -> Result<(), LoadError> {
        let (name, spec) = (&component.metadata.name, &component.spec);
        let version = if spec.version.is_empty() { "v1" } else { &spec.version };
        let shown = format!("{name} ({}/{version})", spec.type_name);
        if snapshot
            .configuration
            .spec
            .components
            .as_ref()
            .is_some_and(|c| c.denies(&spec.type_name, version))
        {
            tracing::warn!(target: LOG, "component {shown} is not loaded: the configuration denies its type");
            return Ok(());
        }
        let unknown = |why: String| LoadError::Unknown {
            name: name.clone(),
            why,
        };
        let (kind, plain) =
            Kind::split(&spec.type_name).ok_or_else(|| unknown(format!("incorrect type {}", spec.type_name)))?;
        let missing = || {
            unknown(format!(
                "couldn't find {} {}/{version}",
                kind_name(kind),
                spec.type_name
            ))
        };
        let opener = self.opener(kind, plain, version).ok_or_else(missing)?;
        let Some(mut properties) = self.resolve(snapshot, component).await else {
            return Ok(());
        };
        if kind == Kind::PubSub && properties.get("consumerID").is_none_or(str::is_empty) {
            properties.set("consumerID", self.info.app_id.clone());
        }
        let opened = self
            .open(component, &shown, opener, properties.clone())
            .await
            .inspect_err(|_| {
                self.metrics.component_init_failed(&spec.type_name, "init", name);
            })?;
        let listed = Listed {
            name: name.clone(),
            spec_type: spec.type_name.clone(),
            version: version.into(),
            capabilities: capabilities(&opened),
        };
        insert(snapshot, &listed, properties, opened);
        snapshot.components.push(listed);
        self.metrics.component_initialized(&spec.type_name);
        self.metrics.component_loaded();
        tracing::info!(target: LOG, "Component loaded: {shown}");
        Ok(())
    }

    fn opener(&self, kind: Kind, name: &str, version: &str) -> Option<Opener> {
        if let Some(entry) = self.registry.find(kind, name, version) {
            let open = entry.open;
            return Some(Arc::new(open));
        }
        self.offers.iter().find_map(|offer| offer.find(kind, name, version))
    }

    async fn open(
        &self,
        component: &Component,
        shown: &str,
        opener: Opener,
        properties: Properties,
    ) -> Result<Opened, LoadError> {
        let failed = |inner: String| LoadError::Init {
            name: component.metadata.name.clone(),
            shown: shown.into(),
            inner,
        };
        let limit = component
            .init_timeout()
            .map_err(|e| failed(format!("initTimeout: {e}")))?;
        let limit = limit.to_std().unwrap_or(Duration::from_secs(5));
        let cx = Open {
            name: component.metadata.name.clone(),
            app_id: self.info.app_id.clone(),
            namespace: if self.info.namespace_set {
                self.info.namespace.clone()
            } else {
                String::new()
            },
            host_address: self.info.host_address.clone(),
            internal_port: self.info.internal_port,
            http_port: self.info.http_port,
        };
        let attempt = |_| {
            let opening = opener(properties.clone(), cx.clone());
            async move {
                match tokio::time::timeout(limit, opening).await {
                    Ok(opened) => opened.map_err(Failed::from),
                    Err(_) => Err(Failed {
                        text: format!("init timeout for component {shown} exceeded after {limit:?}"),
                        transient: true,
                    }),
                }
            }
        };
        let policy = outgoing::Policies::default().builtin(Builtin::InitializationRetries);
        policy.run(&CallCx::new(&self.cancel), attempt).await.map_err(|error| {
            let inner = format!("[INIT_COMPONENT_FAILURE]: initialization error occurred for {shown}: {error}");
            tracing::error!(target: LOG, "Failed to init component {}: {inner}", shown);
            failed(inner)
        })
    }

    /// A component's metadata with secrets, environment and placeholders resolved; nothing if the secret store that it
    /// names is not there.
    async fn resolve(&self, snapshot: &Snapshot, component: &Component) -> Option<Properties> {
        let store = component.auth.secret_store.as_str();
        let mut properties = Properties::default();
        for item in &component.spec.metadata {
            let value = self
                .value(snapshot, &component.metadata.name, store, &item.name, item.source())
                .await?;
            properties.set(&item.name, self.expand(&value));
            if let ValueSource::Secret(reference) = item.source() {
                properties.set(format!("{}{SECRET_NAME}", item.name), reference.name.clone());
            }
        }
        Some(properties)
    }

    fn expand(&self, text: &str) -> String {
        let namespace = self.info.namespace.as_str();
        let values = template::Values {
            app_id: &self.info.app_id,
            namespace,
            pod_name: &self.pod_name,
        };
        template::expand(text, &values, || uuid::Uuid::new_v4().to_string()).into_owned()
    }

    async fn value(
        &self,
        snapshot: &Snapshot,
        resource: &str,
        store: &str,
        item: &str,
        source: ValueSource<'_>,
    ) -> Option<String> {
        match source {
            ValueSource::Literal(value) => Some(value.as_text().into_owned()),
            ValueSource::Nothing => Some(String::new()),
            ValueSource::Env(name) => Some(env::resolve_env_ref(name, self.environment).unwrap_or_else(|error| {
                tracing::warn!(target: LOG, "metadata {item} of {resource}: {error}");
                String::new()
            })),
            ValueSource::Secret(reference) => {
                let Some(secrets) = snapshot.secrets.get(store) else {
                    tracing::warn!(target: LOG, "{resource} is not loaded: its secret store {store:?} is not there");
                    return None;
                };
                match secrets.instance.get(&reference.name, &component::Metadata::new()).await {
                    Ok(secret) => Some(secret.get(reference.key()).cloned().unwrap_or_else(|| {
                        tracing::warn!(target: LOG, "metadata {item} of {resource}: secret {} has no key {}", reference.name, reference.key());
                        String::new()
                    })),
                    Err(error) => {
                        tracing::error!(target: LOG, "metadata {item} of {resource}: secret {} of {store}: {error}", reference.name);
                        Some(String::new())
                    }
                }
            }
        }
    }

    /// Resolves HTTP endpoints into the snapshot.
    pub async fn load_endpoints(&self, snapshot: &mut Snapshot, endpoints: &[HttpEndpoint]) {
        for endpoint in endpoints {
            let name = endpoint.metadata.name.clone();
            if let Some(resolved) = self.endpoint(snapshot, endpoint).await {
                snapshot.endpoints.insert(name.clone(), Arc::new(resolved));
                tracing::info!(target: LOG, "HTTPEndpoint loaded: {name}");
            }
        }
    }

    async fn endpoint(&self, snapshot: &Snapshot, endpoint: &HttpEndpoint) -> Option<Endpoint> {
        let (name, store) = (&endpoint.metadata.name, endpoint.auth.secret_store.as_str());
        let mut resolved = Endpoint {
            name: name.clone(),
            base_url: endpoint.spec.base_url.clone(),
            ..Endpoint::default()
        };
        for NameValue { name: header, .. } in &endpoint.spec.headers {
            let item = endpoint.spec.headers.iter().find(|item| item.name == *header)?;
            let value = self.value(snapshot, name, store, header, item.source()).await?;
            resolved.headers.push(EndpointHeader {
                name: header.clone(),
                value,
            });
        }
        if let Some(tls) = &endpoint.spec.client_tls {
            let documents = [
                (&tls.root_ca, &mut resolved.root_ca, "rootCA"),
                (&tls.certificate, &mut resolved.client_certificate, "certificate"),
                (&tls.private_key, &mut resolved.client_key, "privateKey"),
            ];
            for (document, target, item) in documents {
                if let Some(document) = document {
                    *target = self.value(snapshot, name, store, item, document.source()).await?;
                }
            }
        }
        Some(resolved)
    }

    /// Makes the two pipelines of the configuration from the middlewares that are loaded; one that is missing is left out.
    pub fn load_pipelines(&self, snapshot: &mut Snapshot, configuration: &Configuration) {
        snapshot.http_pipeline = pipeline(snapshot, configuration.spec.http_pipeline.as_ref(), "httpPipeline");
        snapshot.app_http_pipeline = pipeline(
            snapshot,
            configuration.spec.app_http_pipeline.as_ref(),
            "appHttpPipeline",
        );
    }
}

fn pipeline(snapshot: &Snapshot, wanted: Option<&configuration::Pipeline>, which: &str) -> Pipeline {
    let handlers = wanted.map(|p| p.handlers.as_slice()).unwrap_or_default();
    let steps = handlers.iter().filter_map(|handler| {
        let found = snapshot.middlewares.get(&handler.name).filter(|m| m.spec_type.eq_ignore_ascii_case(&handler.type_name));
        if found.is_none() {
            tracing::error!(target: LOG, "{which}: middleware {} ({}/{}) is not loaded and left out", handler.name, handler.type_name, handler.version);
        }
        found.map(|loaded| loaded.instance.clone())
    });
    Pipeline::new(steps.collect())
}

/// An attempt to open a component that failed.
struct Failed {
    text: String,
    transient: bool,
}

impl From<OpenError> for Failed {
    fn from(error: OpenError) -> Self {
        Self {
            text: error.to_string(),
            transient: !matches!(error, OpenError::Config(_)),
        }
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Classify for Failed {
    fn class(&self) -> Class {
        if self.transient {
            Class::Transient
        } else {
            Class::Permanent
        }
    }
}

/// Secret stores first, and of those first the ones that need no other.
fn in_order(components: Vec<Component>) -> Vec<Component> {
    let (secrets, rest): (Vec<_>, Vec<_>) = components
        .into_iter()
        .partition(|c| c.spec.type_name.starts_with(Kind::SecretStore.prefix()));
    let (dependent, independent): (Vec<_>, Vec<_>) = secrets.into_iter().partition(Component::refers_to_secrets);
    independent.into_iter().chain(dependent).chain(rest).collect()
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::State => "state store",
        Kind::PubSub => "message bus",
        Kind::Binding => "binding",
        Kind::SecretStore => "secret store",
        Kind::Configuration => "configuration store",
        Kind::Lock => "lock store",
        Kind::Crypto => "crypto provider",
        Kind::Conversation => "conversation component",
        Kind::Middleware => "HTTP middleware",
        Kind::NameResolution => "name resolver",
    }
}

/// What a component can do, in the words of the metadata API.
fn capabilities(opened: &Opened) -> Vec<String> {
    let names: Vec<&str> = match opened {
        Opened::State(store) => {
            let features = store.features();
            let mut names: Vec<&str> = features.iter().map(|f| f.name()).collect();
            if features.contains(&state::Feature::Etag) && features.contains(&state::Feature::Transactional) {
                names.push("ACTOR");
            }
            names
        }
        Opened::PubSub(broker) => broker.features().into_iter().map(pubsub::Feature::name).collect(),
        Opened::SecretStore(store) if store.multiple_values() => vec!["MULTIPLE_KEY_VALUES_PER_SECRET"],
        Opened::Binding { input, output } => [
            input.as_ref().map(|_| "INPUT_BINDING"),
            output.as_ref().map(|_| "OUTPUT_BINDING"),
        ]
        .into_iter()
        .flatten()
        .collect(),
        Opened::SecretStore(_) | Opened::Middleware(_) | Opened::NameResolution(_) => Vec::new(),
    };
    names.into_iter().map(str::to_owned).collect()
}

fn insert(snapshot: &mut Snapshot, listed: &Listed, properties: Properties, opened: Opened) {
    macro_rules! put {
        ($map:ident, $instance:expr) => {{
            let loaded = Loaded::new(
                &listed.name,
                &listed.spec_type,
                &listed.version,
                properties.clone(),
                $instance,
            );
            snapshot.$map.insert(listed.name.clone(), Arc::new(loaded));
        }};
    }
    match opened {
        Opened::State(store) => put!(state, store),
        Opened::PubSub(broker) => put!(pubsub, broker),
        Opened::SecretStore(store) => put!(secrets, store),
        Opened::Middleware(step) => put!(middlewares, step),
        Opened::Binding { input, output } => {
            if let Some(input) = input {
                put!(input_bindings, input);
            }
            if let Some(output) = output {
                put!(output_bindings, output);
            }
        }
        // A name resolver is named by the configuration, not by a component.
        Opened::NameResolution(_) => {}
    }
}
