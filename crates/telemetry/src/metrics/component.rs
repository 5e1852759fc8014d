//! What components do: publishing, delivery, bindings, state, configuration, secrets, cryptography, conversation, jobs.

use std::time::Duration;

use super::{Metrics, flag};

crate::views! {
    PUBSUB_INGRESS_LATENCIES = latency "component/pubsub_ingress/latencies" ["component", "namespace", "process_status", "status", "topic"] "The consuming app event processing latency.";
    PUBSUB_INGRESS_COUNT = counter "component/pubsub_ingress/count" ["component", "namespace", "process_status", "status", "topic"] "The number of incoming messages arriving from the pub/sub component.";
    BULK_INGRESS_LATENCIES = latency "component/pubsub_ingress/bulk/latencies" ["component", "namespace", "process_status", "topic"] "The consuming app event processing latency for the bulk pub/sub component.";
    BULK_INGRESS_COUNT = counter "component/pubsub_ingress/bulk/count" ["component", "namespace", "process_status", "topic"] "The number of incoming bulk subscribe calls arriving from the bulk pub/sub component.";
    BULK_INGRESS_EVENT_COUNT = counter "component/pubsub_ingress/bulk/event_count" ["component", "namespace", "process_status", "topic"] "Total number of incoming messages arriving from the bulk pub/sub component via Bulk Subscribe.";
    PUBSUB_EGRESS_LATENCIES = latency "component/pubsub_egress/latencies" ["component", "namespace", "success", "topic"] "The latency of the response from the pub/sub component.";
    PUBSUB_EGRESS_COUNT = counter "component/pubsub_egress/count" ["component", "namespace", "success", "topic"] "The number of outgoing messages published to the pub/sub component.";
    BULK_EGRESS_LATENCIES = latency "component/pubsub_egress/bulk/latencies" ["component", "namespace", "success", "topic"] "The latency of the response for the bulk publish call from the pub/sub component.";
    BULK_EGRESS_COUNT = counter "component/pubsub_egress/bulk/count" ["component", "namespace", "success", "topic"] "The number of bulk publish calls to the pub/sub component.";
    INPUT_BINDING_LATENCIES = latency "component/input_binding/latencies" ["component", "namespace", "success"] "The triggered app processing latency.";
    INPUT_BINDING_COUNT = counter "component/input_binding/count" ["component", "namespace", "success"] "The number of incoming events arriving from the input binding component.";
    CONVERSATION_LATENCIES = latency "component/conversation/latencies" ["component", "namespace", "success"] "The latency of the response from the conversation component.";
    CONVERSATION_COUNT = counter "component/conversation/count" ["component", "namespace", "success"] "The number of operations performed on the conversation component.";
    OUTPUT_BINDING_LATENCIES = latency "component/output_binding/latencies" ["component", "namespace", "operation", "success"] "The latency of the response from the output binding component.";
    OUTPUT_BINDING_COUNT = counter "component/output_binding/count" ["component", "namespace", "operation", "success"] "The number of operations invoked on the output binding component.";
    STATE_LATENCIES = latency "component/state/latencies" ["component", "namespace", "operation", "success"] "The latency of the response from the state component.";
    STATE_COUNT = counter "component/state/count" ["component", "namespace", "operation", "success"] "The number of operations performed on the state component.";
    CONFIGURATION_LATENCIES = latency "component/configuration/latencies" ["component", "namespace", "operation", "success"] "The latency of the response from the configuration component.";
    CONFIGURATION_COUNT = counter "component/configuration/count" ["component", "namespace", "operation", "success"] "The number of operations performed on the configuration component.";
    SECRET_LATENCIES = latency "component/secret/latencies" ["component", "namespace", "operation", "success"] "The latency of the response from the secret component.";
    SECRET_COUNT = counter "component/secret/count" ["component", "namespace", "operation", "success"] "The number of operations performed on the secret component.";
    CRYPTO_LATENCIES = latency "component/crypto/latencies" ["component", "namespace", "operation", "success"] "The latency of the response from the crypto component.";
    CRYPTO_COUNT = counter "component/crypto/count" ["component", "namespace", "operation", "success"] "The number of operations performed on the crypto component.";
    JOB_LATENCIES = latency "component/job/latencies" ["namespace", "operation", "success"] "The triggered app processing latency of jobs.";
    JOB_SUCCESS_COUNT = counter "component/job/success_count" ["namespace", "operation"] "The number of successful jobs.";
    JOB_FAILURE_COUNT = counter "component/job/failure_count" ["namespace", "operation"] "The number of failed jobs.";
}

impl Metrics {
    /// A message was handed to the application. `process_status` is success, retry or drop; `status` success or empty.
    pub fn pubsub_ingress(&self, component: &str, topic: &str, process_status: &str, status: &str, elapsed: Duration) {
        let labels = &[component, self.namespace(), process_status, status, topic];
        self.timed(&PUBSUB_INGRESS_COUNT, &PUBSUB_INGRESS_LATENCIES, labels, elapsed);
    }

    /// A bulk of messages was handed to the application.
    pub fn pubsub_bulk_ingress(&self, component: &str, topic: &str, process_status: &str, elapsed: Duration) {
        let labels = &[component, self.namespace(), process_status, topic];
        self.timed(&BULK_INGRESS_COUNT, &BULK_INGRESS_LATENCIES, labels, elapsed);
    }

    /// `count` messages of a bulk ended with the same status.
    pub fn pubsub_bulk_ingress_events(&self, component: &str, topic: &str, process_status: &str, count: u64) {
        if count > 0 {
            let labels = &[component, self.namespace(), process_status, topic];
            self.add(&BULK_INGRESS_EVENT_COUNT, labels, count);
        }
    }

    /// A message was published.
    pub fn pubsub_egress(&self, component: &str, topic: &str, success: bool, elapsed: Duration) {
        let labels = &[component, self.namespace(), flag(success), topic];
        self.timed(&PUBSUB_EGRESS_COUNT, &PUBSUB_EGRESS_LATENCIES, labels, elapsed);
    }

    /// A bulk of messages was published.
    pub fn pubsub_bulk_egress(&self, component: &str, topic: &str, success: bool, elapsed: Duration) {
        let labels = &[component, self.namespace(), flag(success), topic];
        self.timed(&BULK_EGRESS_COUNT, &BULK_EGRESS_LATENCIES, labels, elapsed);
    }

    /// An event of an input binding was handed to the application.
    pub fn input_binding(&self, component: &str, success: bool, elapsed: Duration) {
        let labels = &[component, self.namespace(), flag(success)];
        self.timed(&INPUT_BINDING_COUNT, &INPUT_BINDING_LATENCIES, labels, elapsed);
    }

    /// An output binding was invoked.
    pub fn output_binding(&self, component: &str, operation: &str, success: bool, elapsed: Duration) {
        let labels = &[component, self.namespace(), operation, flag(success)];
        self.timed(&OUTPUT_BINDING_COUNT, &OUTPUT_BINDING_LATENCIES, labels, elapsed);
    }

    /// A state store did get, set, delete, query, transaction, bulk_get or bulk_delete.
    pub fn component_state(&self, component: &str, operation: &str, success: bool, elapsed: Duration) {
        let labels = &[component, self.namespace(), operation, flag(success)];
        self.timed(&STATE_COUNT, &STATE_LATENCIES, labels, elapsed);
    }

    /// A configuration store did get, subscribe or unsubscribe.
    pub fn component_configuration(&self, component: &str, operation: &str, success: bool, elapsed: Duration) {
        let labels = &[component, self.namespace(), operation, flag(success)];
        self.timed(&CONFIGURATION_COUNT, &CONFIGURATION_LATENCIES, labels, elapsed);
    }

    /// A secret store did get or bulk_get.
    pub fn component_secret(&self, component: &str, operation: &str, success: bool, elapsed: Duration) {
        let labels = &[component, self.namespace(), operation, flag(success)];
        self.timed(&SECRET_COUNT, &SECRET_LATENCIES, labels, elapsed);
    }

    /// A cryptography component did crypto_op.
    pub fn component_crypto(&self, component: &str, operation: &str, success: bool, elapsed: Duration) {
        let labels = &[component, self.namespace(), operation, flag(success)];
        self.timed(&CRYPTO_COUNT, &CRYPTO_LATENCIES, labels, elapsed);
    }

    /// A conversation component answered.
    pub fn component_conversation(&self, component: &str, success: bool, elapsed: Duration) {
        let labels = &[component, self.namespace(), flag(success)];
        self.timed(&CONVERSATION_COUNT, &CONVERSATION_LATENCIES, labels, elapsed);
    }

    /// The application was called for a job (job_trigger_op).
    pub fn component_job(&self, operation: &str, success: bool, elapsed: Duration) {
        self.observe_duration(&JOB_LATENCIES, &[self.namespace(), operation, flag(success)], elapsed);
        let count = if success {
            &JOB_SUCCESS_COUNT
        } else {
            &JOB_FAILURE_COUNT
        };
        self.increment(count, &[self.namespace(), operation]);
    }
}
