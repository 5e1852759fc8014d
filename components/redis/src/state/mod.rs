//! `state.redis`: a key is a hash with the fields `data` and `version`; the version counts writes and is the entity tag.

mod keys;
mod query;
mod read;
mod write;

#[cfg(test)]
mod tests;

use crate::{
    dial::Target,
    link::{Link, Repeat},
    options::{Connection, ServerType},
};
use component::{
    Component, ComponentError, Config, ErrorKind, Metadata, Open, OpenError, async_trait,
    state::{
        BulkItem, Consistency, Delete, Feature, Get, Item, KeysLike, Operation, Queries, Query, QueryResult, Set,
        StateStore, Transactions,
    },
};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use write::{Batch, Write};

/// How many writes go into one script; a longer script would hold up the server's other clients.
const WRITES_AT_ONCE: usize = 64;
/// How long a strong write waits for replicas.
const REPLICA_WAIT: Duration = Duration::from_secs(1);
/// How long the number of replicas is taken for true.
const REPLICAS_FRESH: Duration = Duration::from_secs(10);

/// Options of `state.redis`.
#[derive(Debug, Config)]
pub(crate) struct Options {
    #[config(flatten)]
    connection: Connection,
    /// Seconds after which a state expires if its request does not say otherwise.
    ttl_in_seconds: Option<i64>,
    /// Indexes for the query API: a JSON list of objects with `name` and `indexes`, the latter a list of objects with `key`
    /// (path within the value) and `type` (`TEXT` or `NUMERIC`). Needs the modules RediSearch and RedisJSON.
    query_indexes: Option<String>,
    /// Taken without effect: it belongs to `pubsub.redis`.
    #[expect(dead_code, reason = "components for both kinds share one file of metadata")]
    redeliver_interval: Option<String>,
    /// Taken without effect: it belongs to `pubsub.redis`.
    #[expect(dead_code, reason = "components for both kinds share one file of metadata")]
    processing_timeout: Option<String>,
}

/// A Redis server, or a cluster of them, as a state store.
pub(crate) struct State {
    link: Link,
    /// A connection for strong writes alone, since waiting for replicas holds up all that is behind on its connection.
    strong: Link,
    replicas: Mutex<Option<(Instant, u32)>>,
    cluster: bool,
    default_ttl: Option<i64>,
    /// Whether the server keeps JSON documents.
    json: bool,
    /// The indexes for queries; nothing if the server cannot search.
    indexes: Option<Vec<query::Index>>,
}

impl Component for State {
    const NAMES: &'static [&'static str] = &["redis"];
    const SUMMARY: &'static str = "Keeps state in Redis: one server, a master behind sentinels, or a cluster.";
    type Options = Options;

    async fn open(options: Options, _: Open) -> Result<Self, OpenError> {
        let target = Arc::new(Target::new(&options.connection, None)?);
        Self::start(options, target).await
    }
}

impl State {
    /// Opens the store at the target.
    pub(crate) async fn start(options: Options, target: Arc<Target>) -> Result<Self, OpenError> {
        let indexes = query::indexes(options.query_indexes.as_deref().unwrap_or_default())?;
        let link = Link::new(target.clone(), &options.connection);
        let host = &options.connection.redis_host;
        link.ping()
            .await
            .map_err(|e| OpenError::failed(format!("error connecting to redis at {host}: {e}")))?;
        let modules = modules(&link).await;
        let json = modules.contains("ReJSON");
        let searches = json && modules.contains("search");
        if !indexes.is_empty() && !searches {
            tracing::warn!("redis at {host} lacks the modules RediSearch and RedisJSON: queries are not possible");
        }
        if searches {
            for index in &indexes {
                let failed = |e| OpenError::failed(format!("failed to make an index for queries: {e}"));
                query::prepare(&link, index).await.map_err(failed)?;
            }
        }
        Ok(Self {
            link,
            strong: Link::new(target, &options.connection),
            replicas: Mutex::default(),
            cluster: options.connection.redis_type == ServerType::Cluster,
            default_ttl: options.ttl_in_seconds,
            json,
            indexes: searches.then_some(indexes),
        })
    }

    /// Carries out writes; returns those refused.
    async fn apply(
        &self,
        batch: Batch,
        writes: &[Write],
        strong: bool,
    ) -> Result<Vec<(usize, ComponentError)>, ComponentError> {
        match strong {
            true => match self.count_replicas().await? {
                0 => write::apply(&self.link, batch, writes, None).await,
                count => write::apply(&self.strong, batch, writes, Some((count, REPLICA_WAIT))).await,
            },
            false => write::apply(&self.link, batch, writes, None).await,
        }
    }

    async fn one(&self, write: Write, consistency: Consistency) -> Result<(), ComponentError> {
        let strong = consistency == Consistency::Strong;
        let refused = self.apply(Batch::Each, &[write], strong).await?;
        refused.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// Carries out writes that have nothing to do with each other.
    async fn many(&self, writes: Vec<Write>, strong: bool) -> Result<(), ComponentError> {
        // The keys of one script must live on one server.
        let at_once = if self.cluster { 1 } else { WRITES_AT_ONCE };
        let mut errors = Vec::new();
        for chunk in writes.chunks(at_once) {
            match self.apply(Batch::Each, chunk, strong).await {
                Ok(refused) => errors.extend(refused.into_iter().map(|(_, error)| error)),
                Err(error) => errors.push(error),
            }
        }
        joined(errors)
    }

    /// How many replicas there are. A cluster's are not counted: each server would have its own number.
    async fn count_replicas(&self) -> Result<u32, ComponentError> {
        if self.cluster {
            return Ok(0);
        }
        if let Some((when, count)) = *self.replicas.lock()
            && when.elapsed() < REPLICAS_FRESH
        {
            return Ok(count);
        }
        let failed = |e| crate::error::failed("failed to count replicas", &e);
        let mut command = redis::cmd("INFO");
        command.arg("replication");
        let answer = self.strong.run(Repeat::Safe, &command).await.map_err(failed)?;
        let info: String = redis::from_redis_value(answer).map_err(|e| failed(e.into()))?;
        let count = info
            .lines()
            .find_map(|line| line.strip_prefix("connected_slaves:")?.trim().parse().ok())
            .unwrap_or(0);
        *self.replicas.lock() = Some((Instant::now(), count));
        Ok(count)
    }
}

/// The names of the server's modules; none if it does not say.
async fn modules(link: &Link) -> String {
    let mut command = redis::cmd("MODULE");
    command.arg("LIST");
    match link.run(Repeat::Safe, &command).await {
        Ok(answer) => format!("{answer:?}"),
        Err(_) => String::new(),
    }
}

/// The value of a name in metadata, whatever its case.
fn lookup<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a str> {
    metadata
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// All errors as one; one about entity tags comes first, since the caller's status depends on it.
fn joined(mut errors: Vec<ComponentError>) -> Result<(), ComponentError> {
    errors.sort_by_key(|e| !matches!(e.kind, ErrorKind::EtagMismatch | ErrorKind::EtagInvalid));
    let message = errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>().join("\n");
    match errors.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(ComponentError { message, ..first }),
    }
}

#[async_trait]
impl StateStore for State {
    fn features(&self) -> Vec<Feature> {
        let mut features = vec![Feature::Etag, Feature::Transactional, Feature::Ttl, Feature::KeysLike];
        if self.indexes.is_some() {
            features.push(Feature::QueryApi);
        }
        features
    }

    async fn get(&self, request: Get) -> Result<Option<Item>, ComponentError> {
        read::get(&self.link, &request, self.json).await
    }

    async fn set(&self, request: Set) -> Result<(), ComponentError> {
        let consistency = request.options.consistency;
        self.one(Write::set(request, self.default_ttl, self.json)?, consistency)
            .await
    }

    async fn delete(&self, request: Delete) -> Result<(), ComponentError> {
        let consistency = request.options.consistency;
        self.one(Write::delete(request)?, consistency).await
    }

    async fn bulk_get(&self, requests: Vec<Get>, parallelism: usize) -> Result<Vec<BulkItem>, ComponentError> {
        Ok(match self.cluster {
            true => read::one_by_one(&self.link, requests, parallelism, self.json).await,
            false => read::bulk(&self.link, requests, parallelism, self.json).await,
        })
    }

    async fn bulk_set(&self, requests: Vec<Set>) -> Result<(), ComponentError> {
        let strong = requests.iter().any(|r| r.options.consistency == Consistency::Strong);
        let writes = requests
            .into_iter()
            .map(|request| Write::set(request, self.default_ttl, self.json))
            .collect::<Result<_, _>>()?;
        self.many(writes, strong).await
    }

    async fn bulk_delete(&self, requests: Vec<Delete>) -> Result<(), ComponentError> {
        let strong = requests.iter().any(|r| r.options.consistency == Consistency::Strong);
        let writes = requests.into_iter().map(Write::delete).collect::<Result<_, _>>()?;
        self.many(writes, strong).await
    }

    fn transactions(&self) -> Option<&dyn Transactions> {
        Some(self)
    }

    fn queries(&self) -> Option<&dyn Queries> {
        self.indexes.as_ref().map(|_| self as &dyn Queries)
    }

    fn keys_like(&self) -> Option<&dyn KeysLike> {
        Some(self)
    }

    async fn ping(&self) -> Result<(), ComponentError> {
        self.link.ping().await.map_err(|e| crate::error::failed("ping", &e))
    }

    async fn close(&self) {
        self.link.close();
        self.strong.close();
    }
}

#[async_trait]
impl Transactions for State {
    async fn execute(&self, operations: Vec<Operation>, _: Metadata) -> Result<(), ComponentError> {
        let mut strong = false;
        let mut writes = Vec::with_capacity(operations.len());
        for operation in operations {
            let (write, consistency) = match operation {
                Operation::Upsert(set) => {
                    let consistency = set.options.consistency;
                    (Write::set(set, self.default_ttl, self.json)?, consistency)
                }
                Operation::Delete(delete) => {
                    let consistency = delete.options.consistency;
                    (Write::delete(delete)?, consistency)
                }
            };
            strong |= consistency == Consistency::Strong;
            writes.push(write);
        }
        let refused = self.apply(Batch::All, &writes, strong).await?;
        refused.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }
}

#[async_trait]
impl Queries for State {
    async fn query(&self, query: Query) -> Result<QueryResult, ComponentError> {
        match &self.indexes {
            Some(indexes) => query::answer(&self.link, indexes, &query).await,
            None => Err(ComponentError::unsupported("redis lacks the modules that queries need")),
        }
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
        keys::like(&self.link, pattern, limit, token).await
    }
}
