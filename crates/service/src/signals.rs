//! SIGINT and SIGTERM stop the program, a second one at once; SIGHUP is passed on.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::host::Host;

const SCOPE: &str = "dapr.signals";

/// The signals that a program hears. Listening starts when it is made.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Stop(&'static str),
    HangUp,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The names are those that Go gives to signals.
    async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.interrupt.recv() => Request::Stop("interrupt"),
            _ = self.terminate.recv() => Request::Stop("terminated"),
            _ = self.hangup.recv() => Request::HangUp,
        }
    }

    /// Serves signals as long as the program runs.
    pub(crate) async fn run(mut self, host: Host) {
        let mut stopping = false;
        loop {
            let request = self.next().await;
            if let Some(code) = obey(request, &host, &mut stopping) {
                std::process::exit(code);
            }
        }
    }
}

/// Does what a signal asks for. A code means: exit with it, now. Only a signal makes the next one urgent: a program that
/// stops for another reason takes its first signal quietly.
pub(crate) fn obey(request: Request, host: &Host, stopping: &mut bool) -> Option<i32> {
    match request {
        Request::HangUp => host.hang_up(),
        Request::Stop(name) if *stopping => {
            tracing::info!(target: SCOPE, "Received signal '{name}' during shutdown; exiting immediately");
            return Some(1);
        }
        Request::Stop(name) => {
            tracing::info!(target: SCOPE, "Received signal '{name}'; beginning shutdown");
            *stopping = true;
            host.cancel.cancel();
        }
    }
    None
}
