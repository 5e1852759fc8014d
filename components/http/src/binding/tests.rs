use super::*;
use crate::client::Tls;
use component::{Config, Properties};
use http_body_util::Full;
use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// What the server saw: method, path and query, headers, body.
#[derive(Debug, Clone)]
struct Seen {
    line: String,
    headers: BTreeMap<String, String>,
    body: String,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<Vec<Seen>>>);

impl Server {
    async fn start() -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("has an address");
        let this = Self::default();
        let server = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let service = service_fn(move |request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        (this, address)
    }

    async fn answer(&self, request: http::Request<Incoming>) -> http::Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let seen = Seen {
            line: format!("{} {path}", head.method),
            headers: head
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), text(value)))
                .collect(),
            body: String::from_utf8_lossy(&body.collect().await.expect("a body").to_bytes()).into_owned(),
        };
        self.0.lock().push(seen);
        let parts: Vec<&str> = path.split(['/', '?']).collect();
        let mut response = http::Response::builder().header("x-rep", "1").header("x-rep", "2");
        let mut body = "ok".to_owned();
        match parts.as_slice() {
            [_, "status", code, ..] => {
                response = response.status(*code);
                body = "body of status".into();
            }
            [_, "redirect", code, ..] => response = response.status(*code).header("location", "/landed?x=1"),
            [_, "elsewhere", port] => {
                response = response
                    .status(307)
                    .header("location", format!("http://localhost:{port}/landed"));
            }
            [_, "loop"] => response = response.status(302).header("location", "loop"),
            [_, "big", size] => body = "x".repeat(size.parse().expect("a number")),
            [_, "slow"] => tokio::time::sleep(Duration::from_secs(60)).await,
            _ => response = response.header("content-type", "text/x-y"),
        }
        response.body(Full::from(body)).expect("a response")
    }

    fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut self.0.lock())
    }

    fn one(&self) -> Seen {
        let mut all = self.take();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }
}

async fn open(pairs: &[(&str, &str)]) -> Http {
    let properties: Properties = pairs.iter().copied().collect();
    Http::open(Options::decode(&properties).expect("decodes"), Open::default())
        .await
        .expect("opens")
}

fn invoke(operation: &str, metadata: &[(&str, &str)]) -> Invoke {
    Invoke {
        operation: operation.into(),
        data: "data".into(),
        metadata: metadata
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
    }
}

#[tokio::test]
async fn each_operation_is_a_method() {
    let (server, address) = Server::start().await;
    let binding = open(&[("url", &format!("http://{address}/base"))]).await;
    for operation in binding.operations() {
        let response = binding.invoke(invoke(&operation, &[])).await.expect("answers");
        let seen = server.one();
        let method = if operation == "create" {
            "POST".into()
        } else {
            operation.to_uppercase()
        };
        assert_eq!(seen.line, format!("{method} /base"));
        let with_body = ["POST", "PUT", "PATCH"].contains(&method.as_str());
        assert_eq!(seen.body, if with_body { "data" } else { "" });
        assert_eq!(seen.headers["accept"], "application/json; charset=utf-8");
        assert_eq!(seen.headers.contains_key("content-type"), with_body);
        assert_eq!(response.metadata["statusCode"], "200");
        assert_eq!(response.metadata["status"], "200 OK");
        assert_eq!(response.metadata["X-Rep"], "1, 2");
        assert_eq!(response.metadata["Content-Type"], "text/x-y");
        assert_eq!(response.data.expect("a body"), if method == "HEAD" { "" } else { "ok" });
    }
    let error = binding.invoke(invoke("list", &[])).await.expect_err("is unknown").error;
    assert_eq!(error.kind, component::ErrorKind::Unsupported);
}

#[tokio::test]
async fn the_path_is_put_behind_the_url() {
    let (server, address) = Server::start().await;
    for (url, path, line) in [
        ("/base", "x", "/base/x"),
        ("/base/", "//x", "/base/x"),
        ("/base", "", "/base"),
        ("/base", "../x", "/base/../x"),
        ("", "x?y=1&z=%20", "/x?y=1&z=%20"),
        ("", "", "/"),
        ("?q=1", "", "/?q=1"),
        ("/base#part", "a b%20é#f", "/base"),
        ("/base", "a b%20é#f", "/base/a%20b%20%C3%A9"),
    ] {
        let binding = open(&[("url", &format!("http://{address}{url}"))]).await;
        binding.invoke(invoke("get", &[("path", path)])).await.expect("answers");
        assert_eq!(server.one().line, format!("GET {line}"));
    }
    for url in [
        "127.0.0.1:1",
        "ftp://host/",
        "http://",
        "",
        "http://[::1",
        "http://a b/",
    ] {
        let Ok(target) = Target::new(url, None) else { continue };
        panic!("{url}: {target}");
    }
}

#[tokio::test]
async fn metadata_with_a_capital_are_headers() {
    let (server, address) = Server::start().await;
    let binding = open(&[
        ("url", &format!("http://us%40er:pass@{address}")),
        ("securityToken", "secret"),
        ("securityTokenHeader", "X-Token"),
    ])
    .await;
    let given = [
        ("Foo", "1"),
        ("bar", "2"),
        ("Content-Type", "c/d"),
        ("Accept", "x/y"),
        ("User-Agent", "me"),
        ("Host", "elsewhere"),
        ("Content-Length", "3"),
        ("Traceparent", "capital"),
        ("traceparent", "small"),
        ("baggage", "k=v"),
        ("É", "x"),
        ("X-Utf", " é "),
    ];
    binding.invoke(invoke("post", &given)).await.expect("answers");
    let headers = server.one().headers;
    for (name, value) in [
        ("foo", "1"),
        ("content-type", "c/d"),
        ("accept", "x/y"),
        ("user-agent", "me"),
        ("host", &address.to_string()),
        ("content-length", "4"),
        ("traceparent", "small"),
        ("baggage", "k=v"),
        ("x-utf", "é"),
        ("x-token", "secret"),
        ("authorization", "Basic dXNAZXI6cGFzcw=="),
    ] {
        assert_eq!(headers.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(!headers.contains_key("bar"));
    binding
        .invoke(invoke("get", &[("X-Token", "mine"), ("Authorization", "own")]))
        .await
        .expect("answers");
    let headers = server.one().headers;
    assert_eq!(
        (headers["x-token"].as_str(), headers["authorization"].as_str()),
        ("mine", "own")
    );
    for (name, value) in [("Bad Name", "x"), ("X-Nl", "a\nb")] {
        let error = binding
            .invoke(invoke("get", &[(name, value)]))
            .await
            .expect_err("is wrong")
            .error;
        assert!(error.message.contains("invalid header field"), "{error}");
    }
    assert!(server.take().is_empty());
}

#[tokio::test]
async fn other_statuses_than_2xx_are_errors_unless_told_otherwise() {
    let (_server, address) = Server::start().await;
    let url = format!("http://{address}");
    let strict = open(&[("url", &url)]).await;
    let error = strict
        .invoke(invoke("get", &[("path", "status/404")]))
        .await
        .expect_err("is refused");
    assert_eq!(error.error.message, "received status code 404");
    let response = error.response.expect("has an answer");
    assert_eq!(response.metadata["statusCode"], "404");
    assert_eq!(response.metadata["status"], "404 Not Found");
    assert_eq!(response.data.expect("a body"), "body of status");
    for word in ["false", "0", "no"] {
        let given = [("path", "status/404"), ("errorIfNot2XX", word)];
        let response = strict.invoke(invoke("get", &given)).await.expect("is taken");
        assert_eq!(response.metadata["statusCode"], "404");
    }
    strict
        .invoke(invoke("get", &[("path", "status/204")]))
        .await
        .expect("is 2xx");
    let lenient = open(&[("url", &url), ("errorIfNot2XX", "false")]).await;
    lenient
        .invoke(invoke("get", &[("path", "status/500")]))
        .await
        .expect("is taken");
    let given = [("path", "status/500"), ("errorIfNot2XX", "true")];
    lenient.invoke(invoke("get", &given)).await.expect_err("is refused");
}

#[tokio::test]
async fn redirections_are_followed() {
    let (server, address) = Server::start().await;
    let (other, other_address) = Server::start().await;
    let binding = open(&[("url", &format!("http://{address}"))]).await;
    for (code, operation, method, body) in [
        ("301", "post", "GET", ""),
        ("302", "put", "GET", ""),
        ("303", "delete", "GET", ""),
        ("302", "head", "HEAD", ""),
        ("307", "post", "POST", "data"),
        ("308", "put", "PUT", "data"),
    ] {
        let path = format!("redirect/{code}");
        let given = [("path", path.as_str()), ("X-A", "1"), ("Authorization", "a")];
        let response = binding.invoke(invoke(operation, &given)).await.expect("answers");
        assert_eq!(response.metadata["statusCode"], "200");
        let last = server.take().pop().expect("was called");
        assert_eq!(
            (last.line.as_str(), last.body.as_str()),
            (format!("{method} /landed?x=1").as_str(), body)
        );
        assert_eq!(last.headers["x-a"], "1");
        assert_eq!(last.headers["authorization"], "a");
        assert_eq!(last.headers["referer"], format!("http://{address}/redirect/{code}"));
        assert_eq!(last.headers.contains_key("content-type"), !body.is_empty());
    }
    let path = format!("elsewhere/{}", other_address.port());
    let given = [
        ("path", path.as_str()),
        ("Authorization", "a"),
        ("Cookie", "b"),
        ("X-A", "1"),
    ];
    binding.invoke(invoke("post", &given)).await.expect("answers");
    let headers = other.one().headers;
    assert!(!headers.contains_key("authorization") && !headers.contains_key("cookie"));
    assert_eq!(headers["x-a"], "1");
    server.take();
    let error = binding
        .invoke(invoke("get", &[("path", "loop")]))
        .await
        .expect_err("never ends")
        .error;
    assert!(error.message.ends_with("stopped after 10 redirects"), "{error}");
    assert_eq!(server.take().len(), 10);
}

#[tokio::test]
async fn limits() {
    let (_server, address) = Server::start().await;
    let url = format!("http://{address}");
    let binding = open(&[
        ("url", &url),
        ("maxResponseBodySize", "1Ki"),
        ("responseTimeout", "100ms"),
    ])
    .await;
    binding
        .invoke(invoke("get", &[("path", "big/1024")]))
        .await
        .expect("fits");
    let error = binding
        .invoke(invoke("get", &[("path", "big/1025")]))
        .await
        .expect_err("is too long");
    assert_eq!(error.response.expect("has an answer").metadata["statusCode"], "200");
    let error = binding
        .invoke(invoke("get", &[("path", "slow")]))
        .await
        .expect_err("is late")
        .error;
    assert_eq!(error.message, format!("Get \"{url}/slow\": context deadline exceeded"));
    assert!(error.is_transient());
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("binds")
        .local_addr()
        .expect("an address");
    let binding = open(&[("url", &format!("http://{nobody}"))]).await;
    let error = binding
        .invoke(invoke("get", &[]))
        .await
        .expect_err("nobody is there")
        .error;
    assert!(error.message.to_lowercase().contains("connection refused"), "{error}");
    assert!(error.is_transient());
}

#[test]
fn sizes() {
    use component::config::Value;
    for (text, size) in [
        ("10", Some(10)),
        ("1Ki", Some(1024)),
        (" 2M ", Some(2_000_000)),
        ("0", None),
        ("-1", None),
    ] {
        assert_eq!(Size::parse(text), Ok(Size(size)), "{text}");
    }
    for text in ["", "Ki", "1.5Mi", "99999999999Ti", "1X"] {
        assert!(Size::parse(text).is_err(), "{text}");
    }
}

/// A certificate that vouches for itself and its key, in PEM.
fn certificate() -> (String, String) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".into()]).expect("a name");
    let certificate = params.self_signed(&key).expect("signs");
    (certificate.pem(), key.serialize_pem())
}

/// A server that wants to see a certificate of its clients. Answers `ok` to anything.
async fn start_tls(server: &(String, String), client: &str) -> SocketAddr {
    use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    for root in Tls::certificates(client).expect("parses") {
        roots.add(root).expect("is a root");
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("builds"))
        .with_single_cert(
            Tls::certificates(&server.0).expect("parses"),
            Tls::key(&server.1).expect("parses"),
        )
        .expect("fits");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(stream).await else {
                continue;
            };
            let service = service_fn(|_| async { Ok::<_, Infallible>(http::Response::new(Full::<Bytes>::from("ok"))) });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

#[tokio::test]
async fn tls_with_certificates_of_both_sides() {
    let (server, mine, other) = (certificate(), certificate(), certificate());
    let address = start_tls(&server, &mine.0).await;
    let url = format!("https://localhost:{}", address.port());
    let dir = tempfile::tempdir().expect("a folder");
    let key_file = dir.path().join("key.pem");
    std::fs::write(&key_file, &mine.1).expect("writes");
    let key_file = key_file.to_str().expect("is text");
    let binding = open(&[
        ("url", &url),
        ("MTLSRootCA", &server.0),
        ("MTLSClientCert", &mine.0),
        ("MTLSClientKey", key_file),
        ("MTLSRenegotiation", "RenegotiateOnceAsClient"),
    ])
    .await;
    let response = binding.invoke(invoke("post", &[])).await.expect("answers");
    assert_eq!(response.data.expect("a body"), "ok");
    for pairs in [
        vec![("url", url.as_str()), ("MTLSRootCA", &server.0)],
        vec![
            ("url", &url),
            ("MTLSRootCA", &other.0),
            ("MTLSClientCert", &mine.0),
            ("MTLSClientKey", &mine.1),
        ],
        vec![
            ("url", &url),
            ("MTLSRootCA", &server.0),
            ("MTLSClientCert", &other.0),
            ("MTLSClientKey", &other.1),
        ],
    ] {
        open(&pairs)
            .await
            .invoke(invoke("get", &[]))
            .await
            .expect_err("is not trusted");
    }
}

#[tokio::test]
async fn wrong_tls_options_are_told_at_once() {
    let (mine, other) = (certificate(), certificate());
    for pairs in [
        vec![("MTLSRootCA", "/no/such/file")],
        vec![("MTLSRootCA", "-----BEGIN nothing")],
        vec![("MTLSClientCert", mine.0.as_str())],
        vec![("MTLSClientKey", &mine.1)],
        vec![("MTLSClientCert", &mine.0), ("MTLSClientKey", &mine.0)],
        vec![("MTLSClientCert", &mine.0), ("MTLSClientKey", &other.1)],
    ] {
        let properties: Properties = pairs.iter().chain(&[("url", "https://localhost")]).copied().collect();
        let options = Options::decode(&properties).expect("decodes");
        assert!(Http::open(options, Open::default()).await.is_err(), "{pairs:?}");
    }
    let properties: Properties = [("url", "x"), ("MTLSRenegotiation", "Sometimes")].into_iter().collect();
    assert!(Options::decode(&properties).is_err());
}
