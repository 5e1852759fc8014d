//! What is called: the path of a request, normalised once and at the edge.

use crate::{codes, fault::Fault};
use api::path;
use std::{borrow::Cow, fmt::Write};

/// A method as it is sent to other sidecars and applications: cleaned as Go's `path.Clean` does, `..` never leaving the
/// root, with a slash at the beginning only if there was one.
pub(crate) fn normalize(method: &str) -> Result<Cow<'_, str>, Fault> {
    let forbidden = |b: u8| b == b'#' || b == b'?' || b < 0x20 || b == 0x7f;
    if method.bytes().any(forbidden) {
        let text = format!(
            "invalid method: method contains forbidden character: {}",
            quoted(method)
        );
        return Err(Fault::status(codes::INVALID_ARGUMENT, text).for_good());
    }
    if is_clean(method) {
        return Ok(Cow::Borrowed(method));
    }
    let rooted = method.starts_with('/');
    let cleaned = if rooted {
        path::clean(method).into_owned()
    } else {
        path::clean(&format!("/{method}")).into_owned()
    };
    Ok(Cow::Owned(if rooted {
        cleaned
    } else {
        cleaned.trim_start_matches('/').to_owned()
    }))
}

fn is_clean(method: &str) -> bool {
    let relative = method.strip_prefix('/').unwrap_or(method);
    relative.is_empty() || relative.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// A method as the path of a URL, without the slash at its beginning. What is escaped already stays so; an escape that is
/// none is an error, as it is where Go parses URLs.
pub(crate) fn encode<'a>(method: &'a str, base: &dyn Fn() -> String) -> Result<Cow<'a, str>, Fault> {
    let method = method.strip_prefix('/').unwrap_or(method);
    if let Some(escape) = bad_escape(method) {
        let text = format!(
            "parse {}: invalid URL escape {}",
            quoted(&format!("{}/{method}", base())),
            quoted(escape)
        );
        return Err(Fault::text(text).for_good());
    }
    if method.bytes().all(is_valid) {
        return Ok(Cow::Borrowed(method));
    }
    let mut out = String::with_capacity(method.len() + 16);
    for byte in percent_encoding::percent_decode_str(method) {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ok = write!(out, "%{byte:02X}");
        }
    }
    Ok(Cow::Owned(out))
}

/// The first `%` that is not followed by two digits, with what follows.
fn bad_escape(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'%', &bytes[at..]) {
        at += found;
        let digits = bytes.get(at + 1..at + 3);
        if digits.is_none_or(|digits| !digits.iter().all(u8::is_ascii_hexdigit)) {
            let mut end = (at + 3).min(text.len());
            while !text.is_char_boundary(end) {
                end += 1;
            }
            return text.get(at..end);
        }
        at += 3;
    }
    None
}

/// What a path may hold as it is.
fn is_valid(byte: u8) -> bool {
    is_plain(byte) || b"!'()*[]%".contains(&byte)
}

/// What Go leaves as it is when it escapes a path.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte)
}

/// A text in quotes as Go's `%q` has it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        // Writing to a string does not fail.
        let _ok = match c {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\u{7}' => out.write_str("\\a"),
            '\u{8}' => out.write_str("\\b"),
            '\u{c}' => out.write_str("\\f"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            '\u{b}' => out.write_str("\\v"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => write!(out, "\\x{:02x}", c as u32),
            c if c.is_control() => write!(out, "\\u{:04x}", c as u32),
            c => out.write_char(c),
        };
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalizes() {
        for (method, want) in [
            ("", ""),
            ("/", "/"),
            ("a", "a"),
            ("/lead", "/lead"),
            ("a//b", "a/b"),
            ("a/", "a"),
            ("admin/../public", "public"),
            ("admin/../../public", "public"),
            ("/admin/../../public", "/public"),
            ("admin%2F..%2Fpublic", "admin%2F..%2Fpublic"),
            ("a%b", "a%b"),
            (".", ""),
        ] {
            assert_eq!(normalize(method).expect(method), want, "{method}");
        }
        for (method, shown) in [
            ("a#b", r#""a#b""#),
            ("a?b", r#""a?b""#),
            ("a\0b", r#""a\x00b""#),
            ("a\rb", r#""a\rb""#),
            ("a\tb", r#""a\tb""#),
        ] {
            let fault = normalize(method).expect_err(method);
            assert_eq!(
                fault.to_string(),
                format!(
                    "rpc error: code = InvalidArgument desc = invalid method: method contains forbidden character: {shown}"
                )
            );
        }
    }

    #[test]
    fn encodes() {
        let base = || "http://h:1".to_owned();
        for (method, want) in [
            ("", ""),
            ("/a", "a"),
            ("a b", "a%20b"),
            ("a%20b", "a%20b"),
            ("a b/é\"", "a%20b/%C3%A9%22"),
            ("a*b!'()[]", "a*b!'()[]"),
            ("a\\b", "a%5Cb"),
            ("a%2Fb c", "a/b%20c"),
        ] {
            assert_eq!(encode(method, &base).expect(method), want, "{method}");
        }
        for (method, why) in [
            ("a%", r#"parse "http://h:1/a%": invalid URL escape "%""#),
            ("a%b", r#"parse "http://h:1/a%b": invalid URL escape "%b""#),
            (
                "test%stream",
                r#"parse "http://h:1/test%stream": invalid URL escape "%st""#,
            ),
            ("%é", "parse \"http://h:1/%é\": invalid URL escape \"%é\""),
        ] {
            assert_eq!(encode(method, &base).expect_err(method).to_string(), why);
        }
    }
}
