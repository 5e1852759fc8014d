//! One line of the log, as bytes. Pure: the time and the fields are given.

use std::fmt::{Display, Write};

use jiff::Zoned;

/// Fields that every line of a program has.
#[derive(Clone, Debug, Default)]
pub(super) struct Common {
    pub(super) app_id: String,
    pub(super) instance: String,
    pub(super) version: String,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// A number or a flag, in the form that text and JSON share.
    Plain(String),
}

/// What one event says.
#[derive(Clone, Debug, Default)]
pub(super) struct Event {
    pub(super) level: &'static str,
    pub(super) scope: String,
    pub(super) message: String,
    /// Fields of this event alone. A field of the same name as a common one takes its place.
    pub(super) fields: Vec<(&'static str, Value)>,
}

/// `time="…" level=info msg="…"`, then the other fields in alphabetical order.
pub(super) fn text(out: &mut String, time: &Zoned, common: &Common, event: &Event) {
    out.push_str("time=\"");
    push_time(out, time);
    out.push_str("\" level=");
    out.push_str(event.level);
    out.push_str(" msg=");
    push_text(out, &event.message);
    for (key, value) in fields(common, event) {
        let _ = write!(out, " {key}=");
        match value {
            Field::Text(text) => push_text(out, text),
            Field::Plain(plain) => out.push_str(plain),
        }
    }
    out.push('\n');
}

/// A JSON object with its keys in alphabetical order.
pub(super) fn json(out: &mut String, time: &Zoned, common: &Common, event: &Event) {
    let mut stamp = String::new();
    push_time(&mut stamp, time);
    let mut all = fields(common, event);
    let head = [
        ("level", event.level),
        ("msg", event.message.as_str()),
        ("time", stamp.as_str()),
    ];
    all.extend(head.map(|(key, text)| (key, Field::Text(text))));
    all.sort_by_key(|(key, _)| *key);
    for (at, (key, value)) in all.iter().enumerate() {
        out.push(if at == 0 { '{' } else { ',' });
        push_json(out, key);
        out.push(':');
        match value {
            Field::Text(text) => push_json(out, text),
            Field::Plain(plain) => out.push_str(plain),
        }
    }
    out.push_str("}\n");
}

enum Field<'a> {
    Text(&'a str),
    Plain(&'a str),
}

fn fields<'a>(common: &'a Common, event: &'a Event) -> Vec<(&'a str, Field<'a>)> {
    let mut all: Vec<(&str, Field<'_>)> = Vec::with_capacity(event.fields.len() + 8);
    all.extend(event.fields.iter().map(|(key, value)| match value {
        Value::Text(text) => (*key, Field::Text(text.as_str())),
        Value::Plain(plain) => (*key, Field::Plain(plain.as_str())),
    }));
    let shared = [
        ("app_id", common.app_id.as_str()),
        ("instance", common.instance.as_str()),
        ("scope", event.scope.as_str()),
        ("type", "log"),
        ("ver", common.version.as_str()),
    ];
    for (key, text) in shared {
        let wanted = key != "app_id" || !text.is_empty();
        if wanted && !event.fields.iter().any(|(own, _)| *own == key) {
            all.push((key, Field::Text(text)));
        }
    }
    all.sort_by_key(|(key, _)| *key);
    all
}

/// RFC 3339 with as many digits of the second as are not zero.
fn push_time(out: &mut String, time: &Zoned) {
    let _ = write!(out, "{}", time.strftime("%Y-%m-%dT%H:%M:%S"));
    let nanoseconds = time.subsec_nanosecond();
    if nanoseconds > 0 {
        let digits = format!("{nanoseconds:09}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    }
    let offset = time.offset().seconds();
    if offset == 0 {
        return out.push('Z');
    }
    let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs() / 60);
    let _ = write!(out, "{sign}{:02}:{:02}", minutes / 60, minutes % 60);
}

fn push_text(out: &mut String, text: &str) {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '/' | '@' | '^' | '+');
    if text.chars().all(bare) {
        out.push_str(text)
    } else {
        push_quoted(out, text)
    }
}

/// Go's `%q`: C escapes, `\x..` and `\u....` for what does not print.
pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0c' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0b' => out.push_str("\\v"),
            c if prints(c) => out.push(c),
            c => push_escape(out, u32::from(c)),
        }
    }
    out.push('"');
}

fn push_escape(out: &mut String, code: u32) {
    let _ = match code {
        0..0x80 => write!(out, "\\x{code:02x}"),
        0x80..0x1_0000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// Whether Go takes a character for one that prints: of all white space, only the plain blank does. Rust's own escaping
/// knows the same Unicode tables, but spares combining marks only behind another character.
fn prints(c: char) -> bool {
    if c.is_ascii() || c.is_control() || c.is_whitespace() {
        return matches!(c, ' '..='~');
    }
    let pair: String = ['a', c].iter().collect();
    pair.escape_debug().count() == 2
}

fn push_json(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // Go escapes what could end a script in HTML, and two line ends that JavaScript did not take
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Something that has only its printed form.
pub(super) fn printed(value: impl Display) -> Value {
    Value::Plain(value.to_string())
}
