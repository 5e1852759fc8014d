//! The resources a sidecar is configured with: their types, how they are read, and what makes them valid.
//!
//! In: YAML or JSON text, files and folders, and (for values that refer to it) a look-up of the environment that the
//! caller hands in. Out: typed [`Component`], [`Subscription`], [`Configuration`], [`Resiliency`], [`HttpEndpoint`],
//! [`McpServer`] and [`WorkflowAccessPolicy`], and a list of [`Problem`]s: this crate never logs.
//!
//! What may live here: declarations of resources, their decoding, defaults and validation, and the small languages they
//! use (Go durations, quantities, status code lists, value templates). What may not: anything asynchronous, network
//! access, and whatever acts on a resource once it is read.
//!
//! Decoding follows the original, which reads YAML through Go's JSON package: names of fields are compared without case,
//! a scalar of any type can stand where text is wanted, `null` means "as if not written". See [`decode`].
//!
//! No input makes this crate panic; the parsers are property-tested for it and [`load::parse_str`] is the entry to fuzz.

pub mod component;
pub mod configuration;
pub mod decode;
pub mod duration;
pub mod env;
pub mod http_endpoint;
pub mod load;
pub mod meta;
pub mod number;
pub mod policy;
pub mod problem;
pub mod quantity;
pub mod resiliency;
pub mod subscription;
pub mod template;
pub mod value;
pub mod yaml;

pub use component::Component;
pub use configuration::Configuration;
pub use duration::GoDuration;
pub use http_endpoint::HttpEndpoint;
pub use load::{Filter, LoadError, Loaded};
pub use meta::{Kind, ObjectMeta, Resource};
pub use policy::{McpServer, WorkflowAccessPolicy};
pub use problem::{Problem, Severity};
pub use quantity::Quantity;
pub use resiliency::Resiliency;
pub use subscription::Subscription;
pub use value::{DynamicValue, NameValue, SecretKeyRef};
