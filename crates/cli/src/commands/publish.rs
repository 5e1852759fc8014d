//! `publish`: publishes an event through a sidecar.

use super::{content_type, invoke::NON_ALPHANUMERIC_BUT_MARKS, payload};
use crate::{args, discover::find, messages::Messages};
use anyhow::{Context, Result, bail};
use http::Method;
use percent_encoding::utf8_percent_encode;
use resources::DynamicValue;
use serde_json::{Map, Value};

/// Publishes.
pub(crate) async fn publish(args: &args::Publish, messages: &Messages) -> Result<()> {
    let path = path(&args.pubsub, &args.topic, args.metadata.as_deref())?;
    let body = payload(args.data.as_deref(), args.data_file.as_deref())?;
    let sidecar = find(&args.publish_app_id, args.unix_domain_socket.as_ref()).await?;
    let kind = body.as_deref().map(|body| {
        if is_cloud_event(body) {
            CLOUD_EVENT
        } else {
            content_type(body)
        }
    });
    let answer = sidecar
        .send(Method::POST, &path, kind, body.unwrap_or_default())
        .await?;
    if !answer.status.is_success() {
        let body = String::from_utf8_lossy(&answer.body);
        bail!(
            "error publishing to topic {} of {}: {} {}",
            args.topic,
            args.pubsub,
            answer.status,
            body.trim()
        );
    }
    messages.success("Event published successfully");
    Ok(())
}

const CLOUD_EVENT: &str = "application/cloudevents+json";

/// Whether data is a whole event, with its envelope.
pub(super) fn is_cloud_event(data: &[u8]) -> bool {
    let Ok(Value::Object(fields)) = serde_json::from_slice(data) else {
        return false;
    };
    ["id", "source", "specversion", "type"]
        .iter()
        .all(|name| fields.get(*name).is_some_and(Value::is_string))
}

/// The target of the request; metadata become its query.
pub(super) fn path(pubsub: &str, topic: &str, metadata: Option<&str>) -> Result<String> {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC_BUT_MARKS).to_string();
    let mut path = format!("/v1.0/publish/{}/{}", encoded(pubsub), encoded(topic));
    let Some(metadata) = metadata.filter(|metadata| !metadata.trim().is_empty()) else {
        return Ok(path);
    };
    let metadata: Map<String, Value> =
        serde_json::from_str(metadata).context(r#"--metadata: expected a JSON map such as {"ttlInSeconds":"10"}"#)?;
    for (index, (name, value)) in metadata.into_iter().enumerate() {
        let value = DynamicValue(value);
        path.push(if index == 0 { '?' } else { '&' });
        path.push_str(&format!("metadata.{}={}", encoded(&name), encoded(&value.as_text())));
    }
    Ok(path)
}
