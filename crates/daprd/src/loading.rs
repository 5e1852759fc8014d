//! What the sidecar loads at its start: configuration, resources, components.

use crate::{
    Settings,
    assemble::{Failure, LOG},
    settings,
};
use blocks::state;
use component::Registry;
use resources::{Configuration, Loaded, Resource, configuration, load};
use runtime::{Info, Loader, Snapshot};
use service::Host;
use std::sync::Arc;
use telemetry::metrics::Metrics;

pub(crate) fn configuration(settings: &Settings) -> Result<Configuration, Failure> {
    if settings.configurations.is_empty() {
        tracing::info!(target: LOG, "loading default configuration");
    }
    let loaded = configuration::load_files(&settings.configurations, settings::variable)
        .map_err(|e| format!("error loading configuration: {e}"))?;
    for problem in &loaded.problems {
        tracing::warn!(target: LOG, "{problem}");
    }
    let features = loaded.configuration.features();
    tracing::info!(target: LOG, "Enabled features: {}", features.enabled_names().join(" "));
    tracing::info!(target: "dapr.runtime.diagnostics", "metric spec: {}", metric_spec(&loaded.configuration));
    Ok(loaded.configuration)
}

/// The effective settings of metrics as JSON, for the log.
fn metric_spec(configuration: &Configuration) -> String {
    let spec = configuration.metrics();
    serde_json::json!({
        "enabled": spec.enabled, "recordErrorCodes": spec.record_error_codes,
        "http": {"increasedCardinality": spec.increased_cardinality, "pathMatching": spec.path_matching, "excludeVerbs": spec.exclude_verbs},
    })
    .to_string()
}

pub(crate) fn resources(settings: &Settings) -> Result<Loaded, Failure> {
    let filter = load::Filter {
        app_id: settings.app_id.clone(),
        namespace: settings.namespace.clone(),
    };
    let loaded = load::from_paths(&settings.resources, &filter).map_err(|error| match &error {
        load::LoadError::Duplicate(_) => format!("failed to load components: {error}"),
        load::LoadError::Folder { .. } => format!("failed to load components: {error}"),
    })?;
    for problem in &loaded.problems {
        match problem.severity {
            resources::Severity::Debug => tracing::debug!(target: "dapr.runtime.loader.disk", "{problem}"),
            resources::Severity::Notice | resources::Severity::Skipped => {
                tracing::warn!(target: "dapr.runtime.loader.disk", "{problem}")
            }
        }
    }
    Ok(loaded)
}

pub(crate) async fn loader(registry: Registry, info: Info, metrics: &Metrics, host: &Host) -> Loader {
    let offers = crate::pluggable::offers().await;
    Loader {
        registry,
        offers,
        info,
        pod_name: settings::variable("POD_NAME").unwrap_or_default(),
        metrics: metrics.clone(),
        environment: settings::variable,
        cancel: host.cancel.clone(),
    }
}

pub(crate) async fn snapshot(
    loader: &Loader,
    configuration: Arc<Configuration>,
    resources: Loaded,
    metrics: &Metrics,
) -> Result<Snapshot, runtime::LoadError> {
    let options = outgoing::Options {
        metrics: metrics.clone(),
        ..outgoing::Options::default()
    };
    let (policies, _logged) = outgoing::Policies::build(&resources.resiliencies, options);
    let mut snapshot = Snapshot {
        configuration: configuration.clone(),
        policies: Arc::new(policies),
        resiliencies: resources
            .resiliencies
            .iter()
            .map(|r| r.metadata().name.clone())
            .collect(),
        mcp_servers: resources
            .mcp_servers
            .iter()
            .map(|r| r.metadata().name.clone())
            .collect(),
        workflow_access_policies: resources
            .workflow_access_policies
            .iter()
            .map(|r| r.metadata().name.clone())
            .collect(),
        subscriptions: resources.subscriptions.into_iter().map(Arc::new).collect(),
        ..Snapshot::default()
    };
    tracing::info!(target: LOG, "Loading components…");
    loader.load(&mut snapshot, resources.components).await?;
    tracing::info!(target: LOG, "All outstanding components processed");
    loader.load_endpoints(&mut snapshot, &resources.http_endpoints).await;
    loader.load_pipelines(&mut snapshot, &configuration);
    Ok(snapshot)
}

/// What blocks want to see of what was loaded before they are made of it.
pub(crate) fn check(snapshot: &Snapshot, info: &Info) -> Result<(), Failure> {
    for store in snapshot.state.values() {
        state::check(store, info).map_err(|why| {
            format!(
                "failed to load components: process component {} error: {why}",
                store.name
            )
        })?;
    }
    for subscription in &snapshot.subscriptions {
        let name = &subscription.metadata.name;
        pubsub::check(subscription)
            .map_err(|why| format!("failed to load declarative subscriptions: subscription {name}: {why}"))?;
    }
    Ok(())
}
