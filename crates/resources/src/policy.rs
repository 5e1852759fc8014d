//! Kinds that are read but not looked into yet: MCP servers and workflow access policies.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::meta::{Kind, ObjectMeta, Resource};

/// A server of the Model Context Protocol whose tools become workflows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct McpServer {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// As written.
    pub spec: Value,
    /// The applications that see it; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// Who may do what with the workflows of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct WorkflowAccessPolicy {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// As written.
    pub spec: Value,
    /// The applications it guards; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

impl Resource for McpServer {
    const KIND: Kind = Kind::McpServer;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn scopes(&self) -> &[String] {
        &self.scopes
    }
}

impl Resource for WorkflowAccessPolicy {
    const KIND: Kind = Kind::WorkflowAccessPolicy;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn scopes(&self) -> &[String] {
        &self.scopes
    }
}
