//! Results as columns, JSON or YAML.

use anyhow::{Context, Result};
use serde::Serialize;

/// How a list is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Columns.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Rows under headings.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new(headings: &[&'static str]) -> Self {
        Self {
            headings: headings.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; it has as many cells as there are headings.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        debug_assert_eq!(N, self.headings.len());
        self.rows.push(cells.map(one_line).into());
    }

    /// The table as text: columns two spaces apart, no spaces at the end of a line.
    pub(crate) fn render(&self) -> String {
        let mut widths: Vec<usize> = self.headings.iter().map(|heading| width(heading)).collect();
        for row in &self.rows {
            for (most, cell) in widths.iter_mut().zip(row) {
                *most = width(cell).max(*most);
            }
        }
        let mut text = String::new();
        let headings: Vec<String> = self.headings.iter().map(|heading| (*heading).to_owned()).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let mut line = String::new();
            for (cell, most) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.push_str(&" ".repeat(most + 2 - width(cell)));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// A cell must not break the table's lines.
fn one_line(cell: String) -> String {
    if cell.contains(['\n', '\r', '\t']) {
        cell.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        cell
    }
}

/// Text of at most `most` characters; of a longer one the end is replaced by dots.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(3)).collect();
    format!("{kept}...")
}

/// Values as JSON or YAML; `None` if a table is wanted.
pub(crate) fn structured<T: Serialize>(values: &T, format: Format) -> Result<Option<String>> {
    match format {
        Format::Table => Ok(None),
        Format::Json => {
            let text = serde_json::to_string_pretty(values).context("write JSON")?;
            Ok(Some(text + "\n"))
        }
        Format::Yaml => {
            let text = serde_saphyr::to_string(values).context("write YAML")?;
            Ok(Some(if text.ends_with('\n') { text } else { text + "\n" }))
        }
    }
}

#[cfg(test)]
mod tests;
