//! An application that is to run, with everything settled: ports, folders, files.

use super::{ports::Ports, settings::Settings};
use crate::{discover::reachable_host, paths::Home, sidecar};
use anyhow::{Context, Result, bail};
use client::Address;
use indexmap::IndexMap;
use std::path::{Path, PathBuf};

/// The address that sidecars listen on unless they are told otherwise: this machine and nobody else.
pub(crate) const LOOPBACK: &str = "127.0.0.1";

/// Where output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Destination {
    /// To a file.
    File,
    /// To the console.
    Console,
    /// To both.
    FileAndConsole,
}

impl Destination {
    fn parse(field: &str, text: Option<&str>, default: Self) -> Result<Self> {
        Ok(match text.unwrap_or_default() {
            "" => default,
            "file" => Self::File,
            "console" => Self::Console,
            "fileAndConsole" => Self::FileAndConsole,
            other => bail!("{field}: expected file, console or fileAndConsole, found {other:?}"),
        })
    }

    /// Whether output goes to a file.
    pub(crate) fn has_file(self) -> bool {
        self != Self::Console
    }

    /// Whether output goes to the console.
    pub(crate) fn has_console(self) -> bool {
        self != Self::File
    }
}

/// The ports of an application and its sidecar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PortSet {
    /// The application's, if it has one.
    pub(crate) app: Option<u16>,
    /// The HTTP API's.
    pub(crate) http: u16,
    /// The gRPC API's.
    pub(crate) grpc: u16,
    /// The one for other sidecars, if it was asked for; otherwise the sidecar has one that stays the same.
    pub(crate) internal: Option<u16>,
    /// That of the metrics.
    pub(crate) metrics: u16,
    /// That of the profiling server, if that is started.
    pub(crate) profile: Option<u16>,
}

/// An application that is to run.
#[derive(Debug, Clone)]
pub(crate) struct App {
    /// Its id.
    pub(crate) id: String,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Its command and arguments; empty if only the sidecar is to run.
    pub(crate) command: Vec<String>,
    /// Its ports.
    pub(crate) ports: PortSet,
    /// What the sidecar listens on.
    pub(crate) listen: String,
    /// Folders of resources.
    pub(crate) resources: Vec<String>,
    /// The configuration file.
    pub(crate) config: Option<String>,
    /// The folder of Unix sockets, if the APIs use them.
    pub(crate) sockets: Option<PathBuf>,
    /// Variables of the environment.
    pub(crate) env: IndexMap<String, String>,
    /// What the application speaks.
    pub(crate) protocol: String,
    /// The host that it listens on.
    pub(crate) channel_address: String,
    /// Where its output goes.
    pub(crate) app_log: Destination,
    /// Where the sidecar's log goes.
    pub(crate) daprd_log: Destination,
    /// Everything else that was said.
    pub(crate) settings: Settings,
}

impl App {
    /// Settles what is open. `runtime_path` is where `.dapr` is unless the settings say otherwise.
    pub(crate) fn new(settings: Settings, runtime_path: Option<&Path>, ports: &mut Ports) -> Result<Self> {
        let id = match settings.app_id.clone().filter(|id| !id.is_empty()) {
            Some(id) => id,
            None => format!("app-{:06x}", fastrand::u32(..1 << 24)),
        };
        check_id(&id)?;
        let listen = given(&settings.api_listen_addresses).unwrap_or_else(|| LOOPBACK.into());
        let home = Home::new(
            given(&settings.runtime_path)
                .map(PathBuf::from)
                .as_deref()
                .or(runtime_path),
        )?;
        let folder = match given(&settings.app_dir_path) {
            Some(folder) => PathBuf::from(folder),
            None => std::env::current_dir().context("the current folder cannot be told")?,
        };
        check_words(&settings)?;
        let command = settings.command.clone().unwrap_or_default();
        if command.first().is_some_and(|program| program.is_empty()) {
            bail!("command: the program is empty");
        }
        Ok(Self {
            ports: port_set(&settings, &id, &listen, ports)?,
            folder,
            command,
            resources: resources(&settings, &home)?,
            config: given(&settings.config_file_path)
                .or_else(|| home.default_config().map(|path| path.display().to_string())),
            sockets: given(&settings.unix_domain_socket).map(PathBuf::from),
            env: settings.env.clone(),
            protocol: given(&settings.app_protocol).unwrap_or_else(|| "http".into()),
            channel_address: given(&settings.app_channel_address).unwrap_or_else(|| LOOPBACK.into()),
            app_log: Destination::parse(
                "appLogDestination",
                settings.app_log_destination.as_deref(),
                Destination::FileAndConsole,
            )?,
            daprd_log: Destination::parse(
                "daprdLogDestination",
                settings.daprd_log_destination.as_deref(),
                Destination::File,
            )?,
            listen,
            id,
            settings,
        })
    }

    /// Where the sidecar's HTTP API will be.
    pub(crate) fn address(&self) -> Address {
        match &self.sockets {
            Some(folder) => sidecar::socket(folder, &self.id),
            None => Address::Tcp(format!("{}:{}", reachable_host(&self.listen), self.ports.http)),
        }
    }

    /// A variable that the sidecar and the application get: the template's, or the caller's.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        self.env
            .get(name)
            .cloned()
            .or_else(|| std::env::var(name).ok())
            .filter(|value| !value.is_empty())
    }
}

/// What is given and not empty.
pub(crate) fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

fn check_id(id: &str) -> Result<()> {
    if id.contains('.') {
        bail!("appID: {id:?} must not contain a dot");
    }
    if id.contains(['/', '\\', '\0']) || id.chars().any(char::is_whitespace) {
        bail!("appID: {id:?} must not contain slashes or spaces");
    }
    Ok(())
}

/// What has a few possible values: told here, before anything is started.
fn check_words(settings: &Settings) -> Result<()> {
    let known = |field: &str, value: &Option<String>, words: &[&str]| match given(value) {
        Some(value) if !words.contains(&value.to_ascii_lowercase().as_str()) => {
            bail!("{field}: expected one of {}, found {value:?}", words.join(", "))
        }
        _ => Ok(()),
    };
    known(
        "appProtocol",
        &settings.app_protocol,
        &["http", "https", "h2c", "grpc", "grpcs"],
    )?;
    known(
        "logLevel",
        &settings.log_level,
        &["debug", "info", "warn", "error", "fatal", "panic"],
    )?;
    if let Some(file) = given(&settings.config_file_path)
        && !Path::new(&file).is_file()
    {
        bail!("configFilePath: there is no file {file}");
    }
    Ok(())
}

fn resources(settings: &Settings, home: &Home) -> Result<Vec<String>> {
    let Some(folders) = settings.resources() else {
        return Ok(home
            .default_resources()
            .map(|folder| folder.display().to_string())
            .into_iter()
            .collect());
    };
    match folders.iter().find(|folder| !Path::new(folder).is_dir()) {
        Some(missing) => bail!("resourcesPaths: there is no folder {missing}"),
        None => Ok(folders),
    }
}

fn port_set(settings: &Settings, id: &str, listen: &str, ports: &mut Ports) -> Result<PortSet> {
    let mut asked = |field: &str, given: Option<i64>, listen: Option<&str>| -> Result<Option<u16>> {
        let Some(number) = given.filter(|number| *number > 0) else {
            return Ok(None);
        };
        let Ok(port) = u16::try_from(number) else {
            bail!("{field}: {number} is no port")
        };
        let owner = format!("{field} of {id}");
        ports.claim(port, &owner)?;
        if let Some(listen) = listen {
            ports.hold(port, listen, &owner)?;
        }
        Ok(Some(port))
    };
    let sockets = settings
        .unix_domain_socket
        .as_ref()
        .is_some_and(|folder| !folder.is_empty());
    let api = (!sockets).then_some(listen);
    let app = asked("appPort", settings.app_port, None)?;
    let http = asked("daprHTTPPort", settings.dapr_http_port, api)?;
    let grpc = asked("daprGRPCPort", settings.dapr_grpc_port, api)?;
    let internal = asked("daprInternalGRPCPort", settings.dapr_internal_grpc_port, Some(listen))?;
    let metrics = asked("metricsPort", settings.metrics_port, Some(listen))?;
    let profiling = settings.enable_profiling == Some(true);
    let profile = asked("profilePort", settings.profile_port, None)?;
    let mut chosen = |port: Option<u16>| port.map_or_else(|| ports.choose(id), Ok);
    Ok(PortSet {
        app,
        http: chosen(http)?,
        grpc: chosen(grpc)?,
        internal,
        metrics: chosen(metrics)?,
        profile: if profiling { Some(chosen(profile)?) } else { profile },
    })
}

#[cfg(test)]
mod tests;
