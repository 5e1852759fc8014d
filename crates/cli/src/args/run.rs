//! The flags of `run`. What is not given stays open, so that a template can say it.

use crate::run::settings::{Paths, Settings};
use clap::Args;
use service::boolean;
use std::path::PathBuf;

/// Flags of `run`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Run {
    /// The application's id; a name is made up if none is given
    #[arg(short = 'a', long)]
    pub(crate) app_id: Option<String>,

    /// The port that the application listens on
    #[arg(short = 'p', long, value_name = "PORT", allow_hyphen_values = true)]
    pub(crate) app_port: Option<i64>,

    /// What the application speaks: http, https, h2c, grpc or grpcs
    #[arg(short = 'P', long, value_name = "PROTOCOL")]
    pub(crate) app_protocol: Option<String>,

    /// The host that the application listens on
    #[arg(long, value_name = "HOST")]
    pub(crate) app_channel_address: Option<String>,

    /// How many calls the application may be given at a time; -1 for any number
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) app_max_concurrency: Option<i64>,

    /// Deprecated: use --app-protocol=https or grpcs
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean, hide = true)]
    pub(crate) app_ssl: Option<bool>,

    /// A configuration file; ~/.dapr/config.yaml if there is one and none is given
    #[arg(short = 'c', long, value_name = "FILE")]
    pub(crate) config: Option<String>,

    /// A folder of resources, may be given several times; ~/.dapr/components if there is one and none is given
    #[arg(long, value_name = "FOLDER", value_delimiter = ',')]
    pub(crate) resources_path: Vec<String>,

    /// Deprecated: use --resources-path
    #[arg(short = 'd', long, value_name = "FOLDER")]
    pub(crate) components_path: Option<String>,

    /// The port of the sidecar's HTTP API; a free one if none is given
    #[arg(short = 'H', long, value_name = "PORT", allow_hyphen_values = true)]
    pub(crate) dapr_http_port: Option<i64>,

    /// The port of the sidecar's gRPC API; a free one if none is given
    #[arg(short = 'G', long, value_name = "PORT", allow_hyphen_values = true)]
    pub(crate) dapr_grpc_port: Option<i64>,

    /// The port for other sidecars; the same from start to start if none is given
    #[arg(short = 'I', long, value_name = "PORT", allow_hyphen_values = true)]
    pub(crate) dapr_internal_grpc_port: Option<i64>,

    /// The port of the sidecar's metrics; a free one if none is given
    #[arg(short = 'M', long, value_name = "PORT", allow_hyphen_values = true)]
    pub(crate) metrics_port: Option<i64>,

    /// The addresses that the sidecar listens on, with commas; this machine only if none is given
    #[arg(long, value_name = "ADDRESSES")]
    pub(crate) dapr_listen_addresses: Option<String>,

    /// A folder for Unix sockets, which the sidecar uses instead of ports
    #[arg(short = 'u', long, value_name = "FOLDER")]
    pub(crate) unix_domain_socket: Option<String>,

    /// Start the profiling server
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub(crate) enable_profiling: Option<bool>,

    /// The port of the profiling server
    #[arg(long, value_name = "PORT", allow_hyphen_values = true)]
    pub(crate) profile_port: Option<i64>,

    /// The least important messages that the sidecar logs: debug, info, warn, error, fatal or panic
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,

    /// Log the calls of the sidecar's APIs
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub(crate) enable_api_logging: Option<bool>,

    /// The address of placement
    #[arg(long, value_name = "ADDRESS", env = "DAPR_PLACEMENT_HOST_ADDRESS")]
    pub(crate) placement_host_address: Option<String>,

    /// The address of the scheduler
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) scheduler_host_address: Option<String>,

    /// The largest body of a request, such as 4Mi
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_body_size: Option<String>,

    /// The most bytes of a request's headers, such as 4Ki
    #[arg(long, value_name = "SIZE")]
    pub(crate) read_buffer_size: Option<String>,

    /// Check the application's health
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub(crate) enable_app_health_check: Option<bool>,

    /// The path of the health check
    #[arg(long, value_name = "PATH")]
    pub(crate) app_health_check_path: Option<String>,

    /// How often the application's health is checked, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) app_health_probe_interval: Option<i64>,

    /// How long a health check may take, in milliseconds
    #[arg(long, value_name = "MILLISECONDS")]
    pub(crate) app_health_probe_timeout: Option<i64>,

    /// How many failed checks in a row make the application unhealthy
    #[arg(long, value_name = "N")]
    pub(crate) app_health_threshold: Option<i64>,

    /// Run the applications of a template: a file, a folder with a dapr.yaml, or - for standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) run_file: Option<PathBuf>,

    /// Not available yet: run in Kubernetes
    #[arg(short = 'k', long)]
    pub(crate) kubernetes: bool,

    /// The application's command and its arguments, after --
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

impl Run {
    /// What the flags say, in the words of a template.
    pub(crate) fn settings(&self) -> Settings {
        let all = self.clone();
        let mut folders = all.resources_path;
        if folders.is_empty() {
            folders.extend(all.components_path);
        }
        Settings {
            app_id: all.app_id,
            app_port: all.app_port,
            dapr_http_port: all.dapr_http_port,
            dapr_grpc_port: all.dapr_grpc_port,
            dapr_internal_grpc_port: all.dapr_internal_grpc_port,
            metrics_port: all.metrics_port,
            profile_port: all.profile_port,
            unix_domain_socket: all.unix_domain_socket,
            command: (!all.command.is_empty()).then_some(all.command),
            app_protocol: all.app_protocol,
            app_channel_address: all.app_channel_address,
            app_max_concurrency: all.app_max_concurrency,
            app_ssl: all.app_ssl,
            config_file_path: all.config,
            resources_paths: (!folders.is_empty()).then_some(Paths(folders)),
            api_listen_addresses: all.dapr_listen_addresses,
            enable_profiling: all.enable_profiling,
            log_level: all.log_level,
            enable_api_logging: all.enable_api_logging,
            placement_host_address: all.placement_host_address,
            scheduler_host_address: all.scheduler_host_address,
            max_body_size: all.max_body_size,
            read_buffer_size: all.read_buffer_size,
            enable_app_health_check: all.enable_app_health_check,
            app_health_check_path: all.app_health_check_path,
            app_health_probe_interval: all.app_health_probe_interval,
            app_health_probe_timeout: all.app_health_probe_timeout,
            app_health_threshold: all.app_health_threshold,
            ..Settings::default()
        }
    }
}
