//! Tests of the state API through both servers.

mod encryption;
mod errors;
mod fake;
mod grpc;
mod http;
mod store;
mod transaction;

use super::{OPS, State};
use crate::testing::{Bench, check_transports, loaded, open};
use component::state::StateStore;
use runtime::Snapshot;
use std::sync::Arc;

pub(super) const KEY_16: &str = "00112233445566778899aabbccddeeff";
pub(super) const KEY_32: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddee00";

/// Stores in memory with the given names and metadata.
pub(super) async fn stores(list: &[(&str, &[(&str, &str)])]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (name, properties) in list {
        let store: Arc<dyn StateStore> = Arc::new(open::<component_local::state::State>(&[]).await);
        snapshot.state.extend([loaded(name, properties, store)]);
    }
    snapshot
}

/// Two names for one store in memory, so that each can see what the other stored.
pub(super) async fn views(one: (&str, &[(&str, &str)]), other: (&str, &[(&str, &str)])) -> Snapshot {
    let store: Arc<dyn StateStore> = Arc::new(open::<component_local::state::State>(&[]).await);
    let mut snapshot = Snapshot::default();
    snapshot
        .state
        .extend([loaded(one.0, one.1, store.clone()), loaded(other.0, other.1, store)]);
    snapshot
}

pub(super) fn bench(snapshot: Snapshot) -> Bench {
    Bench::new(snapshot, OPS, State::new)
}

/// A block with one store in memory, called mem.
pub(super) async fn memory() -> Bench {
    bench(stores(&[("mem", &[])]).await)
}

#[test]
fn operations_have_both_transports() {
    check_transports(OPS, &[("DeleteBulkState", "Dapr's HTTP API has no route for it")], &[]);
}
