//! Which failures a retry policy repeats.

use crate::{Classify, Failure};
use resources::resiliency::StatusCodes;

/// Which failures a retry policy repeats, as far as their status codes go: all of them unless codes are listed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matching {
    /// The HTTP status codes.
    pub http: Option<StatusCodes>,
    /// The gRPC codes.
    pub grpc: Option<StatusCodes>,
}

impl Matching {
    /// Whether an error with these codes is repeated; one without any code is.
    pub fn allows_error(&self, error: &impl Classify) -> bool {
        error
            .http_status()
            .is_none_or(|status| self.allows_failure(Failure::Http(status)))
            && error
                .grpc_code()
                .is_none_or(|code| self.allows_failure(Failure::Grpc(code)))
    }

    /// Whether a value with this bad news is asked for again.
    pub fn allows_failure(&self, failure: Failure) -> bool {
        match failure {
            Failure::Http(status) => is_listed(&self.http, status),
            // A code that is no code is in no list.
            Failure::Grpc(code) => is_listed(&self.grpc, u16::try_from(code).unwrap_or(u16::MAX)),
            Failure::Uncoded => true,
        }
    }
}

fn is_listed(codes: &Option<StatusCodes>, code: u16) -> bool {
    codes.as_ref().is_none_or(|codes| codes.contains(code))
}
