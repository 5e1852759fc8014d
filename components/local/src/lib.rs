//! Components that need no server: what they keep is in this process, its environment or a file.
//!
//! **What for:** development, tests and single machines. **What enters:** [`COMPONENTS`] is the family's list, which the
//! catalog joins with others. **What leaves:** nothing else; each component is one module. **What may live here:**
//! components that are complete with the standard library and small parsers.

use component::{Entry, entry};

pub mod env;
pub mod file;
pub mod nameformat;
pub mod pubsub;
pub mod routeralias;
pub mod state;
pub mod uppercase;

/// The components of this family.
pub const COMPONENTS: &[Entry] = &[
    entry::state::<state::State>(),
    entry::pubsub::<pubsub::Broker>(),
    entry::secret_store::<env::Env>(),
    entry::secret_store::<file::File>(),
    entry::name_resolution::<nameformat::NameFormat>(),
    entry::middleware::<routeralias::RouterAlias>(),
    entry::middleware::<uppercase::Uppercase>(),
];
