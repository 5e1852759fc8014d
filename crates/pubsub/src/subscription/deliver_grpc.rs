//! Handing messages to an application that speaks gRPC.

use super::{
    LOG_GRPC,
    bulk::{Group, Statuses},
    deliver::{Delivery, Failed, Opened, Reply},
    deliver_http::metadata_headers,
    routes::Route,
};
use crate::{
    cloud_event::{BULK_TYPE, Event, payload},
    content,
};
use app::{Along, App};
use bytes::Bytes;
use component::Metadata;
use http::{HeaderMap, HeaderValue};
use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::value::RawValue;
use std::sync::Arc;
use telemetry::trace::{TRACEPARENT, TraceContext};
use tonic::{Code, metadata::MetadataMap};
use wire::runtime::v1::{
    TopicEventBulkRequest, TopicEventBulkRequestEntry, TopicEventBulkResponse, TopicEventCeRequest, TopicEventRequest,
    app_callback_alpha_client::AppCallbackAlphaClient, app_callback_client::AppCallbackClient,
    topic_event_bulk_request_entry::Event as EntryEvent, topic_event_response::TopicEventResponseStatus as Status,
};

/// A message with what goes with it.
fn request<T>(delivery: &Delivery, along: &Along, metadata: Option<&Metadata>, message: T) -> tonic::Request<T> {
    let mut headers = HeaderMap::new();
    if let Some(metadata) = metadata {
        metadata_headers(metadata, &mut headers);
        // Names that gRPC keeps to itself.
        let reserved = headers
            .keys()
            .filter(|name| name.as_str().starts_with("grpc-"))
            .cloned();
        for name in reserved.collect::<Vec<_>>() {
            headers.remove(name);
        }
    }
    if let Ok(pubsub) = HeaderValue::from_bytes(delivery.spec().pubsub.as_bytes()) {
        headers.insert("pubsubname", pubsub);
    }
    if !along.trace.is_valid() {
        // The channel writes traces only; an application always finds a traceparent.
        if let Ok(none) = HeaderValue::from_str(&TraceContext::NONE.traceparent()) {
            headers.insert(TRACEPARENT, none);
        }
    }
    let mut request = tonic::Request::new(message);
    *request.metadata_mut() = MetadataMap::from_headers(headers);
    request
}

/// Attributes of an event that are fields of the message.
const FIELDS: [&str; 7] = [
    "id",
    "source",
    "type",
    "specversion",
    "datacontenttype",
    "data",
    "data_base64",
];

/// An event as the application gets it.
pub(super) fn topic_event(pubsub: &str, opened: &Opened<'_>, route: &Route) -> Result<TopicEventRequest, Failed> {
    let field = |name| opened.event.text(name).map(Into::into).unwrap_or_default();
    Ok(TopicEventRequest {
        id: field("id"),
        source: field("source"),
        r#type: field("type"),
        spec_version: field("specversion"),
        data_content_type: field("datacontenttype"),
        topic: opened.topic.to_owned(),
        data: payload(&opened.event, opened.bytes).map_err(Failed::permanent)?,
        pubsub_name: pubsub.to_owned(),
        path: route.path.clone(),
        extensions: Some(extensions(&opened.event, opened.metadata)),
    })
}

fn extensions(event: &Event<'_>, metadata: &Metadata) -> Struct {
    let own = event.fields().filter(|(name, _)| !FIELDS.contains(name));
    let mut fields: std::collections::BTreeMap<String, Value> =
        own.map(|(name, raw)| (name.to_owned(), value(raw))).collect();
    for name in ["traceid", "tracestate"] {
        if let Some(text) = metadata.get(name) {
            let text = || Value {
                kind: Some(Kind::StringValue(text.clone())),
            };
            fields.entry(name.to_owned()).or_insert_with(text);
        }
    }
    Struct { fields }
}

fn value(raw: &RawValue) -> Value {
    if let Some(text) = crate::cloud_event::text(raw) {
        return Value {
            kind: Some(Kind::StringValue(text.into_owned())),
        };
    }
    // It was read before, so that it can be read again, unless it is nested too deep.
    convert(serde_json::from_str(raw.get()).unwrap_or_default())
}

fn convert(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(b) => Kind::BoolValue(b),
        Json::Number(n) => Kind::NumberValue(n.as_f64().unwrap_or_default()),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(items) => Kind::ListValue(ListValue {
            values: items.into_iter().map(convert).collect(),
        }),
        Json::Object(fields) => Kind::StructValue(Struct {
            fields: fields.into_iter().map(|(name, value)| (name, convert(value))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

/// Sends one message.
pub(super) async fn send(
    app: &Arc<App>,
    delivery: &Delivery,
    along: &Along,
    opened: &Opened<'_>,
    route: &Route,
) -> Result<Reply, Failed> {
    let message = topic_event(&delivery.spec().pubsub, opened, route)?;
    let id = message.id.clone();
    let mut client = AppCallbackClient::new(app.channel(along.clone()));
    match client
        .on_topic_event(request(delivery, along, Some(opened.metadata), message))
        .await
    {
        Ok(response) => reply(response.into_inner().status, &id, LOG_GRPC),
        Err(status) if status.code() == Code::Unimplemented => {
            tracing::warn!(target: LOG_GRPC, "non-retriable error returned from app while processing pub/sub event {id}: {}", text(&status));
            Ok(Reply::Unimplemented)
        }
        Err(status) => Err(failed(&status)),
    }
}

/// What the status of an answer means; it is the same over a stream.
pub(super) fn reply(status: i32, id: &str, log: &'static str) -> Result<Reply, Failed> {
    match Status::try_from(status) {
        Ok(Status::Success) => Ok(Reply::Success),
        Ok(Status::Drop) => {
            // The target of a log line is fixed where it is written.
            if log == LOG_GRPC {
                tracing::warn!(target: LOG_GRPC, "DROP status returned from app while processing pub/sub event {id}");
            } else {
                tracing::warn!(target: super::LOG_STREAM, "DROP status returned from app while processing pub/sub event {id}");
            }
            Ok(Reply::Drop)
        }
        Ok(Status::Retry) => Err(Failed::transient(format!(
            "RETRY status returned from app while processing pub/sub event {id}"
        ))),
        Err(_) => Err(Failed::transient(format!(
            "unknown status returned from app while processing pub/sub event {id}, status: {status}"
        ))),
    }
}

/// A status in Go's words.
fn text(status: &tonic::Status) -> String {
    format!("rpc error: code = {:?} desc = {}", status.code(), status.message())
}

fn failed(status: &tonic::Status) -> Failed {
    Failed {
        grpc: Some(status.code() as i32),
        ..Failed::transient(text(status))
    }
}

/// Sends messages together; returns what became of each.
pub(super) async fn send_bulk(
    app: &Arc<App>,
    delivery: &Delivery,
    along: &Along,
    group: &Group<'_>,
) -> Result<Statuses, Failed> {
    let message = bulk_request(delivery, group);
    let limit = delivery.shared.runtime.info.body_limit();
    let mut client = AppCallbackClient::new(app.channel(along.clone())).max_decoding_message_size(limit);
    let mut result = client
        .on_bulk_topic_event(request(delivery, along, None, message.clone()))
        .await;
    if matches!(&result, Err(status) if status.code() == Code::Unimplemented) {
        let mut older = AppCallbackAlphaClient::new(app.channel(along.clone())).max_decoding_message_size(limit);
        result = older
            .on_bulk_topic_event_alpha1(request(delivery, along, None, message))
            .await;
    }
    match result {
        Ok(response) => Ok(statuses(response.into_inner())),
        Err(status) if status.code() == Code::Unimplemented => {
            tracing::warn!(target: LOG_GRPC, "non-retriable error returned from app while processing bulk pub/sub event: {}", text(&status));
            Ok(Statuses::NotThere)
        }
        Err(status) => Err(failed(&status)),
    }
}

fn statuses(response: TopicEventBulkResponse) -> Statuses {
    let each = response.statuses.into_iter().map(|one| {
        let reply = match one.status() {
            Status::Success if one.status == 0 => Some(Reply::Success),
            Status::Drop => Some(Reply::Drop),
            _ => None,
        };
        (one.entry_id, reply)
    });
    Statuses::Each(each.collect())
}

fn bulk_request(delivery: &Delivery, group: &Group<'_>) -> TopicEventBulkRequest {
    let entries = group.entries.iter().map(|entry| {
        let event = if delivery.is_raw() {
            EntryEvent::Bytes(entry.data.clone())
        } else {
            EntryEvent::CloudEvent(cloud_event(entry.data, &entry.entry.metadata))
        };
        TopicEventBulkRequestEntry {
            entry_id: entry.entry.entry_id.clone(),
            event: Some(event),
            content_type: entry.content_type(delivery).to_owned(),
            metadata: entry.entry.metadata.clone(),
        }
    });
    let mut metadata = group.metadata.clone();
    metadata.insert("pubsubName".into(), delivery.spec().pubsub.clone());
    TopicEventBulkRequest {
        id: group.id.clone(),
        entries: entries.collect(),
        metadata,
        topic: group.topic.to_owned(),
        pubsub_name: delivery.spec().pubsub.clone(),
        r#type: BULK_TYPE.into(),
        path: group.route.path.clone(),
    }
}

fn cloud_event(bytes: &Bytes, metadata: &Metadata) -> TopicEventCeRequest {
    let Ok(event) = Event::parse(bytes) else {
        return TopicEventCeRequest {
            data: bytes.clone(),
            data_content_type: content::BINARY.into(),
            ..TopicEventCeRequest::default()
        };
    };
    let field = |name| event.text(name).map(Into::into).unwrap_or_default();
    TopicEventCeRequest {
        id: field("id"),
        source: field("source"),
        r#type: field("type"),
        spec_version: field("specversion"),
        data_content_type: field("datacontenttype"),
        data: payload(&event, bytes).unwrap_or_default(),
        extensions: Some(extensions(&event, metadata)),
    }
}
