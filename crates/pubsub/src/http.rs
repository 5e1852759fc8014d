//! Publishing over HTTP.

use crate::{
    PubSub,
    cloud_event::{Event, text},
    content,
    error::Error,
    publish,
};
use api::{
    ApiError, HttpRequest, HttpResponse,
    request::{ErrorCode, json_content, no_content},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use component::Metadata;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use wire::runtime::v1::{BulkPublishRequest, BulkPublishRequestEntry};

pub(crate) async fn publish(block: &PubSub, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let metadata = request.query_metadata();
    // What the path says is looked at before the body is.
    publish::find(&request.cx.snapshot, request.param("pubsub"), request.param("topic"))?;
    let data = request.bytes().await.map_err(|e| Error::Body { why: e.to_string() })?;
    let content_type = request.header("content-type").unwrap_or_default();
    let message = publish::request(
        request.param("pubsub"),
        request.param("topic"),
        content_type,
        data,
        metadata,
    );
    block.publish(&request.cx, message).await?;
    Ok(no_content())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failures<'a> {
    failed_entries: Vec<Failure<'a>>,
    error_code: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Failure<'a> {
    entry_id: &'a str,
    error: &'a str,
}

pub(crate) async fn bulk_publish(block: &PubSub, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let metadata = request.query_metadata();
    let (pubsub, topic) = (request.param("pubsub").to_owned(), request.param("topic").to_owned());
    publish::find(&request.cx.snapshot, &pubsub, &topic)?;
    let body = request.bytes().await.map_err(|e| Error::Body { why: e.to_string() })?;
    let app = request.cx.info().app_id.clone();
    let entries = read_entries(&body).map_err(|wrong| match wrong {
        Wrong::Body(why) => Error::UnmarshalEvents {
            pubsub: pubsub.clone(),
            topic: topic.clone(),
            app,
            why,
        },
        Wrong::Event(why) => Error::MarshalEnvelope {
            pubsub: pubsub.clone(),
            topic: topic.clone(),
            app,
            why,
        },
    })?;
    let message = BulkPublishRequest {
        pubsub_name: pubsub.clone(),
        topic: topic.clone(),
        entries,
        metadata,
    };
    let failed = block.bulk(&request.cx, message).await?;
    if failed.is_empty() {
        return Ok(no_content());
    }
    let code = Error::Publish {
        pubsub,
        topic,
        why: String::new(),
    }
    .code();
    let failures = failed.iter().map(|(entry_id, error)| Failure { entry_id, error });
    let body = Failures {
        failed_entries: failures.collect(),
        error_code: code.code,
    };
    let mut response = json_content(StatusCode::INTERNAL_SERVER_ERROR, &body);
    response.extensions_mut().insert(ErrorCode(code));
    Ok(response)
}

/// What is wrong with the body of a bulk.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// It cannot be read.
    Body(String),
    /// An event does not fit its content type.
    Event(String),
}

/// The entries of a bulk, in Go's words where they cannot be read.
pub(crate) fn read_entries(body: &Bytes) -> Result<Vec<BulkPublishRequestEntry>, Wrong> {
    let list: &RawValue = first(body).map_err(Wrong::Body)?;
    let entries: Option<Vec<Event<'_>>> =
        serde_json::from_str(list.get()).map_err(|e| Wrong::Body(mismatch(list.get(), &e)))?;
    entries
        .unwrap_or_default()
        .iter()
        .map(|entry| read_entry(body, entry))
        .collect()
}

/// The JSON value that a body begins with.
fn first(body: &[u8]) -> Result<&RawValue, String> {
    let mut stream = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
    match stream.next() {
        Some(Ok(value)) => Ok(value),
        None => Err("EOF".into()),
        Some(Err(error)) if error.is_eof() => Err("unexpected EOF".into()),
        Some(Err(error)) => Err(error.to_string()),
    }
}

fn mismatch(json: &str, error: &serde_json::Error) -> String {
    let kind = kind(json);
    if kind == "array" {
        return error.to_string();
    }
    format!("json: cannot unmarshal {kind} into Go value of type []http.bulkPublishMessageEntry")
}

/// What Go calls a kind of JSON value.
fn kind(json: &str) -> &'static str {
    match json.bytes().next() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        _ => "number",
    }
}

fn read_entry(body: &Bytes, entry: &Event<'_>) -> Result<BulkPublishRequestEntry, Wrong> {
    let field = |name: &str| {
        let found = entry
            .fields()
            .filter(|(key, value)| key.eq_ignore_ascii_case(name) && value.get() != "null");
        found.last().map(|(_, value)| value)
    };
    let string = |name: &str| -> Result<String, Wrong> {
        let Some(value) = field(name) else {
            return Ok(String::new());
        };
        let wrong = || {
            let kind = kind(value.get());
            Wrong::Body(format!(
                "json: cannot unmarshal {kind} into Go struct field bulkPublishMessageEntry.{name} of type string"
            ))
        };
        text(value).map(Into::into).ok_or_else(wrong)
    };
    let content_type = string("contentType")?;
    let event = match field("event") {
        Some(event) => event_bytes(body, event, &content_type).map_err(Wrong::Event)?,
        None if content::is_json(&content_type) => Bytes::from_static(b"null"),
        None => return Err(Wrong::Event(MISMATCH.into())),
    };
    let metadata = field("metadata").map_or_else(|| Ok(Metadata::new()), read_metadata)?;
    Ok(BulkPublishRequestEntry {
        entry_id: string("entryId")?,
        event,
        content_type,
        metadata,
    })
}

fn read_metadata(value: &RawValue) -> Result<Metadata, Wrong> {
    let wrong = |json: &str| {
        let kind = kind(json);
        Wrong::Body(format!(
            "json: cannot unmarshal {kind} into Go struct field bulkPublishMessageEntry.metadata of type string"
        ))
    };
    let object = Event::parse(value.get().as_bytes()).map_err(Wrong::Body)?;
    let pairs = object.fields().map(|(name, value)| {
        let value = text(value).ok_or_else(|| wrong(value.get()))?;
        Ok((name.to_owned(), value.into_owned()))
    });
    pairs.collect()
}

const MISMATCH: &str = "error: mismatch between contentType and event";

/// An event's bytes, by its content type: JSON stays as it is, text loses its quotes, bytes come in base64.
fn event_bytes(body: &Bytes, event: &RawValue, content_type: &str) -> Result<Bytes, String> {
    if content::is_json(content_type) {
        return Ok(body.slice_ref(event.get().as_bytes()));
    }
    let text = text(event).ok_or(MISMATCH)?;
    if content::is_binary(content_type) {
        return BASE64.decode(text.as_bytes()).map(Bytes::from).map_err(|error| {
            let at = match error {
                base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => at,
                _ => text.len(),
            };
            // The text is the original's, with its slip.
            format!(
                "error: unable to decode base64 application/octect-stream data: illegal base64 data at input byte {at}"
            )
        });
    }
    if !content::is_text(content_type) {
        return Err(MISMATCH.into());
    }
    Ok(text.into_owned().into_bytes().into())
}
