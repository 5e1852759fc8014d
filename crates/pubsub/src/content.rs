//! Content types, as far as CloudEvents tell them apart; and what brokers' metadata say in Go's words.

/// The content type of a CloudEvent in JSON.
pub(crate) const CLOUD_EVENT: &str = "application/cloudevents+json";
/// The content type of bytes.
pub(crate) const BINARY: &str = "application/octet-stream";
/// The content type of what has none.
pub(crate) const TEXT: &str = "text/plain";

/// A content type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Whether it is a CloudEvent in JSON.
pub(crate) fn is_cloud_event(content_type: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case(CLOUD_EVENT)
}

/// Whether `data` is a JSON value.
pub(crate) fn is_json(content_type: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case("application/json") || is_cloud_event(content_type)
}

/// Whether the data are bytes, which CloudEvents have in `data_base64`.
pub(crate) fn is_binary(content_type: &str) -> bool {
    essence(content_type).eq_ignore_ascii_case(BINARY)
}

/// Whether `data` is text that an application gets as it is.
pub(crate) fn is_text(content_type: &str) -> bool {
    let essence = essence(content_type);
    let prefix = essence
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("text/"));
    prefix || essence.eq_ignore_ascii_case("application/xml")
}

/// A boolean as Go reads it.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The metadata key that turns wrapping off.
pub(crate) const RAW: &str = "rawPayload";

/// Whether metadata ask for payloads that are not wrapped; the error is a value that is no boolean.
pub(crate) fn is_raw(metadata: &component::Metadata) -> Result<bool, String> {
    match metadata.get(RAW).map(String::as_str) {
        None | Some("") => Ok(false),
        Some(text) => {
            parse_bool(text).ok_or_else(|| format!("{RAW} value must be a valid boolean: actual is '{text}'"))
        }
    }
}

/// The value of a metadata key in any case.
pub(crate) fn value<'a>(metadata: &'a component::Metadata, name: &str) -> Option<&'a str> {
    if let Some(value) = metadata.get(name) {
        return Some(value);
    }
    let found = metadata.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}
