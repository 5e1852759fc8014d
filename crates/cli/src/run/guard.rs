//! The guard: a small process beside a run. It holds the other end of a pipe; when the run dies without having ended what
//! it started (a SIGKILL, a crash), the pipe closes, and the guard ends it.

use crate::platform::{self, Process, Signal, Target};
use parking_lot::Mutex;
use std::{
    collections::HashSet,
    io::{self, BufRead, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{ChildStdin, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// The hidden command that is the guard.
pub(crate) const GUARD: &str = "__guard";

/// How long processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// The run's end of the pipe. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Guard(Arc<Mutex<ChildStdin>>);

impl Guard {
    /// Starts the guard, in a process group of its own: a Ctrl-C is not for it.
    pub(crate) fn start(executable: &Path) -> io::Result<Self> {
        let mut guard = Command::new(executable)
            .arg0("dapr")
            .arg(GUARD)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let pipe = guard
            .stdin
            .take()
            .ok_or_else(|| io::Error::other("the guard has no input"))?;
        Ok(Self(Arc::new(Mutex::new(pipe))))
    }

    /// A process has begun; with `group`, it leads a process group.
    pub(crate) fn watch(&self, pid: u32, group: bool) {
        self.tell(&Word {
            pid,
            group,
            ended: false,
        });
    }

    /// A process and all that it began have ended.
    pub(crate) fn forget(&self, pid: u32, group: bool) {
        self.tell(&Word {
            pid,
            group,
            ended: true,
        });
    }

    fn tell(&self, word: &Word) {
        // without a guard the run is as good, as long as it lives
        let _ = writeln!(self.0.lock(), "{}", word.write());
    }
}

/// A line in the pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word {
    pid: u32,
    group: bool,
    ended: bool,
}

impl Word {
    fn write(self) -> String {
        let sign = if self.ended { '-' } else { '+' };
        format!("{sign}{}{}", if self.group { 'g' } else { 'p' }, self.pid)
    }

    fn read(line: &str) -> Option<Self> {
        let (sign, rest) = (line.get(..1)?, line.get(1..)?);
        let (kind, pid) = (rest.get(..1)?, rest.get(1..)?.parse().ok()?);
        let known = matches!(sign, "+" | "-") && matches!(kind, "g" | "p");
        known.then_some(Self {
            pid,
            group: kind == "g",
            ended: sign == "-",
        })
    }
}

/// The guard itself.
pub(crate) fn main() {
    let left = listen(io::stdin().lock());
    end(&left);
}

/// Reads until the pipe closes; what is left then has to be ended.
fn listen(input: impl BufRead) -> HashSet<(u32, bool)> {
    let mut left = HashSet::new();
    for word in input.lines().map_while(Result::ok).filter_map(|line| Word::read(&line)) {
        match word.ended {
            true => left.remove(&(word.pid, word.group)),
            false => left.insert((word.pid, word.group)),
        };
    }
    left
}

fn end(left: &HashSet<(u32, bool)>) {
    let deadline = Instant::now() + GRACE;
    let mut seen = HashSet::new();
    let mut targets = targets(left, &mut seen);
    let _ = platform::send(Signal::Terminate, &targets);
    while !targets.is_empty() && Instant::now() < deadline {
        std::thread::sleep(POLL);
        targets = self::targets(left, &mut seen);
    }
    let _ = platform::send(Signal::Kill, &targets);
}

/// Who lives of what is left. A family is that of a process as long as that lives; then, those that were seen before.
fn targets(left: &HashSet<(u32, bool)>, seen: &mut HashSet<(u32, u64)>) -> Vec<Target> {
    if left.is_empty() {
        return Vec::new();
    }
    let all = platform::processes().unwrap_or_default();
    let groups = left.iter().filter(|(_, group)| *group).map(|(pid, _)| *pid);
    let lives = |group: &u32| all.iter().any(|process| process.group == *group);
    let mut targets: Vec<Target> = groups.filter(lives).map(Target::Group).collect();
    let mut family: HashSet<u32> = HashSet::new();
    for (pid, _) in left.iter().filter(|(_, group)| !*group) {
        family.extend(platform::descendants(&all, *pid));
        family.insert(*pid);
    }
    let members = all
        .iter()
        .filter(|p| family.contains(&p.pid) || seen.contains(&(p.pid, p.birth)));
    let members: Vec<&Process> = members.collect();
    targets.extend(members.iter().map(|process| Target::Process(process.pid)));
    seen.extend(members.iter().map(|process| (process.pid, process.birth)));
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_not_ended_is_left() {
        let left = listen("+g10\n+p11\nnonsense\n+\n-g10\n+g12\n-p99\n".as_bytes());
        assert_eq!(left, HashSet::from([(11, false), (12, true)]));
    }

    #[test]
    fn groups_and_families_are_ended() {
        let script = ["-c", "sleep 60 & sleep 60"];
        let mut group = Command::new("/bin/sh").args(script).process_group(0).spawn().unwrap();
        let mut family = Command::new("/bin/sh").args(script).process_group(0).spawn().unwrap();
        let members = |group: u32| {
            let all = platform::processes().unwrap();
            all.iter().filter(|process| process.group == group).count()
        };
        while members(group.id()) < 3 || members(family.id()) < 3 {
            std::thread::sleep(POLL);
        }
        end(&HashSet::from([(group.id(), true), (family.id(), false)]));
        let ended = [group.wait().unwrap(), family.wait().unwrap()];
        assert!(ended.iter().all(|status| !status.success()), "{ended:?}");
        while members(group.id()) + members(family.id()) > 0 {
            std::thread::sleep(POLL);
        }
    }
}
