use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::otlp::ExportRequest;
use super::*;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn parent() -> TraceContext {
    TraceContext::parse_traceparent(PARENT).expect("traceparent")
}

fn nothing(_: &str) -> Option<String> {
    None
}

#[test]
fn traceparents_come_back_as_they_were() {
    for flags in ["00", "01", "02", "03"] {
        let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        assert_eq!(
            TraceContext::parse_traceparent(&text).expect("valid").traceparent(),
            text
        );
    }
    assert!(parent().is_sampled());
    assert_eq!(
        TraceContext::NONE.traceparent(),
        "00-00000000000000000000000000000000-0000000000000000-00"
    );
}

#[test]
fn malformed_traceparents_are_none() {
    let cases = [
        "",
        "00",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736x00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47é-00f067aa0ba902b7-01",
    ];
    for text in cases {
        assert_eq!(TraceContext::parse_traceparent(text), None, "{text}");
    }
    let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
    assert!(TraceContext::parse_traceparent(later).is_some());
}

#[test]
fn the_binary_form_comes_back() {
    let binary = parent().to_binary().expect("binary");
    assert_eq!(binary[..3], [0, 0, 0x4b]);
    assert_eq!(TraceContext::from_binary(&binary), Some(parent()));
    assert_eq!(
        TraceContext::from_binary(&binary[..27]).expect("without flags").flags,
        0
    );
    for bad in [&binary[..20], &[1], &[]] {
        assert_eq!(TraceContext::from_binary(bad), None);
    }
    assert_eq!(TraceContext::NONE.to_binary(), None);
}

#[test]
fn headers_carry_contexts() {
    let context = parent().with_state("a=1, b=2");
    assert_eq!(context.state.as_deref(), Some("a=1,b=2"));
    let mut headers = HeaderMap::new();
    context.write_http(&mut headers);
    assert_eq!(TraceContext::from_http(&headers), Some(context.clone()));
    let mut metadata = HeaderMap::new();
    context.write_grpc(&mut metadata);
    metadata.remove(TRACEPARENT);
    assert_eq!(TraceContext::from_grpc(&metadata), Some(context));
    assert_eq!(
        TraceContext::from_grpc(&headers).map(|context| context.traceparent()),
        Some(PARENT.into())
    );
    let mut empty = HeaderMap::new();
    TraceContext::NONE.write_grpc(&mut empty);
    assert_eq!(empty.get(GRPC_TRACE_BIN), Some(&HeaderValue::from_static("")));
    assert_eq!(TraceContext::from_grpc(&empty), None);
}

#[test]
fn malformed_states_are_left_out() {
    for state in ["a", "A=1", "a=1,a=2", "a=", "=1", "a=b=c", ""] {
        assert_eq!(parent().with_state(state).state, None, "{state}");
    }
    let many: Vec<String> = (0..33).map(|at| format!("k{at}=v")).collect();
    assert_eq!(parent().with_state(&many.join(",")).state, None);
    assert!(parent().with_state("tenant@vendor=a b").state.is_some());
}

#[test]
fn baggage_is_checked() {
    for header in [
        "key1=value1,key2=value2",
        "k=v;p;q=1",
        "k=",
        " k = v , l=a%20b",
        "k=ü".replace('ü', "%C3%BC").as_str(),
    ] {
        assert_eq!(baggage::validate(header), Ok(()), "{header}");
    }
    for header in [
        "invalid-baggage",
        "",
        "=v",
        "k=v,",
        "k=a b",
        "k=\"v\"",
        "k=%2",
        "k v=1",
        "k=v;;",
    ] {
        let error = baggage::validate(header).expect_err(header);
        assert!(error.to_string().starts_with("invalid baggage header"));
    }
}

#[test]
fn rates_become_samplers() {
    let description = |rate: &str| Sampler::from_rate(rate).description();
    assert!(description("0").contains("root:TraceIDRatioBased{0},"));
    assert!(description("1").contains("root:AlwaysOnSampler,"));
    assert!(description("1.0").contains("root:AlwaysOnSampler,"));
    assert!(description("often").contains("root:TraceIDRatioBased{0.0001},"));
    assert!(description("0.00001").contains("root:TraceIDRatioBased{1e-05},"));
    assert!(Sampler::from_rate("0").is_never());
    assert!(Sampler::from_rate("-1").is_never());
}

#[test]
fn samplers_follow_the_caller_and_decide_alone_by_the_id() {
    let half = Sampler::from_rate("0.5");
    let id = |first: u8| {
        let mut id = [0xff; 16];
        id[8] = first;
        id
    };
    assert!(half.samples(None, &id(0x7f)));
    assert!(!half.samples(None, &id(0x80)));
    let caller = parent();
    assert!(half.samples(Some(&caller), &id(0x80)));
    assert!(!half.samples(Some(&caller.with_sampled(false)), &id(0)));
    assert!(Sampler::from_rate("1").samples(None, &id(0xff)));
}

#[test]
fn without_tracing_contexts_pass_unchanged() {
    let (tracer, worker) = build(&Options::default(), &nothing).expect("tracer");
    assert!(worker.is_none() && !tracer.is_on());
    assert_eq!(tracer.start("x", None, Kind::Server).context(), &TraceContext::NONE);
    let parent = parent();
    assert_eq!(tracer.start("x", Some(&parent), Kind::Server).context(), &parent);

    let off = Options {
        sampling_rate: "0".into(),
        stdout: true,
        ..Options::default()
    };
    let (tracer, worker) = build(&off, &nothing).expect("tracer");
    assert!(worker.is_none() && !tracer.is_on());
    assert_eq!(tracer.start("x", Some(&parent), Kind::Server).context(), &parent);
    assert!(
        tracer
            .sampler()
            .expect("sampler")
            .description()
            .contains("TraceIDRatioBased{0}")
    );
}

#[test]
fn a_rate_without_exporters_makes_ids() {
    let options = Options {
        sampling_rate: "1".into(),
        ..Options::default()
    };
    let (tracer, worker) = build(&options, &nothing).expect("tracer");
    assert!(worker.is_none());
    let parent = parent().with_state("a=1");
    let span = tracer.start("x", Some(&parent), Kind::Server);
    assert!(!span.is_recording());
    let context = span.context();
    assert_eq!(
        (context.trace_id, context.flags, &context.state),
        (parent.trace_id, 1, &parent.state)
    );
    assert_ne!(context.span_id, parent.span_id);
    assert!(tracer.start("y", None, Kind::Client).context().is_valid());
}

/// A server for one test: what it was sent, and where it is.
struct Collector {
    address: String,
    received: mpsc::UnboundedReceiver<(Request<()>, Bytes)>,
}

impl Collector {
    async fn start(grpc: bool, failures: usize) -> Collector {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let address = listener.local_addr().expect("address").to_string();
        let (sender, received) = mpsc::unbounded_channel();
        let failures = Arc::new(std::sync::atomic::AtomicUsize::new(failures));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("connection");
                let (sender, failures) = (sender.clone(), Arc::clone(&failures));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (sender, failures) = (sender.clone(), Arc::clone(&failures));
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.expect("body").to_bytes();
                        let fail = failures
                            .try_update(
                                std::sync::atomic::Ordering::Relaxed,
                                std::sync::atomic::Ordering::Relaxed,
                                |n| n.checked_sub(1),
                            )
                            .is_ok();
                        if !fail {
                            let _ = sender.send((Request::from_parts(head, ()), body));
                        }
                        Ok::<_, Infallible>(answer(grpc, fail))
                    }
                });
                let io = TokioIo::new(stream);
                tokio::spawn(async move {
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(io, service).await;
                });
            }
        });
        Collector { address, received }
    }

    async fn next(&mut self) -> (Request<()>, Bytes) {
        tokio::time::timeout(Duration::from_secs(10), self.received.recv())
            .await
            .expect("in time")
            .expect("request")
    }
}

type Body = http_body_util::Either<
    Full<Bytes>,
    StreamBody<futures_util::stream::Once<std::future::Ready<Result<Frame<Bytes>, Infallible>>>>,
>;

fn answer(grpc: bool, fail: bool) -> Response<Body> {
    if !grpc {
        let mut response = Response::new(Body::Left(Full::default()));
        *response.status_mut() = if fail {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::ACCEPTED
        };
        return response;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(if fail { "14" } else { "0" }));
    let frames = futures_util::stream::once(std::future::ready(Ok(Frame::trailers(trailers))));
    Response::new(Body::Right(StreamBody::new(frames)))
}

async fn export_one(options: &Options, environment: Environment<'_>) -> TraceContext {
    let (tracer, worker) = build(options, environment).expect("tracer");
    let cancel = CancellationToken::new();
    let task = tokio::spawn(worker.expect("worker").run(cancel.clone()));
    let parent = parent();
    let start = UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let name = format_args!("pubsub/{}", "topic").to_string();
    let mut span = tracer
        .build(name, Some(&parent), Kind::Producer)
        .started_at(start)
        .start();
    span.set_attribute("dapr.api", "POST /v1.0/publish");
    span.set_attribute("dapr.status_code", 500);
    span.set_attribute("dapr.status_code", 204);
    span.add_event("sent", vec![("ok".into(), true.into())]);
    span.set_error(&"refused");
    let context = span.context().clone();
    span.end_at(start + Duration::from_millis(5));
    cancel.cancel();
    task.await.expect("worker");
    context
}

fn sampled(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options {
        app_id: "myapp".into(),
        sampling_rate: "1".into(),
        ..Options::default()
    };
    change(&mut options);
    options
}

#[tokio::test]
async fn spans_reach_a_collector_over_grpc() {
    let mut collector = Collector::start(true, 1).await;
    let options = sampled(|options| {
        options.otel = OtelOptions {
            endpoint: collector.address.clone(),
            protocol: "grpc".into(),
            is_secure: Some(false),
            headers: vec!["x-api-key=test-api-key-123".into(), "a=1,b=x%20y".into()],
            ..OtelOptions::default()
        };
    });
    let environment: HashMap<&str, &str> = HashMap::from([
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-env-header=env-value"),
        ("OTEL_SERVICE_NAME", "my-custom-service"),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.namespace=production,k8s.pod.name=pod-123",
        ),
    ]);
    let context = export_one(&options, &|name| environment.get(name).map(|value| (*value).to_owned())).await;

    let (request, body) = collector.next().await;
    assert_eq!(
        request.uri().path(),
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    );
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("x-api-key"), Some("test-api-key-123"));
    assert_eq!(header("b"), Some("x y"));
    assert_eq!(header("x-env-header"), None);
    assert_eq!(header("content-type"), Some("application/grpc"));
    assert_eq!(
        body[..5],
        [&[0], &u32::try_from(body.len() - 5).expect("length").to_be_bytes()[..]].concat()
    );

    let message = ExportRequest::decode(&body[5..]).expect("message");
    let resource = format!("{:?}", message.resource_spans[0].resource);
    for part in [
        "my-custom-service",
        "service.namespace",
        "production",
        "k8s.pod.name",
        "pod-123",
    ] {
        assert!(resource.contains(part), "{resource}");
    }
    let span = &message.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!(span.trace_id, parent().trace_id);
    assert_eq!(span.span_id, context.span_id);
    assert_eq!(span.parent_span_id, parent().span_id);
    assert_eq!((span.name.as_str(), span.kind), ("pubsub/topic", 4));
    assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 5_000_000);
    assert_eq!(span.attributes.len(), 2);
    assert_eq!(
        span.status
            .as_ref()
            .map(|status| (status.code, status.message.as_str())),
        Some((2, "refused"))
    );
}

#[tokio::test]
async fn spans_reach_a_collector_over_http() {
    let mut collector = Collector::start(false, 1).await;
    let options = sampled(|options| options.otel.protocol = "http".into());
    let endpoint = format!("http://{}/base", collector.address);
    let environment = |name: &str| match name {
        "OTEL_EXPORTER_OTLP_ENDPOINT" => Some(endpoint.clone()),
        "OTEL_EXPORTER_OTLP_HEADERS" => Some("x-env-header=env-value".to_owned()),
        _ => None,
    };
    export_one(&options, &environment).await;
    let (request, body) = collector.next().await;
    assert_eq!(request.uri().path(), "/base/v1/traces");
    assert_eq!(
        request.headers().get("x-env-header"),
        Some(&HeaderValue::from_static("env-value"))
    );
    assert_eq!(
        request.headers().get("content-type"),
        Some(&HeaderValue::from_static("application/x-protobuf"))
    );
    let message = ExportRequest::decode(body).expect("message");
    assert!(format!("{:?}", message.resource_spans[0].resource).contains("myapp"));
}

#[tokio::test]
async fn spans_reach_zipkin() {
    let mut collector = Collector::start(false, 0).await;
    let endpoint = format!("http://{}/api/v2/spans", collector.address);
    let context = export_one(&sampled(|options| options.zipkin_endpoint = Some(endpoint)), &nothing).await;
    let (request, body) = collector.next().await;
    assert_eq!(request.uri().path(), "/api/v2/spans");
    let spans: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let expected = serde_json::json!([{
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "id": super::context::Hex(&context.span_id).to_string(),
        "parentId": "00f067aa0ba902b7",
        "name": "pubsub/topic",
        "timestamp": 1_767_225_600_000_000_u64,
        "duration": 5000,
        "kind": "PRODUCER",
        "localEndpoint": {"serviceName": "myapp"},
        "tags": {
            "dapr.api": "POST /v1.0/publish",
            "dapr.status_code": "204",
            "otel.status_code": "ERROR",
            "error": "refused",
        },
        "annotations": spans[0]["annotations"],
    }]);
    assert_eq!(spans, expected);
    assert_eq!(spans[0]["annotations"][0]["value"], "sent");
}

#[tokio::test]
async fn flushing_waits_for_the_export() {
    let mut collector = Collector::start(false, 0).await;
    let endpoint = format!("http://{}/spans", collector.address);
    let options = sampled(|options| options.zipkin_endpoint = Some(endpoint));
    let (tracer, worker) = build(&options, &nothing).expect("tracer");
    let cancel = CancellationToken::new();
    let task = tokio::spawn(worker.expect("worker").run(cancel.clone()));
    tracer.start("one", None, Kind::Internal).end();
    tracer
        .build("two", None, Kind::Client)
        .with_trace_id([7; 16])
        .with_span_id([9; 8])
        .start()
        .end();
    tracer.flush().await;
    let (_, body) = collector.received.try_recv().expect("exported");
    let text = String::from_utf8(body.to_vec()).expect("text");
    assert!(text.contains("\"one\"") && text.contains("0707070707070707") && text.contains("\"0909090909090909\""));
    cancel.cancel();
    task.await.expect("worker");
    tracer.flush().await;
}

#[tokio::test]
async fn an_unsampled_trace_is_not_exported() {
    let options = sampled(|options| options.stdout = true);
    let (tracer, _worker) = build(&options, &nothing).expect("tracer");
    let caller = parent().with_sampled(false);
    let span = tracer.start("x", Some(&caller), Kind::Server);
    assert!(!span.is_recording() && !span.context().is_sampled());
    assert_ne!(span.context().span_id, caller.span_id);
    assert!(tracer.start("y", None, Kind::Server).is_recording());
}

#[test]
fn bad_configurations_are_errors() {
    let otel = |endpoint: &str, protocol: &str, header: &str| {
        let options = sampled(|options| {
            options.otel = OtelOptions {
                endpoint: endpoint.into(),
                protocol: protocol.into(),
                headers: vec![header.into()],
                ..OtelOptions::default()
            };
        });
        build(&options, &nothing).map(|_| ())
    };
    assert!(matches!(
        otel("localhost:4317", "thrift", "a=b"),
        Err(ConfigError::Protocol(_))
    ));
    assert!(matches!(
        otel("local host", "grpc", "a=b"),
        Err(ConfigError::Endpoint(_))
    ));
    assert!(matches!(
        otel("localhost:4317", "grpc", "a b=c"),
        Err(ConfigError::Header(_))
    ));
    let zipkin = sampled(|options| options.zipkin_endpoint = Some("not a url".into()));
    assert!(matches!(build(&zipkin, &nothing), Err(ConfigError::Endpoint(_))));
}
