//! Log lines as Dapr writes them: logrus' text format, or JSON.
//!
//! Events of the `tracing` crate come in; their target is the scope (`dapr.runtime`), their fields become the line's. What
//! other crates say appears only when it is a warning or worse. The `tracing` subscriber is the one global of this crate.

mod format;
mod subscriber;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;

use parking_lot::Mutex;
use tracing::subscriber::DefaultGuard;

use format::Common;
use subscriber::Lines;

/// How much is logged. `Fatal` is for the last line of a program that cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Only what ends the program.
    Fatal,
    /// What failed.
    Error,
    /// What may be wrong.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// What happens inside.
    Debug,
}

impl Level {
    /// The level's name in log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Fatal => "fatal",
            Level::Error => "error",
            // logrus writes the long form
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// A word that names no level.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("undefined Log Output Level: {0}")]
pub struct UnknownLevel(String);

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Level, UnknownLevel> {
        match text.to_ascii_lowercase().as_str() {
            "debug" => Ok(Level::Debug),
            "info" => Ok(Level::Info),
            "warn" | "warning" => Ok(Level::Warn),
            "error" => Ok(Level::Error),
            "fatal" => Ok(Level::Fatal),
            _ => Err(UnknownLevel(text.to_owned())),
        }
    }
}

/// How a program logs.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The least important level that is still written.
    pub level: Level,
    /// JSON objects instead of text.
    pub json: bool,
    /// A file that is appended to, instead of standard output.
    pub file: Option<PathBuf>,
    /// The field `app_id`; left out when empty.
    pub app_id: String,
    /// The field `ver`.
    pub version: String,
}

/// The log file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("open log file {path}: {source}")]
pub struct FileError {
    path: PathBuf,
    source: io::Error,
}

/// Makes this process log as the options say. In a process that logs already (a second sidecar in one test) nothing changes.
pub fn init(options: &Options) -> Result<(), FileError> {
    let lines = Lines::new(options, sink(options)?);
    // an error means that there is a subscriber already: the first one stays
    let _ = tracing::subscriber::set_global_default(lines);
    Ok(())
}

/// Makes the current thread log as the options say, until the guard is dropped. For tests.
pub fn init_thread(options: &Options, out: Box<dyn Write + Send>) -> DefaultGuard {
    tracing::subscriber::set_default(Lines::new(options, Sink::Writer(Mutex::new(out))))
}

/// Where lines go, each in one write.
enum Sink {
    Stdout,
    File(File),
    Writer(Mutex<Box<dyn Write + Send>>),
}

impl Sink {
    /// A line that cannot be written is lost: there is nowhere to tell it.
    fn write(&self, line: &[u8]) {
        let _ = match self {
            Sink::Stdout => io::stdout().lock().write_all(line),
            Sink::File(file) => (&*file).write_all(line),
            Sink::Writer(writer) => writer.lock().write_all(line),
        };
    }
}

fn sink(options: &Options) -> Result<Sink, FileError> {
    let Some(path) = &options.file else {
        return Ok(Sink::Stdout);
    };
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map(Sink::File).map_err(|source| FileError {
        path: path.clone(),
        source,
    })
}

fn common(options: &Options) -> Common {
    Common {
        app_id: options.app_id.clone(),
        instance: hostname(),
        version: options.version.clone(),
    }
}

fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Writes a line of level fatal. It does not end the program.
///
/// ```ignore
/// fatal!(target: "dapr.runtime", "Fatal error from runtime: {error}");
/// ```
#[macro_export]
macro_rules! fatal {
    (target: $target:expr, $($field:ident = $value:expr,)* $format:literal $($rest:tt)*) => {
        $crate::logs::macros::error!(target: $target, level = "fatal", $($field = $value,)* $format $($rest)*)
    };
}

/// For the macros of this crate.
#[doc(hidden)]
pub mod macros {
    pub use tracing::error;
}
