//! Paths, normalised once and at the edge.

use std::borrow::Cow;

/// Cleans a raw path as Go's `path.Clean` does, without decoding it: double slashes, `.` and `..` go, and so does a slash
/// at the end. The result begins with a slash.
pub fn clean(raw: &str) -> Cow<'_, str> {
    let dirty = raw.is_empty()
        || !raw.starts_with('/')
        || (raw.len() > 1 && raw.ends_with('/'))
        || raw
            .split('/')
            .skip(1)
            .any(|part| part.is_empty() || part == "." || part == "..")
            && raw.len() > 1;
    if !dirty {
        return Cow::Borrowed(raw);
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in raw.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    let mut out = String::with_capacity(raw.len() + 1);
    for part in &parts {
        out.push('/');
        out.push_str(part);
    }
    if out.is_empty() {
        out.push('/');
    }
    Cow::Owned(out)
}

/// Decodes `%xx` of a path; nothing if an escape is bad or the result is not UTF-8.
pub fn unescape(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('%') {
        return Some(Cow::Borrowed(raw));
    }
    let bytes = raw.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|b| *b == b'%') {
        let escape = bytes.get(at + found + 1..at + found + 3)?;
        if !escape.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        at += found + 3;
    }
    percent_encoding::percent_decode_str(raw).decode_utf8().ok()
}

/// Decodes a query component: `+` is a blank, bad escapes stay as they are.
pub fn unescape_query(raw: &str) -> String {
    let spaced = raw.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_like_go() {
        for (raw, want) in [
            ("/", "/"),
            ("", "/"),
            ("/a/b", "/a/b"),
            ("/a//b/", "/a/b"),
            ("//a/./b/../c", "/a/c"),
            ("/../a", "/a"),
            ("/a/%2e%2e/b", "/a/%2e%2e/b"),
            ("a", "/a"),
        ] {
            assert_eq!(clean(raw), want, "{raw}");
        }
        assert!(matches!(clean("/v1.0/state/a/b"), Cow::Borrowed(_)));
    }

    #[test]
    fn unescapes() {
        assert_eq!(unescape("a%20b").as_deref(), Some("a b"));
        assert_eq!(unescape("a%2Fb").as_deref(), Some("a/b"));
        assert_eq!(unescape("a%2"), None);
        assert_eq!(unescape("a%zz"), None);
        assert_eq!(unescape("%ff"), None);
    }
}
