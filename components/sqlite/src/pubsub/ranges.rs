//! Sets of message numbers as short texts: `3-5,9`.

use std::fmt::Write;

/// Writes numbers, which must be in ascending order.
pub(super) fn write(numbers: impl IntoIterator<Item = i64>) -> String {
    let mut text = String::new();
    let mut numbers = numbers.into_iter().peekable();
    while let Some(first) = numbers.next() {
        let mut last = first;
        while let Some(next) = numbers.next_if(|next| last.checked_add(1) == Some(*next)) {
            last = next;
        }
        if !text.is_empty() {
            text.push(',');
        }
        // Writing to a string does not fail.
        let _ = if first == last {
            write!(text, "{first}")
        } else {
            write!(text, "{first}-{last}")
        };
    }
    text
}

/// Reads what [`write`] wrote; what is not of that form is left out.
pub(super) fn read(text: &str) -> Vec<i64> {
    let ranges = text.split(',').filter_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<i64>().ok()?..=last.parse::<i64>().ok()?)
    });
    ranges.flatten().collect()
}
