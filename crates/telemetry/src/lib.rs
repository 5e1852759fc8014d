//! What a program tells about itself: logs, metrics, traces.
//!
//! For: every program and every crate that logs, counts or traces. Enters: events of the `tracing` crate, typed recordings
//! of metrics, spans. Leaves: lines in Dapr's log format, Prometheus' text, spans at an exporter. May live here: formats,
//! the views of the sidecar's metrics with the functions that record them, the rules for their labels, trace propagation and
//! exporters. May not: listeners, flags, anything that knows a building block or the wire types.
//!
//! There are no globals but the `tracing` subscriber: [`metrics::Metrics`] and [`trace::Tracer`] are values, so that two
//! sidecars fit in one process.

pub mod logs;
pub mod metrics;
pub mod trace;
