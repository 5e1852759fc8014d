//! The log of calls to the API.

use http::{HeaderMap, Method, Uri, header};
use std::time::Instant;

/// Whether and how calls are logged.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApiLog {
    /// Whether calls are logged at all.
    pub enabled: bool,
    /// Whether the name of the operation is logged instead of the path, which may tell secrets.
    pub obfuscate_urls: bool,
    /// Whether calls of the health endpoints are left out.
    pub omit_health_checks: bool,
}

impl ApiLog {
    pub(super) fn wants(&self, guarded: bool) -> bool {
        self.enabled && (guarded || !self.omit_health_checks)
    }
}

/// A call that is going on.
pub(super) struct Called {
    method: String,
    path: String,
    agent: String,
    started: Instant,
}

impl Called {
    pub(super) fn http(method: &Method, uri: &Uri, headers: &HeaderMap, started: Instant) -> Self {
        Self {
            method: method.as_str().to_owned(),
            path: uri.path().to_owned(),
            agent: agent(headers),
            started,
        }
    }

    pub(super) fn grpc(path: &str, headers: &HeaderMap, started: Instant) -> Self {
        Self {
            method: String::new(),
            path: path.to_owned(),
            agent: agent(headers),
            started,
        }
    }

    /// The call has been answered.
    pub(super) fn done(self, log: &ApiLog, name: &str, code: u16, size: Option<u64>) {
        let duration = self.started.elapsed().as_millis() as u64;
        let useragent = self.agent.as_str();
        if self.method.is_empty() {
            let method = self.path.as_str();
            tracing::info!(target: "dapr.runtime.grpc.api-info", method, duration, useragent, code, "gRPC API Called");
            return;
        }
        let shown = if log.obfuscate_urls {
            obfuscated(name, &self.path)
        } else {
            self.path.clone()
        };
        let method = format!("{} {shown}", self.method);
        let size = size.unwrap_or(0);
        tracing::info!(target: "dapr.runtime.http-info", method, duration, useragent, code, size, "HTTP API Called");
    }
}

/// What is shown of a path that may tell secrets: the operation, and of an invocation whom it calls.
fn obfuscated(name: &str, path: &str) -> String {
    let target = path
        .strip_prefix("/v1.0/invoke/")
        .and_then(|rest| rest.split('/').next());
    match target.filter(|_| name == "InvokeService") {
        Some(app) => format!("{name}/{app}"),
        None => name.to_owned(),
    }
}

fn agent(headers: &HeaderMap) -> String {
    headers
        .get(header::USER_AGENT)
        .map_or_else(String::new, |v| String::from_utf8_lossy(v.as_bytes()).into_owned())
}
