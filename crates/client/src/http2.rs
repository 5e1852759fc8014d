//! HTTP/2: one connection that all requests share, made anew when it ends.

use crate::{Inner, SendError, boxed};
use component::middleware::Body;
use http::{Request, Response};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use std::time::Duration;

/// The connection, once there is one.
#[derive(Default)]
pub(crate) struct Shared {
    sender: Mutex<Option<SendRequest<Body>>>,
    // Held while connecting, so that many requests at once make one connection.
    connecting: tokio::sync::Mutex<()>,
}

impl Shared {
    fn current(&self) -> Option<SendRequest<Body>> {
        self.sender
            .lock()
            .as_ref()
            .filter(|sender| !sender.is_closed())
            .cloned()
    }
}

const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

pub(crate) async fn send(inner: &Inner, mut request: Request<Body>) -> Result<Response<Body>, SendError> {
    // A connection that was closed meanwhile is noticed at the first try; the second is on a new one.
    for last in [false, true] {
        let mut sender = sender(inner).await?;
        if sender.ready().await.is_err() {
            inner.http2.sender.lock().take();
            continue;
        }
        match sender.try_send_request(request).await {
            Ok(response) => return Ok(boxed(response)),
            Err(mut error) => match error.take_message() {
                Some(unsent) if !last => request = unsent,
                _ => return Err(SendError::Broken(error.into_error())),
            },
        }
    }
    let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the server closes each connection");
    Err(SendError::Connect {
        address: inner.name(),
        error,
    })
}

async fn sender(inner: &Inner) -> Result<SendRequest<Body>, SendError> {
    if let Some(sender) = inner.http2.current() {
        return Ok(sender);
    }
    let _one = inner.http2.connecting.lock().await;
    if let Some(sender) = inner.http2.current() {
        return Ok(sender);
    }
    let io = inner.connect().await?;
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(64 * 1024)
        .max_send_buf_size(STREAM_WINDOW as usize)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .max_header_list_size(1024 * 1024)
        .handshake(io)
        .await
        .map_err(SendError::Broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(target: "dapr.client", "connection ended: {error}");
        }
    });
    *inner.http2.sender.lock() = Some(sender.clone());
    Ok(sender)
}
