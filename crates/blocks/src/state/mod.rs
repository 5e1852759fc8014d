//! The state API: keys and values in a store.

mod bulk;
mod convert;
mod encryption;
mod error;
mod http;
mod query;
mod store;
#[cfg(test)]
mod tests;
mod transaction;

pub use encryption::NAME_SUFFIX;
pub use error::{Error, Info, malformed};
pub use store::check;

use crate::outbound;
use api::{ApiError, Cx, Op, call, op, unary};
use component::{ComponentError, Kind, state as contract};
use convert::Write;
use std::time::Duration;
use store::Store;
use telemetry::metrics::Metrics;
use wire::runtime::v1::{DeleteStateRequest, GetStateRequest, GetStateResponse, SaveStateRequest};

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
            consistency: convert::consistency(request.consistency, cx.transport),
        };
        let (result, elapsed) =
            outbound::call(cx, store.name, Kind::State, read, |read| store.instance.get(read)).await;
        self.record(&store, "get", result.is_ok(), elapsed);
        let found = result.map_err(outbound::component_error).and_then(|item| match item {
            Some(item) => store.open(item.data).map(|data| contract::Item { data, ..item }),
            None => Ok(contract::Item::default()),
        });
        let failed = |error| {
            error::of_component(error, |why| Error::Get {
                store: store.name.into(),
                key: request.key,
                why,
            })
        };
        let found = found.map_err(failed)?;
        Ok(GetStateResponse {
            data: found.data,
            etag: found.etag.unwrap_or_default(),
            metadata: found.metadata,
        })
    }

    /// Writes keys. Several are not written as one.
    pub async fn save(&self, cx: &Cx, request: SaveStateRequest) -> Result<(), ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        let checked = |mut item: wire::common::v1::StateItem| {
            if let Some(json) = convert::checked_json(&store, &item)? {
                item.value = json;
            }
            Ok(Write::from(item))
        };
        let writes = request
            .states
            .into_iter()
            .map(checked)
            .collect::<Result<Vec<_>, Error>>()?;
        self.write(cx, &store, writes).await
    }

    /// Writes keys whose values are as they are to be stored, but for encryption.
    async fn write(&self, cx: &Cx, store: &Store<'_>, writes: Vec<Write>) -> Result<(), ApiError> {
        let whole = |mut write: Write| {
            if write.item.key.is_empty() {
                return Err(Error::EmptyKey.into());
            }
            write.item.key = store.key(&write.item.key)?;
            convert::set(store, write, cx.transport).map_err(|error| failed_save(store, error))
        };
        let mut sets = writes.into_iter().map(whole).collect::<Result<Vec<_>, ApiError>>()?;
        let (result, elapsed) = match sets.len() {
            0 => return Ok(()),
            1 => {
                outbound::call(cx, store.name, Kind::State, sets.swap_remove(0), |set| {
                    store.instance.set(set)
                })
                .await
            }
            _ => outbound::call(cx, store.name, Kind::State, sets, |sets| store.instance.bulk_set(sets)).await,
        };
        self.record(store, "set", result.is_ok(), elapsed);
        result
            .map_err(outbound::component_error)
            .map_err(|error| failed_save(store, error))
    }

    /// Deletes one key.
    pub async fn delete(&self, cx: &Cx, request: DeleteStateRequest) -> Result<(), ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        let delete = contract::Delete {
            key: store.key(&request.key)?,
            etag: convert::etag(request.etag),
            metadata: request.metadata,
            options: convert::options(request.options, cx.transport),
        };
        let call = |delete| store.instance.delete(delete);
        let (result, elapsed) = outbound::call(cx, store.name, Kind::State, delete, call).await;
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
