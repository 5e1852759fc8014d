//! The state API: keys and values in a store.

mod encryption;
mod error;
mod http;
mod store;
#[cfg(test)]
mod tests;
mod transaction;

pub use encryption::NAME_SUFFIX;
pub use error::{Error, Info, malformed};
pub use store::check;

use crate::outbound;
use api::{ApiError, Cx, Op, Transport, call, op, unary};
use bytes::Bytes;
use component::{
    ComponentError, Kind, Metadata,
    state::{self as contract, BulkItem, Concurrency, Consistency},
};
use std::{collections::HashMap, time::Duration};
use store::Store;
use telemetry::metrics::Metrics;
use wire::{
    common::v1::{StateItem, StateOptions, state_options},
    runtime::v1::{
        BulkStateItem, DeleteBulkStateRequest, DeleteStateRequest, GetBulkStateRequest, GetBulkStateResponse,
        GetStateRequest, GetStateResponse, QueryStateItem, QueryStateRequest, QueryStateResponse, SaveStateRequest,
    },
};

/// The block.
pub struct State {
    metrics: Metrics,
}

/// The operations of this block.
pub const OPS: &[Op<State>] = &[
    op("GetState", "state", "v1.0")
        .get("/v1.0/state/{store}/{key}", call!(http::get))
        .grpc(unary!(State::get)),
    op("SaveState", "state", "v1.0")
        .post_or_put("/v1.0/state/{store}", call!(http::save))
        .grpc(unary!(State::save)),
    op("DeleteState", "state", "v1.0")
        .delete("/v1.0/state/{store}/{key}", call!(http::delete))
        .grpc(unary!(State::delete)),
    op("GetBulkState", "state", "v1.0")
        .post_or_put("/v1.0/state/{store}/bulk", call!(http::get_bulk))
        .grpc(unary!(State::get_bulk)),
    op("DeleteBulkState", "state", "v1.0").grpc(unary!(State::delete_bulk)),
    op("ExecuteStateTransaction", "state", "v1.0")
        .post_or_put("/v1.0/state/{store}/transaction", call!(http::transact))
        .grpc(unary!(State::transact)),
    op("QueryStateAlpha1", "state", "v1.0-alpha1")
        .post_or_put("/v1.0-alpha1/state/{store}/query", call!(http::query))
        .grpc(unary!(State::query)),
];

/// The number that stands in a wire message for a word that is not one of Dapr's.
const UNKNOWN_WORD: i32 = -1;

/// The metadata of a write that tells the value's content type.
const CONTENT_TYPE: &str = "contentType";

impl State {
    /// The block.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }

    /// Reads one key; one that is not there is an empty answer.
    pub async fn get(&self, cx: &Cx, request: GetStateRequest) -> Result<GetStateResponse, ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        let read = contract::Get {
            key: store.key(&request.key)?,
            metadata: request.metadata,
            consistency: consistency(request.consistency, cx.transport),
        };
        let (result, elapsed) =
            outbound::call(cx, store.name, Kind::State, read, |read| store.instance.get(read)).await;
        self.record(&store, "get", result.is_ok(), elapsed);
        let found = result.map_err(outbound::component_error).and_then(|item| {
            let Some(item) = item else { return Ok(None) };
            let data = store.open(item.data)?;
            Ok(Some(contract::Item { data, ..item }))
        });
        let failed = |error| {
            error::of_component(error, |why| Error::Get {
                store: store.name.into(),
                key: request.key,
                why,
            })
        };
        Ok(match found.map_err(failed)? {
            Some(item) => GetStateResponse {
                data: item.data,
                etag: item.etag.unwrap_or_default(),
                metadata: item.metadata,
            },
            None => GetStateResponse::default(),
        })
    }

    /// Reads several keys; the answers are in the order of the keys.
    pub async fn get_bulk(&self, cx: &Cx, request: GetBulkStateRequest) -> Result<GetBulkStateResponse, ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        if request.keys.is_empty() {
            return Ok(GetBulkStateResponse::default());
        }
        let read = |key: &String| {
            let key = store.key(key)?;
            Ok(contract::Get {
                key,
                metadata: request.metadata.clone(),
                consistency: Consistency::Unspecified,
            })
        };
        let reads = request.keys.iter().map(read).collect::<Result<Vec<_>, ApiError>>()?;
        let parallelism = usize::try_from(request.parallelism).unwrap_or(0);
        let call = |reads| store.instance.bulk_get(reads, parallelism);
        let (result, elapsed) = outbound::call(cx, store.name, Kind::State, reads, call).await;
        self.record(&store, "bulk_get", result.is_ok(), elapsed);
        let failed = |error| {
            error::of_component(error, |why| Error::BulkGet {
                store: store.name.into(),
                why,
            })
        };
        let found = result.map_err(outbound::component_error).map_err(failed)?;
        let items = in_order(&store, &request.keys, found)
            .into_iter()
            .map(|item| bulk_item(&store, item));
        Ok(GetBulkStateResponse { items: items.collect() })
    }

    /// Writes keys. Several are not written as one.
    pub async fn save(&self, cx: &Cx, request: SaveStateRequest) -> Result<(), ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        let write = |item: StateItem| {
            if item.key.is_empty() {
                return Err(Error::EmptyKey.into());
            }
            let item = with_json(&store, item)?;
            set(&store, item, cx.transport).map_err(|error| failed_save(&store, error))
        };
        let mut writes = request
            .states
            .into_iter()
            .map(write)
            .collect::<Result<Vec<_>, ApiError>>()?;
        let (result, elapsed) = match writes.len() {
            0 => return Ok(()),
            1 => {
                outbound::call(cx, store.name, Kind::State, writes.remove(0), |write| {
                    store.instance.set(write)
                })
                .await
            }
            _ => {
                outbound::call(cx, store.name, Kind::State, writes, |writes| {
                    store.instance.bulk_set(writes)
                })
                .await
            }
        };
        self.record(&store, "set", result.is_ok(), elapsed);
        result
            .map_err(outbound::component_error)
            .map_err(|error| failed_save(&store, error))
    }

    /// Deletes one key.
    pub async fn delete(&self, cx: &Cx, request: DeleteStateRequest) -> Result<(), ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        let write = contract::Delete {
            key: store.key(&request.key)?,
            etag: etag(request.etag),
            metadata: request.metadata,
            options: options(request.options, cx.transport),
        };
        let (result, elapsed) =
            outbound::call(cx, store.name, Kind::State, write, |write| store.instance.delete(write)).await;
        self.record(&store, "delete", result.is_ok(), elapsed);
        result.map_err(outbound::component_error).map_err(|error| {
            let key = || request.key.clone();
            error::by_kind(
                error,
                |why| Error::Delete { key: key(), why },
                |why| Error::DeleteMismatch { key: key(), why },
                |why| Error::DeleteInvalid { key: key(), why },
            )
        })
    }

    /// Deletes keys, not as one.
    pub async fn delete_bulk(&self, cx: &Cx, request: DeleteBulkStateRequest) -> Result<(), ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        let write = |item| delete(&store, item, cx.transport);
        let writes = request
            .states
            .into_iter()
            .map(write)
            .collect::<Result<Vec<_>, ApiError>>()?;
        let call = |writes| store.instance.bulk_delete(writes);
        let (result, elapsed) = outbound::call(cx, store.name, Kind::State, writes, call).await;
        self.record(&store, "bulk_delete", result.is_ok(), elapsed);
        result.map_err(outbound::component_error).map_err(|error| {
            let store = || store.name.to_owned();
            error::by_kind(
                error,
                |why| Error::BulkDelete { store: store(), why },
                |why| Error::BulkDeleteMismatch { store: store(), why },
                |why| Error::BulkDeleteInvalid { store: store(), why },
            )
        })
    }

    /// Answers a query.
    pub async fn query(&self, cx: &Cx, request: QueryStateRequest) -> Result<QueryStateResponse, ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        let Some(queries) = store.instance.queries().filter(|_| !store.encrypts()) else {
            return Err(Error::NoQueries {
                store: store.name.into(),
            }
            .into());
        };
        let query = contract::Query {
            json: request.query,
            metadata: request.metadata,
        };
        let (result, elapsed) = outbound::call(cx, store.name, Kind::State, query, |query| queries.query(query)).await;
        self.record(&store, "query", result.is_ok(), elapsed);
        let found = result
            .map_err(outbound::component_error)
            .map_err(|error| error::of_query(store.name, error))?;
        let row = |item: contract::QueryItem| QueryStateItem {
            key: store.short(&item.key).to_owned(),
            data: item.data,
            etag: item.etag.unwrap_or_default(),
            error: item.error,
        };
        Ok(QueryStateResponse {
            results: found.items.into_iter().map(row).collect(),
            token: found.token,
            metadata: found.metadata,
        })
    }

    fn record(&self, store: &Store<'_>, operation: &str, success: bool, elapsed: Duration) {
        self.metrics.component_state(store.name, operation, success, elapsed);
    }
}

fn failed_save(store: &Store<'_>, error: ComponentError) -> ApiError {
    let store = || store.name.to_owned();
    error::by_kind(
        error,
        |why| Error::Save { store: store(), why },
        |why| Error::SaveMismatch { store: store(), why },
        |why| Error::SaveInvalid { store: store(), why },
    )
}

/// A write of the wire as one of the store.
fn set(store: &Store<'_>, item: StateItem, transport: Transport) -> Result<contract::Set, ComponentError> {
    let content_type = content_type(&item.metadata).map(str::to_owned);
    Ok(contract::Set {
        key: item.key,
        value: store.seal(item.value)?,
        etag: etag(item.etag),
        metadata: item.metadata,
        options: options(item.options, transport),
        content_type,
    })
}

/// A deletion of the wire as one of the store.
fn delete(store: &Store<'_>, item: StateItem, transport: Transport) -> Result<contract::Delete, ApiError> {
    Ok(contract::Delete {
        key: store.key(&item.key)?,
        etag: etag(item.etag),
        metadata: item.metadata,
        options: options(item.options, transport),
    })
}

/// A write with its whole key, and its value compact if it says that it is JSON.
fn with_json(store: &Store<'_>, mut item: StateItem) -> Result<StateItem, ApiError> {
    item.key = store.key(&item.key)?;
    if !store.encrypts() && content_type(&item.metadata) == Some("application/json") {
        item.value = compact(&item.value)?;
    }
    Ok(item)
}

fn compact(value: &Bytes) -> Result<Bytes, Error> {
    let json = serde_json::from_slice::<&serde_json::value::RawValue>(value)
        .map_err(|e| Error::NotJson { why: e.to_string() })?;
    Ok(match crate::loose::compact(Some(json)) {
        std::borrow::Cow::Borrowed(text) => value.slice_ref(text.as_bytes()),
        std::borrow::Cow::Owned(text) => text.into(),
    })
}

fn content_type(metadata: &Metadata) -> Option<&str> {
    metadata.get(CONTENT_TYPE).map(String::as_str)
}

/// An empty entity tag is none.
fn etag(etag: Option<wire::common::v1::Etag>) -> Option<String> {
    etag.map(|etag| etag.value).filter(|value| !value.is_empty())
}

/// Options of a write. Numbers that mean nothing are as good as none.
fn options(options: Option<StateOptions>, transport: Transport) -> contract::Options {
    use state_options::StateConcurrency;
    let options = options.unwrap_or_default();
    let concurrency = match StateConcurrency::try_from(options.concurrency) {
        Ok(StateConcurrency::ConcurrencyFirstWrite) => Concurrency::FirstWrite,
        Ok(StateConcurrency::ConcurrencyLastWrite) => Concurrency::LastWrite,
        Err(_) if is_word(options.concurrency, transport) => Concurrency::Unknown,
        _ => Concurrency::Unspecified,
    };
    contract::Options {
        concurrency,
        consistency: consistency(options.consistency, transport),
    }
}

fn consistency(number: i32, transport: Transport) -> Consistency {
    use state_options::StateConsistency;
    match StateConsistency::try_from(number) {
        Ok(StateConsistency::ConsistencyEventual) => Consistency::Eventual,
        Ok(StateConsistency::ConsistencyStrong) => Consistency::Strong,
        Err(_) if is_word(number, transport) => Consistency::Unknown,
        _ => Consistency::Unspecified,
    }
}

/// Whether a number stands for a word that is not one of Dapr's: only HTTP has words.
fn is_word(number: i32, transport: Transport) -> bool {
    number == UNKNOWN_WORD && transport == Transport::Http
}

/// What a bulk read found in the order of the keys that were asked for, with those; stores answer in any order.
fn in_order<'k>(store: &Store<'_>, keys: &'k [String], found: Vec<BulkItem>) -> Vec<(&'k str, Option<BulkItem>)> {
    let same = |(key, item): (&String, &BulkItem)| store.short(&item.key) == key;
    if found.len() == keys.len() && keys.iter().zip(&found).all(same) {
        return keys
            .iter()
            .map(String::as_str)
            .zip(found.into_iter().map(Some))
            .collect();
    }
    let mut by_key: HashMap<String, BulkItem> = found
        .into_iter()
        .map(|item| (store.short(&item.key).to_owned(), item))
        .collect();
    let mut last: HashMap<&str, usize> = HashMap::new();
    for (at, key) in keys.iter().enumerate() {
        last.insert(key, at);
    }
    let take = |(at, key): (usize, &'k String)| {
        let item = match last.get(key.as_str()) {
            Some(last) if *last == at => by_key.remove(key),
            _ => by_key.get(key).cloned(),
        };
        (key.as_str(), item)
    };
    keys.iter().enumerate().map(take).collect()
}

/// A line of a bulk read's answer. What cannot be read says so in its own line.
fn bulk_item(store: &Store<'_>, (key, item): (&str, Option<BulkItem>)) -> BulkStateItem {
    let key = key.to_owned();
    let found = match item.map(|item| item.result) {
        None | Some(Ok(None)) => {
            return BulkStateItem {
                key,
                ..BulkStateItem::default()
            };
        }
        Some(Ok(Some(item))) => store
            .open(item.data.clone())
            .map(|data| contract::Item { data, ..item }),
        Some(Err(error)) => Err(error),
    };
    match found {
        Ok(item) => BulkStateItem {
            key,
            data: item.data,
            etag: item.etag.unwrap_or_default(),
            metadata: item.metadata,
            error: String::new(),
        },
        Err(error) => BulkStateItem {
            key,
            error: error.message,
            ..BulkStateItem::default()
        },
    }
}
