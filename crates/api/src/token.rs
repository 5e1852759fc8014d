//! The API token that callers must show.

use http::{HeaderMap, HeaderName};

/// The header, and the gRPC metadata, that carries the token.
pub const HEADER: HeaderName = HeaderName::from_static("dapr-api-token");

/// The token that is required from callers, if any.
#[derive(Clone, Default)]
pub struct ApiToken(Option<String>);

impl ApiToken {
    /// Requires `token`; an empty one means that none is required.
    pub fn new(token: Option<String>) -> Self {
        Self(token.filter(|token| !token.is_empty()))
    }

    /// Whether a caller with these headers may pass. The token is taken out of them, so that it goes no further.
    pub fn admits(&self, headers: &mut HeaderMap) -> bool {
        let Some(wanted) = &self.0 else { return true };
        let shown = headers.remove(HEADER);
        let shown = shown.as_ref().map_or(&b""[..], |value| value.as_bytes());
        same(wanted.as_bytes(), shown)
    }
}

/// Compares in a time that depends on the lengths alone.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (x, y)| differ | (x ^ y)) == 0
}
