//! The contract between the sidecar and its components.
//!
//! **What for:** one trait per kind of component (state store, pub/sub broker, secret store, binding, name resolver, HTTP
//! middleware), how a component's metadata is decoded into a typed struct ([`Config`]), and how a component is offered
//! ([`Entry`]). **What enters:** component families (`components/*`) implement these traits; building blocks call them.
//! **What leaves:** nothing but types; this crate does no input or output. **What may live here:** contracts. No wire
//! messages, no client library, no policy.
//!
//! A component is a file with an options struct that derives [`Config`], an `impl Component` and an `impl` of its kind's
//! trait, and one line in its family's list:
//!
//! ```ignore
//! pub const COMPONENTS: &[Entry] = &[entry::state::<redis::State>(), entry::pubsub::<redis::PubSub>()];
//! ```

// The derive macro names this crate by its name, also inside of it.
extern crate self as component;

pub mod binding;
pub mod config;
pub mod entry;
mod error;
pub mod middleware;
pub mod name_resolution;
pub mod pubsub;
pub mod secrets;
pub mod state;

pub use async_trait::async_trait;
pub use component_macros::Config;
pub use config::{Config, ConfigError, Field, Properties};
pub use entry::{Component, Entry, Kind, Open, OpenError, Opened, Registry, Status};
pub use error::{ApiAnswer, ComponentError, ErrorKind, GrpcStatus};

/// What accompanies a request or a message: names and values, as users and brokers gave them.
pub type Metadata = std::collections::HashMap<String, String>;
