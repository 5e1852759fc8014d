//! The flags of all commands but `run`.

use clap::{Args, ValueEnum};
use service::boolean;
use std::{ffi::OsString, path::PathBuf};

/// Flags of `init`. Most are about containers, clusters or downloads; they are accepted, and said to have no effect.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Init {
    /// Only link the programs, write no components and no configuration
    #[arg(short = 's', long)]
    pub(crate) slim: bool,
    /// Not available yet: install into Kubernetes
    #[arg(short = 'k', long)]
    pub(crate) kubernetes: bool,
    #[arg(long, hide = true)]
    pub(crate) dev: bool,
    #[arg(long, hide = true)]
    pub(crate) wait: bool,
    #[arg(long, hide = true, value_name = "SECONDS")]
    pub(crate) timeout: Option<u64>,
    #[arg(long, hide = true, env = "DAPR_RUNTIME_VERSION")]
    pub(crate) runtime_version: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) dashboard_version: Option<String>,
    #[arg(short = 'n', long, hide = true)]
    pub(crate) namespace: Option<String>,
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = boolean)]
    pub(crate) enable_mtls: Option<bool>,
    #[arg(long, hide = true)]
    pub(crate) enable_ha: bool,
    #[arg(long, hide = true, env = "DAPR_NETWORK")]
    pub(crate) network: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) from_dir: Option<PathBuf>,
    #[arg(long, hide = true)]
    pub(crate) image_variant: Option<String>,
    #[arg(long, hide = true, env = "DAPR_IMAGE_REGISTRY")]
    pub(crate) image_registry: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) scheduler_volume: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) scheduler_override_broadcast_host_port: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) redis_stack: bool,
    #[arg(long, hide = true)]
    pub(crate) set: Vec<String>,
    #[arg(long, hide = true, env = "DAPR_CONTAINER_RUNTIME")]
    pub(crate) container_runtime: Option<String>,
    #[arg(long, hide = true)]
    pub(crate) ca_root_certificate: Option<PathBuf>,
    #[arg(long, hide = true)]
    pub(crate) issuer_private_key: Option<PathBuf>,
    #[arg(long, hide = true)]
    pub(crate) issuer_public_certificate: Option<PathBuf>,
}

/// Flags of `uninstall`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Uninstall {
    /// Also remove the data, and what was changed since `init`
    #[arg(long)]
    pub(crate) all: bool,
    /// Not available yet: uninstall from Kubernetes
    #[arg(short = 'k', long)]
    pub(crate) kubernetes: bool,
    #[arg(long, hide = true)]
    pub(crate) dev: bool,
    #[arg(long, hide = true)]
    pub(crate) timeout: Option<u64>,
    #[arg(long, hide = true, env = "DAPR_NETWORK")]
    pub(crate) network: Option<String>,
    #[arg(short = 'n', long, hide = true)]
    pub(crate) namespace: Option<String>,
    #[arg(long, hide = true, env = "DAPR_CONTAINER_RUNTIME")]
    pub(crate) container_runtime: Option<String>,
}

/// Flags of `stop`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Stop {
    /// The id of an application; may be given several times
    #[arg(short = 'a', long, value_delimiter = ',')]
    pub(crate) app_id: Vec<String>,
    /// Stop all applications of a template that runs: its file, or its folder
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) run_file: Option<PathBuf>,
    /// Not available yet: stop what runs in Kubernetes
    #[arg(short = 'k', long)]
    pub(crate) kubernetes: bool,
}

/// How `list` prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum TableFormat {
    /// Columns.
    #[default]
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Flags of `list`.
#[derive(Debug, Clone, Args)]
pub(crate) struct List {
    /// How to print
    #[arg(short = 'o', long, value_enum, default_value = "table")]
    pub(crate) output: TableFormat,
    /// Not available yet: list what runs in Kubernetes
    #[arg(short = 'k', long)]
    pub(crate) kubernetes: bool,
    #[arg(short = 'A', long, hide = true)]
    pub(crate) all_namespaces: bool,
    #[arg(short = 'n', long, hide = true)]
    pub(crate) namespace: Option<String>,
}

/// Flags of `invoke`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Invoke {
    /// The id of the application
    #[arg(short = 'a', long)]
    pub(crate) app_id: String,
    /// The method: a path, with its query if there is one
    #[arg(short = 'm', long)]
    pub(crate) method: String,
    /// What is sent
    #[arg(short = 'd', long, allow_hyphen_values = true, conflicts_with = "data_file")]
    pub(crate) data: Option<String>,
    /// A file of which the content is sent, - for standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) data_file: Option<PathBuf>,
    /// The HTTP verb
    #[arg(short = 'v', long, default_value = "POST")]
    pub(crate) verb: String,
    /// The folder of the sidecar's Unix sockets
    #[arg(short = 'u', long, value_name = "FOLDER")]
    pub(crate) unix_domain_socket: Option<PathBuf>,
}

/// Flags of `publish`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Publish {
    /// The id of the application that publishes
    #[arg(short = 'i', long, value_name = "APP_ID")]
    pub(crate) publish_app_id: String,
    /// The name of the broker's component
    #[arg(short = 'p', long)]
    pub(crate) pubsub: String,
    /// The topic
    #[arg(short = 't', long)]
    pub(crate) topic: String,
    /// What is sent
    #[arg(short = 'd', long, allow_hyphen_values = true, conflicts_with = "data_file")]
    pub(crate) data: Option<String>,
    /// A file of which the content is sent, - for standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) data_file: Option<PathBuf>,
    /// Metadata of the event, a JSON map such as {"rawPayload":"true"}
    #[arg(short = 'm', long, value_name = "JSON")]
    pub(crate) metadata: Option<String>,
    /// The folder of the sidecar's Unix sockets
    #[arg(short = 'u', long, value_name = "FOLDER")]
    pub(crate) unix_domain_socket: Option<PathBuf>,
}

/// How `components` prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// Columns.
    #[default]
    #[value(alias = "table")]
    List,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Flags of `components`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Components {
    /// A type, such as state.redis: show its metadata fields
    #[arg(value_name = "TYPE")]
    pub(crate) component_type: Option<String>,
    /// List what could be loaded: the components that are compiled in
    #[arg(long, conflicts_with = "resources_path")]
    pub(crate) available: bool,
    /// List the components of these folders instead of those that running sidecars have loaded
    #[arg(long, value_name = "FOLDER", value_delimiter = ',')]
    pub(crate) resources_path: Vec<PathBuf>,
    /// Only those that the sidecar of this application has loaded
    #[arg(short = 'a', long)]
    pub(crate) app_id: Option<String>,
    /// Only the component, or the type, of this name
    #[arg(short = 'n', long)]
    pub(crate) name: Option<String>,
    /// How to print
    #[arg(short = 'o', long, value_enum, default_value = "list")]
    pub(crate) output: ListFormat,
    /// Not available yet: list the components in Kubernetes
    #[arg(short = 'k', long)]
    pub(crate) kubernetes: bool,
    #[arg(short = 'A', long, hide = true)]
    pub(crate) all_namespaces: bool,
    #[arg(long, hide = true)]
    pub(crate) namespace: Option<String>,
}

/// How `version` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VersionFormat {
    /// JSON.
    Json,
}

/// Flags of `version`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Version {
    /// How to print, text if it is not given
    #[arg(short = 'o', long, value_enum)]
    pub(crate) output: Option<VersionFormat>,
}

/// A shell that can complete commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
}

/// Flags of `completion`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// A command that belongs to later work: it takes whatever it is given.
#[derive(Debug, Clone, Args)]
pub(crate) struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    pub(crate) rest: Vec<OsString>,
}
