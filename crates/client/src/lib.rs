//! Connections to an HTTP server: the application, another sidecar, a service outside.
//!
//! **What for:** one [`Client`] per server, over HTTP/1.1 (a pool of connections) or HTTP/2 (one connection, shared), in
//! plain text or TLS, over TCP or a Unix socket. **What enters:** requests with bodies that stream. **What leaves:** answers
//! with bodies and trailers that stream. **What may live here:** connecting, pooling, TLS settings. No policy: a request is
//! sent once; only one that certainly was not sent is sent again on another connection.
//!
//! The address is resolved anew at each connect.

mod http1;
mod http2;
pub mod tls;

use component::middleware::{Body, BodyError};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use std::{io, path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

pub use tls::Tls;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// `host:port`; the host is resolved at each connect.
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Which version of HTTP a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// What the server chooses by ALPN; HTTP/1.1 without TLS.
    Negotiated,
}

/// How to reach a server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its version of HTTP.
    pub version: Version,
    /// TLS, if it is spoken.
    pub tls: Option<Tls>,
    /// How long a connect may take.
    pub connect_timeout: Duration,
    /// The most bytes of an answer's headers; 0 for no limit of our own.
    pub max_header_bytes: usize,
    /// How many connections may wait in the pool (HTTP/1.1).
    pub max_idle: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: Version::Http1,
            tls: None,
            connect_timeout: Duration::from_secs(5),
            max_header_bytes: 0,
            max_idle: 256,
        }
    }
}

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection could be made: the request was not sent.
    #[error("dial tcp {address}: connect: {error}")]
    Connect {
        /// The server.
        address: String,
        /// Why.
        error: io::Error,
    },
    /// The server's certificate is not good, or TLS failed otherwise: the request was not sent.
    #[error("{0}")]
    Tls(String),
    /// The request cannot be written.
    #[error("invalid request: {0}")]
    Request(http::Error),
    /// The connection broke before an answer came; the server may have seen the request.
    #[error("{0}")]
    Broken(hyper::Error),
    /// The answer's headers are over the limit.
    #[error(
        "error when reading response headers: small read buffer. Increase ReadBufferSize. Headers are over {0} bytes"
    )]
    HeadersTooLarge(usize),
}

impl SendError {
    /// Whether the server certainly has not seen the request.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Tls(_) | Self::Request(_))
    }
}

/// A client of one server. Cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    address: Address,
    options: Options,
    http1: http1::Pool,
    http2: http2::Shared,
}

impl Client {
    /// A client; it connects when it is used first.
    pub fn new(address: Address, options: Options) -> Self {
        let http1 = http1::Pool::new(options.max_idle);
        Self(Arc::new(Inner {
            address,
            options,
            http1,
            http2: http2::Shared::default(),
        }))
    }

    /// Where the server is.
    pub fn address(&self) -> &Address {
        &self.0.address
    }

    /// Sends a request and waits for the head of the answer. The target must be in origin form (`/path?query`) for
    /// HTTP/1.1 and absolute (`http://host/path`) for HTTP/2; [`Client::request_uri`] makes either.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, SendError> {
        let response = match self.0.options.version {
            Version::Http1 => http1::send(&self.0, request).await?,
            Version::Http2 => http2::send(&self.0, request).await?,
            Version::Negotiated => http1::send_negotiated(&self.0, request).await?,
        };
        let limit = self.0.options.max_header_bytes;
        if limit > 0 && head_size(&response) > limit {
            return Err(SendError::HeadersTooLarge(limit));
        }
        Ok(response)
    }

    /// The target of a request to this server for a path and query.
    pub fn request_uri(&self, path_and_query: &str) -> Result<http::Uri, http::Error> {
        let authority = self.authority();
        let scheme = if self.0.options.tls.is_some() { "https" } else { "http" };
        match self.0.options.version {
            Version::Http1 | Version::Negotiated => Ok(http::Uri::try_from(path_and_query)?),
            Version::Http2 => http::Uri::builder()
                .scheme(scheme)
                .authority(authority)
                .path_and_query(path_and_query)
                .build(),
        }
    }

    /// What the `Host` header or `:authority` says.
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// Whether a connection can be made.
    pub async fn probe(&self) -> bool {
        self.0.connect().await.is_ok()
    }
}

fn head_size(response: &Response<Body>) -> usize {
    response
        .headers()
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum()
}

/// A connection of any kind.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Inner {
    fn authority(&self) -> &str {
        match &self.address {
            Address::Tcp(address) => address,
            Address::Unix(_) => "localhost",
        }
    }

    /// Connects: TCP or Unix, and TLS if it is spoken. Tells whether HTTP/2 was chosen.
    async fn connect(&self) -> Result<(TokioIo<Box<dyn Io>>, bool), SendError> {
        let dial = async {
            let stream: Box<dyn Io> = match &self.address {
                Address::Tcp(address) => {
                    let stream = TcpStream::connect(address.as_str()).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
                Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            };
            let Some(tls) = &self.options.tls else {
                return Ok((stream, false));
            };
            let stream = tls.connect(stream).await?;
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            Ok((Box::new(stream) as Box<dyn Io>, is_http2))
        };
        let dialled = match tokio::time::timeout(self.options.connect_timeout, dial).await {
            Ok(dialled) => dialled,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "i/o timeout")),
        };
        match dialled {
            Ok((stream, is_http2)) => Ok((TokioIo::new(stream), is_http2)),
            Err(error) => Err(match tls::words(&error) {
                Some(words) => SendError::Tls(words),
                None => SendError::Connect {
                    address: self.name(),
                    error: plain(error),
                },
            }),
        }
    }

    fn name(&self) -> String {
        match &self.address {
            Address::Tcp(address) => address.clone(),
            Address::Unix(path) => path.display().to_string(),
        }
    }
}

/// The same error in the words that clients of the original know.
fn plain(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => io::Error::new(error.kind(), "connection refused"),
        io::ErrorKind::ConnectionReset => io::Error::new(error.kind(), "connection reset by peer"),
        _ => error,
    }
}

/// An answer whose body is boxed.
fn boxed<B>(response: Response<B>) -> Response<Body>
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    response.map(|body| body.map_err(Into::into).boxed_unsync())
}

#[cfg(test)]
mod tests;
