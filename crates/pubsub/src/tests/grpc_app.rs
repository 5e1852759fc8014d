//! An application that speaks gRPC.

use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, metadata::MetadataMap};
use wire::{
    common::v1::{InvokeRequest, InvokeResponse},
    runtime::v1::{
        BindingEventRequest, BindingEventResponse, JobEventRequest, JobEventResponse, ListInputBindingsResponse,
        ListTopicSubscriptionsResponse, TopicEventBulkRequest, TopicEventBulkResponse, TopicEventBulkResponseEntry,
        TopicEventRequest, TopicEventResponse, TopicSubscription,
        app_callback_alpha_server::{AppCallbackAlpha, AppCallbackAlphaServer},
        app_callback_server::{AppCallback, AppCallbackServer},
    },
};

/// What the application answers to an event: a status, or an error.
type Answer = Arc<dyn Fn(&TopicEventRequest) -> Result<i32, Status> + Send + Sync>;

#[derive(Clone)]
struct Callbacks {
    subscriptions: Vec<TopicSubscription>,
    answer: Answer,
    tell: mpsc::UnboundedSender<(TopicEventRequest, MetadataMap)>,
    tell_bulk: mpsc::UnboundedSender<(TopicEventBulkRequest, bool)>,
    /// Whether bulks come by the older method only.
    alpha: bool,
}

/// The application.
pub(super) struct GrpcApp {
    pub(super) port: u16,
    got: mpsc::UnboundedReceiver<(TopicEventRequest, MetadataMap)>,
    bulks: mpsc::UnboundedReceiver<(TopicEventBulkRequest, bool)>,
}

impl GrpcApp {
    pub(super) async fn start(
        subscriptions: Vec<TopicSubscription>,
        alpha: bool,
        answer: impl Fn(&TopicEventRequest) -> Result<i32, Status> + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, got) = mpsc::unbounded_channel();
        let (tell_bulk, bulks) = mpsc::unbounded_channel();
        let callbacks = Callbacks {
            subscriptions,
            answer: Arc::new(answer),
            tell,
            tell_bulk,
            alpha,
        };
        let server = tonic::transport::Server::builder()
            .add_service(AppCallbackServer::new(callbacks.clone()))
            .add_service(AppCallbackAlphaServer::new(callbacks));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { port, got, bulks }
    }

    /// The next event.
    pub(super) async fn next(&mut self) -> (TopicEventRequest, MetadataMap) {
        tokio::time::timeout(Duration::from_secs(10), self.got.recv())
            .await
            .expect("in time")
            .expect("an event")
    }

    /// The next bulk, and whether it came by the older method.
    pub(super) async fn next_bulk(&mut self) -> (TopicEventBulkRequest, bool) {
        tokio::time::timeout(Duration::from_secs(10), self.bulks.recv())
            .await
            .expect("in time")
            .expect("a bulk")
    }

    /// That no event comes.
    pub(super) async fn nothing(&mut self) {
        let got = tokio::time::timeout(Duration::from_millis(150), self.got.recv()).await;
        assert!(got.is_err(), "{got:?}");
    }
}

fn none<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("not here"))
}

impl Callbacks {
    fn bulk(&self, request: TopicEventBulkRequest, alpha: bool) -> Response<TopicEventBulkResponse> {
        let statuses = request.entries.iter().map(|entry| TopicEventBulkResponseEntry {
            entry_id: entry.entry_id.clone(),
            status: 0,
        });
        let response = TopicEventBulkResponse {
            statuses: statuses.collect(),
        };
        self.tell_bulk.send((request, alpha)).unwrap();
        Response::new(response)
    }
}

#[tonic::async_trait]
impl AppCallback for Callbacks {
    async fn on_invoke(&self, _: Request<InvokeRequest>) -> Result<Response<InvokeResponse>, Status> {
        none()
    }

    async fn list_topic_subscriptions(
        &self,
        _: Request<()>,
    ) -> Result<Response<ListTopicSubscriptionsResponse>, Status> {
        Ok(Response::new(ListTopicSubscriptionsResponse {
            subscriptions: self.subscriptions.clone(),
        }))
    }

    async fn on_topic_event(
        &self,
        request: Request<TopicEventRequest>,
    ) -> Result<Response<TopicEventResponse>, Status> {
        let (metadata, _, event) = request.into_parts();
        let answer = (self.answer)(&event);
        self.tell.send((event, metadata)).unwrap();
        answer.map(|status| Response::new(TopicEventResponse { status }))
    }

    async fn list_input_bindings(&self, _: Request<()>) -> Result<Response<ListInputBindingsResponse>, Status> {
        none()
    }

    async fn on_binding_event(
        &self,
        _: Request<BindingEventRequest>,
    ) -> Result<Response<BindingEventResponse>, Status> {
        none()
    }

    async fn on_bulk_topic_event(
        &self,
        request: Request<TopicEventBulkRequest>,
    ) -> Result<Response<TopicEventBulkResponse>, Status> {
        if self.alpha {
            return none();
        }
        Ok(self.bulk(request.into_inner(), false))
    }

    async fn on_job_event(&self, _: Request<JobEventRequest>) -> Result<Response<JobEventResponse>, Status> {
        none()
    }
}

#[tonic::async_trait]
impl AppCallbackAlpha for Callbacks {
    async fn on_bulk_topic_event_alpha1(
        &self,
        request: Request<TopicEventBulkRequest>,
    ) -> Result<Response<TopicEventBulkResponse>, Status> {
        Ok(self.bulk(request.into_inner(), true))
    }

    async fn on_job_event_alpha1(&self, _: Request<JobEventRequest>) -> Result<Response<JobEventResponse>, Status> {
        none()
    }
}
