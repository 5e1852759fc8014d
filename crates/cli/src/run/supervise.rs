//! One application and its sidecar, from start to end.

use super::{
    app::App,
    guard::Guard,
    launch,
    logs::Sink,
    process::{Ending, Family, Program},
};
use crate::{messages::Messages, platform, sidecar::Sidecar};
use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;

/// How long a sidecar may take before its application is started anyway.
const SIDECAR_PATIENCE: Duration = Duration::from_secs(60);
/// How long an application on the terminal, which gets a Ctrl-C itself, has before it is asked to end.
const AFTER_INTERRUPT: Duration = Duration::from_secs(3);
/// How long an application has to end.
const APP_GRACE: Duration = Duration::from_secs(5);
/// How long a sidecar has to end: longer than it gives itself.
const SIDECAR_GRACE: Duration = Duration::from_secs(8);

/// The wish to end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    /// Everything is to end.
    pub(crate) requested: CancellationToken,
    /// At once.
    pub(crate) now: CancellationToken,
    /// It was Ctrl-C: who is on the terminal has got it, too.
    pub(crate) interrupted: Arc<AtomicBool>,
}

/// The template that a run is of.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Its file.
    pub(crate) path: String,
    /// Its name.
    pub(crate) name: String,
}

/// What an application of a template has that one alone has not.
#[derive(Clone)]
pub(crate) struct Member {
    /// Where the template is.
    pub(crate) origin: Origin,
    /// The application's output.
    pub(crate) app: Sink,
    /// The sidecar's output.
    pub(crate) daprd: Sink,
    /// The file of the application's output.
    pub(crate) app_file: Option<PathBuf>,
    /// The file of the sidecar's output.
    pub(crate) daprd_file: Option<PathBuf>,
}

/// An application and its surroundings.
#[derive(Clone)]
pub(crate) struct Unit {
    /// What is to run.
    pub(crate) app: App,
    /// Its template, if it is of one.
    pub(crate) member: Option<Member>,
    /// This executable.
    pub(crate) executable: PathBuf,
    /// The guard, if there is one.
    pub(crate) guard: Option<Guard>,
    /// The wish to end.
    pub(crate) stop: Stop,
    /// Where messages go.
    pub(crate) messages: Messages,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The application was done.
    Done,
    /// Somebody wanted it to end.
    Stopped,
    /// Something failed: what, and the exit code.
    Failed(String, u8),
}

impl Unit {
    /// Runs everything, and ends everything.
    pub(crate) async fn run(&self) -> Outcome {
        let mut sidecar = match self.start_sidecar() {
            Ok(sidecar) => sidecar,
            Err(error) => {
                let outcome = Outcome::Failed(format!("the sidecar cannot be started: {error}"), 1);
                self.tell_others(&outcome);
                return outcome;
            }
        };
        let mut application = None;
        let outcome = self.drive(&mut sidecar, &mut application).await;
        self.tell_others(&outcome);
        self.end(sidecar, application, &outcome).await;
        outcome
    }

    /// In a template, the first failure ends everything, without waiting for the end of what failed.
    fn tell_others(&self, outcome: &Outcome) {
        if let (Outcome::Failed(what, _), Some(_)) = (outcome, &self.member) {
            self.messages.fail(format!("{}: {what}", self.app.id));
            self.stop.requested.cancel();
        }
    }

    fn start_sidecar(&self) -> io::Result<Program> {
        let mut command = launch::sidecar(&self.executable, &self.app);
        command.stdin(Stdio::null());
        if let Some(member) = &self.member {
            let (out, err) = member.daprd.ends().map_err(io::Error::other)?;
            command.stdout(out).stderr(err);
        }
        Program::start(command, Family::Group, self.guard.clone())
    }

    /// Starts the application, if there is one. On a terminal it stays in our process group, so that it may read.
    fn start_application(&self) -> io::Result<Option<Program>> {
        let Some(mut command) = launch::application(&self.app) else {
            return Ok(None);
        };
        let mut family = Family::Group;
        if let Some(member) = &self.member {
            let (out, err) = member.app.ends().map_err(io::Error::other)?;
            command.stdin(Stdio::null()).stdout(out).stderr(err);
        } else if io::stdin().is_terminal() {
            let marks = ["APP_ID", "DAPR_METRICS_PORT"];
            let variables = launch::variables(&self.app);
            family = Family::Terminal(marks.iter().map(|name| format!("{name}={}", variables[name])).collect());
        }
        Program::start(command, family, self.guard.clone()).map(Some)
    }

    /// From the start to whatever ends it.
    async fn drive(&self, sidecar: &mut Program, application: &mut Option<Program>) -> Outcome {
        let api = Sidecar::new(self.app.address(), self.app.variable("DAPR_API_TOKEN"));
        tokio::select! {
            biased;
            () = self.stop.requested.cancelled() => return Outcome::Stopped,
            status = sidecar.wait() => return self.sidecar_ended(status, "while it started"),
            ready = tokio::time::timeout(SIDECAR_PATIENCE, api.wait_outbound()) => self.say_started(ready.is_ok()),
        }
        match self.start_application() {
            Ok(started) => *application = started,
            Err(error) => return self.not_started(&error),
        }
        let pid = application.as_ref().map(Program::pid);
        let beside = async {
            self.note(&api, pid).await;
            api.wait_ready().await;
            self.say_up();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = self.stop.requested.cancelled() => Outcome::Stopped,
            status = ended(application) => self.application_ended(status),
            status = sidecar.wait() => self.sidecar_ended(status, "while the application ran"),
            () = beside => Outcome::Stopped,
        }
    }

    /// Writes into the sidecar's metadata what `list` and `stop` read.
    async fn note(&self, api: &Sidecar, app_pid: Option<u32>) {
        let mut notes = vec![("cliPID", std::process::id().to_string())];
        if let Some(pid) = app_pid {
            notes.push(("appPID", pid.to_string()));
            notes.push(("appCommand", self.app.command.join(" ")));
        }
        if let Some(member) = &self.member {
            notes.push(("runTemplatePath", member.origin.path.clone()));
            notes.push(("runTemplateName", member.origin.name.clone()));
            let files = [("appLogPath", &member.app_file), ("daprdLogPath", &member.daprd_file)];
            notes.extend(
                files
                    .iter()
                    .filter_map(|(key, file)| Some((*key, file.as_ref()?.display().to_string()))),
            );
        }
        for (key, value) in notes {
            if let Err(error) = api.note(key, &value).await {
                self.messages.warn(format!(
                    "{}: the sidecar did not take note of {key}: {error:#}",
                    self.app.id
                ));
                return;
            }
        }
    }

    fn say_started(&self, ready: bool) {
        let (id, ports) = (&self.app.id, self.app.ports);
        if !ready {
            let seconds = SIDECAR_PATIENCE.as_secs();
            self.messages.warn(format!(
                "{id}: the sidecar is not ready after {seconds} seconds; the application is started now"
            ));
        }
        match &self.member {
            Some(_) => {
                let place = format!("HTTP Port: {}. gRPC Port: {}", ports.http, ports.grpc);
                self.messages.info(format!("Started Dapr with app id {id:?}. {place}"));
                let logs = self.app.folder.join(".dapr").join("logs");
                if self.app.app_log.has_file() || self.app.daprd_log.has_file() {
                    self.messages
                        .info(format!("Writing log files to directory : {}", logs.display()));
                }
            }
            None if ready => self.messages.info("Dapr sidecar is up and running."),
            None => {}
        }
    }

    /// Everything is up, the application's port too.
    fn say_up(&self) {
        let text = match (&self.member, self.app.command.is_empty()) {
            (Some(_), _) => format!("{}: up and running", self.app.id),
            (None, true) => "You're up and running! Dapr logs will appear here.".into(),
            (None, false) => "You're up and running! Both Dapr and your app logs will appear here.".into(),
        };
        self.messages.success(text);
    }

    fn not_started(&self, error: &io::Error) -> Outcome {
        let program = self.app.command.first().map(String::as_str).unwrap_or_default();
        let (what, code) = match error.kind() {
            io::ErrorKind::NotFound => ("there is no such command".to_owned(), 127),
            _ => (error.to_string(), 126),
        };
        let folder = self.app.folder.display();
        Outcome::Failed(
            format!("the application cannot be started: {program:?} in {folder}: {what}"),
            code,
        )
    }

    /// The application ended before anybody wanted it to.
    fn application_ended(&self, status: ExitStatus) -> Outcome {
        if status.success() {
            return Outcome::Done;
        }
        let what = format!("The App process exited with error: {}", platform::describe(status));
        Outcome::Failed(what, platform::exit_code(status))
    }

    /// The sidecar ended before its application. When it did so in order, somebody asked it to (the shutdown API, `stop`).
    fn sidecar_ended(&self, status: ExitStatus, when: &str) -> Outcome {
        if status.success() {
            return Outcome::Stopped;
        }
        let mut what = format!("the sidecar ended {when}: {}", platform::describe(status));
        if let Some(member) = &self.member {
            let last = member.daprd.last_lines();
            let told: Vec<&String> = last.iter().filter(|line| is_grave(line)).collect();
            let told = if told.is_empty() { last.iter().collect() } else { told };
            for line in told {
                what.push_str("\n    ");
                what.push_str(line);
            }
        }
        Outcome::Failed(what, 1)
    }

    /// Ends what is left, the application and the sidecar at the same time.
    async fn end(&self, mut sidecar: Program, mut application: Option<Program>, outcome: &Outcome) {
        let ending = |grace| Ending {
            before: Duration::ZERO,
            grace,
            now: self.stop.now.clone(),
        };
        let mut gently = ending(APP_GRACE);
        if application.as_ref().is_some_and(Program::shares_terminal)
            && *outcome == Outcome::Stopped
            && self.stop.interrupted.load(Ordering::Relaxed)
        {
            gently.before = AFTER_INTERRUPT;
        }
        let app = async {
            match &mut application {
                Some(program) => Some(program.end(&gently).await),
                None => None,
            }
        };
        let firmly = ending(SIDECAR_GRACE);
        let (app, sidecar) = tokio::join!(app, sidecar.end(&firmly));
        self.say_ended(app, sidecar, outcome);
        if let Some(folder) = &self.app.sockets {
            for kind in ["http", "grpc"] {
                // the sidecar does so itself, unless it was killed
                let _ = std::fs::remove_file(folder.join(format!("dapr-{}-{kind}.socket", self.app.id)));
            }
        }
    }

    fn say_ended(&self, app: Option<ExitStatus>, sidecar: ExitStatus, outcome: &Outcome) {
        let who = if self.member.is_some() {
            format!(" ({})", self.app.id)
        } else {
            String::new()
        };
        let failed = matches!(outcome, Outcome::Failed(..));
        match app {
            Some(status) if status.success() || (*outcome == Outcome::Stopped && !killed(status)) => {
                self.messages.success(format!("Exited App successfully{who}"));
            }
            Some(status) if killed(status) && !failed => {
                self.messages
                    .warn(format!("The App process did not end and was killed{who}"));
            }
            _ => {}
        }
        match sidecar.success() {
            true => self.messages.success(format!("Exited Dapr successfully{who}")),
            false if killed(sidecar) => self
                .messages
                .warn(format!("The Dapr process did not end and was killed{who}")),
            false => {}
        }
    }
}

fn killed(status: ExitStatus) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(9)
}

/// Whether a line of a sidecar's log tells why it ended.
fn is_grave(line: &str) -> bool {
    [
        "level=fatal",
        "level=error",
        r#""level":"fatal""#,
        r#""level":"error""#,
        "error:",
    ]
    .iter()
    .any(|mark| line.contains(mark))
}

/// Waits until the application has ended; without one, for ever.
async fn ended(application: &mut Option<Program>) -> ExitStatus {
    match application {
        Some(program) => program.wait().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
