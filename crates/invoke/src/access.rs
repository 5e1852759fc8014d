//! Who may call the application: where access control is asked.

use crate::{Invoke, codes, fault::Fault};
use wire::common::v1::http_extension::Verb;

/// The application that calls, as its certificate names it. Whoever accepts connections from other sidecars puts it into
/// the extensions of their requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its trust domain.
    pub trust_domain: String,
    /// Its namespace.
    pub namespace: String,
    /// Its id.
    pub app_id: String,
}

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// The method, or the full name of a gRPC method that is passed on.
    pub name: &'a str,
    /// HTTP's verb, if there is one.
    pub verb: Option<Verb>,
    /// Whether the application speaks gRPC.
    pub is_grpc: bool,
}

/// Decides who may call what.
pub trait Access: Send + Sync + 'static {
    /// Whether it may be done; if not, what the caller is told. Without a certificate there is no caller.
    fn check(&self, caller: Option<&Caller>, operation: &Operation<'_>) -> Result<(), String>;
}

impl Invoke {
    /// Asks access control, if there is any.
    pub(crate) fn allow(&self, caller: Option<&Caller>, operation: &Operation<'_>) -> Result<(), Fault> {
        match &self.access {
            None => Ok(()),
            Some(access) => access
                .check(caller, operation)
                .map_err(|why| Fault::status(codes::PERMISSION_DENIED, why).for_good()),
        }
    }
}
