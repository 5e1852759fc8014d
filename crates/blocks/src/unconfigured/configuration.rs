//! Configuration stores, where none is loaded.

use super::{Unconfigured, refuse as refused};
use api::{Body, Cx, Detail, HttpRequest, HttpResponse, errors};
use wire::runtime::v1::{UnsubscribeConfigurationRequest, UnsubscribeConfigurationResponse};

errors! { "configuration";
    /// No configuration store is loaded at all.
    NotConfigured = "ERR_CONFIGURATION_STORE_NOT_CONFIGURED", http 500, grpc FailedPrecondition, "configuration stores not configured",
        with [Detail::GrpcReason("ERR_CONFIGURATION_STORE_NOT_CONFIGURED")];
}

pub(super) async fn absent(_: &Unconfigured, _: HttpRequest) -> Result<HttpResponse, Error> {
    Err(Error::NotConfigured)
}

pub(super) async fn refuse(_: &Unconfigured, cx: Cx, request: http::Request<Body>) -> http::Response<Body> {
    refused(&cx, request, Error::NotConfigured).await
}

/// Where there are no subscriptions, none can end; that is no error over gRPC.
pub(super) async fn unsubscribe(
    _: &Unconfigured,
    _: &Cx,
    request: UnsubscribeConfigurationRequest,
) -> Result<UnsubscribeConfigurationResponse, Error> {
    let message = format!(
        "failed to unsubscribe to configuration request {}: subscription does not exist",
        request.id
    );
    Ok(UnsubscribeConfigurationResponse { ok: false, message })
}
