//! Timeouts, retries and circuit breakers: as written ([`Resiliency`]), and checked ([`Policies`]).

mod codes;
mod policies;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

pub use codes::{CodesError, StatusCodes};
pub use policies::{
    Backoff, BreakerScope, BreakerTarget, CircuitBreaker, ComponentTargets, Matching, Policies, PolicyError, Retry,
    Target,
};

use crate::meta::{Kind, ObjectMeta, Resource};

/// Policies of resiliency, and what they apply to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Resiliency {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// As written.
    pub spec: ResiliencySpec,
    /// The applications that see it; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// Policies, and what they apply to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ResiliencySpec {
    /// Policies by name.
    pub policies: PoliciesSpec,
    /// What they apply to.
    pub targets: TargetsSpec,
}

/// Policies by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PoliciesSpec {
    /// Durations.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub timeouts: IndexMap<String, String>,
    /// Retries.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub retries: IndexMap<String, RetrySpec>,
    /// Circuit breakers.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub circuit_breakers: IndexMap<String, CircuitBreakerSpec>,
}

/// A retry policy as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RetrySpec {
    /// `constant` or `exponential`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policy: String,
    /// The wait of a constant policy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub duration: String,
    /// The longest wait of an exponential policy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub max_interval: String,
    /// How often; -1 is for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i64>,
    /// Which failures are tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matching: Option<MatchingSpec>,
}

/// Which failures are tried again, as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct MatchingSpec {
    /// As `429,500-599`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub http_status_codes: String,
    /// As `1-15`.
    #[serde(rename = "gRPCStatusCodes", skip_serializing_if = "String::is_empty")]
    pub grpc_status_codes: String,
}

/// A circuit breaker as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CircuitBreakerSpec {
    /// How many calls are let through half open.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<i64>,
    /// How often counts are cleared while closed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interval: String,
    /// How long it stays open.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// When it opens, in CEL.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trip: String,
}

/// What policies apply to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TargetsSpec {
    /// Applications by id.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub apps: IndexMap<String, TargetSpec>,
    /// Actors by type.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub actors: IndexMap<String, ActorTargetSpec>,
    /// Components by name.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub components: IndexMap<String, ComponentTargetsSpec>,
}

/// The policies of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TargetSpec {
    /// A timeout.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// A retry policy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub retry: String,
    /// A circuit breaker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub circuit_breaker: String,
    /// How many breakers are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker_cache_size: Option<i64>,
}

/// The policies of an actor type.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ActorTargetSpec {
    /// A timeout.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// A retry policy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub retry: String,
    /// A circuit breaker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub circuit_breaker: String,
    /// Whether a breaker is for a type, an actor or both.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub circuit_breaker_scope: String,
    /// How many breakers are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circuit_breaker_cache_size: Option<i64>,
}

/// The policies of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ComponentTargetsSpec {
    /// For what comes from the component.
    pub inbound: ComponentTargetSpec,
    /// For what goes to it.
    pub outbound: ComponentTargetSpec,
}

/// The policies of one direction of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ComponentTargetSpec {
    /// A timeout.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub timeout: String,
    /// A retry policy.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub retry: String,
    /// A circuit breaker.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub circuit_breaker: String,
}

impl Resource for Resiliency {
    const KIND: Kind = Kind::Resiliency;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn scopes(&self) -> &[String] {
        &self.scopes
    }
}

#[cfg(test)]
mod tests;
