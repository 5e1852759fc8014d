//! Waking consumers, also those of other processes: each listens on a Unix socket beside the database, and whoever
//! publishes sends it an empty datagram. The socket of a process that has died refuses, which tells that it has.

use crate::database::share_rights;
use std::{
    io,
    os::unix::net::UnixDatagram as StdDatagram,
    path::{Path, PathBuf},
};
use tokio::net::UnixDatagram;
use uuid::Uuid;

/// Paths of sockets cannot be longer, by the system's definition.
const LONGEST_PATH: usize = 100;

/// Rings for others.
#[derive(Debug)]
pub(super) struct Bell {
    socket: StdDatagram,
    database: Option<PathBuf>,
}

/// What ringing told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rung {
    /// Somebody listens, or may listen.
    Alive,
    /// The process that listened has died.
    Dead,
}

/// Listens; the socket's file is removed with it.
#[derive(Debug)]
pub(super) struct Ear {
    socket: UnixDatagram,
    path: PathBuf,
    /// What others find the socket by.
    pub(super) name: String,
}

impl Bell {
    /// A bell for the sockets beside a database; without a database file they are in the folder for temporary files.
    pub(super) fn new(database: Option<&Path>) -> io::Result<Self> {
        let socket = StdDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            database: database.map(std::path::absolute).transpose()?,
        })
    }

    /// Opens a socket of one's own.
    pub(super) fn listen(&self) -> io::Result<Ear> {
        let unique = Uuid::new_v4().simple().to_string();
        let beside = self.database.as_deref().and_then(|database| {
            let name = format!("{}-{}.sock", database.file_name()?.to_string_lossy(), &unique[..12]);
            let path = database.with_file_name(&name);
            (path.as_os_str().len() < LONGEST_PATH).then_some((path, name))
        });
        let (path, name) = beside.unwrap_or_else(|| {
            let path = std::env::temp_dir().join(format!("pubsub-{}.sock", &unique[..12]));
            let name = path.to_string_lossy().into_owned();
            (path, name)
        });
        let socket = UnixDatagram::bind(&path)?;
        if let Some(database) = &self.database {
            share_rights(database, &path);
        }
        Ok(Ear { socket, path, name })
    }

    /// Wakes whoever listens by that name.
    pub(super) fn ring(&self, name: &str) -> Rung {
        let (path, beside) = self.path_of(name);
        self.judge(self.socket.send_to(&[], path).map(|_| ()), beside)
    }

    /// Whether whoever listened by that name has died; does not wake.
    pub(super) fn probe(&self, name: &str) -> Rung {
        let (path, beside) = self.path_of(name);
        let connected = StdDatagram::unbound().and_then(|socket| socket.connect(path));
        self.judge(connected, beside)
    }

    /// Removes what a process that died has left.
    pub(super) fn remove(&self, name: &str) {
        // Somebody else may have removed it.
        let _ = std::fs::remove_file(self.path_of(name).0);
    }

    fn path_of(&self, name: &str) -> (PathBuf, bool) {
        match &self.database {
            Some(database) if !name.contains('/') => (database.with_file_name(name), true),
            _ => (PathBuf::from(name), false),
        }
    }

    fn judge(&self, sent: io::Result<()>, beside: bool) -> Rung {
        match sent.map_err(|error| error.kind()) {
            Err(io::ErrorKind::ConnectionRefused) => Rung::Dead,
            // Folders for temporary files may differ from container to container: absence there says nothing.
            Err(io::ErrorKind::NotFound) if beside => Rung::Dead,
            // A full queue wakes, too.
            _ => Rung::Alive,
        }
    }
}

impl Ear {
    /// Waits until somebody rings, and takes note of all that have.
    pub(super) async fn heard(&self) {
        let mut byte = [0; 1];
        if let Err(error) = self.socket.recv(&mut byte).await {
            tracing::warn!("listening at {}: {error}", self.path.display());
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        while self.socket.try_recv(&mut byte).is_ok() {}
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        // A file that stays behind is removed by whoever finds it dead.
        let _ = std::fs::remove_file(&self.path);
    }
}
