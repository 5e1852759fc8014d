//! How a call can fail, and what a policy needs to know of a failure.

use component::{ComponentError, ErrorKind};
use std::fmt;

/// What class of failure it is: only a transient one is worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// May pass by itself.
    Transient,
    /// Will fail each time with the same request.
    Permanent,
    /// Somebody else has taken over; the work belongs to them now. The target is not to blame.
    Superseded,
}

/// What the policies of a call want to know of an error; its text goes to the log. Of the two codes an error should have
/// the one of the protocol that the call uses: where both are there, both must be listed for the error to be repeated.
pub trait Classify: fmt::Display {
    /// The class of the error.
    fn class(&self) -> Class;

    /// The HTTP status that stands for the error, if it has one: `matching.httpStatusCodes` is compared with it.
    fn http_status(&self) -> Option<u16> {
        None
    }

    /// The gRPC code that stands for the error, if it has one: `matching.gRPCStatusCodes` is compared with it.
    fn grpc_code(&self) -> Option<i32> {
        None
    }
}

/// The bad news that a value carries although the call itself went well, such as a response with status 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// An HTTP status.
    Http(u16),
    /// A gRPC code.
    Grpc(i32),
    /// Neither; a retry policy repeats it whatever codes it names.
    Uncoded,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(status) => write!(f, "HTTP status {status}"),
            Self::Grpc(code) => write!(f, "gRPC code {code}"),
            Self::Uncoded => f.write_str("the answer asks for another attempt"),
        }
    }
}

/// Why a guarded call failed. The texts of all but the first are those that users of Dapr know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// The last attempt failed with this error.
    #[error("{0}")]
    Inner(E),
    /// The last attempt took longer than the policy allows.
    #[error("context deadline exceeded")]
    Timeout,
    /// The circuit breaker is open: nothing was tried.
    #[error("circuit breaker is open")]
    BreakerOpen,
    /// The circuit breaker is half open and enough calls are trying it out.
    #[error("too many requests")]
    TooManyRequests,
    /// Whoever wanted the call does not want it any more.
    #[error("context canceled")]
    Cancelled,
}

impl<E> CallError<E> {
    /// Whether a circuit breaker refused the call.
    pub fn is_breaker(&self) -> bool {
        matches!(self, Self::BreakerOpen | Self::TooManyRequests)
    }

    /// The same refusal around another error: what `f` makes of the inner one.
    pub fn map<F>(self, f: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            Self::Inner(error) => CallError::Inner(f(error)),
            Self::Timeout => CallError::Timeout,
            Self::BreakerOpen => CallError::BreakerOpen,
            Self::TooManyRequests => CallError::TooManyRequests,
            Self::Cancelled => CallError::Cancelled,
        }
    }
}

/// A guarded call inside of a guarded call (an actor's lock between them): what the inner policy refused is not repeated.
impl<E: Classify> Classify for CallError<E> {
    fn class(&self) -> Class {
        match self {
            Self::Inner(error) => error.class(),
            Self::Timeout => Class::Transient,
            Self::BreakerOpen | Self::TooManyRequests | Self::Cancelled => Class::Permanent,
        }
    }

    fn http_status(&self) -> Option<u16> {
        match self {
            Self::Inner(error) => error.http_status(),
            _ => None,
        }
    }

    fn grpc_code(&self) -> Option<i32> {
        match self {
            Self::Inner(error) => error.grpc_code(),
            _ => None,
        }
    }
}

/// What a pluggable component answers with a status is left to the policy's own list of codes, as in the original.
impl Classify for ComponentError {
    fn class(&self) -> Class {
        match self.kind {
            ErrorKind::Superseded => Class::Superseded,
            ErrorKind::Transient => Class::Transient,
            ErrorKind::Permanent if self.status.is_some() => Class::Transient,
            _ => Class::Permanent,
        }
    }

    fn grpc_code(&self) -> Option<i32> {
        self.status.as_ref().map(|status| status.code)
    }
}
