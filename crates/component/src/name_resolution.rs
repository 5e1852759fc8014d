//! Finding the address of an application's sidecar.

use crate::ComponentError;
use async_trait::async_trait;

/// Whom to find.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Resolve<'a> {
    /// The application's id.
    pub app_id: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// The internal gRPC port that the resolver assumes if it knows none.
    pub port: u16,
}

/// A name resolver.
#[async_trait]
pub trait NameResolver: Send + Sync + 'static {
    /// All addresses (`host:port`) of the application; empty if there is none. An error means that it is not known.
    async fn resolve(&self, request: Resolve<'_>) -> Result<Vec<String>, ComponentError>;

    /// Whether answers may be kept for a while by the caller. A resolver that has a cache of its own says no.
    fn cacheable(&self) -> bool {
        false
    }

    /// Tells that nobody answers where the application was found last, so that the resolver does not rely on what it
    /// remembers of it.
    fn forget(&self, app_id: &str) {
        let _nothing_remembered = app_id;
    }

    /// Ends the registration of this sidecar and lets go of what the resolver holds.
    async fn close(&self) {}
}
