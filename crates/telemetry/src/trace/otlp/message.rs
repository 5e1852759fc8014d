//! The messages of OTLP's trace service, as far as this exporter fills them.

use super::super::export::{Resource, nanoseconds};
use super::super::span::{self, Attribute, Kind, SpanData, Status as SpanStatus, Value};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Request {
    #[prost(message, repeated, tag = "1")]
    pub(crate) resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub(crate) resource: Option<ResourceMessage>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceMessage {
    #[prost(message, repeated, tag = "1")]
    pub(crate) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub(crate) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) spans: Vec<Span>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Scope {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    pub(crate) trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    #[prost(int32, tag = "6")]
    pub(crate) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(crate) start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    pub(crate) end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    pub(crate) attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) events: Vec<Event>,
    #[prost(message, optional, tag = "15")]
    pub(crate) status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    pub(crate) flags: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Event {
    #[prost(fixed64, tag = "1")]
    pub(crate) time_unix_nano: u64,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Status {
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(int32, tag = "3")]
    pub(crate) code: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(crate) key: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 2, 3, 4")]
    pub(crate) value: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(int64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Float(f64),
}

/// The name under which the sidecar's spans are known.
const SCOPE: &str = "dapr-diagnostics";

/// A request with these spans.
pub(super) fn request(resource: &Resource, spans: &[SpanData]) -> Request {
    let attributes = resource
        .attributes
        .iter()
        .map(|(key, value)| key_value(key, Any::Text(value.clone())))
        .collect();
    Request {
        resource_spans: vec![ResourceSpans {
            resource: Some(ResourceMessage { attributes }),
            scope_spans: vec![ScopeSpans {
                scope: Some(Scope { name: SCOPE.to_owned() }),
                spans: spans.iter().map(span).collect(),
            }],
        }],
    }
}

fn span(data: &SpanData) -> Span {
    Span {
        trace_id: data.context.trace_id.to_vec(),
        span_id: data.context.span_id.to_vec(),
        trace_state: data.context.state.as_deref().unwrap_or_default().to_owned(),
        parent_span_id: if data.parent_span_id == [0; 8] {
            Vec::new()
        } else {
            data.parent_span_id.to_vec()
        },
        name: data.name.clone().into_owned(),
        kind: match data.kind {
            Kind::Internal => 1,
            Kind::Server => 2,
            Kind::Client => 3,
            Kind::Producer => 4,
            Kind::Consumer => 5,
        },
        start_time_unix_nano: nanoseconds(data.start),
        end_time_unix_nano: nanoseconds(data.end),
        attributes: attributes(&data.attributes),
        events: data.events.iter().map(event).collect(),
        status: status(&data.status),
        flags: u32::from(data.context.flags),
    }
}

fn event(event: &span::Event) -> Event {
    Event {
        time_unix_nano: nanoseconds(event.time),
        name: event.name.clone().into_owned(),
        attributes: attributes(&event.attributes),
    }
}

fn status(status: &SpanStatus) -> Option<Status> {
    let (code, message) = match status {
        SpanStatus::Unset => (0, ""),
        SpanStatus::Ok => (1, ""),
        SpanStatus::Error(text) => (2, text.as_ref()),
    };
    Some(Status {
        message: message.to_owned(),
        code,
    })
}

fn attributes(attributes: &[Attribute]) -> Vec<KeyValue> {
    let any = |value: &Value| match value {
        Value::Text(text) => Any::Text(text.clone().into_owned()),
        Value::Int(number) => Any::Int(*number),
        Value::Float(number) => Any::Float(*number),
        Value::Bool(flag) => Any::Bool(*flag),
    };
    attributes
        .iter()
        .map(|(key, value)| key_value(key, any(value)))
        .collect()
}

fn key_value(key: &str, value: Any) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}
