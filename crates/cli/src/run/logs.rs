//! The output of applications and sidecars of a template: each line with a prefix, in a colour on a terminal, to the
//! console, to a file, or to both.

use super::console::{Console, Stream};
use anyhow::{Context, Result};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
};

/// The longest line; a longer one is split.
const LONGEST: u64 = 64 * 1024;
/// How many of the last lines are kept, for the message when a program fails.
const KEPT: usize = 12;

/// Colours of prefixes: those that can be read on black and on white.
const COLOURS: [&str; 6] = ["36", "33", "35", "32", "34", "96"];

/// Where a program's output goes.
#[derive(Clone)]
pub(crate) struct Sink {
    prefix: String,
    colour: &'static str,
    console: Option<Console>,
    file: Option<Arc<Mutex<File>>>,
    last: Arc<Mutex<VecDeque<String>>>,
}

/// Whose output it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The application.
    App,
    /// Its sidecar.
    Daprd,
}

impl Source {
    fn word(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Daprd => "daprd",
        }
    }
}

/// The file for the output of a program: in the application's folder, named after it and the time.
pub(crate) fn file(folder: &Path, app_id: &str, source: Source, time: &str) -> PathBuf {
    folder
        .join(".dapr")
        .join("logs")
        .join(format!("{app_id}_{}_{time}.log", source.word()))
}

/// The time in the names of files.
pub(crate) fn now() -> String {
    jiff::Zoned::now().strftime("%Y%m%d%H%M%S").to_string()
}

impl Sink {
    /// Where the output of a program goes. `index` chooses the colour.
    pub(crate) fn new(
        app_id: &str,
        source: Source,
        index: usize,
        console: Option<Console>,
        file: Option<&Path>,
    ) -> Result<Self> {
        let file = match file {
            Some(path) => Some(Arc::new(Mutex::new(open(path)?))),
            None => None,
        };
        Ok(Self {
            prefix: format!("== {} - {app_id} == ", source.word().to_uppercase()),
            colour: COLOURS[index % COLOURS.len()],
            console,
            file,
            last: Arc::default(),
        })
    }

    /// The last lines that came.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        self.last.lock().iter().cloned().collect()
    }

    /// The two ends for a program's output and errors, which a thread each reads.
    pub(crate) fn ends(&self) -> Result<(Stdio, Stdio)> {
        Ok((self.end(Stream::Out)?, self.end(Stream::Err)?))
    }

    fn end(&self, stream: Stream) -> Result<Stdio> {
        let (reader, writer) = std::io::pipe().context("no pipe can be made")?;
        let sink = self.clone();
        let name = format!("log {}", self.prefix.trim_matches(['=', ' ']));
        let run = move || sink.read(reader, stream, stream.is_coloured());
        std::thread::Builder::new()
            .name(name)
            .spawn(run)
            .context("no thread can be started")?;
        Ok(Stdio::from(writer))
    }

    /// Passes on lines until the last writer is gone.
    fn read(&self, reader: impl Read, stream: Stream, coloured: bool) {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while matches!(reader.by_ref().take(LONGEST).read_until(b'\n', &mut line), Ok(read) if read > 0) {
            while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                line.pop();
            }
            self.pass(&line, stream, coloured);
            line.clear();
        }
    }

    fn pass(&self, line: &[u8], stream: Stream, coloured: bool) {
        if let Some(file) = &self.file {
            // a full disk must not end the application
            let _ = file.lock().write_all(&whole(&self.prefix, line));
        }
        if let Some(console) = &self.console {
            let prefix = if coloured {
                colour(&self.prefix, self.colour)
            } else {
                self.prefix.clone()
            };
            console.line(stream, whole(&prefix, line));
        }
        let mut last = self.last.lock();
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back(String::from_utf8_lossy(line).chars().take(2000).collect());
    }
}

fn whole(prefix: &str, line: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(prefix.len() + line.len() + 1);
    whole.extend_from_slice(prefix.as_bytes());
    whole.extend_from_slice(line);
    whole.push(b'\n');
    whole
}

/// The prefix in its colour, the space behind it without.
fn colour(prefix: &str, colour: &str) -> String {
    format!("\x1b[{colour}m{}\x1b[0m ", prefix.trim_end())
}

fn open(path: &Path) -> Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("the folder {} cannot be made", folder.display()))?;
    }
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.with_context(|| format!("the log file {} cannot be opened", path.display()))
}

#[cfg(test)]
mod tests;
