//! Components on SQLite: durable, and without a server.
//!
//! **What for:** one machine, on which sidecars share a file. **What enters:** [`COMPONENTS`] is the family's list, which
//! the catalog joins with others. **What leaves:** nothing else. **What may live here:** a module for each component, and
//! `database`, which they share: it opens connections, and its worker thread commits what waits in groups.

use component::{Entry, entry};

mod database;
pub mod name_resolution;
pub mod pubsub;
pub mod state;

/// The components of this family.
pub const COMPONENTS: &[Entry] = &[
    entry::state::<state::State>(),
    entry::pubsub::<pubsub::PubSub>(),
    entry::name_resolution::<name_resolution::Resolver>(),
];
