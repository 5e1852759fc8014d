//! What the components of this family share: where a database is, how it is opened, and who may touch it when.

mod error;
mod gate;
mod location;
mod migrations;
mod readers;
mod worker;

#[cfg(test)]
mod tests;

pub(crate) use error::Error;
pub(crate) use gate::Gate;
pub(crate) use location::{ConnectionString, Location};
pub(crate) use migrations::{check_identifier, migrate};
pub(crate) use readers::Readers;
pub(crate) use worker::{Access, Worker};

use rusqlite::{Connection, OpenFlags};
use std::{
    path::Path,
    time::{Duration, Instant},
};

/// How many statements a connection keeps prepared.
const STATEMENTS: usize = 64;

/// How a connection is to be opened.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Where the database is.
    pub(crate) location: Location,
    /// How long a statement waits for another connection's lock.
    pub(crate) busy_timeout: Duration,
    /// Whether writers append to a write-ahead log, which lets readers go on while they write.
    pub(crate) wal: bool,
}

impl Settings {
    /// Opens the connection that writes. It sets the journal mode. SQLite's default syncs each commit (`synchronous=FULL`);
    /// a connection string with `_pragma=synchronous(NORMAL)` trades that for speed.
    pub(crate) fn writer(&self) -> Result<Connection, Error> {
        let connection = self.connect(self.busy_timeout)?;
        if !self.location.is_read_only() && !self.location.is_memory() {
            self.set_journal_mode(&connection);
        }
        Ok(connection)
    }

    /// Opens a connection that reads and never waits for a lock: it fails at once with "busy".
    pub(crate) fn reader(&self) -> Result<Connection, Error> {
        let connection = self.connect(Duration::ZERO)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }

    /// The mode is a property of the file. When others have the file open in another mode it cannot change, which is no
    /// reason to fail: all modes work.
    fn set_journal_mode(&self, connection: &Connection) {
        let mode = if self.wal { "WAL" } else { "DELETE" };
        let current = connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        if current.is_ok_and(|current| current.eq_ignore_ascii_case(mode)) {
            return;
        }
        let set = connection.pragma_update_and_check(None, "journal_mode", mode, |row| row.get::<_, String>(0));
        match set {
            Ok(kept) if kept.eq_ignore_ascii_case(mode) => {}
            Ok(kept) => tracing::warn!("SQLite keeps the journal mode {kept} instead of {mode}"),
            Err(error) => tracing::warn!("SQLite could not set the journal mode to {mode}: {error}"),
        }
    }

    fn connect(&self, busy_timeout: Duration) -> Result<Connection, Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(self.location.uri(), flags)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        wait_when_busy(&mut connection, busy_timeout)?;
        connection.pragma_update(None, "case_sensitive_like", true)?;
        for (name, value) in self.location.pragmas() {
            connection.execute_batch(&format!("PRAGMA {name} = {value}"))?;
        }
        Ok(connection)
    }
}

/// Waits for locks of other connections in steps that begin far shorter than SQLite's own.
fn wait_when_busy(connection: &mut Connection, limit: Duration) -> Result<(), Error> {
    let mut began = Instant::now();
    connection.busy_handler(Some(move |tries: i32| {
        if tries == 0 {
            began = Instant::now();
        }
        if began.elapsed() >= limit {
            return false;
        }
        let step = Duration::from_micros(50 << tries.clamp(0, 9));
        std::thread::sleep(step.min(Duration::from_millis(20)));
        true
    }))?;
    Ok(())
}

/// Makes the folder that the database's file is to be in, if it is not there.
pub(crate) fn create_folder_of(location: &Location) -> std::io::Result<()> {
    match location.path().and_then(Path::parent) {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder),
        _ => Ok(()),
    }
}

/// Gives a file beside the database the rights that the database has, as SQLite does with its own: whoever may write the
/// one must be able to write the other.
pub(crate) fn share_rights(database: &Path, beside: &Path) {
    let shared = std::fs::metadata(database).and_then(|of| std::fs::set_permissions(beside, of.permissions()));
    if let Err(error) = shared {
        tracing::debug!("the rights of {}: {error}", beside.display());
    }
}
