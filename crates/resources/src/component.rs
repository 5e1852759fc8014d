//! Components.

use serde::{Deserialize, Serialize};

use crate::duration::{GoDuration, ParseDurationError};
use crate::meta::{Auth, Kind, ObjectMeta, Resource};
use crate::value::{NameValue, ValueSource};

/// How long a component may take to start, unless it says otherwise.
pub const DEFAULT_INIT_TIMEOUT: GoDuration = GoDuration::from_secs(5);

/// An item of a component's metadata.
pub type MetadataItem = NameValue;

/// A component: which implementation, and its settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Component {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// Type, version, settings.
    pub spec: ComponentSpec,
    /// The secret store for references to secrets.
    pub auth: Auth,
    /// The applications that see it; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// What a component is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ComponentSpec {
    /// The type, as `state.redis`.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The version; empty means `v1`.
    pub version: String,
    /// Whether the sidecar goes on without it when it does not start.
    pub ignore_errors: bool,
    /// The settings.
    pub metadata: Vec<MetadataItem>,
    /// How long it may take to start, as written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub init_timeout: String,
}

impl Component {
    /// The building block, which is the type up to the last dot that matters: `state`, `middleware.http`.
    pub fn category(&self) -> &str {
        let type_name = self.spec.type_name.as_str();
        if type_name.starts_with("middleware.http.") {
            return "middleware.http";
        }
        type_name.split_once('.').map_or("", |(category, _)| category)
    }

    /// How long it may take to start.
    pub fn init_timeout(&self) -> Result<GoDuration, ParseDurationError> {
        match self.spec.init_timeout.as_str() {
            "" => Ok(DEFAULT_INIT_TIMEOUT),
            text => text.parse(),
        }
    }

    /// The setting of this name, compared without case.
    pub fn setting(&self, name: &str) -> Option<&MetadataItem> {
        self.spec
            .metadata
            .iter()
            .find(|item| item.name.eq_ignore_ascii_case(name))
    }

    /// Whether some setting is in a secret store.
    pub fn refers_to_secrets(&self) -> bool {
        self.spec
            .metadata
            .iter()
            .any(|item| matches!(item.source(), ValueSource::Secret(_)))
    }
}

impl Resource for Component {
    const KIND: Kind = Kind::Component;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn scopes(&self) -> &[String] {
        &self.scopes
    }

    fn log_name(&self) -> String {
        format!("{} ({}/{})", self.metadata.name, self.spec.type_name, self.spec.version)
    }
}
