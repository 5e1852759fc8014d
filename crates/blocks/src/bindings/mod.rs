//! The output bindings API: calls to anything outside.

mod grpc;
mod http;
#[cfg(test)]
mod tests;

use crate::outbound;
use api::{ApiError, Cx, Detail, Op, call, errors, op};
use bytes::Bytes;
use component::{
    Kind, Metadata,
    binding::{Invoke, InvokeError, Response},
};
use outgoing::{CallError, Class, Classify};
use std::{
    fmt,
    time::{Duration, Instant},
};
use telemetry::metrics::Metrics;
use wire::runtime::v1::{InvokeBindingRequest, InvokeBindingResponse};

errors! { "binding";
    /// The binding could not be called, or refused.
    Invoke { name: String, why: String } = "ERR_INVOKE_OUTPUT_BINDING", http 500, grpc Internal,
        "error invoking output binding {name}: {why}", with [Detail::GrpcReason("ERR_INVOKE_OUTPUT_BINDING")];
}

/// The block.
pub struct Bindings {
    metrics: Metrics,
}

/// The operations of this block.
pub const OPS: &[Op<Bindings>] = &[op("InvokeBinding", "bindings", "v1.0")
    .post_or_put("/v1.0/bindings/{name}", call!(http::invoke))
    .grpc(grpc::invoke)];

/// A call that failed, and the metadata that the caller is told all the same.
#[derive(Debug)]
pub struct Failed {
    /// What failed.
    pub error: ApiError,
    /// Metadata of the answer.
    pub metadata: Metadata,
}

impl Bindings {
    /// The block.
    pub fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }

    /// Calls a binding.
    pub async fn invoke(&self, cx: &Cx, request: InvokeBindingRequest) -> Result<InvokeBindingResponse, Failed> {
        let InvokeBindingRequest {
            name,
            data,
            metadata,
            operation,
        } = request;
        let invoke = Invoke {
            operation,
            data,
            metadata: with_trace(cx, metadata),
        };
        self.call(cx, &name, invoke).await.map(|found| InvokeBindingResponse {
            data: found.data.unwrap_or_default(),
            metadata: found.metadata,
        })
    }

    /// Sends data to a binding for an event of an input binding, or of whoever else wants that inside of the sidecar.
    pub async fn send(&self, cx: &Cx, name: &str, operation: &str, data: Bytes) -> Result<(), ApiError> {
        let invoke = Invoke {
            operation: operation.to_owned(),
            data,
            metadata: with_trace(cx, Metadata::new()),
        };
        self.call(cx, name, invoke)
            .await
            .map(|_| ())
            .map_err(|failed| failed.error)
    }

    async fn call(&self, cx: &Cx, name: &str, invoke: Invoke) -> Result<Response, Failed> {
        let started = Instant::now();
        let operation = invoke.operation.clone();
        let result = self.checked(cx, name, invoke).await;
        self.metrics
            .output_binding(name, &operation, result.is_ok(), at_least_a_tick(started.elapsed()));
        result.map_err(|(why, metadata)| Failed {
            error: Error::Invoke {
                name: name.to_owned(),
                why,
            }
            .into(),
            metadata,
        })
    }

    async fn checked(&self, cx: &Cx, name: &str, invoke: Invoke) -> Result<Response, (String, Metadata)> {
        let refused = |why: String| Err((why, Metadata::new()));
        if invoke.operation.is_empty() {
            return refused("operation field is missing from request".into());
        }
        let Some(binding) = cx.snapshot.output_bindings.get(name) else {
            return refused(format!("couldn't find output binding {name}"));
        };
        let known = binding.instance.operations();
        if !known.contains(&invoke.operation) {
            let (operation, known) = (&invoke.operation, known.join(" "));
            return refused(format!(
                "binding {name} does not support operation {operation}. supported operations:{known}"
            ));
        }
        let call = async |invoke| binding.instance.invoke(invoke).await.map_err(Attempt);
        let (result, _) = outbound::call(cx, name, Kind::Binding, invoke, call).await;
        result.map_err(|error| match error {
            CallError::Inner(Attempt(InvokeError { error, response })) => (
                error.message,
                response.map(|response| response.metadata).unwrap_or_default(),
            ),
            other => (other.to_string(), Metadata::new()),
        })
    }
}

/// A duration that is counted even if nothing was done in it.
fn at_least_a_tick(elapsed: Duration) -> Duration {
    elapsed.max(Duration::from_nanos(1))
}

/// The metadata of a call with the trace and the baggage that it belongs to; what the caller gives under these names is
/// replaced.
fn with_trace(cx: &Cx, mut metadata: Metadata) -> Metadata {
    metadata.insert("traceparent".into(), cx.trace.traceparent());
    if let Some(state) = &cx.trace.state {
        metadata.insert("tracestate".into(), state.to_string());
    }
    if let Some(baggage) = cx.baggage.as_ref().and_then(|value| value.to_str().ok()) {
        metadata.insert("baggage".into(), baggage.to_owned());
    }
    metadata
}

/// The failure of one attempt, as policies see it.
#[derive(Debug)]
struct Attempt(InvokeError);

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.error.fmt(f)
    }
}

impl Classify for Attempt {
    fn class(&self) -> Class {
        self.0.error.class()
    }

    fn grpc_code(&self) -> Option<i32> {
        self.0.error.grpc_code()
    }
}
