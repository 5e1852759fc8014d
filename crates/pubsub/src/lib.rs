//! Publish and subscribe: the building block between applications and message brokers.
//!
//! **What for:** publishing wraps messages in CloudEvents and hands them to a broker; subscribing takes messages from brokers,
//! decides by the subscription's rules where they go, hands them to the application (over HTTP, gRPC or a stream that the
//! application holds open), and turns its answer into done, again, or the dead letter topic. **What enters:** requests of the
//! API, subscriptions from files and from the application, messages of brokers. **What leaves:** calls of brokers and of the
//! application. **What may live here:** CloudEvents, scopes of topics, routing, delivery. No broker, no policy.

use api::{ApiError, Cx, HttpRequest, HttpResponse, Op, call, op, streaming, unary};
use app::App;
use futures_util::stream::BoxStream;
use runtime::Runtime;
use std::sync::Arc;
use telemetry::{metrics::Metrics, trace::Tracer};
use tokio_util::sync::CancellationToken;
use wire::runtime::v1::{
    BulkPublishRequest, BulkPublishResponse, PublishEventRequest, PubsubSubscription,
    SubscribeTopicEventsRequestAlpha1, SubscribeTopicEventsResponseAlpha1,
};

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
    /// Ends everything at once.
    pub cancel: CancellationToken,
}

/// The block.
pub struct PubSub {
    options: Options,
}

/// The operations of this block.
pub const OPS: &[Op<PubSub>] = &[
    op("PublishEvent", "publish", "v1.0")
        .post_or_put("/v1.0/publish/{pubsub}/{*topic}", call!(http_publish))
        .grpc(unary!(PubSub::publish)),
    op("BulkPublishEvent", "publish", "v1.0")
        .post_or_put("/v1.0/publish/bulk/{pubsub}/{*topic}", call!(http_bulk))
        .grpc(unary!(PubSub::bulk_publish)),
    op("BulkPublishEventAlpha1", "publish", "v1.0-alpha1")
        .post_or_put("/v1.0-alpha1/publish/bulk/{pubsub}/{*topic}", call!(http_bulk))
        .grpc(unary!(PubSub::bulk_publish)),
    op("SubscribeTopicEventsAlpha1", "subscribe", "v1.0-alpha1").grpc(streaming!(PubSub::subscribe)),
];

fn unimplemented() -> ApiError {
    api::error::Error::Unimplemented {
        what: "publish and subscribe".into(),
    }
    .into()
}

async fn http_publish(_: &PubSub, _: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(unimplemented())
}

async fn http_bulk(_: &PubSub, _: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(unimplemented())
}

impl PubSub {
    /// The block; nothing is subscribed to before [`PubSub::start`].
    pub fn new(options: Options) -> Arc<Self> {
        Arc::new(Self { options })
    }

    /// Begins to take messages in: asks the application for its subscriptions, and subscribes to all there are. From then on
    /// subscriptions follow the application's health.
    pub async fn start(self: &Arc<Self>) {
        let _ = (
            &self.options.runtime,
            &self.options.app,
            &self.options.metrics,
            &self.options.tracer,
        );
        let _ = (self.options.ask_app, &self.options.cancel);
    }

    /// Takes up what has changed in the snapshot: components and declared subscriptions.
    pub async fn reload(self: &Arc<Self>) {}

    /// Takes nothing in any more, and waits until what is in flight is done with. What comes meanwhile is held, never refused.
    pub async fn stop(&self) {}

    /// All subscriptions, for the metadata API.
    pub fn subscriptions(&self) -> Vec<PubsubSubscription> {
        Vec::new()
    }

    async fn publish(&self, _: &Cx, _: PublishEventRequest) -> Result<(), ApiError> {
        Err(unimplemented())
    }

    async fn bulk_publish(&self, _: &Cx, _: BulkPublishRequest) -> Result<BulkPublishResponse, ApiError> {
        Err(unimplemented())
    }

    async fn subscribe(
        self: Arc<Self>,
        _: Cx,
        _: tonic::Streaming<SubscribeTopicEventsRequestAlpha1>,
    ) -> Result<BoxStream<'static, Result<SubscribeTopicEventsResponseAlpha1, tonic::Status>>, ApiError> {
        Err(unimplemented())
    }
}
