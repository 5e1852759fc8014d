//! What happens to a message between its broker and its application: it is read, routed, handed over as the policies say,
//! and what comes of it is told to the broker.

use super::{
    LOG, deliver_grpc, deliver_http,
    routes::Route,
    spec::{Compiled, Spec},
    stream::Connection,
};
use crate::{
    Shared,
    access::{Access, Component},
    cloud_event::{self, Event},
};
use app::{Along, App};
use bytes::Bytes;
use component::{ComponentError, Metadata, async_trait, pubsub::Handler, pubsub::Message, pubsub::Publish};
use futures_util::FutureExt;
use outgoing::{CallCx, CallError, Class, Classify, ComponentKind, Policy};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use telemetry::trace::{Kind, Span, TraceContext};
use tokio_util::sync::CancellationToken;

/// How long a dead letter may take to be published.
const DEAD_LETTER_TIMEOUT: Duration = Duration::from_secs(30);

/// To whom messages are handed.
#[derive(Clone)]
pub(crate) enum Target {
    /// An application that speaks HTTP.
    Http(Arc<App>),
    /// An application that speaks gRPC.
    Grpc(Arc<App>),
    /// A stream that the application holds open.
    Stream(Arc<Connection>),
}

impl Target {
    /// The application, as it speaks.
    pub(crate) fn of(app: &Arc<App>) -> Self {
        if app.options().protocol.is_grpc() {
            Self::Grpc(app.clone())
        } else {
            Self::Http(app.clone())
        }
    }
}

/// What the application did with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It is done.
    Success,
    /// It is not wanted; the dead letter topic gets it.
    Drop,
    /// The route is not there; the dead letter topic gets it.
    NotFound,
    /// The application takes no messages at all.
    Unimplemented,
}

/// Why a message could not be handed over.
#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) why: String,
    pub(crate) class: Class,
    pub(crate) http: Option<u16>,
    pub(crate) grpc: Option<i32>,
}

impl Failed {
    /// May pass by itself.
    pub(crate) fn transient(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            class: Class::Transient,
            http: None,
            grpc: None,
        }
    }

    /// Will fail each time.
    pub(crate) fn permanent(why: impl Into<String>) -> Self {
        Self {
            class: Class::Permanent,
            ..Self::transient(why)
        }
    }

    /// Somebody else must do it: the one who was there is gone.
    pub(crate) fn gone(why: impl Into<String>) -> Self {
        Self {
            class: Class::Superseded,
            ..Self::transient(why)
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Classify for Failed {
    fn class(&self) -> Class {
        self.class
    }

    fn http_status(&self) -> Option<u16> {
        self.http
    }

    fn grpc_code(&self) -> Option<i32> {
        self.grpc
    }
}

/// What the broker is told: done with, or the message must come again.
pub(crate) type Done = Result<(), ComponentError>;

/// Delivers the messages of one subscription.
pub(crate) struct Delivery {
    pub(crate) shared: Arc<Shared>,
    pub(crate) subscription: Compiled,
    pub(crate) component: Component,
    pub(crate) target: Target,
    raw: bool,
    /// Cancelled once the subscription is closed: what comes after that is held and never answered.
    closed: CancellationToken,
}

/// A message that was read.
pub(crate) struct Opened<'a> {
    pub(crate) event: Event<'a>,
    /// The event as bytes.
    pub(crate) bytes: &'a Bytes,
    /// The topic as the application knows it.
    pub(crate) topic: &'a str,
    pub(crate) metadata: &'a Metadata,
}

impl Opened<'_> {
    /// The event's id; empty if it has none.
    pub(crate) fn id(&self) -> String {
        self.event.text("id").map(Into::into).unwrap_or_default()
    }

    /// The trace that the event belongs to, if it says so.
    pub(crate) fn trace(&self) -> Option<TraceContext> {
        let own = |name| self.event.text(name).filter(|text| !text.is_empty());
        let noted = |name| self.metadata.get(name).map(|text| text.as_str().into());
        let parent = own("traceparent")
            .or_else(|| own("traceid"))
            .or_else(|| noted("traceparent"))
            .or_else(|| noted("traceid"))?;
        let context = TraceContext::parse_traceparent(&parent)?;
        Some(match own("tracestate").or_else(|| noted("tracestate")) {
            Some(state) => context.with_state(&state),
            None => context,
        })
    }
}

impl Delivery {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        subscription: &Compiled,
        component: &Component,
        target: Target,
        closed: CancellationToken,
    ) -> Self {
        Self {
            shared: shared.clone(),
            raw: subscription.spec.is_raw(),
            subscription: subscription.clone(),
            component: component.clone(),
            target,
            closed,
        }
    }

    pub(crate) fn spec(&self) -> &Spec {
        &self.subscription.spec
    }

    /// Never returns once the subscription is closed: a message that comes then belongs to somebody else, and neither a
    /// positive nor a negative answer would be true.
    pub(crate) async fn hold_if_closed(&self) {
        if self.closed.is_cancelled() {
            std::future::pending().await
        }
    }

    pub(crate) fn policy(&self) -> Policy {
        let snapshot = self.shared.runtime.peek();
        snapshot
            .policies
            .component_inbound(&self.spec().pubsub, ComponentKind::PubSub)
    }

    /// The topic that a message came on, as the application knows it.
    pub(crate) fn app_topic<'t>(&'t self, topic: &'t str) -> &'t str {
        if topic.is_empty() {
            return &self.spec().topic;
        }
        Access::of(&self.component, &self.shared.runtime.info).app_topic(topic)
    }

    /// The message as an event: what was published without an envelope gets one, if the subscription is for such.
    pub(crate) fn envelope(&self, topic: &str, data: &Bytes, content_type: Option<&str>, metadata: &Metadata) -> Bytes {
        let pubsub = &self.spec().pubsub;
        if self.raw {
            return cloud_event::wrap_raw(pubsub, topic, data);
        }
        cloud_event::from_binary_mode(pubsub, topic, content_type, metadata, data).unwrap_or_else(|| data.clone())
    }

    pub(crate) fn is_raw(&self) -> bool {
        self.raw
    }

    fn count(&self, topic: &str, process_status: &str, status: &str, elapsed: Duration) {
        let pubsub = &self.spec().pubsub;
        self.shared
            .metrics
            .pubsub_ingress(pubsub, topic, process_status, status, elapsed);
    }

    /// Takes one message from the broker to the application.
    async fn deliver(&self, message: &Message) -> Done {
        let topic = self.app_topic(&message.topic);
        let envelope = self.envelope(topic, &message.data, message.content_type.as_deref(), &message.metadata);
        let (pubsub, started) = (&self.spec().pubsub, Instant::now());
        let event = match Event::parse(&envelope) {
            Ok(event) => event,
            Err(why) => {
                tracing::error!(target: LOG, "error deserializing cloud event in pubsub {pubsub} and topic {topic}: {why}");
                return self.give_up(message, topic, started).await;
            }
        };
        let opened = Opened {
            event,
            bytes: &envelope,
            topic,
            metadata: &message.metadata,
        };
        if let Some(since) = opened.event.expired() {
            tracing::warn!(target: LOG, "dropping expired pub/sub event {} as of {since}", opened.id());
            return self.give_up(message, topic, started).await;
        }
        match self.subscription.routes.find(&opened.event) {
            Ok(Some(route)) => self.hand_over(message, &opened, &route).await,
            Ok(None) => {
                tracing::warn!(target: LOG, "no matching route for event {} in pubsub {pubsub} and topic {topic}; skipping", opened.id());
                self.count(topic, "drop", "success", started.elapsed());
                self.dead_letter(message).await
            }
            Err(why) => {
                let id = opened.id();
                tracing::error!(target: LOG, "error finding matching route for event {id} in pubsub {pubsub} and topic {topic}: {why}");
                self.give_up(message, topic, started).await
            }
        }
    }

    /// The message will never be of use: the dead letter topic gets it, if there is one.
    async fn give_up(&self, message: &Message, topic: &str, started: Instant) -> Done {
        self.count(topic, "drop", "drop", started.elapsed());
        self.dead_letter(message).await
    }

    async fn hand_over(&self, message: &Message, opened: &Opened<'_>, route: &Arc<Route>) -> Done {
        let policy = self.policy();
        let started = Instant::now();
        let result = if policy.is_noop() {
            self.attempt(opened, route).await.map_err(CallError::Inner)
        } else {
            let call = CallCx::new(&self.shared.never);
            policy.run(&call, |_| self.attempt(opened, route).boxed()).await
        };
        match result {
            Ok(Reply::Success | Reply::Unimplemented) => Ok(()),
            Ok(Reply::Drop | Reply::NotFound) => self.dead_letter(message).await,
            Err(CallError::Inner(failed)) if failed.class == Class::Superseded => {
                Err(ComponentError::transient(failed.why))
            }
            Err(error) => {
                let topic = opened.topic;
                tracing::warn!(target: LOG, "encountered a retriable error while publishing a subscribed message to topic {topic}, err: {error}");
                let permanent = matches!(&error, CallError::Inner(failed) if failed.class == Class::Permanent);
                if permanent || !self.spec().dead_letter.is_empty() {
                    return self.give_up(message, topic, started).await;
                }
                // As in the original: each attempt is counted, and what goes back to the broker once more.
                self.count(topic, "retry", "retry", started.elapsed());
                Err(ComponentError::transient(error.to_string()))
            }
        }
    }

    /// One attempt, counted.
    async fn attempt(&self, opened: &Opened<'_>, route: &Arc<Route>) -> Result<Reply, Failed> {
        let started = Instant::now();
        let mut span = self.span(opened);
        let along = Along {
            trace: span.context().clone(),
            baggage: None,
        };
        let result = match &self.target {
            Target::Http(app) => deliver_http::send(app, self, &along, opened, route).await,
            Target::Grpc(app) => deliver_grpc::send(app, self, &along, opened, route).await,
            Target::Stream(connection) => connection.send(self, opened, route).await,
        };
        let (process_status, status) = match &result {
            Ok(Reply::Success) => ("success", "success"),
            Ok(Reply::Drop) => ("drop", "success"),
            Ok(Reply::NotFound | Reply::Unimplemented) => ("drop", "drop"),
            Err(failed) if failed.class == Class::Superseded => return result,
            Err(failed) => {
                span.set_error(&failed.why);
                ("retry", "retry")
            }
        };
        self.count(opened.topic, process_status, status, started.elapsed());
        result
    }

    /// The span of a delivery; none if the event belongs to no trace.
    fn span(&self, opened: &Opened<'_>) -> Span {
        let parent = opened.trace();
        let tracer = &self.shared.tracer;
        let mut span = tracer.start(format_args!("pubsub/{}", opened.topic), parent.as_ref(), Kind::Consumer);
        if span.is_recording() {
            span.set_attribute("messaging.system", "pubsub");
            span.set_attribute_with("messaging.destination", || opened.topic.to_owned().into());
            span.set_attribute("messaging.destination_kind", "topic");
        }
        span
    }

    async fn dead_letter(&self, message: &Message) -> Done {
        let content_type = message.content_type.clone();
        self.to_dead_letter_topic(message.data.clone(), content_type, message.metadata.clone())
            .await
    }

    /// Publishes to the dead letter topic, as it came; done with at once if there is none. If even this fails, the broker has
    /// to keep the message.
    pub(crate) async fn to_dead_letter_topic(
        &self,
        data: Bytes,
        content_type: Option<String>,
        metadata: Metadata,
    ) -> Done {
        let Spec {
            dead_letter, pubsub, ..
        } = self.spec();
        if dead_letter.is_empty() {
            return Ok(());
        }
        let access = Access::of(&self.component, &self.shared.runtime.info);
        let publish = Publish {
            topic: access.broker_topic(dead_letter),
            data,
            content_type,
            metadata,
        };
        let policy = {
            let snapshot = self.shared.runtime.peek();
            snapshot.policies.component_outbound(pubsub, ComponentKind::PubSub)
        };
        let call = CallCx::new(&self.shared.never);
        let publishing = policy.run(&call, |_| self.component.instance.publish(publish.clone()));
        let why = match tokio::time::timeout(DEAD_LETTER_TIMEOUT, publishing).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "context deadline exceeded".to_owned(),
        };
        tracing::error!(target: LOG, "error sending message to dead letter topic {dead_letter} of pubsub {pubsub}: {why}");
        Err(ComponentError::transient(why))
    }
}

#[async_trait]
impl Handler for Delivery {
    async fn handle(&self, message: Message) -> Done {
        self.hold_if_closed().await;
        self.deliver(&message).await
    }
}
