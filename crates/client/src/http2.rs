//! HTTP/2: connections that all requests share, made anew when they end. There is one as long as it can take all requests:
//! many servers take no more than a hundred at a time on a connection.

use crate::{Inner, Io, SendError};
use bytes::Bytes;
use component::middleware::{Body, BodyError};
use http::{HeaderMap, Request, Response, header};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

/// How many requests may be under way on a connection before another one is made.
const MOST_STREAMS: usize = 100;

/// The connections, once there are any.
#[derive(Default)]
pub(crate) struct Shared {
    connections: Mutex<Vec<Connection>>,
    // Held while connecting, so that many requests at once make no more connections than they need.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Connection {
    sender: SendRequest<Body>,
    load: Arc<AtomicUsize>,
}

/// A place on a connection, for as long as a request is under way.
pub(crate) struct Place {
    sender: SendRequest<Body>,
    load: Load,
}

struct Load(Arc<AtomicUsize>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    fn place(&self) -> Place {
        self.load.fetch_add(1, Ordering::Relaxed);
        Place {
            sender: self.sender.clone(),
            load: Load(self.load.clone()),
        }
    }
}

impl Shared {
    /// A place on a connection that has one.
    pub(crate) fn place(&self) -> Option<Place> {
        let mut connections = self.connections.lock();
        let free = connections
            .iter()
            .find(|c| !c.sender.is_closed() && c.load.load(Ordering::Relaxed) < MOST_STREAMS);
        let place = free.map(Connection::place);
        if place.is_none() {
            connections.retain(|c| !c.sender.is_closed());
        }
        place
    }

    fn forget_closed(&self) {
        self.connections.lock().retain(|c| !c.sender.is_closed());
    }
}

const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;

pub(crate) async fn send(inner: &Inner, mut request: Request<Body>) -> Result<Response<Body>, SendError> {
    // A connection that was closed meanwhile is noticed at the first try; the second is on a new one.
    for last in [false, true] {
        let place = place(inner).await?;
        match send_on(inner, place, request).await {
            Ok(response) => return Ok(response),
            Err(Unsent::Again(unsent)) if !last => request = unsent,
            Err(Unsent::Again(_)) => break,
            Err(Unsent::Failed(error)) => return Err(error),
        }
    }
    let error = std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the server closes each connection");
    Err(SendError::Connect {
        address: inner.name(),
        error,
    })
}

/// Why a request got no answer.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Unsent {
    /// The connection had ended; here is the request back.
    Again(Request<Body>),
    /// It failed.
    Failed(SendError),
}

/// Sends a request on a connection.
pub(crate) async fn send_on(inner: &Inner, mut place: Place, request: Request<Body>) -> Result<Response<Body>, Unsent> {
    if place.sender.ready().await.is_err() {
        inner.http2.forget_closed();
        return Err(Unsent::Again(request));
    }
    match place.sender.try_send_request(request).await {
        Ok(response) => Ok(response.map(|body| {
            Loaded {
                body,
                _load: place.load,
            }
            .boxed_unsync()
        })),
        Err(mut error) => match error.take_message() {
            Some(unsent) => {
                inner.http2.forget_closed();
                Err(Unsent::Again(unsent))
            }
            None => Err(Unsent::Failed(SendError::Broken(error.into_error()))),
        },
    }
}

async fn place(inner: &Inner) -> Result<Place, SendError> {
    if let Some(place) = inner.http2.place() {
        return Ok(place);
    }
    let _one = inner.http2.connecting.lock().await;
    if let Some(place) = inner.http2.place() {
        return Ok(place);
    }
    let (io, _) = inner.connect().await?;
    add(inner, io).await
}

/// Makes a connection one of those that requests share.
pub(crate) async fn add(inner: &Inner, io: TokioIo<Box<dyn Io>>) -> Result<Place, SendError> {
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(32 * 1024)
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
    let connection = Connection {
        sender,
        load: Arc::default(),
    };
    let place = connection.place();
    inner.http2.connections.lock().push(connection);
    Ok(place)
}

/// Makes a request in origin form one for HTTP/2: its target is absolute, and there is no `Host`.
pub(crate) fn absolute(inner: &Inner, request: &mut Request<Body>) -> Result<(), http::Error> {
    let headers: &mut HeaderMap = request.headers_mut();
    let host = headers.remove(header::HOST);
    let authority = host.as_ref().and_then(|host| host.to_str().ok());
    let authority = authority.unwrap_or_else(|| inner.authority()).to_owned();
    let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
    *request.uri_mut() = http::Uri::builder()
        .scheme("https")
        .authority(authority)
        .path_and_query(target)
        .build()?;
    *request.version_mut() = http::Version::HTTP_2;
    Ok(())
}

/// A body that holds its place on the connection.
struct Loaded {
    body: Incoming,
    _load: Load,
}

impl http_body::Body for Loaded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
