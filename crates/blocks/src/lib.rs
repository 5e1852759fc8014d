//! Building blocks that translate a call of the API into a call of a component, or into a look at the sidecar itself.
//!
//! **What for:** a folder a block: `mod.rs` has the block and its operations as rows, `http.rs` what makes wire messages of
//! paths and queries, `error.rs` its errors as rows, `tests.rs` its tests, which need no network. Blocks with an engine of
//! their own are crates: `pubsub`, `invoke`. **What enters:** wire messages. **What leaves:** calls through `outgoing`.
//! **What may live here:** no transport, no component.

pub mod bindings;
pub mod health;
mod loose;
pub mod metadata;
mod outbound;
pub mod secrets;
pub mod state;
#[cfg(test)]
mod testing;
pub mod unconfigured;
