//! The configuration of a sidecar and of the control plane.

pub mod access;
pub mod api;
pub mod features;
mod load;
pub mod metrics;
pub mod tracing;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use access::AccessControl;
pub use api::ApiSpec;
pub use features::{Feature, Features};
pub use load::{ConfigurationError, LoadedConfiguration, from_texts, load_files};
pub use metrics::{MetricsConfig, MetricsSpec};
pub use tracing::Tracing;

use crate::duration::{GoDuration, ParseDurationError};
use crate::meta::{Kind, ObjectMeta, Resource};

/// A configuration as written; what is not written is read through methods that know the defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Configuration {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// The parts.
    pub spec: ConfigurationSpec,
}

/// The parts of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigurationSpec {
    /// Middleware before the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_pipeline: Option<Pipeline>,
    /// Middleware before the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_http_pipeline: Option<Pipeline>,
    /// Traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
    /// Metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metric: Option<MetricsSpec>,
    /// Metrics again: what is written here wins over `metric`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsSpec>,
    /// TLS between sidecars and control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtls: Option<Mtls>,
    /// Which secrets the application may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Secrets>,
    /// Who may invoke the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_control: Option<AccessControl>,
    /// How other applications are found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_resolution: Option<NameResolution>,
    /// Features switched on or off.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<Feature>,
    /// Which parts of the API there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiSpec>,
    /// Which components may be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub components: Option<Components>,
    /// Logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// WebAssembly components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wasm: Option<Wasm>,
    /// Workflows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow: Option<Workflow>,
}

/// A chain of middleware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Pipeline {
    /// In the order they see a request.
    pub handlers: Vec<Handler>,
}

/// One middleware.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Handler {
    /// The name of its component.
    pub name: String,
    /// The type of its component.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The version of its component.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Which requests it sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
}

/// Which requests a middleware sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Selector {
    /// All of them have to match.
    pub fields: Vec<SelectorField>,
}

/// A field of a request and its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SelectorField {
    /// The field.
    pub field: String,
    /// Its value.
    pub value: String,
}

/// TLS between sidecars and control plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Mtls {
    /// Whether it is on.
    pub enabled: bool,
    /// How long certificates live, as written.
    #[serde(rename = "workloadCertTTL", skip_serializing_if = "String::is_empty")]
    pub workload_cert_ttl: String,
    /// How far clocks may differ, as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub allowed_clock_skew: String,
    /// Where certificates come from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sentry_address: String,
    /// The trust domain of the control plane.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub control_plane_trust_domain: String,
    /// Further ways to prove who one is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_validators: Vec<TokenValidator>,
}

impl Mtls {
    /// How long certificates live; 24 hours unless written.
    pub fn workload_cert_ttl(&self) -> Result<GoDuration, ParseDurationError> {
        duration_or(&self.workload_cert_ttl, GoDuration::from_secs(24 * 3600))
    }

    /// How far clocks may differ; 15 minutes unless written.
    pub fn allowed_clock_skew(&self) -> Result<GoDuration, ParseDurationError> {
        duration_or(&self.allowed_clock_skew, GoDuration::from_secs(15 * 60))
    }
}

fn duration_or(text: &str, default: GoDuration) -> Result<GoDuration, ParseDurationError> {
    if text.is_empty() { Ok(default) } else { text.parse() }
}

/// A way to prove who one is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TokenValidator {
    /// Which one, as `jwks`.
    pub name: String,
    /// Its settings, as written.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub options: Value,
}

/// Which secrets the application may read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Secrets {
    /// One for each store that is restricted.
    pub scopes: Vec<SecretsScope>,
}

/// Which secrets of a store the application may read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SecretsScope {
    /// The component.
    pub store_name: String,
    /// `allow` (also when empty) or `deny`, for secrets that are in neither list.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default_access: String,
    /// If there are any, only these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed_secrets: Vec<String>,
    /// Never these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied_secrets: Vec<String>,
}

impl SecretsScope {
    /// Whether the application may read a secret: a list of allowed ones alone decides if there is one, then the list of
    /// denied ones, then the default.
    pub fn permits(&self, secret: &str) -> bool {
        if !self.allowed_secrets.is_empty() {
            return self.allowed_secrets.iter().any(|allowed| allowed == secret);
        }
        if self.denied_secrets.iter().any(|denied| denied == secret) {
            return false;
        }
        !self.default_access.eq_ignore_ascii_case("deny")
    }
}

/// How other applications are found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct NameResolution {
    /// The type without its prefix, as `mdns`.
    pub component: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its settings, as written.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub configuration: Value,
}

/// Which components may be loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Components {
    /// Types, with or without `/version`, that may not.
    pub deny: Vec<String>,
}

impl Components {
    /// Whether a component of this type and version may not be loaded. An empty version is `v1`.
    pub fn denies(&self, type_name: &str, version: &str) -> bool {
        let version = if version.is_empty() { "v1" } else { version };
        self.deny.iter().any(|denied| match denied.split_once('/') {
            Some((denied_type, denied_version)) => {
                denied_type.eq_ignore_ascii_case(type_name) && denied_version.eq_ignore_ascii_case(version)
            }
            None => denied.eq_ignore_ascii_case(type_name),
        })
    }
}

/// Logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Logging {
    /// Of calls to the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_logging: Option<ApiLogging>,
}

/// Logs of calls to the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ApiLogging {
    /// Whether there are any; the flag of the command line wins.
    pub enabled: bool,
    /// Whether the route is logged in place of the path.
    #[serde(rename = "obfuscateURLs")]
    pub obfuscate_urls: bool,
    /// Whether health checks are left out.
    pub omit_health_checks: bool,
}

/// WebAssembly components.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Wasm {
    /// Whether they are kept from clocks and randomness.
    pub strict_sandbox: bool,
}

/// Workflows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Workflow {
    /// Workflows at once in this sidecar; none is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_workflow_invocations: Option<i32>,
    /// Activities at once in this sidecar; none is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_activity_invocations: Option<i32>,
    /// Workflows at once in all sidecars of the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_max_concurrent_workflow_invocations: Option<i32>,
    /// Activities at once in all sidecars of the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub global_max_concurrent_activity_invocations: Option<i32>,
    /// By the name of the workflow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workflow_concurrency_limits: Vec<ConcurrencyLimit>,
    /// By the name of the activity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub activity_concurrency_limits: Vec<ConcurrencyLimit>,
    /// How long the state of ended workflows is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_retention_policy: Option<StateRetentionPolicy>,
}

/// How many of a name at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConcurrencyLimit {
    /// The name.
    pub name: String,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent: Option<i32>,
}

/// How long the state of ended workflows is kept; what is not written falls back to `any_terminal`, and that to for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StateRetentionPolicy {
    /// However they ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub any_terminal: Option<GoDuration>,
    /// Those that completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed: Option<GoDuration>,
    /// Those that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<GoDuration>,
    /// Those that were terminated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminated: Option<GoDuration>,
}

impl Configuration {
    /// Metrics: `metric` overlaid by `metrics`, with defaults.
    pub fn metrics(&self) -> MetricsConfig {
        MetricsConfig::new(self.spec.metric.as_ref(), self.spec.metrics.as_ref())
    }

    /// Which features are on.
    pub fn features(&self) -> Features {
        Features::new(&self.spec.features)
    }

    /// Logs of calls to the API.
    pub fn api_logging(&self) -> ApiLogging {
        self.spec
            .logging
            .as_ref()
            .and_then(|logging| logging.api_logging.clone())
            .unwrap_or_default()
    }

    /// Whether mTLS is on by configuration.
    pub fn mtls_enabled(&self) -> bool {
        self.spec.mtls.as_ref().is_some_and(|mtls| mtls.enabled)
    }

    /// The restriction of each secret store that has one; of several for a store, the last.
    pub fn secrets_scopes(&self) -> IndexMap<&str, &SecretsScope> {
        let scopes = self.spec.secrets.iter().flat_map(|secrets| &secrets.scopes);
        scopes.map(|scope| (scope.store_name.as_str(), scope)).collect()
    }

    /// Whether a component of this type and version may not be loaded.
    pub fn denies_component(&self, type_name: &str, version: &str) -> bool {
        self.spec
            .components
            .as_ref()
            .is_some_and(|components| components.denies(type_name, version))
    }
}

impl Resource for Configuration {
    const KIND: Kind = Kind::Configuration;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn scopes(&self) -> &[String] {
        &[]
    }
}

#[cfg(test)]
mod tests;
