//! The host in which every program runs.
//!
//! For: the start-up that all programs share. Enters: the command line, signals, tasks. Leaves: parsed flags, a log that is
//! set up, a cancellation when it is time to stop, an exit code. May live here: common flags and how they are read, the
//! runtime, supervision of tasks, signals, the small HTTP servers for metrics and health. May not: anything that one program
//! alone needs.
//!
//! A program is `Args` and `run(args, host)`:
//!
//! ```ignore
//! fn main() -> ExitCode {
//!     let args = match service::parse::<Args>(std::env::args_os()) {
//!         Ok(args) => args,
//!         Err(code) => return code,
//!     };
//!     let program = service::Program { name: "dapr.placement", app_id: "", version: VERSION };
//!     service::run(&program, &args.common.clone(), |host| placement::run(args, host))
//! }
//! ```

mod args;
pub mod health;
mod host;
pub mod http;
mod program;
mod signals;
#[cfg(test)]
mod tests;

pub use args::{CommonArgs, boolean, normalize_args, parse};
pub use health::Health;
pub use host::{BoxError, Host, TaskError};
pub use program::{Program, block_on, run, runtime};
