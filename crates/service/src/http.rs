//! Small HTTP servers: metrics and health.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use telemetry::metrics::Metrics;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long a client may take to send its request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests may take once the server is to stop.
const LAST: Duration = Duration::from_secs(1);
/// The pause after a failed accept: files may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const SCOPE: &str = "dapr.http";

/// Answers a GET of a path, or nothing if there is no such path.
pub type Handler = Arc<dyn Fn(&str) -> Option<Response<Full<Bytes>>> + Send + Sync>;

/// Opens a listener, for an address such as `127.0.0.1` or `::`.
pub async fn listen(address: &str, port: u16) -> io::Result<TcpListener> {
    let mut tries = 0;
    loop {
        tries += 1;
        match TcpListener::bind((address, port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < BIND_TRIES => {
                tokio::time::sleep(BIND_PAUSE).await;
            }
            Err(error) => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("listen on {address}:{port}: {error}"),
                ));
            }
            bound => return bound,
        }
    }
}

/// A port that is in use is tried again for some seconds: the program that is being replaced may still hold it.
const BIND_TRIES: u32 = 20;
const BIND_PAUSE: std::time::Duration = std::time::Duration::from_millis(250);

/// A text answer.
pub fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Serves metrics at `/` and `/metrics` until it is cancelled.
pub async fn serve_metrics(listener: TcpListener, metrics: Metrics, cancel: CancellationToken) {
    let handler: Handler = Arc::new(move |path| match path {
        "/" | "/metrics" => Some(text(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics.render(),
        )),
        _ => None,
    });
    serve(listener, handler, cancel).await;
}

/// Serves GET and HEAD of what the handler knows until it is cancelled; then lets requests under way end.
pub async fn serve(listener: TcpListener, handler: Handler, cancel: CancellationToken) {
    let graceful = GracefulShutdown::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => serve_connection(stream, Arc::clone(&handler), &graceful),
                Err(error) => {
                    tracing::warn!(target: SCOPE, "Failed to accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let _ = tokio::time::timeout(LAST, graceful.shutdown()).await;
}

fn serve_connection(stream: TcpStream, handler: Handler, graceful: &GracefulShutdown) {
    let service = service_fn(move |request| {
        let response = answer(&request, &handler);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // a client that goes away is not worth a line
        let _ = connection.await;
    });
}

fn answer(request: &Request<Incoming>, handler: &Handler) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "Method Not Allowed\n");
    }
    handler(request.uri().path()).unwrap_or_else(|| text(StatusCode::NOT_FOUND, PLAIN, "404 page not found\n"))
}

/// Plain text.
pub const PLAIN: &str = "text/plain; charset=utf-8";
