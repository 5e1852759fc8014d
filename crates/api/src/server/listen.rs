//! Listeners and their connections.

use super::h2c;
use crate::{Body, body};
use bytes::Bytes;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use std::{convert::Infallible, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener},
};
use tokio_util::sync::CancellationToken;

/// Why a server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// None of the addresses could be had.
    #[error("cannot listen on {what}: {error}")]
    Bind {
        /// The addresses.
        what: String,
        /// Why the last of them could not be had.
        error: io::Error,
    },
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Sockets that are bound; nothing is accepted yet.
pub struct Bound(Vec<Socket>);

/// Binds a port on each of the addresses (all interfaces if there is none), or a Unix socket. An address that cannot be
/// had is logged; that none can be had is an error.
///
/// A port that is in use is tried again for some seconds: a sidecar that is being replaced may still hold it.
pub async fn bind(addresses: &[String], port: u16, unix: Option<PathBuf>) -> Result<Bound, ListenError> {
    if let Some(path) = unix {
        let _absent = std::fs::remove_file(&path);
        let error = |error| ListenError::Bind {
            what: path.display().to_string(),
            error,
        };
        return UnixListener::bind(&path)
            .map(|l| Bound(vec![Socket::Unix(l, path.clone())]))
            .map_err(error);
    }
    let (mut sockets, mut failed) = (Vec::new(), None);
    let hosts: Vec<&str> = if addresses.is_empty() {
        vec![""]
    } else {
        addresses.iter().map(String::as_str).collect()
    };
    for host in &hosts {
        match bind_one(host, port).await {
            Ok(listener) => sockets.push(Socket::Tcp(listener)),
            Err(error) => {
                tracing::warn!(target: "dapr.runtime.http", "Failed to listen on {host}:{port}: {error}");
                failed = Some(error);
            }
        }
    }
    match failed {
        Some(error) if sockets.is_empty() => {
            let what = hosts
                .iter()
                .map(|host| format!("{host}:{port}"))
                .collect::<Vec<_>>()
                .join(", ");
            Err(ListenError::Bind { what, error })
        }
        _ => Ok(Bound(sockets)),
    }
}

const BIND_TRIES: u32 = 20;
const BIND_PAUSE: Duration = Duration::from_millis(250);

async fn bind_one(host: &str, port: u16) -> io::Result<TcpListener> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let mut tries = 0;
    loop {
        let bound = if host.is_empty() {
            // One socket for both families where there is IPv6, as Go does.
            match TcpListener::bind((std::net::Ipv6Addr::UNSPECIFIED, port)).await {
                Err(e) if e.kind() != io::ErrorKind::AddrInUse => {
                    TcpListener::bind((std::net::Ipv4Addr::UNSPECIFIED, port)).await
                }
                other => other,
            }
        } else {
            TcpListener::bind((host, port)).await
        };
        tries += 1;
        match bound {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && tries < BIND_TRIES => {
                tokio::time::sleep(BIND_PAUSE).await
            }
            other => return other,
        }
    }
}

impl Bound {
    /// The TCP addresses.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0
            .iter()
            .filter_map(|s| {
                if let Socket::Tcp(l) = s {
                    l.local_addr().ok()
                } else {
                    None
                }
            })
            .collect()
    }
}

/// How connections are served.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only HTTP/2 (gRPC).
    pub http2_only: bool,
    /// Whether `Upgrade: h2c` is agreed to.
    pub h2c_upgrade: bool,
    /// The most bytes of a request's headers.
    pub max_header_bytes: u32,
    /// How long requests in flight may take once the server is to end.
    pub grace: Duration,
}

/// Answers requests.
pub trait Answer: Send + Sync + 'static {
    /// Answers a request; `peer` is the other end, if it has an address.
    fn answer(
        self: Arc<Self>,
        request: Request<Body>,
        peer: Option<SocketAddr>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// A server: bound sockets and what answers.
pub struct Server<A> {
    bound: Bound,
    answer: Arc<A>,
    options: Options,
}

impl<A: Answer> Server<A> {
    /// A server of the given sockets.
    pub fn new(bound: Bound, answer: A, options: Options) -> Self {
        Self {
            bound,
            answer: Arc::new(answer),
            options,
        }
    }

    /// Accepts connections until `cancel`, then finishes the requests in flight within the grace.
    pub async fn run(self, cancel: CancellationToken) {
        let graceful = Arc::new(GracefulShutdown::new());
        let over = CancellationToken::new();
        let _ends_all = over.clone().drop_guard();
        let connections = tokio_util::task::TaskTracker::new();
        let mut loops = tokio::task::JoinSet::new();
        let mut sockets = Vec::new();
        for socket in self.bound.0 {
            if let Socket::Unix(_, path) = &socket {
                sockets.push(path.clone());
            }
            let connection = Connection {
                answer: self.answer.clone(),
                options: self.options.clone(),
                graceful: graceful.clone(),
                over: over.clone(),
                tasks: connections.clone(),
            };
            loops.spawn(accept(socket, connection, cancel.clone()));
        }
        while loops.join_next().await.is_some() {}
        connections.close();
        let grace = self.options.grace;
        if let Ok(graceful) = Arc::try_unwrap(graceful) {
            let _late = tokio::time::timeout(grace, graceful.shutdown()).await;
        }
        for path in sockets {
            let _gone = std::fs::remove_file(path);
        }
    }
}

async fn accept<A: Answer>(socket: Socket, connection: Connection<A>, cancel: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => return,
            accepted = async {
                match &socket {
                    Socket::Tcp(l) => l.accept().await.map(|(stream, peer)| (Stream::Tcp(stream), Some(peer))),
                    Socket::Unix(l, _) => l.accept().await.map(|(stream, _)| (Stream::Unix(stream), None)),
                }
            } => accepted,
        };
        match accepted {
            Ok((Stream::Tcp(stream), peer)) => {
                let _slower = stream.set_nodelay(true);
                connection.serve(stream, peer);
            }
            Ok((Stream::Unix(stream), peer)) => connection.serve(stream, peer),
            // Out of descriptors, or the peer went away: neither ends the server.
            Err(error) => {
                tracing::warn!(target: "dapr.runtime.http", "cannot accept a connection: {error}");
                tokio::select! {
                    () = cancel.cancelled() => return,
                    () = tokio::time::sleep(Duration::from_millis(50)) => {}
                }
            }
        }
    }
}

enum Stream {
    Tcp(TcpStream),
    Unix(tokio::net::UnixStream),
}

struct Connection<A> {
    answer: Arc<A>,
    options: Options,
    graceful: Arc<GracefulShutdown>,
    over: CancellationToken,
    tasks: tokio_util::task::TaskTracker,
}

/// How much of a body may be in one read: enough that large bodies take few system calls.
const READ_BUFFER: usize = 64 * 1024;
/// How much of a stream, and of a connection, may be on its way without being asked for again.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 512 * 1024;

impl<A: Answer> Connection<A> {
    fn serve<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, stream: T, peer: Option<SocketAddr>) {
        let builder = builder(&self.options);
        let (answer, upgrade, options) = (self.answer.clone(), self.options.h2c_upgrade, self.options.clone());
        let service = service_fn(move |request: Request<Incoming>| {
            let (answer, options) = (answer.clone(), options.clone());
            async move {
                if upgrade && h2c::asked_for(&request) {
                    return Ok::<_, Infallible>(switch(answer, options, request, peer));
                }
                let request = IncomingBody::wrap(request);
                Ok(answer.answer(request, peer).await)
            }
        });
        let connection = builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        let connection = self.graceful.watch(connection);
        let over = self.over.clone();
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                () = over.cancelled() => return,
                ended = connection => ended,
            };
            if let Err(error) = ended {
                tracing::debug!(target: "dapr.runtime.http", "connection ended: {error}");
            }
        });
    }
}

fn builder(options: &Options) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    if options.http2_only {
        builder = builder.http2_only();
    }
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .max_buf_size(READ_BUFFER.max(options.max_header_bytes as usize))
        .max_headers(512);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(32 * 1024)
        .max_concurrent_streams(None)
        .max_send_buf_size(STREAM_WINDOW as usize)
        .keep_alive_interval(Duration::from_secs(60))
        .keep_alive_timeout(Duration::from_secs(20))
        // gRPC answers of the original have none.
        .auto_date_header(!options.http2_only)
        .max_header_list_size(options.max_header_bytes.max(16 * 1024));
    builder
}

/// Answers 101 and serves the rest of the connection over HTTP/2, the request being its first stream.
fn switch<A: Answer>(
    answer: Arc<A>,
    options: Options,
    mut request: Request<Incoming>,
    peer: Option<SocketAddr>,
) -> Response<Body> {
    let frame = h2c::first_frame(request.method(), request.uri(), request.headers());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(io) = upgrade.await else { return };
        let service = service_fn(move |request: Request<Incoming>| {
            let answer = answer.clone();
            async move { Ok::<_, Infallible>(answer.answer(IncomingBody::wrap(request), peer).await) }
        });
        let io = TokioIo::new(h2c::Upgraded::new(TokioIo::new(io), frame));
        let _ended = builder(&Options {
            http2_only: true,
            ..options
        })
        .serve_connection(io, service)
        .await;
    });
    let response: Response<()> = h2c::agree();
    response.map(|()| body::empty())
}

/// A request's body whose errors are boxed; it knows its length, so that nothing has to be chunked on the way.
///
/// Over HTTP/1.1 a client that is answered before it has sent all of its body would find the connection closed while it
/// still writes, and never see the answer. What is left of a body is therefore read, within bounds, as Go's server does.
struct IncomingBody {
    body: Option<Incoming>,
    drained: bool,
}

/// The most bytes of a body that nobody wanted, and the longest time, that are spent on reading it.
const DRAIN_BYTES: usize = 256 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(5);

impl IncomingBody {
    fn wrap(request: Request<Incoming>) -> Request<Body> {
        let drained = request.version() != http::Version::HTTP_2;
        request.map(|body| {
            Body::new(Self {
                body: Some(body),
                drained,
            })
        })
    }
}

impl Drop for IncomingBody {
    fn drop(&mut self) {
        let unread = self
            .body
            .take()
            .filter(|body| self.drained && !http_body::Body::is_end_stream(body));
        if let (Some(body), Ok(runtime)) = (unread, tokio::runtime::Handle::try_current()) {
            runtime.spawn(tokio::time::timeout(DRAIN_TIME, drain(body)));
        }
    }
}

async fn drain(mut body: Incoming) {
    let mut left = DRAIN_BYTES;
    while let Some(Ok(frame)) = http_body_util::BodyExt::frame(&mut body).await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

impl http_body::Body for IncomingBody {
    type Data = Bytes;
    type Error = body::BodyError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, body::BodyError>>> {
        match &mut self.body {
            Some(body) => std::pin::Pin::new(body).poll_frame(cx).map_err(Into::into),
            None => std::task::Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.as_ref().map(http_body::Body::size_hint).unwrap_or_default()
    }
}
