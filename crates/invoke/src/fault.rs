//! Why a call got no answer, in the words that clients of the original know.

use crate::codes;
use app::AppError;
use bytes::Bytes;
use client::SendError;
use http::Method;
use outgoing::{Class, Classify};
use std::fmt;

/// Why a call got no answer.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// The gRPC code, if it came as one or the original has one here.
    pub(crate) code: Option<i32>,
    /// What went wrong.
    pub(crate) text: String,
    /// `grpc-status-details-bin`, decoded.
    pub(crate) details: Bytes,
    /// Whether the same call may be made again.
    pub(crate) repeatable: bool,
}

impl Fault {
    /// A fault without a code.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self {
            code: None,
            text: text.into(),
            details: Bytes::new(),
            repeatable: true,
        }
    }

    /// A fault with a gRPC code.
    pub(crate) fn status(code: i32, text: impl Into<String>) -> Self {
        Self {
            code: Some(code),
            ..Self::text(text)
        }
    }

    /// The same, not to be repeated.
    pub(crate) fn for_good(mut self) -> Self {
        self.repeatable = false;
        self
    }

    /// There is no application to call.
    pub(crate) fn no_app() -> Self {
        Self::text("cannot invoke local endpoint: app channel not initialized")
    }

    /// The application gave no answer to an HTTP request.
    pub(crate) fn from_app(method: &Method, url: &str, error: &AppError, body: Option<String>) -> Self {
        if let AppError::Unhealthy = error {
            return Self::status(codes::INTERNAL, error.to_string());
        }
        let why = match (body, error) {
            (Some(why), _) => why,
            (None, AppError::Send(error)) => sent(error),
            (None, other) => other.to_string(),
        };
        Self::text(format!("{} \"{url}\": {why}", titled(method)))
    }

    /// The application gave no answer to a gRPC request.
    pub(crate) fn from_grpc_app(error: &AppError) -> Self {
        match error {
            AppError::Send(error) => Self::from_peer(error),
            other => Self::status(codes::INTERNAL, other.to_string()),
        }
    }

    /// Another sidecar gave no answer.
    pub(crate) fn from_peer(error: &SendError) -> Self {
        let why = match error {
            SendError::Connect { .. } => {
                format!("connection error: desc = \"transport: Error while dialing: {error}\"")
            }
            _ => format!("error reading from server: {}", sent(error)),
        };
        Self::status(codes::UNAVAILABLE, why)
    }

    /// The same fault as the other side of a peer tells it.
    pub(crate) fn at_app_channel(self) -> Self {
        let text = format!("error invoking app channel: {self}");
        Self {
            text,
            code: Some(codes::INTERNAL),
            ..self
        }
    }
}

/// What happened to a request, as Go says it.
pub(crate) fn sent(error: &SendError) -> String {
    match error {
        SendError::Broken(error) if error.is_incomplete_message() || error.is_closed() => "EOF".into(),
        SendError::Broken(error) if error.is_parse() => {
            format!("net/http: HTTP/1.x transport connection broken: {error}")
        }
        SendError::Broken(error) => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
        other => other.to_string(),
    }
}

/// A method as Go begins its errors with: `Get`, `Post`.
pub(crate) fn titled(method: &Method) -> String {
    let mut word = method.as_str().to_ascii_lowercase();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "rpc error: code = {} desc = {}", codes::name(code), self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl Classify for Fault {
    fn class(&self) -> Class {
        if self.repeatable && self.code != Some(codes::PERMISSION_DENIED) {
            Class::Transient
        } else {
            Class::Permanent
        }
    }
}

/// A fault of another sidecar, as the retries that are there without any policy see it: only one that cannot be reached
/// is asked again.
#[derive(Debug)]
pub(crate) struct PeerFault(pub(crate) Fault);

impl fmt::Display for PeerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Classify for PeerFault {
    fn class(&self) -> Class {
        match self.0.code {
            Some(codes::UNAVAILABLE | codes::UNAUTHENTICATED) if self.0.repeatable => Class::Transient,
            _ => Class::Permanent,
        }
    }
}
