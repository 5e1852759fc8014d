//! What a sidecar has loaded now.
//!
//! **What for:** components, configuration, policies, subscriptions and endpoints, as one immutable [`Snapshot`] that is
//! swapped as a whole: a request reads the snapshot that it began with, and what a snapshot held is closed when its last
//! reader is done. **What enters:** resources. **What leaves:** opened components under their names. **What may live here:**
//! loading and unloading, the resolution of secrets and environment references. Nothing about requests.

pub mod load;
pub mod snapshot;

pub use load::{LoadError, Loader, Offer, Opener};
pub use snapshot::{Endpoint, Info, Loaded, Runtime, Snapshot};
