//! Pluggable state stores.

mod convert;
pub(crate) mod query;
mod transactions;

use crate::{
    connection::{Connection, Link},
    discovery::Services,
    error::{of_state, of_write, plain},
    setup,
};
use async_trait::async_trait;
use component::{
    ComponentError, OpenError, Opened, Properties,
    state::{BulkItem, Delete, Feature, Get, Item, Queries, Set, StateStore, Transactions},
};
use query::Query;
use std::{collections::HashMap, sync::Arc};
use transactions::Transact;
use wire::components::v1::{self as pb, state_store_client::StateStoreClient};

/// A state store behind a socket.
struct State {
    client: StateStoreClient<Link>,
    features: Vec<Feature>,
    transactions: Option<Transact>,
    queries: Option<Query>,
}

/// Opens a state store.
pub(crate) async fn open(
    connection: Connection,
    services: Services,
    properties: &Properties,
) -> Result<Opened, OpenError> {
    let metadata = setup::metadata(properties);
    let init = setup::init(move |link| {
        let metadata = Some(metadata.clone());
        async move { StateStoreClient::new(link).init(pb::InitRequest { metadata }).await }
    });
    connection
        .initialise(init)
        .await
        .map_err(|status| setup::failed(&status))?;
    let mut client = StateStoreClient::new(connection.link()).max_decoding_message_size(setup::MESSAGE_LIMIT);
    let listed = setup::features(client.features(pb::FeaturesRequest {}).await)?;
    let mut features: Vec<Feature> = listed.iter().filter_map(|name| convert::feature(name)).collect();
    let transactions = if services.transactions && features.contains(&Feature::Transactional) {
        Some(Transact::new(connection.link(), services.max_size))
    } else {
        features.retain(|feature| *feature != Feature::Transactional);
        None
    };
    Ok(Opened::State(Arc::new(State {
        client,
        features,
        transactions,
        queries: services.queries.then(|| Query::new(connection.link())),
    })))
}

#[async_trait]
impl StateStore for State {
    fn features(&self) -> Vec<Feature> {
        self.features.clone()
    }

    async fn get(&self, request: Get) -> Result<Option<Item>, ComponentError> {
        let answer = self.client.clone().get(convert::get(request)).await;
        let answer = answer.map_err(|status| of_state(&status))?.into_inner();
        Ok(convert::item(
            answer.data,
            answer.etag,
            answer.metadata,
            answer.content_type,
        ))
    }

    async fn set(&self, request: Set) -> Result<(), ComponentError> {
        let answer = self.client.clone().set(convert::set(request)).await;
        answer.map(|_| ()).map_err(|status| of_write(&status))
    }

    async fn delete(&self, request: Delete) -> Result<(), ComponentError> {
        let answer = self.client.clone().delete(convert::delete(request)).await;
        answer.map(|_| ()).map_err(|status| of_write(&status))
    }

    async fn bulk_get(&self, requests: Vec<Get>, parallelism: usize) -> Result<Vec<BulkItem>, ComponentError> {
        let keys: Vec<String> = requests.iter().map(|request| request.key.clone()).collect();
        let request = pb::BulkGetRequest {
            items: requests.into_iter().map(convert::get).collect(),
            options: Some(pb::BulkGetRequestOptions {
                parallelism: i64::try_from(parallelism).unwrap_or(i64::MAX),
            }),
        };
        let answer = self.client.clone().bulk_get(request).await;
        let answer = answer.map_err(|status| of_state(&status))?.into_inner();
        Ok(matched(keys, answer.items))
    }

    async fn bulk_set(&self, requests: Vec<Set>) -> Result<(), ComponentError> {
        let request = pb::BulkSetRequest {
            items: requests.into_iter().map(convert::set).collect(),
            options: Some(pb::BulkSetRequestOptions::default()),
        };
        let answer = self.client.clone().bulk_set(request).await;
        answer.map(|_| ()).map_err(|status| of_write(&status))
    }

    async fn bulk_delete(&self, requests: Vec<Delete>) -> Result<(), ComponentError> {
        let request = pb::BulkDeleteRequest {
            items: requests.into_iter().map(convert::delete).collect(),
            options: Some(pb::BulkDeleteRequestOptions::default()),
        };
        let answer = self.client.clone().bulk_delete(request).await;
        answer.map(|_| ()).map_err(|status| of_write(&status))
    }

    fn transactions(&self) -> Option<&dyn Transactions> {
        self.transactions.as_ref().map(|transactions| transactions as _)
    }

    fn queries(&self) -> Option<&dyn Queries> {
        self.queries.as_ref().map(|queries| queries as _)
    }

    async fn ping(&self) -> Result<(), ComponentError> {
        let answer = self.client.clone().ping(pb::PingRequest {}).await;
        answer.map(|_| ()).map_err(|status| plain(&status))
    }
}

/// The answers in the order of the keys. Some components leave out keys that are not there.
fn matched(keys: Vec<String>, items: Vec<pb::BulkStateItem>) -> Vec<BulkItem> {
    let found: HashMap<String, pb::BulkStateItem> = items.into_iter().map(|item| (item.key.clone(), item)).collect();
    let results = keys.into_iter().map(|key| {
        let result = match found.get(&key).cloned() {
            None => Ok(None),
            Some(item) if !item.error.is_empty() => Err(ComponentError::transient(item.error)),
            Some(item) => Ok(convert::item(item.data, item.etag, item.metadata, item.content_type)),
        };
        BulkItem { key, result }
    });
    results.collect()
}
