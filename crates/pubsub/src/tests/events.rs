//! CloudEvents: a table of what is published and what becomes of it, and that nothing that is read can hurt.

use crate::cloud_event::{Event, Wrap, from_binary_mode, payload, wrap_raw};
use bytes::Bytes;
use component::Metadata;
use proptest::prelude::*;
use serde_json::{Value, json};

const CE: &str = "application/cloudevents+json";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn wrap(content_type: &str, data: impl AsRef<[u8]>, metadata: &[(&str, &str)]) -> Result<Value, String> {
    wrap_traced("", content_type, data, metadata)
}

fn wrap_traced(
    traceparent: &str,
    content_type: &str,
    data: impl AsRef<[u8]>,
    metadata: &[(&str, &str)],
) -> Result<Value, String> {
    let bytes = envelope(traceparent, content_type, data.as_ref(), metadata)?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{e}: {bytes:?}")))
}

fn envelope(traceparent: &str, content_type: &str, data: &[u8], metadata: &[(&str, &str)]) -> Result<Bytes, String> {
    let metadata: Metadata = metadata
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let wrap = Wrap {
        app_id: "app",
        pubsub: "ps",
        topic: "t",
        content_type,
        traceparent,
        tracestate: "",
        component_expires: false,
    };
    wrap.envelope(data, &metadata)
}

#[test]
fn payloads_take_the_form_of_their_content_type() {
    let table: &[(&str, &[u8], &str, Value)] = &[
        ("", b"{\"a\":1}", "data", json!("{\"a\":1}")),
        ("application/json", b"{\"a\":1}", "data", json!({"a": 1})),
        ("application/json; charset=utf-8", b"[1, 2]", "data", json!([1, 2])),
        ("Application/JSON", b"null", "data", Value::Null),
        ("application/json", b"{\"a\":1} x", "data", json!({"a": 1})),
        ("application/json", b"{\"a", "data", json!("{\"a")),
        ("application/json", b"", "data", json!("")),
        ("application/json", b"\"x\"", "data", json!("x")),
        ("application/json", b"\"\xff\"", "data", json!("\u{fffd}")),
        ("application/vnd.x+json", b"{}", "data", json!("{}")),
        ("application/cloudevents-batch+json", b"[]", "data", json!("[]")),
        ("text/plain", "h\u{e9}\n\"".as_bytes(), "data", json!("h\u{e9}\n\"")),
        ("text/plain", b"\xff<", "data", json!("\u{fffd}<")),
        ("application/octet-stream", b"\xff\x00", "data_base64", json!("/wA=")),
        ("application/octet-stream; x=y", b"", "data_base64", json!("")),
        ("image/png", b"x", "data", json!("x")),
    ];
    for (content_type, data, field, want) in table {
        let event = wrap(content_type, data, &[]).expect("an event");
        assert_eq!(event[*field], *want, "{content_type} {data:?}");
        let shown = if content_type.is_empty() {
            "text/plain"
        } else {
            content_type
        };
        assert_eq!(event["datacontenttype"], *shown);
        assert_eq!(event.get("data").is_some(), *field == "data");
    }
}

#[test]
fn an_envelope_says_where_it_comes_from() {
    let event = wrap("application/json", "1", &[]).expect("an event");
    for (name, want) in [
        ("source", "app"),
        ("type", "com.dapr.event.sent"),
        ("specversion", "1.0"),
        ("topic", "t"),
        ("pubsubname", "ps"),
        ("traceid", ""),
        ("traceparent", ""),
        ("tracestate", ""),
    ] {
        assert_eq!(event[name], want, "{name}");
    }
    assert_eq!(event["id"].as_str().map(str::len), Some(36));
    assert_eq!(event["time"].as_str().map(str::len), Some(20));
    let traced = wrap_traced(PARENT, "text/plain", "", &[]).expect("an event");
    assert_eq!(
        (&traced["traceid"], &traced["traceparent"]),
        (&json!(PARENT), &json!(PARENT))
    );
}

#[test]
fn metadata_override_and_expire() {
    let given = [
        ("CloudEvent.ID", "i"),
        ("cloudevent.source", "s"),
        ("cloudevent.type", "ty"),
        ("cloudevent.subject", "su"),
        ("cloudevent.traceid", "tid"),
        ("cloudevent.tracestate", "ts"),
        ("cloudevent.time", "never"),
        ("cloudevent.\u{e9}", "x"),
        ("ttlinseconds", "100"),
    ];
    let event = wrap_traced(PARENT, "", "x", &given).expect("an event");
    for (name, want) in [
        ("id", "i"),
        ("source", "s"),
        ("type", "ty"),
        ("subject", "su"),
        ("traceid", "tid"),
        ("traceparent", "tid"),
        ("tracestate", "ts"),
    ] {
        assert_eq!(event[name], want, "{name}");
    }
    assert_ne!(event["time"], "never");
    let expiration: jiff::Timestamp = event["expiration"].as_str().expect("text").parse().expect("a time");
    let left = expiration.as_second() - jiff::Timestamp::now().as_second();
    assert!((98..=100).contains(&left), "{left}");
    for bad in ["-1", "x", "", "99999999999999999999"] {
        assert_eq!(
            wrap("", "x", &[("ttlInSeconds", bad)])
                .expect("an event")
                .get("expiration"),
            None,
            "{bad}"
        );
    }
    let now = wrap("", "x", &[("ttlInSeconds", "0")]).expect("an event").to_string();
    assert!(Event::parse(now.as_bytes()).expect("an event").expired().is_some());
}

#[test]
fn cloud_events_are_completed_not_changed() {
    let full = r#"{"specversion":"0.3","id":7,"source":"s","type":"ty","data":{"z":1.0,"a":12345678901234567890},"ext":[1],
        "topic":"other","pubsubname":"op","traceid":"tid","time":"2020-01-01T00:00:00Z"}"#;
    let event = wrap_traced(PARENT, CE, full, &[("cloudevent.id", "no"), ("ttlInSeconds", "5")]).expect("an event");
    assert_eq!(
        (&event["id"], &event["source"], &event["specversion"]),
        (&json!(7), &json!("s"), &json!("0.3"))
    );
    assert_eq!((&event["topic"], &event["pubsubname"]), (&json!("t"), &json!("ps")));
    assert_eq!((&event["traceid"], event.get("traceparent")), (&json!("tid"), None));
    assert_eq!(event["data"].to_string(), r#"{"z":1.0,"a":12345678901234567890}"#);
    assert!(event["expiration"].is_string());
    let empty = wrap_traced(PARENT, CE, "{}", &[]).expect("an event");
    assert_eq!(
        (&empty["source"], &empty["type"]),
        (&json!("Dapr"), &json!("com.dapr.event.sent"))
    );
    assert_eq!(
        (&empty["traceid"], &empty["traceparent"], empty.get("id")),
        (&json!(PARENT), &json!(PARENT), None)
    );
    let twice = wrap(CE, r#"{"id":"a","id":"b","data":1} x"#, &[]).expect("an event");
    assert_eq!(twice["id"], "b");
    let own = wrap_traced(PARENT, CE, r#"{"traceparent":"own"}"#, &[]).expect("an event");
    assert_eq!((&own["traceid"], &own["traceparent"]), (&json!("own"), &json!("own")));
}

#[test]
fn what_is_no_cloud_event_is_told_in_known_words() {
    for (data, want) in [
        ("", "EOF"),
        ("{\"", "unexpected EOF"),
        (
            "[]",
            "json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (
            "\"x\"",
            "json: cannot unmarshal string into Go value of type map[string]interface {}",
        ),
    ] {
        assert_eq!(wrap(CE, data, &[]), Err(want.into()), "{data}");
    }
    assert!(wrap(CE, "null", &[]).is_err());
    assert!(wrap(CE, b"{\"a\":\"\xff\"}", &[]).is_err());
}

fn payload_of(event: &str) -> Result<Bytes, String> {
    let bytes = Bytes::copy_from_slice(event.as_bytes());
    payload(&Event::parse(&bytes).expect("an event"), &bytes)
}

#[test]
fn payloads_over_grpc() {
    for (event, want) in [
        (
            r#"{"datacontenttype":"application/json","data":{"a" : 1}}"#,
            r#"{"a" : 1}"#,
        ),
        (r#"{"datacontenttype":"application/json","data":"x"}"#, r#""x""#),
        (r#"{"datacontenttype":"application/json","data":null}"#, ""),
        (r#"{"datacontenttype":"text/plain","data":"x\ny"}"#, "x\ny"),
        (r#"{"datacontenttype":"application/xml","data":"<a>"}"#, "<a>"),
        (r#"{"datacontenttype":"foo/bar","data":"x"}"#, ""),
        (r#"{"data":"x"}"#, ""),
        (r#"{"data":"x","data_base64":"aGk="}"#, "hi"),
    ] {
        assert_eq!(payload_of(event).expect(event), want, "{event}");
    }
    assert!(payload_of(r#"{"data_base64":"!!"}"#).is_err());
    assert!(payload_of(r#"{"data_base64":5}"#).is_err());
    assert!(payload_of(r#"{"datacontenttype":"text/plain","data":5}"#).is_err());
}

#[test]
fn raw_payloads_and_binary_mode() {
    let raw: Value = serde_json::from_slice(&wrap_raw("ps", "t", b"hello")).expect("JSON");
    assert_eq!(
        (&raw["data_base64"], &raw["source"], &raw["topic"]),
        (&json!("aGVsbG8="), &json!("Dapr"), &json!("t"))
    );
    let metadata: Metadata = [
        ("ce_specversion", "1.0"),
        ("CE_id", "7"),
        ("ce_type", "order"),
        ("ce_topic", "forged"),
        ("content-type", "application/json"),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()))
    .into();
    let bytes = from_binary_mode("ps", "t", None, &metadata, b"{\"a\":1}").expect("an event");
    let event: Value = serde_json::from_slice(&bytes).expect("JSON");
    assert_eq!(
        (&event["id"], &event["type"], &event["topic"]),
        (&json!("7"), &json!("order"), &json!("t"))
    );
    assert_eq!(event["data"], json!({"a": 1}));
    assert!(from_binary_mode("ps", "t", None, &Metadata::new(), b"{}").is_none());
}

proptest! {
    #[test]
    fn reading_never_panics(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = Bytes::from(data.clone());
        if let Ok((event, length)) = Event::parse_measured(&bytes) {
            prop_assert!(length <= bytes.len());
            let _ = (event.expired(), event.text("id"), payload(&event, &bytes));
        }
        for content_type in ["", CE, "application/json", "application/octet-stream"] {
            let _ = envelope("", content_type, &data, &[]);
        }
    }

    #[test]
    fn fields_of_any_type_do_no_harm(
        name in prop::sample::select(vec!["id", "traceid", "traceparent", "expiration", "datacontenttype", "data", "data_base64", "topic"]),
        value in prop::sample::select(vec!["5", "true", "null", "{\"x\":1}", "[]", "\"\\ud800\"", "\"x\"", "1e400", "\"\\u0000\""]),
        data in ".{0,20}",
    ) {
        let text = format!("{{\"{name}\":{value},\"data\":{}}}", json!(data));
        let bytes = Bytes::from(text.clone());
        if let Ok(event) = Event::parse(&bytes) {
            let _ = (event.expired(), event.text(name), payload(&event, &bytes));
        }
        if let Ok(completed) = envelope("", CE, text.as_bytes(), &[("ttlInSeconds", "7")]) {
            let event = Event::parse(&completed).expect("an event");
            prop_assert!(event.text("topic").is_some_and(|topic| topic == "t"));
        }
    }

    #[test]
    fn any_text_survives(text in ".{0,100}") {
        let event = wrap("text/plain", &text, &[("cloudevent.subject", &text)]).expect("an event");
        prop_assert_eq!(event["data"].as_str(), Some(text.as_str()));
        let json = json!({"k": text}).to_string();
        prop_assert_eq!(wrap("application/json", &json, &[]).expect("an event")["data"].to_string(), json);
    }
}
