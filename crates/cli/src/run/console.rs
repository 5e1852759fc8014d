//! The console that several programs share: one thread writes whole lines, so that lines never mix and a reader that
//! does not read holds up nobody who has to hear a signal.

use std::{
    fmt,
    io::IsTerminal,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel},
    time::{Duration, Instant},
};

/// How many lines may wait.
const WAITING: usize = 1024;

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

impl Stream {
    /// Whether colours are wanted there: on a terminal, unless NO_COLOR is set.
    pub(crate) fn is_coloured(self) -> bool {
        let terminal = match self {
            Self::Out => std::io::stdout().is_terminal(),
            Self::Err => std::io::stderr().is_terminal(),
        };
        terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }
}

enum Item {
    Line(Stream, Vec<u8>),
    /// Tell when all before this is written.
    Flush(std::sync::mpsc::Sender<()>),
}

/// The shared console. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Console(SyncSender<Item>);

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Console")
    }
}

impl Console {
    /// A console, and the thread that writes.
    pub(crate) fn start() -> std::io::Result<Self> {
        let (sender, lines) = sync_channel(WAITING);
        std::thread::Builder::new()
            .name("console".into())
            .spawn(move || write(&lines))?;
        Ok(Self(sender))
    }

    /// Writes a line of an application, and waits while too many lines wait.
    pub(crate) fn line(&self, stream: Stream, line: Vec<u8>) {
        // the thread lives as long as there is a console
        let _ = self.0.send(Item::Line(stream, line));
    }

    /// Writes a message of our own, unless too many lines wait.
    pub(crate) fn say(&self, stream: Stream, text: String) {
        let _ = self.0.try_send(Item::Line(stream, text.into_bytes()));
    }

    /// Waits until everything is written, for at most so long.
    pub(crate) fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let (done, written) = channel();
        let mut item = Item::Flush(done);
        while let Err(TrySendError::Full(back)) = self.0.try_send(item) {
            if Instant::now() > deadline {
                return;
            }
            item = back;
            std::thread::sleep(Duration::from_millis(5));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match written.recv_timeout(left) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

fn write(lines: &Receiver<Item>) {
    for item in lines {
        match item {
            Item::Line(stream, line) => crate::messages::write(stream, &line),
            Item::Flush(done) => {
                let _ = done.send(());
            }
        }
    }
}
