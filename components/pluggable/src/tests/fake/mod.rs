//! A pluggable component in this process: a gRPC server on a socket, with reflection.

mod binding;
mod broker;
mod secrets;
mod state;

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{net::UnixListener, runtime::Runtime, sync::mpsc};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Code, Request, Status, transport::Server};
use tonic_types::{BadRequest, ErrorDetail, ErrorInfo, StatusExt};
use wire::components::v1::{self as pb, PullMessagesRequest, PullMessagesResponse, ReadRequest, ReadResponse};

/// What a test asks of the component.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// The services that reflection lists, without their package.
    pub(crate) services: &'static [&'static str],
    /// What `Features` answers.
    pub(crate) features: &'static [&'static str],
    /// What `MultiMaxSize` answers.
    pub(crate) max_size: i64,
    /// Whether streams answer only with their first message.
    pub(crate) lazy: bool,
    /// How long the broker thinks about a ping.
    pub(crate) ping_after: Duration,
    /// Whether the broker can pause.
    pub(crate) pausable: bool,
    /// Whether reflection speaks only the old version.
    pub(crate) alpha: bool,
    /// What `Init` answers, if it fails.
    pub(crate) init_error: Option<&'static str>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            services: &[],
            features: &[],
            max_size: 0,
            lazy: false,
            ping_after: Duration::ZERO,
            pausable: true,
            alpha: false,
            init_error: None,
        }
    }
}

/// What happened at the component, in order: method, instance, and the request as text.
pub(crate) type Calls = Arc<Mutex<Vec<(&'static str, String, String)>>>;

/// The component's inside; it survives restarts of its server.
#[derive(Clone)]
pub(crate) struct Inside {
    pub(crate) script: Script,
    pub(crate) calls: Calls,
    pub(crate) store: Arc<Mutex<BTreeMap<String, (bytes::Bytes, u64)>>>,
    pub(crate) messages: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<PullMessagesResponse>>>,
    pub(crate) acks: mpsc::UnboundedSender<PullMessagesRequest>,
    pub(crate) events: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<ReadResponse>>>,
    pub(crate) answers: mpsc::UnboundedSender<ReadRequest>,
    pub(crate) ended: mpsc::UnboundedSender<()>,
}

impl Inside {
    fn note<T: std::fmt::Debug>(&self, method: &'static str, request: &Request<T>) {
        let instance = request.metadata().get("x-component-instance");
        let instance = instance.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        self.calls
            .lock()
            .push((method, instance, format!("{:?}", request.get_ref())));
    }
}

/// The component as tests hold it.
pub(crate) struct Fake {
    pub(crate) path: PathBuf,
    pub(crate) inside: Inside,
    pub(crate) messages: mpsc::UnboundedSender<PullMessagesResponse>,
    pub(crate) acks: mpsc::UnboundedReceiver<PullMessagesRequest>,
    pub(crate) events: mpsc::UnboundedSender<ReadResponse>,
    pub(crate) answers: mpsc::UnboundedReceiver<ReadRequest>,
    /// Says when a stream has ended at the component.
    pub(crate) ended: mpsc::UnboundedReceiver<()>,
    server: Option<Runtime>,
}

impl Fake {
    /// Starts the component on `<folder>/<file>`.
    pub(crate) fn start(folder: &Path, file: &str, script: Script) -> Self {
        let (messages, messages_out) = mpsc::unbounded_channel();
        let (acks_in, acks) = mpsc::unbounded_channel();
        let (events, events_out) = mpsc::unbounded_channel();
        let (answers_in, answers) = mpsc::unbounded_channel();
        let (ended_in, ended) = mpsc::unbounded_channel();
        let mut fake = Self {
            path: folder.join(file),
            inside: Inside {
                script,
                calls: Arc::default(),
                store: Arc::default(),
                messages: Arc::new(tokio::sync::Mutex::new(messages_out)),
                acks: acks_in,
                events: Arc::new(tokio::sync::Mutex::new(events_out)),
                answers: answers_in,
                ended: ended_in,
            },
            messages,
            acks,
            events,
            answers,
            ended,
            server: None,
        };
        fake.serve();
        fake
    }

    /// Begins to serve, on a new socket of the same path.
    pub(crate) fn serve(&mut self) {
        let _absent = std::fs::remove_file(&self.path);
        let server = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = {
            let _inside = server.enter();
            UnixListener::bind(&self.path).expect("the socket can be bound")
        };
        server.spawn(serve(listener, self.inside.clone()));
        self.server = Some(server);
    }

    /// Ends the component as if its process was killed; the socket's file stays.
    pub(crate) async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            let ended = tokio::task::spawn_blocking(|| drop(server)).await;
            ended.expect("the runtime ends");
        }
    }

    /// The calls of a method: instance and request.
    pub(crate) fn calls(&self, method: &str) -> Vec<(String, String)> {
        let calls = self.inside.calls.lock();
        let of_method = calls.iter().filter(|(name, _, _)| *name == method);
        of_method
            .map(|(_, instance, request)| (instance.clone(), request.clone()))
            .collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }
}

async fn serve(listener: UnixListener, inside: Inside) {
    let reflection = |inside: &Inside| {
        let mut builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::FILE_DESCRIPTOR_SET)
            .include_reflection_service(false)
            .with_service_name("some.other.Service");
        for service in inside.script.services {
            builder = builder.with_service_name(format!("dapr.proto.components.v1.{service}"));
        }
        builder
    };
    let (v1, alpha) = (reflection(&inside).build_v1(), reflection(&inside).build_v1alpha());
    let mut router = Server::builder()
        .add_service(pb::state_store_server::StateStoreServer::new(inside.clone()))
        .add_service(pb::transactional_state_store_server::TransactionalStateStoreServer::new(inside.clone()))
        .add_service(
            pb::transactional_store_multi_max_size_server::TransactionalStoreMultiMaxSizeServer::new(inside.clone()),
        )
        .add_service(pb::queriable_state_store_server::QueriableStateStoreServer::new(
            inside.clone(),
        ))
        .add_service(pb::pub_sub_server::PubSubServer::new(inside.clone()))
        .add_service(pb::input_binding_server::InputBindingServer::new(inside.clone()))
        .add_service(pb::output_binding_server::OutputBindingServer::new(inside.clone()))
        .add_service(pb::secret_store_server::SecretStoreServer::new(inside.clone()))
        .add_service(alpha.expect("reflection can be built"));
    if !inside.script.alpha {
        router = router.add_service(v1.expect("reflection can be built"));
    }
    router
        .serve_with_incoming(UnixListenerStream::new(listener))
        .await
        .expect("the server runs");
}

/// Names that ask for an error: `err:<code>:<message>`, then `:<field>:<description>` of a violation, or
/// `:kit:<http status>:<tag>`. What stands before `||` does not count.
fn scripted(name: &str) -> Result<(), Status> {
    let name = name.rsplit("||").next().unwrap_or_default();
    let parts: Vec<&str> = name.split(':').collect();
    let ["err", code, message, rest @ ..] = parts.as_slice() else {
        return Ok(());
    };
    let code = Code::from(code.parse::<i32>().expect("a code"));
    let detail = match rest {
        ["kit", status, tag] => ErrorDetail::from(ErrorInfo::new(
            "A_REASON",
            "a.domain",
            HashMap::from([
                ("kit_error".to_owned(), "true".to_owned()),
                ("http_code".to_owned(), (*status).to_owned()),
                ("tag".to_owned(), (*tag).to_owned()),
            ]),
        )),
        ["info", key, value] => ErrorDetail::from(ErrorInfo::new(
            "A_REASON",
            "a.domain",
            HashMap::from([((*key).to_owned(), (*value).to_owned())]),
        )),
        [field, description] => ErrorDetail::from(BadRequest::with_violation(*field, *description)),
        _ => return Err(Status::new(code, *message)),
    };
    Err(Status::with_error_details_vec(code, *message, vec![detail]))
}
