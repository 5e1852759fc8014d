//! Resiliency policies: which are loaded, how often they were used and took effect, the state of breakers.

use super::Metrics;

crate::views! {
    LOADED = counter "resiliency/loaded" ["name", "namespace"] "Number of resiliency policies loaded.";
    COUNT = counter "resiliency/count" ["flow_direction", "name", "namespace", "policy", "status", "target"] "Number of times a resiliency policyKey has been executed.";
    ACTIVATIONS = counter "resiliency/activations_total" ["flow_direction", "name", "namespace", "policy", "status", "target"] "Number of times a resiliency policyKey has been activated in a building block after a failure or after a state change.";
    BREAKER_STATE = gauge "resiliency/cb_state" ["flow_direction", "name", "namespace", "policy", "status", "target"] "A resiliency policy's current CircuitBreakerState state. 0 is closed, 1 is half-open, 2 is open, and -1 is unknown.";
}

/// The states of a circuit breaker as label values.
pub const BREAKER_STATES: [&str; 4] = ["closed", "half-open", "open", "unknown"];

/// Which policy did something, and where.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// The resiliency resource.
    pub name: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// `timeout`, `retry` or `circuitbreaker`.
    pub policy: &'a str,
    /// `inbound` or `outbound`.
    pub flow_direction: &'a str,
    /// `app_<id>`, `actor_<type>` or `<ComponentType>_<name>`.
    pub target: &'a str,
    /// The state of the breaker, empty for the other policies.
    pub status: &'a str,
}

impl<'a> Policy<'a> {
    fn labels(&self) -> [&'a str; 6] {
        [
            self.flow_direction,
            self.name,
            self.namespace,
            self.policy,
            self.status,
            self.target,
        ]
    }
}

impl Metrics {
    /// A resiliency resource was loaded.
    pub fn resiliency_loaded(&self, name: &str, namespace: &str) {
        self.increment(&LOADED, &[name, namespace]);
    }

    /// A policy was put around a call.
    pub fn resiliency_count(&self, policy: &Policy<'_>) {
        self.increment(&COUNT, &policy.labels());
    }

    /// A policy took effect: a retry, a timeout, a change of a breaker.
    pub fn resiliency_activation(&self, policy: &Policy<'_>) {
        self.increment(&ACTIVATIONS, &policy.labels());
    }

    /// The breaker is in the state of `policy.status` now, and in no other.
    pub fn resiliency_breaker_state(&self, policy: &Policy<'_>) {
        for status in BREAKER_STATES {
            self.gauge(&BREAKER_STATE, &Policy { status, ..*policy }.labels())
                .set(i64::from(status == policy.status));
        }
    }
}
