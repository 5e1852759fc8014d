//! Publish and subscribe: the building block between applications and message brokers.
//!
//! **What for:** publishing wraps messages in CloudEvents and hands them to a broker; subscribing takes messages from brokers,
//! decides by the subscription's rules where they go, hands them to the application (over HTTP, gRPC or a stream that the
//! application holds open), and turns its answer into done, again, or the dead letter topic. **What enters:** requests of the
//! API, subscriptions from files and from the application, messages of brokers. **What leaves:** calls of brokers and of the
//! application. **What may live here:** CloudEvents, scopes of topics, routing, delivery. No broker, no policy.

mod access;
mod bulk;
mod cloud_event;
mod content;
mod error;
mod http;
mod publish;
mod subscription;
#[cfg(test)]
mod tests;

use access::Component;
use api::{ApiError, Cx, Op, call, op, streaming, unary};
use app::App;
use futures_util::stream::BoxStream;
use runtime::Runtime;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use subscription::{Subscriptions, Uses};
use telemetry::{metrics::Metrics, trace::Tracer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};
use wire::runtime::v1::{PubsubSubscription, SubscribeTopicEventsRequestAlpha1, SubscribeTopicEventsResponseAlpha1};

pub use error::Error;
pub use subscription::check;

/// What the block needs.
pub struct Options {
    /// What is loaded.
    pub runtime: Arc<Runtime>,
    /// The application, if there is one.
    pub app: Option<Arc<App>>,
    /// Metrics.
    pub metrics: Metrics,
    /// Traces.
    pub tracer: Tracer,
    /// Whether the application is asked for its subscriptions.
    pub ask_app: bool,
    /// Cancelled when the sidecar is asked to end: nothing new is begun then. What is in flight goes on; [`PubSub::stop`] waits
    /// for it.
    pub cancel: CancellationToken,
}

/// The block.
pub struct PubSub {
    shared: Arc<Shared>,
    subscriptions: Arc<Subscriptions>,
}

/// What all parts of the block share.
pub(crate) struct Shared {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) app: Option<Arc<App>>,
    pub(crate) metrics: Metrics,
    pub(crate) tracer: Tracer,
    /// Never cancelled: what was begun is finished.
    pub(crate) never: CancellationToken,
    /// Cancelled when the block is dropped.
    pub(crate) dropped: CancellationToken,
    /// Counts how often the snapshot has changed.
    pub(crate) changed: watch::Sender<u64>,
    /// The components that subscriptions stand at.
    pub(crate) uses: Uses,
    ids: AtomicU64,
}

impl Shared {
    /// A number that was not given out before.
    pub(crate) fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether a component is the one that is loaded under its name.
    pub(crate) fn is_current(&self, component: &Component) -> bool {
        let loaded = self.runtime.peek();
        loaded
            .pubsub
            .get(&component.name)
            .is_some_and(|current| Arc::ptr_eq(current, component))
    }
}

/// The operations of this block.
pub const OPS: &[Op<PubSub>] = &[
    op("PublishEvent", "publish", "v1.0")
        .post_or_put("/v1.0/publish/{pubsub}/{*topic}", call!(http::publish))
        .grpc(unary!(PubSub::publish)),
    op("BulkPublishEvent", "publish", "v1.0")
        .post_or_put("/v1.0/publish/bulk/{pubsub}/{*topic}", call!(http::bulk_publish))
        .grpc(unary!(PubSub::bulk_publish)),
    op("BulkPublishEventAlpha1", "publish", "v1.0-alpha1")
        .post_or_put("/v1.0-alpha1/publish/bulk/{pubsub}/{*topic}", call!(http::bulk_publish))
        .grpc(unary!(PubSub::bulk_publish)),
    op("SubscribeTopicEventsAlpha1", "subscribe", "v1.0-alpha1").grpc(streaming!(PubSub::subscribe)),
];

impl PubSub {
    /// The block; nothing is subscribed to before [`PubSub::start`], but by streams.
    pub fn new(options: Options) -> Arc<Self> {
        let shared = Arc::new(Shared {
            runtime: options.runtime,
            app: options.app,
            metrics: options.metrics,
            tracer: options.tracer,
            never: CancellationToken::new(),
            dropped: CancellationToken::new(),
            changed: watch::Sender::new(0),
            uses: Uses::default(),
            ids: AtomicU64::new(1),
        });
        let subscriptions = Subscriptions::new(shared.clone(), options.ask_app, options.cancel.child_token());
        Arc::new(Self { shared, subscriptions })
    }

    /// Begins to take messages in: asks the application for its subscriptions, and subscribes to all there are. Returns when
    /// they stand; at once if the application is not well yet. From then on subscriptions follow its health.
    pub async fn start(&self) {
        self.subscriptions.start().await;
    }

    /// Takes up what has changed in the snapshot: components and declared subscriptions. The list of subscriptions is the new
    /// one at once; what has not changed goes on undisturbed. Returns when new subscriptions were tried and nothing stands any
    /// more at components that were replaced or removed, so that those can be closed.
    pub async fn reload(&self) {
        self.subscriptions.reload().await;
    }

    /// Takes nothing in any more, and waits until what is in flight is done with. What comes meanwhile is held, never refused.
    pub async fn stop(&self) {
        self.subscriptions.stop().await;
    }

    /// All subscriptions, for the metadata API.
    pub fn subscriptions(&self) -> Vec<PubsubSubscription> {
        self.subscriptions.list()
    }

    async fn subscribe(
        self: Arc<Self>,
        _: Cx,
        messages: Streaming<SubscribeTopicEventsRequestAlpha1>,
    ) -> Result<BoxStream<'static, Result<SubscribeTopicEventsResponseAlpha1, Status>>, ApiError> {
        Ok(self.subscriptions.serve(messages))
    }
}

impl Drop for PubSub {
    fn drop(&mut self) {
        self.shared.dropped.cancel();
        self.subscriptions.abandon();
    }
}
