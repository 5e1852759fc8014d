//! Actors, and the workflows on top of them, where no placement service is configured.

use super::{Unconfigured, refuse as refused};
use api::{ApiError, Body, Cx, HttpRequest, HttpResponse, errors};
use futures_util::{Stream, StreamExt, stream};
use serde::de::IgnoredAny;
use std::{collections::HashMap, sync::Arc};
use tonic::{Status, Streaming};
use wire::runtime::v1::{
    self as messages, GetActorReminderRequest, GetActorReminderResponse, GetActorStateRequest, GetActorStateResponse,
    ListActorRemindersRequest, ListActorRemindersResponse, RegisterActorReminderRequest, RegisterActorTimerRequest,
    SubscribeActorEventsRequestAlpha1, SubscribeActorEventsResponseAlpha1, UnregisterActorReminderRequest,
    UnregisterActorRemindersByTypeRequest, UnregisterActorRemindersByTypeResponse, UnregisterActorTimerRequest,
};

errors! { "actor";
    /// There is no placement service, so there are no actors.
    NoPlacement = "ERR_ACTOR_NO_PLACEMENT", http 400, grpc Unavailable, "placement service is not configured";
    /// The type of actors belongs to the workflow engine.
    Reserved { kind: String } = "ERR_ACTOR_TYPE_RESERVED", http 403, grpc PermissionDenied,
        "actor type {kind:?} is reserved for the Dapr workflow runtime; direct actor API access is not permitted";
}

/// What the names of the workflow engine's types begin with.
const RESERVED: &str = "dapr.internal.";

fn none_of<T>(kind: &str) -> Result<T, Error> {
    if kind.starts_with(RESERVED) {
        return Err(Error::Reserved { kind: kind.to_owned() });
    }
    Err(Error::NoPlacement)
}

pub(super) async fn absent(_: &Unconfigured, _: HttpRequest) -> Result<HttpResponse, Error> {
    Err(Error::NoPlacement)
}

pub(super) async fn internal(_: &Unconfigured, request: HttpRequest) -> Result<HttpResponse, Error> {
    none_of(request.param("type"))
}

pub(super) async fn with_list(_: &Unconfigured, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if request.param("type").starts_with(RESERVED) {
        return Ok(none_of(request.param("type"))?);
    }
    request.json::<Option<Vec<IgnoredAny>>>().await?;
    Err(Error::NoPlacement.into())
}

pub(super) async fn with_object(_: &Unconfigured, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if request.param("type").starts_with(RESERVED) {
        return Ok(none_of(request.param("type"))?);
    }
    request.json::<Option<HashMap<String, IgnoredAny>>>().await?;
    Err(Error::NoPlacement.into())
}

pub(super) async fn refuse(_: &Unconfigured, cx: Cx, request: http::Request<Body>) -> http::Response<Body> {
    refused(&cx, request, Error::NoPlacement).await
}

/// Functions for RPCs that name a type of actors.
macro_rules! rpcs {
    ($($name:ident: $request:ty => $response:ty),* $(,)?) => { $(
        pub(super) async fn $name(_: &Unconfigured, _: &Cx, request: $request) -> Result<$response, Error> {
            none_of(&request.actor_type)
        }
    )* };
}

rpcs! {
    get_state: GetActorStateRequest => GetActorStateResponse,
    transact: messages::ExecuteActorStateTransactionRequest => (),
    register_reminder: RegisterActorReminderRequest => (),
    get_reminder: GetActorReminderRequest => GetActorReminderResponse,
    unregister_reminder: UnregisterActorReminderRequest => (),
    register_timer: RegisterActorTimerRequest => (),
    unregister_timer: UnregisterActorTimerRequest => (),
    unregister_by_type: UnregisterActorRemindersByTypeRequest => UnregisterActorRemindersByTypeResponse,
    list_reminders: ListActorRemindersRequest => ListActorRemindersResponse,
}

/// A host of actors over a stream is welcomed, and never called.
pub(super) async fn subscribe(
    _: Arc<Unconfigured>,
    _: Cx,
    mut messages: Streaming<SubscribeActorEventsRequestAlpha1>,
) -> Result<impl Stream<Item = Result<SubscribeActorEventsResponseAlpha1, Status>> + Send + 'static, ApiError> {
    use messages::subscribe_actor_events_response_alpha1::ResponseType;
    let first = messages
        .message()
        .await
        .map_err(|status| internal_error(status.message()))?;
    if first.is_none() {
        return Err(internal_error("EOF"));
    }
    let welcome = SubscribeActorEventsResponseAlpha1 {
        response_type: Some(ResponseType::InitialResponse(Default::default())),
    };
    let rest = messages.filter_map(async |message| message.err().map(Err));
    Ok(stream::iter([Ok(welcome)]).chain(rest))
}

fn internal_error(why: &str) -> ApiError {
    let mut error = ApiError::from(api::error::Error::Internal { why: why.to_owned() });
    error.status = Some(Box::new(Status::unknown(why)));
    error
}
