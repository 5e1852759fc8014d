//! HTTP/1.1: a pool of connections, one request at a time on each.

use crate::{
    Inner, Io, SendError, boxed,
    http2::{self, Unsent},
};
use bytes::Bytes;
use component::middleware::Body;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body::{Body as _, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::{
        TrySendError,
        http1::{Connection, SendRequest},
    },
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// What reads and writes when it is polled.
type Driven = Connection<TokioIo<Box<dyn Io>>, Body>;

/// A connection and what sends requests over it.
///
/// Whoever uses a connection also drives it, within the same task: an exchange then costs no message between tasks and no
/// wake-up of another thread. A connection that waits in the pool is driven by nobody; what happened to it meanwhile is
/// seen when it is taken.
struct Link {
    sender: SendRequest<Body>,
    connection: Pin<Box<Driven>>,
    ended: bool,
}

impl Link {
    /// Lets the connection read and write what it can.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if self.ended {
            return;
        }
        if let Poll::Ready(result) = self.connection.as_mut().poll(cx) {
            self.ended = true;
            if let Err(error) = result {
                tracing::debug!(target: "dapr.client", "connection ended: {error}");
            }
        }
    }

    /// Whether the next request can be sent: the last exchange is over in both directions and the server is still there.
    fn is_free(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        !self.ended && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of the answer. A request that was not sent comes back.
    async fn exchange(
        mut self,
        request: Request<Body>,
    ) -> Result<(Self, Response<Incoming>), TrySendError<Request<Body>>> {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        let (connection, ended) = (&mut self.connection, &mut self.ended);
        let response = poll_fn(|cx| {
            if !*ended && connection.as_mut().poll(cx).is_ready() {
                *ended = true;
            }
            answer.as_mut().poll(cx)
        })
        .await?;
        Ok((self, response))
    }
}

/// Connections that wait for a request. The last one that came back is the first one that is taken, so that those that
/// are not needed grow old; the oldest go when there are too many.
#[derive(Clone)]
pub(crate) struct Pool {
    idle: Arc<Mutex<VecDeque<Link>>>,
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

    /// A connection that is free, if there is one. Those that the server closed are dropped on the way.
    async fn take(&self) -> Option<Link> {
        loop {
            let mut link = self.idle.lock().pop_back()?;
            if poll_fn(|cx| Poll::Ready(link.is_free(cx))).await {
                return Some(link);
            }
        }
    }

    fn give_back(&self, mut link: Link, cx: &mut Context<'_>) {
        if !link.is_free(cx) {
            return;
        }
        let mut idle = self.idle.lock();
        idle.push_back(link);
        if idle.len() > self.most {
            idle.pop_front();
        }
    }
}

/// How much of an answer may be in one read.
const READ_BUFFER: usize = 64 * 1024;

pub(crate) async fn send(inner: &Inner, mut request: Request<Body>) -> Result<Response<Body>, SendError> {
    while let Some(link) = inner.http1.take().await {
        match link.exchange(request).await {
            Ok((link, response)) => return Ok(finish(inner, link, response).await),
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
    while let Some(link) = inner.http1.take().await {
        match link.exchange(request).await {
            Ok((link, response)) => return Ok(finish(inner, link, response).await),
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
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(READ_BUFFER)
        .max_headers(512)
        .handshake(io)
        .await
        .map_err(SendError::Broken)?;
    let connection = Box::pin(connection);
    let link = Link {
        sender,
        connection,
        ended: false,
    };
    match link.exchange(request).await {
        Ok((link, response)) => Ok(finish(inner, link, response).await),
        Err(error) => Err(SendError::Broken(error.into_error())),
    }
}

async fn finish(inner: &Inner, link: Link, response: Response<Incoming>) -> Response<Body> {
    if response.body().is_end_stream() {
        let mut link = Some(link);
        poll_fn(|cx| {
            if let Some(link) = link.take() {
                inner.http1.give_back(link, cx);
            }
            Poll::Ready(())
        })
        .await;
        return boxed(response);
    }
    let pool = inner.http1.clone();
    boxed(response.map(|body| Returning {
        body,
        link: Some(link),
        pool,
    }))
}

/// A body that drives its connection, and gives it back to the pool when it has been read to its end.
struct Returning {
    body: Incoming,
    link: Option<Link>,
    pool: Pool,
}

impl http_body::Body for Returning {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_pending()
            && let Some(link) = &mut self.link
        {
            link.drive(cx);
            polled = Pin::new(&mut self.body).poll_frame(cx);
        }
        let frame = std::task::ready!(polled);
        let over = frame.is_none() || (matches!(frame, Some(Ok(_))) && self.body.is_end_stream());
        if let Some(link) = self.link.take_if(|_| over) {
            self.pool.give_back(link, cx);
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
