//! Which headers go where, and under which name.
//!
//! Between sidecars a call carries *metadata*: the headers of an HTTP request, or the metadata of a gRPC request, as they
//! came. What becomes of them is decided where they leave for an application or a caller.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;

/// The application that calls, as other applications see it.
pub(crate) const CALLER_ID: HeaderName = HeaderName::from_static("dapr-caller-app-id");
/// Its namespace.
pub(crate) const CALLER_NAMESPACE: HeaderName = HeaderName::from_static("dapr-caller-namespace");
/// The application that is called.
pub(crate) const CALLEE_ID: HeaderName = HeaderName::from_static("dapr-callee-app-id");
/// The status of an HTTP application, for gRPC callers.
pub(crate) const HTTP_STATUS: HeaderName = HeaderName::from_static("dapr-http-status");
/// What begins the content type of gRPC.
pub(crate) const GRPC: &str = "application/grpc";

/// How a call came to the first sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By HTTP.
    Http,
    /// By gRPC.
    Grpc,
}

impl Origin {
    /// The origin of metadata, which holds the content type of gRPC if they came by gRPC.
    pub(crate) fn of(metadata: &HeaderMap) -> Self {
        match metadata.get(header::CONTENT_TYPE) {
            Some(value) if value.as_bytes().starts_with(GRPC.as_bytes()) => Self::Grpc,
            _ => Self::Http,
        }
    }
}

/// What is between two hosts only, and never goes further.
pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// HTTP headers whose names mean something else to gRPC, or nothing.
fn is_permanent(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "accept-charset"
            | "accept-language"
            | "accept-ranges"
            | "cache-control"
            | "content-type"
            | "content-length"
            | "cookie"
            | "date"
            | "expect"
            | "from"
            | "if-match"
            | "if-modified-since"
            | "if-none-match"
            | "if-schedule-tag-match"
            | "if-unmodified-since"
            | "max-forwards"
            | "origin"
            | "pragma"
            | "referer"
            | "via"
            | "warning"
            | "connection"
            | "keep-alive"
            | "proxy-connection"
            | "upgrade"
    )
}

/// What gRPC itself says in metadata.
fn is_reserved(name: &str) -> bool {
    matches!(
        name,
        "te" | "host"
            | "user-agent"
            | "transfer-encoding"
            | "http2-settings"
            | "grpc-accept-encoding"
            | "grpc-encoding"
            | "grpc-message"
            | "grpc-message-type"
            | "grpc-status"
            | "grpc-status-details-bin"
            | "grpc-timeout"
            | "grpc-trace-bin"
    )
}

/// Whether the caller wants server-sent events and nothing else.
pub(crate) fn accepts_events(metadata: &HeaderMap) -> bool {
    metadata
        .get(header::ACCEPT)
        .is_some_and(|accept| accept == "text/event-stream")
}

type Names = SmallVec<[HeaderName; 8]>;

fn remove(headers: &mut HeaderMap, names: Names) {
    for name in names {
        headers.remove(&name);
    }
}

fn names(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> Names {
    headers.keys().filter(|name| wanted(name.as_str())).cloned().collect()
}

/// The headers that `Connection` names.
fn connection_names(headers: &HeaderMap) -> Names {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect()
}

/// Gives names that begin with `grpc-` the prefix `dapr-`: to HTTP they are nothing special.
fn rename_grpc(headers: &mut HeaderMap) {
    for name in names(headers, |name| name.starts_with("grpc-")) {
        let renamed = HeaderName::from_bytes(format!("dapr-{name}").as_bytes());
        let values: SmallVec<[HeaderValue; 2]> = headers.get_all(&name).iter().cloned().collect();
        headers.remove(&name);
        if let Ok(renamed) = renamed {
            for value in values {
                headers.append(renamed.clone(), value);
            }
        }
    }
}

/// Makes metadata the headers of a request to an HTTP application.
pub(crate) fn to_http_app(metadata: &mut HeaderMap, origin: Origin) {
    if metadata.contains_key(header::CONNECTION) {
        let named = connection_names(metadata);
        remove(metadata, named);
    }
    let grpc = origin == Origin::Grpc;
    let unwanted = |name: &str| {
        is_hop_by_hop(name)
            || matches!(name, "host" | "destination-app-id" | "dapr-app-id" | "grpc-trace-bin")
            || (grpc && (name.ends_with("-bin") || matches!(name, "content-type" | "content-length")))
    };
    let gone = names(metadata, unwanted);
    remove(metadata, gone);
    rename_grpc(metadata);
}

/// Makes metadata those of a request to a gRPC application.
pub(crate) fn to_grpc_app(metadata: &HeaderMap, origin: Origin) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(metadata.len() + 4);
    for (name, value) in metadata {
        let text = name.as_str();
        let dropped = is_reserved(text)
            || matches!(
                text,
                "destination-app-id" | "dapr-app-id" | "traceparent" | "tracestate"
            )
            || (origin == Origin::Grpc
                && (matches!(text, "content-type" | "content-length" | "dapr-authority")
                    || (is_hop_by_hop(text) && text != "trailer")));
        if dropped {
            continue;
        }
        match origin {
            Origin::Http => translated(&mut out, name, value),
            Origin::Grpc => {
                out.append(name, value.clone());
            }
        }
    }
    out
}

/// Appends an HTTP header as gRPC metadata: with a prefix where the name is HTTP's own, in base64 where the name says that
/// the value is binary. What gRPC cannot carry is left out.
fn translated(out: &mut HeaderMap, name: &HeaderName, value: &HeaderValue) {
    let text = name.as_str();
    if text.ends_with("-bin") {
        if let Ok(value) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(value.as_bytes())) {
            out.append(name, value);
        }
        return;
    }
    if value.as_bytes().iter().any(|b| !(0x20..0x7f).contains(b)) {
        return;
    }
    if !is_permanent(text) {
        out.append(name, value.clone());
    } else if let Ok(prefixed) = HeaderName::from_bytes(format!("dapr-{text}").as_bytes()) {
        out.append(prefixed, value.clone());
    }
}

/// Takes out of an HTTP application's answer what is between it and its sidecar only.
pub(crate) fn from_http_app(headers: &mut HeaderMap) {
    let gone = names(headers, is_hop_by_hop);
    remove(headers, gone);
}

/// Makes the headers of an HTTP application's answer, or the metadata of a gRPC application's answer, those of an answer
/// to an HTTP caller.
pub(crate) fn to_http_caller(headers: &mut HeaderMap, origin: Origin) {
    if origin == Origin::Grpc {
        let gone = names(headers, |name| {
            is_hop_by_hop(name) || name.ends_with("-bin") || matches!(name, "content-type" | "content-length")
        });
        remove(headers, gone);
    }
    rename_grpc(headers);
}

/// Makes the headers of an HTTP application's answer metadata for a gRPC caller.
pub(crate) fn to_grpc_caller(headers: &HeaderMap) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        let text = name.as_str();
        if is_reserved(text) || is_hop_by_hop(text) || text == "content-length" {
            continue;
        }
        translated(&mut out, name, value);
    }
    out
}

/// Takes out of the metadata of a gRPC message what is between two hosts only.
pub(crate) fn from_grpc(headers: &mut HeaderMap) {
    let gone = names(headers, |name| {
        (is_reserved(name) && name != "grpc-accept-encoding") || is_hop_by_hop(name) || name == "content-type"
    });
    remove(headers, gone);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut out = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            out.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        out
    }

    #[test]
    fn to_an_http_app() {
        let mut headers = map(&[
            ("connection", "X-Foo, keep-alive"),
            ("x-foo", "bar"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("http2-settings", "x"),
            ("proxy-authorization", "x"),
            ("transfer-encoding", "chunked"),
            ("host", "h"),
            ("destination-app-id", "zz"),
            ("dapr-app-id", "zz"),
            ("grpc-timeout", "5S"),
            ("grpc-foo", "x"),
            ("x-multi", "1"),
            ("x-multi", "2"),
            ("foo-bin", "AAEC"),
            ("content-type", "application/json"),
            ("content-length", "2"),
            ("authorization", "a"),
        ]);
        to_http_app(&mut headers, Origin::Http);
        let want = map(&[
            ("x-multi", "1"),
            ("x-multi", "2"),
            ("foo-bin", "AAEC"),
            ("content-type", "application/json"),
            ("content-length", "2"),
            ("authorization", "a"),
            ("dapr-grpc-timeout", "5S"),
            ("dapr-grpc-foo", "x"),
        ]);
        assert_eq!(headers, want);
    }

    #[test]
    fn from_grpc_to_an_http_app() {
        let mut headers = map(&[
            ("content-type", "application/grpc"),
            ("grpc-accept-encoding", "gzip"),
            ("foo-bin", "AQI"),
            ("user-agent", "grpc"),
            ("x-a", "1"),
        ]);
        assert_eq!(Origin::of(&headers), Origin::Grpc);
        to_http_app(&mut headers, Origin::Grpc);
        let want = map(&[
            ("user-agent", "grpc"),
            ("x-a", "1"),
            ("dapr-grpc-accept-encoding", "gzip"),
        ]);
        assert_eq!(headers, want);
    }

    #[test]
    fn to_a_grpc_app() {
        let headers = map(&[
            ("connection", "X-Foo"),
            ("x-foo", "bar"),
            ("keep-alive", "5"),
            ("te", "trailers"),
            ("grpc-timeout", "5S"),
            ("grpc-foo", "x"),
            ("foo-bin", "AAEC"),
            ("accept", "text/plain"),
            ("authorization", "foo"),
            ("cookie", "a=b"),
            ("content-type", "application/json"),
            ("content-length", "2"),
            ("user-agent", "curl"),
            ("traceparent", "bad"),
            ("range", "v"),
            ("x-umlaut", "\u{e4}"),
        ]);
        let want = map(&[
            ("dapr-connection", "X-Foo"),
            ("x-foo", "bar"),
            ("dapr-keep-alive", "5"),
            ("grpc-foo", "x"),
            ("foo-bin", "QUFFQw"),
            ("dapr-accept", "text/plain"),
            ("authorization", "foo"),
            ("dapr-cookie", "a=b"),
            ("dapr-content-type", "application/json"),
            ("dapr-content-length", "2"),
            ("range", "v"),
        ]);
        assert_eq!(to_grpc_app(&headers, Origin::Http), want);
        let headers = map(&[
            ("content-type", "application/grpc"),
            ("accept", "q"),
            ("foo-bin", "AQI"),
            ("user-agent", "x"),
        ]);
        assert_eq!(
            to_grpc_app(&headers, Origin::Grpc),
            map(&[("accept", "q"), ("foo-bin", "AQI")])
        );
    }

    #[test]
    fn answers() {
        let mut headers = map(&[
            ("connection", "X-Foo"),
            ("x-foo", "bar"),
            ("keep-alive", "5"),
            ("trailer", "x"),
            ("grpc-status", "5"),
            ("grpc-foo", "z"),
            ("foo-bin", "AAEC"),
            ("date", "today"),
            ("content-type", "text/plain"),
            ("content-length", "2"),
        ]);
        from_http_app(&mut headers);
        let metadata = to_grpc_caller(&headers);
        let want = map(&[
            ("x-foo", "bar"),
            ("grpc-foo", "z"),
            ("foo-bin", "QUFFQw"),
            ("dapr-date", "today"),
            ("dapr-content-type", "text/plain"),
        ]);
        assert_eq!(metadata, want);
        to_http_caller(&mut headers, Origin::Http);
        assert_eq!(headers["dapr-grpc-status"], "5");
        assert_eq!(headers["x-foo"], "bar");
        assert!(!headers.contains_key("keep-alive"));
    }
}
