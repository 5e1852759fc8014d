//! Metrics: views declared as constants, a bounded registry of series, and the text that Prometheus reads.
//!
//! [`Metrics`] is a value that is handed around, so that two sidecars fit in one process. The views of the sidecar and the
//! functions that record them are grouped by area: [`http`], [`grpc`], [`component`], [`service`], [`resiliency`],
//! [`error_code`], [`workflow`]. Other programs declare their views with [`views!`](crate::views) and fetch handles.

mod cell;
pub mod component;
pub mod error_code;
pub mod grpc;
pub mod http;
mod path;
mod process;
mod registry;
mod render;
pub mod resiliency;
mod rules;
pub mod service;
#[cfg(test)]
mod tests;
mod view;
pub mod workflow;

use std::sync::Arc;
use std::time::Duration;

use cell::Cell;
pub use cell::{Counter, Gauge, Histogram};
use path::HttpLabels;
pub use path::HttpOptions;
use registry::Registry;
pub use registry::{Collector, MAX_SERIES, MAX_VALUE, OVERFLOW};
pub use render::Exposition;
pub(crate) use render::push_float;
use rules::Rules;
pub use rules::{Rule, RuleError, RuleLabel};
pub use view::{Buckets, Kind, LATENCY_BUCKETS, RATIO_BUCKETS, SIZE_BUCKETS, View};

/// What a set of metrics is made from.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The `app_id` label of every series; without it there is no such label.
    pub app_id: Option<String>,
    /// The `namespace` label of the views that have one.
    pub namespace: String,
    /// Bounds, in milliseconds, that replace [`LATENCY_BUCKETS`].
    pub latency_buckets: Option<Vec<f64>>,
    /// Labels of HTTP metrics.
    pub http: HttpOptions,
    /// Rewriting of label values.
    pub rules: Vec<Rule>,
    /// Whether error codes are counted.
    pub record_error_codes: bool,
}

/// The metrics of one program, or nothing at all. Cheap to clone; what is disabled costs one branch.
#[derive(Clone, Default)]
pub struct Metrics(Option<Arc<Inner>>);

struct Inner {
    registry: Registry,
    namespace: String,
    http: HttpLabels,
    record_error_codes: bool,
}

impl Metrics {
    /// Metrics as the options say.
    pub fn new(options: &Options) -> Result<Metrics, RuleError> {
        let labels = options.app_id.iter().map(|app_id| ("app_id", app_id.clone())).collect();
        let registry = Registry::new(labels, Rules::new(&options.rules)?, options.latency_buckets.as_deref());
        registry.collect(Box::new(process::collect));
        Ok(Metrics(Some(Arc::new(Inner {
            registry,
            namespace: options.namespace.clone(),
            http: HttpLabels::new(&options.http),
            record_error_codes: options.record_error_codes,
        }))))
    }

    /// Records nothing and renders nothing.
    pub fn disabled() -> Metrics {
        Metrics(None)
    }

    /// Whether anything is recorded.
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Everything recorded so far, in Prometheus' text format 0.0.4.
    pub fn render(&self) -> String {
        self.0.as_ref().map(|inner| inner.registry.render()).unwrap_or_default()
    }

    /// Runs `collector` at each scrape, for families whose values are looked up rather than counted.
    pub fn collect(&self, collector: Collector) {
        if let Some(inner) = &self.0 {
            inner.registry.collect(collector);
        }
    }

    /// The counter of these label values, in the order of the view's keys. Fetch once, count often.
    pub fn counter(&self, view: &'static View, values: &[&str]) -> Counter {
        Counter(self.with(view, values, |cell| match cell {
            Cell::Counter(cell) => Some(Arc::clone(cell)),
            _ => None,
        }))
    }

    /// The gauge of these label values, in the order of the view's keys.
    pub fn gauge(&self, view: &'static View, values: &[&str]) -> Gauge {
        Gauge(self.with(view, values, |cell| match cell {
            Cell::Gauge(cell) => Some(Arc::clone(cell)),
            _ => None,
        }))
    }

    /// The histogram of these label values, in the order of the view's keys.
    pub fn histogram(&self, view: &'static View, values: &[&str]) -> Histogram {
        Histogram(self.with(view, values, |cell| match cell {
            Cell::Histogram(cell) => Some(Arc::clone(cell)),
            _ => None,
        }))
    }

    /// Adds to the counter of these label values, without keeping a handle.
    pub fn add(&self, view: &'static View, values: &[&str], n: u64) {
        self.with(view, values, |cell| {
            if let Cell::Counter(cell) = cell {
                cell.fetch_add(n, std::sync::atomic::Ordering::Relaxed);
            }
            None::<()>
        });
    }

    /// Adds one to the counter of these label values, without keeping a handle.
    pub fn increment(&self, view: &'static View, values: &[&str]) {
        self.add(view, values, 1);
    }

    /// Takes `value` into the histogram of these label values, without keeping a handle.
    pub fn observe(&self, view: &'static View, values: &[&str], value: f64) {
        self.with(view, values, |cell| {
            if let Cell::Histogram(cell) = cell {
                cell.observe(value);
            }
            None::<()>
        });
    }

    /// Takes a duration, as milliseconds, into the histogram of these label values. Zero means it was not measured.
    pub fn observe_duration(&self, view: &'static View, values: &[&str], elapsed: Duration) {
        if !elapsed.is_zero() {
            self.observe(view, values, cell::milliseconds(elapsed));
        }
    }

    fn with<R>(&self, view: &'static View, values: &[&str], f: impl FnOnce(&Cell) -> Option<R>) -> Option<R> {
        self.0.as_ref()?.registry.with(view, values, f)
    }

    fn namespace(&self) -> &str {
        self.0.as_ref().map_or("", |inner| &inner.namespace)
    }

    /// A count and a latency with the same labels, which most areas have.
    fn timed(&self, count: &'static View, latency: &'static View, values: &[&str], elapsed: Duration) {
        self.increment(count, values);
        self.observe_duration(latency, values, elapsed);
    }
}

/// A status code as label value, without allocating.
struct StatusText([u8; 3]);

impl StatusText {
    fn new(status: u16) -> StatusText {
        let digit = |power: u16| b'0' + u8::try_from(status / power % 10).unwrap_or_default();
        StatusText([digit(100), digit(10), digit(1)])
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
