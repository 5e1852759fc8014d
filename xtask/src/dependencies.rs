//! Licences, banned and duplicate dependencies, read from `cargo tree`: nothing is compiled for it, and what features that are
//! off would bring does not count.

use crate::run;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};

/// A package that is used, from wherever it comes.
struct Package {
    name: String,
    version: String,
    licence: String,
}

/// Licences that go with Apache-2.0. An expression is fine if one of its alternatives is made of these.
const LICENCES: &[&str] = &[
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "MIT",
    "MIT-0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "OpenSSL",
    "Unicode-3.0",
    "Zlib",
    "CC0-1.0",
    "0BSD",
    "BSL-1.0",
    "Unlicense",
    "MPL-2.0",
    "CDLA-Permissive-2.0",
];

/// What must not come in, and why.
const BANNED: &[(&str, &str)] = &[
    ("ring", "one provider of cryptography: aws-lc-rs"),
    ("openssl-sys", "one TLS stack: rustls"),
    ("native-tls", "one TLS stack: rustls"),
    ("axum-server", "the servers are hyper's"),
];

/// What may be there in one version only: two would not fit together or cost much.
const SINGLE: &[&str] = &[
    "tonic",
    "prost",
    "rustls",
    "tokio",
    "hyper",
    "h2",
    "http",
    "aws-lc-rs",
    "rusqlite",
    "tokio-rustls",
];

pub(crate) fn check() -> Result<()> {
    let tree = [
        "tree",
        "--workspace",
        "--locked",
        "--target",
        "all",
        "--edges",
        "normal,build,dev",
        "--prefix",
        "none",
        "--format",
        "{p}|{l}",
    ];
    let listed = run::output("cargo", &tree)?;
    let foreign: Vec<Package> = listed.lines().filter_map(package).collect();
    let mut wrong = Vec::new();
    for package in &foreign {
        if !allowed(&package.licence) {
            wrong.push(format!(
                "{} {}: licence {:?} is not on the list",
                package.name, package.version, package.licence
            ));
        }
        if let Some((_, why)) = BANNED.iter().find(|(name, _)| *name == package.name) {
            wrong.push(format!("{} {} is banned: {why}", package.name, package.version));
        }
    }
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in &foreign {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    for name in SINGLE {
        if let Some(several) = versions.get(name).filter(|v| v.len() > 1) {
            wrong.push(format!("{name} is there in several versions: {several:?}"));
        }
    }
    let twice = versions.values().filter(|v| v.len() > 1).count();
    println!("deps: {} packages, {twice} in more than one version", versions.len());
    wrong.sort();
    wrong.dedup();
    if wrong.is_empty() {
        Ok(())
    } else {
        bail!("dependencies:\n  {}", wrong.join("\n  "))
    }
}

/// A line of the tree: `name v1.2.3|licence`. Ours have a path behind the version.
fn package(line: &str) -> Option<Package> {
    let (what, licence) = line.split_once('|')?;
    let mut words = what.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    let ours = words.next().is_some_and(|rest| rest.starts_with("(/"));
    let licence = licence.trim_end_matches(" (*)");
    (!ours).then(|| Package {
        name: name.into(),
        version: version.into(),
        licence: licence.into(),
    })
}

/// Whether a licence expression is fine: some alternative of it whose parts all are.
fn allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain
        .split(" OR ")
        .any(|all| !all.trim().is_empty() && all.split(" AND ").all(|one| LICENCES.contains(&one.trim())))
}

#[test]
fn expressions() {
    assert!(allowed("MIT OR Apache-2.0"));
    assert!(allowed("MIT/Apache-2.0"));
    assert!(allowed("(MIT OR GPL-3.0) AND MIT") || allowed("GPL-3.0 OR MIT"));
    assert!(!allowed("GPL-3.0"));
    assert!(!allowed(""));
}
