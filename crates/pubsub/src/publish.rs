//! Publishing one message.

use crate::{
    PubSub,
    access::{Access, Component},
    cloud_event::Wrap,
    content,
    error::Error,
};
use api::{ApiError, Cx, Transport};
use bytes::Bytes;
use component::{ComponentError, Metadata, pubsub::Publish};
use outgoing::{CallCx, CallError, Class, Classify, ComponentKind, Failure};
use runtime::Snapshot;
use std::{fmt, time::Instant};
use wire::runtime::v1::PublishEventRequest;

/// Finds the component of a request, and makes sure that the request names a topic.
pub(crate) fn find<'a>(snapshot: &'a Snapshot, pubsub: &str, topic: &str) -> Result<&'a Component, Error> {
    if pubsub.is_empty() {
        return Err(Error::NameEmpty);
    }
    let not_found = || Error::NotFound { pubsub: pubsub.into() };
    let component = snapshot.pubsub.get(pubsub).ok_or_else(not_found)?;
    if topic.is_empty() {
        return Err(Error::TopicEmpty { pubsub: pubsub.into() });
    }
    Ok(component)
}

/// Whether the metadata of a request ask for no wrapping.
pub(crate) fn raw_flag(pubsub: &str, metadata: &Metadata) -> Result<bool, Error> {
    content::is_raw(metadata).map_err(|why| Error::Metadata {
        pubsub: pubsub.into(),
        why,
        metadata: metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
    })
}

/// The trace of a request, as events carry it.
pub(crate) fn trace(cx: &Cx) -> (String, &str) {
    if cx.trace.is_valid() {
        (cx.trace.traceparent(), cx.trace.state.as_deref().unwrap_or_default())
    } else {
        (String::new(), "")
    }
}

impl PubSub {
    /// Publishes a message for a request, or for another block.
    pub async fn publish(&self, cx: &Cx, request: PublishEventRequest) -> Result<(), ApiError> {
        let component = find(&cx.snapshot, &request.pubsub_name, &request.topic)?;
        let raw = raw_flag(&request.pubsub_name, &request.metadata)?;
        let info = cx.info();
        let access = Access::of(component, info);
        let PublishEventRequest {
            pubsub_name: pubsub,
            topic,
            data,
            data_content_type,
            mut metadata,
        } = request;
        let (data, content_type) = if raw {
            note_trace(cx, &mut metadata);
            (data, Some(data_content_type).filter(|t| !t.is_empty()))
        } else {
            let (traceparent, tracestate) = trace(cx);
            let wrap = Wrap {
                app_id: &info.app_id,
                pubsub: &pubsub,
                topic: &topic,
                content_type: &data_content_type,
                traceparent: &traceparent,
                tracestate,
                component_expires: access.expires,
            };
            let app = || info.app_id.clone();
            let data = wrap.envelope(&data, &metadata).map_err(|why| Error::CloudEvent {
                pubsub: pubsub.clone(),
                app: app(),
                why,
            })?;
            (data, Some(content::CLOUD_EVENT.to_owned()))
        };
        let started = Instant::now();
        let result = if access.may_publish(&topic) {
            let publish = Publish {
                topic: access.broker_topic(&topic),
                data,
                content_type,
                metadata,
            };
            self.hand_over(cx, component, publish)
                .await
                .map_err(|why| Error::Publish {
                    pubsub: pubsub.clone(),
                    topic: topic.clone(),
                    why,
                })
        } else {
            Err(forbidden(&pubsub, &topic, &info.app_id))
        };
        let metrics = &self.shared.metrics;
        metrics.pubsub_egress(&pubsub, &topic, result.is_ok(), started.elapsed());
        result.map_err(ApiError::from)
    }

    /// Gives a message to its broker, as the policies for the component say.
    async fn hand_over(&self, cx: &Cx, component: &Component, publish: Publish) -> Result<(), String> {
        let policy = cx
            .snapshot
            .policies
            .component_outbound(&component.name, ComponentKind::PubSub);
        if policy.is_noop() {
            return component.instance.publish(publish).await.map_err(|e| e.message);
        }
        let call = CallCx::new(&self.shared.never);
        let attempt = |_| async {
            component
                .instance
                .publish(publish.clone())
                .await
                .map_err(|e| Refused::new(e, cx.transport))
        };
        policy
            .run(&call, attempt)
            .await
            .map_err(|e: CallError<Refused>| e.to_string())
    }
}

pub(crate) fn forbidden(pubsub: &str, topic: &str, app: &str) -> Error {
    Error::Forbidden {
        pubsub: pubsub.into(),
        topic: topic.into(),
        app: app.into(),
    }
}

/// A message without an envelope that was published over gRPC has its trace in its metadata.
fn note_trace(cx: &Cx, metadata: &mut Metadata) {
    if cx.transport == Transport::Http || !cx.trace.is_valid() {
        return;
    }
    let (traceparent, tracestate) = trace(cx);
    metadata.entry("traceid".into()).or_insert_with(|| traceparent.clone());
    metadata.entry("traceparent".into()).or_insert(traceparent);
    metadata.entry("tracestate".into()).or_insert_with(|| tracestate.into());
}

/// A component's error, with the code of the protocol that the publisher spoke: policies name codes of that one.
#[derive(Debug)]
pub(crate) struct Refused {
    error: ComponentError,
    transport: Transport,
}

impl Refused {
    pub(crate) fn new(error: ComponentError, transport: Transport) -> Self {
        Self { error, transport }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error.message)
    }
}

impl Classify for Refused {
    fn class(&self) -> Class {
        self.error.class()
    }

    fn http_status(&self) -> Option<u16> {
        let code = self.error.grpc_code().filter(|_| self.transport == Transport::Http)?;
        Some(http_status(code))
    }

    fn grpc_code(&self) -> Option<i32> {
        self.error.grpc_code().filter(|_| self.transport == Transport::Grpc)
    }
}

/// The bad news that some entries of a bulk failed, if repeating may help.
pub(crate) fn failure<'a>(errors: impl Iterator<Item = &'a ComponentError>, transport: Transport) -> Option<Failure> {
    let mut transient = errors.filter(|error| error.class() == Class::Transient);
    let code = transient.next()?.grpc_code();
    Some(match (code, transport) {
        (None, _) => Failure::Uncoded,
        (Some(code), Transport::Http) => Failure::Http(http_status(code)),
        (Some(code), Transport::Grpc) => Failure::Grpc(code),
    })
}

/// The HTTP status that stands for a gRPC code.
fn http_status(code: i32) -> u16 {
    use tonic::Code;
    match Code::from_i32(code) {
        Code::Ok => 200,
        Code::Cancelled => 408,
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => 400,
        Code::DeadlineExceeded => 504,
        Code::NotFound => 404,
        Code::AlreadyExists | Code::Aborted => 409,
        Code::PermissionDenied => 403,
        Code::Unauthenticated => 401,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        Code::Unknown | Code::Internal | Code::DataLoss => 500,
    }
}

/// The body of a request as the message to publish.
pub(crate) fn request(
    pubsub: &str,
    topic: &str,
    content_type: &str,
    data: Bytes,
    metadata: Metadata,
) -> PublishEventRequest {
    PublishEventRequest {
        pubsub_name: pubsub.into(),
        topic: topic.into(),
        data,
        data_content_type: content_type.into(),
        metadata,
    }
}
