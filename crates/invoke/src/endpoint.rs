//! Calls to HTTP services outside: those that resources name, and those that are called by URL.

use crate::{
    Invoke,
    call::{Answer, Call},
    codes,
    fault::{self, Fault},
    headers,
    local::http_request,
    payload::{Payload, settle},
    redirect::{self, Step},
};
use client::{Address, Client, Options, SendError, Tls, Version, tls::Trust};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use parking_lot::Mutex;
use runtime::Endpoint;
use std::{collections::HashMap, sync::Arc, time::Instant};
use telemetry::{metrics::service::Invocation, trace::TRACEPARENT};
use url::{Position, Url};

/// How many services are remembered. The one that was not called for the longest time goes first.
const MOST: usize = 256;
/// How many redirections are followed.
const REDIRECTS: usize = 10;

/// Clients of services outside: by resource, and by scheme and authority for all that have no settings of their own.
#[derive(Default)]
pub(crate) struct Services {
    known: Mutex<HashMap<String, Known>>,
}

struct Known {
    client: Client,
    /// The resource that the settings come from.
    endpoint: Option<Arc<Endpoint>>,
    used: Instant,
}

impl Services {
    /// The client of the server of a URL.
    fn client(&self, url: &Url, endpoint: Option<&Arc<Endpoint>>) -> Result<Client, Fault> {
        let authority = authority(url)?;
        let own = endpoint.filter(|endpoint| has_tls(endpoint));
        let name = own.map_or("", |endpoint| endpoint.name.as_str());
        let key = format!("{} {authority} {name}", url.scheme());
        let mut known = self.known.lock();
        if let Some(found) = known.get_mut(&key) {
            let same = match (&found.endpoint, own) {
                (None, None) => true,
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            };
            if same {
                found.used = Instant::now();
                return Ok(found.client.clone());
            }
        }
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, known)| known.used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                known.remove(&oldest);
            }
        }
        let client = make(url, authority, own)?;
        let found = Known {
            client: client.clone(),
            endpoint: own.cloned(),
            used: Instant::now(),
        };
        known.insert(key, found);
        Ok(client)
    }
}

fn has_tls(endpoint: &Endpoint) -> bool {
    !endpoint.root_ca.is_empty() || !endpoint.client_certificate.is_empty()
}

fn authority(url: &Url) -> Result<String, Fault> {
    let host = url
        .host_str()
        .ok_or_else(|| Fault::text("http: no Host in request URL").for_good())?;
    let port = url.port_or_known_default().unwrap_or(80);
    Ok(format!("{host}:{port}"))
}

fn make(url: &Url, authority: String, own: Option<&Arc<Endpoint>>) -> Result<Client, Fault> {
    let tls = if url.scheme() == "https" {
        let host = url.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let trust = match own {
            Some(endpoint) if !endpoint.root_ca.is_empty() => Trust::Roots(endpoint.root_ca.clone()),
            _ => Trust::System,
        };
        let identity = own
            .filter(|endpoint| !endpoint.client_certificate.is_empty())
            .map(|endpoint| (endpoint.client_certificate.as_str(), endpoint.client_key.as_str()));
        let tls = Tls::new(host, &trust, identity, &["h2", "http/1.1"]);
        Some(tls.map_err(|e| Fault::text(e.to_string()).for_good())?)
    } else {
        None
    };
    let version = if tls.is_some() {
        Version::Negotiated
    } else {
        Version::Http1
    };
    let options = Options {
        version,
        tls,
        ..Options::default()
    };
    Ok(Client::new(Address::Tcp(authority), options))
}

/// A service outside: its URL, and the resource that it comes from.
#[derive(Clone)]
pub(crate) struct Service {
    /// How it was called, for metrics.
    pub(crate) name: String,
    /// What paths are appended to.
    pub(crate) base: String,
    /// The resource, if there is one.
    pub(crate) endpoint: Option<Arc<Endpoint>>,
}

impl Invoke {
    /// Calls a service outside.
    pub(crate) async fn call_service(&self, service: &Service, call: Call) -> Result<Answer, Fault> {
        self.metrics
            .service_invocation_request_sent(&service.name, Invocation::Unary);
        let base = service.base.as_str();
        let url = Url::parse(base).map_err(|e| Fault::text(format!("parse {base:?}: {e}")).for_good())?;
        let (body, along) = (call.body.clone(), call.along.clone());
        // A base with a slash at its end and a path with one at its beginning make two, as in the original.
        let path = if url.path() == "/" && !base.ends_with('/') {
            ""
        } else {
            url.path()
        };
        let prefix = format!("{path}/");
        let mut request = http_request(call, &prefix, &|| base.to_owned())?;
        if along.trace.is_valid() || !request.headers().contains_key(TRACEPARENT) {
            along.trace.write_http(request.headers_mut());
        }
        if let Some(baggage) = along.baggage {
            request.headers_mut().insert("baggage", baggage);
        }
        put_own_headers(request.headers_mut(), service.endpoint.as_deref());
        self.follow(service, url, request, &body).await
    }

    /// Sends a request, and follows where the answers send it.
    async fn follow(
        &self,
        service: &Service,
        mut url: Url,
        mut request: Request<api::Body>,
        body: &Payload,
    ) -> Result<Answer, Fault> {
        url.set_path("");
        url.set_query(None);
        for count in 0..=REDIRECTS {
            let target = request.uri().to_string();
            let full = format!("{}{target}", url.as_str().trim_end_matches('/'));
            let (method, kept) = (request.method().clone(), request.headers().clone());
            let client = self.services.client(&url, service.endpoint.as_ref())?;
            let response = send(&client, &url, request)
                .await
                .map_err(|error| failed(&method, &full, &error, body))?;
            let step = redirect::step(&full, &method, &kept, &response, body);
            let Some(step) = step else {
                let mut response = response;
                headers::from_http_app(response.headers_mut());
                return Ok(Answer::Http(settle(response, method == Method::HEAD).await));
            };
            if count == REDIRECTS {
                let text = format!("{} \"{full}\": stopped after 10 redirects", fault::titled(&method));
                return Err(Fault::text(text).for_good());
            }
            let Step {
                url: next,
                request: again,
            } = step;
            url = next;
            request = again;
        }
        Err(Fault::status(codes::INTERNAL, "redirected without end").for_good())
    }
}

async fn send(
    client: &Client,
    url: &Url,
    mut request: Request<api::Body>,
) -> Result<http::Response<api::Body>, SendError> {
    if let Ok(host) = HeaderValue::from_str(&url[Position::BeforeHost..Position::AfterPort]) {
        request.headers_mut().insert(header::HOST, host);
    }
    client.send(request).await
}

fn failed(method: &Method, url: &str, error: &SendError, body: &Payload) -> Fault {
    let why = body.broken();
    let is_final = why.is_some() || !body.can_replay();
    let why = why.unwrap_or_else(|| fault::sent(error));
    let fault = Fault::text(format!("{} \"{url}\": {why}", fault::titled(method)));
    if is_final { fault.for_good() } else { fault }
}

/// Puts the headers that a resource wants; they replace those of the caller.
fn put_own_headers(headers: &mut HeaderMap, endpoint: Option<&Endpoint>) {
    for header in endpoint.into_iter().flat_map(|endpoint| &endpoint.headers) {
        let name = HeaderName::from_bytes(header.name.as_bytes());
        let value = HeaderValue::from_bytes(header.value.as_bytes());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
}
