//! Cross-origin requests from browsers.

use crate::{HttpResponse, request};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// Which origins may call the API.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    any: bool,
    origins: Vec<String>,
}

const METHODS: &[&str] = &["HEAD", "GET", "POST", "PUT", "PATCH", "DELETE"];

impl Cors {
    /// Reads the flag `--allowed-origins`: nothing if it is empty, `*`, or a list with commas.
    pub fn parse(flag: &str) -> Option<Self> {
        let origins: Vec<String> = flag
            .split(',')
            .map(str::trim)
            .filter(|o| !o.is_empty())
            .map(str::to_owned)
            .collect();
        (!origins.is_empty()).then(|| Self {
            any: origins.iter().any(|o| o == "*"),
            origins,
        })
    }

    /// The answer to a preflight request; nothing if the request is none.
    pub fn preflight(&self, method: &Method, headers: &HeaderMap) -> Option<HttpResponse> {
        if method != Method::OPTIONS || !headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = request::status(StatusCode::OK);
        let out = response.headers_mut();
        for name in [
            "Origin",
            "Access-Control-Request-Method",
            "Access-Control-Request-Headers",
        ] {
            out.append(header::VARY, HeaderValue::from_static(name));
        }
        let wanted = headers
            .get(header::ACCESS_CONTROL_REQUEST_METHOD)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        if let Some(origin) = self.allow(headers)
            && METHODS.contains(&wanted)
        {
            out.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            if let Ok(method) = HeaderValue::from_str(wanted) {
                out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, method);
            }
            if let Some(asked) = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
                out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
        }
        Some(response)
    }

    /// Adds to an answer what a browser needs; `origin` is that of the request.
    pub fn decorate(&self, origin: &HeaderMap, headers: &mut HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.allow(origin) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
    }

    /// What the answer says of the request's origin, if that may call.
    fn allow(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        if self.any {
            return Some(HeaderValue::from_static("*"));
        }
        let text = origin.to_str().ok()?;
        self.origins
            .iter()
            .any(|allowed| matches(allowed, text))
            .then(|| origin.clone())
    }
}

/// Whether an origin is the allowed one; one `*` in the latter stands for anything.
fn matches(allowed: &str, origin: &str) -> bool {
    match allowed.split_once('*') {
        None => allowed.eq_ignore_ascii_case(origin),
        Some((start, end)) => {
            origin.len() >= start.len() + end.len() && origin.starts_with(start) && origin.ends_with(end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        assert!(matches("https://a.com", "https://a.com"));
        assert!(matches("https://*.a.com", "https://x.a.com"));
        assert!(!matches("https://*.a.com", "https://a.com"));
        assert!(Cors::parse("").is_none());
        assert!(Cors::parse("a, *").expect("two origins").any);
    }
}
