//! The name resolver that the configuration names, mDNS if it names none.

use component::{Kind, Open, Opened, Properties, Registry, name_resolution::NameResolver};
use resources::{Configuration, DynamicValue};
use runtime::Info;
use serde_json::Value;
use std::sync::Arc;

const LOG: &str = "dapr.runtime";

/// Opens the name resolver. One that cannot be opened does not stop the sidecar: applications elsewhere are then not found.
pub(crate) async fn open(
    registry: &Registry,
    info: &Info,
    configuration: &Configuration,
) -> Option<Arc<dyn NameResolver>> {
    let spec = configuration.spec.name_resolution.clone().unwrap_or_default();
    let name = if spec.component.is_empty() {
        "mdns"
    } else {
        spec.component.as_str()
    };
    let version = if spec.version.is_empty() {
        "v1"
    } else {
        spec.version.as_str()
    };
    let Some(entry) = registry.find(Kind::NameResolution, name, version) else {
        tracing::warn!(target: LOG, "name resolution: there is no {name}/{version}; applications elsewhere cannot be found");
        return None;
    };
    let cx = Open {
        name: name.into(),
        app_id: info.app_id.clone(),
        namespace: info.namespace.clone(),
        host_address: info.host_address.clone(),
        internal_port: info.internal_port,
        http_port: info.http_port,
    };
    match (entry.open)(properties(&spec.configuration), cx).await {
        Ok(Opened::NameResolution(resolver)) => {
            tracing::info!(target: LOG, "Initialized name resolution to {name}");
            Some(resolver)
        }
        Ok(_) => None,
        Err(error) => {
            tracing::warn!(target: LOG, "name resolution {name}/{version} cannot be used: {error}; applications elsewhere cannot be found");
            None
        }
    }
}

/// The settings of a resolver: an object, or nothing.
fn properties(configuration: &Value) -> Properties {
    let Value::Object(fields) = configuration else {
        return Properties::default();
    };
    fields
        .iter()
        .map(|(name, value)| (name.clone(), DynamicValue(value.clone()).as_text().into_owned()))
        .collect()
}
