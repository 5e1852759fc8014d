//! `nameresolution.sqlite`: sidecars of one machine find each other in a file, in the table of Dapr's component of that
//! name, so that sidecars of both find each other.
//!
//! Each sidecar has a row with its address and renews its time; a row that was not renewed within the interval counts as
//! gone.

#[cfg(test)]
mod tests;

use crate::database::{
    Access, ConnectionString, Error, Readers, Settings, Worker, check_identifier, create_folder_of, migrate,
};
use component::{
    Component, ComponentError, Config, ConfigError, Open, OpenError, async_trait,
    name_resolution::{NameResolver, Resolve},
};
use rusqlite::{Connection, params};
use std::{sync::Arc, time::Duration};
use tokio::time::MissedTickBehavior;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

/// The counter of steps in the table of metadata.
const MIGRATIONS_KEY: &str = "nr-migrations";

/// Options of `nameresolution.sqlite`.
#[derive(Debug, Clone, Config)]
pub struct Options {
    #[config(flatten)]
    connection_string: ConnectionString,
    /// How often a sidecar tells that it lives. One that has not for so long is not found any more.
    #[config(default = "5s")]
    pub update_interval: Duration,
    /// How often rows of sidecars that are gone are removed.
    #[config(default = "1h")]
    pub cleanup_interval: Duration,
    /// How long an operation may take; at least a second less than `updateInterval`.
    #[config(default = "1s")]
    pub timeout: Duration,
    /// How long an operation waits for the lock of another program before it fails as busy.
    #[config(default = "800ms")]
    pub busy_timeout: Duration,
    /// Does without a write-ahead log: for files on a network, and slower.
    #[config(name = "disableWAL", default = "false")]
    pub disable_wal: bool,
    /// The table of sidecars. It is created if it is not there.
    #[config(default = "hosts")]
    pub table_name: String,
    /// The table with the versions of tables. It is created if it is not there.
    #[config(default = "metadata")]
    pub metadata_table_name: String,
}

impl Options {
    /// Checks what the types do not.
    fn settings(&self) -> Result<Settings, OpenError> {
        let location = self.connection_string.parse()?;
        for (field, name) in [
            ("tableName", &self.table_name),
            ("metadataTableName", &self.metadata_table_name),
        ] {
            check_identifier(name).map_err(|problem| ConfigError::invalid(field, name, problem))?;
        }
        let second = Duration::from_secs(1);
        let wrong = |field: &str, value: Duration, problem: &str| {
            Err(ConfigError::invalid(field, &format!("{value:?}"), problem).into())
        };
        if self.timeout < second {
            return wrong("timeout", self.timeout, "it must be at least 1s");
        }
        if self.update_interval < self.timeout + second {
            return wrong(
                "updateInterval",
                self.update_interval,
                "it must be at least 1s more than timeout",
            );
        }
        if location.is_memory() || location.is_read_only() {
            return Err(OpenError::failed("name resolution needs a file that can be written"));
        }
        Ok(Settings {
            location,
            busy_timeout: self.busy_timeout,
            wal: !self.disable_wal,
        })
    }
}

/// Finds sidecars in a file.
pub struct Resolver {
    hosts: Arc<Hosts>,
    writer: Arc<Worker>,
    readers: Arc<Readers>,
    cancel: CancellationToken,
    tasks: TaskTracker,
}

/// The table, and this sidecar's row.
struct Hosts {
    table: String,
    metadata_table: String,
    /// In whole seconds, as the table's times.
    interval: i64,
    registration: String,
    address: String,
    app_id: String,
    namespace: String,
}

/// What is dropped without being closed leaves no task behind.
impl Drop for Resolver {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Component for Resolver {
    const NAMES: &'static [&'static str] = &["sqlite"];
    const SUMMARY: &'static str = "Finds the sidecars of one machine in a SQLite file that they share.";
    type Options = Options;

    async fn open(options: Options, cx: Open) -> Result<Self, OpenError> {
        let settings = options.settings()?;
        let hosts = Arc::new(Hosts::new(&options, &cx)?);
        let opening = hosts.clone();
        let opened = tokio::task::spawn_blocking(move || opening.connect(&settings));
        let (connection, readers) = opened.await.map_err(OpenError::failed)?.map_err(OpenError::failed)?;
        let writer = Worker::spawn(connection, options.timeout, None).map_err(OpenError::failed)?;
        let resolver = Self {
            hosts: hosts.clone(),
            writer: Arc::new(writer),
            readers: Arc::new(readers),
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let registered = resolver
            .writer
            .call(Access::Whole, move |connection| hosts.register(connection));
        registered.await.map_err(OpenError::failed)?;
        resolver.renew_every(options.update_interval);
        resolver.clean_every(options.cleanup_interval);
        Ok(resolver)
    }
}

impl Resolver {
    fn renew_every(&self, interval: Duration) {
        // A second early, so that the row is never out of date while the sidecar lives.
        let interval = interval.saturating_sub(Duration::from_secs(1));
        let (hosts, writer) = (self.hosts.clone(), self.writer.clone());
        self.every(interval, move || {
            let (hosts, writer) = (hosts.clone(), writer.clone());
            async move {
                let renewed = writer.call(Access::Whole, move |connection| hosts.renew(connection));
                if let Err(error) = renewed.await {
                    tracing::warn!("renewing the registration of this sidecar: {error}");
                }
            }
        });
    }

    fn clean_every(&self, interval: Duration) {
        if interval.is_zero() {
            return;
        }
        let (hosts, writer) = (self.hosts.clone(), self.writer.clone());
        self.every(interval, move || {
            let (hosts, writer) = (hosts.clone(), writer.clone());
            async move {
                let cleaned = writer.call(Access::Whole, move |connection| hosts.clean(connection));
                if let Err(error) = cleaned.await {
                    tracing::warn!("removing the rows of sidecars that are gone: {error}");
                }
            }
        });
    }

    fn every<F, Fut>(&self, interval: Duration, work: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let cancel = self.cancel.clone();
        self.tasks.spawn(cancel.run_until_cancelled_owned(async move {
            let mut ticks = tokio::time::interval(interval.max(Duration::from_millis(100)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                work().await;
            }
        }));
    }
}

#[async_trait]
impl NameResolver for Resolver {
    async fn resolve(&self, request: Resolve<'_>) -> Result<Vec<String>, ComponentError> {
        let hosts = self.hosts.clone();
        let (app_id, namespace) = (request.app_id.to_owned(), request.namespace.to_owned());
        let found = self
            .readers
            .read(move |connection| hosts.find(connection, &namespace, &app_id));
        found.await.map_err(Into::into)
    }

    /// A look into the file is cheap, and an old answer may name a sidecar that is gone.
    fn cacheable(&self) -> bool {
        false
    }

    async fn close(&self) {
        self.cancel.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let hosts = self.hosts.clone();
        let removed = self
            .writer
            .call(Access::Whole, move |connection| hosts.remove(connection));
        if let Err(error) = removed.await {
            tracing::warn!("removing the registration of this sidecar: {error}");
        }
        self.writer.close().await;
    }
}

impl Hosts {
    fn new(options: &Options, cx: &Open) -> Result<Self, OpenError> {
        if cx.host_address.is_empty() || cx.app_id.is_empty() || cx.internal_port == 0 {
            return Err(OpenError::failed(
                "this sidecar has no address, port or app id to be found by",
            ));
        }
        let host = if cx.host_address.contains(':') && !cx.host_address.starts_with('[') {
            format!("[{}]", cx.host_address)
        } else {
            cx.host_address.clone()
        };
        Ok(Self {
            table: options.table_name.clone(),
            metadata_table: options.metadata_table_name.clone(),
            interval: i64::try_from(options.update_interval.as_secs()).unwrap_or(i64::MAX),
            registration: Uuid::new_v4().to_string(),
            address: format!("{host}:{}", cx.internal_port),
            app_id: cx.app_id.clone(),
            namespace: cx.namespace.clone(),
        })
    }

    fn connect(&self, settings: &Settings) -> Result<(Connection, Readers), Error> {
        create_folder_of(&settings.location).map_err(|error| {
            let path = settings.location.uri();
            ComponentError::permanent(format!("creating the folder of {path}: {error}"))
        })?;
        let connection = settings.writer()?;
        let table = &self.table;
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {table} (
               registration_id TEXT NOT NULL PRIMARY KEY,
               address TEXT NOT NULL,
               app_id TEXT NOT NULL,
               namespace TEXT NOT NULL,
               last_update INTEGER NOT NULL
             );
             CREATE UNIQUE INDEX IF NOT EXISTS {table}_address_idx ON {table} (address);
             CREATE INDEX IF NOT EXISTS {table}_last_update_idx ON {table} (last_update)"
        );
        migrate(&connection, &self.metadata_table, MIGRATIONS_KEY, &[create])?;
        Ok((connection, Readers::open(settings)?))
    }

    /// Writes the row. Whoever had the same address before is gone.
    fn register(&self, connection: &Connection) -> Result<(), Error> {
        let table = &self.table;
        connection
            .prepare_cached(&format!("DELETE FROM {table} WHERE address = ?1"))?
            .execute([&self.address])?;
        connection
            .prepare_cached(&format!(
                "INSERT INTO {table} (registration_id, address, app_id, namespace, last_update)
                 VALUES (?1, ?2, ?3, ?4, unixepoch())
                 ON CONFLICT (registration_id) DO UPDATE SET address = excluded.address, last_update = excluded.last_update"
            ))?
            .execute(params![self.registration, self.address, self.app_id, self.namespace])?;
        Ok(())
    }

    /// Renews the row; if somebody has removed it (the sidecar may have slept for long), writes it again.
    fn renew(&self, connection: &Connection) -> Result<(), Error> {
        let sql = format!(
            "UPDATE {} SET last_update = unixepoch() WHERE registration_id = ?1",
            self.table
        );
        if connection.prepare_cached(&sql)?.execute([&self.registration])? == 0 {
            tracing::warn!("the registration of this sidecar was gone; it registers again");
            self.register(connection)?;
        }
        Ok(())
    }

    fn remove(&self, connection: &Connection) -> Result<(), Error> {
        let sql = format!("DELETE FROM {} WHERE registration_id = ?1", self.table);
        connection.prepare_cached(&sql)?.execute([&self.registration])?;
        Ok(())
    }

    fn clean(&self, connection: &Connection) -> Result<(), Error> {
        let sql = format!("DELETE FROM {} WHERE last_update < unixepoch() - ?1", self.table);
        connection
            .prepare_cached(&sql)?
            .execute([self.interval.saturating_add(1)])?;
        Ok(())
    }

    /// The addresses of an application's sidecars, in no order, so that calls spread over them.
    ///
    /// The original neither writes the namespace nor looks at it. So a row without one is in every namespace, and only
    /// if there is none for the namespace that is asked for, those of others are taken.
    fn find(&self, connection: &Connection, namespace: &str, app_id: &str) -> Result<Vec<String>, Error> {
        let sql = format!(
            "SELECT namespace NOT IN ('', ?2) AS elsewhere, address FROM {}
             WHERE app_id = ?1 AND last_update >= unixepoch() - ?3 ORDER BY elsewhere, random()",
            self.table
        );
        let mut select = connection.prepare_cached(&sql)?;
        let rows = select.query_map(params![app_id, namespace, self.interval], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        let mut rows: Vec<(bool, String)> = rows.collect::<Result<_, _>>()?;
        if let Some((first, _)) = rows.first() {
            let first = *first;
            rows.retain(|(elsewhere, _)| *elsewhere == first);
        }
        Ok(rows.into_iter().map(|(_, address)| address).collect())
    }
}
