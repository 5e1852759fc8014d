//! Whom a request calls.

use crate::fault::Fault;
use api::path;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, header};
use std::borrow::Cow;

/// The header, and the gRPC metadata, that names the application to call.
pub(crate) const APP_ID: HeaderName = HeaderName::from_static("dapr-app-id");

/// Whom an HTTP request calls, and what, still escaped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    pub(crate) id: Cow<'a, str>,
    pub(crate) method: Cow<'a, str>,
}

/// Finds whom an HTTP request calls: by header, by the user of basic authentication, or by its path; nothing if it names
/// nobody. `raw` is its path as it was sent.
pub(crate) fn find<'a>(raw: &'a str, headers: &HeaderMap) -> Option<Named<'a>> {
    let cleaned = path::clean(raw);
    if let Some(id) = from_headers(headers) {
        let method = match cleaned {
            Cow::Borrowed(path) => Cow::Borrowed(path.strip_prefix('/').unwrap_or(path)),
            Cow::Owned(path) => Cow::Owned(path.trim_start_matches('/').to_owned()),
        };
        return Some(Named { id: id.into(), method });
    }
    match cleaned {
        Cow::Borrowed(path) => {
            let (id, method) = split(path, raw)?;
            Some(Named {
                id: address(id)?,
                method: Cow::Borrowed(method),
            })
        }
        Cow::Owned(path) => {
            let (id, method) = split(&path, raw)?;
            Some(Named {
                id: address(id)?.into_owned().into(),
                method: method.to_owned().into(),
            })
        }
    }
}

fn from_headers(headers: &HeaderMap) -> Option<String> {
    if let Some(id) = headers.get(&APP_ID).and_then(|v| v.to_str().ok())
        && !id.is_empty()
    {
        return Some(id.to_owned());
    }
    let credentials = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (user, id) = pair.split_once(':')?;
    // More than one colon is a URL, which has another form.
    (user == APP_ID.as_str() && !id.contains(':')).then(|| id.to_owned())
}

/// `/v1.0/invoke/<id>/method/<method>`; the method may be empty, but not missing.
fn split<'a>(path: &'a str, raw: &str) -> Option<(&'a str, &'a str)> {
    let rest = path.strip_prefix("/v1.0/invoke/")?;
    match rest.split_once("/method/") {
        Some((id, method)) => Some((id, method)),
        None if raw.ends_with('/') => Some((rest.strip_suffix("/method")?, "")),
        None => None,
    }
    .filter(|(id, _)| !id.is_empty())
}

/// An id as it was meant: unescaped, and a URL with the slash back that cleaning the path took from it.
fn address(id: &str) -> Option<Cow<'_, str>> {
    let id = path::unescape(id)?;
    for scheme in ["http:/", "https:/"] {
        if let Some(rest) = id.strip_prefix(scheme)
            && !rest.starts_with('/')
        {
            return Some(Cow::Owned(format!("{scheme}/{rest}")));
        }
    }
    Some(id)
}

/// Whether an id is a URL.
pub(crate) fn is_url(id: &str) -> bool {
    id.starts_with("http://") || id.starts_with("https://")
}

/// An application: its id and its namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AppId<'a> {
    pub(crate) id: &'a str,
    pub(crate) namespace: &'a str,
}

/// Reads `app` or `app.namespace`.
pub(crate) fn parse<'a>(id: &'a str, own_namespace: &'a str) -> Result<AppId<'a>, Fault> {
    let mut parts = id.split('.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(""), None, None) => Err(Fault::text("app id is empty").for_good()),
        (Some(id), None, None) => Ok(AppId {
            id,
            namespace: own_namespace,
        }),
        (Some(id), Some(namespace), None) => Ok(AppId { id, namespace }),
        _ => Err(Fault::text(format!("invalid app id {id}")).for_good()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (HeaderName::from_static(k), v.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn finds_by_path() {
        let found = |raw| find(raw, &HeaderMap::new()).map(|named| (named.id.into_owned(), named.method.into_owned()));
        for (raw, id, method) in [
            ("/v1.0/invoke/app/method/foo", "app", "foo"),
            ("/v1.0/invoke/app/method/", "app", ""),
            ("/v1.0////invoke/app/method/foo", "app", "foo"),
            ("/v1.0//invoke//app//method//foo", "app", "foo"),
            ("/v1.0/invoke/app/method/x/method/y", "app", "x/method/y"),
            ("/v1.0/invoke/a%70p/method/a%2Fb", "app", "a%2Fb"),
            ("/v1.0/invoke/app/method/public%23../../admin", "app", "admin"),
            ("/v1.0/invoke/http://h:1/method/x", "http://h:1", "x"),
            ("/v1.0/invoke/http:/h:1/method/x", "http://h:1", "x"),
            ("/v1.0/invoke/https%3A%2F%2Fh:1%2Fa/method/x", "https://h:1/a", "x"),
            ("/v1.0/invoke/app.ns/method/x", "app.ns", "x"),
        ] {
            assert_eq!(found(raw), Some((id.into(), method.into())), "{raw}");
        }
        for raw in [
            "/foo",
            "/",
            "/v1.0/invoke/app",
            "/v1.0/invoke/app/method",
            "/v1.0/invoke//method/foo",
            "/v1.0/invoke/%zz/method/foo",
        ] {
            assert_eq!(found(raw), None, "{raw}");
        }
    }

    #[test]
    fn finds_by_header() {
        let by_id = headers(&[("dapr-app-id", "app")]);
        let named = find("///p//q", &by_id).expect("a target");
        assert_eq!((&*named.id, &*named.method), ("app", "p/q"));
        let named = find("/v1.0/invoke/other/method/q", &by_id).expect("a target");
        assert_eq!((&*named.id, &*named.method), ("app", "v1.0/invoke/other/method/q"));
        let by_user = headers(&[("authorization", "Basic ZGFwci1hcHAtaWQ6Y2FsbGVl")]);
        let named = find("/p", &by_user).expect("a target");
        assert_eq!((&*named.id, &*named.method), ("callee", "p"));
        assert_eq!(find("/p", &headers(&[("authorization", "Basic !")])), None);
    }

    #[test]
    fn parses_ids() {
        let ok = |id, namespace| Ok::<_, String>(AppId { id, namespace });
        let parsed = |text| parse(text, "own").map_err(|fault| fault.to_string());
        assert_eq!(parsed("a"), ok("a", "own"));
        assert_eq!(parsed("a.b"), ok("a", "b"));
        assert_eq!(parsed(""), Err("app id is empty".into()));
        assert_eq!(parsed("a.b.c"), Err("invalid app id a.b.c".into()));
    }
}
