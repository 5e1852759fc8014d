//! Subscriptions that the application makes by a stream: events go out on it, what became of them comes in.

use super::{
    LOG_STREAM, Subscriptions,
    deliver::{Delivery, Failed, Opened, Reply, Target},
    deliver_grpc::{reply, topic_event},
    routes::Route,
    running::{Backoff, Standing, Unable, sleep},
    spec::{Compiled, Kind, Rule, Spec},
};
use crate::error::Error;
use api::ApiError;
use futures_util::stream::{BoxStream, StreamExt};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use wire::runtime::v1::{
    SubscribeTopicEventsRequestAlpha1 as Request, SubscribeTopicEventsRequestInitialAlpha1 as Initial,
    SubscribeTopicEventsRequestProcessedAlpha1 as Processed, SubscribeTopicEventsResponseAlpha1 as Response,
    SubscribeTopicEventsResponseInitialAlpha1 as InitialResponse,
    subscribe_topic_events_request_alpha1::SubscribeTopicEventsRequestType as RequestType,
    subscribe_topic_events_response_alpha1::SubscribeTopicEventsResponseType as ResponseType,
};

const LOG: &str = "dapr.runtime.pubsub.streamer";
/// How many events wait for a client that reads slowly; brokers wait then.
const QUEUE: usize = 16;
/// How long a client may take to hear why its stream ends.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Where an answer is expected, by the number of its attempt.
type Expected = VecDeque<(u64, oneshot::Sender<i32>)>;

/// The stream of one client.
pub(crate) struct Connection {
    id: u64,
    out: mpsc::Sender<Result<Response, Status>>,
    /// Attempts that wait for an answer, by the event's id; several events may have one id.
    expected: Mutex<HashMap<String, Expected>>,
    /// Cancelled once the client was told that the subscription stands: events come after that.
    open: CancellationToken,
    /// Cancelled once the client is gone: what it has not answered is handed back to the broker.
    gone: CancellationToken,
}

/// An attempt that waits for its answer.
struct Expectation<'a> {
    connection: &'a Connection,
    id: &'a str,
    number: u64,
}

impl Drop for Expectation<'_> {
    fn drop(&mut self) {
        let mut expected = self.connection.expected.lock();
        if let Some(queue) = expected.get_mut(self.id) {
            queue.retain(|(number, _)| *number != self.number);
            if queue.is_empty() {
                expected.remove(self.id);
            }
        }
    }
}

impl Connection {
    fn new(id: u64, out: mpsc::Sender<Result<Response, Status>>) -> Self {
        Self {
            id,
            out,
            expected: Mutex::default(),
            open: CancellationToken::new(),
            gone: CancellationToken::new(),
        }
    }

    /// Sends one event and waits for what becomes of it.
    pub(super) async fn send(&self, delivery: &Delivery, opened: &Opened<'_>, route: &Route) -> Result<Reply, Failed> {
        let event = topic_event(&delivery.spec().pubsub, opened, route)?;
        let id = event.id.clone();
        let work = async {
            self.open.cancelled().await;
            let number = delivery.shared.next_id();
            let (tell, told) = oneshot::channel();
            self.expected
                .lock()
                .entry(id.clone())
                .or_default()
                .push_back((number, tell));
            let _expectation = Expectation {
                connection: self,
                id: &id,
                number,
            };
            let message = response(ResponseType::EventMessage(event));
            self.out.send(Ok(message)).await.map_err(|_| closed())?;
            let status = told.await.map_err(|_| closed())?;
            reply(status, &id, LOG_STREAM)
        };
        tokio::select! {
            biased;
            result = work => result,
            () = self.gone.cancelled() => Err(closed()),
        }
    }

    /// Takes an answer.
    fn processed(&self, processed: Processed) {
        let waiting = self
            .expected
            .lock()
            .get_mut(&processed.id)
            .and_then(VecDeque::pop_front);
        let status = processed.status.map_or(0, |status| status.status);
        // Whoever waited may have run out of time.
        if waiting.is_none_or(|(_, tell)| tell.send(status).is_err()) {
            tracing::error!(target: LOG, "no client stream expecting publish response for id {} ConnectionID{}", processed.id, self.id);
        }
    }
}

fn closed() -> Failed {
    Failed::gone("stream closed")
}

fn response(message: ResponseType) -> Response {
    Response {
        subscribe_topic_events_response_type: Some(message),
    }
}

/// What a client sent.
enum Input {
    Processed(Processed),
    /// What has no business there.
    Other,
    /// It sends nothing more.
    End,
}

async fn read(messages: &mut Streaming<Request>) -> Input {
    match messages.message().await {
        Ok(Some(Request {
            subscribe_topic_events_request_type: Some(RequestType::EventProcessed(processed)),
        })) => Input::Processed(processed),
        Ok(Some(_)) => Input::Other,
        Ok(None) | Err(_) => Input::End,
    }
}

/// Why a stream ends.
enum End {
    /// The client is gone, or has closed its side.
    Client,
    /// The sidecar takes nothing in any more.
    Stopping,
    /// The client broke the protocol.
    Error(Status),
}

impl Subscriptions {
    /// Serves a stream; it ends with the client, or with the sidecar.
    pub(crate) fn serve(
        self: &Arc<Self>,
        messages: Streaming<Request>,
    ) -> BoxStream<'static, Result<Response, Status>> {
        let (out, events) = mpsc::channel(QUEUE);
        let this = self.clone();
        self.tasks.spawn(async move {
            if let Err(status) = this.session(messages, &out).await {
                // A client that is gone, or does not read, is not waited for.
                let _sent = tokio::time::timeout(LAST_WORD, out.send(Err(status))).await;
            }
        });
        ReceiverStream::new(events).boxed()
    }

    async fn session(
        &self,
        mut messages: Streaming<Request>,
        out: &mpsc::Sender<Result<Response, Status>>,
    ) -> Result<(), Status> {
        let initial = tokio::select! {
            () = self.stopping.cancelled() => return Err(Status::unknown("api server closed")),
            () = out.closed() => return Ok(()),
            initial = initial(&mut messages) => initial?,
        };
        let compiled = self.accept(initial)?;
        let connection = Arc::new(Connection::new(self.shared.next_id(), out.clone()));
        let target = Target::Stream(connection.clone());
        let mut changed = self.shared.changed.subscribe();
        let Spec { pubsub, topic, .. } = &*compiled.spec;
        let standing = tokio::select! {
            () = self.stopping.cancelled() => return Err(Status::unknown("api server closed")),
            standing = Standing::new(&self.shared, &compiled, &target) => standing.map_err(|unable| refused(pubsub, unable))?,
        };
        tracing::info!(target: LOG, "Subscribing to pubsub '{pubsub}' topic '{topic}' ConnectionID {}", connection.id);
        let _listed = self.listed(connection.id, &compiled.spec);
        let session = Session {
            subscriptions: self,
            compiled: &compiled,
            target,
            connection: &connection,
        };
        let end = if out
            .send(Ok(response(ResponseType::InitialResponse(InitialResponse {}))))
            .await
            .is_ok()
        {
            connection.open.cancel();
            session.run(&mut messages, standing, &mut changed).await
        } else {
            connection.gone.cancel();
            standing.close().await;
            End::Client
        };
        tracing::info!(target: LOG, "Unsubscribed from pubsub '{pubsub}' topic '{topic}'");
        match end {
            End::Client => Ok(()),
            End::Stopping => Err(Status::unknown("stream closed")),
            End::Error(status) => Err(status),
        }
    }

    fn accept(&self, initial: Initial) -> Result<Compiled, Status> {
        if initial.pubsub_name.is_empty() {
            return Err(Status::unknown("pubsubName is required"));
        }
        if initial.topic.is_empty() {
            return Err(Status::unknown("topic is required"));
        }
        if !self.shared.runtime.peek().pubsub.contains_key(&initial.pubsub_name) {
            return Err(not_found(&initial.pubsub_name));
        }
        let spec = Spec {
            kind: Kind::Streaming,
            pubsub: initial.pubsub_name,
            topic: initial.topic,
            metadata: initial.metadata.into_iter().collect(),
            dead_letter: initial.dead_letter_topic.unwrap_or_default(),
            rules: vec![Rule {
                condition: String::new(),
                path: "/".into(),
            }],
            bulk: None,
        };
        Compiled::new(spec).ok_or_else(|| Status::internal("the subscription cannot be used"))
    }

    /// Shows a stream's subscription in the list as long as what is returned lives.
    fn listed(&self, id: u64, spec: &Arc<Spec>) -> impl Drop + '_ {
        struct Listed<'a>(&'a Subscriptions, u64);
        impl Drop for Listed<'_> {
            fn drop(&mut self) {
                self.0.state.lock().streams.remove(&self.1);
            }
        }
        self.state.lock().streams.insert(id, spec.clone());
        Listed(self, id)
    }
}

async fn initial(messages: &mut Streaming<Request>) -> Result<Initial, Status> {
    match messages.message().await? {
        None => Err(Status::unknown("EOF")),
        Some(Request {
            subscribe_topic_events_request_type: Some(RequestType::InitialRequest(initial)),
        }) => Ok(initial),
        Some(_) => Err(Status::unknown("initial request is required")),
    }
}

fn not_found(pubsub: &str) -> Status {
    ApiError::from(Error::NotFound { pubsub: pubsub.into() }).status()
}

fn refused(pubsub: &str, unable: Unable) -> Status {
    let why = match unable {
        Unable::Missing => return not_found(pubsub),
        Unable::Denied(why) => why,
        Unable::Broker(error) => error.message,
    };
    Status::unknown(format!("failed to create subscription for {pubsub}: {why}"))
}

/// A stream whose subscription stands.
struct Session<'a> {
    subscriptions: &'a Subscriptions,
    compiled: &'a Compiled,
    target: Target,
    connection: &'a Connection,
}

impl Session<'_> {
    /// Takes answers until the end; the subscription follows the replacement of its component.
    async fn run(
        &self,
        messages: &mut Streaming<Request>,
        standing: Standing,
        changed: &mut watch::Receiver<u64>,
    ) -> End {
        let (shared, stopping) = (&self.subscriptions.shared, &self.subscriptions.stopping);
        let mut standing = Some(standing);
        let (mut pause, mut wait) = (Backoff::default(), None);
        let end = loop {
            let retry = tokio::select! {
                biased;
                input = read(messages) => match input {
                    Input::Processed(processed) => { self.connection.processed(processed); false }
                    Input::Other => break End::Error(Status::unknown("duplicate initial request received")),
                    Input::End => break End::Client,
                },
                () = self.connection.out.closed() => break End::Client,
                () = stopping.cancelled() => break End::Stopping,
                _ = changed.changed() => true,
                () = sleep(wait) => true,
            };
            if !retry || standing.as_ref().is_some_and(|standing| standing.is_current(shared)) {
                continue;
            }
            if let Some(old) = standing.take() {
                self.close(messages, old).await;
            }
            match Standing::new(shared, self.compiled, &self.target).await {
                Ok(new) => (standing, pause, wait) = (Some(new), Backoff::default(), None),
                Err(Unable::Missing) => wait = None,
                Err(_) => wait = Some(pause.next()),
            }
        };
        if !matches!(end, End::Stopping) {
            self.connection.gone.cancel();
        }
        if let Some(standing) = standing {
            self.close(messages, standing).await;
        }
        end
    }

    /// Closes the subscription; answers are taken meanwhile, since what is in flight waits for them.
    async fn close(&self, messages: &mut Streaming<Request>, standing: Standing) {
        let closing = standing.close();
        tokio::pin!(closing);
        loop {
            tokio::select! {
                () = &mut closing => return,
                () = self.connection.out.closed(), if !self.connection.gone.is_cancelled() => self.connection.gone.cancel(),
                input = read(messages), if !self.connection.gone.is_cancelled() => match input {
                    Input::Processed(processed) => self.connection.processed(processed),
                    Input::Other | Input::End => self.connection.gone.cancel(),
                },
            }
        }
    }
}
