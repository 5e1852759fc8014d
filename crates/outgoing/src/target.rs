//! What the policies of a target are counted under in `resiliency/*`.

use crate::breaker::State;
use parking_lot::RwLock;
use telemetry::metrics::{Metrics, resiliency::Policy as Labels};

const BREAKER: &str = "circuitbreaker";
/// The label of retry policies.
pub(crate) const RETRY: &str = "retry";
/// The label of timeouts.
pub(crate) const TIMEOUT: &str = "timeout";

/// Where a call goes, as seen from the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// To the application.
    Inbound,
    /// From the application.
    Outbound,
}

impl Flow {
    /// The value of the label `flow_direction`.
    const fn label(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// The resource that a policy comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) name: String,
    pub(crate) namespace: String,
}

/// The series of a target.
pub(crate) struct Target {
    flow: Flow,
    label: String,
    metrics: Metrics,
    /// The state that was told last: all breakers of a target share its series, and the last call counts.
    last_state: RwLock<Option<State>>,
}

impl Target {
    /// `label` is `app_<id>`, `actor_<type>` or `<ComponentType>_<name>`.
    pub(crate) fn new(flow: Flow, label: String, metrics: Metrics) -> Self {
        Self {
            flow,
            label,
            metrics,
            last_state: RwLock::new(None),
        }
    }

    fn labels<'a>(&'a self, origin: &'a Origin, policy: &'static str, status: &'static str) -> Labels<'a> {
        let Origin { name, namespace } = origin;
        Labels {
            name,
            namespace,
            policy,
            flow_direction: self.flow.label(),
            target: &self.label,
            status,
        }
    }

    /// A policy was put around a call.
    pub(crate) fn executed(&self, origin: &Origin, policy: &'static str) {
        self.metrics.resiliency_count(&self.labels(origin, policy, ""));
    }

    /// A policy took effect: it repeated a call or cut it off.
    pub(crate) fn activated(&self, origin: &Origin, policy: &'static str) {
        self.metrics.resiliency_activation(&self.labels(origin, policy, ""));
    }

    /// A call is about to ask a breaker that is in this state.
    pub(crate) fn breaker_executed(&self, origin: &Origin, state: State) {
        let labels = self.labels(origin, BREAKER, state.as_str());
        self.metrics.resiliency_count(&labels);
        if *self.last_state.read() == Some(state) {
            return;
        }
        // Written under the lock, so that the gauge and what is remembered of it never differ.
        let mut last = self.last_state.write();
        self.metrics.resiliency_breaker_state(&labels);
        *last = Some(state);
    }

    /// A call made a breaker change to this state. As in the original, the gauge follows with the next call.
    pub(crate) fn breaker_changed(&self, origin: &Origin, state: State) {
        self.metrics
            .resiliency_activation(&self.labels(origin, BREAKER, state.as_str()));
    }
}
