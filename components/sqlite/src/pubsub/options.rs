//! The metadata of `pubsub.sqlite`.

use crate::database::{ConnectionString, Settings, check_identifier};
use component::{Config, ConfigError, Metadata, OpenError, config};
use std::time::Duration;

/// Options of `pubsub.sqlite`.
#[derive(Debug, Clone, Config)]
pub struct Options {
    #[config(flatten)]
    pub(super) connection_string: ConnectionString,
    /// The consumer group. Sidecars of one group share the messages; each group gets all of them. The application's id
    /// if none is given.
    #[config(name = "consumerID")]
    pub consumer_id: String,
    /// How many messages of a subscription are in work at the same time; with 1 they are delivered in order.
    #[config(default = "10")]
    pub concurrency: usize,
    /// How many messages a sidecar takes in advance at most.
    #[config(default = "256")]
    pub queue_depth: usize,
    /// How long a sidecar that gives no sign of life keeps its messages before others of its group get them. That of a
    /// sidecar that has died is noticed within seconds, whatever this is.
    #[config(default = "30s", alias = "processingTimeout")]
    pub lease_duration: Duration,
    /// How long the first redelivery of a message that was refused waits. Each further one waits twice as long.
    #[config(default = "1s")]
    pub redeliver_interval: Duration,
    /// How long a redelivery waits at most.
    #[config(default = "1m")]
    pub max_redeliver_interval: Duration,
    /// How often a refused message is delivered again before it is given up. As often as needed if not given.
    pub max_retries: Option<u32>,
    /// Where a new consumer group begins: `latest` with what is published from then on, `oldest` with what is there.
    #[config(default = "latest")]
    pub initial_offset: InitialOffset,
    /// How long a message that some group has not consumed is kept.
    #[config(default = "168h")]
    pub retention: Duration,
    /// How many messages of a topic that no group has ever subscribed to are kept.
    #[config(default = "100000")]
    pub unsubscribed_limit: u32,
    /// How long publishing may take.
    #[config(default = "20s")]
    pub timeout: Duration,
    /// How long the lock of another program is waited for.
    #[config(default = "5s")]
    pub busy_timeout: Duration,
    /// The table with the versions of tables. It is created if it is not there.
    #[config(default = "metadata")]
    pub metadata_table_name: String,
}

impl Options {
    /// Checks what the types do not.
    pub(super) fn settings(&self) -> Result<Settings, OpenError> {
        let location = self.connection_string.parse()?;
        check_identifier(&self.metadata_table_name)
            .map_err(|problem| ConfigError::invalid("metadataTableName", &self.metadata_table_name, problem))?;
        for (field, wrong) in [
            ("concurrency", self.concurrency == 0),
            ("queueDepth", self.queue_depth == 0),
            ("leaseDuration", self.lease_duration < Duration::from_secs(1)),
            ("timeout", self.timeout.is_zero()),
        ] {
            if wrong {
                return Err(ConfigError::invalid(field, "", "too small").into());
            }
        }
        Ok(Settings {
            location,
            busy_timeout: self.busy_timeout,
            wal: true,
        })
    }

    /// How long a message waits that has been refused so many times.
    pub(super) fn delay(&self, attempts: u32) -> Duration {
        let doubled = 2u32.saturating_pow(attempts.saturating_sub(1).min(30));
        let delay = self.redeliver_interval.saturating_mul(doubled);
        let delay = delay.min(self.max_redeliver_interval.max(self.redeliver_interval));
        // A tenth more or less, so that what failed together does not come back together.
        delay.mul_f64(0.9 + 0.2 * fastrand::f64())
    }
}

/// Where a new consumer group begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialOffset {
    /// With what is published from then on.
    Latest,
    /// With the oldest message that is still there.
    Oldest,
}

impl config::Value for InitialOffset {
    const KIND: &'static str = "latest or oldest";

    fn parse(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "latest" | "newest" => Ok(Self::Latest),
            "oldest" | "earliest" => Ok(Self::Oldest),
            _ => Err("known are latest and oldest".into()),
        }
    }
}

/// The value of a name in a subscription's metadata, whatever its case.
pub(super) fn named<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    let found = metadata.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}
