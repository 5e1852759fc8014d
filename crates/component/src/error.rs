//! What can go wrong in a component.

use bytes::Bytes;

/// What class of error it is: it decides whether a call is worth repeating and which status the caller sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// May pass by itself (network, time-out, overload): worth repeating.
    Transient,
    /// Will fail each time with the same request.
    Permanent,
    /// Somebody else has taken over; the work belongs to them now.
    Superseded,
    /// The stored entity tag is another one than the request named.
    EtagMismatch,
    /// The entity tag of the request is not one that this store could have given.
    EtagInvalid,
    /// What the request names is not there.
    NotFound,
    /// The component cannot do this at all.
    Unsupported,
}

/// The status of a gRPC call to a pluggable component, kept as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcStatus {
    /// The numeric code of `google.rpc.Code`.
    pub code: i32,
    /// The message without any prefix.
    pub message: String,
    /// A serialized `google.rpc.Status`; empty if the component sent no details.
    pub details: Bytes,
    /// What the component wants the API to answer, if it says so: then the caller gets this error as it is.
    pub api: Option<ApiAnswer>,
}

/// What a pluggable component wants the sidecar's API to answer for its error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiAnswer {
    /// The status of the HTTP answer.
    pub http_status: u16,
    /// The `errorCode` of the HTTP answer.
    pub error_code: String,
}

/// An error of a component: its class, and a text for people that says what failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct ComponentError {
    /// The class of the error.
    pub kind: ErrorKind,
    /// What failed, for people; no secrets.
    pub message: String,
    /// The status that a pluggable component answered with.
    pub status: Option<Box<GrpcStatus>>,
}

impl ComponentError {
    /// An error of the given class.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            status: None,
        }
    }

    /// An error that may pass by itself.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Transient, message)
    }

    /// An error that repeating does not mend.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Permanent, message)
    }

    /// The component lacks this ability.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// The stored entity tag differs from the one given; the text is the one that Dapr's clients know.
    pub fn etag_mismatch(detail: impl std::fmt::Display) -> Self {
        Self::new(
            ErrorKind::EtagMismatch,
            format!("possible etag mismatch. error from state store: {detail}"),
        )
    }

    /// The entity tag given cannot be one of this store; the text is the one that Dapr's clients know.
    pub fn etag_invalid(detail: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::EtagInvalid, format!("invalid etag value: {detail}"))
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        self.kind == ErrorKind::Transient
    }
}
