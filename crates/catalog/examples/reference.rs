//! Prints the reference page of all components, as Markdown: `cargo xtask docs` keeps it in `docs/reference/components.md`.

use component::{Entry, Field, Kind, Status};
use std::fmt::Write as _;

fn main() {
    print!("{}", page(catalog::registry().entries()));
}

fn page(entries: &[Entry]) -> String {
    let mut out = String::from(
        "# Components\n\nMade from the code by `cargo xtask docs`; do not edit it.\n\nMetadata are read loosely: names without case, numbers and booleans \
         as text, durations as `1m30s` or as a number. Any field can come from a secret store (`secretKeyRef`) or the environment (`envRef`).\n",
    );
    for kind in Kind::ALL {
        let mut of_kind: Vec<&Entry> = entries.iter().filter(|entry| entry.kind == kind).collect();
        of_kind.sort_by_key(|entry| entry.names[0]);
        for entry in of_kind {
            component(&mut out, entry);
        }
    }
    out
}

fn component(out: &mut String, entry: &Entry) {
    let prefix = if entry.kind == Kind::NameResolution {
        "nameresolution."
    } else {
        entry.kind.prefix()
    };
    let status = match entry.status {
        Status::Stable => "stable",
        Status::Beta => "beta",
        Status::Alpha => "alpha",
    };
    let also: Vec<String> = entry.names[1..]
        .iter()
        .map(|name| format!("`{prefix}{name}`"))
        .collect();
    let _ = write!(
        out,
        "\n## {prefix}{}\n\n{} Versions: {}. {status}.",
        entry.names[0],
        entry.summary,
        entry.versions.join(", ")
    );
    if !also.is_empty() {
        let _ = write!(out, " Also called {}.", also.join(", "));
    }
    match (entry.input, entry.output) {
        (true, true) => out.push_str(" Brings events and takes calls."),
        (true, false) => out.push_str(" Brings events."),
        (false, true) => out.push_str(" Takes calls."),
        (false, false) => {}
    }
    let fields = (entry.fields)();
    if fields.is_empty() {
        out.push_str(" It has no fields.\n");
        return;
    }
    out.push_str("\n\n| Field | Type | Default | What it is for |\n|---|---|---|---|\n");
    for field in &fields {
        row(out, field);
    }
}

fn row(out: &mut String, field: &Field) {
    let mut name = format!("`{}`", field.name);
    for alias in field.aliases {
        let _ = write!(name, ", `{alias}`");
    }
    let default = match (field.required, field.default) {
        (true, _) => "required".to_owned(),
        (false, "") => String::new(),
        (false, default) => format!("`{default}`"),
    };
    let secret = if field.secret { " Secret." } else { "" };
    let _ = writeln!(
        out,
        "| {name} | {} | {default} | {}{secret} |",
        field.kind,
        field.doc.replace('|', "\\|")
    );
}
