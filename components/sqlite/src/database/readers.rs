//! Connections that only read. In a write-ahead log readers wait for nobody, so that a small read is done where it is
//! asked for: handing it to a thread would cost more than the read.

use super::{Error, Settings};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// A handful of connections, each used by one caller at a time.
pub(crate) struct Readers {
    connections: Vec<Mutex<Connection>>,
    busy_timeout: Duration,
}

impl Readers {
    /// Opens as many connections as there are processors, within reason.
    pub(crate) fn open(settings: &Settings) -> Result<Self, Error> {
        let count = std::thread::available_parallelism().map_or(2, usize::from).clamp(1, 8);
        let connections = (0..count).map(|_| settings.reader().map(Mutex::new));
        Ok(Self {
            connections: connections.collect::<Result<_, _>>()?,
            busy_timeout: settings.busy_timeout,
        })
    }

    /// Reads here and now. Should the database be locked, which is rare, a thread waits for it.
    pub(crate) async fn read<T, W>(self: &Arc<Self>, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: Fn(&Connection) -> Result<T, Error> + Send + 'static,
    {
        match self.try_read(&work) {
            Err(error) if error.is_busy() => self.read_on_thread(work).await,
            result => result,
        }
    }

    /// Reads on a thread: for reads that take long.
    pub(crate) async fn read_on_thread<T, W>(self: &Arc<Self>, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: Fn(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let readers = self.clone();
        let task = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            loop {
                match readers.try_read(&work) {
                    Err(error) if error.is_busy() && began.elapsed() < readers.busy_timeout => {
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    result => return result,
                }
            }
        });
        task.await.unwrap_or(Err(Error::Panicked))
    }

    fn try_read<T>(&self, work: impl Fn(&Connection) -> Result<T, Error>) -> Result<T, Error> {
        let free = self.connections.iter().find_map(Mutex::try_lock);
        match free.or_else(|| self.connections.first().map(Mutex::lock)) {
            Some(connection) => work(&connection),
            None => Err(Error::Closed),
        }
    }
}
