//! Handing messages to an application that speaks HTTP.

use super::{
    LOG_HTTP,
    bulk::{Group, Statuses},
    deliver::{Delivery, Failed, Opened, Reply},
    routes::Route,
};
use crate::{
    cloud_event::{BULK_TYPE, Event, Object, base64_string, string, text},
    content::CLOUD_EVENT,
};
use app::{Along, App};
use bytes::Bytes;
use component::{Metadata, middleware::Body};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use outgoing::Class;

const PUBSUB_NAME: HeaderName = HeaderName::from_static("pubsubname");

/// Headers that say something about the request itself rather than about the message.
const OWN: [&str; 12] = [
    "content-length",
    "content-type",
    "host",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "pubsubname",
];

/// Metadata of a message as headers; what no header can hold is left out.
pub(super) fn metadata_headers(metadata: &Metadata, headers: &mut HeaderMap) {
    for (key, value) in metadata {
        if OWN.iter().any(|own| key.eq_ignore_ascii_case(own)) {
            continue;
        }
        let name = HeaderName::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.insert(name, value);
        }
    }
}

fn request(pubsub: &str, route: &Route, content_type: &'static str, body: Bytes) -> Request<Body> {
    let mut request = Request::new(component::middleware::full(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = route.uri.clone();
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(pubsub) = HeaderValue::from_bytes(pubsub.as_bytes()) {
        headers.insert(PUBSUB_NAME, pubsub);
    }
    request
}

/// Sends a request; the answer is whole then. A body that cannot be read is as good as none.
async fn call(
    app: &App,
    delivery: &Delivery,
    along: &Along,
    request: Request<Body>,
) -> Result<(StatusCode, Bytes), Failed> {
    let response = app
        .http(along, request)
        .await
        .map_err(|e| Failed::transient(e.to_string()))?;
    let status = response.status();
    let body = api::body::read(response.into_body(), delivery.shared.runtime.info.body_limit()).await;
    Ok((status, body.unwrap_or_default()))
}

/// Sends one message.
pub(super) async fn send(
    app: &App,
    delivery: &Delivery,
    along: &Along,
    opened: &Opened<'_>,
    route: &Route,
) -> Result<Reply, Failed> {
    let mut request = request(&delivery.spec().pubsub, route, CLOUD_EVENT, opened.bytes.clone());
    metadata_headers(opened.metadata, request.headers_mut());
    let (status, body) = call(app, delivery, along, request).await?;
    let (id, topic) = (|| opened.id(), opened.topic);
    if status.is_success() {
        return match status_of(&body).as_deref() {
            None | Some("" | "SUCCESS") => Ok(Reply::Success),
            Some("DROP") => {
                tracing::warn!(target: LOG_HTTP, "DROP status returned from app while processing pub/sub event {}", id());
                Ok(Reply::Drop)
            }
            Some("RETRY") => Err(Failed::transient(format!(
                "RETRY status returned from app while processing pub/sub event {}",
                id()
            ))),
            Some(other) => Err(Failed::transient(format!(
                "unknown status returned from app while processing pub/sub event {}, status: {other}",
                id()
            ))),
        };
    }
    let (code, body) = (status.as_u16(), String::from_utf8_lossy(&body[..body.len().min(1024)]));
    if status == StatusCode::NOT_FOUND {
        tracing::error!(target: LOG_HTTP, "non-retriable error returned from app while processing pub/sub event {}: {body}. status code returned: {code}", id());
        return Ok(Reply::NotFound);
    }
    let why = format!(
        "retriable error returned from app while processing pub/sub event {}, topic: {topic}, body: {body}. status code returned: {code}",
        id()
    );
    tracing::warn!(target: LOG_HTTP, "{why}");
    Err(Failed {
        http: Some(code),
        ..Failed::transient(why)
    })
}

/// What an answer says in `status`; nothing if it says nothing that can be understood.
fn status_of(body: &[u8]) -> Option<String> {
    let answer = Event::parse(body).ok()?;
    let status = answer
        .fields()
        .filter(|(name, _)| name.eq_ignore_ascii_case("status"))
        .last();
    text(status?.1).map(Into::into)
}

/// Sends messages together; returns what became of each.
pub(super) async fn send_bulk(
    app: &App,
    delivery: &Delivery,
    along: &Along,
    group: &Group<'_>,
) -> Result<Statuses, Failed> {
    let spec = delivery.spec();
    let request = request(
        &spec.pubsub,
        group.route,
        "application/json",
        bulk_body(delivery, group),
    );
    let (status, body) = call(app, delivery, along, request).await?;
    if status.is_success() {
        return Ok(read_statuses(&body));
    }
    let code = status.as_u16();
    if status == StatusCode::NOT_FOUND {
        tracing::error!(target: LOG_HTTP, "Non-retriable error returned from app while processing bulk pub/sub event. status code returned: {code}");
        return Ok(Statuses::NotThere);
    }
    let why = format!(
        "Retriable error returned from app while processing bulk pub/sub event, topic: {}. status code returned: {code}",
        group.topic
    );
    tracing::warn!(target: LOG_HTTP, "{why}");
    Err(Failed {
        http: Some(code),
        class: Class::Transient,
        why,
        grpc: None,
    })
}

fn bulk_body(delivery: &Delivery, group: &Group<'_>) -> Bytes {
    let size: usize = group.entries.iter().map(|entry| entry.data.len() * 4 / 3 + 256).sum();
    let mut entries = Vec::with_capacity(size);
    entries.push(b'[');
    for (at, entry) in group.entries.iter().enumerate() {
        if at > 0 {
            entries.push(b',');
        }
        entries.extend_from_slice(br#"{"entryId":"#);
        string(&mut entries, &entry.entry.entry_id);
        entries.extend_from_slice(br#","event":"#);
        if delivery.is_raw() {
            base64_string(&mut entries, entry.data);
        } else {
            entries.extend_from_slice(entry.data);
        }
        entries.extend_from_slice(br#","metadata":"#);
        entries.extend_from_slice(&map(&entry.entry.metadata));
        entries.extend_from_slice(br#","contentType":"#);
        string(&mut entries, entry.content_type(delivery));
        entries.push(b'}');
    }
    entries.push(b']');
    let mut metadata = group.metadata.clone();
    metadata.insert("pubsubName".into(), delivery.spec().pubsub.clone());
    let mut out = Object::with_capacity(entries.len() + 512);
    out.raw("entries", &entries);
    out.text("id", &group.id);
    out.raw("metadata", &map(&metadata));
    out.text("pubsubname", &delivery.spec().pubsub);
    out.text("topic", group.topic);
    out.text("type", BULK_TYPE);
    out.finish()
}

fn map(metadata: &Metadata) -> Bytes {
    let mut out = Object::with_capacity(64);
    for (key, value) in metadata {
        out.text(key, value);
    }
    out.finish()
}

/// Reads what an application answers to a bulk.
pub(super) fn read_statuses(body: &[u8]) -> Statuses {
    #[derive(serde::Deserialize, Default)]
    #[serde(default)]
    struct Answer {
        statuses: Vec<Status>,
    }
    #[derive(serde::Deserialize, Default)]
    #[serde(default)]
    struct Status {
        #[serde(rename = "entryId")]
        entry_id: String,
        status: String,
    }
    let mut stream = serde_json::Deserializer::from_slice(body).into_iter::<serde_json::Value>();
    let answer = stream
        .next()
        .and_then(Result::ok)
        .and_then(|json| resources::decode::from_value::<Answer>(&json).ok());
    let statuses = answer.map(|answer| answer.value.statuses).unwrap_or_default();
    let read = statuses.into_iter().map(|one| {
        let reply = match one.status.as_str() {
            "SUCCESS" => Some(Reply::Success),
            "DROP" => Some(Reply::Drop),
            _ => None,
        };
        (one.entry_id, reply)
    });
    Statuses::Each(read.collect())
}
