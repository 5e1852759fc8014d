//! Zipkin's JSON format, version 2.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Uri, header};
use http_body_util::Full;
use serde_json::{Map, Value, json};

use super::connect::{self, HttpClient};
use super::context::Hex;
use super::export::{ExportError, Exporter, nanoseconds, text};
use super::otlp::{ConfigError, TIMEOUT};
use super::span::{Kind, SpanData, Status};

pub(super) struct Zipkin {
    endpoint: Uri,
    service: String,
    client: HttpClient,
}

impl Zipkin {
    pub(super) fn new(endpoint: &str, service: &str) -> Result<Zipkin, ConfigError> {
        let uri: Uri = endpoint
            .parse()
            .map_err(|_| ConfigError::Endpoint(endpoint.to_owned()))?;
        if uri.host().is_none() {
            return Err(ConfigError::Endpoint(endpoint.to_owned()));
        }
        let client = connect::client(uri.scheme_str() == Some("https"), false)?;
        Ok(Zipkin {
            endpoint: uri,
            service: service.to_owned(),
            client,
        })
    }

    async fn send(&self, body: Vec<u8>) -> Result<(), ExportError> {
        let request = Request::post(self.endpoint.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| ExportError::Transport(error.to_string()))?;
        let answer = tokio::time::timeout(TIMEOUT, self.client.request(request));
        let answer = answer.await.map_err(|_| ExportError::Timeout)?;
        let answer = answer.map_err(|error| ExportError::Transport(error.to_string()))?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(ExportError::Refused(answer.status().to_string()))
        }
    }
}

impl Exporter for Zipkin {
    fn export<'a>(&'a self, spans: &'a [SpanData]) -> BoxFuture<'a, Result<(), ExportError>> {
        let spans: Vec<Value> = spans.iter().map(|span| describe(span, &self.service)).collect();
        Box::pin(self.send(Value::Array(spans).to_string().into_bytes()))
    }
}

pub(super) fn describe(span: &SpanData, service: &str) -> Value {
    let (start, end) = (nanoseconds(span.start) / 1000, nanoseconds(span.end) / 1000);
    let mut out = json!({
        "traceId": Hex(&span.context.trace_id).to_string(),
        "id": Hex(&span.context.span_id).to_string(),
        "name": span.name,
        "timestamp": start,
        "duration": end.saturating_sub(start).max(1),
        "localEndpoint": {"serviceName": service},
        "tags": tags(span),
        "annotations": span.events.iter().map(|event| json!({
            "timestamp": nanoseconds(event.time) / 1000, "value": event.name,
        })).collect::<Vec<_>>(),
    });
    if span.parent_span_id != [0; 8] {
        out["parentId"] = json!(Hex(&span.parent_span_id).to_string());
    }
    let kind = match span.kind {
        Kind::Internal => return out,
        Kind::Server => "SERVER",
        Kind::Client => "CLIENT",
        Kind::Producer => "PRODUCER",
        Kind::Consumer => "CONSUMER",
    };
    out["kind"] = json!(kind);
    out
}

fn tags(span: &SpanData) -> Map<String, Value> {
    let mut tags: Map<String, Value> = span
        .attributes
        .iter()
        .map(|(key, value)| (key.to_string(), Value::String(text(value))))
        .collect();
    match &span.status {
        Status::Unset => {}
        Status::Ok => {
            tags.insert("otel.status_code".into(), "OK".into());
        }
        Status::Error(description) => {
            tags.insert("otel.status_code".into(), "ERROR".into());
            tags.insert("error".into(), description.as_ref().into());
        }
    }
    tags
}
