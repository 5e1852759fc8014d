//! Bodies that stream: both ways, without being held, and cut short.

use super::*;
use futures_util::{Stream, StreamExt};
use http_body::Frame;
use http_body_util::StreamBody;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;

/// A body of what a stream brings.
pub(super) fn body(stream: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    let frames = stream.map(|data| Ok::<_, BodyError>(Frame::data(data)));
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

async fn echo() -> Served {
    serve(|request: Request<Incoming>| async move {
        Response::new(request.into_body().map_err(Into::into).boxed_unsync())
    })
    .await
}

const PIECE: usize = 64 * 1024;

/// Two sidecars that let bodies of any length pass.
async fn boundless(app: &Served) -> (Sidecar, Sidecar) {
    let names = Names::default();
    let mut setups = ["caller", "callee"].map(|id| Setup::new(id).app(app));
    setups.iter_mut().for_each(|setup| setup.limit = 0);
    let [caller, callee] = setups;
    let callee = start(callee, &names).await;
    (start(caller, &names).await, callee)
}

/// Sends pieces, counting the bytes.
async fn send_counting(caller: &Client, id: &str, pieces: usize, sent: &Arc<AtomicI64>) -> Body {
    let (sent, piece) = (sent.clone(), Bytes::from(vec![b'x'; PIECE]));
    let pieces = futures_util::stream::iter(0..pieces).map(move |_| {
        sent.fetch_add(PIECE as i64, Ordering::SeqCst);
        piece.clone()
    });
    let target = caller.request_uri(&format!("/v1.0/invoke/{id}/method/echo"));
    let request = Request::post(target.expect("a target"))
        .header("host", caller.authority())
        .body(body(pieces))
        .expect("a request");
    caller.send(request).await.expect("an answer").into_body()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_mebibytes_go_to_and_fro() {
    let app = echo().await;
    let (caller, _callee) = boundless(&app).await;
    for id in ["caller", "callee"] {
        let sent = Arc::default();
        let mut response = send_counting(&caller.http, id, 800, &sent).await;
        let mut total = 0;
        while let Some(frame) = response.frame().await {
            total += frame.expect("a frame").into_data().unwrap_or_default().len();
        }
        assert_eq!((total, sent.load(Ordering::SeqCst)), (PIECE * 800, PIECE as i64 * 800));
    }
}

/// Who does not read stops who sends, all the way: what is on its way is what the sockets hold, which the system may let
/// grow to tens of MiB each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_stops_who_sends() {
    let app = echo().await;
    let (caller, _callee) = boundless(&app).await;
    let over_http2 = client(caller.http.authority(), Version::Http2);
    for id in ["caller", "callee"] {
        let sent = Arc::new(AtomicI64::new(0));
        let _unread = send_counting(&over_http2, id, 32 * 1024, &sent).await;
        let mut last = -1;
        while last != sent.load(Ordering::SeqCst) {
            last = sent.load(Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert!(last >> 20 < 256, "{id}: {} MiB of 2 GiB were taken", last >> 20);
    }
}

/// Each piece comes back before the next one is sent.
#[tokio::test]
async fn nothing_waits_for_the_end() {
    let app = echo().await;
    let (caller, _callee) = pair(&app, "http").await;
    for id in ["caller", "callee"] {
        let (sender, receiver) = mpsc::channel(1);
        let request = Request::post(format!("/v1.0/invoke/{id}/method/echo"))
            .header("host", caller.http.authority())
            .body(body(ReceiverStream::new(receiver)))
            .expect("a request");
        sender.send(Bytes::from_static(b"first")).await.expect("is taken");
        let mut response = caller.send(request).await.into_body();
        for word in ["first", "second", "third"] {
            if word != "first" {
                sender.send(Bytes::from(word)).await.expect("is taken");
            }
            let frame = tokio::time::timeout(Duration::from_secs(5), response.frame()).await;
            let data = frame.expect("in time").expect("more").expect("a frame").into_data();
            assert_eq!(data.expect("data"), word, "{id}");
        }
        drop(sender);
        assert!(response.frame().await.is_none());
    }
}

/// A server that answers each connection with the same bytes, and closes it.
async fn raw(answer: &'static [u8]) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let port = listener.local_addr().expect("has an address").port();
    let cancel = CancellationToken::new();
    let end = cancel.clone();
    tokio::spawn(async move {
        loop {
            let mut stream = tokio::select! {
                () = end.cancelled() => return,
                accepted = listener.accept() => accepted.expect("accepts").0,
            };
            let mut space = [0; 4096];
            let _read = stream.read(&mut space).await;
            let _written = stream.write_all(answer).await;
            let _ended = stream.shutdown().await;
        }
    });
    Served {
        port,
        _end: cancel.drop_guard(),
    }
}

/// What an application says of a short answer is not believed; a long or endless one that breaks off is seen to.
#[tokio::test]
async fn half_an_answer() {
    let app = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\nX-A: b\r\n\r\n\"ok\"").await;
    let (caller, _callee) = pair(&app, "http").await;
    for id in ["caller", "callee"] {
        let got = caller.get(&format!("/v1.0/invoke/{id}/method/x")).await;
        assert_eq!(
            (got.status.as_u16(), got.text(), got.header("x-a")),
            (200, "\"ok\"", "b")
        );
        assert_eq!(got.header("content-length"), "");
    }
    for answer in [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nhalf",
    ] {
        let app = raw(answer).await;
        let (caller, _callee) = pair(&app, "http").await;
        for id in ["caller", "callee"] {
            let got = caller.get(&format!("/v1.0/invoke/{id}/method/x")).await;
            assert_eq!(got.status, 200);
            assert!(got.body.is_err(), "{id} {got:?}");
        }
    }
}

#[tokio::test]
async fn no_answer() {
    let app = raw(b"").await;
    let (caller, _callee) = pair(&app, "http").await;
    let url = format!("http://127.0.0.1:{}/x", app.port);
    let got = caller.get("/v1.0/invoke/caller/method/x").await;
    assert_eq!(
        got.message(),
        format!("failed to invoke, id: caller, err: Get \"{url}\": EOF")
    );
    let got = caller.get("/v1.0/invoke/callee/method/x").await;
    let why = format!("rpc error: code = Internal desc = error invoking app channel: Get \"{url}\": EOF");
    assert_eq!(got.message(), format!("failed to invoke, id: callee, err: {why}"));
}

/// A caller that goes away takes its call along.
#[tokio::test]
async fn a_caller_that_goes_away() {
    struct Gone(Arc<AtomicUsize>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (began, gone) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (began.clone(), gone.clone());
    let app = serve(move |_| {
        let guard = Gone(counts.1.clone());
        counts.0.fetch_add(1, Ordering::SeqCst);
        async move {
            let _guard = guard;
            std::future::pending::<Response<Body>>().await
        }
    })
    .await;
    let (caller, _callee) = pair(&app, "http").await;
    let over_http2 = client(caller.http.authority(), Version::Http2);
    for (count, id) in ["caller", "callee"].into_iter().enumerate() {
        let target = over_http2.request_uri(&format!("/v1.0/invoke/{id}/method/x"));
        let request = Request::get(target.expect("a target")).body(api::body::empty());
        let called = async {
            while began.load(Ordering::SeqCst) == count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = over_http2.send(request.expect("a request")) => panic!("nobody answers"),
            called = tokio::time::timeout(Duration::from_secs(10), called) => called.expect("in time"),
        }
        for _ in 0..200 {
            if gone.load(Ordering::SeqCst) == count + 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(gone.load(Ordering::SeqCst), count + 1, "{id}");
    }
}
