//! The channel to the application.
//!
//! **What for:** everything that the sidecar asks of its application goes through one [`App`]: it adds the application's
//! token and the trace, holds to the limit of concurrent calls, passes the pipeline of middlewares, and counts. **What
//! enters:** requests, HTTP or gRPC, with bodies that stream. **What leaves:** the application's answers. **What may live
//! here:** the channel, the health checks, the wait for the application's port. No building block, no policy.

mod grpc;
pub mod health;
mod limit;

use client::{Address, Client, SendError, Tls, Version, tls::Trust};
use component::{
    async_trait,
    middleware::{Body, Next, Pipeline},
};
use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body::Body as _;
use runtime::Runtime;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use telemetry::{
    metrics::{Metrics, http::Exchange},
    trace::{TRACEPARENT, TraceContext},
};
use tokio_util::sync::CancellationToken;

pub use grpc::Channel;
pub use health::{Health, HealthOptions};

/// What the application speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http,
    /// HTTP over TLS; the certificate is not checked, since it is the same machine.
    Https,
    /// HTTP/2 in plain text.
    H2c,
    /// gRPC in plain text.
    Grpc,
    /// gRPC over TLS; the certificate is not checked.
    Grpcs,
}

impl Protocol {
    /// The protocol of a flag's word.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "" | "http" => Self::Http,
            "https" => Self::Https,
            "h2c" => Self::H2c,
            "grpc" => Self::Grpc,
            "grpcs" => Self::Grpcs,
            _ => return None,
        })
    }

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::H2c => "h2c",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
        }
    }

    /// Whether it is gRPC.
    pub const fn is_grpc(self) -> bool {
        matches!(self, Self::Grpc | Self::Grpcs)
    }

    const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Grpcs)
    }

    const fn version(self) -> Version {
        match self {
            Self::Http | Self::Https => Version::Http1,
            Self::H2c | Self::Grpc | Self::Grpcs => Version::Http2,
        }
    }
}

/// How to reach the application.
#[derive(Debug, Clone)]
pub struct Options {
    /// What it speaks.
    pub protocol: Protocol,
    /// Its host.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// How many calls it may be given at a time; none for any number.
    pub max_concurrency: Option<usize>,
    /// The token that it is shown.
    pub token: Option<String>,
    /// The most bytes of its answers' headers.
    pub max_header_bytes: usize,
}

/// Why the application gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// It cannot be reached, or broke off.
    #[error("{0}")]
    Send(#[from] SendError),
    /// The request cannot be written.
    #[error("invalid request: {0}")]
    Request(#[from] http::Error),
    /// The settings of TLS cannot be used.
    #[error("{0}")]
    Tls(#[from] client::tls::TlsError),
    /// Its health checks fail, so that it is asked nothing.
    #[error("app is not in a healthy state")]
    Unhealthy,
}

impl AppError {
    /// Whether the application certainly has not seen the request.
    pub fn is_unsent(&self) -> bool {
        match self {
            Self::Send(error) => error.is_unsent(),
            _ => true,
        }
    }
}

/// What goes with a call besides the request itself.
#[derive(Debug, Clone, Default)]
pub struct Along {
    /// The trace that it belongs to; all zero for none.
    pub trace: TraceContext,
    /// Baggage, as it came.
    pub baggage: Option<HeaderValue>,
}

/// The header, and the gRPC metadata, that carries the application's token.
pub const TOKEN: HeaderName = HeaderName::from_static("dapr-api-token");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

/// The channel to the application.
pub struct App {
    options: Options,
    client: Client,
    token: Option<HeaderValue>,
    host: HeaderValue,
    limit: limit::Limit,
    runtime: Arc<Runtime>,
    metrics: Metrics,
    health: Health,
}

impl App {
    /// A channel; nothing is connected before the first call.
    pub fn new(options: Options, health: Health, runtime: Arc<Runtime>, metrics: Metrics) -> Result<Self, AppError> {
        let address = format!("{}:{}", options.address, options.port);
        let alpn: &[&str] = if options.protocol.version() == Version::Http2 {
            &["h2"]
        } else {
            &["http/1.1"]
        };
        let tls = match options.protocol.is_tls() {
            true => Some(Tls::new(&options.address, &Trust::Anybody, None, alpn)?),
            false => None,
        };
        let client = Client::new(
            Address::Tcp(address.clone()),
            client::Options {
                version: options.protocol.version(),
                tls,
                max_header_bytes: options.max_header_bytes,
                ..client::Options::default()
            },
        );
        let token = options
            .token
            .as_deref()
            .filter(|t| !t.is_empty())
            .map(HeaderValue::from_str)
            .transpose();
        let token = token.map_err(http::Error::from)?.map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let host = HeaderValue::from_str(&address).map_err(http::Error::from)?;
        let limit = limit::Limit::new(options.max_concurrency);
        Ok(Self {
            options,
            client,
            token,
            host,
            limit,
            runtime,
            metrics,
            health,
        })
    }

    /// How it is reached.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Its health; always well without health checks.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Sends an HTTP request; its target is a path and query. Hop-by-hop headers are the caller's business. The application's
    /// own status, whatever it is, is an answer and no error.
    pub async fn http(&self, along: &Along, mut request: Request<Body>) -> Result<Response<Body>, AppError> {
        self.prepare(along, request.headers_mut());
        let snapshot = self.runtime.peek();
        let pipeline: Option<Pipeline> =
            (!snapshot.app_http_pipeline.is_empty()).then(|| snapshot.app_http_pipeline.clone());
        drop(snapshot);
        match pipeline {
            None => self.send_http(request).await,
            Some(pipeline) => {
                let end = End {
                    app: self,
                    failed: parking_lot::Mutex::new(None),
                };
                let response = pipeline.run(request, &end).await;
                match end.failed.into_inner() {
                    Some(error) => Err(error),
                    None => Ok(response),
                }
            }
        }
    }

    fn prepare(&self, along: &Along, headers: &mut http::HeaderMap) {
        // What came as a trace and is none goes on as it came.
        if along.trace.is_valid() || !headers.contains_key(TRACEPARENT) {
            along.trace.write_http(headers);
        }
        if let Some(baggage) = &along.baggage {
            headers.insert(BAGGAGE, baggage.clone());
        }
        if let Some(token) = &self.token {
            headers.insert(TOKEN, token.clone());
        }
    }

    async fn send_http(&self, mut request: Request<Body>) -> Result<Response<Body>, AppError> {
        let permit = self.limit.acquire().await;
        let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
        let uri = self.client.request_uri(target)?;
        if self.options.protocol.version() == Version::Http1 {
            request
                .headers_mut()
                .entry(header::HOST)
                .or_insert_with(|| self.host.clone());
            *request.version_mut() = http::Version::HTTP_11;
        } else {
            request.headers_mut().remove(header::HOST);
            *request.version_mut() = http::Version::HTTP_2;
        }
        *request.uri_mut() = uri;
        let measured = self.metrics.is_enabled().then(|| {
            let size = request.body().size_hint().exact().unwrap_or(0);
            (
                request.method().clone(),
                request.uri().path().to_owned(),
                size,
                Instant::now(),
            )
        });
        let response = self.client.send(request).await?;
        if let Some((method, path, request_bytes, started)) = measured {
            self.metrics.http_client_completed(&Exchange {
                method: method.as_str(),
                path: &path,
                status: response.status().as_u16(),
                request_bytes,
                response_bytes: response.body().size_hint().exact().unwrap_or(0),
                elapsed: started.elapsed(),
            });
        }
        Ok(permit.hold(response))
    }

    /// Asks a health check's path, past the pipeline and the limit.
    pub(crate) async fn probe_http(&self, mut request: Request<Body>) -> Result<http::StatusCode, AppError> {
        self.prepare(&Along::default(), request.headers_mut());
        request.headers_mut().insert(header::HOST, self.host.clone());
        let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
        *request.uri_mut() = self.client.request_uri(target)?;
        let response = self.client.send(request).await?;
        let status = response.status();
        // Read to its end, so that the connection can be used again; but not without end.
        let (mut body, mut left) = (response.into_body(), 64 * 1024usize);
        while let Some(Ok(frame)) = http_body_util::BodyExt::frame(&mut body).await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, bytes::Bytes::len)) else {
                break;
            };
            left = rest;
        }
        Ok(status)
    }

    /// Sends a gRPC request as it is: its path is the method, its body frames and trailers pass through both ways.
    pub async fn grpc(&self, along: &Along, mut request: Request<Body>) -> Result<Response<Body>, AppError> {
        if along.trace.is_valid() {
            along.trace.write_grpc(request.headers_mut());
        }
        if let Some(baggage) = &along.baggage {
            request.headers_mut().insert(BAGGAGE, baggage.clone());
        }
        if let Some(token) = &self.token {
            request.headers_mut().insert(TOKEN, token.clone());
        }
        let permit = self.limit.acquire().await;
        let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
        *request.uri_mut() = self.client.request_uri(target)?;
        *request.version_mut() = http::Version::HTTP_2;
        request.headers_mut().remove(header::HOST);
        Ok(permit.hold(self.client.send(request).await?))
    }

    /// A channel for generated gRPC clients (`AppCallbackClient::new(app.channel(along))`).
    pub fn channel(self: &Arc<Self>, along: Along) -> Channel {
        Channel::new(self.clone(), along)
    }

    /// Waits until something listens on the application's port, for as long as it takes.
    pub async fn wait_until_listening(&self, cancel: &CancellationToken) {
        let address = format!("{}:{}", self.options.address, self.options.port);
        loop {
            let connected = tokio::time::timeout(Duration::from_millis(500), tokio::net::TcpStream::connect(&address));
            tokio::select! {
                () = cancel.cancelled() => return,
                connected = connected => if matches!(connected, Ok(Ok(_))) {
                    return;
                },
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }
}

/// The end of the application's pipeline: the application.
struct End<'a> {
    app: &'a App,
    failed: parking_lot::Mutex<Option<AppError>>,
}

#[async_trait]
impl Next for End<'_> {
    async fn run(&self, request: Request<Body>) -> Response<Body> {
        match self.app.send_http(request).await {
            Ok(response) => response,
            Err(error) => {
                *self.failed.lock() = Some(error);
                let mut response = Response::new(component::middleware::empty());
                *response.status_mut() = http::StatusCode::BAD_GATEWAY;
                response
            }
        }
    }
}
