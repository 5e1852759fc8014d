//! Which sidecars run on this machine: processes that are `daprd`, what their command lines say, and what they tell
//! when asked.

use crate::{
    platform::{self, Process},
    sidecar::{Metadata, Sidecar, socket},
};
use anyhow::{Context, Result};
use client::Address;
use futures_util::future::join_all;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

/// A sidecar that runs.
#[derive(Clone)]
pub(crate) struct Running {
    /// Its process.
    pub(crate) process: Process,
    /// Its flags.
    pub(crate) flags: Flags,
    /// Its API.
    pub(crate) api: Sidecar,
    /// What it told; nothing if it did not answer.
    pub(crate) metadata: Option<Metadata>,
    /// The `dapr run` that started it, if that lives.
    pub(crate) cli: Option<u32>,
}

impl Running {
    /// The application's id.
    pub(crate) fn app_id(&self) -> &str {
        self.flags.get("app-id").unwrap_or_default()
    }

    /// Something that `run` noted in its metadata; empty if there is nothing.
    pub(crate) fn note(&self, key: &str) -> &str {
        let note = self.metadata.as_ref().and_then(|metadata| metadata.extended.get(key));
        note.map(String::as_str).unwrap_or_default()
    }

    /// A process id that `run` noted; 0 if there is none.
    pub(crate) fn pid_note(&self, key: &str) -> u32 {
        self.note(key).trim().parse().unwrap_or_default()
    }
}

/// The flags on a sidecar's command line; of one that is given twice, the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Flags(HashMap<String, String>);

impl Flags {
    /// Reads `--name value`, `--name=value`, both also with one dash; a name without a value is `true`.
    pub(crate) fn parse(arguments: &[String]) -> Self {
        let mut flags = HashMap::new();
        let mut rest = arguments.iter().peekable();
        while let Some(argument) = rest.next() {
            let Some(name) = argument.strip_prefix('-') else {
                continue;
            };
            let name = name.strip_prefix('-').unwrap_or(name);
            match name.split_once('=') {
                Some((name, value)) => flags.insert(name.to_owned(), value.to_owned()),
                None => {
                    let value = rest.next_if(|next| !next.starts_with('-') || next.parse::<f64>().is_ok());
                    flags.insert(name.to_owned(), value.cloned().unwrap_or_else(|| "true".into()))
                }
            };
        }
        Self(flags)
    }

    /// The value of a flag, if it is given and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A port; 0 if it is not given.
    pub(crate) fn port(&self, name: &str, default: u16) -> u16 {
        self.get(name)
            .map_or(default, |value| value.parse().unwrap_or_default())
    }

    /// Where the HTTP API is.
    pub(crate) fn address(&self) -> Address {
        if let Some(folder) = self.get("unix-domain-socket") {
            return socket(Path::new(folder), self.get("app-id").unwrap_or_default());
        }
        let host = reachable_host(self.get("dapr-listen-addresses").unwrap_or_default());
        Address::Tcp(format!("{host}:{}", self.port("dapr-http-port", 3500)))
    }
}

/// The host at which a server can be reached from this machine that listens on these addresses.
pub(crate) fn reachable_host(listen_addresses: &str) -> String {
    let all: Vec<&str> = listen_addresses
        .split(',')
        .map(|one| one.trim().trim_matches(['[', ']']))
        .collect();
    if all
        .iter()
        .any(|one| matches!(*one, "" | "0.0.0.0" | "127.0.0.1" | "localhost"))
    {
        return "127.0.0.1".into();
    }
    match all[0] {
        "::" => "[::1]".into(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.into(),
    }
}

/// The arguments of a sidecar's process; `None` if it is something else.
fn sidecar_arguments(process: &Process) -> Option<&[String]> {
    let (program, arguments) = process.command.split_first()?;
    match program_name(program) {
        "daprd" => Some(arguments),
        "outrigger" | "dapr" if arguments.first().is_some_and(|first| first == "daprd") => Some(&arguments[1..]),
        _ => None,
    }
}

/// Whether a process is a `dapr run`.
fn is_run(process: &Process) -> bool {
    let Some((program, arguments)) = process.command.split_first() else {
        return false;
    };
    matches!(program_name(program), "dapr" | "outrigger") && arguments.iter().any(|argument| argument == "run")
}

fn program_name(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.strip_suffix(".exe").unwrap_or(name)
}

/// All sidecars, by application id; each is asked for its metadata, all at the same time.
pub(crate) async fn running() -> Result<Vec<Running>> {
    let processes = platform::processes().context("the list of processes cannot be read")?;
    let token = std::env::var("DAPR_API_TOKEN").ok();
    let asked = processes.iter().filter_map(|process| {
        let arguments = sidecar_arguments(process)?;
        // flags that print and end are not a sidecar
        let flags = Flags::parse(arguments);
        flags.get("app-id")?;
        let parent = processes.iter().find(|other| other.pid == process.parent);
        Some(ask(process.clone(), flags, parent.is_some_and(is_run), token.clone()))
    });
    let mut found = join_all(asked).await;
    found.sort_by(|one, other| (one.app_id(), one.process.pid).cmp(&(other.app_id(), other.process.pid)));
    Ok(found)
}

/// Asks a sidecar. A `dapr run` that has died is not its parent any more, whatever the metadata say.
async fn ask(process: Process, flags: Flags, parent_is_run: bool, token: Option<String>) -> Running {
    let api = Sidecar::new(flags.address(), token);
    let metadata = api.metadata().await.ok();
    let mut running = Running {
        process,
        flags,
        api,
        metadata,
        cli: None,
    };
    let parent = running.process.parent;
    running.cli = (parent_is_run || running.pid_note("cliPID") == parent).then_some(parent);
    running
}

/// The sidecar of an application: at its Unix socket if a folder of sockets is given, otherwise the one that runs.
pub(crate) async fn find(app_id: &str, sockets: Option<&PathBuf>) -> Result<Sidecar> {
    if let Some(folder) = sockets {
        return Ok(Sidecar::new(
            socket(folder, app_id),
            std::env::var("DAPR_API_TOKEN").ok(),
        ));
    }
    let running = running().await?;
    let found = running.iter().find(|sidecar| sidecar.app_id() == app_id);
    let Some(sidecar) = found else {
        let others: Vec<&str> = running.iter().map(Running::app_id).collect();
        let others = if others.is_empty() {
            "none does".into()
        } else {
            others.join(", ")
        };
        anyhow::bail!("no sidecar of application {app_id:?} runs on this machine (running: {others})");
    };
    Ok(sidecar.api.clone())
}

#[cfg(test)]
mod tests;
