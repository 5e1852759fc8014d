//! What the exporter is made from: the configuration first, then the environment, then defaults.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::super::Environment;
use super::super::export::pairs;

/// How long an export may take when nobody says.
pub(in crate::trace) const TIMEOUT: Duration = Duration::from_secs(10);

/// An OpenTelemetry collector, as the configuration describes it. What is empty may come from the environment.
#[derive(Clone, Debug, Default)]
pub struct OtelOptions {
    /// Host and port, or a URL. Without one, here or in the environment, nothing is exported.
    pub endpoint: String,
    /// `grpc` or `http`.
    pub protocol: String,
    /// TLS; unless anything says otherwise, yes.
    pub is_secure: Option<bool>,
    /// `key=value`, each maybe several separated by commas. If there is any, those of the environment are not sent.
    pub headers: Vec<String>,
    /// How long an export may take.
    pub timeout: Option<Duration>,
}

/// Tracing cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An endpoint is no address.
    #[error("invalid tracing endpoint {0:?}")]
    Endpoint(String),
    /// A protocol that is neither gRPC nor HTTP.
    #[error("invalid protocol {0:?} for the OpenTelemetry collector: use grpc or http")]
    Protocol(String),
    /// A header that HTTP does not allow.
    #[error("invalid header {0:?} for the OpenTelemetry collector")]
    Header(String),
    /// TLS cannot be set up.
    #[error("TLS for the tracing endpoint: {0}")]
    Tls(#[from] rustls::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Grpc,
    Http,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Config {
    pub(super) protocol: Protocol,
    pub(super) uri: Uri,
    pub(super) secure: bool,
    pub(super) headers: HeaderMap,
    pub(super) timeout: Duration,
}

impl Config {
    /// The effective configuration, or none without an endpoint.
    pub(super) fn resolve(options: &OtelOptions, environment: Environment<'_>) -> Result<Option<Config>, ConfigError> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let either = |name: &str| {
            variable(&format!("OTEL_EXPORTER_OTLP_TRACES_{name}"))
                .or_else(|| variable(&format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let Some(endpoint) = endpoint(options, &variable) else {
            return Ok(None);
        };
        let protocol = protocol(
            &given(&options.protocol)
                .or_else(|| either("PROTOCOL"))
                .unwrap_or_default(),
        )?;
        let insecure = either("INSECURE").map(|value| value.eq_ignore_ascii_case("true"));
        let secure = options.is_secure.or(insecure.map(|insecure| !insecure)).unwrap_or(true);
        let (uri, secure) = uri(&endpoint, protocol, secure)?;
        let headers = if options.headers.is_empty() {
            either("HEADERS").into_iter().flat_map(|value| pairs(&value)).collect()
        } else {
            options
                .headers
                .iter()
                .flat_map(|value| pairs(value))
                .collect::<Vec<_>>()
        };
        let from_environment = || Some(Duration::from_millis(either("TIMEOUT")?.trim().parse().ok()?));
        let timeout = options
            .timeout
            .filter(|timeout| !timeout.is_zero())
            .or_else(from_environment);
        Ok(Some(Config {
            protocol,
            uri,
            secure,
            headers: header_map(&headers)?,
            timeout: timeout.unwrap_or(TIMEOUT),
        }))
    }
}

struct Endpoint {
    address: String,
    /// A URL for traces alone, which is used as it is.
    exact: bool,
}

fn endpoint(options: &OtelOptions, variable: &dyn Fn(&str) -> Option<String>) -> Option<Endpoint> {
    let general = || given(&options.endpoint).or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
    match (given(&options.endpoint), variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")) {
        (None, Some(address)) => Some(Endpoint { address, exact: true }),
        _ => general().map(|address| Endpoint { address, exact: false }),
    }
}

fn given(text: &str) -> Option<String> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn protocol(name: &str) -> Result<Protocol, ConfigError> {
    match name {
        "grpc" => Ok(Protocol::Grpc),
        "http" | "http/protobuf" | "http/json" | "" => Ok(Protocol::Http),
        other => Err(ConfigError::Protocol(other.to_owned())),
    }
}

/// The URI to send to, and whether over TLS: a scheme in the endpoint decides before the flag.
fn uri(endpoint: &Endpoint, protocol: Protocol, secure: bool) -> Result<(Uri, bool), ConfigError> {
    let (secure, rest) = match endpoint.address.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some((_, rest)) => (secure, rest),
        None => (secure, endpoint.address.as_str()),
    };
    let (authority, path) = match rest.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (rest, String::new()),
    };
    let path = match protocol {
        Protocol::Grpc => "/opentelemetry.proto.collector.trace.v1.TraceService/Export".to_owned(),
        Protocol::Http if endpoint.exact || path.ends_with("/v1/traces") => path,
        Protocol::Http => format!("{}/v1/traces", path.trim_end_matches('/')),
    };
    let path = if path.is_empty() { "/".to_owned() } else { path };
    let scheme = if secure { "https" } else { "http" };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(path)
        .build();
    Ok((
        uri.map_err(|_| ConfigError::Endpoint(endpoint.address.clone()))?,
        secure,
    ))
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, ConfigError> {
    let mut map = HeaderMap::new();
    for (key, value) in headers {
        let bad = || ConfigError::Header(key.clone());
        let name = HeaderName::try_from(key.as_str()).map_err(|_| bad())?;
        map.insert(name, HeaderValue::from_str(value).map_err(|_| bad())?);
    }
    Ok(map)
}
