//! The gRPC servers, calls to the application over gRPC, and its health probes.

use std::time::Duration;

use super::Metrics;

crate::views! {
    SERVER_RECEIVED_BYTES = size "grpc.io/server/received_bytes_per_rpc" ["grpc_server_method"] "Distribution of received bytes per RPC, by method.";
    SERVER_SENT_BYTES = size "grpc.io/server/sent_bytes_per_rpc" ["grpc_server_method"] "Distribution of total sent bytes per RPC, by method.";
    SERVER_LATENCY = latency "grpc.io/server/server_latency" ["grpc_server_method", "grpc_server_status"] "Distribution of server latency in milliseconds, by method.";
    SERVER_COMPLETED = counter "grpc.io/server/completed_rpcs" ["grpc_server_method", "grpc_server_status"] "Count of RPCs by method and status.";
    CLIENT_SENT_BYTES = size "grpc.io/client/sent_bytes_per_rpc" ["grpc_client_method"] "Distribution of bytes sent per RPC, by method.";
    CLIENT_RECEIVED_BYTES = size "grpc.io/client/received_bytes_per_rpc" ["grpc_client_method"] "Distribution of bytes received per RPC, by method.";
    CLIENT_ROUNDTRIP_LATENCY = latency "grpc.io/client/roundtrip_latency" ["grpc_client_method", "grpc_client_status"] "Distribution of round-trip latency, by method.";
    CLIENT_COMPLETED = counter "grpc.io/client/completed_rpcs" ["grpc_client_method", "grpc_client_status"] "Count of RPCs by method and status.";
    HEALTH_ROUNDTRIP_LATENCY = latency "grpc.io/healthprobes/roundtrip_latency" ["grpc_client_status"] "Distribution of round-trip latency of health probes, by status.";
    HEALTH_COMPLETED = counter "grpc.io/healthprobes/completed_count" ["grpc_client_status"] "Count of completed health probes.";
}

/// The name of a gRPC status code as it stands in labels.
pub fn status_name(code: i32) -> &'static str {
    known_status_name(code).unwrap_or("Unknown")
}

/// The name of a gRPC status code, if it is one of the protocol's.
pub fn known_status_name(code: i32) -> Option<&'static str> {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    usize::try_from(code).ok().and_then(|code| NAMES.get(code)).copied()
}

impl Metrics {
    /// A server has finished a call of `method` (`/package.Service/Method`) with a status ([`status_name`]).
    pub fn grpc_server_completed(
        &self,
        method: &str,
        status: &str,
        received_bytes: u64,
        sent_bytes: u64,
        elapsed: Duration,
    ) {
        self.timed(&SERVER_COMPLETED, &SERVER_LATENCY, &[method, status], elapsed);
        self.observe(&SERVER_RECEIVED_BYTES, &[method], received_bytes as f64);
        self.observe(&SERVER_SENT_BYTES, &[method], sent_bytes as f64);
    }

    /// A call of `method` (`/package.Service/Method`) to another has come to an end.
    pub fn grpc_client_completed(
        &self,
        method: &str,
        status: &str,
        sent_bytes: u64,
        received_bytes: u64,
        elapsed: Duration,
    ) {
        self.timed(&CLIENT_COMPLETED, &CLIENT_ROUNDTRIP_LATENCY, &[method, status], elapsed);
        self.observe(&CLIENT_SENT_BYTES, &[method], sent_bytes as f64);
        self.observe(&CLIENT_RECEIVED_BYTES, &[method], received_bytes as f64);
    }

    /// The application has answered a health probe.
    pub fn grpc_health_probe(&self, status: &str, elapsed: Duration) {
        self.timed(&HEALTH_COMPLETED, &HEALTH_ROUNDTRIP_LATENCY, &[status], elapsed);
    }
}
