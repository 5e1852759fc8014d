//! What an exporter is, which ones a configuration asks for, and the one that logs.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use serde_json::json;

use super::batch::SCOPE;
use super::context::Hex;
use super::otlp::{self, ConfigError};
use super::span::{Attribute, SpanData, Status, Value};
use super::{Environment, Options, zipkin};

/// Sends spans somewhere.
pub(super) trait Exporter: Send + Sync {
    fn export<'a>(&'a self, spans: &'a [SpanData]) -> BoxFuture<'a, Result<(), ExportError>>;
}

/// Spans could not be sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExportError {
    #[error("{0}")]
    Transport(String),
    #[error("no answer in time")]
    Timeout,
    #[error("answered with {0}")]
    Refused(String),
}

/// What all spans of a program have in common: attributes, `service.name` among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resource {
    /// In the order in which they are exported.
    pub attributes: Vec<(String, String)>,
}

impl Resource {
    /// The application's id as `service.name`, then the environment, whose word counts.
    pub fn new(app_id: &str, environment: Environment<'_>) -> Resource {
        let mut resource = Resource::default();
        resource.set("service.name", app_id);
        for (key, value) in pairs(&environment("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default()) {
            resource.set(&key, &value);
        }
        if let Some(name) = environment("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()) {
            resource.set("service.name", &name);
        }
        resource
    }

    fn set(&mut self, key: &str, value: &str) {
        match self.attributes.iter_mut().find(|(own, _)| own == key) {
            Some((_, own)) => value.clone_into(own),
            None => self.attributes.push((key.to_owned(), value.to_owned())),
        }
    }

    /// `service.name`.
    pub fn service_name(&self) -> &str {
        self.attributes
            .iter()
            .find(|(key, _)| key == "service.name")
            .map_or("", |(_, value)| value)
    }
}

/// `key=value,key=value` with percent-encoded values; what is not of this form is left out.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let members = text.split(',').filter_map(|member| member.split_once('='));
    members
        .map(|(key, value)| (key.trim().to_owned(), decode(value.trim())))
        .filter(|(key, _)| !key.is_empty())
        .collect()
}

fn decode(value: &str) -> String {
    percent_encoding::percent_decode_str(value)
        .decode_utf8_lossy()
        .into_owned()
}

pub(super) fn exporters(
    options: &Options,
    environment: Environment<'_>,
) -> Result<Vec<Box<dyn Exporter>>, ConfigError> {
    let resource = Resource::new(&options.app_id, environment);
    let mut exporters: Vec<Box<dyn Exporter>> = Vec::new();
    if options.stdout {
        exporters.push(Box::new(Stdout));
    }
    if let Some(endpoint) = options
        .zipkin_endpoint
        .as_deref()
        .filter(|endpoint| !endpoint.is_empty())
    {
        exporters.push(Box::new(zipkin::Zipkin::new(endpoint, resource.service_name())?));
    }
    if let Some(otlp) = otlp::exporter(&options.otel, &resource, environment)? {
        exporters.push(otlp);
    }
    Ok(exporters)
}

/// Logs each span as JSON.
struct Stdout;

impl Exporter for Stdout {
    fn export<'a>(&'a self, spans: &'a [SpanData]) -> BoxFuture<'a, Result<(), ExportError>> {
        for span in spans {
            tracing::info!(target: SCOPE, "Trace: {}", describe(span));
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

fn describe(span: &SpanData) -> serde_json::Value {
    let (status, description) = match &span.status {
        Status::Unset => ("Unset", ""),
        Status::Ok => ("Ok", ""),
        Status::Error(text) => ("Error", text.as_ref()),
    };
    json!({
        "Name": span.name,
        "SpanContext": {
            "TraceID": Hex(&span.context.trace_id).to_string(),
            "SpanID": Hex(&span.context.span_id).to_string(),
            "TraceFlags": format!("{:02x}", span.context.flags),
            "TraceState": span.context.state.as_deref().unwrap_or_default(),
        },
        "ParentSpanID": Hex(&span.parent_span_id).to_string(),
        "SpanKind": format!("{:?}", span.kind),
        "StartTimeUnixNano": nanoseconds(span.start),
        "EndTimeUnixNano": nanoseconds(span.end),
        "Attributes": attributes(&span.attributes),
        "Events": span.events.iter().map(|event| json!({
            "Name": event.name, "TimeUnixNano": nanoseconds(event.time), "Attributes": attributes(&event.attributes),
        })).collect::<Vec<_>>(),
        "Status": {"Code": status, "Description": description},
    })
}

fn attributes(attributes: &[Attribute]) -> serde_json::Map<String, serde_json::Value> {
    let json = |value: &Value| match value {
        Value::Text(text) => json!(text),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Bool(flag) => json!(flag),
    };
    attributes
        .iter()
        .map(|(key, value)| (key.to_string(), json(value)))
        .collect()
}

pub(super) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// A value as text, for formats that know only text.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    let _ = match value {
        Value::Text(text) => write!(out, "{text}"),
        Value::Int(number) => write!(out, "{number}"),
        Value::Float(number) => write!(out, "{number}"),
        Value::Bool(flag) => write!(out, "{flag}"),
    };
    out
}
