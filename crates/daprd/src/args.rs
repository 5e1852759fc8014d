//! The flags of `daprd`. They are those of the original; one definition drives parsing, help and the reference page.

use clap::{ArgAction, Parser};
use service::{CommonArgs, boolean};
use std::path::PathBuf;

/// The sidecar: it runs beside an application and gives it, over HTTP and gRPC, the building blocks of Dapr.
#[derive(Debug, Clone, Parser)]
#[command(name = "daprd", disable_version_flag = true, allow_negative_numbers = true)]
pub struct Args {
    /// Flags that all programs have
    #[command(flatten)]
    pub common: CommonArgs,

    /// Where the sidecar runs: standalone or kubernetes
    #[arg(long, default_value = "standalone")]
    pub mode: String,

    /// The application's id; required, without dots
    #[arg(long, default_value = "")]
    pub app_id: String,

    /// The port that the application listens on
    #[arg(long, default_value = "")]
    pub app_port: String,

    /// What the application speaks: http, https, h2c, grpc or grpcs
    #[arg(long, default_value = "http")]
    pub app_protocol: String,

    /// The host that the application listens on
    #[arg(long, default_value = "127.0.0.1")]
    pub app_channel_address: String,

    /// How many calls the application may be given at a time; -1 for any number
    #[arg(long, default_value = "-1", allow_hyphen_values = true)]
    pub app_max_concurrency: i64,

    /// Deprecated: use --app-protocol=https or grpcs
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = boolean)]
    pub app_ssl: bool,

    /// The port of the HTTP API
    #[arg(long, default_value = "3500")]
    pub dapr_http_port: String,

    /// The port of the gRPC API
    #[arg(long, default_value = "50001")]
    pub dapr_grpc_port: String,

    /// The port of health and metadata for the outside; none if empty
    #[arg(long, default_value = "")]
    pub dapr_public_port: String,

    /// The port of the profiling server
    #[arg(long, default_value = "7777")]
    pub profile_port: String,

    /// The port for other sidecars; one that stays the same from start to start if empty or 0
    #[arg(long, default_value = "")]
    pub dapr_internal_grpc_port: String,

    /// The addresses that the APIs listen on, with commas; all interfaces if empty
    #[arg(long, default_value = "")]
    pub dapr_listen_addresses: String,

    /// The address that the public port listens on
    #[arg(long, default_value = "")]
    pub dapr_public_listen_address: String,

    /// The address that the port for other sidecars listens on
    #[arg(long, default_value = "")]
    pub dapr_internal_grpc_listen_address: String,

    /// Deprecated: use --resources-path
    #[arg(long, default_value = "")]
    pub components_path: String,

    /// A folder of resources; may be given several times
    #[arg(long)]
    pub resources_path: Vec<PathBuf>,

    /// A configuration file; may be given several times, the later one wins
    #[arg(long)]
    pub config: Vec<String>,

    /// The address of the operator
    #[arg(long, default_value = "")]
    pub control_plane_address: String,

    /// The address of sentry
    #[arg(long, default_value = "")]
    pub sentry_address: String,

    /// The trust domain of the control plane
    #[arg(long, default_value = "localhost")]
    pub control_plane_trust_domain: String,

    /// The namespace of the control plane
    #[arg(long, default_value = "default")]
    pub control_plane_namespace: String,

    /// Audiences of the tokens that are asked of sentry, with commas
    #[arg(long, default_value = "")]
    pub sentry_request_jwt_audiences: String,

    /// Addresses of placement, with commas; actors are off if empty
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub placement_host_address: String,

    /// Addresses of the scheduler, with commas; jobs and reminders are off if empty
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    pub scheduler_host_address: String,

    /// How many streams are held to each scheduler
    #[arg(long, default_value = "3")]
    pub scheduler_job_streams: u32,

    /// How long a round of placement may take
    #[arg(long, default_value = "30s")]
    pub actors_disseminate_timeout: String,

    /// Whether connections between sidecars are authenticated and encrypted
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = boolean)]
    pub enable_mtls: bool,

    /// Origins of browsers that may call the HTTP API, with commas; `*` for all
    #[arg(long, default_value = "")]
    pub allowed_origins: String,

    /// The largest body of a request, such as 4Mi
    #[arg(long, default_value = "4Mi")]
    pub max_body_size: String,

    /// The most bytes of a request's headers, such as 4Ki
    #[arg(long, default_value = "4Ki")]
    pub read_buffer_size: String,

    /// Deprecated: use --max-body-size; in MB
    #[arg(long, default_value = "4", allow_hyphen_values = true)]
    pub dapr_http_max_request_size: i64,

    /// Deprecated: use --read-buffer-size; in KB
    #[arg(long, default_value = "4", allow_hyphen_values = true)]
    pub dapr_http_read_buffer_size: i64,

    /// A folder for Unix sockets, which the APIs use instead of ports
    #[arg(long, default_value = "")]
    pub unix_domain_socket: String,

    /// How long a graceful shutdown may take, in seconds
    #[arg(long, default_value = "5", allow_hyphen_values = true)]
    pub dapr_graceful_shutdown_seconds: i64,

    /// How long the APIs stay up after the signal to end, while nothing new is taken in
    #[arg(long)]
    pub dapr_block_shutdown_duration: Option<String>,

    /// Whether calls of the APIs are logged; the configuration decides if it is not given
    #[arg(long, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = boolean)]
    pub enable_api_logging: Option<bool>,

    /// Whether the secret store of Kubernetes is left out
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = boolean)]
    pub disable_builtin_k8s_secret_store: bool,

    /// What the application is not asked at start: config, subscribe
    #[arg(long, default_value = "")]
    pub disable_init_endpoints: String,

    /// Whether the application's health is checked
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = boolean)]
    pub enable_app_health_check: bool,

    /// The path of the health check
    #[arg(long, default_value = "/healthz")]
    pub app_health_check_path: String,

    /// How often the application's health is checked, in seconds
    #[arg(long, default_value = "5", allow_hyphen_values = true)]
    pub app_health_probe_interval: i64,

    /// How long a health check may take, in milliseconds
    #[arg(long, default_value = "500", allow_hyphen_values = true)]
    pub app_health_probe_timeout: i64,

    /// How many failed checks in a row make the application unhealthy
    #[arg(long, default_value = "3", allow_hyphen_values = true)]
    pub app_health_threshold: i64,

    /// How long the application may take to say whether it has an input binding
    #[arg(long, default_value = "3s")]
    pub app_binding_options_timeout: String,

    /// How often all resources are compared again
    #[arg(long, default_value = "0")]
    pub hot_reload_reconcile_interval: String,

    /// Whether the profiling server is started
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = boolean)]
    pub enable_profiling: bool,

    /// Print the version and end
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = boolean)]
    pub version: bool,

    /// Print what the program was built from and end
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = boolean)]
    pub build_info: bool,

    /// Wait until the sidecar on this machine can be called, and end
    #[arg(long, default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = boolean)]
    pub wait: bool,

    /// Deprecated and without effect
    #[arg(long, default_value = "", hide = true)]
    pub reminders_service: String,

    /// Deprecated and without effect
    #[arg(long, default_value = "", hide = true)]
    pub actors_service: String,
}
