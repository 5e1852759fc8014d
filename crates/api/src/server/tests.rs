//! The servers on loopback, with a table of a few operations.

use super::*;
use crate::{
    ApiError, Body, Cx, HttpRequest, HttpResponse, Op, Table, body, call, cors::Cors, op, request, token::ApiToken,
    unary,
};
use ::http::{Request, Response, StatusCode};
use client::{Address, Client, Version};
use http_body_util::BodyExt;
use resources::configuration::api::{ApiRule, ApiSpec};
use runtime::{Info, Runtime, Snapshot};
use std::{sync::Arc, time::Duration};
use telemetry::{metrics::Metrics, trace::Tracer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

struct Echo;

async fn echo(_: &Echo, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let bytes = request
        .bytes()
        .await
        .map_err(|e| crate::error::Error::BodyRead { why: e.to_string() })?;
    let mut response = Response::new(body::full(bytes));
    let key = request.param("key").to_owned();
    response
        .headers_mut()
        .insert("key", key.escape_default().to_string().parse().expect("a header"));
    Ok(response)
}

async fn healthz(_: &Echo, _: HttpRequest) -> Result<HttpResponse, ApiError> {
    Ok(request::no_content())
}

async fn fallback(_: &Echo, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Ok(Response::new(body::full(format!("fallback {}", request.uri.path()))))
}

async fn get(
    _: &Echo,
    _: &Cx,
    message: wire::runtime::v1::GetStateRequest,
) -> Result<wire::runtime::v1::GetStateResponse, ApiError> {
    if message.key.is_empty() {
        return Err(crate::error::Error::BadRequest { why: "no key".into() }.into());
    }
    Ok(wire::runtime::v1::GetStateResponse {
        data: message.key.into(),
        ..Default::default()
    })
}

const OPS: &[Op<Echo>] = &[
    op("Healthz", "healthz", "v1.0")
        .get("/v1.0/healthz", call!(healthz))
        .unguarded()
        .public(),
    op("GetState", "state", "v1.0")
        .post("/v1.0/state/{store}/{key}", call!(echo))
        .grpc(unary!(get)),
    op("GetBulkState", "state", "v1.0").put("/v1.0/state/{store}/bulk", call!(echo)),
];

struct Started {
    address: String,
    cancel: CancellationToken,
}

impl Drop for Started {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

#[derive(Default)]
struct Setting {
    token: Option<String>,
    origins: &'static str,
    denied: Vec<ApiRule>,
    no_fallback: bool,
    grpc: bool,
    public: bool,
}

async fn start(setting: Setting) -> Started {
    let info = Info {
        app_id: "me".into(),
        max_body_size: 1000,
        ..Info::default()
    };
    let layers = Layers {
        runtime: Arc::new(Runtime::new(info, Snapshot::default())),
        access: Arc::new(ApiSpec {
            denied: setting.denied,
            ..ApiSpec::default()
        }),
        token: ApiToken::new(setting.token),
        cors: Cors::parse(setting.origins),
        metrics: Metrics::disabled(),
        tracer: Tracer::off(),
        log: ApiLog::default(),
        max_header_bytes: 8192,
    };
    let block = Arc::new(Echo);
    let mut table = Table::default().add(&block, OPS);
    if !setting.no_fallback {
        table = table.http_fallback(&block, call!(fallback));
    }
    let bound = bind(&["127.0.0.1".into()], 0, None).await.expect("binds");
    let address = bound.addresses()[0].to_string();
    let cancel = CancellationToken::new();
    let options = Options {
        http2_only: setting.grpc,
        h2c_upgrade: !setting.grpc,
        max_header_bytes: 8192,
        grace: Duration::from_secs(1),
    };
    if setting.grpc {
        tokio::spawn(Server::new(bound, GrpcServer::new(layers, &table), options).run(cancel.clone()));
    } else if setting.public {
        tokio::spawn(Server::new(bound, HttpServer::public(layers, &table), options).run(cancel.clone()));
    } else {
        tokio::spawn(Server::new(bound, HttpServer::new(layers, &table), options).run(cancel.clone()));
    }
    Started { address, cancel }
}

impl Started {
    async fn send(&self, version: Version, request: Request<Body>) -> (StatusCode, ::http::HeaderMap, String) {
        let client = Client::new(
            Address::Tcp(self.address.clone()),
            client::Options {
                version,
                ..client::Options::default()
            },
        );
        let (mut parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().expect("a target").as_str().to_owned();
        parts.uri = client.request_uri(&target).expect("a target");
        if version == Version::Http1 {
            parts
                .headers
                .insert("host", client.authority().parse().expect("a host"));
        }
        let response = client.send(Request::from_parts(parts, body)).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        (
            parts.status,
            parts.headers,
            String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    async fn call(&self, method: &str, path: &str, body: &str) -> (StatusCode, ::http::HeaderMap, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(body::full(body.to_owned()))
            .expect("a request");
        self.send(Version::Http1, request).await
    }
}

#[tokio::test]
async fn routes_by_method_and_decodes_parameters() {
    let server = start(Setting::default()).await;
    for (method, path, status, key) in [
        ("POST", "/v1.0/state/a/b", 200, "b"),
        ("POST", "/v1.0/state/a/b%2Fc%20d", 200, "b/c d"),
        // `bulk` is a key where only another method has it as a route.
        ("POST", "/v1.0/state/a/bulk", 200, "bulk"),
        ("POST", "//v1.0/./state/a/x/../b/", 200, "b"),
        ("POST", "/v1.0/state/a/b%2", 400, ""),
    ] {
        let (found, headers, body) = server.call(method, path, "hello").await;
        assert_eq!(found, status, "{path}");
        if status == 200 {
            assert_eq!(
                (headers["key"].to_str().expect("text"), body.as_str()),
                (key, "hello"),
                "{path}"
            );
        }
    }
    let (status, _, body) = server.call("DELETE", "/v1.0/state/a/b", "").await;
    assert_eq!((status.as_u16(), body.as_str()), (200, "fallback /v1.0/state/a/b"));
}

#[tokio::test]
async fn without_a_fallback_unknown_is_404_and_other_methods_are_405() {
    let server = start(Setting {
        no_fallback: true,
        ..Setting::default()
    })
    .await;
    assert_eq!(server.call("GET", "/nothing", "").await.0, 404);
    let (status, headers, _) = server.call("DELETE", "/v1.0/state/a/b", "").await;
    assert_eq!(status, 405);
    assert_eq!(headers["allow"], "POST");
}

#[tokio::test]
async fn a_body_over_the_limit_is_an_error_of_the_operation() {
    let server = start(Setting::default()).await;
    let (status, _, body) = server.call("POST", "/v1.0/state/a/b", &"x".repeat(1001)).await;
    assert_eq!(status, 400);
    assert!(
        body.contains("ERR_BODY_READ") && body.contains("request body too large"),
        "{body}"
    );
    assert_eq!(server.call("POST", "/v1.0/state/a/b", &"x".repeat(1000)).await.0, 200);
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let server = start(Setting::default()).await;
    let request = Request::post("/v1.0/state/a/b")
        .header("long", "x".repeat(9000))
        .body(body::empty())
        .expect("a request");
    assert_eq!(server.send(Version::Http1, request).await.0, 431);
}

#[tokio::test]
async fn the_token_is_required_but_for_health() {
    let server = start(Setting {
        token: Some("secret".into()),
        ..Setting::default()
    })
    .await;
    assert_eq!(server.call("POST", "/v1.0/state/a/b", "").await.0, 401);
    assert_eq!(server.call("GET", "/v1.0/healthz", "").await.0, 204);
    assert_eq!(
        server.call("GET", "/v1.0/x/../healthz", "").await.0,
        401,
        "the raw path decides"
    );
    let request = Request::post("/v1.0/state/a/b")
        .header("dapr-api-token", "secret")
        .body(body::empty())
        .expect("a request");
    assert_eq!(server.send(Version::Http2, request).await.0, 200);
    let public = start(Setting {
        token: Some("secret".into()),
        public: true,
        ..Setting::default()
    })
    .await;
    assert_eq!(public.call("GET", "/v1.0/healthz", "").await.0, 204);
    assert_eq!(public.call("POST", "/v1.0/state/a/b", "").await.0, 404, "not public");
}

#[tokio::test]
async fn denied_routes_are_not_there() {
    let denied = vec![ApiRule {
        name: "state".into(),
        version: "v1.0".into(),
        protocol: "http".into(),
    }];
    let server = start(Setting {
        denied,
        no_fallback: true,
        ..Setting::default()
    })
    .await;
    assert_eq!(server.call("POST", "/v1.0/state/a/b", "").await.0, 404);
    assert_eq!(server.call("GET", "/v1.0/healthz", "").await.0, 204);
}

#[tokio::test]
async fn traces_pass_and_bad_baggage_does_not() {
    let server = start(Setting::default()).await;
    let (_, headers, _) = server.call("POST", "/v1.0/state/a/b", "").await;
    assert_eq!(
        headers["traceparent"],
        "00-00000000000000000000000000000000-0000000000000000-00"
    );
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let request = Request::post("/v1.0/state/a/b")
        .header("traceparent", parent)
        .header("baggage", "a=b")
        .body(body::empty());
    let (_, headers, _) = server.send(Version::Http1, request.expect("a request")).await;
    assert_eq!(headers["traceparent"], parent);
    assert_eq!(headers["baggage"], "a=b");
    let request = Request::post("/v1.0/state/a/b")
        .header("baggage", "nonsense")
        .body(body::empty())
        .expect("a request");
    let (status, _, text) = server.send(Version::Http1, request).await;
    assert_eq!(status, 400);
    assert!(text.contains("invalid baggage header"), "{text}");
}

#[tokio::test]
async fn origins_are_answered() {
    let server = start(Setting {
        origins: "https://a.com",
        token: Some("t".into()),
        ..Setting::default()
    })
    .await;
    let preflight = |origin: &str| {
        let request = Request::builder()
            .method("OPTIONS")
            .uri("/v1.0/state/a/b")
            .header("origin", origin);
        request
            .header("access-control-request-method", "POST")
            .body(body::empty())
            .expect("a request")
    };
    let (status, headers, _) = server.send(Version::Http1, preflight("https://a.com")).await;
    assert_eq!(status, 200);
    assert_eq!(headers["access-control-allow-origin"], "https://a.com");
    let (status, headers, _) = server.send(Version::Http1, preflight("https://b.com")).await;
    assert_eq!(
        (status.as_u16(), headers.get("access-control-allow-origin")),
        (200, None)
    );
}

/// What a client of old does: asks in HTTP/1.1, and goes on in HTTP/2 on the same connection.
#[tokio::test]
async fn upgrades_to_http2() {
    let server = start(Setting::default()).await;
    let mut stream = tokio::net::TcpStream::connect(&server.address).await.expect("connects");
    let ask = "GET /v1.0/healthz HTTP/1.1\r\nhost: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.expect("writes");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("reads"));
    }
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    assert!(
        head.starts_with("http/1.1 101") && head.contains("upgrade: h2c"),
        "{head}"
    );
    // The client's preface and empty SETTINGS; then the answer to the first request comes as stream 1.
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .expect("writes");
    loop {
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).await.expect("a frame");
        let length = usize::from(frame[0]) << 16 | usize::from(frame[1]) << 8 | usize::from(frame[2]);
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.expect("a payload");
        if frame[3] == 1 {
            assert_eq!(frame[5..9], [0, 0, 0, 1], "headers of stream 1");
            // 204 is number 9 of HPACK's static table.
            assert_eq!(payload[0], 0x80 | 9);
            return;
        }
    }
}

#[tokio::test]
async fn grpc_answers_and_refuses() {
    use wire::runtime::v1::{GetStateRequest, dapr_client::DaprClient};
    let server = start(Setting {
        grpc: true,
        token: Some("secret".into()),
        ..Setting::default()
    })
    .await;
    let channel = tonic::transport::Channel::from_shared(format!("http://{}", server.address))
        .expect("a target")
        .connect()
        .await
        .expect("connects");
    let mut dapr = DaprClient::new(channel);
    let request = |key: String, token: &'static str| {
        let mut request = tonic::Request::new(GetStateRequest {
            key,
            ..GetStateRequest::default()
        });
        request
            .metadata_mut()
            .insert("dapr-api-token", tonic::metadata::MetadataValue::from_static(token));
        request
    };
    let answer = dapr.get_state(request("k".into(), "secret")).await.expect("an answer");
    assert_eq!(answer.into_inner().data, "k");
    let status = dapr.get_state(request("k".into(), "wrong")).await.expect_err("refused");
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    let status = dapr
        .get_state(request(String::new(), "secret"))
        .await
        .expect_err("refused");
    assert_eq!(
        (status.code(), status.message()),
        (tonic::Code::InvalidArgument, "invalid request: no key")
    );
    let status = dapr
        .get_state(request("k".repeat(2000), "secret"))
        .await
        .expect_err("refused");
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
    assert!(
        status.message().starts_with("grpc: received message larger than max ("),
        "{status}"
    );
}

/// A client that sends its body slowly sees the answer that came before the body's end.
#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let server = start(Setting {
        token: Some("secret".into()),
        ..Setting::default()
    })
    .await;
    let mut stream = tokio::net::TcpStream::connect(&server.address).await.expect("connects");
    let head = "POST /v1.0/state/a/b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("writes");
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..10 {
        stream
            .write_all(b"3\r\nabc\r\n")
            .await
            .expect("the connection is still open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stream
        .write_all(b"0\r\n\r\n")
        .await
        .expect("the connection is still open");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 401");
}
