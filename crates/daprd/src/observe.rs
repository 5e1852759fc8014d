//! Metrics and traces, as the configuration has them.

use crate::settings::Settings;
use resources::Configuration;
use telemetry::{
    metrics::{self, HttpOptions, Metrics},
    trace::{self, OtelOptions, Tracer, Worker},
};

/// Why metrics or traces cannot be as configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObserveError {
    /// A rule of the metrics.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics::RuleError),
    /// The export of traces.
    #[error("tracing: {0}")]
    Tracing(#[from] trace::ConfigError),
}

/// The metrics of the sidecar.
pub(crate) fn metrics(
    settings: &Settings,
    configuration: &Configuration,
    enabled: bool,
) -> Result<Metrics, ObserveError> {
    let spec = configuration.metrics();
    if !enabled || !spec.enabled {
        return Ok(Metrics::disabled());
    }
    let rules = spec.rules.iter().map(|rule| metrics::Rule {
        name: rule.name.clone(),
        labels: rule
            .labels
            .iter()
            .map(|label| metrics::RuleLabel {
                name: label.name.clone(),
                regex: label
                    .regex
                    .iter()
                    .map(|(new, old)| (new.clone(), old.clone()))
                    .collect(),
            })
            .collect(),
    });
    Ok(Metrics::new(&metrics::Options {
        app_id: Some(settings.app_id.clone()),
        namespace: settings.namespace.clone().unwrap_or_default(),
        latency_buckets: spec
            .latency_distribution_buckets
            .as_ref()
            .map(|b| b.iter().map(|n| *n as f64).collect()),
        http: HttpOptions {
            increased_cardinality: spec.increased_cardinality,
            path_matching: spec.path_matching.clone(),
            exclude_verbs: spec.exclude_verbs,
        },
        rules: rules.collect(),
        record_error_codes: spec.record_error_codes,
    })?)
}

/// The tracer of the sidecar, and the task that sends spans out.
pub(crate) fn tracer(
    settings: &Settings,
    configuration: &Configuration,
) -> Result<(Tracer, Option<Worker>), ObserveError> {
    let spec = configuration.spec.tracing.clone().unwrap_or_default();
    let otel = spec.otel.clone();
    let options = trace::Options {
        app_id: settings.app_id.clone(),
        sampling_rate: spec.sampling_rate.clone(),
        stdout: spec.stdout,
        zipkin_endpoint: spec.zipkin.map(|z| z.endpoint_address).filter(|a| !a.is_empty()),
        otel: otel
            .map(|otel| OtelOptions {
                protocol: otel.protocol.clone(),
                endpoint: otel.endpoint_address.clone(),
                is_secure: otel.is_secure,
                headers: otel
                    .headers
                    .iter()
                    .filter_map(|h| h.name_and_value())
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect(),
                timeout: otel.timeout().ok().flatten().and_then(|t| t.to_std()),
            })
            .unwrap_or_default(),
    };
    Ok(trace::build(&options, &trace::process_environment)?)
}
