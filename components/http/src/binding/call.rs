//! One call: its request, and where an answer may send it on to.

use super::{Problem, target::Target};
use bytes::Bytes;
use component::{Metadata, config::Value};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::Full;

/// What is accepted and sent unless the metadata say otherwise.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// How the client names itself.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("outrigger/", env!("CARGO_PKG_VERSION")));

/// Metadata that are sent as headers although they do not begin with a capital, over those that do.
const TRACING: [HeaderName; 3] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// Headers that follow from the connection and the body, and are not taken from metadata.
const OURS: [HeaderName; 4] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TRAILER,
];

/// Headers that only the server that was meant gets to see.
const CONFIDENTIAL: [HeaderName; 4] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
    header::WWW_AUTHENTICATE,
];

/// Headers about a body, which go with it.
const ABOUT_BODY: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
];

/// A request that can be sent again.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    /// A call with the headers that the metadata ask for.
    pub(super) fn new(method: Method, target: Target, body: Bytes, metadata: &Metadata) -> Result<Self, Problem> {
        let has_body = matches!(method, Method::POST | Method::PUT | Method::PATCH);
        let mut headers = HeaderMap::new();
        let mut capital: Vec<_> = metadata
            .iter()
            .filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_uppercase()))
            .collect();
        capital.sort_unstable();
        for (name, value) in capital {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Problem::HeaderName(name.clone()))?;
            if !OURS.contains(&name) {
                headers.insert(name.clone(), header_value(&name, value)?);
            }
        }
        for name in TRACING {
            if let Some(value) = metadata.get(name.as_str()).filter(|value| !value.is_empty()) {
                let value = header_value(&name, value)?;
                headers.insert(name, value);
            }
        }
        headers.entry(header::ACCEPT).or_insert(JSON);
        headers.entry(header::USER_AGENT).or_insert(AGENT);
        if has_body {
            headers.entry(header::CONTENT_TYPE).or_insert(JSON);
        }
        if let Some(user) = target.user() {
            headers.entry(header::AUTHORIZATION).or_insert(user);
        }
        Ok(Self {
            method,
            target,
            headers,
            body: if has_body { body } else { Bytes::new() },
        })
    }

    /// Adds a header that the metadata did not set.
    pub(super) fn add_header(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Problem::HeaderName(name.to_owned()))?;
        let value = header_value(&name, value)?;
        self.headers.entry(name).or_insert(value);
        Ok(())
    }

    pub(super) fn request(&self) -> http::Request<Full<Bytes>> {
        let mut request = http::Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.uri().clone();
        *request.headers_mut() = self.headers.clone();
        request
    }

    /// Whether it may be sent again when nobody knows whether the server got it.
    pub(super) fn is_safe(&self) -> bool {
        matches!(
            self.method,
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE
        )
    }

    /// The call that an answer sends on to, if it does. `token` names a header that is as confidential as authorization.
    pub(super) fn redirected(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        token: Option<&str>,
    ) -> Result<Option<Self>, Problem> {
        let keeps_method = match status.as_u16() {
            301..=303 => matches!(self.method, Method::GET | Method::HEAD),
            307 | 308 => true,
            _ => return Ok(None),
        };
        let Some(location) = headers.get(header::LOCATION) else {
            return Ok(None);
        };
        let location =
            std::str::from_utf8(location.as_bytes()).map_err(|_| Problem::Url("Location is no text".into()))?;
        let mut next = self.clone();
        next.target = self.target.join(location)?;
        if !keeps_method {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.forget(&ABOUT_BODY);
        }
        if !next.target.within(&self.target) {
            next.forget(&CONFIDENTIAL);
            if let Some(token) = token {
                next.headers.remove(token);
            }
        }
        next.headers.remove(header::REFERER);
        if (next.target.is_secure() || !self.target.is_secure())
            && let Ok(referer) = HeaderValue::try_from(self.target.to_string())
        {
            next.headers.insert(header::REFERER, referer);
        }
        Ok(Some(next))
    }

    fn forget(&mut self, names: &[HeaderName]) {
        for name in names {
            self.headers.remove(name);
        }
    }
}

fn header_value(name: &HeaderName, value: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| Problem::HeaderValue(name.to_string()))
}

/// Whether an answer with another status than 2xx is an error: as the metadata say, else as the options do.
pub(super) fn strict(metadata: &Metadata, option: bool) -> bool {
    match metadata.get("errorIfNot2XX") {
        Some(text) => bool::parse(text).unwrap_or(option),
        None => option,
    }
}
