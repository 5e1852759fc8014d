//! An application that speaks HTTP.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::mpsc, sync::watch};

/// A request that the application got.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Got {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// What the application answers: the status and the body.
type Answer = Arc<dyn Fn(&Got) -> (u16, String) + Send + Sync>;

/// The application. Requests wait while its gate is closed.
pub(super) struct HttpApp {
    pub(super) port: u16,
    got: mpsc::UnboundedReceiver<Got>,
    pub(super) gate: Arc<watch::Sender<bool>>,
}

impl HttpApp {
    /// An application that answers to `/dapr/subscribe` with `subscriptions` (404 if there is nothing).
    pub(super) async fn start(
        subscriptions: Option<&str>,
        answer: impl Fn(&Got) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, got) = mpsc::unbounded_channel();
        let gate = Arc::new(watch::Sender::new(true));
        let (subscriptions, answer) = (subscriptions.map(str::to_owned), Arc::new(answer) as Answer);
        let opened = gate.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (subscriptions, answer, tell, opened) =
                    (subscriptions.clone(), answer.clone(), tell.clone(), opened.clone());
                let service = service_fn(move |request| {
                    serve(
                        request,
                        subscriptions.clone(),
                        answer.clone(),
                        tell.clone(),
                        opened.clone(),
                    )
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { port, got, gate }
    }

    /// An application that takes everything.
    pub(super) async fn willing(subscriptions: Option<&str>) -> Self {
        Self::start(subscriptions, |_| (200, String::new())).await
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Got {
        tokio::time::timeout(Duration::from_secs(10), self.got.recv())
            .await
            .expect("in time")
            .expect("a message")
    }

    /// That no message comes.
    pub(super) async fn nothing(&mut self) {
        let got = tokio::time::timeout(Duration::from_millis(150), self.got.recv()).await;
        assert!(got.is_err(), "{got:?}");
    }

    /// How many messages came and were not looked at.
    pub(super) fn waiting(&self) -> usize {
        self.got.len()
    }
}

async fn serve(
    request: Request<Incoming>,
    subscriptions: Option<String>,
    answer: Answer,
    tell: mpsc::UnboundedSender<Got>,
    gate: Arc<watch::Sender<bool>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let (status, body) = if parts.method == Method::GET {
        match subscriptions.filter(|_| parts.uri.path() == "/dapr/subscribe") {
            Some(list) => (200, list),
            None => (404, String::new()),
        }
    } else {
        let got = Got {
            path: parts.uri.to_string(),
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        };
        let answer = answer(&got);
        tell.send(got).unwrap();
        gate.subscribe().wait_for(|open| *open).await.unwrap();
        answer
    };
    Ok(Response::builder().status(status).body(Full::from(body)).unwrap())
}
