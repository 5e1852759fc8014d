//! The HTTP client of the family: pooled connections, and TLS by the system's roots or those that are given.

use bytes::Bytes;
use http::{Uri, uri::Scheme};
use http_body_util::Full;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection, HttpConnector},
    },
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{net::TcpStream, sync::OnceCell, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// How long a connection may take to open, and its TLS handshake after that.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(90);

/// How many unused connections are kept to one server.
const IDLE_CONNECTIONS: usize = 64;

/// A client for requests whose bodies are whole.
pub type Client = legacy::Client<Connector, Full<Bytes>>;

/// A client that trusts and shows what `tls` says.
pub fn client(tls: Tls) -> Client {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    let connector = Connector {
        tcp,
        tls: Arc::new(tls),
        config: Arc::default(),
    };
    legacy::Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_title_case_headers(true)
        .build(connector)
}

/// Whom a client trusts, and what it shows of itself.
#[derive(Debug, Default)]
pub struct Tls {
    /// The roots to trust; nothing means those of the system.
    pub roots: Option<Vec<CertificateDer<'static>>>,
    /// The certificate to show, with those that vouch for it, and its key.
    pub identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl Tls {
    /// The certificates in a text in PEM; the error says what is wrong.
    pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
        match all {
            Ok(all) if all.is_empty() => Err("no certificate in PEM".into()),
            Ok(all) => Ok(all),
            Err(error) => Err(format!("not certificates in PEM: {error}")),
        }
    }

    /// The private key in a text in PEM; the error says what is wrong.
    pub fn key(pem: &str) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| format!("no private key in PEM: {error}"))
    }

    /// Checks that certificates and key can be used.
    pub fn check(&self) -> Result<(), String> {
        match (&self.roots, &self.identity) {
            (None, None) => Ok(()),
            _ => self.config().map(drop).map_err(|error| error.to_string()),
        }
    }

    fn config(&self) -> io::Result<Arc<ClientConfig>> {
        let mut roots = RootCertStore::empty();
        match &self.roots {
            Some(given) => {
                for root in given {
                    roots.add(root.clone()).map_err(io::Error::other)?;
                }
            }
            None => {
                let system = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(system.certs);
                if roots.is_empty() {
                    let why = system.errors.first().map(ToString::to_string).unwrap_or_default();
                    return Err(io::Error::other(format!("this system has no root certificates: {why}")));
                }
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots);
        Ok(Arc::new(match &self.identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(io::Error::other)?,
            None => builder.with_no_client_auth(),
        }))
    }
}

/// Opens connections, with TLS where the URL says so.
#[derive(Clone)]
pub struct Connector {
    tcp: HttpConnector,
    tls: Arc<Tls>,
    /// Made when it is first needed, since reading the system's roots takes a while.
    config: Arc<OnceCell<Arc<ClientConfig>>>,
}

impl Connector {
    async fn connect(mut self, uri: Uri) -> io::Result<Stream> {
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let name = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let tcp = tower_service::Service::call(&mut self.tcp, uri)
            .await
            .map_err(io::Error::other)?;
        if !secure {
            return Ok(Stream::Plain(tcp));
        }
        let config = self.config.get_or_try_init(|| {
            let tls = self.tls.clone();
            async { tokio::task::spawn_blocking(move || tls.config()).await? }
        });
        let config = config.await?.clone();
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let handshake = TlsConnector::from(config).connect(name, tcp.into_inner());
        let stream = timeout(CONNECT, handshake)
            .await
            .map_err(|_late| io::Error::new(io::ErrorKind::TimedOut, "TLS handshake timeout"))??;
        Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = futures_util::future::BoxFuture<'static, io::Result<Stream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// An open connection.
pub enum Stream {
    /// Without TLS.
    Plain(TokioIo<TcpStream>),
    /// With TLS.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
