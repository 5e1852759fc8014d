//! `nameresolution.mdns`: sidecars on the local network find each other by multicast DNS.

use crate::{
    cache::Cache,
    network::{Network, PATIENCE},
    service::{Service, service_name},
};
use component::{
    Component, ComponentError, ErrorKind, Open, OpenError, async_trait,
    name_resolution::{NameResolver, Resolve},
};
use parking_lot::Mutex;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};
use tokio::{
    sync::mpsc::{Sender, channel},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// How many applications can wait to be asked for.
const ASKS: usize = 256;

/// Finds sidecars on the local network by multicast DNS, and lets itself be found.
///
/// A sidecar has the service type of its application's id, directly below `local`: the sidecars of the original do the
/// same, and both find each other. What is found is kept for a while and looked at again while it is in use; a sidecar
/// that ends takes itself back.
pub struct Resolver {
    cache: Arc<Mutex<Cache>>,
    asks: Sender<String>,
    cancel: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Component for Resolver {
    const NAMES: &'static [&'static str] = &["mdns"];
    const SUMMARY: &'static str =
        "Finds the sidecars of other applications on the local network by multicast DNS, without any set-up.";
    type Options = ();

    async fn open((): (), cx: Open) -> Result<Self, OpenError> {
        let service = match cx.internal_port {
            0 => None,
            port => Some(service(&cx.app_id, &cx.host_address, port)?),
        };
        let cache = Arc::default();
        let (asks, receiver) = channel(ASKS);
        let network = Network::open(service, Arc::clone(&cache), receiver)
            .await
            .map_err(|error| OpenError::failed(format_args!("mDNS cannot use the network: {error}")))?;
        let cancel = CancellationToken::new();
        let task = tokio::spawn(network.run(cancel.clone()));
        Ok(Self {
            cache,
            asks,
            cancel,
            task: Mutex::new(Some(task)),
        })
    }
}

fn service(app_id: &str, host: &str, port: u16) -> Result<Service, OpenError> {
    let ip: IpAddr = host.trim_matches(['[', ']']).parse().map_err(|_| {
        OpenError::failed(format_args!(
            "mDNS needs the IP address of this host, and {host:?} is none"
        ))
    })?;
    Service::new(app_id, SocketAddr::new(ip, port))
        .ok_or_else(|| OpenError::failed(format_args!("mDNS cannot announce the application id {app_id:?}")))
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

#[async_trait]
impl NameResolver for Resolver {
    async fn resolve(&self, request: Resolve<'_>) -> Result<Vec<String>, ComponentError> {
        let app_id = request.app_id;
        if service_name(app_id).is_none() {
            return Err(missing(app_id));
        }
        let mut found = self.cache.lock().look_up(app_id, Instant::now())?;
        if found.ask && self.asks.try_send(app_id.to_owned()).is_err() {
            self.cache.lock().end_asking(app_id);
            return Err(ComponentError::transient(
                "mDNS is closed, or looks for too many applications",
            ));
        }
        if !found.addresses.is_empty() {
            return Ok(found.addresses);
        }
        let answer = async {
            while found.changed.changed().await.is_ok() {
                let now = self.cache.lock().peek(app_id)?;
                if !now.addresses.is_empty() || !now.asking {
                    return Some(now.addresses);
                }
            }
            None
        };
        // The network task ends the asking; the limit is for when it cannot.
        match timeout(PATIENCE * 2, answer).await {
            Ok(Some(addresses)) if !addresses.is_empty() => Ok(addresses),
            _ => Err(missing(app_id)),
        }
    }

    fn forget(&self, app_id: &str) {
        self.cache.lock().forget(app_id);
    }

    async fn close(&self) {
        self.cancel.cancel();
        let task = self.task.lock().take();
        if let Some(task) = task {
            let _ended = task.await;
        }
    }
}

fn missing(app_id: &str) -> ComponentError {
    ComponentError::new(ErrorKind::NotFound, format!("couldn't find service: {app_id}"))
}
