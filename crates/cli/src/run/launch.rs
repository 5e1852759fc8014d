//! How the sidecar and the application are called: command lines and environments.

use super::app::{App, LOOPBACK, given};
use std::{collections::HashMap, path::Path};
use tokio::process::Command;

/// The port of placement, where an address has none.
const PLACEMENT_PORT: u16 = 50005;
/// The port of the scheduler, where an address has none.
const SCHEDULER_PORT: u16 = 50006;

/// The sidecar's command. This executable is all programs: it is the sidecar under the sidecar's name. It runs in the
/// application's folder, from where relative paths in resources count, as with the original.
pub(crate) fn sidecar(executable: &Path, app: &App) -> Command {
    let mut command = Command::new(executable);
    command
        .arg0("daprd")
        .args(arguments(app))
        .current_dir(&app.folder)
        .envs(&app.env);
    if let Some(address) = advertised(app) {
        command.env("DAPR_HOST_IP", address);
    }
    command
}

/// The application's command, if it has one.
pub(crate) fn application(app: &App) -> Option<Command> {
    let (program, arguments) = app.command.split_first()?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&app.folder).envs(&app.env);
    if app.sockets.is_some() {
        // the ports of a sidecar that listens on sockets are not open
        command.env_remove("DAPR_HTTP_PORT").env_remove("DAPR_GRPC_PORT");
    }
    command.envs(variables(app));
    Some(command)
}

/// The address at which other sidecars find this one. Those of this machine do at the loopback address; a sidecar that was
/// told to listen elsewhere says that, unless the environment does.
fn advertised(app: &App) -> Option<String> {
    if app.listen != LOOPBACK && app.variable("DAPR_HOST_IP").is_some() {
        return None;
    }
    Some(
        crate::discover::reachable_host(&app.listen)
            .trim_matches(['[', ']'])
            .to_owned(),
    )
}

/// What the application is told about itself and its sidecar. Each name once; these win over the caller's and the
/// template's.
pub(crate) fn variables(app: &App) -> HashMap<&'static str, String> {
    let mut all = HashMap::from([
        ("APP_ID", app.id.clone()),
        ("APP_PROTOCOL", app.protocol.clone()),
        ("APP_CHANNEL_ADDRESS", app.channel_address.clone()),
        ("DAPR_METRICS_PORT", app.ports.metrics.to_string()),
    ]);
    if let Some(port) = app.ports.app {
        all.insert("APP_PORT", port.to_string());
    }
    match &app.sockets {
        Some(folder) => {
            let socket = folder.join(format!("dapr-{}-grpc.socket", app.id));
            all.insert("DAPR_GRPC_ENDPOINT", format!("unix://{}", socket.display()));
        }
        None => {
            all.insert("DAPR_HTTP_PORT", app.ports.http.to_string());
            all.insert("DAPR_GRPC_PORT", app.ports.grpc.to_string());
        }
    }
    all
}

/// The sidecar's flags.
pub(crate) fn arguments(app: &App) -> Vec<String> {
    let mut flags = Flags::default();
    let said = &app.settings;
    flags.value("app-id", Some(&app.id));
    flags.value("dapr-http-port", Some(app.ports.http));
    flags.value("dapr-grpc-port", Some(app.ports.grpc));
    flags.value("dapr-internal-grpc-port", app.ports.internal);
    flags.value("dapr-listen-addresses", Some(&app.listen));
    flags.value("dapr-internal-grpc-listen-address", Some(&app.listen));
    flags.value("metrics-port", Some(app.ports.metrics));
    flags.value("metrics-listen-address", app.listen.split(',').next());
    flags.value(
        "unix-domain-socket",
        app.sockets.as_ref().map(|folder| folder.display()),
    );
    flags.value("app-port", app.ports.app);
    flags.value("app-protocol", Some(&app.protocol));
    flags.value("app-channel-address", Some(&app.channel_address));
    flags.value("app-max-concurrency", said.app_max_concurrency);
    flags.switch("app-ssl", said.app_ssl);
    for folder in &app.resources {
        flags.value("resources-path", Some(folder));
    }
    flags.value("config", app.config.as_ref());
    flags.switch("enable-profiling", said.enable_profiling);
    flags.value("profile-port", app.ports.profile);
    // the original's flag knows `panic`, its sidecar does not
    let level = given(&said.log_level).map(|level| level.to_ascii_lowercase());
    flags.value(
        "log-level",
        level.map(|level| if level == "panic" { "fatal".into() } else { level }),
    );
    flags.switch("enable-api-logging", said.enable_api_logging);
    flags.value(
        "placement-host-address",
        with_port(&said.placement_host_address, PLACEMENT_PORT),
    );
    flags.value(
        "scheduler-host-address",
        with_port(&said.scheduler_host_address, SCHEDULER_PORT),
    );
    flags.value("max-body-size", given(&said.max_body_size));
    flags.value("read-buffer-size", given(&said.read_buffer_size));
    flags.value("dapr-http-max-request-size", said.dapr_http_max_request_size);
    flags.value("dapr-http-read-buffer-size", said.dapr_http_read_buffer_size);
    flags.switch("enable-app-health-check", said.enable_app_health_check);
    flags.value("app-health-check-path", given(&said.app_health_check_path));
    flags.value("app-health-probe-interval", said.app_health_probe_interval);
    flags.value("app-health-probe-timeout", said.app_health_probe_timeout);
    flags.value("app-health-threshold", said.app_health_threshold);
    flags.0
}

#[derive(Default)]
struct Flags(Vec<String>);

impl Flags {
    fn value(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.extend([format!("--{name}"), value.to_string()]);
        }
    }

    fn switch(&mut self, name: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.0.push(format!("--{name}={value}"));
        }
    }
}

/// Addresses with commas, each with its port. Nothing if there is none.
fn with_port(addresses: &Option<String>, port: u16) -> Option<String> {
    let written = given(addresses)?;
    let all = written.split(',').map(str::trim).filter(|address| !address.is_empty());
    let all: Vec<String> = all
        .map(|one| {
            if has_port(one) {
                one.to_owned()
            } else {
                format!("{one}:{port}")
            }
        })
        .collect();
    (!all.is_empty()).then(|| all.join(","))
}

fn has_port(address: &str) -> bool {
    let after_host = address.rsplit_once(']').map_or(address, |(_, rest)| rest);
    after_host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests;
