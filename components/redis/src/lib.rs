//! Redis as a state store and as a message broker.
//!
//! **What for:** `state.redis` (hashes, or JSON documents where the server has the modules) and `pubsub.redis` (streams with
//! consumer groups), against one server, a master behind sentinels, or a cluster. **What enters:** [`COMPONENTS`] is the
//! family's list, which the catalog joins with others. **What leaves:** commands to Redis. **What may live here:** components
//! that need nothing but a Redis server; they share the options of a connection and the link that keeps it open.

use component::{Entry, entry};

mod dial;
mod error;
mod link;
mod options;
mod pubsub;
mod state;
mod tls;

#[cfg(test)]
mod testing;

/// The components of this family.
pub const COMPONENTS: &[Entry] = &[entry::state::<state::State>(), entry::pubsub::<pubsub::PubSub>()];
