//! The connection of one opened component to its socket.

use futures_util::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::UnixStream;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tower_service::Service;

/// Names the component on each call, since one socket may serve several of a type.
const INSTANCE: &str = "x-component-instance";
/// How long a connection may take, with what has to be initialised on it.
const CONNECT_FOR: Duration = Duration::from_secs(30);
/// How much a stream and a connection may hold that is not yet read. Streams that stand still while they are drained must
/// not keep calls on the same connection waiting.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

/// What calls go through: the channel, and the component's name on each request.
pub(crate) type Link = InterceptedService<Channel, Instance>;

/// Initialises a component over the link that it is given.
pub(crate) type Init = Box<dyn Fn(Link) -> BoxFuture<'static, Result<(), Status>> + Send + Sync>;

/// Puts the component's name on requests.
#[derive(Debug, Clone)]
pub(crate) struct Instance(MetadataValue<Ascii>);

impl Interceptor for Instance {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(INSTANCE, self.0.clone());
        Ok(request)
    }
}

/// The connection of one component.
pub(crate) struct Connection {
    link: Link,
    seat: Arc<Seat>,
}

impl Connection {
    /// A connection for the component of the given name; it connects at the first call.
    pub(crate) fn new(path: &Path, name: &str) -> Result<Self, String> {
        let instance = name.parse().map(Instance);
        let instance = instance.map_err(|_| format!("the name {name:?} cannot be sent as a header"))?;
        let seat = Arc::new(Seat {
            path: path.to_owned(),
            instance: instance.clone(),
            listener: Mutex::default(),
            inits: tokio::sync::Mutex::default(),
        });
        let channel = endpoint().connect_with_connector_lazy(Connector(seat.clone()));
        let link = InterceptedService::new(channel, instance);
        Ok(Self { link, seat })
    }

    /// What calls go through.
    pub(crate) fn link(&self) -> Link {
        self.link.clone()
    }

    /// Initialises the component, now and whenever it was restarted.
    pub(crate) async fn initialise(&self, init: Init) -> Result<(), Status> {
        init(self.link()).await?;
        self.seat.inits.lock().await.push(init);
        Ok(())
    }
}

/// A channel for a few calls that belong to no component.
pub(crate) fn anonymous(path: &Path) -> Channel {
    endpoint().connect_with_connector_lazy(Plain(path.to_owned()))
}

fn endpoint() -> Endpoint {
    Endpoint::from_static("http://localhost")
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
}

/// Which process listens at a socket: a new one makes a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listener {
    device: u64,
    inode: u64,
    made: (i64, i64),
}

impl Listener {
    async fn at(path: &Path) -> io::Result<Self> {
        let file = tokio::fs::metadata(path).await?;
        Ok(Self {
            device: file.dev(),
            inode: file.ino(),
            made: (file.mtime(), file.mtime_nsec()),
        })
    }
}

/// Where a component sits, and what it must be told when another process has taken the seat.
struct Seat {
    path: PathBuf,
    instance: Instance,
    listener: Mutex<Option<Listener>>,
    inits: tokio::sync::Mutex<Vec<Init>>,
}

impl Seat {
    /// Connects; if the component was restarted since, initialises it before anything else is called.
    async fn connect(&self) -> io::Result<UnixStream> {
        let (listener, stream) = self.reach().await?;
        let known = *self.listener.lock();
        if known.is_some_and(|known| known != listener) {
            self.initialise_again().await.map_err(|status| {
                let reason = status.message();
                tracing::error!(socket = %self.path.display(), "a restarted component could not be initialised: {reason}");
                io::Error::other(format!("the restarted component could not be initialised: {reason}"))
            })?;
            tracing::info!(socket = %self.path.display(), "a restarted component was initialised again");
        }
        *self.listener.lock() = Some(listener);
        Ok(stream)
    }

    /// Connects, and tells to whom: the file is the same before and after.
    async fn reach(&self) -> io::Result<(Listener, UnixStream)> {
        let mut listener = Listener::at(&self.path).await?;
        loop {
            let stream = UnixStream::connect(&self.path).await?;
            let after = Listener::at(&self.path).await?;
            if after == listener {
                return Ok((listener, stream));
            }
            listener = after;
        }
    }

    async fn initialise_again(&self) -> Result<(), Status> {
        let link = InterceptedService::new(anonymous(&self.path), self.instance.clone());
        for init in self.inits.lock().await.iter() {
            init(link.clone()).await?;
        }
        Ok(())
    }
}

async fn limited(connect: impl Future<Output = io::Result<UnixStream>>) -> io::Result<TokioIo<UnixStream>> {
    match tokio::time::timeout(CONNECT_FOR, connect).await {
        Ok(stream) => stream.map(TokioIo::new),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no connection in time")),
    }
}

/// Connects a channel to a component's seat.
struct Connector(Arc<Seat>);

impl Service<Uri> for Connector {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let seat = self.0.clone();
        Box::pin(limited(async move { seat.connect().await }))
    }
}

/// Connects a channel to a socket, and no more.
struct Plain(PathBuf);

impl Service<Uri> for Plain {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(limited(UnixStream::connect(self.0.clone())))
    }
}
