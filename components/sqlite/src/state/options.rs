//! The metadata of `state.sqlite`.

use crate::database::{ConnectionString, Settings, check_identifier};
use component::{Config, ConfigError, OpenError, config};
use std::time::Duration;

/// Options of `state.sqlite`.
#[derive(Debug, Clone, Config)]
pub struct Options {
    #[config(flatten)]
    pub(super) connection_string: ConnectionString,
    /// How long an operation may take.
    #[config(default = "20s", alias = "timeoutInSeconds")]
    pub timeout: Duration,
    /// How long an operation waits for the lock of another program before it fails as busy.
    #[config(default = "2s")]
    pub busy_timeout: Duration,
    /// Does without a write-ahead log: for files on a network, and slower.
    #[config(name = "disableWAL", default = "false")]
    pub disable_wal: bool,
    /// The table with the state. It is created if it is not there.
    #[config(default = "state")]
    pub table_name: String,
    /// The table with the versions of tables. It is created if it is not there.
    #[config(default = "metadata")]
    pub metadata_table_name: String,
    /// How often expired rows are removed; they are invisible before. Zero or less: never.
    #[config(default = "0", alias = "cleanupIntervalInSeconds")]
    pub cleanup_interval: Interval,
}

impl Options {
    /// Checks what the types do not.
    pub(super) fn settings(&self) -> Result<Settings, OpenError> {
        let location = self.connection_string.parse()?;
        for (field, name) in [
            ("tableName", &self.table_name),
            ("metadataTableName", &self.metadata_table_name),
        ] {
            check_identifier(name).map_err(|problem| ConfigError::invalid(field, name, problem))?;
        }
        if self.timeout.is_zero() {
            return Err(ConfigError::invalid("timeout", "0", "it must be more than nothing").into());
        }
        Ok(Settings {
            location,
            busy_timeout: self.busy_timeout,
            wal: !self.disable_wal,
        })
    }
}

/// A duration; zero and negative ones mean "never".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval(Duration);

impl Interval {
    /// The duration, unless it is "never".
    pub fn get(self) -> Option<Duration> {
        (!self.0.is_zero()).then_some(self.0)
    }
}

impl config::Value for Interval {
    const KIND: &'static str = "duration";

    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text.strip_prefix('-') {
            Some(size) => Duration::parse(size).map(|_| Self::default()),
            None => Duration::parse(text).map(Self),
        }
    }
}
