//! Whose turn it is to write, among the programs that share a file.
//!
//! SQLite lets whoever comes at the right moment write, and has the others sleep and try again: under load one writer
//! starves the others. Two file locks make a queue: whoever holds `turn` is next, whoever holds `floor` writes. A writer
//! that wants to go again must take its turn behind the one who waits. The system lets go of the locks of a program that
//! dies. Correctness does not depend on it: SQLite's own lock stays what decides.

use super::share_rights;
use std::{
    fs::{File, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// The two locks.
#[derive(Debug)]
pub(crate) struct Gate {
    turn: File,
    floor: File,
}

/// The right to write until it is dropped.
#[derive(Debug)]
pub(crate) struct Passed<'a>(&'a File);

impl Gate {
    /// Opens the locks of a database, two empty files beside it.
    pub(crate) fn open(database: &Path) -> io::Result<Self> {
        let open = |suffix: &str| {
            let mut path = database.as_os_str().to_owned();
            path.push(suffix);
            let path = PathBuf::from(path);
            let is_new = !path.exists();
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            if is_new {
                share_rights(database, &path);
            }
            io::Result::Ok(file)
        };
        Ok(Self {
            turn: open("-turn")?,
            floor: open("-floor")?,
        })
    }

    /// Waits for the turn. Where files cannot be locked, nobody waits.
    pub(crate) fn pass(&self) -> Passed<'_> {
        let _turn = self.turn.lock();
        let _floor = self.floor.lock();
        let _next = self.turn.unlock();
        Passed(&self.floor)
    }
}

impl Drop for Passed<'_> {
    fn drop(&mut self) {
        let _unlocked = self.0.unlock();
    }
}
