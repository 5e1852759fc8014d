//! Building blocks that this sidecar does not have: what it answers for each of their operations.
//!
//! One table. A block that comes to be takes its rows out of here.

mod actors;
mod configuration;
mod conversation;
mod crypto;
mod jobs;
mod lock;
#[cfg(test)]
mod tests;

use api::{ApiError, Body, Cx, HttpRequest, Op, call, grpc, op, raw, streaming, unary};
use http::Method;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

/// The blocks that are not there.
#[derive(Debug, Default)]
pub struct Unconfigured;

const ANY_CALL: &[Method] = &[Method::GET, Method::POST, Method::PUT, Method::DELETE];

/// The operations of these blocks.
pub const OPS: &[Op<Unconfigured>] = &[
    // Actors
    op("InvokeActor", "actors", "v1.0")
        .route(
            ANY_CALL,
            "/v1.0/actors/{type}/{id}/method/{method}",
            call!(actors::absent),
        )
        .grpc(raw!(actors::refuse)),
    op("GetActorState", "actors", "v1.0")
        .get("/v1.0/actors/{type}/{id}/state/{key}", call!(actors::internal))
        .grpc(unary!(actors::get_state)),
    op("ExecuteActorStateTransaction", "actors", "v1.0")
        .post_or_put("/v1.0/actors/{type}/{id}/state", call!(actors::with_list))
        .grpc(unary!(actors::transact)),
    op("RegisterActorReminder", "actors", "v1.0")
        .post_or_put("/v1.0/actors/{type}/{id}/reminders/{name}", call!(actors::with_object))
        .grpc(unary!(actors::register_reminder)),
    op("GetActorReminder", "actors", "v1.0")
        .get("/v1.0/actors/{type}/{id}/reminders/{name}", call!(actors::internal))
        .grpc(unary!(actors::get_reminder)),
    op("UnregisterActorReminder", "actors", "v1.0")
        .delete("/v1.0/actors/{type}/{id}/reminders/{name}", call!(actors::internal))
        .grpc(unary!(actors::unregister_reminder)),
    op("RegisterActorTimer", "actors", "v1.0")
        .post_or_put("/v1.0/actors/{type}/{id}/timers/{name}", call!(actors::with_object))
        .grpc(unary!(actors::register_timer)),
    op("UnregisterActorTimer", "actors", "v1.0")
        .delete("/v1.0/actors/{type}/{id}/timers/{name}", call!(actors::internal))
        .grpc(unary!(actors::unregister_timer)),
    op("UnregisterActorRemindersByType", "actors", "v1.0").grpc(unary!(actors::unregister_by_type)),
    op("ListActorReminders", "actors", "v1.0").grpc(unary!(actors::list_reminders)),
    op("SubscribeActorEventsAlpha1", "actors", "v1.0-alpha1").grpc(streaming!(actors::subscribe)),
    // Workflows
    op("StartWorkflow", "workflows", "v1.0").post("/v1.0/workflows/{component}/{name}/start", call!(actors::absent)),
    op("GetWorkflow", "workflows", "v1.0").get("/v1.0/workflows/{component}/{name}", call!(actors::absent)),
    op("PauseWorkflow", "workflows", "v1.0").post("/v1.0/workflows/{component}/{name}/pause", call!(actors::absent)),
    op("ResumeWorkflow", "workflows", "v1.0").post("/v1.0/workflows/{component}/{name}/resume", call!(actors::absent)),
    op("TerminateWorkflow", "workflows", "v1.0")
        .post("/v1.0/workflows/{component}/{name}/terminate", call!(actors::absent)),
    op("PurgeWorkflow", "workflows", "v1.0").post("/v1.0/workflows/{component}/{name}/purge", call!(actors::absent)),
    op("RaiseEventWorkflow", "workflows", "v1.0").post(
        "/v1.0/workflows/{component}/{name}/raiseEvent/{event}",
        call!(actors::absent),
    ),
    op("StartWorkflowBeta1", "workflows", "v1.0-beta1")
        .post("/v1.0-beta1/workflows/{component}/{name}/start", call!(actors::absent))
        .grpc(raw!(actors::refuse)),
    op("GetWorkflowBeta1", "workflows", "v1.0-beta1")
        .get("/v1.0-beta1/workflows/{component}/{name}", call!(actors::absent))
        .grpc(raw!(actors::refuse)),
    op("PauseWorkflowBeta1", "workflows", "v1.0-beta1")
        .post("/v1.0-beta1/workflows/{component}/{name}/pause", call!(actors::absent))
        .grpc(raw!(actors::refuse)),
    op("ResumeWorkflowBeta1", "workflows", "v1.0-beta1")
        .post("/v1.0-beta1/workflows/{component}/{name}/resume", call!(actors::absent))
        .grpc(raw!(actors::refuse)),
    op("TerminateWorkflowBeta1", "workflows", "v1.0-beta1")
        .post(
            "/v1.0-beta1/workflows/{component}/{name}/terminate",
            call!(actors::absent),
        )
        .grpc(raw!(actors::refuse)),
    op("PurgeWorkflowBeta1", "workflows", "v1.0-beta1")
        .post("/v1.0-beta1/workflows/{component}/{name}/purge", call!(actors::absent))
        .grpc(raw!(actors::refuse)),
    op("RaiseEventWorkflowBeta1", "workflows", "v1.0-beta1")
        .post(
            "/v1.0-beta1/workflows/{component}/{name}/raiseEvent/{event}",
            call!(actors::absent),
        )
        .grpc(raw!(actors::refuse)),
    op("StartWorkflowAlpha1", "workflows", "v1.0-alpha1")
        .post("/v1.0-alpha1/workflows/{component}/{name}/start", call!(actors::absent))
        .grpc(raw!(actors::refuse)),
    op("GetWorkflowAlpha1", "workflows", "v1.0-alpha1")
        .get("/v1.0-alpha1/workflows/{component}/{name}", call!(actors::absent))
        .grpc(raw!(actors::refuse)),
    op("PauseWorkflowAlpha1", "workflows", "v1.0-alpha1")
        .post("/v1.0-alpha1/workflows/{component}/{name}/pause", call!(actors::absent))
        .grpc(raw!(actors::refuse)),
    op("ResumeWorkflowAlpha1", "workflows", "v1.0-alpha1")
        .post(
            "/v1.0-alpha1/workflows/{component}/{name}/resume",
            call!(actors::absent),
        )
        .grpc(raw!(actors::refuse)),
    op("TerminateWorkflowAlpha1", "workflows", "v1.0-alpha1")
        .post(
            "/v1.0-alpha1/workflows/{component}/{name}/terminate",
            call!(actors::absent),
        )
        .grpc(raw!(actors::refuse)),
    op("PurgeWorkflowAlpha1", "workflows", "v1.0-alpha1")
        .post("/v1.0-alpha1/workflows/{component}/{name}/purge", call!(actors::absent))
        .grpc(raw!(actors::refuse)),
    op("RaiseEventWorkflowAlpha1", "workflows", "v1.0-alpha1")
        .post(
            "/v1.0-alpha1/workflows/{component}/{name}/raiseEvent/{event}",
            call!(actors::absent),
        )
        .grpc(raw!(actors::refuse)),
    // Jobs
    op("ScheduleJob", "jobs", "v1.0")
        .post("/v1.0/jobs/{name}", call!(jobs::http_schedule))
        .grpc(unary!(jobs::schedule)),
    op("GetJob", "jobs", "v1.0")
        .get("/v1.0/jobs/{name}", call!(jobs::http_get))
        .grpc(unary!(jobs::get)),
    op("DeleteJob", "jobs", "v1.0")
        .delete("/v1.0/jobs/{name}", call!(jobs::http_delete))
        .grpc(unary!(jobs::delete)),
    op("DeleteJobsByPrefix", "jobs", "v1.0").grpc(raw!(jobs::refuse_delete)),
    op("ListJobs", "jobs", "v1.0").grpc(raw!(jobs::refuse_list)),
    op("ScheduleJobAlpha1", "jobs", "v1.0-alpha1")
        .post("/v1.0-alpha1/jobs/{name}", call!(jobs::http_schedule))
        .grpc(unary!(jobs::schedule)),
    op("GetJobAlpha1", "jobs", "v1.0-alpha1")
        .get("/v1.0-alpha1/jobs/{name}", call!(jobs::http_get))
        .grpc(unary!(jobs::get)),
    op("DeleteJobAlpha1", "jobs", "v1.0-alpha1")
        .delete("/v1.0-alpha1/jobs/{name}", call!(jobs::http_delete))
        .grpc(unary!(jobs::delete)),
    op("DeleteJobsByPrefixAlpha1", "jobs", "v1.0-alpha1").grpc(raw!(jobs::refuse_delete)),
    op("ListJobsAlpha1", "jobs", "v1.0-alpha1").grpc(raw!(jobs::refuse_list)),
    // Locks
    op("TryLockAlpha1", "lock", "v1.0-alpha1")
        .post("/v1.0-alpha1/lock/{store}", call!(lock::http_lock))
        .grpc(unary!(lock::lock)),
    op("UnlockAlpha1", "unlock", "v1.0-alpha1")
        .post("/v1.0-alpha1/unlock/{store}", call!(lock::http_unlock))
        .grpc(unary!(lock::unlock)),
    // Configuration
    op("GetConfiguration", "configuration", "v1.0")
        .get("/v1.0/configuration/{store}", call!(configuration::absent))
        .grpc(raw!(configuration::refuse)),
    op("SubscribeConfiguration", "configuration", "v1.0")
        .get("/v1.0/configuration/{store}/subscribe", call!(configuration::absent))
        .grpc(raw!(configuration::refuse)),
    op("UnsubscribeConfiguration", "configuration", "v1.0")
        .get(
            "/v1.0/configuration/{store}/{id}/unsubscribe",
            call!(configuration::absent),
        )
        .grpc(unary!(configuration::unsubscribe)),
    op("GetConfigurationAlpha1", "configuration", "v1.0-alpha1")
        .get("/v1.0-alpha1/configuration/{store}", call!(configuration::absent))
        .grpc(raw!(configuration::refuse)),
    op("SubscribeConfigurationAlpha1", "configuration", "v1.0-alpha1")
        .get(
            "/v1.0-alpha1/configuration/{store}/subscribe",
            call!(configuration::absent),
        )
        .grpc(raw!(configuration::refuse)),
    op("UnsubscribeConfigurationAlpha1", "configuration", "v1.0-alpha1")
        .get(
            "/v1.0-alpha1/configuration/{store}/{id}/unsubscribe",
            call!(configuration::absent),
        )
        .grpc(unary!(configuration::unsubscribe)),
    // Cryptography
    op("EncryptAlpha1", "crypto", "v1.0-alpha1")
        .put("/v1.0-alpha1/crypto/{name}/encrypt", call!(crypto::absent))
        .grpc(streaming!(crypto::encrypt)),
    op("DecryptAlpha1", "crypto", "v1.0-alpha1")
        .put("/v1.0-alpha1/crypto/{name}/decrypt", call!(crypto::absent))
        .grpc(streaming!(crypto::decrypt)),
    op("SubtleGetKeyAlpha1", "subtlecrypto", "v1.0-alpha1")
        .post("/v1.0-alpha1/subtlecrypto/{name}/getkey", call!(crypto::subtle))
        .grpc(raw!(crypto::refuse_subtle)),
    op("SubtleEncryptAlpha1", "subtlecrypto", "v1.0-alpha1")
        .post("/v1.0-alpha1/subtlecrypto/{name}/encrypt", call!(crypto::subtle))
        .grpc(raw!(crypto::refuse_subtle)),
    op("SubtleDecryptAlpha1", "subtlecrypto", "v1.0-alpha1")
        .post("/v1.0-alpha1/subtlecrypto/{name}/decrypt", call!(crypto::subtle))
        .grpc(raw!(crypto::refuse_subtle)),
    op("SubtleWrapKeyAlpha1", "subtlecrypto", "v1.0-alpha1")
        .post("/v1.0-alpha1/subtlecrypto/{name}/wrapkey", call!(crypto::subtle))
        .grpc(raw!(crypto::refuse_subtle)),
    op("SubtleUnwrapKeyAlpha1", "subtlecrypto", "v1.0-alpha1")
        .post("/v1.0-alpha1/subtlecrypto/{name}/unwrapkey", call!(crypto::subtle))
        .grpc(raw!(crypto::refuse_subtle)),
    op("SubtleSignAlpha1", "subtlecrypto", "v1.0-alpha1")
        .post("/v1.0-alpha1/subtlecrypto/{name}/sign", call!(crypto::subtle))
        .grpc(raw!(crypto::refuse_subtle)),
    op("SubtleVerifyAlpha1", "subtlecrypto", "v1.0-alpha1")
        .post("/v1.0-alpha1/subtlecrypto/{name}/verify", call!(crypto::subtle))
        .grpc(raw!(crypto::refuse_subtle)),
    // Conversation
    op("ConverseAlpha1", "conversation", "v1.0-alpha1")
        .post("/v1.0-alpha1/conversation/{name}/converse", call!(conversation::absent))
        .grpc(unary!(conversation::converse_alpha1)),
    op("ConverseAlpha2", "conversation", "v1.0-alpha2")
        .post("/v1.0-alpha2/conversation/{name}/converse", call!(conversation::absent))
        .grpc(unary!(conversation::converse_alpha2)),
];

impl Unconfigured {
    /// The blocks that are not there.
    pub fn new() -> Self {
        Self
    }
}

/// The answer to a gRPC call that is refused whatever it says. The request is read to its end first, since a client that is
/// still sending may take an early answer for a broken connection.
async fn refuse(cx: &Cx, request: http::Request<Body>, error: impl Into<ApiError>) -> http::Response<Body> {
    let read = api::body::read(request.into_body(), cx.info().body_limit()).await;
    let status = match read {
        Ok(_) => error.into().status(),
        Err(api::body::ReadError::TooLarge) => {
            tonic::Status::resource_exhausted("grpc: received message larger than max")
        }
        Err(error) => tonic::Status::internal(error.to_string()),
    };
    grpc::status_response(status)
}

/// The body as the JSON of a message; an empty one is an empty message.
async fn message<T: DeserializeOwned + Default>(request: &mut HttpRequest) -> Result<T, ApiError> {
    let malformed = |why: String| ApiError::from(api::error::Error::Malformed { why });
    let bytes = request.bytes().await.map_err(|e| malformed(e.to_string()))?;
    if bytes.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&bytes).map_err(|e| malformed(format!("proto: {e}")))
}

/// The JSON of a message whose fields do not matter.
type AnyMessage = std::collections::HashMap<String, serde::de::IgnoredAny>;

/// A whole number, also in quotes.
fn whole_number<'de, D: Deserializer<'de>, T: TryFrom<i64> + Default>(from: D) -> Result<T, D::Error> {
    let number = match serde_json::Value::deserialize(from)? {
        serde_json::Value::Null => return Ok(T::default()),
        serde_json::Value::String(text) => text.parse().ok(),
        serde_json::Value::Number(number) => number.as_f64(),
        _ => None,
    };
    let whole = number.filter(|n: &f64| n.fract() == 0.0 && n.abs() < 1e15);
    let number = whole.and_then(|n| T::try_from(n as i64).ok());
    number.ok_or_else(|| D::Error::custom("invalid value for a field that is a whole number"))
}
