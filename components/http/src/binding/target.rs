//! Where a call goes.

use super::Problem;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderValue, Uri, uri::Scheme};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use std::fmt;

/// What cannot stand in a URL as it is. What is encoded already stays so.
const NOT_IN_URLS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A URL, and who calls it.
#[derive(Debug, Clone)]
pub(super) struct Target {
    uri: Uri,
    user: Option<HeaderValue>,
}

impl Target {
    /// A URL and, if there is one, what is put behind it.
    pub(super) fn new(url: &str, path: Option<&str>) -> Result<Self, Problem> {
        let text = match path.filter(|path| !path.is_empty()) {
            Some(path) => format!("{}/{}", url.trim_end_matches('/'), path.trim_start_matches('/')),
            None => url.to_owned(),
        };
        let text = text.split('#').next().unwrap_or_default();
        let encoded = utf8_percent_encode(text, NOT_IN_URLS).to_string();
        let uri: Uri = encoded.parse().map_err(|error| Problem::Url(format!("{error}")))?;
        let mut parts = uri.into_parts();
        if !matches!(parts.scheme.as_ref().map(Scheme::as_str), Some("http" | "https")) {
            let scheme = parts.scheme.as_ref().map(Scheme::as_str).unwrap_or_default();
            return Err(Problem::Url(format!("unsupported protocol scheme {scheme:?}")));
        }
        let authority = parts.authority.as_ref().map(ToString::to_string).unwrap_or_default();
        let mut user = None;
        if let Some((name, host)) = authority.rsplit_once('@') {
            user = basic(name);
            parts.authority = Some(host.parse().map_err(|error| Problem::Url(format!("{error}")))?);
        }
        let uri = Uri::from_parts(parts).map_err(|error| Problem::Url(error.to_string()))?;
        match uri.host() {
            Some(host) if !host.is_empty() => Ok(Self { uri, user }),
            _ => Err(Problem::Url("no host".into())),
        }
    }

    /// The target that a location given by this one means.
    pub(super) fn join(&self, location: &str) -> Result<Self, Problem> {
        let wrong = |error| Problem::Url(format!("Location {location:?}: {error}"));
        let base = url::Url::parse(&self.to_string()).map_err(wrong)?;
        Self::new(base.join(location).map_err(wrong)?.as_str(), None)
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// The credentials in the URL, as a header.
    pub(super) fn user(&self) -> Option<HeaderValue> {
        self.user.clone()
    }

    pub(super) fn is_secure(&self) -> bool {
        self.uri.scheme() == Some(&Scheme::HTTPS)
    }

    /// Whether it is on the other's host or one below it.
    pub(super) fn within(&self, other: &Self) -> bool {
        let host = |target: &Self| target.uri.host().unwrap_or_default().to_ascii_lowercase();
        let (mine, theirs) = (host(self), host(other));
        let is_name = mine.parse::<std::net::IpAddr>().is_err() && !mine.starts_with('[');
        mine == theirs || (is_name && mine.ends_with(&format!(".{theirs}")))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uri.fmt(f)
    }
}

/// Basic authentication for `name:password` as it stands in a URL.
fn basic(user: &str) -> Option<HeaderValue> {
    let decode = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let pair = [decode(name), decode(password)].join(&b':');
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}
