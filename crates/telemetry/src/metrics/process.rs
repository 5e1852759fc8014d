//! What the operating system knows about this process, looked up at each scrape.

use super::render::Exposition;

pub(super) fn collect(out: &mut Exposition) {
    if let Some(stat) = Stat::read() {
        out.counter(
            "process_cpu_seconds_total",
            "Total user and system CPU time spent in seconds.",
            stat.cpu_seconds,
        );
        out.gauge(
            "process_virtual_memory_bytes",
            "Virtual memory size in bytes.",
            stat.virtual_bytes,
        );
        if let Some(boot) = boot_time() {
            let help = "Start time of the process since unix epoch in seconds.";
            out.gauge("process_start_time_seconds", help, boot + stat.start_seconds);
        }
    }
    if let Some(resident) = resident_bytes() {
        out.gauge(
            "process_resident_memory_bytes",
            "Resident memory size in bytes.",
            resident,
        );
    }
    if let Some(open) = open_files() {
        out.gauge("process_open_fds", "Number of open file descriptors.", open);
    }
    if let Some(limit) = limit("Max open files") {
        out.gauge("process_max_fds", "Maximum number of open file descriptors.", limit);
    }
}

struct Stat {
    cpu_seconds: f64,
    start_seconds: f64,
    virtual_bytes: f64,
}

/// The kernel reports times to user space in hundredths of a second on every architecture Rust runs on.
const TICKS: f64 = 100.;

impl Stat {
    fn read() -> Option<Stat> {
        Stat::parse(&std::fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// Fields are counted behind the program's name, which may hold spaces and brackets: the first is the state.
    fn parse(text: &str) -> Option<Stat> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<f64>().ok();
        Some(Stat {
            cpu_seconds: (number(11)? + number(12)?) / TICKS,
            start_seconds: number(19)? / TICKS,
            virtual_bytes: number(20)?,
        })
    }
}

/// From the file that tells it in kilobytes: the other one counts pages, whose size differs between machines.
fn resident_bytes() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kilobytes.split_whitespace().next()?.parse::<f64>().ok()? * 1024.)
}

fn boot_time() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/stat").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()
}

fn open_files() -> Option<f64> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

fn limit(name: &str) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/limits").ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}
