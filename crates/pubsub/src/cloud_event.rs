//! CloudEvents: wrapping what is published, and reading what brokers deliver.
//!
//! An envelope is JSON text. It is written around the payload's bytes, and read as names with the text of their values, so
//! that a payload is neither parsed into a tree nor written anew on its way.

use crate::content::{self, BINARY, TEXT};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use component::Metadata;
use serde::{
    Deserialize,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use smallvec::SmallVec;
use std::{borrow::Cow, fmt};

const SPEC_VERSION: &str = "1.0";
const TYPE: &str = "com.dapr.event.sent";
/// The type of the envelope of a bulk.
pub(crate) const BULK_TYPE: &str = "com.dapr.event.sent.bulk";
/// The source of events that name none.
const SOURCE: &str = "Dapr";

/// Attributes of a CloudEvent with the text of their values, in their order, borrowed from the event.
pub(crate) struct Event<'a> {
    fields: SmallVec<[(Cow<'a, str>, &'a RawValue); 16]>,
}

impl<'a> Event<'a> {
    /// Reads the JSON object that `bytes` begins with; what follows it is not looked at. The error is in Go's words where
    /// clients know those.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        Self::parse_measured(bytes).map(|(event, _)| event)
    }

    /// The same, with the length of the object.
    pub(crate) fn parse_measured(bytes: &'a [u8]) -> Result<(Self, usize), String> {
        let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<Self>();
        match stream.next() {
            Some(Ok(event)) => Ok((event, stream.byte_offset())),
            None => Err("EOF".into()),
            Some(Err(error)) if error.is_eof() => Err("unexpected EOF".into()),
            Some(Err(error)) => Err(go_mismatch(bytes).unwrap_or_else(|| error.to_string())),
        }
    }

    /// An attribute's value as JSON text; of several the last.
    pub(crate) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.fields
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value)
    }

    /// An attribute's value, if it is text.
    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        text(self.raw(name)?)
    }

    /// All attributes, in their order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.fields.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Since when the event is not to be delivered any more, if that has passed.
    pub(crate) fn expired(&self) -> Option<String> {
        let text = self.text("expiration")?;
        let at: jiff::Timestamp = text.parse().ok()?;
        (at <= jiff::Timestamp::now()).then(|| text.into_owned())
    }
}

/// What Go says of a value that is no object.
fn go_mismatch(bytes: &[u8]) -> Option<String> {
    let kind = match bytes.iter().find(|b| !b.is_ascii_whitespace())? {
        b'[' => "array",
        b'"' => "string",
        b't' | b'f' => "bool",
        b'0'..=b'9' | b'-' => "number",
        _ => return None,
    };
    Some(format!(
        "json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"
    ))
}

/// A value as text, if it is text.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    let json = value.get();
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(json).ok().map(Cow::Owned)
}

impl<'de> Deserialize<'de> for Event<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Event<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event<'de>, A::Error> {
                let mut fields = SmallVec::new();
                while let Some(Name(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Event { fields })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A name, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Cow<'de, str>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
                Ok(Cow::Borrowed(text))
            }

            fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
        }
        deserializer.deserialize_str(Text).map(Name)
    }
}

/// What an envelope says besides its payload.
#[derive(Default)]
pub(crate) struct Wrap<'a> {
    /// The application's id, the source of its events.
    pub(crate) app_id: &'a str,
    /// The component.
    pub(crate) pubsub: &'a str,
    /// The topic.
    pub(crate) topic: &'a str,
    /// The content type of the payload; empty for none.
    pub(crate) content_type: &'a str,
    /// `traceparent` of the request; empty without a trace.
    pub(crate) traceparent: &'a str,
    /// `tracestate` of the request; empty if there is none.
    pub(crate) tracestate: &'a str,
    /// Whether the component lets messages expire by itself.
    pub(crate) component_expires: bool,
}

impl Wrap<'_> {
    /// The envelope of a payload: the payload itself if it is a CloudEvent already, completed; else one around it. The error
    /// tells why what should be a CloudEvent is none.
    pub(crate) fn envelope(&self, data: &[u8], metadata: &Metadata) -> Result<Bytes, String> {
        if content::is_cloud_event(self.content_type) {
            return self.complete(data, metadata);
        }
        Ok(self.around(data, metadata))
    }

    fn expiration(&self, metadata: &Metadata) -> Option<String> {
        if self.component_expires || metadata.is_empty() {
            return None;
        }
        let seconds: u32 = content::value(metadata, "ttlInSeconds")?.parse().ok()?;
        let span = jiff::SignedDuration::from_secs(i64::from(seconds));
        let at = jiff::Timestamp::now().checked_add(span).ok()?;
        jiff::Timestamp::from_second(at.as_second())
            .ok()
            .map(|at| at.to_string())
    }

    fn around(&self, data: &[u8], metadata: &Metadata) -> Bytes {
        let given = Overrides::new(metadata);
        let content_type = if self.content_type.is_empty() {
            TEXT
        } else {
            self.content_type
        };
        let mut out = Object::with_capacity(data.len() + data.len() / 4 + 512);
        write_data(&mut out, content_type, data);
        out.text("datacontenttype", content_type);
        if let Some(expiration) = self.expiration(metadata) {
            out.text("expiration", &expiration);
        }
        match given.id {
            Some(id) => out.text("id", id),
            None => out.text(
                "id",
                uuid::Uuid::new_v4()
                    .hyphenated()
                    .encode_lower(&mut uuid::Uuid::encode_buffer()),
            ),
        }
        out.text("pubsubname", self.pubsub);
        let source = if self.app_id.is_empty() { SOURCE } else { self.app_id };
        out.text("source", given.source.unwrap_or(source));
        out.text("specversion", SPEC_VERSION);
        if let Some(subject) = given.subject {
            out.text("subject", subject);
        }
        out.text("time", &now());
        out.text("topic", self.topic);
        let traceparent = given.traceparent.or(given.traceid).unwrap_or(self.traceparent);
        out.text("traceid", traceparent);
        out.text("traceparent", traceparent);
        out.text("tracestate", given.tracestate.unwrap_or(self.tracestate));
        out.text("type", given.r#type.unwrap_or(TYPE));
        out.finish()
    }

    /// A CloudEvent with what it lacks. Where it came from and what it is, once said, stays; where it goes is set.
    fn complete(&self, data: &[u8], metadata: &Metadata) -> Result<Bytes, String> {
        let event = Event::parse(data)?;
        let expiration = self.expiration(metadata);
        let mut out = Object::with_capacity(data.len() + 384);
        let replaced =
            |name: &str| matches!(name, "topic" | "pubsubname") || (name == "expiration" && expiration.is_some());
        for (at, (name, value)) in event.fields.iter().enumerate() {
            let again = event.fields[at + 1..].iter().any(|(later, _)| later == name);
            if !again && !replaced(name) {
                out.raw(name, value.get().as_bytes());
            }
        }
        let lacks = |name: &str| event.raw(name).is_none();
        for (name, value) in [("source", SOURCE), ("specversion", SPEC_VERSION), ("type", TYPE)] {
            if lacks(name) {
                out.text(name, value);
            }
        }
        if let Some(expiration) = &expiration {
            out.text("expiration", expiration);
        }
        if lacks("time") {
            out.text("time", &now());
        }
        out.text("topic", self.topic);
        out.text("pubsubname", self.pubsub);
        if lacks("traceid") {
            let own = event.text("traceparent");
            out.text("traceid", own.as_deref().unwrap_or(self.traceparent));
            if lacks("traceparent") {
                out.text("traceparent", self.traceparent);
            }
        }
        if lacks("tracestate") {
            out.text("tracestate", self.tracestate);
        }
        Ok(out.finish())
    }
}

/// What a publisher says in the metadata about the envelope.
#[derive(Default)]
struct Overrides<'a> {
    id: Option<&'a str>,
    source: Option<&'a str>,
    r#type: Option<&'a str>,
    subject: Option<&'a str>,
    traceid: Option<&'a str>,
    traceparent: Option<&'a str>,
    tracestate: Option<&'a str>,
}

impl<'a> Overrides<'a> {
    fn new(metadata: &'a Metadata) -> Self {
        let mut all = Self::default();
        for (key, value) in metadata {
            let prefix = "cloudevent.";
            if value.is_empty()
                || !key
                    .get(..prefix.len())
                    .is_some_and(|start| start.eq_ignore_ascii_case(prefix))
            {
                continue;
            }
            let slot = match key[prefix.len()..].to_ascii_lowercase().as_str() {
                "id" => &mut all.id,
                "source" => &mut all.source,
                "type" => &mut all.r#type,
                "subject" => &mut all.subject,
                "traceid" => &mut all.traceid,
                "traceparent" => &mut all.traceparent,
                "tracestate" => &mut all.tracestate,
                _ => continue,
            };
            *slot = Some(value);
        }
        all
    }
}

fn now() -> String {
    let second = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(second).unwrap_or_default().to_string()
}

/// Writes the payload as its content type wants it: a JSON value, text, or bytes in base64. What says that it is JSON and is
/// not becomes text.
fn write_data(out: &mut Object, content_type: &str, data: &[u8]) {
    if content::is_binary(content_type) {
        return out.base64("data_base64", data);
    }
    let text = String::from_utf8_lossy(data);
    match content::is_json(content_type).then(|| first_json(&text)).flatten() {
        Some(json) => out.raw("data", json.as_bytes()),
        None => out.text("data", &text),
    }
}

/// The JSON value that `data` begins with, if it does.
fn first_json(data: &str) -> Option<&str> {
    let mut stream = serde_json::Deserializer::from_str(data).into_iter::<&RawValue>();
    stream.next()?.ok().map(RawValue::get)
}

/// The envelope of a payload that was published without one.
pub(crate) fn wrap_raw(pubsub: &str, topic: &str, data: &[u8]) -> Bytes {
    let mut out = Object::with_capacity(data.len() * 4 / 3 + 256);
    out.base64("data_base64", data);
    out.text("datacontenttype", BINARY);
    out.text(
        "id",
        uuid::Uuid::new_v4()
            .hyphenated()
            .encode_lower(&mut uuid::Uuid::encode_buffer()),
    );
    out.text("pubsubname", pubsub);
    out.text("source", SOURCE);
    out.text("specversion", SPEC_VERSION);
    out.text("topic", topic);
    out.text("type", TYPE);
    out.finish()
}

/// The envelope of a CloudEvent in binary mode: its attributes are the metadata `ce_*`, its data the message. Nothing if the
/// metadata do not make one.
pub(crate) fn from_binary_mode(
    pubsub: &str,
    topic: &str,
    content_type: Option<&str>,
    metadata: &Metadata,
    data: &[u8],
) -> Option<Bytes> {
    let attribute = |key: &str| -> Option<String> {
        let name = key
            .get(..3)
            .filter(|start| start.eq_ignore_ascii_case("ce_"))
            .map(|_| &key[3..])?;
        (!name.is_empty()).then(|| name.to_ascii_lowercase())
    };
    if metadata.is_empty()
        || !["ce_specversion", "ce_id"]
            .iter()
            .all(|name| content::value(metadata, name).is_some())
    {
        return None;
    }
    let content_type = content_type
        .or_else(|| content::value(metadata, "content-type"))
        .unwrap_or(TEXT);
    let mut out = Object::with_capacity(data.len() + 512);
    write_data(&mut out, content_type, data);
    out.text("datacontenttype", content_type);
    let mut names: Vec<(String, &String)> = metadata
        .iter()
        .filter_map(|(key, value)| Some((attribute(key)?, value)))
        .collect();
    names.sort();
    names.dedup_by(|a, b| a.0 == b.0);
    for (name, value) in names {
        if !matches!(
            name.as_str(),
            "data" | "data_base64" | "datacontenttype" | "topic" | "pubsubname"
        ) {
            out.text(&name, value);
        }
    }
    out.text("pubsubname", pubsub);
    out.text("topic", topic);
    Some(out.finish())
}

/// A JSON object while it is written.
pub(crate) struct Object {
    out: Vec<u8>,
}

impl Object {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
        }
    }

    fn name(&mut self, name: &str) {
        self.out.push(if self.out.is_empty() { b'{' } else { b',' });
        string(&mut self.out, name);
        self.out.push(b':');
    }

    /// Adds text.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        string(&mut self.out, value);
    }

    /// Adds a value that is JSON.
    pub(crate) fn raw(&mut self, name: &str, json: &[u8]) {
        self.name(name);
        self.out.extend_from_slice(json);
    }

    /// Adds bytes in base64.
    pub(crate) fn base64(&mut self, name: &str, data: &[u8]) {
        self.name(name);
        base64_string(&mut self.out, data);
    }

    /// The object.
    pub(crate) fn finish(mut self) -> Bytes {
        if self.out.is_empty() {
            self.out.push(b'{');
        }
        self.out.push(b'}');
        self.out.into()
    }
}

/// Appends text as a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing into memory does not fail.
        let _written = serde_json::to_writer(out, text);
    }
}

/// Appends bytes as a JSON string in base64.
pub(crate) fn base64_string(out: &mut Vec<u8>, data: &[u8]) {
    out.push(b'"');
    let begin = out.len();
    out.resize(begin + data.len().div_ceil(3) * 4, 0);
    let written = BASE64.encode_slice(data, &mut out[begin..]).unwrap_or(0);
    out.truncate(begin + written);
    out.push(b'"');
}

/// The payload of an event as an application gets it over gRPC. Nothing where neither content type nor form say what it is.
pub(crate) fn payload(event: &Event<'_>, bytes: &Bytes) -> Result<Bytes, String> {
    if let Some(encoded) = event.raw("data_base64") {
        let encoded = text(encoded).ok_or("unexpected data type encountered in envelope")?;
        return BASE64
            .decode(encoded.as_bytes())
            .map(Bytes::from)
            .map_err(|e| e.to_string());
    }
    let Some(data) = event.raw("data").filter(|data| data.get() != "null") else {
        return Ok(Bytes::new());
    };
    let content_type = event.text("datacontenttype").unwrap_or_default();
    if content::is_json(&content_type) {
        return Ok(bytes.slice_ref(data.get().as_bytes()));
    }
    if !content::is_text(&content_type) {
        return Ok(Bytes::new());
    }
    match text(data) {
        Some(Cow::Borrowed(text)) => Ok(bytes.slice_ref(text.as_bytes())),
        Some(Cow::Owned(text)) => Ok(text.into_bytes().into()),
        None => Err("unexpected data type encountered in envelope".into()),
    }
}
