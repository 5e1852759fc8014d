//! The HTTP API, calls to the application over HTTP, and its health probes.

use std::time::Duration;

use super::{Metrics, StatusText};

crate::views! {
    SERVER_REQUEST_BYTES = size "http/server/request_bytes" [] "HTTP request body size if set as ContentLength (uncompressed) in server.";
    SERVER_RESPONSE_BYTES = size "http/server/response_bytes" [] "HTTP response body size (uncompressed) in server.";
    SERVER_LATENCY = latency "http/server/latency" ["method", "path", "status"] "HTTP request end-to-end latency in server.";
    SERVER_REQUEST_COUNT = counter "http/server/request_count" ["method", "path", "status"] "Count of HTTP requests processed by the server.";
    SERVER_RESPONSE_COUNT = counter "http/server/response_count" ["method", "path", "status"] "The number of HTTP responses.";
    CLIENT_SENT_BYTES = size "http/client/sent_bytes" ["method", "path", "status"] "Total bytes sent in request body (not including headers).";
    CLIENT_RECEIVED_BYTES = size "http/client/received_bytes" [] "Total bytes received in response bodies (not including headers but including error responses with bodies).";
    CLIENT_ROUNDTRIP_LATENCY = latency "http/client/roundtrip_latency" ["method", "path", "status"] "Time between first byte of request headers sent to last byte of response received, or terminal error.";
    CLIENT_COMPLETED_COUNT = counter "http/client/completed_count" ["method", "path", "status"] "Count of completed requests.";
    HEALTH_ROUNDTRIP_LATENCY = latency "http/healthprobes/roundtrip_latency" ["status"] "Time between first byte of health probes headers sent to last byte of response received, or terminal error.";
    HEALTH_COMPLETED_COUNT = counter "http/healthprobes/completed_count" ["status"] "Count of completed health probes.";
}

/// A request that one side has finished.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exchange<'a> {
    /// The verb.
    pub method: &'a str,
    /// The path as it came, without the query.
    pub path: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// Size of the request's body.
    pub request_bytes: u64,
    /// Size of the answer's body.
    pub response_bytes: u64,
    /// From the first byte to the last.
    pub elapsed: Duration,
}

impl Metrics {
    /// The HTTP API has answered a request.
    pub fn http_server_request(&self, exchange: &Exchange<'_>) {
        let Some(inner) = &self.0 else { return };
        let (status, path) = (StatusText::new(exchange.status), inner.http.path(exchange.path));
        let labels = &[inner.http.method(exchange.method), path.as_ref(), status.as_str()];
        self.increment(&SERVER_REQUEST_COUNT, labels);
        if inner.http.increased_cardinality {
            self.increment(&SERVER_RESPONSE_COUNT, labels);
        }
        self.observe_duration(&SERVER_LATENCY, labels, exchange.elapsed);
        self.observe(&SERVER_REQUEST_BYTES, &[], exchange.request_bytes as f64);
        self.observe(&SERVER_RESPONSE_BYTES, &[], exchange.response_bytes as f64);
    }

    /// The application has answered a call.
    pub fn http_client_completed(&self, exchange: &Exchange<'_>) {
        let Some(inner) = &self.0 else { return };
        let (status, path) = (StatusText::new(exchange.status), inner.http.path(exchange.path));
        let labels = &[inner.http.method(exchange.method), path.as_ref(), status.as_str()];
        self.timed(
            &CLIENT_COMPLETED_COUNT,
            &CLIENT_ROUNDTRIP_LATENCY,
            labels,
            exchange.elapsed,
        );
        self.observe(&CLIENT_SENT_BYTES, labels, exchange.request_bytes as f64);
        self.observe(&CLIENT_RECEIVED_BYTES, &[], exchange.response_bytes as f64);
    }

    /// The application has answered a health probe.
    pub fn http_health_probe(&self, status: u16, elapsed: Duration) {
        let status = StatusText::new(status);
        self.timed(
            &HEALTH_COMPLETED_COUNT,
            &HEALTH_ROUNDTRIP_LATENCY,
            &[status.as_str()],
            elapsed,
        );
    }
}
