//! Secret stores.

use crate::{ComponentError, Metadata};
use async_trait::async_trait;
use std::collections::BTreeMap;

/// The values of one secret, by name; a store without several values per secret has one of the secret's own name.
pub type Secret = BTreeMap<String, String>;

/// A store of secrets.
#[async_trait]
pub trait SecretStore: Send + Sync + 'static {
    /// Reads one secret. A secret that is not there is an error of kind [`crate::ErrorKind::NotFound`], unless the store
    /// answers with an empty value.
    async fn get(&self, name: &str, metadata: &Metadata) -> Result<Secret, ComponentError>;

    /// Reads all secrets.
    async fn bulk_get(&self, metadata: &Metadata) -> Result<BTreeMap<String, Secret>, ComponentError>;

    /// Whether one secret may have several values (`MULTIPLE_KEY_VALUES_PER_SECRET`).
    fn multiple_values(&self) -> bool {
        false
    }

    /// Whether the store can be reached.
    async fn ping(&self) -> Result<(), ComponentError> {
        Ok(())
    }

    /// Lets go of what the store holds. No call follows.
    async fn close(&self) {}
}
