//! The transport kit of the sidecar.
//!
//! **What for:** building blocks say what they can do as rows of a table ([`Op`]); this crate serves those rows over HTTP
//! and gRPC alike. **What enters:** requests from applications and from other sidecars. **What leaves:** calls of a block's
//! functions, and answers; errors are rendered here, once per transport. **What may live here:** listeners, routing, the
//! request context, limits, tokens, allow-lists, CORS, API logging, error rendering. No building block.
//!
//! This is the only crate that knows HTTP and gRPC servers.

pub mod body;
pub mod cors;
pub mod error;
pub mod grpc;
pub mod json;
pub mod op;
pub mod path;
pub mod request;
pub mod server;
pub mod token;

pub use body::{Body, BodyError};
pub use error::{ApiError, Code, Detail};
pub use op::{Op, Table, op};
pub use request::{Cx, HttpRequest, HttpResponse, Transport};
