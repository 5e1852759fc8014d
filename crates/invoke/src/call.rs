//! A call and its answer, whoever made it and wherever it goes.

use crate::{
    codes,
    headers::Origin,
    payload::{Content, Payload},
};
use app::Along;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use outgoing::Failure;
use wire::common::v1::http_extension::Verb;

/// A call to an application.
#[derive(Clone)]
pub(crate) struct Call {
    /// What is called, normalised.
    pub(crate) method: String,
    /// HTTP's verb; none if the caller said nothing of HTTP.
    pub(crate) verb: Option<Verb>,
    /// HTTP's query, as it came.
    pub(crate) query: String,
    /// Headers or metadata, as they came.
    pub(crate) metadata: HeaderMap,
    /// What they are.
    pub(crate) origin: Origin,
    /// The content type of the data, if `metadata` does not tell.
    pub(crate) content_type: Option<HeaderValue>,
    /// The type of the data, if it is a message.
    pub(crate) type_url: String,
    /// The data.
    pub(crate) body: Payload,
    /// What goes along with the call.
    pub(crate) along: Along,
    /// Whether the call may be made again, so that its body is still needed when there is an answer.
    pub(crate) repeats: bool,
}

/// The verb that stands for a method. Those that have none are POST; CONNECT is no call, and refused where it is sent.
pub(crate) fn verb_of(method: &Method) -> Verb {
    match method.as_str() {
        "GET" => Verb::Get,
        "HEAD" => Verb::Head,
        "PUT" => Verb::Put,
        "DELETE" => Verb::Delete,
        "OPTIONS" => Verb::Options,
        "TRACE" => Verb::Trace,
        "PATCH" => Verb::Patch,
        "CONNECT" => Verb::Connect,
        _ => Verb::Post,
    }
}

/// The method of a verb, if it can be sent to an application.
pub(crate) fn method_of(verb: Verb) -> Option<Method> {
    Some(match verb {
        Verb::Get => Method::GET,
        Verb::Head => Method::HEAD,
        Verb::Post => Method::POST,
        Verb::Put => Method::PUT,
        Verb::Delete => Method::DELETE,
        Verb::Options => Method::OPTIONS,
        Verb::Trace => Method::TRACE,
        Verb::Patch => Method::PATCH,
        Verb::None | Verb::Connect => return None,
    })
}

/// What an application answered.
pub(crate) enum Answer {
    /// An HTTP application.
    Http(http::Response<Content>),
    /// A gRPC application.
    Grpc(Box<GrpcAnswer>),
}

/// What a gRPC application answered.
#[derive(Debug, Default)]
pub(crate) struct GrpcAnswer {
    /// Its code.
    pub(crate) code: i32,
    /// What it says of it.
    pub(crate) message: String,
    /// Details of it, each an encoded `Any`.
    pub(crate) details: Vec<Bytes>,
    /// What came before the data.
    pub(crate) headers: HeaderMap,
    /// What came behind them.
    pub(crate) trailers: HeaderMap,
    /// The content type of the data.
    pub(crate) content_type: String,
    /// The type of the data, if it is a message.
    pub(crate) type_url: String,
    /// The data.
    pub(crate) data: Bytes,
}

impl Answer {
    /// The HTTP status or gRPC code, for metrics.
    pub(crate) fn code(&self) -> i32 {
        match self {
            Self::Http(response) => i32::from(response.status().as_u16()),
            Self::Grpc(answer) => answer.code,
        }
    }

    /// The bad news that it carries, as an HTTP caller sees it.
    pub(crate) fn http_failure(&self) -> Option<Failure> {
        match self {
            Self::Http(response) if codes::is_failure(response.status()) => {
                Some(Failure::Http(response.status().as_u16()))
            }
            Self::Grpc(answer) if answer.code != codes::OK => Some(Failure::Http(codes::to_http(answer.code).as_u16())),
            _ => None,
        }
    }

    /// The bad news that it carries, as a gRPC caller sees it.
    pub(crate) fn grpc_failure(&self) -> Option<Failure> {
        match self {
            Self::Http(response) if !response.status().is_success() => {
                Some(Failure::Grpc(codes::from_http(response.status().as_u16())))
            }
            Self::Grpc(answer) if answer.code != codes::OK => Some(Failure::Grpc(answer.code)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs() {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
            let method: Method = method.parse().expect("a method");
            assert_eq!(method_of(verb_of(&method)), Some(method));
        }
        let purge: Method = "PURGE".parse().expect("a method");
        assert_eq!(method_of(verb_of(&purge)), Some(Method::POST));
        assert_eq!(method_of(verb_of(&Method::CONNECT)), None);
    }
}
