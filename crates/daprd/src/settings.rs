//! What the flags and the environment say, checked.

use crate::Args;
use app::Protocol;
use resources::{GoDuration, Quantity};
use sha2::{Digest, Sha256};
use std::{path::PathBuf, time::Duration};

/// A flag, or a variable of the environment, that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// There is no application id.
    #[error("app-id parameter cannot be empty")]
    AppIdMissing,
    /// The application id has what it must not have.
    #[error("invalid app-id {0:?}: it must not contain a dot")]
    AppId(String),
    /// A value cannot be read.
    #[error("invalid value {value:?} for the --{flag} flag: {why}")]
    Value {
        /// The flag.
        flag: &'static str,
        /// What it says.
        value: String,
        /// What is wrong.
        why: String,
    },
    /// Two ports are the same.
    #[error("the 'app-port' argument value {0} conflicts with '{1}'")]
    PortConflict(u16, &'static str),
    /// The health check's time-out is longer than its interval.
    #[error("value for 'health-probe-timeout' must be smaller than 'health-probe-interval'")]
    HealthTimeout,
}

/// What the flags and the environment say, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The application's id.
    pub app_id: String,
    /// The namespace, and whether it was set.
    pub namespace: Option<String>,
    /// The application's port; none if there is no application.
    pub app_port: Option<u16>,
    /// What it speaks.
    pub app_protocol: Protocol,
    /// The host that it listens on.
    pub app_address: String,
    /// How many calls it may be given at a time.
    pub app_max_concurrency: Option<usize>,
    /// How its health is checked, if it is.
    pub app_health: Option<app::HealthOptions>,
    /// The port of the HTTP API.
    pub http_port: u16,
    /// The port of the gRPC API.
    pub grpc_port: u16,
    /// The port of the public server.
    pub public_port: Option<u16>,
    /// The port for other sidecars, if one was asked for.
    pub internal_port: Option<u16>,
    /// The addresses that the APIs listen on.
    pub listen: Vec<String>,
    /// The address that the public server listens on.
    pub public_listen: Vec<String>,
    /// The address that the server for other sidecars listens on.
    pub internal_listen: Vec<String>,
    /// A folder for Unix sockets.
    pub unix_folder: Option<PathBuf>,
    /// Folders of resources.
    pub resources: Vec<PathBuf>,
    /// Configuration files.
    pub configurations: Vec<PathBuf>,
    /// The largest body.
    pub max_body_size: usize,
    /// The most bytes of headers.
    pub read_buffer_size: usize,
    /// How long a graceful shutdown may take.
    pub grace: Duration,
    /// How long the APIs stay up after the signal to end.
    pub block_shutdown: Option<Duration>,
    /// Whether calls are logged.
    pub api_logging: Option<bool>,
    /// Whether the application is asked for its configuration.
    pub ask_config: bool,
    /// Whether the application is asked for its subscriptions.
    pub ask_subscriptions: bool,
    /// The token that callers must show.
    pub api_token: Option<String>,
    /// The token that the application is shown.
    pub app_token: Option<String>,
    /// Origins of browsers.
    pub allowed_origins: String,
    /// The address that others reach this sidecar at, if it was set.
    pub host_ip: Option<String>,
}

/// Reads the environment; a variable that is empty is as good as unset.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Settings {
    /// Checks the flags. What is accepted and has no effect yet is told by [`Settings::without_effect`].
    pub fn new(args: &Args, environment: impl Fn(&str) -> Option<String>) -> Result<Self, SettingError> {
        if !matches!(args.mode.as_str(), "standalone" | "kubernetes") {
            return Err(value("mode", &args.mode, "it must be standalone or kubernetes"));
        }
        if args.app_id.is_empty() {
            return Err(SettingError::AppIdMissing);
        }
        if args.app_id.contains('.') {
            return Err(SettingError::AppId(args.app_id.clone()));
        }
        if args.scheduler_job_streams < 1 {
            return Err(value(
                "scheduler-job-streams",
                &args.scheduler_job_streams.to_string(),
                "there must be at least one",
            ));
        }
        let disseminate = duration("actors-disseminate-timeout", &args.actors_disseminate_timeout)?;
        if disseminate.is_zero() {
            return Err(value(
                "actors-disseminate-timeout",
                &args.actors_disseminate_timeout,
                "it must be more than nothing",
            ));
        }
        duration("app-binding-options-timeout", &args.app_binding_options_timeout)?;
        let (ask_config, ask_subscriptions) = init_endpoints(&args.disable_init_endpoints)?;
        let app_port = optional_port("app-port", &args.app_port)?;
        let (http_port, grpc_port) = (
            port("dapr-http-port", &args.dapr_http_port)?,
            port("dapr-grpc-port", &args.dapr_grpc_port)?,
        );
        if let Some(port) = app_port {
            for (other, name) in [(http_port, "dapr-http-port"), (grpc_port, "dapr-grpc-port")] {
                if port == other {
                    return Err(SettingError::PortConflict(port, name));
                }
            }
        }
        let mut resources = args.resources_path.clone();
        if resources.is_empty() && !args.components_path.is_empty() {
            resources.push(PathBuf::from(&args.components_path));
        }
        Ok(Self {
            app_id: args.app_id.clone(),
            namespace: environment("NAMESPACE"),
            app_port,
            app_protocol: protocol(args)?,
            app_address: args.app_channel_address.clone(),
            app_max_concurrency: usize::try_from(args.app_max_concurrency).ok().filter(|n| *n > 0),
            app_health: health(args)?,
            http_port,
            grpc_port,
            public_port: optional_port("dapr-public-port", &args.dapr_public_port)?,
            internal_port: optional_port("dapr-internal-grpc-port", &args.dapr_internal_grpc_port)?,
            listen: list(&args.dapr_listen_addresses),
            public_listen: list(&args.dapr_public_listen_address),
            internal_listen: list(&args.dapr_internal_grpc_listen_address),
            unix_folder: Some(PathBuf::from(&args.unix_domain_socket)).filter(|p| !p.as_os_str().is_empty()),
            resources,
            configurations: args
                .config
                .iter()
                .filter(|c| !c.is_empty())
                .map(PathBuf::from)
                .collect(),
            max_body_size: size(
                "max-body-size",
                &args.max_body_size,
                args.dapr_http_max_request_size,
                1 << 20,
            )?,
            read_buffer_size: size(
                "read-buffer-size",
                &args.read_buffer_size,
                args.dapr_http_read_buffer_size,
                1 << 10,
            )?,
            grace: Duration::from_secs(u64::try_from(args.dapr_graceful_shutdown_seconds).unwrap_or(5)),
            block_shutdown: args
                .dapr_block_shutdown_duration
                .as_deref()
                .map(|d| duration("dapr-block-shutdown-duration", d))
                .transpose()?,
            api_logging: args.enable_api_logging,
            ask_config,
            ask_subscriptions,
            api_token: environment("DAPR_API_TOKEN"),
            app_token: environment("APP_API_TOKEN"),
            allowed_origins: args.allowed_origins.clone(),
            host_ip: environment("DAPR_HOST_IP"),
        })
    }

    /// The flags that were given and have no effect in this version, each with what it waits for.
    pub fn without_effect(args: &Args) -> Vec<&'static str> {
        let mut out = Vec::new();
        let mut note = |given: bool, what: &'static str| {
            if given {
                out.push(what);
            }
        };
        note(
            args.mode == "kubernetes",
            "--mode=kubernetes (the operator is not there yet; the sidecar runs standalone)",
        );
        note(
            args.enable_mtls,
            "--enable-mtls (sentry is not there yet; connections are in plain text)",
        );
        note(!empty(&args.sentry_address), "--sentry-address");
        note(!empty(&args.control_plane_address), "--control-plane-address");
        note(
            !empty(&args.placement_host_address),
            "--placement-host-address (actors are off)",
        );
        note(
            !empty(&args.scheduler_host_address),
            "--scheduler-host-address (jobs and reminders are off)",
        );
        note(args.enable_profiling, "--enable-profiling");
        note(
            args.dapr_block_shutdown_duration.is_some(),
            "--dapr-block-shutdown-duration",
        );
        out
    }
}

/// An address may be given as nothing in several spellings.
fn empty(address: &str) -> bool {
    address.trim().trim_matches(['"', '\'']).trim().is_empty()
}

fn value(flag: &'static str, value: &str, why: impl Into<String>) -> SettingError {
    SettingError::Value {
        flag,
        value: value.into(),
        why: why.into(),
    }
}

fn port(flag: &'static str, text: &str) -> Result<u16, SettingError> {
    text.trim().parse().map_err(|_| value(flag, text, "it is not a port"))
}

fn optional_port(flag: &'static str, text: &str) -> Result<Option<u16>, SettingError> {
    match text.trim() {
        "" | "0" => Ok(None),
        text => port(flag, text).map(Some),
    }
}

fn duration(flag: &'static str, text: &str) -> Result<Duration, SettingError> {
    let parsed: GoDuration = text
        .parse()
        .map_err(|e: resources::duration::ParseDurationError| value(flag, text, e.to_string()))?;
    parsed
        .to_std()
        .ok_or_else(|| value(flag, text, "it must not be negative"))
}

/// A size flag; a deprecated flag in other units counts where it was changed.
fn size(flag: &'static str, text: &str, deprecated: i64, unit: usize) -> Result<usize, SettingError> {
    if deprecated != 4 {
        return Ok(usize::try_from(deprecated).map_or(0, |n| n.saturating_mul(unit)));
    }
    if text.trim() == "-1" {
        return Ok(0);
    }
    let quantity: Quantity = text
        .parse()
        .map_err(|e: resources::quantity::ParseQuantityError| value(flag, text, e.to_string()))?;
    Ok(usize::try_from(quantity.get()).unwrap_or(usize::MAX))
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn init_endpoints(text: &str) -> Result<(bool, bool), SettingError> {
    let (mut config, mut subscribe) = (true, true);
    for name in list(text) {
        match name.as_str() {
            "config" => config = false,
            "subscribe" => subscribe = false,
            other => return Err(value("disable-init-endpoints", other, "it must be config or subscribe")),
        }
    }
    Ok((config, subscribe))
}

fn protocol(args: &Args) -> Result<Protocol, SettingError> {
    let parsed = Protocol::parse(&args.app_protocol).ok_or_else(|| {
        value(
            "app-protocol",
            &args.app_protocol,
            "it must be http, https, h2c, grpc or grpcs",
        )
    })?;
    Ok(match (parsed, args.app_ssl) {
        (Protocol::Http, true) => Protocol::Https,
        (Protocol::Grpc, true) => Protocol::Grpcs,
        (other, _) => other,
    })
}

fn health(args: &Args) -> Result<Option<app::HealthOptions>, SettingError> {
    if !args.enable_app_health_check {
        return Ok(None);
    }
    let positive = |given: i64, default: u64| u64::try_from(given).ok().filter(|n| *n > 0).unwrap_or(default);
    let interval = Duration::from_secs(positive(args.app_health_probe_interval, 5));
    let timeout = Duration::from_millis(positive(args.app_health_probe_timeout, 500));
    if timeout > interval {
        return Err(SettingError::HealthTimeout);
    }
    let threshold = u32::try_from(positive(args.app_health_threshold, 3)).unwrap_or(u32::MAX);
    Ok(Some(app::HealthOptions {
        path: args.app_health_check_path.clone(),
        interval,
        timeout,
        threshold,
    }))
}

/// A port that stays the same from start to start of one application in one place, so that what others remember of it
/// stays true.
pub fn stable_port(app_id: &str) -> u16 {
    let folder = std::env::current_dir().unwrap_or_default();
    let seed = format!(
        "{app_id}|{}|{}|{}",
        folder.display(),
        user_id(),
        crate::platform::hostname()
    );
    let digest = Sha256::digest(seed.as_bytes());
    let number = u16::from_le_bytes([digest[0], digest[1]]);
    47300 + number % (65535 - 47300)
}

fn user_id() -> u32 {
    crate::platform::user_id()
}

#[cfg(test)]
mod tests;
