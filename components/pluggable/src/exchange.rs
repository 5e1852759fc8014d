//! Streams over which a component sends what the application is to handle, and gets the outcome of each.
//!
//! A stream is carried by the task of a [`Subscription`]: it hands what comes to handlers, all at once, since how much a
//! component sends ahead of the outcomes is its own choice. A stream that ends is opened again, after a pause with full
//! jitter; handlers go on meanwhile, and their outcomes are dropped with the stream that asked for them. When the
//! subscription is closed, nothing more is taken in, handlers are waited for, and their outcomes are sent before the
//! stream ends.

use crate::error::plain;
use bytes::Bytes;
use component::{ComponentError, pubsub::Subscription};
use futures_util::{
    FutureExt, StreamExt, TryFutureExt,
    future::BoxFuture,
    stream::{BoxStream, Peekable},
};
use std::{panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::{self, UnboundedSender},
    task::JoinSet,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status, Streaming};

/// The work on a delivery: the application's answer, or why there is none.
pub(crate) type Work = BoxFuture<'static, Result<Bytes, ComponentError>>;
/// What the component reads.
pub(crate) type Outcomes<T> = UnboundedReceiverStream<T>;
/// How a stream is opened; many components answer only with their first message.
pub(crate) type Opening<T> = BoxFuture<'static, Result<Response<Streaming<T>>, Status>>;

/// The first pause before a stream is opened again, and the longest; the pauses between are doubled.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A stream that lived so long was a good one: the next pause is the shortest again.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// How long a new stream is watched for an error.
const SETTLE_FOR: Duration = Duration::from_secs(1);
const WATCH_FOR: Duration = Duration::from_millis(10);
/// After the last outcome the stream stays open for a while, so that the component can act on it.
const LINGER_FOR: Duration = Duration::from_millis(200);
/// How long the component may take to end a stream that was ended here.
const END_FOR: Duration = Duration::from_millis(500);

/// A call with a stream in both directions.
pub(crate) trait Exchange: Send + Sync + 'static {
    /// What is sent: the request and the outcomes.
    type Outcome: Send + 'static;
    /// What comes.
    type Delivery: Send + 'static;

    /// What the stream is about, for the log.
    fn about(&self) -> &str;

    /// Makes the call.
    fn open(&self, outcomes: Outcomes<Self::Outcome>) -> Opening<Self::Delivery>;

    /// What is sent at first.
    fn first(&self) -> Option<Self::Outcome>;

    /// Any short call to the same component.
    fn ping(&self) -> BoxFuture<'_, ()>;

    /// The id of a delivery, and the work on it.
    fn work(&self, delivery: Self::Delivery) -> (String, Work);

    /// What tells the component the outcome of the work: the answer, or why it failed.
    fn outcome(id: String, result: Result<Bytes, String>) -> Self::Outcome;
}

/// Opens a stream and carries it until the subscription is closed. An error that comes at once is returned.
pub(crate) async fn subscribe<E: Exchange>(exchange: E) -> Result<Subscription, ComponentError> {
    let mut stream = Stream::open(&exchange);
    if let Some(status) = early_error(&exchange, &mut stream.deliveries).await {
        return Err(plain(&status));
    }
    Ok(Subscription::spawn(|cancel| {
        let carrier = Carrier {
            exchange: Arc::new(exchange),
            cancel,
            handlers: JoinSet::new(),
            latest: None,
        };
        carrier.run(stream)
    }))
}

/// Waits until the component has the call, and a little longer. Since a component need not answer before it has something
/// to deliver, a second call shows that it has the first: both take the same connection.
async fn early_error<E: Exchange>(exchange: &E, deliveries: &mut Deliveries<E::Delivery>) -> Option<Status> {
    let settled = async {
        let _any_answer = timeout(SETTLE_FOR, exchange.ping()).await;
        sleep(WATCH_FOR).await;
    };
    let peeked = Pin::new(&mut *deliveries).peek();
    let failed = tokio::select! {
        biased;
        first = peeked => matches!(first, Some(Err(_))),
        () = settled => false,
    };
    if !failed {
        return None;
    }
    deliveries.next().await?.err()
}

type Deliveries<T> = Peekable<BoxStream<'static, Result<T, Status>>>;

/// One stream, from its opening to its end.
struct Stream<E: Exchange> {
    outcomes: UnboundedSender<E::Outcome>,
    deliveries: Deliveries<E::Delivery>,
    opened: Instant,
}

impl<E: Exchange> Stream<E> {
    fn open(exchange: &E) -> Self {
        let (outcomes, sent) = mpsc::unbounded_channel();
        if let Some(first) = exchange.first() {
            // The receiver is at hand.
            let _sent = outcomes.send(first);
        }
        let opening = exchange.open(sent.into()).map_ok(Response::into_inner);
        Self {
            outcomes,
            deliveries: opening.try_flatten_stream().boxed().peekable(),
            opened: Instant::now(),
        }
    }
}

/// The task that carries streams, one after another.
struct Carrier<E> {
    exchange: Arc<E>,
    cancel: CancellationToken,
    handlers: JoinSet<()>,
    /// When the latest handler was done.
    latest: Option<Instant>,
}

impl<E: Exchange> Carrier<E> {
    async fn run(mut self, first: Stream<E>) {
        let mut stream = first;
        let mut pause = SHORTEST_PAUSE;
        loop {
            let Some(reason) = self.carry(&mut stream).await else {
                break;
            };
            if stream.opened.elapsed() >= GOOD_AFTER {
                pause = SHORTEST_PAUSE;
            }
            tracing::warn!("{}: {reason}; it is opened again", self.exchange.about());
            drop(stream);
            if !self.pause(pause.mul_f64(fastrand::f64())).await {
                return self.finish().await;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            stream = Stream::open(&*self.exchange);
        }
        self.close(stream).await;
    }

    /// Takes in what comes. Returns why the stream ended, or nothing if the subscription is being closed.
    async fn carry(&mut self, stream: &mut Stream<E>) -> Option<String> {
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return None,
                Some(_) = self.handlers.join_next() => self.latest = Some(Instant::now()),
                delivery = stream.deliveries.next() => match delivery {
                    Some(Ok(delivery)) => self.handle(delivery, stream.outcomes.clone()),
                    Some(Err(status)) => return Some(format!("the stream failed: {}", plain(&status))),
                    None => return Some("the component ended the stream".to_owned()),
                },
            }
        }
    }

    /// Waits, unless the subscription is closed: then returns false.
    async fn pause(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = self.cancel.cancelled() => false,
            () = sleep(pause) => true,
        }
    }

    fn handle(&mut self, delivery: E::Delivery, outcomes: UnboundedSender<E::Outcome>) {
        let (id, work) = self.exchange.work(delivery);
        let exchange = self.exchange.clone();
        self.handlers.spawn(async move {
            let result = AssertUnwindSafe(work).catch_unwind().await;
            let result = match result {
                Ok(result) => result.map_err(|error| error.message),
                Err(_) => {
                    tracing::error!("{}: a handler panicked", exchange.about());
                    Err("the handler panicked".to_owned())
                }
            };
            if let Err(reason) = &result {
                tracing::debug!("{}: {id} was not handled: {reason}", exchange.about());
            }
            if outcomes.send(E::outcome(id, result)).is_err() {
                tracing::debug!("{}: the stream ended before an outcome could be sent", exchange.about());
            }
        });
    }

    /// Waits for the handlers, however long they take.
    async fn finish(&mut self) {
        while self.handlers.join_next().await.is_some() {
            self.latest = Some(Instant::now());
        }
    }

    /// Lets the handlers finish and sends their outcomes, then ends the stream. What the component sends meanwhile gets
    /// no outcome, so that it is delivered again.
    async fn close(mut self, stream: Stream<E>) {
        self.finish().await;
        if let Some(latest) = self.latest {
            sleep_until(latest + LINGER_FOR).await;
        }
        let Stream {
            outcomes,
            mut deliveries,
            ..
        } = stream;
        drop(outcomes);
        let ended = async { while let Some(Ok(_)) = deliveries.next().await {} };
        if timeout(END_FOR, ended).await.is_err() {
            tracing::debug!(
                "{}: the component did not end the stream in time",
                self.exchange.about()
            );
        }
    }
}
