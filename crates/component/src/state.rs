//! State stores.

use crate::{ComponentError, Metadata};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};

/// How two writers of one key meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Concurrency {
    /// Nothing was asked for: last write wins, unless an entity tag is given.
    #[default]
    Unspecified,
    /// A write without the current entity tag of an existing key fails.
    FirstWrite,
    /// The last write wins.
    LastWrite,
    /// A word that is not one of Dapr's; the store refuses it.
    Unknown,
}

/// How sure a write or how fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Nothing was asked for.
    #[default]
    Unspecified,
    /// Any replica may answer.
    Eventual,
    /// A quorum must have answered.
    Strong,
    /// A word that is not one of Dapr's; the store refuses it.
    Unknown,
}

/// Options of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// How two writers of one key meet.
    pub concurrency: Concurrency,
    /// How sure the write must be.
    pub consistency: Consistency,
}

impl Options {
    /// Refuses words that are not Dapr's, as the stores of the original do.
    pub fn check(&self) -> Result<(), ComponentError> {
        if self.concurrency == Concurrency::Unknown {
            return Err(ComponentError::permanent("unrecognized concurrency type"));
        }
        if self.consistency == Consistency::Unknown {
            return Err(ComponentError::permanent("unrecognized consistency type"));
        }
        Ok(())
    }
}

/// Reads one key. Keys are whole: the prefix of the application is already in them.
#[derive(Debug, Clone, Default)]
pub struct Get {
    /// The key.
    pub key: String,
    /// Metadata of the request.
    pub metadata: Metadata,
    /// How fresh the answer must be.
    pub consistency: Consistency,
}

/// A value that a store holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// The value's bytes.
    pub data: Bytes,
    /// The entity tag, if the store has them.
    pub etag: Option<String>,
    /// Metadata of the answer, such as `ttlExpireTime`.
    pub metadata: Metadata,
    /// The content type that was stored with the value, if the store keeps it.
    pub content_type: Option<String>,
}

/// What a bulk read found for one key.
#[derive(Debug, Clone)]
pub struct BulkItem {
    /// The key, whole.
    pub key: String,
    /// The value, nothing if there is none, or why it could not be read.
    pub result: Result<Option<Item>, ComponentError>,
}

/// Writes one key.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// The key.
    pub key: String,
    /// The value's bytes.
    pub value: Bytes,
    /// The entity tag that must be the current one; an empty one is never passed.
    pub etag: Option<String>,
    /// Metadata of the request, such as `ttlInSeconds`.
    pub metadata: Metadata,
    /// Options of the write.
    pub options: Options,
    /// The content type of the value, if the caller told it.
    pub content_type: Option<String>,
}

/// Deletes one key. A key that is not there is no error.
#[derive(Debug, Clone, Default)]
pub struct Delete {
    /// The key.
    pub key: String,
    /// The entity tag that must be the current one; an empty one is never passed.
    pub etag: Option<String>,
    /// Metadata of the request.
    pub metadata: Metadata,
    /// Options of the write.
    pub options: Options,
}

/// One step of a transaction.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Writes a key.
    Upsert(Set),
    /// Deletes a key.
    Delete(Delete),
}

/// What a store can do; a closed list, shown by the metadata API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Writes can name an entity tag.
    Etag,
    /// Several writes can be one.
    Transactional,
    /// The store answers queries.
    QueryApi,
    /// Keys can expire.
    Ttl,
    /// All keys with a prefix can be deleted at once.
    DeleteWithPrefix,
    /// The store has partition keys.
    PartitionKey,
    /// Keys can be listed by a pattern.
    KeysLike,
}

impl Feature {
    /// The name that the metadata API shows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etag => "ETAG",
            Self::Transactional => "TRANSACTIONAL",
            Self::QueryApi => "QUERY_API",
            Self::Ttl => "TTL",
            Self::DeleteWithPrefix => "DELETE_WITH_PREFIX",
            Self::PartitionKey => "PARTITION_KEY",
            Self::KeysLike => "KEYS_LIKE",
        }
    }
}

/// The time to live that a request asks for (`ttlInSeconds` of its metadata).
///
/// `Ok(None)` if none is asked for; -1 means "for ever" and is passed on, since it lifts a time to live that was set before.
pub fn ttl_seconds(metadata: &Metadata) -> Result<Option<i64>, ComponentError> {
    let Some((_, text)) = metadata
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("ttlInSeconds"))
    else {
        return Ok(None);
    };
    if text.is_empty() {
        return Ok(None);
    }
    text.parse::<i64>().map(Some).map_err(|_| {
        ComponentError::permanent(format!(
            "invalid value for metadata ttlInSeconds: {text:?} is not a whole number"
        ))
    })
}

/// A key-value store.
///
/// A store is shared by all requests; each method may run many times at once. A read that finds nothing is `Ok(None)`,
/// never an empty value.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    /// What the store can do. [`Feature::Transactional`] and [`Feature::QueryApi`] follow from the capabilities below.
    fn features(&self) -> Vec<Feature>;

    /// Reads one key.
    async fn get(&self, request: Get) -> Result<Option<Item>, ComponentError>;

    /// Writes one key.
    async fn set(&self, request: Set) -> Result<(), ComponentError>;

    /// Deletes one key.
    async fn delete(&self, request: Delete) -> Result<(), ComponentError>;

    /// Reads several keys, at most `parallelism` at a time (0: no limit). The answers may come in any order.
    async fn bulk_get(&self, requests: Vec<Get>, parallelism: usize) -> Result<Vec<BulkItem>, ComponentError> {
        let limit = if parallelism == 0 {
            requests.len().max(1)
        } else {
            parallelism
        };
        let reads = requests.into_iter().map(|request| async move {
            let key = request.key.clone();
            BulkItem {
                key,
                result: self.get(request).await,
            }
        });
        Ok(stream::iter(reads).buffer_unordered(limit).collect().await)
    }

    /// Writes several keys, not as one: some may be written when an error is returned.
    async fn bulk_set(&self, requests: Vec<Set>) -> Result<(), ComponentError> {
        let writes = requests.into_iter().map(|request| self.set(request));
        first_error(stream::iter(writes).buffer_unordered(16).collect().await)
    }

    /// Deletes several keys, not as one.
    async fn bulk_delete(&self, requests: Vec<Delete>) -> Result<(), ComponentError> {
        let deletes = requests.into_iter().map(|request| self.delete(request));
        first_error(stream::iter(deletes).buffer_unordered(16).collect().await)
    }

    /// The store's transactions, if it has them.
    fn transactions(&self) -> Option<&dyn Transactions> {
        None
    }

    /// The store's queries, if it has them.
    fn queries(&self) -> Option<&dyn Queries> {
        None
    }

    /// The store's listing of keys by pattern, if it has it.
    fn keys_like(&self) -> Option<&dyn KeysLike> {
        None
    }

    /// Whether the store can be reached.
    async fn ping(&self) -> Result<(), ComponentError> {
        Ok(())
    }

    /// Lets go of what the store holds. No call follows.
    async fn close(&self) {}
}

/// All errors of a bulk write as one; an error about entity tags comes first, since the caller's status depends on it.
pub fn first_error(results: Vec<Result<(), ComponentError>>) -> Result<(), ComponentError> {
    let mut errors: Vec<ComponentError> = results.into_iter().filter_map(Result::err).collect();
    errors.sort_by_key(|e| !matches!(e.kind, crate::ErrorKind::EtagMismatch | crate::ErrorKind::EtagInvalid));
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => {
            let message = errors.iter().map(|e| e.message.as_str()).collect::<Vec<_>>().join("\n");
            Err(ComponentError {
                message,
                ..errors.remove(0)
            })
        }
    }
}

/// Several writes as one.
#[async_trait]
pub trait Transactions: Send + Sync {
    /// Carries out all operations in their order, or none.
    async fn execute(&self, operations: Vec<Operation>, metadata: Metadata) -> Result<(), ComponentError>;

    /// How many operations one transaction may have, if the store knows it by itself; nothing if there is no limit.
    fn max_operations(&self) -> Option<usize> {
        None
    }

    /// How many operations one transaction may have; nothing if there is no limit. This is what callers ask: a store behind
    /// a connection has to ask in its turn, and must not be asked before the first transaction.
    async fn limit(&self) -> Result<Option<usize>, ComponentError> {
        Ok(self.max_operations())
    }
}

/// A query of the query API, as its JSON says it.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The JSON text of the query: `filter`, `sort`, `page`.
    pub json: String,
    /// Metadata of the request.
    pub metadata: Metadata,
}

/// One row of a query's answer.
#[derive(Debug, Clone)]
pub struct QueryItem {
    /// The key, whole.
    pub key: String,
    /// The value.
    pub data: Bytes,
    /// The entity tag.
    pub etag: Option<String>,
    /// Why the row could not be read; empty if it could.
    pub error: String,
}

/// A query's answer.
#[derive(Debug, Clone, Default)]
pub struct QueryResult {
    /// The rows of this page.
    pub items: Vec<QueryItem>,
    /// Where the next page begins; empty at the end.
    pub token: String,
    /// Metadata of the answer.
    pub metadata: Metadata,
}

/// The query API of a store.
#[async_trait]
pub trait Queries: Send + Sync {
    /// Answers a query.
    async fn query(&self, query: Query) -> Result<QueryResult, ComponentError>;
}

/// Listing keys by an SQL `LIKE` pattern.
#[async_trait]
pub trait KeysLike: Send + Sync {
    /// A page of at most `limit` keys (`None`: all) in the order they were first written; the second value is where the next page begins.
    async fn keys_like(
        &self,
        pattern: &str,
        limit: Option<u32>,
        token: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), ComponentError>;
}
