//! `state.sqlite`: a key-value store in a file, in the tables of Dapr's component of that name, so that one file can
//! serve sidecars of both at once.
//!
//! Writes that come at the same time share a transaction. A write is answered when it is on disk (`synchronous=FULL`, what
//! the original does too); reads go on meanwhile, on connections of their own.

mod options;
mod reads;
mod table;
mod writes;

#[cfg(test)]
mod tests;

pub use options::Options;

use crate::database::{Access, Error, Readers, Settings, Worker, create_folder_of, migrate};
use component::{
    Component, ComponentError, Metadata, Open, OpenError, async_trait,
    state::{BulkItem, Delete, Feature, Get, Item, KeysLike, Operation, Set, StateStore, Transactions, first_error},
};
use rusqlite::Connection;
use std::{sync::Arc, time::Duration};
use table::Table;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use writes::Write;

/// A bulk read of more keys than this is done on a thread of its own.
const FEW: usize = 32;

/// A key-value store in a SQLite file.
pub struct State {
    table: Arc<Table>,
    writer: Arc<Worker>,
    /// Nothing where readers would have to wait for the writer anyway: its thread then reads, too.
    readers: Option<Arc<Readers>>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// What is dropped without being closed leaves no task behind.
impl Drop for State {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Component for State {
    const NAMES: &'static [&'static str] = &["sqlite", "sqlite3"];
    const SUMMARY: &'static str =
        "Keeps state in a SQLite file, durably and without a server; its tables are those of Dapr's own component.";
    type Options = Options;

    async fn open(options: Options, _: Open) -> Result<Self, OpenError> {
        let settings = options.settings()?;
        let table = Arc::new(Table::new(&options.table_name, &options.metadata_table_name));
        let opening = table.clone();
        let opened = tokio::task::spawn_blocking(move || open_connections(&settings, &opening));
        let (connection, readers) = opened.await.map_err(OpenError::failed)?.map_err(OpenError::failed)?;
        let writer = Worker::spawn(connection, options.timeout, None).map_err(OpenError::failed)?;
        let state = Self {
            table,
            writer: Arc::new(writer),
            readers: readers.map(Arc::new),
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        if let Some(interval) = options.cleanup_interval.get() {
            state.clean_every(interval);
        }
        Ok(state)
    }
}

fn open_connections(settings: &Settings, table: &Table) -> Result<(Connection, Option<Readers>), Error> {
    create_folder_of(&settings.location).map_err(|error| {
        let path = settings.location.uri();
        ComponentError::permanent(format!("creating the folder of {path}: {error}"))
    })?;
    let writer = settings.writer()?;
    if !settings.location.is_read_only() {
        migrate(
            &writer,
            &table.metadata,
            "migrations",
            std::slice::from_ref(&table.create),
        )?;
    }
    let journal: String = writer.pragma_query_value(None, "journal_mode", |row| row.get(0))?;
    let concurrent = journal.eq_ignore_ascii_case("wal") && !settings.location.is_memory();
    let readers = concurrent.then(|| Readers::open(settings)).transpose()?;
    Ok((writer, readers))
}

impl State {
    /// Removes expired rows from time to time. Of all sidecars that share the table one does it.
    fn clean_every(&self, interval: Duration) {
        let (table, writer, cancel) = (self.table.clone(), self.writer.clone(), self.cancel.clone());
        self.tasks.spawn(cancel.run_until_cancelled_owned(async move {
            loop {
                tokio::time::sleep(interval).await;
                let table = table.clone();
                let cleaned = writer.call(Access::Whole, move |connection| table.clean(connection, interval));
                match cleaned.await {
                    Ok(0) => {}
                    Ok(removed) => tracing::debug!("removed {removed} expired rows"),
                    Err(error) => tracing::warn!("removing expired rows: {error}"),
                }
            }
        }));
    }

    async fn read<T, W>(&self, long: bool, work: W) -> Result<T, ComponentError>
    where
        T: Send + 'static,
        W: Fn(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let result = match &self.readers {
            Some(readers) if long => readers.read_on_thread(work).await,
            Some(readers) => readers.read(work).await,
            None => self.writer.call(Access::Read, work).await,
        };
        result.map_err(ComponentError::from)
    }

    async fn write(&self, write: Write) -> Result<(), ComponentError> {
        let table = self.table.clone();
        let work = move |connection: &Connection| write.carry_out(&table, connection);
        self.writer.call(Access::Statement, work).await.map_err(Into::into)
    }

    /// Writes each for itself, though in one go.
    async fn write_each(&self, writes: Vec<Result<Write, ComponentError>>) -> Result<(), ComponentError> {
        let writes = writes.into_iter().map(|write| async move { self.write(write?).await });
        first_error(futures_util::future::join_all(writes).await)
    }
}

#[async_trait]
impl StateStore for State {
    fn features(&self) -> Vec<Feature> {
        vec![Feature::Etag, Feature::Transactional, Feature::Ttl, Feature::KeysLike]
    }

    async fn get(&self, request: Get) -> Result<Option<Item>, ComponentError> {
        if request.key.is_empty() {
            return Err(ComponentError::permanent("missing key in get operation"));
        }
        let table = self.table.clone();
        self.read(false, move |connection| table.get(connection, &request.key))
            .await
    }

    async fn set(&self, request: Set) -> Result<(), ComponentError> {
        self.write(Write::set(request)?).await
    }

    async fn delete(&self, request: Delete) -> Result<(), ComponentError> {
        self.write(Write::delete(request)?).await
    }

    async fn bulk_get(&self, requests: Vec<Get>, _: usize) -> Result<Vec<BulkItem>, ComponentError> {
        let table = self.table.clone();
        let keys: Arc<[String]> = requests.into_iter().map(|request| request.key).collect();
        self.read(keys.len() > FEW, move |connection| table.get_all(connection, &keys))
            .await
    }

    async fn bulk_set(&self, requests: Vec<Set>) -> Result<(), ComponentError> {
        self.write_each(requests.into_iter().map(Write::set).collect()).await
    }

    async fn bulk_delete(&self, requests: Vec<Delete>) -> Result<(), ComponentError> {
        self.write_each(requests.into_iter().map(Write::delete).collect()).await
    }

    fn transactions(&self) -> Option<&dyn Transactions> {
        Some(self)
    }

    fn keys_like(&self) -> Option<&dyn KeysLike> {
        Some(self)
    }

    async fn ping(&self) -> Result<(), ComponentError> {
        self.read(
            false,
            |connection| Ok(connection.query_row("SELECT 1", [], |_| Ok(()))?),
        )
        .await
    }

    async fn close(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.writer.close().await;
    }
}

#[async_trait]
impl Transactions for State {
    async fn execute(&self, operations: Vec<Operation>, _: Metadata) -> Result<(), ComponentError> {
        let writes = operations.into_iter().map(|operation| match operation {
            Operation::Upsert(set) => Write::set(set),
            Operation::Delete(delete) => Write::delete(delete),
        });
        let writes: Vec<Write> = writes.collect::<Result<_, _>>()?;
        if writes.is_empty() {
            return Ok(());
        }
        let table = self.table.clone();
        let work =
            move |connection: &Connection| writes.iter().try_for_each(|write| write.carry_out(&table, connection));
        self.writer.call(Access::Whole, work).await.map_err(Into::into)
    }
}

#[async_trait]
impl KeysLike for State {
    async fn keys_like(
        &self,
        pattern: &str,
        limit: Option<u32>,
        token: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), ComponentError> {
        if pattern.is_empty() {
            return Err(ComponentError::permanent("keys like pattern cannot be empty"));
        }
        let after = match token.as_deref() {
            None | Some("") => 0,
            Some(text) => text
                .parse()
                .map_err(|_| ComponentError::permanent(format!("invalid continuation token: {text:?}")))?,
        };
        let (table, pattern) = (self.table.clone(), pattern.to_owned());
        self.read(true, move |connection| {
            table.keys_like(connection, &pattern, limit, after)
        })
        .await
    }
}
