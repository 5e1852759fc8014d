//! The OpenTelemetry protocol over gRPC and over HTTP.
//!
//! Written out rather than taken from `opentelemetry-otlp`: that one adds the headers of the process's environment to those
//! of the configuration, which Dapr does not, and brings a second TLS set-up and an SDK of which nothing else is used.

mod config;
mod message;

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use prost::Message;

use super::Environment;
use super::connect::{self, HttpClient};
use super::export::{ExportError, Exporter, Resource};
use super::span::SpanData;
pub(super) use config::TIMEOUT;
use config::{Config, Protocol};
pub use config::{ConfigError, OtelOptions};
#[cfg(test)]
pub(super) use message::Request as ExportRequest;

/// Waits before an export is tried again.
const PAUSES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_secs(2),
];

/// The exporter that the options ask for.
pub(super) fn exporter(
    options: &OtelOptions,
    resource: &Resource,
    environment: Environment<'_>,
) -> Result<Option<Box<dyn Exporter>>, ConfigError> {
    let Some(config) = Config::resolve(options, environment)? else {
        return Ok(None);
    };
    let client = connect::client(config.secure, config.protocol == Protocol::Grpc)?;
    Ok(Some(Box::new(Otlp {
        config,
        client,
        resource: resource.clone(),
    })))
}

struct Otlp {
    config: Config,
    client: HttpClient,
    resource: Resource,
}

impl Exporter for Otlp {
    fn export<'a>(&'a self, spans: &'a [SpanData]) -> BoxFuture<'a, Result<(), ExportError>> {
        let body = self.encode(spans);
        let all = tokio::time::timeout(self.config.timeout, self.send_repeatedly(body));
        Box::pin(async move { all.await.unwrap_or(Err(ExportError::Timeout)) })
    }
}

impl Otlp {
    fn encode(&self, spans: &[SpanData]) -> Bytes {
        let message = message::request(&self.resource, spans);
        let length = message.encoded_len();
        let mut body = BytesMut::with_capacity(length + 5);
        if self.config.protocol == Protocol::Grpc {
            body.put_u8(0);
            body.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
        }
        body.put_slice(&message.encode_to_vec());
        body.freeze()
    }

    async fn send_repeatedly(&self, body: Bytes) -> Result<(), ExportError> {
        for pause in PAUSES {
            match self.send(body.clone()).await {
                Err(ExportError::Transport(_)) => tokio::time::sleep(pause).await,
                result => return result,
            }
        }
        self.send(body).await
    }

    async fn send(&self, body: Bytes) -> Result<(), ExportError> {
        let mut request = Request::post(self.config.uri.clone())
            .body(Full::new(body))
            .map_err(transport)?;
        *request.headers_mut() = self.headers();
        let answer = self.client.request(request).await.map_err(transport)?;
        match self.config.protocol {
            Protocol::Grpc => grpc_result(answer).await,
            Protocol::Http => http_result(answer.status()),
        }
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = self.config.headers.clone();
        let content_type = match self.config.protocol {
            Protocol::Grpc => {
                headers.insert(header::TE, header::HeaderValue::from_static("trailers"));
                "application/grpc"
            }
            Protocol::Http => "application/x-protobuf",
        };
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
        headers
    }
}

fn transport(error: impl std::error::Error) -> ExportError {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    ExportError::Transport(text)
}

/// Statuses after which OTLP says to try again.
fn http_result(status: StatusCode) -> Result<(), ExportError> {
    match status.as_u16() {
        200..300 => Ok(()),
        429 | 502..=504 => Err(ExportError::Transport(format!("answered with {status}"))),
        _ => Err(ExportError::Refused(status.to_string())),
    }
}

async fn grpc_result(answer: Response<Incoming>) -> Result<(), ExportError> {
    let (head, body) = answer.into_parts();
    let trailers = body
        .collect()
        .await
        .map_err(transport)?
        .trailers()
        .cloned()
        .unwrap_or_default();
    let find = |name: &str| {
        trailers
            .get(name)
            .or_else(|| head.headers.get(name))
            .and_then(|value| value.to_str().ok())
    };
    let code = find("grpc-status").unwrap_or("2");
    let text = || format!("gRPC status {code}: {}", find("grpc-message").unwrap_or_default());
    match code {
        "0" => Ok(()),
        // cancelled, deadline exceeded, aborted, out of range, unavailable, data loss
        "1" | "4" | "10" | "11" | "14" | "15" => Err(ExportError::Transport(text())),
        _ => Err(ExportError::Refused(text())),
    }
}
