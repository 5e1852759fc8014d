//! The block behind both servers.

use crate::{OPS, Options, PubSub};
use api::{
    Body, Table, body,
    body::BodyError,
    server::{Answer as _, GrpcServer, HttpServer, Layers},
};
use app::{App, Health, HealthOptions, Protocol};
use bytes::Bytes;
use component::{Component, Open, pubsub::PubSub as Broker};
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use resources::{
    Resiliency, Subscription,
    subscription::{BulkSubscribe, Routes, Rule, SubscriptionSpec},
};
use runtime::{Info, Loaded, Runtime, Snapshot};
use serde_json::Value;
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use telemetry::{
    metrics::{self, Metrics},
    trace::Tracer,
};
use tokio_util::sync::CancellationToken;
use wire::runtime::v1::{PublishEventRequest, dapr_client::DaprClient};

/// How a bench is set up.
#[derive(Default)]
pub(super) struct Setup {
    pub(super) snapshot: Snapshot,
    pub(super) app: Option<(u16, Protocol)>,
    pub(super) health: Option<HealthOptions>,
    pub(super) leave_app_alone: bool,
}

/// The block with what is around it.
pub(super) struct Bench {
    pub(super) block: Arc<PubSub>,
    pub(super) runtime: Arc<Runtime>,
    pub(super) metrics: Metrics,
    pub(super) app: Option<Arc<App>>,
    pub(super) cancel: CancellationToken,
    http: Arc<HttpServer>,
    grpc: Arc<GrpcServer>,
}

/// What an HTTP server answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {:?}", self.text))
    }

    pub(super) fn code(&self) -> String {
        self.json()["errorCode"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

pub(super) fn info() -> Info {
    Info {
        app_id: "app".into(),
        namespace: "ns".into(),
        max_body_size: 4 << 20,
        ..Info::default()
    }
}

impl Bench {
    pub(super) fn new(setup: Setup) -> Self {
        let options = metrics::Options {
            app_id: Some("app".into()),
            ..metrics::Options::default()
        };
        let metrics = Metrics::new(&options).unwrap();
        let runtime = Arc::new(Runtime::new(info(), setup.snapshot));
        let app = setup.app.map(|(port, protocol)| {
            let options = app::Options {
                protocol,
                address: "127.0.0.1".into(),
                port,
                max_concurrency: None,
                token: None,
                max_header_bytes: 1 << 16,
            };
            Arc::new(App::new(options, Health::new(setup.health), runtime.clone(), metrics.clone()).unwrap())
        });
        let cancel = CancellationToken::new();
        let block = PubSub::new(Options {
            runtime: runtime.clone(),
            app: app.clone(),
            metrics: metrics.clone(),
            tracer: Tracer::off(),
            ask_app: !setup.leave_app_alone,
            cancel: cancel.clone(),
        });
        let table = Table::default().add(&block, OPS);
        let layers = Layers {
            runtime: runtime.clone(),
            access: Arc::default(),
            token: Default::default(),
            cors: None,
            metrics: metrics.clone(),
            tracer: Tracer::off(),
            log: Default::default(),
            max_header_bytes: 1 << 16,
        };
        let http = Arc::new(HttpServer::new(layers.clone(), &table));
        let grpc = Arc::new(GrpcServer::new(layers, &table));
        Self {
            block,
            runtime,
            metrics,
            app,
            cancel,
            http,
            grpc,
        }
    }

    /// A bench that has started.
    pub(super) async fn started(setup: Setup) -> Self {
        let bench = Self::new(setup);
        bench.block.start().await;
        bench
    }

    /// Sends a request to the HTTP API.
    pub(super) async fn send(&self, target: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut request = Request::post(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body::full(body.into())).unwrap();
        let response = self.http.clone().answer(request, None).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status, text }
    }

    /// Publishes over HTTP.
    pub(super) async fn post(&self, topic: &str, content_type: &str, body: impl Into<Bytes>) {
        let answer = self
            .send(
                &format!("/v1.0/publish/ps/{topic}"),
                &[("content-type", content_type)],
                body,
            )
            .await;
        assert_eq!(answer.status, 204, "{answer:?}");
    }

    /// A client of the gRPC API.
    pub(super) fn client(&self) -> DaprClient<Service> {
        DaprClient::new(Service(self.grpc.clone()))
    }

    /// Publishes JSON over gRPC.
    pub(super) async fn publish(&self, topic: &str, data: &str) {
        let request = PublishEventRequest {
            pubsub_name: "ps".into(),
            topic: topic.into(),
            data: data.to_owned().into(),
            data_content_type: "application/json".into(),
            ..PublishEventRequest::default()
        };
        self.client().publish_event(request).await.unwrap();
    }

    /// The subscriptions as `pubsub topic path,path TYPE`.
    pub(super) fn listed(&self) -> Vec<String> {
        let all = self.block.subscriptions().into_iter().map(|one| {
            let rules = one.rules.clone().unwrap_or_default().rules;
            let paths: Vec<_> = rules.iter().map(|rule| rule.path.as_str()).collect();
            let kind = one
                .r#type()
                .as_str_name()
                .rsplit('_')
                .next()
                .unwrap_or_default()
                .to_owned();
            format!("{} {} {} {kind}", one.pubsub_name, one.topic, paths.join(","))
        });
        all.collect()
    }

    /// Lines of the metrics that hold all the words.
    pub(super) fn metric(&self, words: &[&str]) -> Vec<String> {
        let text = self.metrics.render();
        let lines = text
            .lines()
            .filter(|line| !line.starts_with('#') && words.iter().all(|word| line.contains(word)));
        lines.map(str::to_owned).collect()
    }

    /// The sum of the counters of deliveries with these labels.
    pub(super) fn ingress(&self, topic: &str, process_status: &str, status: &str) -> u64 {
        let labels = format!("process_status=\"{process_status}\",status=\"{status}\",topic=\"{topic}\"");
        let lines = self.metric(&["component_pubsub_ingress_count", &labels]);
        lines
            .iter()
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>() as u64
    }

    /// Replaces what is loaded.
    pub(super) async fn reload(&self, snapshot: Snapshot) {
        self.runtime.swap(snapshot);
        self.block.reload().await;
    }
}

/// The gRPC API as a channel of a client.
#[derive(Clone)]
pub(super) struct Service(Arc<GrpcServer>);

impl tower_service::Service<Request<tonic::body::Body>> for Service {
    type Response = Response<tonic::body::Body>;
    type Error = tonic::Status;
    type Future = BoxFuture<'static, Result<Self::Response, tonic::Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), tonic::Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move {
            let request: Request<Body> = request.map(|body| body.map_err(|e| -> BodyError { e.into() }).boxed_unsync());
            let response = server.answer(request, None).await;
            Ok(response.map(|body| tonic::body::Body::new(body.map_err(|e| tonic::Status::internal(e.to_string())))))
        })
    }
}

/// A broker of this process.
pub(super) async fn in_memory() -> Arc<dyn Broker> {
    Arc::new(
        component_local::pubsub::Broker::open((), Open::default())
            .await
            .unwrap(),
    )
}

/// A component: its name, its metadata, and itself.
type Named<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a Arc<dyn Broker>);

/// What is loaded: components with their metadata.
pub(super) fn snapshot(components: &[Named<'_>]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (name, properties, broker) in components {
        let properties = properties.iter().copied().collect();
        let loaded = Loaded::new(name, "pubsub.test", "v1", properties, (*broker).clone());
        snapshot.pubsub.insert((*name).to_owned(), Arc::new(loaded));
    }
    snapshot
}

/// One component `ps` of this process.
pub(super) async fn one() -> Snapshot {
    snapshot(&[("ps", &[], &in_memory().await)])
}

/// A declared subscription: rules as `condition => path`, a path alone for the default.
pub(super) fn declare(topic: &str, rules: &[&str], more: impl FnOnce(&mut SubscriptionSpec)) -> Arc<Subscription> {
    let mut routes = Routes::default();
    for rule in rules {
        match rule.rsplit_once(" => ") {
            Some((condition, path)) => routes.rules.push(Rule {
                condition: condition.into(),
                path: path.into(),
            }),
            None => routes.default = (*rule).to_owned(),
        }
    }
    let mut spec = SubscriptionSpec {
        pubsubname: "ps".into(),
        topic: topic.into(),
        routes,
        ..SubscriptionSpec::default()
    };
    more(&mut spec);
    let mut subscription = Subscription {
        spec,
        ..Subscription::default()
    };
    subscription.metadata.name = format!("sub-{topic}");
    Arc::new(subscription)
}

pub(super) fn nothing_more(_: &mut SubscriptionSpec) {}

pub(super) fn bulk(max: i32, wait_ms: i32) -> BulkSubscribe {
    BulkSubscribe {
        enabled: true,
        max_messages_count: max,
        max_await_duration_ms: wait_ms,
    }
}

/// Policies for the component `ps`, from what stands under `targets.components.ps`.
pub(super) fn policies(direction: &str, retry: &str) -> Arc<outgoing::Policies> {
    let json = format!(
        r#"{{"metadata":{{"name":"r"}},"spec":{{"policies":{{"retries":{{"r":{retry}}}}},
            "targets":{{"components":{{"ps":{{"{direction}":{{"retry":"r"}}}}}}}}}}}}"#
    );
    let resiliency: Resiliency = resources::decode::from_json(json.as_bytes()).unwrap().value;
    Arc::new(outgoing::Policies::build(&[resiliency], outgoing::Options::default()).0)
}

/// Waits until it holds.
pub(super) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
