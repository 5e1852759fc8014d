//! The commands and flags of `dapr`. Names, short forms and defaults are those of the original.

mod manage;
mod run;

pub(crate) use manage::{
    Completion, Components, Init, Invoke, Later, List, ListFormat, Publish, Shell, Stop, TableFormat, Uninstall,
    Version, VersionFormat,
};
pub(crate) use run::Run;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Runs applications with Dapr's sidecar on this machine, and talks to them.
#[derive(Debug, Parser)]
#[command(
    name = "dapr",
    disable_version_flag = true,
    allow_negative_numbers = true,
    max_term_width = 120,
    after_help = "Errors in flags exit with 255, other errors with 1; `run` passes on the exit code of its application."
)]
pub(crate) struct Cli {
    /// Print messages as JSON
    #[arg(long, global = true)]
    pub(crate) log_as_json: bool,

    /// The folder in which `.dapr` is, if not the home folder
    #[arg(
        long,
        global = true,
        value_name = "FOLDER",
        env = "DAPR_RUNTIME_PATH",
        hide_env_values = true
    )]
    pub(crate) runtime_path: Option<PathBuf>,

    /// Print the versions of the command line and of the runtime
    #[arg(short = 'v', long)]
    pub(crate) version: bool,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What `dapr` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the defaults: a state store and a broker in files, a configuration; nothing is downloaded
    Init(Init),
    /// Run a sidecar and an application beside it, or several from a template
    ///
    /// One application has the standard input, output and errors of the run, and its exit code is passed on. With
    /// --run-file there may be several: each line has a prefix, and goes to the files and the console that the template
    /// says; flags given here count for all of them, over the template. When one fails (the application, its command, its
    /// sidecar), the others are ended and the exit code is 1; one that ends with 0, or is stopped by `dapr stop --app-id`,
    /// leaves the others alone. Ctrl-C, SIGTERM and SIGHUP end everything that was started; a second one ends it at once.
    Run(Box<Run>),
    /// Stop applications and their sidecars
    Stop(Stop),
    /// List the sidecars that run
    List(List),
    /// Call a method of an application
    Invoke(Invoke),
    /// Publish an event
    Publish(Publish),
    /// List the components that are loaded, or those that could be; or show the fields of one
    Components(Components),
    /// Remove what `init` has written
    Uninstall(Uninstall),
    /// Print the versions of the command line and of the runtime
    Version(Version),
    /// Print what the command line and the runtime were built from
    BuildInfo,
    /// Print a script that completes commands in a shell
    Completion(Completion),

    /// Not available yet: add annotations to Kubernetes manifests
    Annotate(Later),
    /// Not available yet: list the configurations in Kubernetes
    Configurations(Later),
    /// Not available yet: show the dashboard
    Dashboard(Later),
    /// Not available yet: show the log of a sidecar in Kubernetes
    Logs(Later),
    /// Not available yet: list MCP servers
    Mcpservers(Later),
    /// Not available yet: certificates of the control plane
    Mtls(Later),
    /// Not available yet: jobs and reminders
    #[command(alias = "sched")]
    Scheduler(Later),
    /// Not available yet: health of the control plane in Kubernetes
    Status(Later),
    /// Not available yet: upgrade the control plane in Kubernetes
    Upgrade(Later),
    /// Not available yet: workflows
    #[command(alias = "wf")]
    Workflow(Later),

    /// Ends what a run has started, should the run die
    #[command(name = crate::run::GUARD, hide = true)]
    Guard,
}

#[cfg(test)]
mod tests;
