//! Transactions: several writes as one.

use super::{Error, State, Store, convert, convert::Write};
use crate::outbound;
use api::{ApiError, Cx, Transport};
use component::{
    ComponentError, Kind, Metadata,
    state::{Operation, Transactions},
};
use wire::runtime::v1::{ExecuteStateTransactionRequest, TransactionalStateOperation};

const UPSERT: &str = "upsert";
const DELETE: &str = "delete";

/// One operation of a transaction as it was asked for.
pub(super) struct Step {
    /// `upsert` or `delete`.
    pub(super) operation: String,
    /// The key and, for an upsert, its value.
    pub(super) write: Write,
}

impl From<TransactionalStateOperation> for Step {
    fn from(operation: TransactionalStateOperation) -> Self {
        Self {
            operation: operation.operation_type,
            write: operation.request.unwrap_or_default().into(),
        }
    }
}

impl State {
    /// Carries out all operations in their order, or none.
    pub async fn transact(&self, cx: &Cx, request: ExecuteStateTransactionRequest) -> Result<(), ApiError> {
        let store = Store::find(cx, &request.store_name)?;
        let transactions = transactions(&store)?;
        let steps = request.operations.into_iter().map(Step::from).collect();
        self.transact_steps(cx, &store, transactions, steps, request.metadata)
            .await
    }

    pub(super) async fn transact_steps(
        &self,
        cx: &Cx,
        store: &Store<'_>,
        transactions: &dyn Transactions,
        steps: Vec<Step>,
        metadata: Metadata,
    ) -> Result<(), ApiError> {
        if steps.is_empty() {
            return Ok(());
        }
        let planned = steps.into_iter().map(|step| plan(store, step, cx.transport));
        let operations = planned.collect::<Result<Vec<_>, ApiError>>()?;
        check_size(store, transactions, operations.len()).await?;
        self.commit(cx, store, transactions, operations, metadata).await
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

/// A transaction's failure is one of its own, whatever the store says about entity tags or wants callers to see.
fn failed(error: ComponentError) -> ApiError {
    Error::Transaction { why: error.message }.into()
}

/// An operation as one of the store. The names of operations are what they are, case and all.
fn plan(store: &Store<'_>, step: Step, transport: Transport) -> Result<Operation, ApiError> {
    let mut write = step.write;
    match step.operation.as_str() {
        UPSERT => {
            write.item.key = store.key(&write.item.key)?;
            Ok(Operation::Upsert(
                convert::set(store, write, transport).map_err(failed)?,
            ))
        }
        DELETE => Ok(Operation::Delete(convert::delete(store, write.item, transport)?)),
        _ => Err(Error::UnknownOperation {
            operation: step.operation,
        }
        .into()),
    }
}
