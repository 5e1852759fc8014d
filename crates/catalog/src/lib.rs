//! Which components are compiled in.
//!
//! **What for:** one place that knows all families, for the sidecar, the command line and the reference pages. **What
//! enters:** each family's `COMPONENTS`; a cargo feature of the family's name leaves it out of a slim build. **What
//! leaves:** [`registry`]. **What may live here:** a line per family.

use component::{Entry, Registry};

/// The families' lists.
const FAMILIES: &[&[Entry]] = &[
    #[cfg(feature = "http")]
    component_http::COMPONENTS,
    #[cfg(feature = "local")]
    component_local::COMPONENTS,
    #[cfg(feature = "mdns")]
    component_mdns::COMPONENTS,
    #[cfg(feature = "redis")]
    component_redis::COMPONENTS,
    #[cfg(feature = "sqlite")]
    component_sqlite::COMPONENTS,
];

/// All components that are compiled in.
pub fn registry() -> Registry {
    Registry::new(FAMILIES)
}

#[cfg(test)]
mod tests;
