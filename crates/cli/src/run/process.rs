//! A program that was started, with everything that it starts, and how all of that is ended.

use super::guard::Guard;
use crate::platform::{self, Process, Signal, Target};
use std::{collections::HashMap, io, os::unix::process::ExitStatusExt, process::ExitStatus, time::Duration};
use tokio::{process::Command, time::Instant};
use tokio_util::sync::CancellationToken;

/// The pause between two looks whether everything has ended.
const POLL: Duration = Duration::from_millis(50);
/// How long a killed process may take to be gone.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// The status of a process that was killed.
const KILLED: i32 = 9;

/// Which processes belong to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Family {
    /// Those of a process group of its own.
    Group,
    /// It shares the terminal and with it our process group: those that it began, and those of our group that have these
    /// variables in their environment.
    Terminal(Vec<String>),
}

/// A program that was started.
#[derive(Debug)]
pub(crate) struct Program {
    child: tokio::process::Child,
    pid: u32,
    family: Family,
    guard: Option<Guard>,
    /// Processes of the family that were seen, by id, with what tells them from later ones.
    seen: HashMap<u32, u64>,
    status: Option<ExitStatus>,
}

/// How a program is to be ended.
#[derive(Debug, Clone)]
pub(crate) struct Ending {
    /// How long it gets before it is asked to: it may have got the Ctrl-C itself.
    pub(crate) before: Duration,
    /// How long it gets after that.
    pub(crate) grace: Duration,
    /// No more patience.
    pub(crate) now: CancellationToken,
}

impl Program {
    /// Starts a program.
    pub(crate) fn start(mut command: Command, family: Family, guard: Option<Guard>) -> io::Result<Self> {
        if family == Family::Group {
            command.process_group(0);
        }
        let child = command.spawn()?;
        // a child that was not waited for has an id
        let pid = child.id().unwrap_or_default();
        if let Some(guard) = &guard {
            guard.watch(pid, family == Family::Group);
        }
        Ok(Self {
            child,
            pid,
            family,
            guard,
            seen: HashMap::new(),
            status: None,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it shares the terminal.
    pub(crate) fn shares_terminal(&self) -> bool {
        self.family != Family::Group
    }

    /// Waits until the program has ended; others of its family may live on. Can be dropped and called again.
    pub(crate) async fn wait(&mut self) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        // one that cannot be waited for is gone, nobody knows how
        let status = self.child.wait().await.unwrap_or(ExitStatus::from_raw(1 << 8));
        self.status = Some(status);
        status
    }

    /// Ends the program and its family: asks, waits, kills. Returns how the program ended.
    pub(crate) async fn end(&mut self, how: &Ending) -> ExitStatus {
        if !how.before.is_zero() {
            self.wait_within(how.before, &how.now).await;
        }
        let deadline = Instant::now() + how.grace;
        self.send(Signal::Terminate).await;
        self.wait_within(how.grace, &how.now).await;
        while !self.members().is_empty() && Instant::now() < deadline && !how.now.is_cancelled() {
            tokio::time::sleep(POLL).await;
        }
        self.send(Signal::Kill).await;
        // should even that not help, the exit of this process must not wait
        let status = tokio::time::timeout(AFTER_KILL, self.wait()).await;
        if let Some(guard) = &self.guard {
            guard.forget(self.pid, self.family == Family::Group);
        }
        status.unwrap_or(ExitStatus::from_raw(KILLED))
    }

    async fn wait_within(&mut self, patience: Duration, now: &CancellationToken) {
        tokio::select! {
            _ = self.wait() => {}
            () = tokio::time::sleep(patience) => {}
            () = now.cancelled() => {}
        }
    }

    /// Sends a signal to all of the family that live.
    async fn send(&mut self, signal: Signal) {
        let members = self.members();
        let targets: Vec<Target> = match self.family {
            Family::Group if members.is_empty() => Vec::new(),
            Family::Group => vec![Target::Group(self.pid)],
            Family::Terminal(_) => members.into_iter().map(Target::Process).collect(),
        };
        if targets.is_empty() {
            return;
        }
        let sent = tokio::task::spawn_blocking(move || platform::send(signal, &targets)).await;
        // without a shell there is no asking: the program itself can still be killed
        if !matches!(sent, Ok(Ok(()))) && signal == Signal::Kill {
            let _ = self.child.start_kill();
        }
    }

    /// Those of the family that live.
    fn members(&mut self) -> Vec<u32> {
        let all = platform::processes().unwrap_or_default();
        let mut members: Vec<&Process> = Vec::new();
        match &self.family {
            Family::Group => members.extend(all.iter().filter(|process| process.group == self.pid)),
            Family::Terminal(variables) => {
                let own = std::process::id();
                let group = all
                    .iter()
                    .find(|process| process.pid == own)
                    .map_or(0, |process| process.group);
                let near: Vec<Process> = all
                    .iter()
                    .filter(|p| p.group == group && p.pid != own)
                    .cloned()
                    .collect();
                let mut ids = platform::descendants(&all, self.pid);
                ids.extend(platform::with_environment(&near, variables));
                if self.status.is_none() {
                    ids.insert(self.pid);
                }
                let seen = &self.seen;
                members.extend(
                    all.iter()
                        .filter(|p| ids.contains(&p.pid) || seen.get(&p.pid) == Some(&p.birth)),
                );
            }
        }
        let ids = members.iter().map(|process| process.pid).collect();
        self.seen = members.iter().map(|process| (process.pid, process.birth)).collect();
        ids
    }
}

#[cfg(test)]
mod tests;
