//! Transactions: several writes as one.

use super::{Error, State, Store, delete, error, set};
use crate::outbound;
use api::{ApiError, Cx, Transport};
use component::{
    Kind, Metadata,
    state::{Operation, Transactions},
};
use wire::{
    common::v1::StateItem,
    runtime::v1::{ExecuteStateTransactionRequest, TransactionalStateOperation},
};

const UPSERT: &str = "upsert";
const DELETE: &str = "delete";

impl State {
    /// Carries out all operations in their order, or none.
    pub async fn transact(&self, cx: &Cx, request: ExecuteStateTransactionRequest) -> Result<(), ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        let transactions = transactions(&store)?;
        if request.operations.is_empty() {
            return Ok(());
        }
        let planned = request
            .operations
            .into_iter()
            .map(|operation| plan(&store, operation, cx.transport));
        let operations = planned.collect::<Result<Vec<_>, ApiError>>()?;
        check_size(&store, transactions, operations.len()).await?;
        self.commit(cx, &store, transactions, operations, request.metadata)
            .await
    }

    /// Carries out operations whose keys are whole and whose values are as they are stored. What the store is to do besides,
    /// such as an outbox, is added to the operations before.
    async fn commit(
        &self,
        cx: &Cx,
        store: &Store<'_>,
        transactions: &dyn Transactions,
        operations: Vec<Operation>,
        metadata: Metadata,
    ) -> Result<(), ApiError> {
        let request = (operations, metadata);
        let call = |(operations, metadata)| transactions.execute(operations, metadata);
        let (result, elapsed) = outbound::call(cx, store.name, Kind::State, request, call).await;
        self.record(store, "transaction", result.is_ok(), elapsed);
        result.map_err(outbound::component_error).map_err(failed)
    }
}

/// The transactions of a store, if it has them.
pub(super) fn transactions<'a>(store: &Store<'a>) -> Result<&'a dyn Transactions, ApiError> {
    let none = || {
        Error::NoTransactions {
            store: store.name.into(),
        }
        .into()
    };
    store.instance.transactions().ok_or_else(none)
}

async fn check_size(store: &Store<'_>, transactions: &dyn Transactions, count: usize) -> Result<(), ApiError> {
    let max = transactions.limit().await.map_err(failed)?;
    match max {
        Some(max) if count > max => Err(Error::TooManyOperations {
            store: store.name.into(),
            count,
            max,
        }
        .into()),
        _ => Ok(()),
    }
}

fn failed(error: component::ComponentError) -> ApiError {
    error::of_component(error, |why| Error::Transaction { why })
}

/// An operation of the wire as one of the store. The names of operations are what they are, case and all.
fn plan(
    store: &Store<'_>,
    operation: TransactionalStateOperation,
    transport: Transport,
) -> Result<Operation, ApiError> {
    let item = operation.request.unwrap_or_default();
    match operation.operation_type.as_str() {
        UPSERT => {
            let item = StateItem {
                key: store.key(&item.key)?,
                ..item
            };
            Ok(Operation::Upsert(set(store, item, transport).map_err(failed)?))
        }
        DELETE => Ok(Operation::Delete(delete(store, item, transport)?)),
        _ => Err(Error::UnknownOperation {
            operation: operation.operation_type,
        }
        .into()),
    }
}
