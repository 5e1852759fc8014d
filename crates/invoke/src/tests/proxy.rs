//! gRPC calls that are passed on as they are.

use super::*;
use crate::{download::fault_in, rpc};
use bytes::{Buf, BufMut, BytesMut};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

fn framed(message: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_u32(message.len() as u32);
    out.put_slice(message);
    out.freeze()
}

/// Echoes messages as they come, with metadata before and behind; `/t.T/Fail` fails at once.
async fn echo() -> Served {
    serve(|request: Request<Incoming>| async move {
        let path = request.uri().path().to_owned();
        let told = format!("{:?}", request.headers());
        if path == "/t.T/Fail" {
            let mut trailers = crate::upload::bad(9, "nope");
            trailers.insert("x-trail", "t".parse().expect("a value"));
            return rpc::refusal(HeaderMap::new(), trailers);
        }
        let (sender, receiver) = mpsc::channel::<Result<http_body::Frame<Bytes>, BodyError>>(4);
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                if let Ok(data) = frame.into_data()
                    && sender.send(Ok(http_body::Frame::data(data))).await.is_err()
                {
                    return;
                }
            }
            let mut trailers = crate::upload::good();
            trailers.insert("x-trail", "t".parse().expect("a value"));
            let _gone = sender.send(Ok(http_body::Frame::trailers(trailers))).await;
        });
        let mut headers = HeaderMap::new();
        headers.insert("x-init", "i".parse().expect("a value"));
        headers.insert("x-told", told.parse().expect("a value"));
        let stream = http_body_util::StreamBody::new(ReceiverStream::new(receiver));
        rpc::response(headers, BodyExt::boxed_unsync(stream))
    })
    .await
}

async fn send(sidecar: &Sidecar, path: &str, headers: &[(&'static str, &str)], body: Body) -> Response<Body> {
    let headers = headers.iter().map(|(name, value)| {
        let name = ::http::HeaderName::from_static(name);
        (name, value.parse().expect("a value"))
    });
    let target = sidecar.grpc.request_uri(path).expect("a target");
    let request = rpc::request(target, headers.collect(), body);
    sidecar.grpc.send(request).await.expect("an answer")
}

async fn unary(sidecar: &Sidecar, path: &str, headers: &[(&'static str, &str)], message: &[u8]) -> rpc::Reply {
    let response = send(sidecar, path, headers, api::body::full(framed(message))).await;
    rpc::read(response, usize::MAX).await.expect("a reply")
}

#[tokio::test]
async fn calls_and_their_metadata() {
    let app = echo().await;
    let (caller, _callee) = pair(&app, "grpc").await;
    for id in ["caller", "callee"] {
        let sent = [
            ("dapr-app-id", id),
            ("x-a", "1"),
            ("foo-bin", "AQI"),
            ("dapr-api-token", "t"),
            ("dapr-caller-app-id", "forged"),
        ];
        let reply = unary(&caller, "/t.T/Echo", &sent, b"hello").await;
        assert_eq!(reply.message, "hello");
        assert_eq!(
            (&reply.headers["x-init"], &reply.trailers["x-trail"]),
            (&"i".parse().expect("i"), &"t".parse().expect("t"))
        );
        let told = reply.headers["x-told"].to_str().expect("text").to_owned();
        for there in [r#""x-a": "1""#, r#""foo-bin": "AQI""#, r#""te": "trailers""#] {
            assert!(told.contains(there), "{id} {there}: {told}");
        }
        assert!(
            !told.contains("dapr-api-token") && !told.contains("\"dapr-app-id\""),
            "{told}"
        );
        let from = if id == "caller" { "forged" } else { "caller" };
        assert!(told.contains(&format!(r#""dapr-caller-app-id": "{from}""#)), "{told}");
        assert_eq!(told.contains(r#""dapr-callee-app-id": "callee""#), id == "callee");
        let reply = unary(&caller, "/t.T/Fail", &[("dapr-app-id", id)], b"").await;
        let fault = fault_in(&reply.trailers).expect("a fault");
        assert_eq!((fault.code, &*fault.text), (Some(9), "nope"));
        assert_eq!(reply.trailers["x-trail"], "t");
    }
    let reply = unary(&caller, "/t.T/Echo", &[("dapr-callee-app-id", "callee")], b"x").await;
    assert_eq!(reply.message, "x");
}

#[tokio::test]
async fn calls_to_nobody() {
    let app = echo().await;
    let (caller, _callee) = pair(&app, "grpc").await;
    for (headers, why) in [
        (
            &[][..],
            "cannot proxy request: missing dapr-callee-app-id or dapr-app-id metadata",
        ),
        (&[("dapr-app-id", "")], "app id is empty"),
        (&[("dapr-app-id", "a.b.c")], "invalid app id a.b.c"),
        (&[("dapr-app-id", "nosuch")], "couldn't find service: nosuch"),
    ] {
        let reply = unary(&caller, "/t.T/Echo", headers, b"x").await;
        let fault = fault_in(&reply.trailers).expect("a fault");
        assert_eq!((fault.code, &*fault.text), (Some(2), why));
    }
}

#[tokio::test]
async fn messages_go_to_and_fro() {
    let app = echo().await;
    let (caller, _callee) = pair(&app, "grpc").await;
    for (id, stream) in [("caller", "true"), ("callee", "true"), ("callee", "false")] {
        let (sender, receiver) = mpsc::channel(1);
        sender.send(framed(b"0")).await.expect("is taken");
        let body = streaming::body(ReceiverStream::new(receiver));
        let headers = [("dapr-app-id", id), ("dapr-stream", stream)];
        let mut response = send(&caller, "/t.T/Echo", &headers, body).await.into_body();
        for n in 0..20 {
            if n > 0 {
                sender.send(framed(n.to_string().as_bytes())).await.expect("is taken");
            }
            let frame = tokio::time::timeout(Duration::from_secs(5), response.frame()).await;
            let data = frame
                .expect("in time")
                .expect("more")
                .expect("a frame")
                .into_data()
                .expect("data");
            assert_eq!(data, framed(n.to_string().as_bytes()));
        }
        drop(sender);
        let trailers = response
            .frame()
            .await
            .expect("more")
            .expect("a frame")
            .into_trailers()
            .expect("trailers");
        assert_eq!(
            (&trailers["grpc-status"], &trailers["x-trail"]),
            (&"0".parse().expect("0"), &"t".parse().expect("t"))
        );
    }
}

#[tokio::test]
async fn messages_over_the_limit() {
    let app = echo().await;
    let (caller, _callee) = pair(&app, "grpc").await;
    for id in ["caller", "callee"] {
        let fits = vec![b'x'; 4 << 20];
        let reply = unary(&caller, "/t.T/Echo", &[("dapr-app-id", id)], &fits).await;
        assert_eq!(reply.message.len(), fits.len());
        let large = vec![b'x'; (4 << 20) + 1];
        let reply = unary(&caller, "/t.T/Echo", &[("dapr-app-id", id)], &large).await;
        let fault = fault_in(&reply.trailers).expect("a fault");
        let why = "grpc: received message larger than max (4194305 vs. 4194304)";
        assert_eq!((fault.code, &*fault.text), (Some(8), why), "{id}");
    }
    // What another sidecar lets through is still measured.
    let names = Names::default();
    let mut small = Setup::new("callee").app(&app).protocol("grpc");
    small.limit = 1000;
    let _callee = start(small, &names).await;
    let caller = start(Setup::new("caller"), &names).await;
    let reply = unary(&caller, "/t.T/Echo", &[("dapr-app-id", "callee")], &[0; 1001]).await;
    let fault = fault_in(&reply.trailers).expect("a fault");
    assert_eq!(
        (fault.code, fault.text.contains("1001 vs. 1000")),
        (Some(8), true),
        "{fault:?}"
    );
}

#[tokio::test]
async fn not_for_this_sidecar() {
    let app = echo().await;
    let (_caller, callee) = pair(&app, "grpc").await;
    let direct = client(&callee.internal, Version::Http2);
    let target = direct.request_uri("/t.T/Echo").expect("a target");
    let headers = [(
        ::http::HeaderName::from_static("dapr-callee-app-id"),
        "other".parse().expect("a value"),
    )];
    let request = rpc::request(target, headers.into_iter().collect(), api::body::full(framed(b"x")));
    let reply = rpc::read(direct.send(request).await.expect("an answer"), 1000)
        .await
        .expect("a reply");
    assert_eq!(fault_in(&reply.trailers).and_then(|fault| fault.code), Some(2));
    assert_eq!(framed(b"x").slice(1..).get_u32(), 1);
}
