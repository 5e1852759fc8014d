//! The secrets API: what an application may read of secret stores.

mod http;
#[cfg(test)]
mod tests;

use crate::outbound;
use api::{ApiError, Cx, Op, call, errors, op, unary};
use component::{Kind, secrets::SecretStore};
use runtime::{Loaded, Snapshot};
use std::sync::Arc;
use telemetry::metrics::Metrics;
use wire::runtime::v1::{
    GetBulkSecretRequest, GetBulkSecretResponse, GetSecretRequest, GetSecretResponse, SecretResponse,
};

errors! { "secret";
    /// No secret store is loaded at all.
    NotConfigured = "ERR_SECRET_STORES_NOT_CONFIGURED", http 500, grpc FailedPrecondition, "secret store is not configured";
    /// No secret store of that name is loaded.
    NotFound { store: String } = "ERR_SECRET_STORE_NOT_FOUND", http 401, grpc InvalidArgument, "failed finding secret store with key {store}";
    /// The configuration does not let the application read the secret.
    Denied { store: String, key: String } = "ERR_PERMISSION_DENIED", http 403, grpc PermissionDenied,
        "access denied by policy to get {key:?} from {store:?}";
    /// The secret could not be read.
    Get { store: String, key: String, why: String } = "ERR_SECRET_GET", http 500, grpc Internal,
        "failed getting secret with key {key} from secret store {store}: {why}";
    /// The secrets could not be read.
    BulkGet { store: String, why: String } = "ERR_SECRET_GET", http 500, grpc Internal, "failed getting secrets from secret store {store}: {why}";
}

/// The block.
pub struct Secrets {
    metrics: Metrics,
}

/// The operations of this block.
pub const OPS: &[Op<Secrets>] = &[
    op("GetSecret", "secrets", "v1.0")
        .get("/v1.0/secrets/{store}/{key}", call!(http::get))
        .grpc(unary!(Secrets::get)),
    op("GetBulkSecret", "secrets", "v1.0")
        .get("/v1.0/secrets/{store}/bulk", call!(http::get_bulk))
        .grpc(unary!(Secrets::get_bulk)),
];

impl Secrets {
    /// The block.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }

    /// Reads one secret.
    pub async fn get(&self, cx: &Cx, request: GetSecretRequest) -> Result<GetSecretResponse, ApiError> {
        let GetSecretRequest {
            store_name,
            key,
            metadata,
        } = request;
        let store = find(cx, &store_name)?;
        if !permits(&cx.snapshot, &store_name, &key) {
            return Err(Error::Denied { store: store_name, key }.into());
        }
        let call = |()| store.instance.get(&key, &metadata);
        let (result, elapsed) = outbound::call(cx, &store_name, Kind::SecretStore, (), call).await;
        self.metrics
            .component_secret(&store_name, "get", result.is_ok(), elapsed);
        match result {
            Ok(secret) => Ok(GetSecretResponse {
                data: secret.into_iter().collect(),
            }),
            Err(why) => Err(Error::Get {
                store: store_name,
                key,
                why: why.to_string(),
            }
            .into()),
        }
    }

    /// Reads all secrets that the application may read.
    pub async fn get_bulk(&self, cx: &Cx, request: GetBulkSecretRequest) -> Result<GetBulkSecretResponse, ApiError> {
        let GetBulkSecretRequest { store_name, metadata } = request;
        let store = find(cx, &store_name)?;
        let call = |()| store.instance.bulk_get(&metadata);
        let (result, elapsed) = outbound::call(cx, &store_name, Kind::SecretStore, (), call).await;
        self.metrics
            .component_secret(&store_name, "bulk_get", result.is_ok(), elapsed);
        let all = result.map_err(|why| Error::BulkGet {
            store: store_name.clone(),
            why: why.to_string(),
        })?;
        let scope = cx.snapshot.configuration.secrets_scopes();
        let scope = scope.get(store_name.as_str());
        let allowed = all
            .into_iter()
            .filter(|(key, _)| scope.is_none_or(|scope| scope.permits(key)));
        let data = allowed.map(|(key, secret)| {
            (
                key,
                SecretResponse {
                    secrets: secret.into_iter().collect(),
                },
            )
        });
        Ok(GetBulkSecretResponse { data: data.collect() })
    }
}

fn find<'a>(cx: &'a Cx, name: &str) -> Result<&'a Arc<Loaded<dyn SecretStore>>, Error> {
    let stores = &cx.snapshot.secrets;
    match stores.get(name) {
        Some(store) => Ok(store),
        None if stores.is_empty() => Err(Error::NotConfigured),
        None => Err(Error::NotFound { store: name.to_owned() }),
    }
}

fn permits(snapshot: &Snapshot, store: &str, secret: &str) -> bool {
    let scopes = snapshot.configuration.secrets_scopes();
    scopes.get(store).is_none_or(|scope| scope.permits(secret))
}

/// The scope of what is logged about the configuration.
const LOG: &str = "dapr.runtime.compstore";

/// Tells in the log of restrictions for secret stores that are not loaded. Called once what the configuration names is loaded.
pub fn check_scopes(snapshot: &Snapshot) {
    for store in snapshot.configuration.secrets_scopes().keys() {
        if !snapshot.secrets.contains_key(*store) {
            tracing::warn!(target: LOG, "Secrets configuration added for '{store}', but no matching secret store was found");
        }
    }
}
