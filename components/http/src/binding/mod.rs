//! `bindings.http`: calls to any HTTP server.

use crate::client::{Client, client};
use bytes::Bytes;
use component::{
    Component, ComponentError, Metadata, Open, OpenError, async_trait,
    binding::{Invoke, InvokeError, OutputBinding, Response},
};
use http::{HeaderName, Method, response::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, ext::ReasonPhrase};
use std::error::Error;

mod call;
mod options;
mod target;
#[cfg(test)]
mod tests;

use call::{Call, strict};
pub use options::{Options, Renegotiation, Size};
use target::Target;

/// The operations; `create` is another word for `post`.
const OPERATIONS: [(&str, Method); 9] = [
    ("create", Method::POST),
    ("get", Method::GET),
    ("head", Method::HEAD),
    ("post", Method::POST),
    ("put", Method::PUT),
    ("patch", Method::PATCH),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("trace", Method::TRACE),
];

/// How many requests one call may become when answers send it on.
const HOPS: usize = 10;

/// How much of an answer that is not needed is read, so that its connection can be used again.
const SLURP: usize = 2048;

/// Calls an HTTP server.
///
/// Of a request's metadata, `path` is put behind the URL, `errorIfNot2XX` overrides the option of that name, and those
/// whose names begin with a capital are sent as headers, as are `traceparent`, `tracestate` and `baggage`. The metadata of
/// the answer are its headers, `statusCode` and `status`; they come with errors too. Redirections are followed.
pub struct Http {
    options: Options,
    client: Client,
}

impl Component for Http {
    const NAMES: &'static [&'static str] = &["http"];
    const SUMMARY: &'static str = "Calls an HTTP server; the operation is the method.";
    type Options = Options;

    async fn open(options: Options, _: Open) -> Result<Self, OpenError> {
        let tls = options.tls().await?;
        Ok(Self {
            options,
            client: client(tls),
        })
    }
}

/// What can go wrong with a call, short of an answer that nobody likes.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Url(String),
    #[error("invalid header field name {0:?}")]
    HeaderName(String),
    #[error("invalid header field value for {0:?}")]
    HeaderValue(String),
    #[error("context deadline exceeded")]
    Late,
    #[error("stopped after {HOPS} redirects")]
    Redirects,
    #[error("the body of the answer is longer than {0} bytes, which is what maxResponseBodySize allows")]
    TooLarge(usize),
    #[error("{0}")]
    Connection(String),
}

impl Problem {
    /// What the chain of an error's causes says, without the client's own first word.
    fn connection(error: &(dyn Error + 'static)) -> Self {
        let mut texts: Vec<String> = causes(error.source().unwrap_or(error))
            .map(ToString::to_string)
            .collect();
        texts.dedup();
        Self::Connection(texts.join(": "))
    }

    /// The error of a call to `url`.
    fn of(self, method: &Method, url: &str) -> ComponentError {
        let verb = capitalized(method.as_str());
        let text = format!("{verb} {url:?}: {self}");
        match self {
            Self::Late | Self::Connection(_) => ComponentError::transient(text),
            _ => ComponentError::permanent(text),
        }
    }
}

#[async_trait]
impl OutputBinding for Http {
    fn operations(&self) -> Vec<String> {
        OPERATIONS.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    async fn invoke(&self, request: Invoke) -> Result<Response, InvokeError> {
        let known = OPERATIONS.iter().find(|(name, _)| *name == request.operation);
        let (_, method) = known.ok_or_else(|| {
            ComponentError::unsupported(format!("bindings.http has no operation {:?}", request.operation))
        })?;
        let url = &self.options.url;
        let call = self.call(method, request.data, &request.metadata);
        let call = call.map_err(|problem| problem.of(method, url))?;
        let url = call.target.to_string();
        let answer = self.answer(call);
        let answer = match self.options.response_timeout {
            Some(limit) => tokio::time::timeout(limit, answer).await.unwrap_or(Err(Problem::Late)),
            None => answer.await,
        };
        let (head, body) = answer.map_err(|problem| problem.of(method, &url))?;
        let error = match &body {
            Err(_) => None,
            Ok(_) if head.status.is_success() || !strict(&request.metadata, self.options.error_if_not_2xx) => None,
            Ok(_) => Some(ComponentError::transient(format!(
                "received status code {}",
                head.status.as_u16()
            ))),
        };
        let (data, error) = match body {
            Ok(data) => (Some(data), error),
            Err(problem) => (None, Some(problem.of(method, &url))),
        };
        let response = Response {
            data,
            metadata: metadata(&head),
            content_type: content_type(&head),
        };
        match error {
            None => Ok(response),
            Some(error) => Err(InvokeError {
                error,
                response: Some(response),
            }),
        }
    }
}

impl Http {
    fn call(&self, method: &Method, body: Bytes, metadata: &Metadata) -> Result<Call, Problem> {
        let target = Target::new(&self.options.url, metadata.get("path").map(String::as_str))?;
        let mut call = Call::new(method.clone(), target, body, metadata)?;
        if let (Some(name), Some(token)) = (&self.options.security_token_header, &self.options.security_token) {
            call.add_header(name, token)?;
        }
        Ok(call)
    }

    /// Makes the call, and those that answers send it on to.
    async fn answer(&self, mut call: Call) -> Result<(Parts, Result<Bytes, Problem>), Problem> {
        let token = self.options.security_token_header.as_deref();
        for _ in 0..HOPS {
            let (head, body) = self.send(&call).await?.into_parts();
            match call.redirected(head.status, &head.headers, token)? {
                Some(next) => {
                    let _unneeded = read(body, Some(SLURP)).await;
                    call = next;
                }
                None => return Ok((head, read(body, self.options.max_response_body_size.0).await)),
            }
        }
        Err(Problem::Redirects)
    }

    async fn send(&self, call: &Call) -> Result<http::Response<Incoming>, Problem> {
        let mut answer = self.client.request(call.request()).await;
        if call.is_safe() && answer.as_ref().is_err_and(|error| closed_meanwhile(error)) {
            // A kept connection that the server closed while the request was on its way.
            answer = self.client.request(call.request()).await;
        }
        answer.map_err(|error| Problem::connection(&error))
    }
}

fn closed_meanwhile(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|error| error.downcast_ref::<hyper::Error>())
        .any(hyper::Error::is_incomplete_message)
}

/// An error and what caused it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}

/// Reads a body of at most `limit` bytes.
async fn read(body: Incoming, limit: Option<usize>) -> Result<Bytes, Problem> {
    let limit = limit.unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::TooLarge(limit)),
        Err(error) => Err(Problem::connection(error.as_ref())),
    }
}

/// The headers and the status of an answer.
fn metadata(head: &Parts) -> Metadata {
    let mut metadata = Metadata::new();
    for name in head.headers.keys() {
        let values = head.headers.get_all(name).iter();
        let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        metadata.insert(header_name(name), values.join(", "));
    }
    let code = head.status.as_u16().to_string();
    let reason = match head.extensions.get::<ReasonPhrase>() {
        Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        None => head.status.canonical_reason().unwrap_or_default().to_owned(),
    };
    metadata.insert("status".into(), format!("{code} {reason}").trim_end().to_owned());
    metadata.insert("statusCode".into(), code);
    metadata
}

fn content_type(head: &Parts) -> Option<String> {
    let value = head.headers.get(http::header::CONTENT_TYPE)?;
    Some(value.to_str().ok()?.to_owned())
}

/// A header's name as it is usually written.
fn header_name(name: &HeaderName) -> String {
    name.as_str().split('-').map(capitalized).collect::<Vec<_>>().join("-")
}

/// The word with a capital and small letters after it.
fn capitalized(word: &str) -> String {
    let mut word = word.to_ascii_lowercase();
    if let Some(first) = word.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    word
}
