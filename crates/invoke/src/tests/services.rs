//! HTTP services outside: by resource and by URL, with redirections and TLS.

use super::*;
use runtime::snapshot::EndpointHeader;

fn endpoint(name: &str, base_url: String) -> Endpoint {
    Endpoint {
        name: name.into(),
        base_url,
        ..Endpoint::default()
    }
}

async fn caller(endpoints: Vec<Endpoint>) -> Sidecar {
    let mut setup = Setup::new("caller");
    setup.endpoints = endpoints;
    start(setup, &Names::default()).await
}

#[tokio::test]
async fn by_resource_and_by_url() {
    let service = mirror().await;
    let at = format!("127.0.0.1:{}", service.port);
    let mut with_headers = endpoint("ep", format!("http://{at}"));
    with_headers.headers = vec![
        EndpointHeader {
            name: "X-Ep".into(),
            value: "secret".into(),
        },
        EndpointHeader {
            name: "Accept".into(),
            value: "over".into(),
        },
    ];
    let caller = caller(vec![with_headers, endpoint("slash", format!("http://{at}/base/"))]).await;
    let none: [(&str, &str); 0] = [];
    let url = format!("http://{at}");
    let by_url = [("dapr-app-id", url.as_str())];
    for (target, headers, want) in [
        (
            "/v1.0/invoke/ep/method/x?a=b%20c".to_owned(),
            &none[..],
            "GET /x?a=b%20c",
        ),
        ("/v1.0/invoke/ep.default/method/x".to_owned(), &none, "GET /x"),
        ("/v1.0/invoke/slash/method/x".to_owned(), &none, "GET /base//x"),
        (format!("/v1.0/invoke/http://{at}/method/x?q=1"), &none, "GET /x?q=1"),
        (
            format!("/v1.0/invoke/http%3A%2F%2F{at}%2Fabc/method/x"),
            &none,
            "GET /abc/x",
        ),
        (format!("/v1.0/invoke/http://{at}/abc/method/x"), &none, "GET /abc/x"),
        ("/p/q?q=1".to_owned(), &by_url, "GET /p/q?q=1"),
    ] {
        let got = caller.call("GET", &target, headers, Bytes::new()).await;
        assert_eq!(got.text().lines().next(), Some(want), "{target}");
        assert!(got.text().contains(&format!("host: {at}")), "{got:?}");
        assert!(!got.text().contains("dapr-caller"), "{got:?}");
    }
    let sent = [
        ("accept", "mine"),
        ("grpc-foo", "x"),
        ("connection", "x-q"),
        ("x-q", "1"),
    ];
    let got = caller.call("POST", "/v1.0/invoke/ep/method/x", &sent, "body").await;
    for line in [
        "x-ep: secret",
        "accept: over",
        "dapr-grpc-foo: x",
        "content-length: 4",
        "body",
    ] {
        assert!(got.text().lines().any(|l| l == line), "{line}: {got:?}");
    }
    assert!(!got.text().contains("x-q"), "{got:?}");
}

#[tokio::test]
async fn a_service_that_is_not_there() {
    let caller = caller(vec![endpoint("dead", "http://127.0.0.1:1/base".into())]).await;
    let got = caller.get("/v1.0/invoke/dead/method/x").await;
    let why = "Get \"http://127.0.0.1:1/base/x\": dial tcp 127.0.0.1:1: connect: connection refused";
    assert_eq!(got.message(), format!("failed to invoke, id: dead, err: {why}"));
    let got = caller.get("/v1.0/invoke/ftp://127.0.0.1:1/method/x").await;
    assert!(got.message().contains("invalid app id"), "{got:?}");
}

/// `/to/<status>/<target>` sends elsewhere, `/loop` for ever; everything else tells what was received.
async fn redirecting() -> Served {
    serve(|request: Request<Incoming>| async move {
        let path = request.uri().path().to_owned();
        let answer = |status: u16, location: &str| {
            let answer = Response::builder().status(status).header("location", location);
            answer.body(api::body::empty()).expect("an answer")
        };
        if path == "/loop" {
            return answer(302, "/loop");
        }
        if let Some((status, target)) = path.strip_prefix("/to/").and_then(|rest| rest.split_once('/')) {
            return answer(status.parse().expect("a status"), &format!("/{target}?q"));
        }
        let line = format!("{} {}", request.method(), request.uri());
        let headers = format!("{:?}", request.headers());
        let body = request.into_body().collect().await.expect("a body").to_bytes();
        Response::new(api::body::full(format!(
            "{line}\n{headers}\n{}",
            String::from_utf8_lossy(&body)
        )))
    })
    .await
}

#[tokio::test]
async fn redirections_are_followed() {
    let service = redirecting().await;
    let caller = caller(vec![endpoint("ep", format!("http://localhost:{}", service.port))]).await;
    for (method, status, line, body) in [
        ("GET", 301, "GET /elsewhere?q", ""),
        ("POST", 302, "GET /elsewhere?q", ""),
        ("PUT", 303, "GET /elsewhere?q", ""),
        ("POST", 307, "POST /elsewhere?q", "body"),
        ("PUT", 308, "PUT /elsewhere?q", "body"),
        ("HEAD", 302, "", ""),
    ] {
        let target = format!("/v1.0/invoke/ep/method/to/{status}/elsewhere");
        let sent = if method == "GET" || method == "HEAD" {
            ""
        } else {
            "body"
        };
        let headers = [("content-type", "a/b"), ("authorization", "mine")];
        let got = caller.call(method, &target, &headers, sent).await;
        assert_eq!(got.status, 200, "{method} {status}: {got:?}");
        let lines: Vec<_> = got.text().lines().collect();
        assert_eq!(lines.first().copied().unwrap_or_default(), line);
        if let [_, told, ..] = &lines[..] {
            assert_eq!(lines.get(2).copied().unwrap_or_default(), body);
            assert!(told.contains(r#""authorization": "mine""#), "{told}");
            let referer = format!(
                r#""referer": "http://localhost:{}/to/{status}/elsewhere""#,
                service.port
            );
            assert!(told.contains(&referer), "{told}");
        }
    }
    let got = caller.get("/v1.0/invoke/ep/method/loop").await;
    let url = format!("http://localhost:{}/loop", service.port);
    assert_eq!(
        got.message(),
        format!("failed to invoke, id: ep, err: Get \"{url}\": stopped after 10 redirects")
    );
}

#[tokio::test]
async fn a_stream_is_not_sent_again() {
    let service = redirecting().await;
    let caller = caller(vec![endpoint("ep", format!("http://127.0.0.1:{}", service.port))]).await;
    let got = caller
        .chunked("/v1.0/invoke/ep/method/to/307/elsewhere", vec!["a".into()])
        .await;
    assert_eq!((got.status.as_u16(), got.header("location")), (307, "/elsewhere?q"));
}

/// A server behind TLS whose certificate nobody knows, but those who have its authority.
async fn secret_service() -> (u16, String, DropGuard) {
    use rustls::ServerConfig;
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let root = key.cert.pem();
    let chain = vec![key.cert.der().clone()];
    let private = rustls::pki_types::PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(client::tls::provider())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .expect("a configuration");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("has an address").port();
    let cancel = CancellationToken::new();
    let end = cancel.clone();
    tokio::spawn(async move {
        loop {
            let stream = tokio::select! {
                () = end.cancelled() => return,
                accepted = listener.accept() => accepted.expect("accepts").0,
            };
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(|request: Request<Incoming>| async move {
                    let line = format!("{:?} {} {}", request.version(), request.method(), request.uri().path());
                    Ok::<_, Infallible>(Response::new(api::body::full(line)))
                });
                let _ended = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (port, root, cancel.drop_guard())
}

#[tokio::test]
async fn behind_tls() {
    let (port, root, _end) = secret_service().await;
    let mut known = endpoint("known", format!("https://localhost:{port}"));
    known.root_ca = root;
    let caller = caller(vec![known, endpoint("unknown", format!("https://localhost:{port}"))]).await;
    for _ in 0..3 {
        let got = caller.get("/v1.0/invoke/known/method/hello").await;
        assert_eq!((got.status.as_u16(), got.text()), (200, "HTTP/2.0 GET /hello"));
    }
    let got = caller.get("/v1.0/invoke/unknown/method/hello").await;
    assert!(got.message().contains("tls: failed to verify certificate"), "{got:?}");
}
