//! Metrics: as written, and with defaults.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Metrics as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MetricsSpec {
    /// Whether there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether error codes are counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_error_codes: Option<bool>,
    /// Of the HTTP server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpMetricsSpec>,
    /// Rewriting of labels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<MetricsRule>,
    /// Buckets of latencies, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_distribution_buckets: Option<Vec<i64>>,
}

/// Metrics of the HTTP server as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpMetricsSpec {
    /// Whether paths are labels as they come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub increased_cardinality: Option<bool>,
    /// Templates that paths are matched with.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path_matching: Vec<String>,
    /// Whether the method is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_verbs: Option<bool>,
}

/// Rewriting of the labels of a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MetricsRule {
    /// The metric.
    pub name: String,
    /// Its labels.
    pub labels: Vec<MetricLabel>,
}

/// Rewriting of a label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MetricLabel {
    /// The label.
    pub name: String,
    /// New values, and the expressions that old values must match.
    pub regex: IndexMap<String, String>,
}

/// Metrics with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsConfig {
    /// Whether there are any.
    pub enabled: bool,
    /// Whether error codes are counted.
    pub record_error_codes: bool,
    /// Whether paths are labels as they come.
    pub increased_cardinality: bool,
    /// Templates that paths are matched with.
    pub path_matching: Vec<String>,
    /// Whether the method is left out.
    pub exclude_verbs: bool,
    /// Rewriting of labels.
    pub rules: Vec<MetricsRule>,
    /// Buckets of latencies, in milliseconds; none means the usual ones.
    pub latency_distribution_buckets: Option<Vec<i64>>,
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            record_error_codes: false,
            increased_cardinality: true,
            path_matching: Vec::new(),
            exclude_verbs: false,
            rules: Vec::new(),
            latency_distribution_buckets: None,
        }
    }
}

impl MetricsConfig {
    /// `metric` with what `metrics` says put over it.
    pub(super) fn new(metric: Option<&MetricsSpec>, metrics: Option<&MetricsSpec>) -> Self {
        let mut config = Self::default();
        for spec in metric.into_iter().chain(metrics) {
            config.overlay(spec);
        }
        config
    }

    fn overlay(&mut self, spec: &MetricsSpec) {
        self.enabled = spec.enabled.unwrap_or(self.enabled);
        self.record_error_codes = spec.record_error_codes.unwrap_or(self.record_error_codes);
        if !spec.rules.is_empty() {
            self.rules.clone_from(&spec.rules);
        }
        if let Some(buckets) = spec
            .latency_distribution_buckets
            .as_ref()
            .filter(|buckets| !buckets.is_empty())
        {
            self.latency_distribution_buckets = Some(buckets.clone());
        }
        if let Some(http) = &spec.http {
            self.increased_cardinality = http.increased_cardinality.unwrap_or(self.increased_cardinality);
            self.exclude_verbs = http.exclude_verbs.unwrap_or(self.exclude_verbs);
            if !http.path_matching.is_empty() {
                self.path_matching.clone_from(&http.path_matching);
            }
        }
    }
}
