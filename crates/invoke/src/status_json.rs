//! What went wrong at a gRPC application, as JSON for HTTP callers: `google.rpc.Status` as Protocol Buffers write it.

use crate::{call::GrpcAnswer, local::status_with};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use prost::Message;
use serde_json::{Map, Value, json};
use tonic_types::{ErrorDetail, StatusExt};
use wire::google::protobuf::Any;

/// The status of an answer.
pub(crate) fn encode(answer: &GrpcAnswer) -> Vec<u8> {
    let mut out = Map::new();
    if answer.code != 0 {
        out.insert("code".into(), answer.code.into());
    }
    if !answer.message.is_empty() {
        out.insert("message".into(), answer.message.as_str().into());
    }
    let details: Vec<Value> = answer.details.iter().filter_map(|any| detail(any, answer)).collect();
    if !details.is_empty() {
        out.insert("details".into(), details.into());
    }
    serde_json::to_vec(&Value::Object(out)).unwrap_or_default()
}

/// A detail: those that everybody knows by their fields, others as their bytes.
fn detail(any: &Bytes, answer: &GrpcAnswer) -> Option<Value> {
    let one = std::slice::from_ref(any);
    let bytes = status_with(answer.code, &answer.message, one);
    let status = tonic::Status::with_details(answer.code.into(), "", bytes.into());
    let known = status.get_error_details_vec().into_iter().next();
    let any = Any::decode(any.clone()).ok()?;
    let mut fields = match known {
        Some(known) => known_fields(&known),
        None => json!({ "value": STANDARD.encode(&any.value) }),
    };
    let fields = fields.as_object_mut()?;
    fields.retain(|_, value| !is_default(value));
    let mut out = Map::new();
    out.insert("@type".into(), any.type_url.into());
    out.append(fields);
    Some(Value::Object(out))
}

/// What is as it is by default is not written.
fn is_default(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn objects<T>(items: &[T], f: impl Fn(&T) -> Value) -> Value {
    let object = |item| {
        let mut object = f(item);
        if let Some(fields) = object.as_object_mut() {
            fields.retain(|_, value| !is_default(value));
        }
        object
    };
    items.iter().map(object).collect()
}

fn known_fields(detail: &ErrorDetail) -> Value {
    match detail {
        ErrorDetail::RetryInfo(d) => {
            let delay = d.retry_delay.map(|delay| format!("{}s", delay.as_secs_f64()));
            json!({ "retryDelay": delay })
        }
        ErrorDetail::DebugInfo(d) => json!({ "stackEntries": d.stack_entries, "detail": d.detail }),
        ErrorDetail::QuotaFailure(d) => json!({
            "violations": objects(&d.violations, |v| json!({ "subject": v.subject, "description": v.description })),
        }),
        ErrorDetail::ErrorInfo(d) => json!({ "reason": d.reason, "domain": d.domain, "metadata": d.metadata }),
        ErrorDetail::PreconditionFailure(d) => json!({
            "violations": objects(&d.violations, |v| {
                json!({ "type": v.r#type, "subject": v.subject, "description": v.description })
            }),
        }),
        ErrorDetail::BadRequest(d) => json!({
            "fieldViolations": objects(&d.field_violations, |v| {
                json!({ "field": v.field, "description": v.description })
            }),
        }),
        ErrorDetail::RequestInfo(d) => json!({ "requestId": d.request_id, "servingData": d.serving_data }),
        ErrorDetail::ResourceInfo(d) => json!({
            "resourceType": d.resource_type, "resourceName": d.resource_name,
            "owner": d.owner, "description": d.description,
        }),
        ErrorDetail::Help(d) => json!({
            "links": objects(&d.links, |v| json!({ "description": v.description, "url": v.url })),
        }),
        ErrorDetail::LocalizedMessage(d) => json!({ "locale": d.locale, "message": d.message }),
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &GrpcAnswer) -> String {
        String::from_utf8(encode(answer)).expect("text")
    }

    #[test]
    fn encodes() {
        let mut answer = GrpcAnswer {
            code: 5,
            message: "with details".into(),
            ..GrpcAnswer::default()
        };
        assert_eq!(text(&answer), r#"{"code":5,"message":"with details"}"#);
        let info = tonic_types::pb::ErrorInfo {
            reason: "R".into(),
            domain: "D".into(),
            metadata: [("a".to_owned(), "b".to_owned())].into(),
        };
        let known = Any {
            type_url: "type.googleapis.com/google.rpc.ErrorInfo".into(),
            value: info.encode_to_vec(),
        };
        let unknown = Any {
            type_url: "type.googleapis.com/x.Y".into(),
            value: vec![1, 2],
        };
        answer.details = vec![known.encode_to_vec().into(), unknown.encode_to_vec().into()];
        let want = concat!(
            r#"{"code":5,"message":"with details","details":["#,
            r#"{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R","domain":"D","metadata":{"a":"b"}},"#,
            r#"{"@type":"type.googleapis.com/x.Y","value":"AQI="}]}"#
        );
        assert_eq!(text(&answer), want);
    }
}
