//! Where an answer sends a request, by the rules of Go's HTTP client.

use crate::payload::Payload;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use url::Url;

/// What is to be sent next, and where.
pub(crate) struct Step {
    /// The server: a URL without path and query.
    pub(crate) url: Url,
    /// The request; its target is a path and query.
    pub(crate) request: Request<api::Body>,
}

/// Headers that are not told to another host.
const SECRET: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::WWW_AUTHENTICATE];

/// The next step after an answer; nothing if it is what the caller gets.
pub(crate) fn step(
    from: &str,
    method: &Method,
    headers: &HeaderMap,
    response: &Response<api::Body>,
    body: &Payload,
) -> Option<Step> {
    let (method, with_body) = match response.status() {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => match *method {
            Method::GET | Method::HEAD => (method.clone(), false),
            _ => (Method::GET, false),
        },
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT if body.can_replay() => (method.clone(), true),
        _ => return None,
    };
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let from = Url::parse(from).ok()?;
    let mut to = from.join(location).ok().filter(|to| to.has_host())?;
    let mut headers = headers.clone();
    if !with_body {
        for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_ENCODING] {
            headers.remove(name);
        }
    }
    if !is_within(from.host_str(), to.host_str()) {
        for name in &SECRET {
            headers.remove(name);
        }
    }
    set_referer(&mut headers, &from, &to);
    let target = match to.query() {
        Some(query) => format!("{}?{query}", to.path()),
        None => to.path().to_owned(),
    };
    let target = Uri::try_from(target).ok()?;
    let body = if with_body { body.body() } else { api::body::empty() };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = target;
    *request.headers_mut() = headers;
    to.set_path("");
    to.set_query(None);
    to.set_fragment(None);
    Some(Step { url: to, request })
}

/// Whether a host is the same as another, or below it.
fn is_within(from: Option<&str>, to: Option<&str>) -> bool {
    let (Some(from), Some(to)) = (from, to) else {
        return false;
    };
    from == to || to.strip_suffix(from).is_some_and(|prefix| prefix.ends_with('.'))
}

/// A page behind TLS is not told to one in plain text.
fn set_referer(headers: &mut HeaderMap, from: &Url, to: &Url) {
    if headers.contains_key(header::REFERER) || (from.scheme() == "https" && to.scheme() == "http") {
        return;
    }
    let mut from = from.clone();
    // A URL with a host can have no user.
    let _ok = from.set_username("").and_then(|()| from.set_password(None));
    from.set_fragment(None);
    if let Ok(value) = HeaderValue::from_str(from.as_str()) {
        headers.insert(header::REFERER, value);
    }
}
