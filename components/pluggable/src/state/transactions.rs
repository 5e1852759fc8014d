//! Transactions of a pluggable state store.

use super::convert;
use crate::{
    connection::Link,
    error::{of_state, of_transaction},
    setup,
};
use async_trait::async_trait;
use component::{
    ComponentError, Metadata,
    state::{Operation, Transactions},
};
use tokio::sync::OnceCell;
use tonic::Code;
use wire::components::v1::{
    self as pb, transactional_state_operation::Request,
    transactional_state_store_client::TransactionalStateStoreClient,
    transactional_store_multi_max_size_client::TransactionalStoreMultiMaxSizeClient,
};

/// The transactions of a store.
pub(super) struct Transact {
    client: TransactionalStateStoreClient<Link>,
    /// Who tells the limit, if there may be one.
    limits: Option<TransactionalStoreMultiMaxSizeClient<Link>>,
    limit: OnceCell<Option<usize>>,
}

impl Transact {
    /// The transactions of a store; it is not asked for its limit before one is carried out, since some that serve the call
    /// cannot answer it.
    pub(super) fn new(link: Link, limited: bool) -> Self {
        Self {
            limits: limited.then(|| TransactionalStoreMultiMaxSizeClient::new(link.clone())),
            client: TransactionalStateStoreClient::new(link).max_decoding_message_size(setup::MESSAGE_LIMIT),
            limit: OnceCell::new(),
        }
    }
}

async fn ask(mut limits: TransactionalStoreMultiMaxSizeClient<Link>) -> Result<Option<usize>, ComponentError> {
    match limits.multi_max_size(pb::MultiMaxSizeRequest {}).await {
        Ok(answer) => Ok(usize::try_from(answer.into_inner().max_size)
            .ok()
            .filter(|max| *max > 0)),
        Err(status) if status.code() == Code::Unimplemented => Ok(None),
        Err(status) => Err(of_state(&status)),
    }
}

#[async_trait]
impl Transactions for Transact {
    async fn execute(&self, operations: Vec<Operation>, metadata: Metadata) -> Result<(), ComponentError> {
        let operations = operations.into_iter().map(|operation| {
            let request = match operation {
                Operation::Upsert(set) => Request::Set(convert::set(set)),
                Operation::Delete(delete) => Request::Delete(convert::delete(delete)),
            };
            pb::TransactionalStateOperation { request: Some(request) }
        });
        let operations = operations.collect();
        let request = pb::TransactionalStateRequest { operations, metadata };
        let answer = self.client.clone().transact(request).await;
        answer.map(|_| ()).map_err(|status| of_transaction(&status))
    }

    async fn limit(&self) -> Result<Option<usize>, ComponentError> {
        let Some(limits) = &self.limits else {
            return Ok(None);
        };
        self.limit.get_or_try_init(|| ask(limits.clone())).await.copied()
    }
}
