//! `dapr run`: one application, or those of a template, each with its sidecar. Whatever ends the run ends everything that
//! it started.
//!
//! One application: its standard input, output and errors are those of the run, and its exit code is, too. Several: each
//! line has a prefix; when one fails (the application, its command, its sidecar), the others are ended, and the exit code
//! is 1. One that ends with 0, or whose sidecar is told to end, leaves the others alone.

pub(crate) mod app;
pub(crate) mod console;
mod guard;
mod launch;
mod logs;
mod ports;
mod process;
pub(crate) mod settings;
mod supervise;
pub(crate) mod template;

pub(crate) use guard::{GUARD, main as guard_main};

use crate::{args, commands::not_available, messages::Messages};
use anyhow::{Context, Result, bail};
use app::App;
use console::Console;
use guard::Guard;
use logs::{Sink, Source};
use ports::Ports;
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use supervise::{Member, Origin, Outcome, Stop, Unit};
use template::Template;
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};

/// How long the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Runs, and returns the exit code.
pub(crate) async fn run(args: args::Run, runtime_path: Option<&Path>, messages: &Messages) -> Result<u8> {
    if args.kubernetes {
        return Err(not_available("run --kubernetes"));
    }
    let stop = Stop::default();
    listen(stop.clone())?;
    let executable = std::env::current_exe().context("this executable cannot be found")?;
    match &args.run_file {
        Some(file) => several(&args, file, runtime_path, &executable, &stop, messages).await,
        None => single(&args, runtime_path, &executable, &stop, messages).await,
    }
}

/// The first signal asks for the end, the second for the end at once.
fn listen(stop: Stop) -> Result<()> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let heard = Arc::new(AtomicBool::new(false));
    for kind in kinds {
        let mut signals = signal(kind).context("signals cannot be heard")?;
        let (stop, heard) = (stop.clone(), heard.clone());
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                if heard.swap(true, Ordering::Relaxed) {
                    stop.now.cancel();
                }
                stop.interrupted
                    .store(kind == SignalKind::interrupt(), Ordering::Relaxed);
                stop.requested.cancel();
            }
        });
    }
    Ok(())
}

/// The guard; a run without one is possible.
fn start_guard(executable: &Path, messages: &Messages) -> Option<Guard> {
    let started = Guard::start(executable);
    if let Err(error) = &started {
        messages.warn(format!("nobody will clean up should this process be killed: {error}"));
    }
    started.ok()
}

async fn single(
    args: &args::Run,
    runtime_path: Option<&Path>,
    executable: &Path,
    stop: &Stop,
    messages: &Messages,
) -> Result<u8> {
    let folder = std::env::current_dir().context("the current folder cannot be told")?;
    let settings = args.settings().with_paths_from(&folder);
    let mut ports = Ports::default();
    let app = App::new(settings, runtime_path, &mut ports).map_err(in_words_of_flags)?;
    ports.release();
    let place = format!("HTTP Port: {}. gRPC Port: {}", app.ports.http, app.ports.grpc);
    messages.info(format!("Starting Dapr with id {}. {place}", app.id));
    let unit = Unit {
        app,
        member: None,
        executable: executable.to_owned(),
        guard: start_guard(executable, messages),
        stop: stop.clone(),
        messages: messages.clone(),
    };
    match unit.run().await {
        Outcome::Done | Outcome::Stopped => Ok(0),
        Outcome::Failed(what, code) => {
            messages.fail(what);
            Ok(code)
        }
    }
}

/// Errors name the fields of a template; without one, the flags.
fn in_words_of_flags(error: anyhow::Error) -> anyhow::Error {
    const FLAGS: &[(&str, &str)] = &[
        ("appID", "--app-id"),
        ("appPort", "--app-port"),
        ("appProtocol", "--app-protocol"),
        ("configFilePath", "--config"),
        ("daprHTTPPort", "--dapr-http-port"),
        ("daprGRPCPort", "--dapr-grpc-port"),
        ("daprInternalGRPCPort", "--dapr-internal-grpc-port"),
        ("logLevel", "--log-level"),
        ("metricsPort", "--metrics-port"),
        ("profilePort", "--profile-port"),
        ("resourcesPaths", "--resources-path"),
    ];
    let mut text = format!("{error:#}");
    for (field, flag) in FLAGS {
        text = text.replace(field, flag);
    }
    anyhow::Error::msg(text)
}

async fn several(
    args: &args::Run,
    file: &Path,
    runtime_path: Option<&Path>,
    executable: &Path,
    stop: &Stop,
    messages: &Messages,
) -> Result<u8> {
    let flags = args.settings();
    let own = flags.of_one_application();
    if !own.is_empty() {
        bail!(
            "with a template, what belongs to one application stands in the template: {}",
            own.join(", ")
        );
    }
    let folder = std::env::current_dir().context("the current folder cannot be told")?;
    let flags = flags.with_paths_from(&folder);
    let template = Template::read(file)?;
    for warning in &template.warnings {
        messages.warn(format!("{}: {warning}", template.path.display()));
    }
    let mut ports = Ports::default();
    let mut apps = Vec::new();
    for settings in template.apps {
        let id = settings.app_id.clone().unwrap_or_default();
        messages.info(format!("Validating config and starting app {id:?}"));
        let app = App::new(flags.clone().over(settings), runtime_path, &mut ports);
        apps.push(
            app.with_context(|| format!("the template {} is wrong: application {id:?}", template.path.display()))?,
        );
    }
    ports.release();
    let console = Console::start().context("no thread can be started")?;
    let messages = messages.through(console.clone());
    let guard = start_guard(executable, &messages);
    let origin = Origin {
        path: template.path.display().to_string(),
        name: template.name,
    };
    let time = logs::now();
    let mut units = JoinSet::new();
    for (index, app) in apps.into_iter().enumerate() {
        let unit = Unit {
            member: Some(member(&app, index, &origin, &console, &time)?),
            app,
            executable: executable.to_owned(),
            guard: guard.clone(),
            stop: stop.clone(),
            messages: messages.clone(),
        };
        units.spawn(async move { (unit.app.id.clone(), unit.run().await) });
    }
    let code = all(units, stop, &messages).await;
    tokio::task::spawn_blocking(move || console.flush(LAST_LINES))
        .await
        .context("the console")?;
    Ok(code)
}

/// What an application of a template has.
fn member(app: &App, index: usize, origin: &Origin, console: &Console, time: &str) -> Result<Member> {
    let file = |source, wanted: bool| wanted.then(|| logs::file(&app.folder, &app.id, source, time));
    let app_file: Option<PathBuf> = file(Source::App, app.app_log.has_file() && !app.command.is_empty());
    let daprd_file: Option<PathBuf> = file(Source::Daprd, app.daprd_log.has_file());
    let console = |wanted: bool| wanted.then(|| console.clone());
    Ok(Member {
        origin: origin.clone(),
        app: Sink::new(
            &app.id,
            Source::App,
            index,
            console(app.app_log.has_console()),
            app_file.as_deref(),
        )?,
        daprd: Sink::new(
            &app.id,
            Source::Daprd,
            index,
            console(app.daprd_log.has_console()),
            daprd_file.as_deref(),
        )?,
        app_file,
        daprd_file,
    })
}

/// Waits for all applications; ends the others when one fails. Says at the end how each of them ended.
async fn all(mut units: JoinSet<(String, Outcome)>, stop: &Stop, messages: &Messages) -> u8 {
    let mut outcomes = Vec::new();
    let mut said_stop = false;
    loop {
        let joined = tokio::select! {
            joined = units.join_next() => joined,
            () = stop.requested.cancelled(), if !said_stop => {
                said_stop = true;
                messages.info("Stopping all applications and their sidecars");
                continue;
            }
        };
        let Some(joined) = joined else { break };
        outcomes.push(joined.unwrap_or_else(|error| {
            stop.requested.cancel();
            ("?".into(), Outcome::Failed(error.to_string(), 1))
        }));
    }
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|(_, outcome)| matches!(outcome, Outcome::Failed(..)))
        .map(|(id, _)| id.as_str())
        .collect();
    if failed.is_empty() {
        return 0;
    }
    let count = outcomes.len();
    messages.fail(format!(
        "{} of {count} applications failed: {}; the others were stopped",
        failed.len(),
        failed.join(", ")
    ));
    1
}
