//! Workflows and their activities, payload sizes, and attestations of history.

use std::time::Duration;

use super::Metrics;

crate::views! {
    OPERATION_COUNT = counter "runtime/workflow/operation/count" ["namespace", "operation", "status"] "The number of successful/failed workflow operation requests.";
    OPERATION_LATENCY = latency "runtime/workflow/operation/latency" ["namespace", "operation", "status"] "The latencies of responses for workflow operation requests.";
    EXECUTION_COUNT = counter "runtime/workflow/execution/count" ["namespace", "status", "workflow_name"] "The number of successful/failed/recoverable workflow executions.";
    EXECUTION_LATENCY = latency "runtime/workflow/execution/latency" ["namespace", "status", "workflow_name"] "The total time taken to run workflow to completion.";
    ACTIVITY_OPERATION_COUNT = counter "runtime/workflow/activity/operation/count" ["activity_name", "namespace", "status"] "The number of successful/failed activity operation requests.";
    ACTIVITY_OPERATION_LATENCY = latency "runtime/workflow/activity/operation/latency" ["activity_name", "namespace", "status"] "The latencies of responses for activity operation requests.";
    ACTIVITY_EXECUTION_COUNT = counter "runtime/workflow/activity/execution/count" ["activity_name", "namespace", "status"] "The number of successful/failed/recoverable activity executions.";
    ACTIVITY_EXECUTION_LATENCY = latency "runtime/workflow/activity/execution/latency" ["activity_name", "namespace", "status"] "The total time taken to run an activity to completion.";
    SCHEDULING_LATENCY = latency "runtime/workflow/scheduling/latency" ["namespace", "workflow_name"] "Interval between workflow execution request and workflow execution.";
    PAYLOAD_SIZE_RATIO = ratio "runtime/workflow/payload/size_ratio" ["namespace", "workflow_name"] "Size of a workflow's payload as a part of the largest body allowed.";
    ATTESTATION_GENERATED = counter "runtime/workflow/attestation/generated/count" ["attestation_kind", "namespace", "status"] "The number of attestations generated.";
    ATTESTATION_VERIFIED = counter "runtime/workflow/attestation/verified/count" ["attestation_kind", "attestation_result", "namespace"] "The number of attestations verified.";
    ATTESTATION_VERIFY_LATENCY = latency "runtime/workflow/attestation/verify/latency" ["attestation_kind", "attestation_result", "namespace"] "The time taken to verify an attestation.";
    ATTESTATION_CERT_CACHE = counter "runtime/workflow/attestation/cert_cache/count" ["cert_cache_outcome", "namespace"] "The number of look-ups of verified certificate chains.";
    ACTIVITY_PAYLOAD_SIZE_RATIO = ratio "runtime/workflow/activity/payload/size_ratio" ["activity_name", "namespace", "workflow_name"] "Size of an activity's payload as a part of the largest body allowed.";
}

impl Metrics {
    /// A request of create_workflow, get_workflow, add_event or purge_workflow was answered.
    pub fn workflow_operation(&self, operation: &str, status: &str, elapsed: Duration) {
        self.timed(
            &OPERATION_COUNT,
            &OPERATION_LATENCY,
            &[self.namespace(), operation, status],
            elapsed,
        );
    }

    /// A workflow ended with success, failed, terminated or recoverable.
    pub fn workflow_execution(&self, workflow: &str, status: &str, elapsed: Duration) {
        self.timed(
            &EXECUTION_COUNT,
            &EXECUTION_LATENCY,
            &[self.namespace(), status, workflow],
            elapsed,
        );
    }

    /// A workflow began `elapsed` after it was asked for.
    pub fn workflow_scheduling(&self, workflow: &str, elapsed: Duration) {
        self.observe_duration(&SCHEDULING_LATENCY, &[self.namespace(), workflow], elapsed);
    }

    /// An activity was asked for.
    pub fn activity_operation(&self, activity: &str, status: &str, elapsed: Duration) {
        let labels = &[activity, self.namespace(), status];
        self.timed(&ACTIVITY_OPERATION_COUNT, &ACTIVITY_OPERATION_LATENCY, labels, elapsed);
    }

    /// An activity ended.
    pub fn activity_execution(&self, activity: &str, status: &str, elapsed: Duration) {
        let labels = &[activity, self.namespace(), status];
        self.timed(&ACTIVITY_EXECUTION_COUNT, &ACTIVITY_EXECUTION_LATENCY, labels, elapsed);
    }

    /// A workflow was dispatched with a payload that is `ratio` of the largest body allowed.
    pub fn workflow_payload_ratio(&self, workflow: &str, ratio: f64) {
        self.observe(&PAYLOAD_SIZE_RATIO, &[self.namespace(), workflow], ratio);
    }

    /// An activity was dispatched with a payload that is `ratio` of the largest body allowed.
    pub fn activity_payload_ratio(&self, workflow: &str, activity: &str, ratio: f64) {
        self.observe(
            &ACTIVITY_PAYLOAD_SIZE_RATIO,
            &[activity, self.namespace(), workflow],
            ratio,
        );
    }

    /// An attestation of a `child` or an `activity` was made.
    pub fn attestation_generated(&self, kind: &str, status: &str) {
        self.increment(&ATTESTATION_GENERATED, &[kind, self.namespace(), status]);
    }

    /// An attestation was checked: `ok` or `reject`.
    pub fn attestation_verified(&self, kind: &str, result: &str, elapsed: Duration) {
        let labels = &[kind, result, self.namespace()];
        self.timed(&ATTESTATION_VERIFIED, &ATTESTATION_VERIFY_LATENCY, labels, elapsed);
    }

    /// A verified certificate chain was looked up: `hit` or `miss`.
    pub fn attestation_cert_cache(&self, outcome: &str) {
        self.increment(&ATTESTATION_CERT_CACHE, &[outcome, self.namespace()]);
    }
}
