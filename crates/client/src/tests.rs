use super::*;
use component::middleware::{empty, full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use std::convert::Infallible;
use tokio::net::TcpListener;

async fn server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("has an address").to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let service = service_fn(|r: Request<Incoming>| async move {
                    let path = r.uri().path().to_owned();
                    let body = r.into_body().collect().await.expect("a body").to_bytes();
                    Ok::<_, Infallible>(
                        Response::builder()
                            .header("path", path)
                            .body(full(body))
                            .expect("an answer"),
                    )
                });
                let _ended = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

#[tokio::test]
async fn sends_over_both_versions() {
    let address = server().await;
    for version in [Version::Http1, Version::Http2] {
        let client = Client::new(
            Address::Tcp(address.clone()),
            Options {
                version,
                ..Options::default()
            },
        );
        for round in 0..3 {
            let uri = client.request_uri("/a/b?c").expect("a target");
            let request = Request::post(uri)
                .header("host", client.authority())
                .body(full(format!("hello {round}")))
                .expect("a request");
            let response = client.send(request).await.expect("an answer");
            assert_eq!(response.headers()["path"], "/a/b");
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(body, format!("hello {round}"));
        }
        assert!(client.0.http1.idle_count() <= 1, "one connection served all");
    }
}

#[tokio::test]
async fn refused_is_unsent() {
    let client = Client::new(Address::Tcp("127.0.0.1:1".into()), Options::default());
    let error = client
        .send(Request::get("/").body(empty()).expect("a request"))
        .await
        .expect_err("nobody listens");
    assert!(error.is_unsent());
    assert_eq!(error.to_string(), "dial tcp 127.0.0.1:1: connect: connection refused");
}
