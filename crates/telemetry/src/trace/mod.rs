//! Distributed traces: contexts as they travel in headers, spans, and the exporters that send them away.
//!
//! [`Tracer`] is a value. It is *off* when tracing is not configured or the rate is 0: spans then cost nothing, and what they
//! propagate is the context that came in, unchanged, or zeros when none did. When it is on, every span has an id of its own,
//! which is the one that is propagated and exported.

pub mod baggage;
mod batch;
mod connect;
mod context;
mod export;
mod otlp;
mod sampler;
mod span;
#[cfg(test)]
mod tests;
mod tracer;
mod zipkin;

pub use batch::Worker;
pub use context::{GRPC_TRACE_BIN, TRACEPARENT, TRACESTATE, TraceContext};
pub use export::Resource;
pub use otlp::{ConfigError, OtelOptions};
pub use sampler::{DEFAULT_RATE, Sampler};
pub use span::{Attribute, Event, Kind, Span, SpanData, Status, Value};
pub use tracer::{Builder, Tracer};

/// How a program traces.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The name of this service at the collectors, unless the environment has another.
    pub app_id: String,
    /// The part of new traces that is recorded, as text: what is no number means [`DEFAULT_RATE`], empty means unset.
    pub sampling_rate: String,
    /// Whether spans are logged as JSON.
    pub stdout: bool,
    /// Where Zipkin listens: the whole URL.
    pub zipkin_endpoint: Option<String>,
    /// An OpenTelemetry collector.
    pub otel: OtelOptions,
}

/// The environment that fills what a configuration leaves open. Given as a function, so that tests need not change it.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The environment of this process.
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Makes the tracer that the options ask for, and the worker that exports its spans. Run the worker as a task; cancelling it
/// sends what is left.
pub fn build(options: &Options, environment: Environment<'_>) -> Result<(Tracer, Option<Worker>), ConfigError> {
    let exporters = export::exporters(options, environment)?;
    if exporters.is_empty() && options.sampling_rate.is_empty() {
        return Ok((Tracer::off(), None));
    }
    let sampler = Sampler::from_rate(&options.sampling_rate);
    if sampler.is_never() {
        return Ok((Tracer::off_with(sampler), None));
    }
    if exporters.is_empty() {
        return Ok((Tracer::new(sampler, None), None));
    }
    let (queue, worker) = batch::channel(exporters);
    Ok((Tracer::new(sampler, Some(queue)), Some(worker)))
}
