//! A sidecar that can do nothing but invoke, for measurements and for comparisons with the original:
//!
//! ```text
//! sidecar <app id> <http port> <grpc port> <internal port> [app=<port>] [protocol=<word>] [peer=<app id>=<address>] [service=<name>=<url>]
//! ```

use api::{
    Table,
    server::{ApiLog, GrpcServer, HttpServer, Layers, Options, Server, bind},
    token::ApiToken,
};
use app::{App, Health, Protocol};
use component::{
    ComponentError, async_trait,
    name_resolution::{NameResolver, Resolve},
};
use invoke::Invoke;
use runtime::{Endpoint, Info, Runtime, Snapshot};
use std::{collections::HashMap, sync::Arc, time::Duration};
use telemetry::{metrics::Metrics, trace::Tracer};
use tokio_util::sync::CancellationToken;

struct Fixed(HashMap<String, String>);

#[async_trait]
impl NameResolver for Fixed {
    async fn resolve(&self, request: Resolve<'_>) -> Result<Vec<String>, ComponentError> {
        match self.0.get(request.app_id) {
            Some(address) => Ok(vec![address.clone()]),
            None => Err(ComponentError::permanent(format!(
                "couldn't find service: {}",
                request.app_id
            ))),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [app_id, http, grpc, internal, rest @ ..] = &words[..] else {
        return Err("sidecar <app id> <http port> <grpc port> <internal port> ...".into());
    };
    let (mut app, mut protocol, mut peers, mut snapshot) = (None, "", HashMap::new(), Snapshot::default());
    for (key, value) in rest.iter().filter_map(|word| word.split_once('=')) {
        match (key, value.split_once('=')) {
            ("app", _) => app = Some(value.parse::<u16>()?),
            ("protocol", _) => protocol = value,
            ("peer", Some((id, address))) => {
                peers.insert(id.to_owned(), address.to_owned());
            }
            ("service", Some((name, url))) => {
                let endpoint = Endpoint {
                    name: name.to_owned(),
                    base_url: url.to_owned(),
                    ..Endpoint::default()
                };
                snapshot.endpoints.insert(name.to_owned(), Arc::new(endpoint));
            }
            _ => return Err(format!("what is {key}={value}?").into()),
        }
    }
    let info = Info {
        app_id: app_id.clone(),
        namespace: "default".into(),
        host_address: "127.0.0.1".into(),
        internal_port: internal.parse()?,
        max_body_size: 4 << 20,
        ..Info::default()
    };
    let runtime = Arc::new(Runtime::new(info, snapshot));
    let app = match app {
        Some(port) => Some(Arc::new(App::new(
            app::Options {
                protocol: Protocol::parse(protocol).ok_or("no such protocol")?,
                address: "127.0.0.1".into(),
                port,
                max_concurrency: None,
                token: None,
                max_header_bytes: 4096,
            },
            Health::new(None),
            runtime.clone(),
            Metrics::disabled(),
        )?)),
        None => None,
    };
    let invoke = Arc::new(Invoke::new(invoke::Options {
        runtime: runtime.clone(),
        app,
        resolver: Some(Arc::new(Fixed(peers))),
        metrics: Metrics::disabled(),
        tracer: Tracer::off(),
    }));
    let table = Table::default()
        .add(&invoke, invoke::OPS)
        .http_fallback(&invoke, invoke::HTTP_FALLBACK)
        .grpc_fallback(&invoke, invoke::GRPC_FALLBACK);
    let for_peers = Table::default()
        .add(&invoke, invoke::INTERNAL_OPS)
        .grpc_fallback(&invoke, invoke::INTERNAL_GRPC_FALLBACK);
    let layers = Layers {
        runtime,
        access: Arc::default(),
        token: ApiToken::default(),
        cors: None,
        metrics: Metrics::disabled(),
        tracer: Tracer::off(),
        log: ApiLog::default(),
        max_header_bytes: 4096,
    };
    let cancel = CancellationToken::new();
    let options = |http2_only| Options {
        http2_only,
        h2c_upgrade: !http2_only,
        max_header_bytes: 65536,
        grace: Duration::from_secs(1),
    };
    let here = ["127.0.0.1".to_owned()];
    let http = Server::new(
        bind(&here, http.parse()?, None).await?,
        HttpServer::new(layers.clone(), &table),
        options(false),
    );
    let grpc = Server::new(
        bind(&here, grpc.parse()?, None).await?,
        GrpcServer::new(layers.clone(), &table),
        options(true),
    );
    let internal = Server::new(
        bind(&here, internal.parse()?, None).await?,
        GrpcServer::new(layers, &for_peers),
        options(true),
    );
    tokio::join!(http.run(cancel.clone()), grpc.run(cancel.clone()), internal.run(cancel));
    Ok(())
}
