//! HTTP/1.1: a pool of connections, one request at a time on each.

use crate::{
    Inner, Io, SendError, boxed,
    http2::{self, Unsent},
};
use bytes::Bytes;
use component::middleware::Body;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Connections that wait for a request. The last one that came back is the first one that is taken, so that those that
/// are not needed grow old and are closed by the server.
#[derive(Clone)]
pub(crate) struct Pool {
    idle: Arc<Mutex<Vec<SendRequest<Body>>>>,
    most: usize,
}

impl Pool {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            idle: Arc::default(),
            most,
        }
    }

    /// How many connections wait.
    #[cfg(test)]
    pub(crate) fn idle_count(&self) -> usize {
        self.idle.lock().len()
    }

    fn take(&self) -> Option<SendRequest<Body>> {
        self.idle.lock().pop()
    }

    fn give_back(&self, sender: SendRequest<Body>) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < self.most {
            idle.push(sender);
        }
    }
}

/// How much of an answer may be in one read.
const READ_BUFFER: usize = 64 * 1024;

pub(crate) async fn send(inner: &Inner, mut request: Request<Body>) -> Result<Response<Body>, SendError> {
    while let Some(mut sender) = inner.http1.take() {
        if sender.ready().await.is_err() {
            continue;
        }
        match sender.try_send_request(request).await {
            Ok(response) => return Ok(finish(inner, sender, response)),
            Err(mut error) => match error.take_message() {
                // The server had closed the connection before the request was written.
                Some(unsent) => request = unsent,
                None => return Err(SendError::Broken(error.into_error())),
            },
        }
    }
    let (io, _) = inner.connect().await?;
    send_on(inner, io, request).await
}

/// Sends a request over HTTP/1.1 or HTTP/2, as the server chooses when it is connected to.
pub(crate) async fn send_negotiated(inner: &Inner, mut request: Request<Body>) -> Result<Response<Body>, SendError> {
    if let Some(place) = inner.http2.place() {
        // A copy of the head, in the form of HTTP/1.1, is not needed: what comes back unsent is in the form of HTTP/2.
        http2::absolute(inner, &mut request).map_err(SendError::Request)?;
        match http2::send_on(inner, place, request).await {
            Ok(response) => return Ok(response),
            Err(Unsent::Failed(error)) => return Err(error),
            Err(Unsent::Again(unsent)) => request = origin(unsent)?,
        }
    }
    while let Some(mut sender) = inner.http1.take() {
        if sender.ready().await.is_err() {
            continue;
        }
        match sender.try_send_request(request).await {
            Ok(response) => return Ok(finish(inner, sender, response)),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(SendError::Broken(error.into_error())),
            },
        }
    }
    let (io, is_http2) = inner.connect().await?;
    if !is_http2 {
        return send_on(inner, io, request).await;
    }
    let place = http2::add(inner, io).await?;
    http2::absolute(inner, &mut request).map_err(SendError::Request)?;
    match http2::send_on(inner, place, request).await {
        Ok(response) => Ok(response),
        Err(Unsent::Failed(error)) => Err(error),
        Err(Unsent::Again(_)) => Err(SendError::Connect {
            address: inner.name(),
            error: std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the server closes each connection"),
        }),
    }
}

/// A request of HTTP/2 in the form of HTTP/1.1.
fn origin(mut request: Request<Body>) -> Result<Request<Body>, SendError> {
    let authority = request.uri().authority().map(|a| HeaderValue::from_str(a.as_str()));
    if let Some(Ok(authority)) = authority {
        request.headers_mut().insert(header::HOST, authority);
    }
    let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
    *request.uri_mut() = Uri::try_from(target).map_err(|e| SendError::Request(e.into()))?;
    *request.version_mut() = http::Version::HTTP_11;
    Ok(request)
}

async fn send_on(inner: &Inner, io: TokioIo<Box<dyn Io>>, request: Request<Body>) -> Result<Response<Body>, SendError> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .max_headers(512)
        .handshake(io)
        .await
        .map_err(SendError::Broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(target: "dapr.client", "connection ended: {error}");
        }
    });
    sender.ready().await.map_err(SendError::Broken)?;
    let response = sender.send_request(request).await.map_err(SendError::Broken)?;
    Ok(finish(inner, sender, response))
}

fn finish(inner: &Inner, sender: SendRequest<Body>, response: Response<Incoming>) -> Response<Body> {
    if response.body().is_end_stream() {
        inner.http1.give_back(sender);
        return boxed(response);
    }
    let pool = inner.http1.clone();
    boxed(response.map(|body| Returning {
        body,
        sender: Some(sender),
        pool,
    }))
}

/// A body that gives its connection back to the pool when it has been read to its end.
struct Returning {
    body: Incoming,
    sender: Option<SendRequest<Body>>,
    pool: Pool,
}

impl Returning {
    fn done(&mut self) {
        if let Some(sender) = self.sender.take() {
            self.pool.give_back(sender);
        }
    }
}

impl http_body::Body for Returning {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || (matches!(frame, Some(Ok(_))) && self.body.is_end_stream()) {
            self.done();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
