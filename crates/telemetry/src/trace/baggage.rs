//! The `baggage` header: checked, and passed on as it came.

/// A `baggage` header that is not well formed. Answered with 400 over HTTP, InvalidArgument over gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid baggage header: {0}")]
pub struct Invalid(&'static str);

const MAX_BYTES: usize = 8192;
const MAX_MEMBERS: usize = 180;

/// Checks a `baggage` header: members `key=value;property`, separated by commas.
///
/// ```
/// assert!(telemetry::trace::baggage::validate("key1=value1,key2=value2").is_ok());
/// assert!(telemetry::trace::baggage::validate("invalid-baggage").is_err());
/// ```
pub fn validate(header: &str) -> Result<(), Invalid> {
    if header.len() > MAX_BYTES {
        return Err(Invalid("too long"));
    }
    if header.split(',').count() > MAX_MEMBERS {
        return Err(Invalid("too many members"));
    }
    header.split(',').try_for_each(member)
}

fn member(member: &str) -> Result<(), Invalid> {
    let mut parts = member.split(';');
    let pair = parts.next().unwrap_or_default();
    let (key, value) = pair.split_once('=').ok_or(Invalid("a member is no key=value"))?;
    check(key, Some(value))?;
    parts.try_for_each(|property| match property.split_once('=') {
        Some((key, value)) => check(key, Some(value)),
        None => check(property, None),
    })
}

fn check(key: &str, value: Option<&str>) -> Result<(), Invalid> {
    if !is_token(key.trim_matches([' ', '\t'])) {
        return Err(Invalid("a key holds what a key must not"));
    }
    match value.map(|value| value.trim_matches([' ', '\t'])) {
        Some(value) if !is_value(value) => Err(Invalid("a value holds what must be percent-encoded")),
        _ => Ok(()),
    }
}

fn is_token(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_value(value: &str) -> bool {
    let allowed = |b: u8| matches!(b, b'!' | b'#'..=b'+' | b'-'..=b':' | b'<'..=b'[' | b']'..=b'~');
    value.bytes().all(allowed) && escapes_are_whole(value)
}

fn escapes_are_whole(value: &str) -> bool {
    value.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2).unwrap_or_default();
        digits.len() == 2 && digits.iter().all(u8::is_ascii_hexdigit)
    })
}
