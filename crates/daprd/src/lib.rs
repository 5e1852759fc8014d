//! The sidecar program: assembly, and nothing else.
//!
//! **What for:** from flags and environment to running servers, in dependency order; each part gets what it needs and
//! nobody gets the sidecar. **What enters:** [`Args`] and a host. **What leaves:** an exit code. **What may live here:**
//! the order of start and end. No logic of a building block.

mod app_config;
mod args;
mod assemble;
mod loading;
mod names;
mod observe;
pub mod platform;
mod pluggable;
mod servers;
pub mod settings;
mod stop;

pub use args::Args;
pub use settings::{SettingError, Settings};

use service::{Host, Program};
use std::{ffi::OsString, process::ExitCode};

/// The version of Dapr whose interfaces the sidecar has.
pub const DAPR_VERSION: &str = blocks::metadata::DAPR_VERSION;
/// The version of this project.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs the program with a command line, whose first word is its name.
pub fn main(command_line: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Args = match service::parse(command_line) {
        Ok(args) => args,
        Err(code) => return code,
    };
    if args.version {
        println!("{DAPR_VERSION}");
        return ExitCode::SUCCESS;
    }
    if args.build_info {
        println!("Version: {DAPR_VERSION}\nOutrigger Version: {VERSION}\nGit Commit:\nGit Version:\nFeatures:");
        return ExitCode::SUCCESS;
    }
    if args.wait {
        return wait(&args);
    }
    let common = args.common.clone();
    let app_id = args.app_id.clone();
    let program = Program {
        name: "dapr.runtime",
        app_id: &app_id,
        version: DAPR_VERSION,
    };
    service::run(&program, &common, |host: Host| async move {
        assemble::run(args, host)
            .await
            .map_err(|error| format!("Fatal error from runtime: {error}"))
    })
}

/// Waits until the sidecar on this machine can be called by its application.
fn wait(args: &Args) -> ExitCode {
    let port = args.dapr_http_port.clone();
    let ready = service::block_on(async move {
        let client = client::Client::new(
            client::Address::Tcp(format!("127.0.0.1:{port}")),
            client::Options::default(),
        );
        for _ in 0..600 {
            let request = http::Request::get("/v1.0/healthz/outbound")
                .header("host", "localhost")
                .body(component::middleware::empty());
            let Ok(request) = request else { return false };
            if let Ok(response) = client.send(request).await
                && response.status().is_success()
            {
                return true;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        false
    });
    if matches!(ready, Ok(true)) {
        println!("Dapr sidecar is ready");
        return ExitCode::SUCCESS;
    }
    eprintln!("the Dapr sidecar was not ready within 60 seconds");
    ExitCode::FAILURE
}
