//! Calls that other sidecars make to the application of this one.

use crate::{
    Invoke, OnBehalf,
    access::{Caller, Operation},
    call::{Answer, Call},
    codes,
    download::{self, Download, WithLength},
    fault::Fault,
    headers::{self, CALLER_ID, Origin},
    method,
    payload::{Content, Payload},
    proto::{self, Entries, ResponseHead},
    rpc,
    upload::{self, End},
};
use api::{Body, Cx};
use app::Along;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, header};
use telemetry::trace::Kind;
use wire::{
    common::v1::{InvokeResponse, http_extension::Verb},
    google::protobuf::Any,
    internals::v1::{InternalInvokeResponse, ListStringValue, Status},
};

impl Invoke {
    /// `CallLocalStream`: the head, then the body in pieces; the answer likewise.
    pub(crate) async fn call_local_stream(&self, cx: Cx, request: http::Request<Body>) -> Response<Body> {
        let caller = request.extensions().get::<Caller>().cloned();
        match self.stream_from_peer(cx, caller, request.into_body()).await {
            Ok(response) => response,
            Err(fault) => rpc::failed(&fault),
        }
    }

    async fn stream_from_peer(&self, cx: Cx, caller: Option<Caller>, body: Body) -> Result<Response<Body>, Fault> {
        let (head, body) = download::open(body).await?;
        let mut request = read(head)?;
        let data = std::mem::take(&mut request.data);
        let payload = if data.is_empty() {
            payload(&request, body).await?
        } else {
            Payload::Whole(data)
        };
        let events = headers::accepts_events(&request.metadata);
        let answer = self.call_for_peer(cx, caller, request, payload).await?;
        if events && matches!(&answer, Answer::Http(response) if !response.status().is_success()) {
            let text = "error invoking app channel: no response received from stream";
            return Err(Fault::status(codes::INTERNAL, text));
        }
        Ok(streamed(answer))
    }

    /// `CallLocal`: all in one message, for sidecars that do not stream.
    pub(crate) async fn call_local(&self, cx: Cx, request: http::Request<Body>) -> Response<Body> {
        let caller = request.extensions().get::<Caller>().cloned();
        match self.unary_from_peer(cx, caller, request.into_body()).await {
            Ok(message) => rpc::answer(HeaderMap::new(), message, upload::good()),
            Err(fault) => rpc::failed(&fault),
        }
    }

    async fn unary_from_peer(&self, cx: Cx, caller: Option<Caller>, body: Body) -> Result<Bytes, Fault> {
        let limit = self.runtime.info.body_limit();
        let message = rpc::read_request(body, limit).await?;
        let mut request = read(message)?;
        let payload = Payload::Whole(std::mem::take(&mut request.data));
        let answer = self.call_for_peer(cx, caller, request, payload).await?;
        gathered(answer, limit).await
    }

    /// Calls the application for another sidecar.
    async fn call_for_peer(
        &self,
        cx: Cx,
        caller: Option<Caller>,
        request: proto::Request,
        body: Payload,
    ) -> Result<Answer, Fault> {
        if !request.has_message {
            let text = "parsing InternalInvokeRequest error: field Message is nil";
            return Err(Fault::status(codes::INVALID_ARGUMENT, text));
        }
        let app = self
            .app
            .load_full()
            .ok_or_else(|| Fault::status(codes::INTERNAL, api::error::Error::NoAppChannel.to_string()))?;
        let method = method::normalize(&request.method)?.into_owned();
        let verb = request.verb.map(|verb| Verb::try_from(verb).unwrap_or(Verb::None));
        let operation = Operation {
            name: &method,
            verb,
            is_grpc: app.options().protocol.is_grpc(),
        };
        self.allow(caller.as_ref(), &operation)?;
        let (_span, along) = self.along_for_peer(&cx, &method);
        let source = source(&request.metadata);
        self.metrics.service_invocation_request_received(&source);
        let call = Call {
            method,
            verb,
            query: request.query,
            origin: Origin::of(&request.metadata),
            metadata: request.metadata,
            content_type: HeaderValue::from_maybe_shared(request.content_type)
                .ok()
                .filter(|value| !value.is_empty()),
            type_url: request.type_url,
            body,
            along,
            repeats: false,
        };
        let result = self.call_app(call).await;
        if self.metrics.is_enabled() {
            let code = match &result {
                Ok(answer) => answer.code(),
                Err(fault) => fault.code.unwrap_or(codes::UNKNOWN),
            };
            self.metrics.service_invocation_response_sent(&source, code);
        }
        result.map_err(Fault::at_app_channel)
    }

    /// The trace and baggage that go on to the application; the span, while the call lasts.
    fn along_for_peer(&self, cx: &Cx, method: &str) -> (OnBehalf, Along) {
        let baggage = cx.baggage.clone();
        if !self.tracer.is_on() {
            let trace = cx.trace.clone();
            return (None, Along { trace, baggage });
        }
        let name = format_args!("CallLocal/{}/{method}", self.me.id).to_string();
        let mut span = self.tracer.start(&name, Some(&cx.trace), Kind::Server);
        span.set_attribute_with("dapr.api", || name.clone().into());
        span.set_attribute_with("dapr.invoke_method", || method.to_owned().into());
        span.set_attribute("dapr.protocol", "grpc");
        let trace = span.context().clone();
        (Some(span), Along { trace, baggage })
    }
}

fn read(head: Bytes) -> Result<proto::Request, Fault> {
    proto::Request::read(head).map_err(|e| Fault::status(codes::INTERNAL, e.to_string()))
}

/// The body of a call. Nothing of it is kept: whoever called may call again.
async fn payload(request: &proto::Request, body: Download) -> Result<Payload, Fault> {
    let told = request.metadata.get(header::CONTENT_LENGTH);
    let length = told.filter(|_| Origin::of(&request.metadata) == Origin::Http);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    // Over HTTP/1.1 these have no body unless it is said before.
    let bodiless = matches!(
        request.verb.map(Verb::try_from),
        Some(Ok(Verb::Get | Verb::Head | Verb::Delete | Verb::Options))
    );
    let payload = match length {
        Some(length) => Payload::read(WithLength::new(body, length)).await,
        None if bodiless => Payload::begun(body.boxed()).await,
        None => Payload::now(body.boxed()),
    };
    payload.map_err(|error| Fault::status(codes::INTERNAL, error.to_string()))
}

/// Which application calls.
fn source(metadata: &HeaderMap) -> String {
    let id = metadata.get(&CALLER_ID).and_then(|id| id.to_str().ok());
    id.unwrap_or_default().to_owned()
}

/// An answer as a stream.
fn streamed(answer: Answer) -> Response<Body> {
    let body = match answer {
        Answer::Http(response) => {
            let (parts, content) = response.into_parts();
            let head = http_head(&parts);
            match content {
                Content::Whole(bytes) => upload::whole(&head, bytes, End::Response),
                Content::Stream(body) => upload::stream(&head, body, End::Response),
            }
        }
        Answer::Grpc(answer) => {
            let head = ResponseHead {
                code: answer.code,
                message: &answer.message,
                details: answer.details.clone(),
                headers: Entries::all(&answer.headers, Origin::Grpc),
                trailers: Some(&answer.trailers),
                content_type: answer.content_type.as_bytes(),
                type_url: &answer.type_url,
            };
            upload::whole(&head.framed(), answer.data.clone(), End::Response)
        }
    };
    rpc::response(HeaderMap::new(), body)
}

fn http_head(parts: &http::response::Parts) -> BytesMut {
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let head = ResponseHead {
        code: i32::from(parts.status.as_u16()),
        message: &codes::reason(parts.status),
        details: Vec::new(),
        headers: Entries::all(&parts.headers, Origin::Http),
        trailers: None,
        content_type: content_type.map_or(&b""[..], |value| value.as_bytes()),
        type_url: "",
    };
    head.framed()
}

/// An answer as one message.
async fn gathered(answer: Answer, limit: usize) -> Result<Bytes, Fault> {
    let (status, headers, trailers, message) = match answer {
        Answer::Http(response) => {
            let (parts, content) = response.into_parts();
            let data = content.gather(limit).await;
            let data = data.map_err(|e| Fault::status(codes::INTERNAL, e.to_string()))?;
            let content_type = parts.headers.get(header::CONTENT_TYPE);
            let content_type = content_type.map_or_else(String::new, |v| String::from_utf8_lossy(v.as_bytes()).into());
            let status = Status {
                code: i32::from(parts.status.as_u16()),
                message: codes::reason(parts.status).into_owned(),
                details: Vec::new(),
            };
            (
                status,
                entries(&parts.headers),
                Default::default(),
                message(data, "", content_type),
            )
        }
        Answer::Grpc(answer) => {
            let details = answer
                .details
                .iter()
                .filter_map(|d| prost::Message::decode(d.clone()).ok())
                .collect();
            let status = Status {
                code: answer.code,
                message: answer.message,
                details,
            };
            let message = message(answer.data, &answer.type_url, answer.content_type);
            (status, entries(&answer.headers), entries(&answer.trailers), message)
        }
    };
    Ok(rpc::framed(&InternalInvokeResponse {
        status: Some(status),
        headers,
        trailers,
        message: Some(message),
    }))
}

fn message(data: Bytes, type_url: &str, content_type: String) -> InvokeResponse {
    let data = Any {
        type_url: type_url.to_owned(),
        value: data.into(),
    };
    InvokeResponse {
        data: Some(data),
        content_type,
    }
}

fn entries(headers: &HeaderMap) -> std::collections::HashMap<String, ListStringValue> {
    let mut out: std::collections::HashMap<String, ListStringValue> = Default::default();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        out.entry(name.as_str().to_owned()).or_default().values.push(value);
    }
    out
}
