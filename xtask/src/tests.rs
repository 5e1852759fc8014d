//! The demo, the tests, and the generated pages: they need the executable, and other programs around it.

use crate::run::{exists, output, run, run_in};
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Programs that the tests start, and the Debian packages that bring them.
const PROGRAMS: &[(&str, &str)] = &[("redis-server", "redis-server")];

pub(crate) fn demo() -> Result<()> {
    let outrigger = build()?;
    let python = python()?;
    node_modules()?;
    run(&python, &["tests/sdk/demo.py", &outrigger])
}

pub(crate) fn test() -> Result<()> {
    packages()?;
    run("cargo", &["test", "--workspace"])?;
    let outrigger = build()?;
    let python = python()?;
    node_modules()?;
    let descriptors = target().join("descriptors.bin");
    let descriptors = descriptors.to_string_lossy();
    run(
        "cargo",
        &[
            "run",
            "--quiet",
            "--package",
            "wire",
            "--example",
            "descriptors",
            "--",
            &descriptors,
        ],
    )?;
    run(&python, &["tests/wire/check_descriptors.py", &descriptors])?;
    run(&python, &["-m", "pytest", "-q", "tests/sdk", "--outrigger", &outrigger])
}

/// Writes the generated pages, or compares them.
pub(crate) fn docs(check: bool) -> Result<()> {
    let pages = [(
        "docs/reference/components.md",
        ["run", "--quiet", "--package", "catalog", "--example", "reference"],
    )];
    for (page, args) in pages {
        let new = output("cargo", &args)?;
        let old = std::fs::read_to_string(page).unwrap_or_default();
        if old == new {
            continue;
        }
        if check {
            bail!("{page} is not what the code says: run `cargo xtask docs` and commit it");
        }
        if let Some(folder) = Path::new(page).parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(page, new)?;
        println!("wrote {page}");
    }
    Ok(())
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from)
}

/// Builds the executable; its path.
fn build() -> Result<String> {
    run("cargo", &["build", "--package", "outrigger"])?;
    let path = std::path::absolute(target().join("debug/outrigger"))?;
    Ok(path.to_string_lossy().into_owned())
}

fn packages() -> Result<()> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !exists(program))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !exists("apt-get") {
        bail!("the tests need {missing:?}: install them by hand, there is no apt-get here");
    }
    let root = output("id", &["-u"])?.trim() == "0";
    let install = |args: &[&str]| {
        if root {
            run("apt-get", args)
        } else {
            run("sudo", &[&["apt-get"], args].concat())
        }
    };
    install(&["update"])?;
    install(&[&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat())
}

/// A Python with the official SDK; its path.
fn python() -> Result<String> {
    let folder = target().join("python");
    let python = folder.join("bin/python");
    if !python.is_file() {
        run("python3", &["-m", "venv", &folder.to_string_lossy()])?;
    }
    let python = std::path::absolute(python)?.to_string_lossy().into_owned();
    run(
        &python,
        &[
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            "tests/sdk/requirements.txt",
            "-r",
            "tests/wire/requirements.txt",
        ],
    )?;
    Ok(python)
}

fn node_modules() -> Result<()> {
    let folder = Path::new("tests/sdk/js");
    if folder.join("node_modules").is_dir() {
        return Ok(());
    }
    run_in(folder, "npm", &["ci", "--no-audit", "--no-fund", "--loglevel=error"])
}
