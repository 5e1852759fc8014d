//! The sidecar itself: components, certificates, actors, access control, service invocation.

use std::time::Duration;

use super::{Gauge, Metrics, flag};

crate::views! {
    COMPONENT_LOADED = counter "runtime/component/loaded" [] "The number of successfully loaded components.";
    MTLS_INIT = counter "runtime/mtls/init_total" [] "The number of successful mTLS authenticator initialization.";
    MTLS_ROTATED = counter "runtime/mtls/workload_cert_rotated_total" [] "The number of the successful workload certificate rotations.";
    COMPONENT_INIT = counter "runtime/component/init_total" ["component"] "The number of initialized components.";
    COMPONENT_INIT_FAIL = counter "runtime/component/init_fail_total" ["component", "componentName", "reason"] "The number of component initialization failures.";
    MTLS_INIT_FAIL = counter "runtime/mtls/init_fail_total" ["reason"] "The number of mTLS authenticator init failures.";
    MTLS_ROTATION_FAIL = counter "runtime/mtls/workload_cert_rotated_fail_total" ["reason"] "The number of the failed workload certificate rotations.";
    ACTOR_STATUS_REPORT = counter "runtime/actor/status_report_total" ["actor_type", "operation"] "The number of the successful status reports to placement service.";
    ACTOR_TABLE_OPERATION = counter "runtime/actor/table_operation_recv_total" ["actor_type", "operation"] "The number of the received actor placement table operations.";
    ACTOR_STATUS_REPORT_FAIL = counter "runtime/actor/status_report_fail_total" ["actor_type", "operation", "reason"] "The number of the failed status reports to placement service.";
    ACTOR_REBALANCED = counter "runtime/actor/rebalanced_total" ["actor_type"] "The number of the actor rebalance requests.";
    ACTOR_DEACTIVATED = counter "runtime/actor/deactivated_total" ["actor_type"] "The number of the successful actor deactivation.";
    ACTOR_DEACTIVATED_FAILED = counter "runtime/actor/deactivated_failed_total" ["actor_type"] "The number of the failed actor deactivation.";
    ACTOR_PENDING_CALLS = gauge "runtime/actor/pending_actor_calls" ["actor_type"] "The number of pending actor calls waiting to acquire the per-actor lock.";
    ACTOR_TIMERS = gauge "runtime/actor/timers" ["actor_type"] "The number of actor timers.";
    ACTOR_REMINDERS = gauge "runtime/actor/reminders" ["actor_type"] "The number of actor reminders.";
    ACTOR_REMINDERS_FIRED = counter "runtime/actor/reminders_fired_total" ["actor_type", "success"] "The number of actor reminders fired requests.";
    ACTOR_TIMERS_FIRED = counter "runtime/actor/timers_fired_total" ["actor_type", "success"] "The number of actor timers fired requests.";
    ACL_APP_ALLOWED = counter "runtime/acl/app_policy_action_allowed_total" ["namespace", "trustDomain"] "The number of requests allowed by the app specific action specified in the access control policy.";
    ACL_GLOBAL_ALLOWED = counter "runtime/acl/global_policy_action_allowed_total" ["namespace", "trustDomain"] "The number of requests allowed by the global action specified in the access control policy.";
    ACL_APP_BLOCKED = counter "runtime/acl/app_policy_action_blocked_total" ["namespace", "trustDomain"] "The number of requests blocked by the app specific action specified in the access control policy.";
    ACL_GLOBAL_BLOCKED = counter "runtime/acl/global_policy_action_blocked_total" ["namespace", "trustDomain"] "The number of requests blocked by the global action specified in the access control policy.";
    WORKFLOW_ACL_ALLOWED = counter "runtime/workflow/acl_action_allowed_total" ["operation", "src_app_id", "type"] "The number of workflow operations allowed by a workflow access policy.";
    WORKFLOW_ACL_DENIED = counter "runtime/workflow/acl_action_denied_total" ["operation", "src_app_id", "type"] "The number of workflow operations denied by a workflow access policy.";
    INVOCATION_REQ_SENT = counter "runtime/service_invocation/req_sent_total" ["dst_app_id", "type"] "The number of requests sent via service invocation.";
    INVOCATION_REQ_RECV = counter "runtime/service_invocation/req_recv_total" ["src_app_id"] "The number of requests received via service invocation.";
    INVOCATION_RES_SENT = counter "runtime/service_invocation/res_sent_total" ["dst_app_id", "status"] "The number of responses sent via service invocation.";
    INVOCATION_RES_RECV = counter "runtime/service_invocation/res_recv_total" ["src_app_id", "status", "type"] "The number of responses received via service invocation.";
    INVOCATION_RES_RECV_LATENCY = latency "runtime/service_invocation/res_recv_latency_ms" ["src_app_id", "status"] "The latency of service invocation response.";
}

/// Which part of an access control policy decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclScope {
    /// The policy of the calling app.
    App,
    /// The default action.
    Global,
}

/// The two shapes of a service invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// One request, one answer.
    Unary,
    /// A proxied stream.
    Streaming,
}

impl Invocation {
    fn label(self) -> &'static str {
        match self {
            Invocation::Unary => "unary",
            Invocation::Streaming => "streaming",
        }
    }
}

impl Metrics {
    /// A component was loaded.
    pub fn component_loaded(&self) {
        self.increment(&COMPONENT_LOADED, &[]);
    }

    /// A component of this type was initialised.
    pub fn component_initialized(&self, component_type: &str) {
        self.increment(&COMPONENT_INIT, &[component_type]);
    }

    /// A component could not be initialised.
    pub fn component_init_failed(&self, component_type: &str, reason: &str, name: &str) {
        self.increment(&COMPONENT_INIT_FAIL, &[component_type, name, reason]);
    }

    /// mTLS was set up, or not and why.
    pub fn mtls_init(&self, result: Result<(), &str>) {
        match result {
            Ok(()) => self.increment(&MTLS_INIT, &[]),
            Err(reason) => self.increment(&MTLS_INIT_FAIL, &[reason]),
        }
    }

    /// The workload certificate was rotated, or not and why.
    pub fn mtls_rotated(&self, result: Result<(), &str>) {
        match result {
            Ok(()) => self.increment(&MTLS_ROTATED, &[]),
            Err(reason) => self.increment(&MTLS_ROTATION_FAIL, &[reason]),
        }
    }

    /// A status was reported to placement, or not and why.
    pub fn actor_status_reported(&self, actor_type: &str, operation: &str, result: Result<(), &str>) {
        match result {
            Ok(()) => self.increment(&ACTOR_STATUS_REPORT, &[actor_type, operation]),
            Err(reason) => self.increment(&ACTOR_STATUS_REPORT_FAIL, &[actor_type, operation, reason]),
        }
    }

    /// Placement sent lock, update or unlock.
    pub fn actor_table_operation(&self, actor_type: &str, operation: &str) {
        self.increment(&ACTOR_TABLE_OPERATION, &[actor_type, operation]);
    }

    /// Actors of a type moved.
    pub fn actor_rebalanced(&self, actor_type: &str) {
        self.increment(&ACTOR_REBALANCED, &[actor_type]);
    }

    /// An actor was deactivated, or could not be.
    pub fn actor_deactivated(&self, actor_type: &str, success: bool) {
        self.increment(
            if success {
                &ACTOR_DEACTIVATED
            } else {
                &ACTOR_DEACTIVATED_FAILED
            },
            &[actor_type],
        );
    }

    /// Calls that wait for the lock of their actor.
    pub fn actor_pending_calls(&self, actor_type: &str) -> Gauge {
        self.gauge(&ACTOR_PENDING_CALLS, &[actor_type])
    }

    /// Timers that are set.
    pub fn actor_timers(&self, actor_type: &str) -> Gauge {
        self.gauge(&ACTOR_TIMERS, &[actor_type])
    }

    /// Reminders that are set.
    pub fn actor_reminders(&self, actor_type: &str) -> Gauge {
        self.gauge(&ACTOR_REMINDERS, &[actor_type])
    }

    /// A reminder fired.
    pub fn actor_reminder_fired(&self, actor_type: &str, success: bool) {
        self.increment(&ACTOR_REMINDERS_FIRED, &[actor_type, flag(success)]);
    }

    /// A timer fired.
    pub fn actor_timer_fired(&self, actor_type: &str, success: bool) {
        self.increment(&ACTOR_TIMERS_FIRED, &[actor_type, flag(success)]);
    }

    /// Access control let a call of another app pass or not.
    pub fn acl_decision(&self, scope: AclScope, allowed: bool, trust_domain: &str, namespace: &str) {
        let view = match (scope, allowed) {
            (AclScope::App, true) => &ACL_APP_ALLOWED,
            (AclScope::App, false) => &ACL_APP_BLOCKED,
            (AclScope::Global, true) => &ACL_GLOBAL_ALLOWED,
            (AclScope::Global, false) => &ACL_GLOBAL_BLOCKED,
        };
        self.increment(view, &[namespace, trust_domain]);
    }

    /// A workflow access policy let an operation pass or not; `kind` is workflow or activity.
    pub fn workflow_acl_decision(&self, allowed: bool, src_app_id: &str, operation: &str, kind: &str) {
        let view = if allowed {
            &WORKFLOW_ACL_ALLOWED
        } else {
            &WORKFLOW_ACL_DENIED
        };
        self.increment(view, &[operation, src_app_id, kind]);
    }

    /// A request went to another app.
    pub fn service_invocation_request_sent(&self, dst_app_id: &str, kind: Invocation) {
        self.increment(&INVOCATION_REQ_SENT, &[dst_app_id, kind.label()]);
    }

    /// A request of another app came.
    pub fn service_invocation_request_received(&self, src_app_id: &str) {
        self.increment(&INVOCATION_REQ_RECV, &[src_app_id]);
    }

    /// An answer went to another app.
    pub fn service_invocation_response_sent(&self, dst_app_id: &str, status: i32) {
        if self.is_enabled() {
            self.increment(&INVOCATION_RES_SENT, &[dst_app_id, &status.to_string()]);
        }
    }

    /// An answer of another app came.
    pub fn service_invocation_response_received(
        &self,
        src_app_id: &str,
        status: i32,
        kind: Invocation,
        elapsed: Duration,
    ) {
        if !self.is_enabled() {
            return;
        }
        let status = status.to_string();
        self.increment(&INVOCATION_RES_RECV, &[src_app_id, &status, kind.label()]);
        self.observe_duration(&INVOCATION_RES_RECV_LATENCY, &[src_app_id, &status], elapsed);
    }
}
