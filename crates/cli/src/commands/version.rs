//! `version` and `build-info`. The runtime is this executable under another name, so it is asked.

use crate::{args::VersionFormat, messages};
use anyhow::{Context, Result};
use serde::Serialize;
use std::{os::unix::process::CommandExt, process::Command};

/// The version of this project.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Serialize)]
struct Versions<'a> {
    #[serde(rename = "Cli version")]
    cli: &'a str,
    #[serde(rename = "Runtime version")]
    runtime: &'a str,
    #[serde(rename = "Outrigger version")]
    outrigger: &'a str,
}

/// Prints the versions of Dapr whose command line and whose sidecar this is, and the project's own.
pub(crate) fn version(format: Option<VersionFormat>) -> Result<()> {
    let asked = ask_runtime("--version");
    let runtime = asked.as_deref().unwrap_or("n/a").trim();
    match format {
        Some(VersionFormat::Json) => {
            let versions = Versions {
                cli: runtime,
                runtime,
                outrigger: VERSION,
            };
            messages::print(&(serde_json::to_string(&versions).context("write JSON")? + "\n"));
        }
        None => messages::print(&format!(
            "CLI version: {runtime}\nRuntime version: {runtime}\nOutrigger version: {VERSION}\n"
        )),
    }
    Ok(())
}

/// Prints what the command line and the runtime were built from.
pub(crate) fn build_info() -> Result<()> {
    let runtime = ask_runtime("--build-info")?;
    let lines: String = runtime.lines().map(|line| format!("\t{line}\n")).collect();
    messages::print(&format!("CLI:\n\tOutrigger Version: {VERSION}\n\nRuntime:\n{lines}"));
    Ok(())
}

fn ask_runtime(flag: &str) -> Result<String> {
    let executable = std::env::current_exe().context("this executable cannot be found")?;
    let output = Command::new(executable)
        .arg0("daprd")
        .arg(flag)
        .output()
        .context("the runtime cannot be started")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
