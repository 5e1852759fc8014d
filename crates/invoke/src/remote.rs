//! Calls to the applications of other sidecars.

use crate::{
    Invoke,
    call::{Answer, Call, GrpcAnswer},
    codes,
    download::{self, fault_in},
    fault::{Fault, PeerFault},
    headers::{self, Origin},
    payload::{Content, Payload, settle},
    peers::Peer,
    proto::{self, Entries, RequestHead},
    rpc,
    target::AppId,
    upload::{self, End},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use outgoing::{Builtin, CallCx, CallError};
use runtime::Snapshot;
use smallvec::SmallVec;
use std::time::Instant;
use telemetry::metrics::service::Invocation;
use wire::common::v1::http_extension::Verb;

/// What of the metadata is not sent to another sidecar: what belongs to this hop, and what this sidecar itself says.
fn is_own(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "te"
            | "transfer-encoding"
            | "http2-settings"
            | "baggage"
            | "destination-app-id"
            | "dapr-app-id"
            | "dapr-caller-app-id"
            | "dapr-caller-namespace"
            | "dapr-callee-app-id"
    )
}

impl Invoke {
    /// Calls the application of another sidecar. One that cannot be reached is tried again, unless policies name the
    /// application: then they decide.
    pub(crate) async fn call_peer(&self, snapshot: &Snapshot, app: AppId<'_>, call: Call) -> Result<Answer, Fault> {
        let head = self.head(app, &call);
        let hop = self.hop_headers(&call);
        let started = Instant::now();
        let call = Remote {
            app,
            head,
            hop,
            limit: self.runtime.info.body_limit(),
            is_head: call.verb == Some(Verb::Head),
            body: call.body,
            repeats: call.repeats,
        };
        self.metrics.service_invocation_request_sent(app.id, Invocation::Unary);
        let result = if snapshot.policies.names_app(app.id) {
            if !call.repeats {
                call.body.release();
            }
            self.attempt(&call).await
        } else {
            let policy = snapshot.policies.builtin(Builtin::ServiceRetries);
            let attempt = |_| async { self.attempt(&call).await.map_err(PeerFault) };
            policy
                .run(&CallCx::new(&self.never), attempt)
                .await
                .map_err(|error| match error {
                    CallError::Inner(PeerFault(fault)) => fault,
                    other => Fault::text(other.to_string()).for_good(),
                })
        };
        if self.metrics.is_enabled() {
            let code = match &result {
                Ok(answer) => answer.code(),
                Err(fault) => fault.code.unwrap_or(codes::UNKNOWN),
            };
            self.metrics
                .service_invocation_response_received(app.id, code, Invocation::Unary, started.elapsed());
        }
        result
    }

    /// The head of a call, as it is sent to another sidecar.
    fn head(&self, app: AppId<'_>, call: &Call) -> Bytes {
        let me = &self.me;
        let mut more: SmallVec<[(&str, &[u8]); 8]> = SmallVec::new();
        more.extend([
            ("dapr-caller-app-id", me.id.as_bytes()),
            ("dapr-caller-namespace", me.namespace.as_bytes()),
            ("dapr-callee-app-id", app.id.as_bytes()),
            ("x-forwarded-for", me.address.as_bytes()),
            ("x-forwarded-host", me.host.as_bytes()),
            ("forwarded", me.forwarded.as_bytes()),
        ]);
        if let Some(baggage) = &call.along.baggage {
            more.push(("baggage", baggage.as_bytes()));
        }
        let content_type = match call.origin {
            Origin::Http => call.metadata.get(header::CONTENT_TYPE),
            Origin::Grpc => call.content_type.as_ref(),
        };
        let head = RequestHead {
            metadata: Entries {
                headers: &call.metadata,
                skip: is_own,
                more: &more,
                origin: call.origin,
            },
            method: &call.method,
            content_type: content_type.map_or(&b""[..], |value| value.as_bytes()),
            verb: call.verb,
            query: &call.query,
            type_url: &call.type_url,
        };
        head.framed().freeze()
    }

    /// The headers of the hop to another sidecar.
    fn hop_headers(&self, call: &Call) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        if call.along.trace.is_valid() {
            call.along.trace.write_grpc(&mut headers);
        }
        if let Some(baggage) = &call.along.baggage {
            headers.insert("baggage", baggage.clone());
        }
        headers
    }

    async fn attempt(&self, call: &Remote<'_>) -> Result<Answer, Fault> {
        let result = self.attempt_once(call).await;
        match result {
            Ok(answer) => {
                if !call.repeats {
                    call.body.release();
                }
                Ok(answer)
            }
            Err(fault) => Err(match call.body.broken() {
                Some(why) => Fault::text(why).for_good(),
                None if !call.body.can_replay() => fault.for_good(),
                None => fault,
            }),
        }
    }

    async fn attempt_once(&self, call: &Remote<'_>) -> Result<Answer, Fault> {
        let address = self.finder.find(call.app).await?;
        let peer = self
            .peers
            .at(&address, call.app)
            .map_err(|e| Fault::text(e.to_string()).for_good())?;
        if peer.is_unary_only() {
            return self.unary(&peer, call).await;
        }
        let body = match &call.body {
            Payload::Whole(bytes) => upload::whole(&call.head, bytes.clone(), End::Request),
            stream => upload::stream(&call.head, stream.body(), End::Request),
        };
        match self.exchange(&peer, peer.stream.clone(), call, body).await {
            Ok(response) => answer(response, call).await,
            Err(fault) if fault.code == Some(codes::UNIMPLEMENTED) && call.body.can_replay() => {
                peer.set_unary_only();
                self.unary(&peer, call).await
            }
            Err(fault) => Err(fault),
        }
    }

    /// Sends a request to another sidecar; an answer that is a status and nothing else is a fault.
    async fn exchange(
        &self,
        peer: &Peer,
        target: Uri,
        call: &Remote<'_>,
        body: api::Body,
    ) -> Result<http::Response<api::Body>, Fault> {
        let request = rpc::request(target, call.hop.clone(), body);
        let response = peer.client.send(request).await.map_err(|error| {
            self.finder.forget(call.app);
            Fault::from_peer(&error)
        })?;
        if response.status() != StatusCode::OK {
            let text = format!(
                "unexpected HTTP status code received from server: {}",
                response.status()
            );
            return Err(Fault::status(codes::UNAVAILABLE, text));
        }
        match fault_in(response.headers()) {
            Some(fault) => Err(fault),
            None => Ok(response),
        }
    }

    /// A call to a sidecar that cannot stream.
    async fn unary(&self, peer: &Peer, call: &Remote<'_>) -> Result<Answer, Fault> {
        let data = call.body.gather(call.limit).await;
        let data = data.map_err(|why| Fault::text(why).for_good())?;
        let message = proto::unary_request(&call.head, &data).map_err(|e| Fault::text(e.to_string()).for_good())?;
        let body = upload::once(message);
        let response = self.exchange(peer, peer.unary.clone(), call, body).await?;
        let reply = rpc::read(response, usize::MAX).await?;
        if let Some(fault) = fault_in(&reply.trailers) {
            return Err(fault);
        }
        let mut response = read(reply.message)?;
        let data = std::mem::take(&mut response.data);
        finish(response, Content::Whole(data), call).await
    }
}

/// A call to another sidecar, ready to be sent any number of times.
struct Remote<'a> {
    app: AppId<'a>,
    head: Bytes,
    hop: HeaderMap,
    limit: usize,
    is_head: bool,
    body: Payload,
    repeats: bool,
}

fn read(head: Bytes) -> Result<proto::Response, Fault> {
    proto::Response::read(head).map_err(|e| Fault::status(codes::INTERNAL, e.to_string()))
}

async fn answer(response: http::Response<api::Body>, call: &Remote<'_>) -> Result<Answer, Fault> {
    let (head, body) = download::open(response.into_body()).await?;
    let mut head = read(head)?;
    let data = std::mem::take(&mut head.data);
    let content = if data.is_empty() {
        Content::Stream(body.boxed())
    } else {
        Content::Whole(data)
    };
    finish(head, content, call).await
}

/// The answer that another sidecar passes on: an HTTP status has three digits, a gRPC code at most two.
async fn finish(head: proto::Response, content: Content, call: &Remote<'_>) -> Result<Answer, Fault> {
    let status = u16::try_from(head.code)
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok());
    let content_type = HeaderValue::from_maybe_shared(head.content_type).ok();
    if let Some(status) = status {
        let mut response = http::Response::new(content.body());
        *response.status_mut() = status;
        *response.headers_mut() = head.headers;
        headers::from_http_app(response.headers_mut());
        if let Some(content_type) = content_type.filter(|value| !value.is_empty()) {
            response
                .headers_mut()
                .entry(header::CONTENT_TYPE)
                .or_insert(content_type);
        }
        return Ok(Answer::Http(settle(response, call.is_head).await));
    }
    let data = content.gather(call.limit).await;
    let data = data.map_err(|e| Fault::status(codes::INTERNAL, e.to_string()))?;
    let (mut headers, mut trailers) = (head.headers, head.trailers);
    headers::from_grpc(&mut headers);
    headers::from_grpc(&mut trailers);
    Ok(Answer::Grpc(Box::new(GrpcAnswer {
        code: head.code,
        message: head.message,
        details: head.details,
        headers,
        trailers,
        content_type: content_type.map_or_else(String::new, |v| String::from_utf8_lossy(v.as_bytes()).into_owned()),
        type_url: head.type_url,
        data,
    })))
}
