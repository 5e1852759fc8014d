//! The HTTP API of a sidecar, as far as the command line uses it.

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use client::{Address, Client, Options, SendError};
use component::middleware::{Body, empty, full};
use http::{HeaderName, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use indexmap::IndexMap;
use serde::Deserialize;
use std::{path::Path, time::Duration};

/// How long the metadata API may take.
const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a question for the sidecar's health may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause between two questions whether the sidecar is ready.
const POLL: Duration = Duration::from_millis(50);

const TOKEN: HeaderName = HeaderName::from_static("dapr-api-token");

/// A sidecar's HTTP API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sidecar {
    client: Client,
    token: Option<String>,
}

/// What a sidecar answered.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The body.
    pub(crate) body: Bytes,
}

/// What a sidecar says about itself, as far as it is used here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Metadata {
    /// The application's id.
    pub(crate) id: String,
    /// What is loaded.
    pub(crate) components: Vec<Loaded>,
    /// What `run` has written, among others.
    pub(crate) extended: IndexMap<String, String>,
}

/// A component that is loaded.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Loaded {
    /// Its name.
    pub(crate) name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub(crate) type_name: String,
    /// Its version.
    pub(crate) version: String,
    /// What it can do.
    pub(crate) capabilities: Vec<String>,
}

/// The socket of the HTTP API in a folder of sockets.
pub(crate) fn socket(folder: &Path, app_id: &str) -> Address {
    Address::Unix(folder.join(format!("dapr-{app_id}-http.socket")))
}

impl Sidecar {
    /// The sidecar at an address; `token` is what its API wants to be shown.
    pub(crate) fn new(address: Address, token: Option<String>) -> Self {
        Self {
            client: Client::new(address, Options::default()),
            token: token.filter(|token| !token.is_empty()),
        }
    }

    /// Where it is, for messages.
    pub(crate) fn place(&self) -> String {
        match self.client.address() {
            Address::Tcp(address) => address.clone(),
            Address::Unix(path) => path.display().to_string(),
        }
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<Answer> {
        let response = self.exchange(method, path, content_type, body).await?;
        let status = response.status();
        let body = response
            .into_body()
            .collect()
            .await
            .map_err(|error| anyhow!("the answer is cut short: {error}"))?;
        Ok(Answer {
            status,
            body: body.to_bytes(),
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        content_type: Option<&str>,
        body: Bytes,
    ) -> Result<http::Response<Body>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.client.authority());
        if let Some(token) = &self.token {
            request = request.header(TOKEN, token);
        }
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let body = if body.is_empty() { empty() } else { full(body) };
        let request = request.body(body).with_context(|| format!("{path:?} is no path"))?;
        self.client.send(request).await.map_err(|error| match error {
            SendError::Connect { error, .. } => anyhow!("no sidecar answers at {}: {error}", self.place()),
            error => anyhow!("the sidecar at {} did not answer: {error}", self.place()),
        })
    }

    /// What it says about itself.
    pub(crate) async fn metadata(&self) -> Result<Metadata> {
        let asked = self.send(Method::GET, "/v1.0/metadata", None, Bytes::new());
        let answer = tokio::time::timeout(METADATA_TIMEOUT, asked)
            .await
            .context("the sidecar takes too long")??;
        if !answer.status.is_success() {
            return Err(anyhow!("the sidecar at {} answers {}", self.place(), answer.status));
        }
        serde_json::from_slice(&answer.body).context("the sidecar's metadata cannot be read")
    }

    /// Notes something in its metadata.
    pub(crate) async fn note(&self, key: &str, value: &str) -> Result<()> {
        let path = format!("/v1.0/metadata/{key}");
        let asked = self.send(
            Method::PUT,
            &path,
            Some("text/plain"),
            Bytes::copy_from_slice(value.as_bytes()),
        );
        let answer = tokio::time::timeout(METADATA_TIMEOUT, asked)
            .await
            .context("the sidecar takes too long")??;
        match answer.status.is_success() {
            true => Ok(()),
            false => Err(anyhow!("the sidecar answers {}", answer.status)),
        }
    }

    /// Waits until the application may call the sidecar.
    pub(crate) async fn wait_outbound(&self) {
        self.wait("/v1.0/healthz/outbound").await;
    }

    /// Waits until everything is up, the application included.
    pub(crate) async fn wait_ready(&self) {
        self.wait("/v1.0/healthz").await;
    }

    async fn wait(&self, path: &str) {
        loop {
            let asked = self.send(Method::GET, path, None, Bytes::new());
            if let Ok(Ok(answer)) = tokio::time::timeout(HEALTH_TIMEOUT, asked).await
                && answer.status.is_success()
            {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
