//! What the tests of all blocks share: a block behind both servers, without a network.

use api::{
    Body, Op, Table, body,
    server::{Answer as _, GrpcServer, HttpServer, Layers},
};
use bytes::{BufMut, Bytes, BytesMut};
use component::{Component, Config, Open, Properties};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use runtime::{Info, Loaded, Runtime, Snapshot};
use serde_json::Value;
use std::sync::Arc;
use telemetry::{
    metrics::{self, Metrics},
    trace::Tracer,
};

/// A block behind both servers.
pub(crate) struct Bench {
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) metrics: Metrics,
    http: Arc<HttpServer>,
    grpc: Arc<GrpcServer>,
}

/// What an HTTP server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {:?}", self.text))
    }

    /// A header.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The error code; empty if there is none.
    pub(crate) fn code(&self) -> String {
        let json: Value = serde_json::from_str(&self.text).unwrap_or_default();
        json["errorCode"].as_str().unwrap_or_default().to_owned()
    }

    /// The text of an error; empty if there is none.
    pub(crate) fn message(&self) -> String {
        let json: Value = serde_json::from_str(&self.text).unwrap_or_default();
        json["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// What a gRPC server answered: the metadata that came first, and the message or the status.
pub(crate) struct GrpcAnswer<T> {
    pub(crate) headers: HeaderMap,
    pub(crate) result: Result<T, tonic::Status>,
}

/// The sidecar of the tests.
pub(crate) fn info() -> Info {
    Info {
        app_id: "app".into(),
        namespace: "ns".into(),
        namespace_set: true,
        max_body_size: 4 << 20,
        ..Info::default()
    }
}

impl Bench {
    /// The block that `make` makes, with what is loaded.
    pub(crate) fn new<B: Send + Sync + 'static>(
        snapshot: Snapshot,
        ops: &'static [Op<B>],
        make: impl FnOnce(Metrics) -> B,
    ) -> Self {
        let options = metrics::Options {
            app_id: Some("app".into()),
            namespace: "ns".into(),
            record_error_codes: true,
            ..metrics::Options::default()
        };
        let metrics = Metrics::new(&options).unwrap();
        let runtime = Arc::new(Runtime::new(info(), snapshot));
        let table = Table::default().add(&Arc::new(make(metrics.clone())), ops);
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
            runtime,
            metrics,
            http,
            grpc,
        }
    }

    /// Sends a request with headers.
    pub(crate) async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request = Request::new(body::full(body.into()));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = target.parse().unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let response = self.http.clone().answer(request, None).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text,
        }
    }

    /// Sends a request.
    pub(crate) async fn http(&self, method: &str, target: &str, body: &str) -> Answer {
        self.send(method, target, &[], body.to_owned()).await
    }

    /// Calls an RPC.
    pub(crate) async fn grpc<Q: prost::Message, R: prost::Message + Default>(
        &self,
        name: &str,
        message: &Q,
    ) -> Result<R, tonic::Status> {
        self.call(name, &[message.encode_to_vec()], &[]).await.result
    }

    /// Calls an RPC with several messages, or none, and with metadata. The first answer counts.
    pub(crate) async fn call<R: prost::Message + Default>(
        &self,
        name: &str,
        messages: &[Vec<u8>],
        metadata: &[(&str, &str)],
    ) -> GrpcAnswer<R> {
        let mut bytes = BytesMut::new();
        for message in messages {
            bytes.put_u8(0);
            bytes.put_u32(u32::try_from(message.len()).unwrap());
            bytes.put_slice(message);
        }
        let mut request: Request<Body> = Request::new(body::full(bytes.freeze()));
        *request.method_mut() = Method::POST;
        *request.version_mut() = http::Version::HTTP_2;
        *request.uri_mut() = format!("http://sidecar/{}/{name}", api::op::DAPR).parse().unwrap();
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, "application/grpc".parse().unwrap());
        for (name, value) in metadata {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let response = self.grpc.clone().answer(request, None).await;
        assert_eq!(response.status(), StatusCode::OK);
        let (parts, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_else(|| parts.headers.clone());
        let status = tonic::Status::from_header_map(&trailers).unwrap();
        let bytes = collected.to_bytes();
        let result = match (status.code(), bytes.get(5..)) {
            (tonic::Code::Ok, Some(message)) => Ok(R::decode(message).unwrap()),
            _ => Err(status),
        };
        GrpcAnswer {
            headers: parts.headers,
            result,
        }
    }
}

/// A component of this process with the given metadata.
pub(crate) async fn open<C: Component>(properties: &[(&str, &str)]) -> C {
    let properties: Properties = properties.iter().copied().collect();
    let options = <C::Options as Config>::decode(&properties).unwrap();
    C::open(
        options,
        Open {
            name: "test".into(),
            app_id: "app".into(),
            ..Open::default()
        },
    )
    .await
    .unwrap()
}

/// A component as it is loaded.
pub(crate) fn loaded<T: ?Sized>(name: &str, properties: &[(&str, &str)], instance: Arc<T>) -> (String, Arc<Loaded<T>>) {
    let properties = properties.iter().copied().collect();
    (
        name.to_owned(),
        Arc::new(Loaded::new(name, "test", "v1", properties, instance)),
    )
}

/// The reason that gRPC clients see; empty if there is none.
pub(crate) fn reason(status: &tonic::Status) -> String {
    use tonic_types::StatusExt;
    status
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}

/// Each operation answers over both transports, or is listed here with why it does not.
pub(crate) fn check_transports<B>(ops: &[Op<B>], only_grpc: &[(&str, &str)], only_http: &[(&str, &str)]) {
    for op in ops {
        let has_http = op.routes.iter().any(Option::is_some);
        assert_eq!(
            !has_http,
            only_grpc.iter().any(|(name, _)| *name == op.name),
            "{} over HTTP",
            op.name
        );
        assert_eq!(
            op.grpc.is_none(),
            only_http.iter().any(|(name, _)| *name == op.name),
            "{} over gRPC",
            op.name
        );
    }
    let mut names: Vec<&str> = ops.iter().map(|op| op.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ops.len(), "names are unique");
}
