//! What all resources have in common.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::decode::same_name;

/// The kinds of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A component: a state store, a message broker, a binding …
    Component,
    /// The configuration of sidecars and control plane.
    Configuration,
    /// A subscription to a topic.
    Subscription,
    /// Policies of timeouts, retries and circuit breakers.
    Resiliency,
    /// An HTTP service outside.
    HttpEndpoint,
    /// A server of the Model Context Protocol.
    McpServer,
    /// Who may do what with workflows.
    WorkflowAccessPolicy,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Component,
        Self::Configuration,
        Self::Subscription,
        Self::Resiliency,
        Self::HttpEndpoint,
        Self::McpServer,
        Self::WorkflowAccessPolicy,
    ];

    /// The name, as in the field `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Component => "Component",
            Self::Configuration => "Configuration",
            Self::Subscription => "Subscription",
            Self::Resiliency => "Resiliency",
            Self::HttpEndpoint => "HTTPEndpoint",
            Self::McpServer => "MCPServer",
            Self::WorkflowAccessPolicy => "WorkflowAccessPolicy",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The versions of the API that are read, the preferred one first.
    pub const fn versions(self) -> &'static [&'static str] {
        match self {
            Self::Subscription => &["dapr.io/v2alpha1", "dapr.io/v1alpha1"],
            _ => &["dapr.io/v1alpha1"],
        }
    }

    /// Whether two resources of this kind must not have the same name.
    pub const fn unique_names(self) -> bool {
        !matches!(self, Self::Configuration | Self::Resiliency)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The part of Kubernetes' object metadata that is used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ObjectMeta {
    /// The name.
    pub name: String,
    /// The namespace; empty where none is written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Labels.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub labels: IndexMap<String, String>,
    /// Annotations.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub annotations: IndexMap<String, String>,
}

/// Fields of Kubernetes' object metadata that are accepted and not used.
const UNUSED_META_FIELDS: [&str; 11] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Whether a path is one of those that every object of Kubernetes may have, and none of our types takes. Such fields
/// are not worth a word when [`decode`](crate::decode) reports them as unknown.
pub fn is_common_field(path: &str) -> bool {
    if ["apiVersion", "kind", "status"]
        .iter()
        .any(|name| same_name(name, path))
    {
        return true;
    }
    let Some((parent, name)) = path.split_once('.') else {
        return false;
    };
    same_name(parent, "metadata") && UNUSED_META_FIELDS.iter().any(|unused| same_name(unused, name))
}

/// The secret store that references to secrets are resolved with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Auth {
    /// The name of the component.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub secret_store: String,
}

/// What can be asked of every resource.
pub trait Resource {
    /// Its kind.
    const KIND: Kind;

    /// Its name, namespace and labels.
    fn metadata(&self) -> &ObjectMeta;

    /// The ids of the applications that see it; empty means all.
    fn scopes(&self) -> &[String];

    /// Its name as messages show it: a component adds its type and version.
    fn log_name(&self) -> String {
        self.metadata().name.clone()
    }

    /// Its name.
    fn name(&self) -> &str {
        &self.metadata().name
    }

    /// Whether an application sees it.
    fn is_in_scope(&self, app_id: &str) -> bool {
        self.scopes().is_empty() || self.scopes().iter().any(|scope| scope == app_id)
    }
}
