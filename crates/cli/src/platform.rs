//! What differs between systems: the list of processes, and signals to them. Linux has `/proc`; elsewhere `ps` is asked.

use std::{
    collections::HashSet,
    io,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus, Stdio},
};

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its id.
    pub(crate) pid: u32,
    /// The process that it belongs to.
    pub(crate) parent: u32,
    /// Its process group.
    pub(crate) group: u32,
    /// When it began, in seconds since 1970.
    pub(crate) started: i64,
    /// Tells it from a later process with the same id.
    pub(crate) birth: u64,
    /// Its command and arguments. Where `ps` is asked, arguments with spaces are taken apart.
    pub(crate) command: Vec<String>,
}

/// A signal that ends processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Please end.
    Terminate,
    /// End.
    Kill,
}

/// Who gets a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// A process.
    Process(u32),
    /// All processes of a group.
    Group(u32),
}

/// Sends a signal. Those who are gone already are passed over. The system's call is `unsafe` in Rust, so the shell, which
/// every Unix has, makes it.
pub(crate) fn send(signal: Signal, targets: &[Target]) -> io::Result<()> {
    if targets.is_empty() {
        return Ok(());
    }
    let name = match signal {
        Signal::Terminate => "TERM",
        Signal::Kill => "KILL",
    };
    let ids = targets.iter().map(|target| match target {
        Target::Process(pid) => pid.to_string(),
        Target::Group(group) => format!("-{group}"),
    });
    // one `kill` for each, as one that is gone must not hide the others
    Command::new("/bin/sh")
        .args([
            "-c",
            r#"name=$1; shift; for id do kill -s "$name" -- "$id" 2>/dev/null; done; :"#,
            "kill",
            name,
        ])
        .args(ids)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map(drop)
}

/// The exit code as a shell has it: 128 and the signal's number for a process that was killed.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code & 0xff).unwrap_or(1)
}

/// How a process ended, in words.
pub(crate) fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

/// All processes that live; those that have ended and are only waited for are left out.
pub(crate) fn processes() -> io::Result<Vec<Process>> {
    #[cfg(target_os = "linux")]
    {
        linux::processes()
    }
    #[cfg(not(target_os = "linux"))]
    {
        ps::processes()
    }
}

/// Of the given processes, those whose environment at their start had all of these variables. Where this cannot be told,
/// there are none.
pub(crate) fn with_environment(processes: &[Process], variables: &[String]) -> Vec<u32> {
    #[cfg(target_os = "linux")]
    {
        let has = |process: &&Process| linux::has_environment(process.pid, variables);
        processes.iter().filter(has).map(|process| process.pid).collect()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (processes, variables);
        Vec::new()
    }
}

/// The processes that a process has begun, and those that they have begun.
pub(crate) fn descendants(processes: &[Process], root: u32) -> HashSet<u32> {
    let mut found = HashSet::from([root]);
    loop {
        let before = found.len();
        found.extend(
            processes
                .iter()
                .filter(|p| found.contains(&p.parent))
                .map(|p| p.pid)
                .collect::<Vec<_>>(),
        );
        if found.len() == before {
            found.remove(&root);
            return found;
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::Process;
    use std::{fs, io};

    /// Clock ticks in a second, as `/proc` counts them on every architecture that Rust runs on.
    const TICKS: u64 = 100;

    pub(super) fn processes() -> io::Result<Vec<Process>> {
        let boot = boot_time(&fs::read_to_string("/proc/stat")?);
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            // one that has ended in the meantime cannot be read
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            let Some(process) = parse(pid, &stat, boot) else {
                continue;
            };
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(Process {
                command: arguments(&command),
                ..process
            });
        }
        Ok(found)
    }

    pub(super) fn has_environment(pid: u32, variables: &[String]) -> bool {
        let Ok(bytes) = fs::read(format!("/proc/{pid}/environ")) else {
            return false;
        };
        let all: Vec<&[u8]> = bytes.split(|byte| *byte == 0).collect();
        variables.iter().all(|variable| all.contains(&variable.as_bytes()))
    }

    fn boot_time(stat: &str) -> i64 {
        let line = stat.lines().find_map(|line| line.strip_prefix("btime "));
        line.and_then(|time| time.trim().parse().ok()).unwrap_or_default()
    }

    /// Reads `/proc/<pid>/stat`. The name, in brackets, may hold anything, brackets too.
    pub(super) fn parse(pid: u32, stat: &str, boot: i64) -> Option<Process> {
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        if matches!(*fields.first()?, "Z" | "X" | "x") {
            return None;
        }
        let birth: u64 = fields.get(19)?.parse().ok()?;
        Some(Process {
            pid,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            started: boot + i64::try_from(birth / TICKS).ok()?,
            birth,
            command: Vec::new(),
        })
    }

    fn arguments(bytes: &[u8]) -> Vec<String> {
        let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        if bytes.is_empty() {
            return Vec::new();
        }
        bytes
            .split(|byte| *byte == 0)
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect()
    }
}

#[cfg(any(test, not(target_os = "linux")))]
mod ps {
    use super::Process;
    use std::hash::{DefaultHasher, Hash, Hasher};

    #[cfg(not(target_os = "linux"))]
    pub(super) fn processes() -> std::io::Result<Vec<Process>> {
        let arguments = ["-axww", "-o", "pid=,ppid=,pgid=,stat=,lstart=,etime=,command="];
        let output = std::process::Command::new("ps").args(arguments).output()?;
        let now = jiff::Timestamp::now().as_second();
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().filter_map(|line| parse(line, now)).collect())
    }

    /// Reads a line of `ps`.
    pub(super) fn parse(line: &str, now: i64) -> Option<Process> {
        let mut words = line.split_ascii_whitespace();
        let mut number = || words.next()?.parse::<u32>().ok();
        let (pid, parent, group) = (number()?, number()?, number()?);
        if words.next()?.starts_with('Z') {
            return None;
        }
        let mut birth = DefaultHasher::new();
        for _ in 0..5 {
            words.next()?.hash(&mut birth);
        }
        let birth = birth.finish();
        let started = now - elapsed(words.next()?)?;
        let command = words.map(str::to_owned).collect();
        Some(Process {
            pid,
            parent,
            group,
            started,
            birth,
            command,
        })
    }

    /// Reads `[[days-]hours:]minutes:seconds`.
    fn elapsed(text: &str) -> Option<i64> {
        let (days, clock) = text.split_once('-').unwrap_or(("0", text));
        let seconds = clock
            .split(':')
            .try_fold(0, |sum, part| Some(sum * 60 + part.parse::<i64>().ok()?))?;
        Some(days.parse::<i64>().ok()? * 86400 + seconds)
    }
}

#[cfg(test)]
mod tests;
