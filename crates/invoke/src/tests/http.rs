//! Calls over HTTP: whom, what, with which headers, and what comes back.

use super::*;

/// The lines that an application received, the host left out.
fn received(got: &Got) -> Vec<String> {
    assert_eq!(got.status, 200, "{got:?}");
    let lines = got.text().lines().filter(|line| !line.starts_with("host: "));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn names_its_target_in_many_ways() {
    let app = mirror().await;
    let (caller, _callee) = pair(&app, "http").await;
    let by_id = [("dapr-app-id", "callee")];
    let by_user = [("authorization", "Basic ZGFwci1hcHAtaWQ6Y2FsbGVl")];
    let none: [(&str, &str); 0] = [];
    for (target, headers, want) in [
        (
            "/v1.0/invoke/callee/method/a/b?x=y%20z&&+",
            &none[..],
            "GET /a/b?x=y%20z&&+",
        ),
        (
            "/v1.0/invoke/caller/method/a/b?x=y%20z&&+",
            &none,
            "GET /a/b?x=y%20z&&+",
        ),
        ("/v1.0//invoke//callee//method//a", &none, "GET /a"),
        ("/v1.0/invoke/callee.default/method/a", &none, "GET /a"),
        ("/v1.0/invoke/callee.other/method/a", &none, "GET /a"),
        ("/v1.0/invoke/cal%6cee/method/a/", &none, "GET /a"),
        ("/v1.0/invoke/callee/method/", &none, "GET /"),
        ("/v1.0/invoke/callee/method/a%2Fb%2520c", &none, "GET /a/b%20c"),
        ("/v1.0/invoke/callee/method/a%C3%A9b%22", &none, "GET /a%C3%A9b%22"),
        ("/v1.0/invoke/callee/method/admin%2F..%2Fpublic", &none, "GET /public"),
        ("///p//q?a", &by_id, "GET /p/q?a"),
        (
            "/v1.0/invoke/nosuch/method/a",
            &by_id,
            "GET /v1.0/invoke/nosuch/method/a",
        ),
        ("/p/q", &by_user, "GET /p/q"),
    ] {
        let got = caller.call("GET", target, headers, Bytes::new()).await;
        assert_eq!(received(&got)[0], want, "{target}");
    }
    for target in [
        "/foo",
        "/v1.0/invoke/callee",
        "/v1.0/invoke/callee/method",
        "/v1.0/invoke//method/a",
    ] {
        let got = caller.get(target).await;
        assert_eq!(got.status, 404);
        assert_eq!(
            got.message(),
            "failed getting app id either from the URL path or the header dapr-app-id"
        );
    }
}

#[tokio::test]
async fn refuses_what_nobody_can_be_called_by() {
    let app = mirror().await;
    let (caller, _callee) = pair(&app, "http").await;
    let base = format!("http://127.0.0.1:{}", app.port);
    let channel = "rpc error: code = Internal desc = error invoking app channel: ";
    for (target, why) in [
        ("nosuch/method/a", "couldn't find service: nosuch".to_owned()),
        ("a.b.c/method/a", "invalid app id a.b.c".to_owned()),
        (
            "callee/method/a%23b",
            r#"rpc error: code = InvalidArgument desc = invalid method: method contains forbidden character: "a#b""#
                .to_owned(),
        ),
        (
            "caller/method/a%00b",
            r#"rpc error: code = InvalidArgument desc = invalid method: method contains forbidden character: "a\x00b""#
                .to_owned(),
        ),
        (
            "caller/method/a%25",
            format!(r#"parse "{base}/a%": invalid URL escape "%""#),
        ),
        (
            "callee/method/a%25",
            format!(r#"{channel}parse "{base}/a%": invalid URL escape "%""#),
        ),
    ] {
        let got = caller.get(&format!("/v1.0/invoke/{target}")).await;
        assert_eq!(got.status, 500, "{target}");
        let id = target.split('/').next().unwrap_or_default();
        assert_eq!(got.message(), format!("failed to invoke, id: {id}, err: {why}"));
    }
    let got = caller.get("/v1.0/invoke/callee/method/a%2").await;
    assert_eq!((got.status.as_u16(), got.text()), (400, "400 Bad Request"));
}

#[tokio::test]
async fn an_application_that_is_not_there() {
    let names = Names::default();
    let alone = start(Setup::new("alone"), &names).await;
    let caller = start(Setup::new("caller"), &names).await;
    let got = alone.get("/v1.0/invoke/alone/method/a").await;
    assert_eq!(
        got.message(),
        "failed to invoke, id: alone, err: cannot invoke local endpoint: app channel not initialized"
    );
    let got = caller.get("/v1.0/invoke/alone/method/a").await;
    assert!(got.message().ends_with("app channel is not initialized"), "{got:?}");
    let gone = mirror().await.port;
    let names = Names::default();
    let mut setup = Setup::new("gone");
    setup.app = Some(gone);
    let gone_too = start(setup, &names).await;
    let got = gone_too.call("POST", "/v1.0/invoke/gone/method/a", &[], "x").await;
    let want = format!(
        "failed to invoke, id: gone, err: Post \"http://127.0.0.1:{gone}/a\": dial tcp 127.0.0.1:{gone}: connect: connection refused"
    );
    assert_eq!(got.message(), want);
    // An application that comes later.
    alone.block.set_app(gone_too.block.app.load_full());
    let got = alone.get("/v1.0/invoke/alone/method/a").await;
    assert!(got.message().ends_with("connection refused"));
}

const SENT: [(&str, &str); 17] = [
    ("connection", "X-Foo, keep-alive"),
    ("x-foo", "bar"),
    ("keep-alive", "5"),
    ("te", "trailers"),
    ("proxy-authorization", "a"),
    ("grpc-foo", "x"),
    ("destination-app-id", "zz"),
    ("dapr-caller-app-id", "forged"),
    ("dapr-callee-app-id", "forged"),
    ("x-forwarded-for", "1.2.3.4"),
    ("x-multi", "1"),
    ("x-multi", "2"),
    ("content-type", "application/json"),
    ("traceparent", "bad"),
    ("tracestate", "a=b"),
    ("x-umlaut", "ä"),
    ("authorization", "Bearer t"),
];

#[tokio::test]
async fn headers_on_their_way_to_an_application() {
    let app = mirror().await;
    let (caller, _callee) = pair(&app, "http").await;
    let kept = [
        "POST /x",
        "authorization: Bearer t",
        "content-length: 2",
        "content-type: application/json",
        "dapr-grpc-foo: x",
        "traceparent: bad",
        "tracestate: a=b",
        "x-multi: 1",
        "x-multi: 2",
        "x-umlaut: ä",
        "{}",
    ];
    let host = crate::host_name();
    let forwarded = [
        format!("forwarded: for=10.0.0.1;by=10.0.0.1;host={host}"),
        format!("x-forwarded-host: {host}"),
    ];
    let local = [
        "dapr-caller-app-id: forged",
        "dapr-callee-app-id: forged",
        "x-forwarded-for: 1.2.3.4",
    ];
    let remote = [
        "dapr-caller-app-id: caller",
        "dapr-caller-namespace: default",
        "dapr-callee-app-id: callee",
        "x-forwarded-for: 1.2.3.4",
        "x-forwarded-for: 10.0.0.1",
        &forwarded[0],
        &forwarded[1],
    ];
    for (id, more) in [("caller", &local[..]), ("callee", &remote)] {
        let got = caller
            .call("POST", &format!("/v1.0/invoke/{id}/method/x"), &SENT, "{}")
            .await;
        let mut got = received(&got);
        let mut want: Vec<String> = kept.iter().chain(more).map(|line| (*line).to_owned()).collect();
        got.sort();
        want.sort();
        assert_eq!(got, want, "{id}");
    }
}

#[tokio::test]
async fn trace_and_baggage_go_along() {
    let app = mirror().await;
    let (caller, _callee) = pair(&app, "http").await;
    let zero = "traceparent: 00-00000000000000000000000000000000-0000000000000000-00";
    let real = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for id in ["caller", "callee"] {
        let target = format!("/v1.0/invoke/{id}/method/x");
        let got = caller.get(&target).await;
        assert!(received(&got).contains(&zero.to_owned()), "{id}");
        let headers = [("traceparent", real), ("baggage", "a=b"), ("baggage", "c=d")];
        let got = caller.call("GET", &target, &headers, Bytes::new()).await;
        let lines = received(&got);
        assert!(lines.contains(&format!("traceparent: {real}")), "{id} {lines:?}");
        let baggage: Vec<_> = lines.iter().filter(|line| line.starts_with("baggage")).collect();
        assert_eq!(baggage, ["baggage: a=b"], "{id}");
    }
}

#[tokio::test]
async fn methods_and_bodies() {
    let app = mirror().await;
    let (caller, _callee) = pair(&app, "http").await;
    for id in ["caller", "callee"] {
        let target = format!("/v1.0/invoke/{id}/method/x");
        for (method, body, want) in [
            ("GET", "", vec!["GET /x"]),
            ("GET", "hello", vec!["GET /x", "content-length: 5", "hello"]),
            ("PUT", "hello", vec!["PUT /x", "content-length: 5", "hello"]),
            ("POST", "", vec!["POST /x", "content-length: 0"]),
            ("PATCH", "a", vec!["PATCH /x"]),
            ("DELETE", "", vec!["DELETE /x"]),
            ("OPTIONS", "", vec!["OPTIONS /x"]),
            ("TRACE", "", vec!["TRACE /x"]),
            ("PURGE", "a", vec!["POST /x"]),
        ] {
            let lines = received(&caller.call(method, &target, &[], body).await);
            for line in want {
                assert!(
                    lines.contains(&line.to_owned()),
                    "{id} {method} {body:?}: {line} {lines:?}"
                );
            }
        }
        let lines = received(&caller.chunked(&target, vec!["ab".into(), "cd".into()]).await);
        assert!(lines.contains(&"transfer-encoding: chunked".to_owned()), "{lines:?}");
        assert!(lines.contains(&"abcd".to_owned()), "{lines:?}");
        let got = caller.call("HEAD", &target, &[], Bytes::new()).await;
        assert_eq!((got.status.as_u16(), got.text()), (200, ""));
    }
}

#[tokio::test]
async fn what_an_application_answers_comes_back() {
    let app = serve(|request: Request<Incoming>| async move {
        let status: u16 = request.uri().path()[1..].parse().unwrap_or(200);
        Response::builder()
            .status(status)
            .header("x-multi", "1")
            .header("x-multi", "2")
            .header("grpc-status", "5")
            .header("keep-alive", "timeout=5")
            .header("upgrade", "h2c")
            .header("proxy-authenticate", "Basic")
            .header("location", "/elsewhere")
            .body(match status {
                204 | 304 => api::body::empty(),
                _ => api::body::full("text"),
            })
            .expect("an answer")
    })
    .await;
    let (caller, _callee) = pair(&app, "http").await;
    for id in ["caller", "callee"] {
        for status in [200, 201, 204, 302, 304, 404, 418, 500, 503, 999] {
            let got = caller.get(&format!("/v1.0/invoke/{id}/method/{status}")).await;
            assert_eq!(got.status.as_u16(), status, "{id}");
            assert_eq!(got.text(), if matches!(status, 204 | 304) { "" } else { "text" });
            let multi: Vec<_> = got.headers.get_all("x-multi").iter().collect();
            assert_eq!(multi, ["1", "2"]);
            assert_eq!(got.header("dapr-grpc-status"), "5");
            assert_eq!(got.header("location"), "/elsewhere");
            for gone in ["keep-alive", "upgrade", "proxy-authenticate", "grpc-status"] {
                assert_eq!(got.header(gone), "", "{gone}");
            }
            let content_type = if status >= 400 { "application/json" } else { "" };
            assert_eq!(got.header("content-type"), content_type);
        }
    }
}

#[tokio::test]
async fn a_token_is_shown_to_the_application() {
    let app = mirror().await;
    let names = Names::default();
    let mut setup = Setup::new("callee").app(&app);
    setup.token = Some("secret");
    let callee = start(setup, &names).await;
    let caller = start(Setup::new("caller"), &names).await;
    for sidecar in [&caller, &callee] {
        let got = sidecar.get("/v1.0/invoke/callee/method/x").await;
        assert!(received(&got).contains(&"dapr-api-token: secret".to_owned()));
    }
}

#[tokio::test]
async fn a_body_over_the_limit() {
    let app = mirror().await;
    let (caller, _callee) = pair(&app, "http").await;
    let big = Bytes::from(vec![b'x'; (4 << 20) + 1]);
    for id in ["caller", "callee"] {
        let target = format!("/v1.0/invoke/{id}/method/x");
        let got = caller.call("POST", &target, &[], big.clone()).await;
        assert_eq!(
            got.message(),
            format!("failed to invoke, id: {id}, err: stream too large")
        );
        let got = caller.chunked(&target, vec![big.slice(..1 << 20); 5]).await;
        assert!(got.message().ends_with("stream too large"), "{}", got.message());
    }
}

#[tokio::test]
async fn events_that_an_application_refuses() {
    let app = serve(|request: Request<Incoming>| async move {
        let status = if request.uri().path() == "/good" { 200 } else { 404 };
        let answer = Response::builder()
            .status(status)
            .header("content-type", "text/event-stream");
        answer.body(api::body::full("data: 1\n\n")).expect("an answer")
    })
    .await;
    let (caller, _callee) = pair(&app, "http").await;
    let events = [("accept", "text/event-stream")];
    for id in ["caller", "callee"] {
        let got = caller
            .call("GET", &format!("/v1.0/invoke/{id}/method/good"), &events, "")
            .await;
        assert_eq!((got.status.as_u16(), got.text()), (200, "data: 1\n\n"));
    }
    let got = caller.call("GET", "/v1.0/invoke/caller/method/bad", &events, "").await;
    assert_eq!(got.status, 404);
    let got = caller.call("GET", "/v1.0/invoke/callee/method/bad", &events, "").await;
    let why = "rpc error: code = Internal desc = error invoking app channel: no response received from stream";
    assert_eq!(got.message(), format!("failed to invoke, id: callee, err: {why}"));
}
