//! Finding sidecars on the local network by multicast DNS (RFC 6762, RFC 6763).
//!
//! **What for:** `nameresolution.mdns`, which needs no server and no set-up. The original's service types have no protocol
//! (`<app id>.local` rather than `_name._tcp.local`), which no client library allows, so the protocol is spoken here.
//! **What enters:** [`COMPONENTS`] is the family's list, which the catalog joins with others. **What leaves:** multicast
//! datagrams on port 5353. **What may live here:** multicast DNS. `message` is its wire format, `socket` the port and the
//! networks, `service` who this sidecar is, `cache` who others are, `network` the task that joins them.

use component::{Entry, entry};

mod cache;
mod message;
mod network;
mod resolver;
mod service;
mod socket;
#[cfg(test)]
mod tests;

pub use resolver::Resolver;

/// The components of this family.
pub const COMPONENTS: &[Entry] = &[entry::name_resolution::<Resolver>()];
