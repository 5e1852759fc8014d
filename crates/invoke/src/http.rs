//! Invocation over HTTP: any request that no route takes.

use crate::{
    Error, Invoke, Target,
    call::{Answer, Call, GrpcAnswer, verb_of},
    codes,
    fault::Fault,
    guard::Front,
    headers::{self, Origin},
    local::PROTOBUF,
    method,
    payload::{Content, Late, Payload, words},
    status_json, target,
};
use api::{HttpRequest, HttpResponse, request};
use app::Along;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use outgoing::CallError;
use std::borrow::Cow;

impl Invoke {
    /// Answers an HTTP request that is a call of an application.
    pub(crate) async fn http(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let HttpRequest {
            mut cx,
            method: verb,
            uri,
            mut body,
            ..
        } = request;
        let named = target::find(uri.path(), &cx.headers).ok_or(Error::NoTarget)?;
        let wants_events = headers::accepts_events(&cx.headers);
        let id = named.id.into_owned();
        let failed = |why: String| Error::Failed { id: id.clone(), why };
        let Some(method) = api::path::unescape(&named.method) else {
            return Ok(bad_escape());
        };
        let method = match method::normalize(&method) {
            Ok(Cow::Borrowed(_)) => method.into_owned(),
            Ok(Cow::Owned(method)) => method,
            Err(fault) => return Err(failed(fault.to_string())),
        };
        if body.size_hint().lower() > cx.info().body_limit() as u64 {
            // Who still sends would find the connection closed, and never see the answer.
            while let Some(Ok(_)) = body.frame().await {}
            return Err(failed(words(&api::body::ReadError::TooLarge)));
        }
        let body = Payload::read(body).await.map_err(|error| failed(words(&*error)))?;
        let call = Call {
            method,
            verb: Some(verb_of(&verb)),
            query: uri.query().unwrap_or_default().to_owned(),
            metadata: std::mem::take(&mut cx.headers),
            origin: Origin::Http,
            content_type: None,
            type_url: String::new(),
            body,
            along: Along {
                trace: cx.trace.clone(),
                baggage: cx.baggage.take(),
            },
            repeats: false,
        };
        match self.guarded(&cx.snapshot, &id, call, Front::Http).await {
            Ok(answer) => Ok(rendered(answer, wants_events)),
            Err(error) => Err(refused(id, error)),
        }
    }
}

/// The target of a call over HTTP, in what it may be.
pub(crate) fn refused(id: String, error: CallError<Fault>) -> Error {
    let denied = matches!(&error, CallError::Inner(fault) if fault.code == Some(codes::PERMISSION_DENIED));
    let why = error.to_string();
    if denied {
        Error::Denied { id, why }
    } else {
        Error::Failed { id, why }
    }
}

fn bad_escape() -> HttpResponse {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    request::content(StatusCode::BAD_REQUEST, plain, "400 Bad Request")
}

/// An answer for an HTTP caller.
fn rendered(answer: Answer, wants_events: bool) -> HttpResponse {
    match answer {
        Answer::Http(response) => {
            let mut response = response.map(|content| match content {
                Content::Stream(body) => Late::body(body),
                whole => whole.body(),
            });
            headers::to_http_caller(response.headers_mut(), Origin::Http);
            // What an application says of what went wrong is JSON unless it says otherwise.
            if codes::is_failure(response.status()) {
                let content_type = response.headers_mut().entry(header::CONTENT_TYPE);
                content_type.or_insert(request::JSON);
            } else if wants_events && !response.headers().contains_key(header::CONTENT_TYPE) {
                // Sidecars of the original leave it to the caller to say so.
                let headers = response.headers_mut();
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            }
            response
        }
        Answer::Grpc(answer) => rendered_grpc(*answer),
    }
}

fn rendered_grpc(answer: GrpcAnswer) -> HttpResponse {
    let status = codes::to_http(answer.code);
    if answer.code != codes::OK {
        return request::content(status, request::JSON, status_json::encode(&answer));
    }
    let content_type = if answer.type_url.is_empty() {
        HeaderValue::from_str(&answer.content_type).ok()
    } else {
        Some(HeaderValue::from_static(PROTOBUF))
    };
    let mut headers = answer.headers;
    headers::to_http_caller(&mut headers, Origin::Grpc);
    if let Some(content_type) = content_type.filter(|value| !value.is_empty()) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    let mut response = Response::new(api::body::full(answer.data));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Whom a call is for: a service outside, the application of this sidecar, or that of another.
impl Invoke {
    pub(crate) fn target<'a>(&'a self, snapshot: &runtime::Snapshot, id: &'a str) -> Result<Target<'a>, Fault> {
        use crate::endpoint::Service;
        if target::is_url(id) {
            return Ok(Target::Service(Service {
                name: id.to_owned(),
                base: id.to_owned(),
                endpoint: None,
            }));
        }
        let named = |name: &str| {
            let endpoint = snapshot.endpoints.get(name)?;
            Some(Target::Service(Service {
                name: endpoint.name.clone(),
                base: endpoint.base_url.clone(),
                endpoint: Some(endpoint.clone()),
            }))
        };
        if snapshot.endpoints.is_empty() {
            return self.app_target(id);
        }
        if let Some(service) = named(id) {
            return Ok(service);
        }
        let app = target::parse(id, &self.me.namespace)?;
        if app.namespace == self.me.namespace
            && let Some(service) = named(app.id)
        {
            return Ok(service);
        }
        self.app_target(id)
    }

    fn app_target<'a>(&'a self, id: &'a str) -> Result<Target<'a>, Fault> {
        let app = target::parse(id, &self.me.namespace)?;
        if app.id == self.me.id && app.namespace == self.me.namespace {
            return Ok(Target::Local);
        }
        Ok(Target::Remote(app))
    }
}
