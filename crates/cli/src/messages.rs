//! What the command line says about itself: one line a message, with a sign, or as JSON.

use crate::run::console::{Console, Stream};
use std::io::{self, Write};

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Info,
    Success,
    Warning,
    Failure,
}

impl Kind {
    fn sign(self) -> &'static str {
        match self {
            Self::Info => "ℹ️  ",
            Self::Success => "✅  ",
            Self::Warning => "⚠️  ",
            Self::Failure => "❌  ",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Failure => "failure",
        }
    }

    fn stream(self) -> Stream {
        match self {
            Self::Info | Self::Success => Stream::Out,
            Self::Warning | Self::Failure => Stream::Err,
        }
    }
}

/// Where messages go and how. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Messages {
    json: bool,
    all_to_err: bool,
    console: Option<Console>,
}

impl Messages {
    /// Messages as text, or as JSON.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            ..Self::default()
        }
    }

    /// The same, with everything on standard error: for commands whose standard output is read by programs.
    pub(crate) fn beside_output(&self) -> Self {
        Self {
            all_to_err: true,
            ..self.clone()
        }
    }

    /// The same, in line with the logs of applications.
    pub(crate) fn through(&self, console: Console) -> Self {
        Self {
            console: Some(console),
            ..self.clone()
        }
    }

    /// Something worth knowing.
    pub(crate) fn info(&self, text: impl AsRef<str>) {
        self.say(Kind::Info, text.as_ref());
    }

    /// Something is done.
    pub(crate) fn success(&self, text: impl AsRef<str>) {
        self.say(Kind::Success, text.as_ref());
    }

    /// Something is not as it should be.
    pub(crate) fn warn(&self, text: impl AsRef<str>) {
        self.say(Kind::Warning, text.as_ref());
    }

    /// Something failed.
    pub(crate) fn fail(&self, text: impl AsRef<str>) {
        self.say(Kind::Failure, text.as_ref());
    }

    fn say(&self, kind: Kind, text: &str) {
        let line = if self.json {
            json(kind, text)
        } else {
            format!("{}{text}\n", kind.sign())
        };
        let stream = if self.all_to_err { Stream::Err } else { kind.stream() };
        match &self.console {
            Some(console) => console.say(stream, line),
            None => write(stream, line.as_bytes()),
        }
    }
}

fn json(kind: Kind, text: &str) -> String {
    let time = jiff::Timestamp::now().to_string();
    format!(
        "{}\n",
        serde_json::json!({ "time": time, "status": kind.word(), "msg": text })
    )
}

/// Writes to standard output or standard error. Where nobody reads any more, there is nothing to be done.
pub(crate) fn write(stream: Stream, bytes: &[u8]) {
    let _ = match stream {
        Stream::Out => io::stdout().lock().write_all(bytes).and_then(|()| io::stdout().flush()),
        Stream::Err => io::stderr().lock().write_all(bytes),
    };
}

/// Prints the result of a command.
pub(crate) fn print(text: &str) {
    write(Stream::Out, text.as_bytes());
}
