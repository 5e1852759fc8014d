//! The Prometheus text format, version 0.0.4.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use super::cell::{Cell, HistogramCell};
use super::view::{Kind, View};

/// The answer to one scrape, while it is put together: families by name, each with its lines.
#[derive(Default)]
pub struct Exposition {
    families: BTreeMap<String, Family>,
}

struct Family {
    kind: &'static str,
    help: &'static str,
    /// The labels of each series, for the order, and its lines.
    series: Vec<(String, String)>,
}

impl Exposition {
    /// Adds a gauge without labels.
    pub fn gauge(&mut self, name: &str, help: &'static str, value: f64) {
        self.number(name, "gauge", help, value);
    }

    /// Adds a counter without labels.
    pub fn counter(&mut self, name: &str, help: &'static str, value: f64) {
        self.number(name, "counter", help, value);
    }

    fn number(&mut self, name: &str, kind: &'static str, help: &'static str, value: f64) {
        let mut line = String::from(name);
        push_value(&mut line, value);
        self.family(name.to_owned(), kind, help)
            .series
            .push((String::new(), line));
    }

    pub(super) fn series(&mut self, view: &View, common: &[(&'static str, String)], values: &[&str], cell: &Cell) {
        let labels = labels(view, if view.raw { &[] } else { common }, values);
        let kind = match view.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let name = view.exposed_name();
        let lines = match cell {
            Cell::Counter(value) => number_line(&name, &labels, value.load(Relaxed) as f64),
            Cell::Gauge(value) => number_line(&name, &labels, value.load(Relaxed) as f64),
            Cell::Histogram(histogram) => histogram_lines(&name, &labels, histogram),
        };
        self.family(name, kind, view.help).series.push((labels, lines));
    }

    fn family(&mut self, name: String, kind: &'static str, help: &'static str) -> &mut Family {
        self.families.entry(name).or_insert_with(|| Family {
            kind,
            help,
            series: Vec::new(),
        })
    }

    pub(super) fn finish(self) -> String {
        let mut out = String::new();
        for (name, mut family) in self.families {
            let _ = writeln!(out, "# HELP {name} {}", escape_help(family.help));
            let _ = writeln!(out, "# TYPE {name} {}", family.kind);
            family.series.sort_unstable();
            for (_, lines) in &family.series {
                out.push_str(lines);
            }
        }
        out
    }
}

/// `key="value",…` with the keys in alphabetical order.
fn labels(view: &View, common: &[(&'static str, String)], values: &[&str]) -> String {
    let own = view.labels.iter().copied().zip(values.iter().copied());
    let mut pairs: Vec<(&str, &str)> = own
        .chain(common.iter().map(|(key, value)| (*key, value.as_str())))
        .collect();
    pairs.sort_unstable();
    let mut out = String::new();
    for (key, value) in pairs {
        if !out.is_empty() {
            out.push(',');
        }
        out.push_str(key);
        out.push_str("=\"");
        push_escaped(&mut out, value);
        out.push('"');
    }
    out
}

fn number_line(name: &str, labels: &str, value: f64) -> String {
    let mut line = String::from(name);
    if !labels.is_empty() {
        let _ = write!(line, "{{{labels}}}");
    }
    push_value(&mut line, value);
    line
}

fn histogram_lines(name: &str, labels: &str, histogram: &HistogramCell) -> String {
    let mut out = String::new();
    let comma = if labels.is_empty() { "" } else { "," };
    let mut total = 0u64;
    for (at, count) in histogram.counts.iter().enumerate() {
        total += count.load(Relaxed);
        let _ = write!(out, "{name}_bucket{{{labels}{comma}le=\"");
        push_float(&mut out, histogram.bounds.get(at).copied().unwrap_or(f64::INFINITY));
        out.push_str("\"}");
        push_value(&mut out, total as f64);
    }
    out.push_str(&number_line(&format!("{name}_sum"), labels, histogram.sum()));
    out.push_str(&number_line(&format!("{name}_count"), labels, total as f64));
    out
}

fn push_value(line: &mut String, value: f64) {
    line.push(' ');
    push_float(line, value);
    line.push('\n');
}

/// A float as Go prints it with the fewest digits: with an exponent (of two digits at least) from 1e6 on and below 1e-4.
pub(crate) fn push_float(out: &mut String, value: f64) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0. { "+Inf" } else { "-Inf" });
    }
    if value == 0. {
        return out.push('0');
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return out.push_str(&scientific);
    };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        let _ = write!(out, "{value}");
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{sign}{:02}", exponent.abs());
    }
}

fn push_escaped(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

fn escape_help(help: &str) -> String {
    help.replace('\\', "\\\\").replace('\n', "\\n")
}
