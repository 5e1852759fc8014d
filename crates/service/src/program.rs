//! From `main` to exit code.

use std::future::Future;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use telemetry::{fatal, logs};
use tokio::runtime::{Builder, Runtime};

use crate::args::CommonArgs;
use crate::host::{BoxError, Host, panic_message};
use crate::signals::Signals;

/// Threads for work that blocks: enough for files and name resolution, few enough to cost no memory.
const BLOCKING_THREADS: usize = 32;
/// More threads than this only cost memory: the work is waiting.
const MAX_WORKERS: usize = 16;
/// How long tasks may take to end after the program itself has.
const PATIENCE: Duration = Duration::from_secs(5);

const SCOPE: &str = "dapr";

/// Which program runs.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// The scope of its log: `dapr.placement`.
    pub name: &'static str,
    /// The application's id, or empty.
    pub app_id: &'a str,
    /// Its version.
    pub version: &'a str,
}

/// Runs a program: sets up the log and the signals, runs `main` in a runtime, and waits for its tasks.
pub fn run<M, F, E>(program: &Program<'_>, args: &CommonArgs, main: M) -> ExitCode
where
    M: FnOnce(Host) -> F,
    F: Future<Output = Result<(), E>>,
    E: Into<BoxError>,
{
    if let Err(error) = logs::init(&args.logs(program.app_id, program.version)) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    install_crypto();
    log_panics();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            fatal!(target: SCOPE, scope = program.name, "Cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(supervise(main));
    // what still blocks must not hold up the exit
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            fatal!(target: SCOPE, scope = program.name, "{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a future in a runtime as programs have it: for command lines and tests.
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    Ok(runtime()?.block_on(future))
}

async fn supervise<M, F, E>(main: M) -> Result<(), BoxError>
where
    M: FnOnce(Host) -> F,
    F: Future<Output = Result<(), E>>,
    E: Into<BoxError>,
{
    let host = Host::default();
    let signals = Signals::listen()?;
    tokio::spawn(signals.run(host.clone()));
    let result = main(host.clone()).await;
    host.cancel.cancel();
    let tasks = host.join(PATIENCE).await;
    result.map_err(Into::into)?;
    Ok(tasks?)
}

/// The runtime of a program: as many workers as there are processors to use, at least two and not too many.
pub fn runtime() -> io::Result<Runtime> {
    let available = std::thread::available_parallelism().map_or(2, usize::from);
    Builder::new_multi_thread()
        .worker_threads(available.clamp(2, MAX_WORKERS))
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("dapr")
        .enable_all()
        .build()
}

/// One provider of cryptography for everything that asks rustls for the default one. In a process that has one it stays.
fn install_crypto() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Panics become log lines, not text between them.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(target: SCOPE, "Panic at {place}: {}", panic_message(info.payload()));
    }));
}
