//! Pluggable components: programs of any language that serve a component over gRPC on a Unix domain socket.
//!
//! **What for:** [`discover`] finds the sockets in a folder and asks each by reflection what it serves; a [`Discovered`]
//! opens a component and offers it by the traits of [`component`], so that nobody else can tell it from a built-in one.
//! **What enters:** a folder, later the metadata of a component. **What leaves:** [`component::Opened`], whose calls go
//! over the socket. **What may live here:** the client side of `dapr.proto.components.v1`, and nothing that knows a
//! particular component.
//!
//! Each opened component has a connection of its own, so a stalled one holds up nobody else. A component that restarts is
//! reached again at the next call, after it was initialised anew; streams of messages are opened again by themselves.
//!
//! ```ignore
//! let found = component_pluggable::discover(&component_pluggable::folder()).await;
//! if let Some(pluggable) = component_pluggable::find(&found, Kind::State, "my-store", "v1") {
//!     let opened = pluggable.open(properties, cx).await?;
//! }
//! ```

mod binding;
mod connection;
mod discovery;
mod error;
mod exchange;
mod pubsub;
mod secrets;
mod setup;
mod state;

pub use discovery::{Discovered, discover, find, folder};

#[cfg(test)]
mod tests;
