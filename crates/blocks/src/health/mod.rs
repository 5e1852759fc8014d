//! The health endpoints.

use api::{ApiError, HttpRequest, HttpResponse, Op, call, errors, op, request};
use service::Health as Parts;

errors! { "health";
    /// Some part of the sidecar is not ready yet.
    NotReady { parts: String } = "ERR_HEALTH_NOT_READY", http 500, grpc Internal, "dapr is not ready: [{parts}]";
    /// The sidecar of another application was asked for.
    AppIdNotMatch = "ERR_HEALTH_APPID_NOT_MATCH", http 500, grpc Internal, "dapr app-id does not match";
    /// The sidecar cannot be called by its application yet.
    OutboundNotReady { parts: String } = "ERR_OUTBOUND_HEALTH_NOT_READY", http 500, grpc Internal, "dapr outbound is not ready: [{parts}]";
}

/// Tells whether the sidecar is ready.
pub struct Health {
    /// The parts that must be ready for the sidecar to be.
    pub all: Parts,
    /// The parts that must be ready for the application to call the sidecar.
    pub outbound: Parts,
}

/// The operations of this block.
pub const OPS: &[Op<Health>] = &[
    op("Healthz", "healthz", "v1.0")
        .get("/v1.0/healthz", call!(healthz))
        .unguarded()
        .public(),
    op("HealthzOutbound", "healthz", "v1.0")
        .get("/v1.0/healthz/outbound", call!(outbound))
        .unguarded()
        .public(),
];

async fn healthz(block: &Health, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if let Some(wanted) = request.query_value("appid")
        && wanted != request.cx.info().app_id
    {
        return Err(Error::AppIdNotMatch.into());
    }
    if !block.all.is_ready() {
        return Err(Error::NotReady {
            parts: block.all.unready().join(" "),
        }
        .into());
    }
    Ok(request::no_content())
}

async fn outbound(block: &Health, _: HttpRequest) -> Result<HttpResponse, ApiError> {
    if !block.outbound.is_ready() {
        return Err(Error::OutboundNotReady {
            parts: block.outbound.unready().join(" "),
        }
        .into());
    }
    Ok(request::no_content())
}

#[cfg(test)]
mod tests;
