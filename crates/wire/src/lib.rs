//! What goes over gRPC: the messages, servers and clients of every protocol Outrigger speaks.
//!
//! All of it is generated from the files in `proto/` at the root of the repository, which are the source of truth:
//! change a layout there, never here. This crate is the only user of the code generator, so nothing else waits for it
//! and nothing else needs to know how it works.
//!
//! What may live here: the generated code, its module tree, the descriptors for reflection and the re-export of the
//! well-known types of Protocol Buffers. What may not: conversions, validation, helpers, tables of methods. Those
//! belong to the crates that give the messages a meaning.
//!
//! | module | protocol |
//! | --- | --- |
//! | [`common::v1`] | types that several of the others share |
//! | [`runtime::v1`] | the API of the sidecar (`Dapr`) and what the sidecar calls in the app (`AppCallback…`) |
//! | [`internals::v1`] | sidecar to sidecar |
//! | [`placement::v1`], [`scheduler::v1`], [`sentry::v1`], [`operator::v1`] | sidecar to control plane |
//! | [`components::v1`] | sidecar to pluggable components |
//! | [`workflows::v1`] | inputs of the hook workflows of an MCP server |
//! | [`durabletask`] | workflow workers (`TaskHubSidecarService`), history events, actions |
//! | [`durabletask::backend::v1`] | what the workflow engine stores and sends to itself |
//! | [`google::protobuf`] | well-known types |
//!
//! `bytes` fields are [`bytes::Bytes`], which a message shares with the buffer it was decoded from. The wrapper types
//! (`StringValue`, `BoolValue`, …) are `Option`s of what they wrap and `Empty` is `()`.

/// The descriptors of all files in `proto/` and of those they import, as an encoded `FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The generated code. Types refer to each other by relative paths, so the tree here has to be that of the packages;
/// the public modules below give it the names we want.
#[allow(
    missing_docs,
    unreachable_pub,
    deprecated,
    clippy::all,
    clippy::unwrap_used,
    rustdoc::all
)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/_.rs"));

    pub(crate) mod durabletask {
        pub(crate) mod protos {
            pub(crate) mod backend {
                pub mod v1 {
                    include!(concat!(env!("OUT_DIR"), "/durabletask.protos.backend.v1.rs"));
                }
            }
        }
    }

    pub(crate) mod dapr {
        pub(crate) mod proto {
            macro_rules! package {
                ($name:ident) => {
                    pub(crate) mod $name {
                        pub mod v1 {
                            include!(concat!(
                                env!("OUT_DIR"),
                                "/dapr.proto.",
                                stringify!($name),
                                ".v1.rs"
                            ));
                        }
                    }
                };
            }

            package!(common);
            package!(components);
            package!(internals);
            package!(operator);
            package!(placement);
            package!(runtime);
            package!(scheduler);
            package!(sentry);
            package!(workflows);
        }
    }
}

/// Package `dapr.proto.common`: types that several of the other packages share.
pub mod common {
    pub use crate::generated::dapr::proto::common::v1;
}

/// Package `dapr.proto.components`: pluggable components, which the sidecar calls on a Unix domain socket.
pub mod components {
    pub use crate::generated::dapr::proto::components::v1;
}

/// Package `dapr.proto.internals`: what sidecars say to each other.
pub mod internals {
    pub use crate::generated::dapr::proto::internals::v1;
}

/// Package `dapr.proto.operator`: resources that the operator hands to sidecars, as JSON.
pub mod operator {
    pub use crate::generated::dapr::proto::operator::v1;
}

/// Package `dapr.proto.placement`: where actors live.
pub mod placement {
    pub use crate::generated::dapr::proto::placement::v1;
}

/// Package `dapr.proto.runtime`: the API of the sidecar and what the sidecar calls in the app.
pub mod runtime {
    pub use crate::generated::dapr::proto::runtime::v1;
}

/// Package `dapr.proto.scheduler`: jobs and actor reminders.
pub mod scheduler {
    pub use crate::generated::dapr::proto::scheduler::v1;
}

/// Package `dapr.proto.sentry`: workload certificates.
pub mod sentry {
    pub use crate::generated::dapr::proto::sentry::v1;
}

/// Package `dapr.proto.workflows`: inputs of the hook workflows of an MCP server.
pub mod workflows {
    pub use crate::generated::dapr::proto::workflows::v1;
}

/// The workflow protocol, which has no package: the service that workers connect to, history events and actions.
pub mod durabletask {
    pub use crate::generated::*;

    /// Package `durabletask.protos.backend`: what the workflow engine stores and sends to itself.
    pub mod backend {
        pub use crate::generated::durabletask::protos::backend::v1;
    }
}

/// The well-known types of Protocol Buffers, under the name of their package.
pub mod google {
    /// Package `google.protobuf`.
    pub mod protobuf {
        pub use prost_types::*;
    }
}
