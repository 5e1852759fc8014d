//! `InvokeService`, and applications that speak gRPC.

use super::*;
use crate::{
    download::fault_in,
    rpc::{self, Reply},
};
use ::wire::{
    common::v1::{HttpExtension, InvokeRequest, InvokeResponse, http_extension::Verb},
    google::protobuf::Any,
    runtime::v1::InvokeServiceRequest,
};
use prost::Message;

/// A gRPC application: what it is asked for tells what it answers; with `x` it tells what it received.
pub(super) async fn grpc_app() -> Served {
    serve(|request: Request<Incoming>| async move {
        let (parts, body) = request.into_parts();
        let body = body.map_err(Into::into).boxed_unsync();
        let message = rpc::read_request(body, 8 << 20).await.expect("a message");
        let request = InvokeRequest::decode(message).expect("a request");
        if let Some(code) = request.method.strip_prefix("fail/") {
            let mut trailers = crate::upload::bad(code.parse().expect("a code"), "my message");
            trailers.insert("x-trail", "t".parse().expect("a value"));
            return rpc::refusal(HeaderMap::new(), trailers);
        }
        let mut headers: Vec<String> = parts
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or_default()))
            .collect();
        headers.sort();
        let extension = request.http_extension.clone().unwrap_or_default();
        let mut lines = vec![format!(
            "{} {} {}",
            request.method,
            extension.verb().as_str_name(),
            extension.querystring
        )];
        lines.extend(headers);
        let data = request.data.unwrap_or_default();
        lines.push(String::from_utf8_lossy(&data.value).into_owned());
        let answer = InvokeResponse {
            data: Some(Any {
                type_url: data.type_url,
                value: lines.join("\n").into(),
            }),
            content_type: request.content_type,
        };
        let mut trailers = crate::upload::good();
        trailers.insert("x-trail", "t".parse().expect("a value"));
        let mut headers = HeaderMap::new();
        headers.insert("x-init", "i".parse().expect("a value"));
        headers.insert("b-bin", "AQI".parse().expect("a value"));
        rpc::answer(headers, rpc::framed(&answer), trailers)
    })
    .await
}

/// `InvokeService` with what is usual: a POST of JSON.
async fn invoke(sidecar: &Sidecar, id: &str, request: InvokeRequest, headers: &[(&'static str, &str)]) -> Reply {
    let request = InvokeServiceRequest {
        id: id.to_owned(),
        message: Some(request),
    };
    let target = sidecar.grpc.request_uri("/dapr.proto.runtime.v1.Dapr/InvokeService");
    let headers = headers.iter().map(|(name, value)| {
        let name = ::http::HeaderName::from_static(name);
        (name, value.parse().expect("a value"))
    });
    let body = api::body::full(rpc::framed(&request));
    let request = rpc::request(target.expect("a target"), headers.collect(), body);
    let response = sidecar.grpc.send(request).await.expect("an answer");
    rpc::read(response, usize::MAX).await.expect("a reply")
}

fn post(method: &str, data: &str) -> InvokeRequest {
    InvokeRequest {
        method: method.to_owned(),
        data: Some(Any {
            type_url: String::new(),
            value: data.into(),
        }),
        content_type: "application/json".into(),
        http_extension: Some(HttpExtension {
            verb: Verb::Post.into(),
            querystring: "a=b%20&c".into(),
        }),
    }
}

fn good(reply: &Reply) -> InvokeResponse {
    assert!(fault_in(&reply.trailers).is_none(), "{:?}", reply.trailers);
    InvokeResponse::decode(reply.message.clone()).expect("an answer")
}

fn lines(response: &InvokeResponse) -> Vec<String> {
    let data = response.data.clone().unwrap_or_default().value;
    let text = String::from_utf8(data).expect("text");
    text.lines().map(str::to_owned).collect()
}

fn fault(reply: &Reply) -> (i32, String) {
    let fault = fault_in(&reply.trailers).expect("a fault");
    (fault.code.unwrap_or_default(), fault.text)
}

#[tokio::test]
async fn from_grpc_to_http() {
    let app = mirror().await;
    let (caller, _callee) = pair(&app, "http").await;
    let sent = [
        ("x-a", "1"),
        ("foo-bin", "AQI"),
        ("authorization", "z"),
        ("grpc-timeout", "5S"),
    ];
    for id in ["caller", "callee"] {
        let reply = invoke(&caller, id, post("x/y", "{}"), &sent).await;
        let response = good(&reply);
        let got = lines(&response);
        assert_eq!(got[0], "POST /x/y?a=b%20&c");
        for line in [
            "content-type: application/json",
            "content-length: 2",
            "x-a: 1",
            "authorization: z",
            "{}",
        ] {
            assert!(got.contains(&line.to_owned()), "{id} {line}: {got:?}");
        }
        assert!(
            !got.iter().any(|line| line.contains("bin") || line.contains("timeout")),
            "{got:?}"
        );
        assert_eq!(reply.headers["dapr-http-status"], "200");
        for (method, want) in [
            ("a%25b", "/a%25b"),
            ("a b/é", "/a%20b/%C3%A9"),
            ("a/../b/", "/b"),
            ("", "/"),
            ("/lead", "/lead"),
        ] {
            let response = good(&invoke(&caller, id, post(method, ""), &[]).await);
            assert_eq!(lines(&response)[0], format!("POST {want}?a=b%20&c"));
        }
        let mut typed = post("x", "abc");
        typed.data.as_mut().expect("data").type_url = "mine".into();
        let got = lines(&good(&invoke(&caller, id, typed, &[]).await));
        assert!(
            got.contains(&"content-type: application/x-protobuf".to_owned()),
            "{got:?}"
        );
    }
}

#[tokio::test]
async fn what_http_lacks() {
    let app = mirror().await;
    let (caller, _callee) = pair(&app, "http").await;
    let channel = "rpc error: code = Internal desc = error invoking app channel: ";
    for (verb, why) in [
        (None, "missing HTTP extension field"),
        (Some(Verb::None), "invalid HTTP verb"),
    ] {
        for (id, channel) in [("caller", ""), ("callee", channel)] {
            let mut request = post("x", "");
            request.http_extension = verb.map(|verb| HttpExtension {
                verb: verb.into(),
                querystring: String::new(),
            });
            let why =
                format!("failed to invoke, id: {id}, err: {channel}rpc error: code = InvalidArgument desc = {why}");
            assert_eq!(fault(&invoke(&caller, id, request, &[]).await), (13, why));
        }
    }
    let reply = invoke(&caller, "nosuch", post("x", ""), &[]).await;
    let why = "failed to invoke, id: nosuch, err: couldn't find service: nosuch";
    assert_eq!(fault(&reply), (13, why.to_owned()));
    let reply = invoke(&caller, "callee", post("a#b", ""), &[]).await;
    assert!(
        fault(&reply)
            .1
            .ends_with(r#"method contains forbidden character: "a#b""#)
    );
}

#[tokio::test]
async fn statuses_of_http_become_codes() {
    let app = serve(|request: Request<Incoming>| async move {
        let status: u16 = request.uri().path()[1..].parse().unwrap_or(200);
        let answer = Response::builder().status(status).header("content-type", "text/plain");
        answer.body(api::body::full("e".repeat(100))).expect("an answer")
    })
    .await;
    let (caller, _callee) = pair(&app, "http").await;
    for id in ["caller", "callee"] {
        for (status, code, words) in [
            (400, 13, "Bad Request"),
            (403, 7, "Forbidden"),
            (404, 5, "Not Found"),
            (429, 8, "Too Many Requests"),
            (500, 2, "Internal Server Error"),
            (503, 14, "Service Unavailable"),
            (302, 2, "Found"),
        ] {
            let reply = invoke(&caller, id, post(&status.to_string(), ""), &[]).await;
            assert_eq!(fault(&reply), (code, words.to_owned()), "{id} {status}");
            assert_eq!(reply.headers["dapr-http-status"], status.to_string().as_str());
            let details = fault_in(&reply.trailers).expect("a fault").details;
            let status = tonic::Status::with_details(code.into(), "", details);
            let info = tonic_types::StatusExt::get_details_error_info(&status).expect("an ErrorInfo");
            assert_eq!(info.reason, words);
            assert_eq!(info.metadata["http.error_message"], "e".repeat(63));
        }
        let reply = invoke(&caller, id, post("204", ""), &[]).await;
        assert!(good(&reply).data.expect("data").value.is_empty());
        assert_eq!(reply.headers["dapr-http-status"], "204");
    }
}

#[tokio::test]
async fn from_grpc_to_grpc() {
    let app = grpc_app().await;
    let (caller, _callee) = pair(&app, "grpc").await;
    for id in ["caller", "callee"] {
        let reply = invoke(&caller, id, post("x%25/y", "{}"), &[("foo-bin", "AQI"), ("x-a", "1")]).await;
        let response = good(&reply);
        assert_eq!(response.content_type, "application/json");
        let got = lines(&response);
        assert_eq!(got[0], "x%25/y POST a=b%20&c");
        for line in ["x-a: 1", "grpc-trace-bin: ", "{}"] {
            assert!(got.contains(&line.to_owned()), "{id} {line}: {got:?}");
        }
        assert!(got.iter().any(|line| line.starts_with("foo-bin: AQI")), "{got:?}");
        assert_eq!(reply.headers["x-init"], "i");
        assert!(reply.headers["b-bin"].as_bytes().starts_with(b"AQI"));
        assert_eq!(reply.trailers["x-trail"], "t");
        for code in [1, 2, 5, 14, 16, 20] {
            let reply = invoke(&caller, id, post(&format!("fail/{code}"), ""), &[]).await;
            assert_eq!(fault(&reply), (code, "my message".to_owned()), "{id}");
            assert_eq!(reply.trailers["x-trail"], "t");
        }
    }
}

#[tokio::test]
async fn from_http_to_grpc() {
    let app = grpc_app().await;
    let (caller, _callee) = pair(&app, "grpc").await;
    let sent = [
        ("accept", "a/b"),
        ("foo-bin", "AAEC"),
        ("connection", "X-Foo"),
        ("content-type", "t/x"),
        ("cookie", "a=b"),
    ];
    for id in ["caller", "callee"] {
        let target = format!("/v1.0/invoke/{id}/method/a%25/y?q");
        let got = caller.call("PUT", &target, &sent, "{}").await;
        let text = got.text().to_owned();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "a%/y PUT q");
        for line in [
            "dapr-accept: a/b",
            "foo-bin: QUFFQw",
            "dapr-connection: X-Foo",
            "dapr-content-type: t/x",
            "dapr-cookie: a=b",
            "dapr-content-length: 2",
            "traceparent: 00-00000000000000000000000000000000-0000000000000000-00",
        ] {
            assert!(lines.contains(&line), "{id} {line}: {lines:?}");
        }
        assert_eq!(
            (got.header("content-type"), got.header("x-init"), got.header("b-bin")),
            ("t/x", "i", "")
        );
        for (code, status) in [(1, 408), (5, 404), (7, 403), (12, 501), (14, 503), (16, 401), (2, 500)] {
            let got = caller.get(&format!("/v1.0/invoke/{id}/method/fail/{code}")).await;
            assert_eq!(got.status.as_u16(), status);
            assert_eq!(got.text(), format!(r#"{{"code":{code},"message":"my message"}}"#));
        }
    }
}

/// One connection may take a hundred calls at a time; more calls make more connections.
#[tokio::test]
async fn many_calls_at_a_time() {
    let barrier = Arc::new(tokio::sync::Barrier::new(150));
    let shared = barrier.clone();
    let app = serve(move |_| {
        let barrier = shared.clone();
        async move {
            barrier.wait().await;
            rpc::answer(
                HeaderMap::new(),
                rpc::framed(&InvokeResponse::default()),
                crate::upload::good(),
            )
        }
    })
    .await;
    let names = Names::default();
    let caller = start(Setup::new("caller").app(&app).protocol("grpc"), &names).await;
    let calls = (0..150).map(|_| invoke(&caller, "caller", post("x", ""), &[]));
    let replies = tokio::time::timeout(Duration::from_secs(20), futures_util::future::join_all(calls)).await;
    for reply in replies.expect("in time") {
        good(&reply);
    }
}
