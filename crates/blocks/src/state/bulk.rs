//! Several keys at a time, each for itself.

use super::{Error, State, Store, convert, error};
use crate::outbound;
use api::{ApiError, Cx};
use component::{
    Kind,
    state::{self as contract, BulkItem, Consistency},
};
use std::collections::HashMap;
use wire::runtime::v1::{BulkStateItem, DeleteBulkStateRequest, GetBulkStateRequest, GetBulkStateResponse};

impl State {
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
        let found = result.map_err(outbound::component_error).map_err(error::of_bulk_get)?;
        let items = in_order(&store, &request.keys, found)
            .into_iter()
            .map(|item| line(&store, item));
        Ok(GetBulkStateResponse { items: items.collect() })
    }

    /// Deletes keys, not as one.
    pub async fn delete_bulk(&self, cx: &Cx, request: DeleteBulkStateRequest) -> Result<(), ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        let delete = |item| convert::delete(&store, item, cx.transport);
        let mut deletes = request
            .states
            .into_iter()
            .map(delete)
            .collect::<Result<Vec<_>, ApiError>>()?;
        let (result, elapsed) = match deletes.len() {
            1 => {
                let call = |delete| store.instance.delete(delete);
                outbound::call(cx, store.name, Kind::State, deletes.swap_remove(0), call).await
            }
            _ => {
                outbound::call(cx, store.name, Kind::State, deletes, |deletes| {
                    store.instance.bulk_delete(deletes)
                })
                .await
            }
        };
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
    let by_key: HashMap<&str, &BulkItem> = found.iter().map(|item| (store.short(&item.key), item)).collect();
    keys.iter()
        .map(|key| (key.as_str(), by_key.get(key.as_str()).map(|item| BulkItem::clone(item))))
        .collect()
}

/// A line of the answer. What cannot be read says so in its own line.
fn line(store: &Store<'_>, (key, item): (&str, Option<BulkItem>)) -> BulkStateItem {
    let key = key.to_owned();
    let found = match item.map(|item| item.result) {
        None | Some(Ok(None)) => {
            return BulkStateItem {
                key,
                ..BulkStateItem::default()
            };
        }
        Some(Ok(Some(item))) => store.open(item.data).map(|data| contract::Item { data, ..item }),
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
