//! The shape of the tree, checked: what may depend on what, how long files and functions may be, what manifests may say.
//!
//! The edges are those of ARCHITECTURE.md: they point downwards only.

use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Crates by level, from the top. A crate may depend on crates of lower levels, not on its own or higher ones.
const LEVELS: &[&[&str]] = &[
    &["outrigger"],
    &["daprd", "cli"],
    &["blocks", "pubsub", "invoke"],
    &["api", "app"],
    &["runtime"],
    &["outgoing", "service", "client"],
    &["resources", "telemetry"],
    &["catalog"],
    &[
        "component-http",
        "component-local",
        "component-mdns",
        "component-pluggable",
        "component-redis",
        "component-sqlite",
    ],
    &["component", "wire"],
    &["component-macros"],
];

/// Pairs that may not be, although their levels would let them: who may not know whom, and why.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("component", "wire", "a component's contract has no wire messages"),
    ("blocks", "catalog", "blocks do not know which components there are"),
    ("pubsub", "catalog", "blocks do not know which components there are"),
    ("invoke", "catalog", "blocks do not know which components there are"),
    ("cli", "daprd", "the command line starts the sidecar as a process"),
    ("resources", "component", "resources are pure"),
    ("telemetry", "resources", "telemetry knows nothing of resources"),
];

/// Only `component-pluggable` may see the wire among the families.
const WIRE_FAMILIES: &[&str] = &["component-pluggable"];

/// Third-party crates that only some of ours may name, and who.
const KEPT: &[(&str, &[&str])] = &[
    ("tonic-prost-build", &["wire"]),
    ("protox", &["wire"]),
    ("matchit", &["api"]),
    ("redis", &["component-redis"]),
    ("rusqlite", &["component-sqlite"]),
    ("mimalloc", &["outrigger"]),
];

const FILE_WARN: usize = 500;
const FILE_MOST: usize = 800;
const FUNCTION_MOST: usize = 120;
const NAMES_BARRED: &[&str] = &["common", "core", "utils", "util", "helpers", "misc"];

pub(crate) fn check() -> Result<()> {
    let mut wrong = Vec::new();
    let mut crates = 0;
    for manifest in manifests()? {
        crates += 1;
        manifest_rules(&manifest, &mut wrong)?;
    }
    unused(&manifests()?, &mut wrong)?;
    let mut long = Vec::new();
    for file in sources(Path::new("."))? {
        source_rules(&file, &mut wrong, &mut long)?;
    }
    println!("tidy: {crates} crates; {} files of over {FILE_WARN} lines", long.len());
    for file in long {
        println!("  {file}");
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        bail!("tidy:\n  {}", wrong.join("\n  "))
    }
}

fn manifests() -> Result<Vec<PathBuf>> {
    let mut out = vec![PathBuf::from("xtask/Cargo.toml")];
    for folder in ["crates", "components"] {
        for entry in fs::read_dir(folder).with_context(|| folder.to_owned())? {
            let manifest = entry?.path().join("Cargo.toml");
            if manifest.is_file() {
                out.push(manifest);
            }
        }
    }
    out.sort();
    Ok(out)
}

fn level(name: &str) -> Option<usize> {
    LEVELS.iter().position(|level| level.contains(&name))
}

/// The dependencies that a manifest names, with the section they stand in.
fn dependencies(text: &str) -> Vec<(String, String)> {
    let (mut section, mut out) = (String::new(), Vec::new());
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name.to_owned();
        } else if section.ends_with("dependencies")
            && let Some((name, _)) = line.split_once(['.', '=', ' '])
            && !line.starts_with('#')
        {
            out.push((section.clone(), name.to_owned()));
        }
    }
    out
}

fn manifest_rules(manifest: &Path, wrong: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(manifest)?;
    let at = manifest.display();
    let name = text
        .lines()
        .find_map(|l| l.strip_prefix("name = \"")?.strip_suffix('"'))
        .unwrap_or_default()
        .to_owned();
    if NAMES_BARRED.contains(&name.as_str()) {
        wrong.push(format!("{at}: no crate is called {name}: a name says what is in it"));
    }
    if !text.contains("[lints]\nworkspace = true") {
        wrong.push(format!("{at}: [lints] workspace = true is missing"));
    }
    for line in text
        .lines()
        .filter(|l| l.contains("version = \"") && !l.starts_with("version"))
    {
        wrong.push(format!("{at}: versions stand in the workspace's manifest only: {line}"));
    }
    for line in text
        .lines()
        .filter(|l| l.contains("features = [") && l.contains("workspace = true") && !l.contains("optional"))
    {
        wrong.push(format!("{at}: features stand in the workspace's manifest only: {line}"));
    }
    if name == "xtask" {
        return Ok(());
    }
    let Some(own) = level(&name) else {
        wrong.push(format!(
            "{at}: {name} stands on no level; see LEVELS in xtask/src/tidy.rs"
        ));
        return Ok(());
    };
    for (section, dependency) in dependencies(&text) {
        edge(&name, own, &section, &dependency, wrong);
    }
    Ok(())
}

/// Dependencies that a manifest names and no source of that crate does, and those that only the workspace names.
fn unused(manifests: &[PathBuf], wrong: &mut Vec<String>) -> Result<()> {
    let mut named = std::collections::BTreeSet::new();
    for manifest in manifests {
        let folder = manifest.parent().unwrap_or(Path::new("."));
        let mut text = String::new();
        for file in sources(folder)? {
            text.push_str(&fs::read_to_string(file)?);
        }
        for (_, dependency) in dependencies(&fs::read_to_string(manifest)?) {
            if !text.contains(&dependency.replace('-', "_")) && dependency != "rustls-pki-types" {
                wrong.push(format!("{}: {dependency} is not used", manifest.display()));
            }
            named.insert(dependency);
        }
    }
    let workspace = fs::read_to_string("Cargo.toml")?;
    for (section, dependency) in dependencies(&workspace) {
        if section == "workspace.dependencies" && !named.contains(&dependency) && dependency != "outrigger" {
            wrong.push(format!("Cargo.toml: {dependency} is used by nobody"));
        }
    }
    Ok(())
}

fn edge(name: &str, own: usize, section: &str, dependency: &str, wrong: &mut Vec<String>) {
    if let Some((_, owners)) = KEPT.iter().find(|(kept, _)| *kept == dependency)
        && !owners.contains(&name)
    {
        wrong.push(format!("{name} -> {dependency}: only {owners:?} may name it"));
    }
    // Tests may reach for components to try a block with.
    let Some(other) = level(dependency).filter(|_| section != "dev-dependencies") else {
        return;
    };
    if other <= own {
        wrong.push(format!("{name} -> {dependency}: edges point downwards only"));
    }
    if let Some((_, _, why)) = FORBIDDEN
        .iter()
        .find(|(from, to, _)| *from == name && *to == dependency)
    {
        wrong.push(format!("{name} -> {dependency}: {why}"));
    }
    let family = name.starts_with("component-") && name != "component-macros";
    if family && dependency == "wire" && !WIRE_FAMILIES.contains(&name) {
        wrong.push(format!(
            "{name} -> wire: a family knows component and its client library, nothing else"
        ));
    }
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            out.extend(sources(&path)?);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    out.sort();
    Ok(out)
}

fn source_rules(file: &Path, wrong: &mut Vec<String>, long: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let at = file.display();
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > FILE_MOST {
        wrong.push(format!("{at}: {} lines; a file has {FILE_MOST} at most", lines.len()));
    } else if lines.len() > FILE_WARN {
        long.push(format!("{at}: {} lines", lines.len()));
    }
    if file.ends_with("lib.rs") && !text.starts_with("//!") {
        wrong.push(format!("{at}: a crate opens with what it is for"));
    }
    if let Some(name) = file.file_stem().map(|s| s.to_string_lossy().into_owned())
        // A pure core beside its shell is what the architecture asks for.
        && NAMES_BARRED.contains(&name.as_str())
        && name != "core"
    {
        wrong.push(format!("{at}: no module is called {name}"));
    }
    let is_test = file
        .components()
        .any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs");
    if !is_test {
        for (line, length) in functions(&lines) {
            if length > FUNCTION_MOST {
                wrong.push(format!(
                    "{at}:{line}: a function of {length} lines; {FUNCTION_MOST} at most"
                ));
            }
        }
    }
    Ok(())
}

/// Where functions begin, and how many lines they have: from `fn` to the brace that closes at the same indent.
fn functions(lines: &[&str]) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let is_function = [
            "fn ",
            "pub fn ",
            "async fn ",
            "pub async fn ",
            "pub(crate) fn ",
            "pub(super) fn ",
            "pub(crate) async fn ",
            "pub(super) async fn ",
        ]
        .iter()
        .any(|start| code.starts_with(start));
        if !is_function || code.ends_with(';') {
            continue;
        }
        let close = format!("{}}}", " ".repeat(line.len() - code.len()));
        if let Some(end) = lines[at..].iter().position(|l| *l == close) {
            out.push((at + 1, end + 1));
        }
    }
    out
}

#[test]
fn reads_manifests() {
    let text =
        "[package]\nname = \"a\"\n[dependencies]\nhttp.workspace = true\nrusqlite = { workspace = true }\n# no\n";
    let names: Vec<String> = dependencies(text).into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["http", "rusqlite"]);
}
