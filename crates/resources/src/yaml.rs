//! Text to documents: YAML (of which JSON is a part) to trees of JSON values.

use serde_json::Value;
use serde_saphyr::Options;
use serde_saphyr::options::DuplicateKeyPolicy;

/// One document of a text, or why it cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The line it begins at, counted from 1.
    pub line: usize,
    /// What it holds.
    pub content: Result<Value, YamlError>,
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// What the parser says, on one line.
    pub message: String,
}

/// Splits a text at its `---` lines and reads each document by itself, so that one that is broken does not hide the
/// others. Empty documents are left out.
pub fn documents(text: &str) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    split(text)
        .into_iter()
        .flat_map(|(line, part)| read(line, part))
        .collect()
}

fn options() -> Options {
    serde_saphyr::options! {
        legacy_octal_numbers: true,
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    }
}

/// The documents of one part; `...` may end one and begin another.
fn read(line: usize, part: &str) -> Vec<Document> {
    match serde_saphyr::from_multiple_with_options::<Value>(part, options()) {
        Ok(values) => {
            let values = values.into_iter().filter(|value| !value.is_null());
            values
                .map(|value| Document {
                    line,
                    content: Ok(value),
                })
                .collect()
        }
        Err(error) => {
            let message = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            vec![Document {
                line,
                content: Err(YamlError { message }),
            }]
        }
    }
}

/// The parts of a text with the line each begins at. A marker begins its part, so that what follows it on the same line
/// is read, and directives before it stay with it.
fn split(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut offset) = (0, 1, 0);
    let mut has_content = false;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line) && has_content {
            parts.push((start_line, &text[start..offset]));
            (start, start_line, has_content) = (offset, index + 1, false);
        }
        has_content |= is_marker(line) || is_content(line);
        offset += line.len();
    }
    if has_content {
        parts.push((start_line, &text[start..]));
    }
    parts
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn is_content(line: &str) -> bool {
    let trimmed = line.trim();
    !trimmed.is_empty() && !trimmed.starts_with('#') && !line.starts_with('%')
}

#[cfg(test)]
mod tests;
