//! Retries, timeouts and circuit breakers around calls.

use super::*;
use crate::{download::fault_in, rpc};
use std::sync::atomic::{AtomicUsize, Ordering};

/// An application that answers with the status in its path, and counts; what it received must be what was sent.
async fn counting(good_after: usize) -> (Served, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let app = serve(move |request: Request<Incoming>| {
        let n = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect().await.map(|body| body.to_bytes());
            let body = body.unwrap_or_default();
            if path == "/slow" {
                tokio::time::sleep(Duration::from_secs(30)).await;
            }
            let status = match path[1..].parse() {
                Ok(status) if n <= good_after => status,
                _ => 200,
            };
            let sum: u64 = body.iter().map(|b| u64::from(*b)).sum();
            let answer = Response::builder().status(status);
            answer
                .body(api::body::full(format!("{} {sum}", body.len())))
                .expect("an answer")
        }
    })
    .await;
    (app, count)
}

const RETRY: &str =
    "policies:\n  retries:\n    DefaultAppRetryPolicy: {policy: constant, duration: 1ms, maxRetries: 2}";

async fn guarded(spec: &str, good_after: usize) -> (Sidecar, Sidecar, Served, Arc<AtomicUsize>) {
    let (app, count) = counting(good_after).await;
    let names = Names::default();
    let callee = start(Setup::new("callee").app(&app), &names).await;
    let caller = start(Setup::new("caller").app(&app).policies(spec), &names).await;
    (caller, callee, app, count)
}

#[tokio::test]
async fn failures_are_repeated_with_their_body() {
    for id in ["caller", "callee"] {
        for (length, good_after, calls, status) in [
            (0, 9, 3, 503),
            (10, 2, 3, 200),
            (300_000, 1, 2, 200),
            (3 << 20, 9, 3, 503),
        ] {
            let (caller, _callee, _app, count) = guarded(RETRY, good_after).await;
            let body: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let sum: u64 = body.iter().map(|b| u64::from(*b)).sum();
            let got = caller
                .call("POST", &format!("/v1.0/invoke/{id}/method/503"), &[], body)
                .await;
            assert_eq!(got.status.as_u16(), status, "{id} {length}");
            assert_eq!(got.text(), format!("{length} {sum}"));
            assert_eq!(count.load(Ordering::SeqCst), calls);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_sent_again_is_sent_once() {
    let (caller, _callee, _app, count) = guarded(RETRY, 9).await;
    for id in ["caller", "callee"] {
        count.store(0, Ordering::SeqCst);
        let target = format!("/v1.0/invoke/{id}/method/503");
        let got = caller.chunked(&target, vec!["ab".into(), "cd".into()]).await;
        assert_eq!((got.status.as_u16(), got.text()), (503, "4 394"));
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn redirections_and_successes_are_no_failures() {
    let (caller, _callee, _app, count) = guarded(RETRY, 9).await;
    for (status, calls) in [(200, 1), (304, 1), (302, 1), (400, 3), (404, 3)] {
        count.store(0, Ordering::SeqCst);
        let got = caller.get(&format!("/v1.0/invoke/callee/method/{status}")).await;
        assert_eq!(got.status.as_u16(), status);
        assert_eq!(count.load(Ordering::SeqCst), calls, "{status}");
    }
}

#[tokio::test]
async fn a_slow_application_is_cut() {
    let spec = "policies:\n  timeouts: {short: 100ms}\ntargets:\n  apps:\n    callee: {timeout: short}\n    caller: {timeout: short}";
    let (caller, _callee, _app, count) = guarded(spec, 9).await;
    for id in ["caller", "callee"] {
        count.store(0, Ordering::SeqCst);
        let got = caller.get(&format!("/v1.0/invoke/{id}/method/slow")).await;
        assert_eq!(
            got.message(),
            format!("failed to invoke, id: {id}, err: context deadline exceeded")
        );
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn a_breaker_opens() {
    let breaker =
        "policies:\n  circuitBreakers:\n    cb: {maxRequests: 1, timeout: 60s, trip: consecutiveFailures >= 2}";
    let spec = format!("{breaker}\ntargets:\n  apps:\n    callee: {{circuitBreaker: cb}}");
    let (caller, _callee, _app, count) = guarded(&spec, 9).await;
    for _ in 0..2 {
        let got = caller.chunked("/v1.0/invoke/callee/method/503", vec!["x".into()]).await;
        assert_eq!(got.status, 503);
    }
    let got = caller.get("/v1.0/invoke/callee/method/503").await;
    assert_eq!(
        got.message(),
        "failed to invoke, id: callee, err: circuit breaker is open"
    );
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

/// Without any policy a sidecar that is not there is asked again, and found if it comes.
#[tokio::test]
async fn a_sidecar_that_comes_late() {
    let (app, count) = counting(0).await;
    let names = Names::default();
    let caller = start(Setup::new("caller"), &names).await;
    let callee = start(Setup::new("callee").app(&app), &names).await;
    let there = callee.internal.clone();
    names.0.lock().insert("callee".into(), "127.0.0.1:1".into());
    let late = names.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        late.0.lock().insert("callee".into(), there);
    });
    let got = caller.call("POST", "/v1.0/invoke/callee/method/x", &[], "abc").await;
    assert_eq!((got.status.as_u16(), got.text()), (200, "3 294"));
    assert_eq!(count.load(Ordering::SeqCst), 1);
    // A large body that nobody has read yet can be sent again too.
    names.0.lock().insert("other".into(), "127.0.0.1:1".into());
    let there = callee.internal.clone();
    let late = names.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        late.0.lock().insert("other".into(), there);
    });
    let got = caller
        .chunked("/v1.0/invoke/other/method/x", vec![Bytes::from(vec![1; 100_000]); 3])
        .await;
    assert_eq!((got.status.as_u16(), got.text()), (200, "300000 300000"));
}

#[tokio::test]
async fn a_sidecar_that_is_not_there_and_policies_say_so() {
    let (app, _count) = counting(0).await;
    let names = Names::default();
    let spec = format!("{RETRY}\ntargets:\n  apps:\n    callee: {{retry: DefaultAppRetryPolicy}}");
    let caller = start(Setup::new("caller").app(&app).policies(&spec), &names).await;
    names.0.lock().insert("callee".into(), "127.0.0.1:1".into());
    let began = std::time::Instant::now();
    let got = caller.get("/v1.0/invoke/callee/method/x").await;
    assert!(
        began.elapsed() < Duration::from_millis(900),
        "the built-in retries wait for seconds"
    );
    let dial = "connection error: desc = \"transport: Error while dialing: dial tcp 127.0.0.1:1: connect: connection refused\"";
    let why = format!("failed to invoke, id: callee, err: rpc error: code = Unavailable desc = {dial}");
    assert_eq!(got.message(), why);
}

#[tokio::test]
async fn proxied_calls_are_repeated() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let app = serve(move |request: Request<Incoming>| {
        let n = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            let body = request.into_body().map_err(Into::into).boxed_unsync();
            let message = rpc::read_request(body, 1 << 20).await.expect("a message");
            if n < 3 {
                return rpc::refusal(HeaderMap::new(), crate::upload::bad(5, "not yet"));
            }
            let mut framed = vec![0, 0, 0, 0, message.len() as u8];
            framed.extend_from_slice(&message);
            rpc::answer(HeaderMap::new(), framed.into(), crate::upload::good())
        }
    })
    .await;
    let names = Names::default();
    let _callee = start(Setup::new("callee").app(&app).protocol("grpc"), &names).await;
    let caller = start(Setup::new("caller").policies(RETRY), &names).await;
    for (stream, calls, code) in [("false", 3, None), ("true", 1, Some(5))] {
        count.store(0, Ordering::SeqCst);
        let mut headers = HeaderMap::new();
        headers.insert("dapr-app-id", "callee".parse().expect("a value"));
        headers.insert("dapr-stream", stream.parse().expect("a value"));
        let target = caller.grpc.request_uri("/t.T/X").expect("a target");
        let body = api::body::full(&b"\0\0\0\0\x02hi"[..]);
        let response = caller
            .grpc
            .send(rpc::request(target, headers, body))
            .await
            .expect("an answer");
        let reply = rpc::read(response, 1000).await.expect("a reply");
        assert_eq!(fault_in(&reply.trailers).and_then(|fault| fault.code), code);
        assert_eq!(count.load(Ordering::SeqCst), calls, "{stream}");
    }
}
