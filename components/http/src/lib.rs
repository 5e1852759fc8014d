//! Components that speak plain HTTP with some server.
//!
//! **What for:** services that need no client library of their own. **What enters:** [`COMPONENTS`] is the family's list,
//! which the catalog joins with others. **What leaves:** HTTP/1.1 requests, over TLS where the URL says so. **What may live
//! here:** components over HTTP, one module each, and the client that they share ([`client`]).

use component::{Entry, entry};

pub mod binding;
pub mod client;

/// The components of this family.
pub const COMPONENTS: &[Entry] = &[entry::output_binding::<binding::Http>()];
