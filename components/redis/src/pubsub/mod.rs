//! `pubsub.redis`: a topic is a stream, the subscribers of one application are a consumer group.

mod entry;
mod ledger;
mod stream;
mod subscription;

#[cfg(test)]
mod tests;

use crate::{
    dial::Target,
    error,
    link::{Link, Repeat},
    options::{Connection, Span},
};
use component::{
    Component, ComponentError, Config, Metadata, Open, OpenError, async_trait,
    config::Millis,
    pubsub::{
        self, BulkEntry, BulkPublish, BulkPublisher, FailedEntries, Feature, Handler, Publish, Subscribe, Subscription,
    },
};
use redis::{Cmd, Pipeline, Value};
use std::{sync::Arc, time::Duration};
use stream::Stream;
use subscription::{Redelivery, Settings, Work};

/// How many messages are published in one round trip.
const PUBLISHED_AT_ONCE: usize = 500;

/// Options of `pubsub.redis`.
#[derive(Debug, Config)]
pub(crate) struct Options {
    #[config(flatten)]
    connection: Connection,
    /// The consumer group; by default the application's id.
    #[config(name = "consumerID")]
    consumer_id: Option<String>,
    /// How often to look for messages that were delivered and never acknowledged; also the longest pause before a message
    /// that the application refused is delivered again. A bare number is milliseconds; 0 turns redelivery off.
    #[config(default = "60s")]
    redeliver_interval: Millis,
    /// How long a message may be in the hands of a sidecar that gives no sign of life before another one takes it. A bare
    /// number is milliseconds; 0 turns redelivery off.
    #[config(default = "15s")]
    processing_timeout: Millis,
    /// How many messages are fetched ahead.
    #[config(default = "100")]
    queue_depth: usize,
    /// How many messages are handled at the same time.
    #[config(default = "10")]
    concurrency: usize,
    /// About how many messages a stream keeps; older ones are dropped, read or not. No limit by default.
    max_len_approx: Option<u64>,
    /// About how long a stream keeps messages; older ones are dropped, read or not. For ever by default. Needs Redis 6.2.
    #[config(name = "streamTTL")]
    stream_ttl: Option<Span>,
}

/// Redis streams as a message broker.
pub(crate) struct PubSub {
    link: Arc<Link>,
    target: Arc<Target>,
    answer_timeout: Option<Duration>,
    group: String,
    settings: Settings,
    max_len: Option<u64>,
    max_age: Option<Duration>,
}

impl Component for PubSub {
    const NAMES: &'static [&'static str] = &["redis"];
    const SUMMARY: &'static str = "Publishes to Redis streams and subscribes to them with consumer groups.";
    type Options = Options;

    async fn open(options: Options, cx: Open) -> Result<Self, OpenError> {
        let target = Arc::new(Target::new(&options.connection, None)?);
        let link = Arc::new(Link::new(target.clone(), &options.connection));
        let host = &options.connection.redis_host;
        link.ping()
            .await
            .map_err(|e| OpenError::failed(format!("error connecting to redis at {host}: {e}")))?;
        let redelivery = Redelivery {
            interval: options.redeliver_interval.0,
            timeout: options.processing_timeout.0,
        };
        let wanted = !redelivery.interval.is_zero() && !redelivery.timeout.is_zero();
        Ok(Self {
            link,
            target,
            answer_timeout: options.connection.read_timeout.0,
            group: options.consumer_id.unwrap_or(cx.app_id),
            settings: Settings {
                depth: options.queue_depth.max(1),
                concurrency: options.concurrency.max(1),
                redelivery: wanted.then_some(redelivery),
            },
            max_len: options.max_len_approx.filter(|length| *length > 0),
            max_age: options.stream_ttl.and_then(|age| age.0).filter(|age| !age.is_zero()),
        })
    }
}

impl PubSub {
    fn add(&self, topic: &str, data: &[u8], metadata: &Metadata) -> Cmd {
        let mut command = Cmd::with_capacity(10, topic.len() + data.len() + 128);
        command.arg("XADD").arg(topic);
        if let Some(length) = self.max_len {
            command.arg("MAXLEN").arg("~").arg(length);
        } else if let Some(oldest) = self.oldest() {
            command.arg("MINID").arg("~").arg(oldest);
        }
        command.arg("*");
        entry::write(&mut command, data, metadata);
        command
    }

    /// The least id that a stream keeps.
    fn oldest(&self) -> Option<u64> {
        let age = i64::try_from(self.max_age?.as_millis()).ok()?;
        let oldest = jiff::Timestamp::now().as_millisecond().checked_sub(age)?;
        u64::try_from(oldest).ok()
    }

    /// The command that drops what is too old, where adding can only drop what is too much.
    fn trim(&self, topic: &str) -> Option<Cmd> {
        let oldest = self.oldest().filter(|_| self.max_len.is_some())?;
        let mut command = redis::cmd("XTRIM");
        command.arg(topic).arg("MINID").arg("~").arg(oldest);
        Some(command)
    }

    /// Publishes some entries in one round trip.
    async fn publish_chunk(&self, topic: &str, entries: &[BulkEntry], common: &Metadata) -> FailedEntries {
        let mut pipe = Pipeline::with_capacity(entries.len() + 1);
        for entry in entries {
            let mut metadata = common.clone();
            metadata.extend(entry.metadata.clone());
            pipe.add_command(self.add(topic, &entry.data, &metadata));
        }
        if let Some(trim) = self.trim(topic) {
            pipe.add_command(trim);
        }
        let failed = |entry: &BulkEntry, e| (entry.entry_id.clone(), failed_to_publish(topic, &e));
        match self.link.run_all(Repeat::Unsafe, &pipe).await {
            Err(e) => entries.iter().map(|entry| failed(entry, e.clone())).collect(),
            Ok(answers) => entries
                .iter()
                .zip(answers)
                .filter_map(|(entry, answer)| answer.extract_error().err().map(|e| failed(entry, e)))
                .collect(),
        }
    }
}

fn failed_to_publish(topic: &str, e: &redis::RedisError) -> ComponentError {
    error::failed(&format!("failed to publish to topic {topic}"), e)
}

#[async_trait]
impl pubsub::PubSub for PubSub {
    fn features(&self) -> Vec<Feature> {
        Vec::new()
    }

    async fn publish(&self, request: Publish) -> Result<(), ComponentError> {
        let command = self.add(&request.topic, &request.data, &request.metadata);
        let added = match self.trim(&request.topic) {
            None => self.link.run(Repeat::Unsafe, &command).await,
            Some(trim) => {
                let mut pipe = Pipeline::with_capacity(2);
                pipe.add_command(command).add_command(trim);
                let answers = self.link.run_all(Repeat::Unsafe, &pipe).await;
                answers.and_then(|answers| answers.into_iter().next().unwrap_or_default().extract_error())
            }
        };
        added
            .map(|_: Value| ())
            .map_err(|e| failed_to_publish(&request.topic, &e))
    }

    async fn subscribe(&self, request: Subscribe, handler: Arc<dyn Handler>) -> Result<Subscription, ComponentError> {
        if self.group.is_empty() {
            return Err(ComponentError::permanent("metadata field consumerID is missing"));
        }
        let stream = Stream {
            link: self.link.clone(),
            target: self.target.clone(),
            answer_timeout: self.answer_timeout,
            topic: request.topic,
            group: self.group.clone(),
        };
        let failed = |e| error::failed(&format!("failed to subscribe to topic {}", stream.topic), &e);
        stream.ensure_group().await.map_err(failed)?;
        let work = Work::new(stream, handler, self.settings);
        Ok(Subscription::spawn(|cancel| work.run(cancel)))
    }

    fn bulk_publish(&self) -> Option<&dyn BulkPublisher> {
        Some(self)
    }

    async fn ping(&self) -> Result<(), ComponentError> {
        self.link.ping().await.map_err(|e| error::failed("ping", &e))
    }

    async fn close(&self) {
        self.link.close();
    }
}

#[async_trait]
impl BulkPublisher for PubSub {
    async fn bulk_publish(&self, request: BulkPublish) -> Result<FailedEntries, ComponentError> {
        let mut failed = Vec::new();
        for chunk in request.entries.chunks(PUBLISHED_AT_ONCE) {
            failed.extend(self.publish_chunk(&request.topic, chunk, &request.metadata).await);
        }
        Ok(failed)
    }
}
