//! Connections to other sidecars: one client an address, shared by all calls to it.

use crate::target::AppId;
use client::{Address, Client, Options, Tls, Version};
use http::Uri;
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

/// The service that sidecars call each other by.
pub const SERVICE: &str = "dapr.proto.internals.v1.ServiceInvocation";

/// How many addresses are remembered. The one that was not called for the longest time goes first; calls that are under
/// way keep its connection.
const MOST: usize = 512;

/// TLS between sidecars.
pub trait PeerTls: Send + Sync + 'static {
    /// The settings for calling the sidecar of an application; nothing for plain text.
    fn client(&self, app_id: &str, namespace: &str) -> Option<Tls>;
}

/// Another sidecar.
pub(crate) struct Peer {
    pub(crate) client: Client,
    /// The target of a call that streams.
    pub(crate) stream: Uri,
    /// The target of a call that does not.
    pub(crate) unary: Uri,
    /// Whether it answered that it cannot stream.
    unary_only: AtomicBool,
}

impl Peer {
    fn new(address: &str, tls: Option<Tls>) -> Result<Self, http::Error> {
        let options = Options {
            version: Version::Http2,
            tls,
            ..Options::default()
        };
        let client = Client::new(Address::Tcp(address.to_owned()), options);
        let stream = client.request_uri(&format!("/{SERVICE}/CallLocalStream"))?;
        let unary = client.request_uri(&format!("/{SERVICE}/CallLocal"))?;
        Ok(Self {
            client,
            stream,
            unary,
            unary_only: AtomicBool::new(false),
        })
    }

    pub(crate) fn is_unary_only(&self) -> bool {
        self.unary_only.load(Ordering::Relaxed)
    }

    pub(crate) fn set_unary_only(&self) {
        self.unary_only.store(true, Ordering::Relaxed);
    }
}

/// All sidecars that were called.
pub(crate) struct Peers {
    tls: Option<Arc<dyn PeerTls>>,
    known: Mutex<HashMap<String, Known>>,
}

struct Known {
    peer: Arc<Peer>,
    used: Instant,
}

impl Peers {
    pub(crate) fn new(tls: Option<Arc<dyn PeerTls>>) -> Self {
        Self {
            tls,
            known: Mutex::default(),
        }
    }

    /// The sidecar of an application at an address.
    pub(crate) fn at(&self, address: &str, app: AppId<'_>) -> Result<Arc<Peer>, http::Error> {
        let now = Instant::now();
        let tls = match &self.tls {
            None => return self.known_or_new(address, now, || Peer::new(address, None)),
            Some(tls) => tls,
        };
        // A connection is to one identity: an address that another application has taken over is another peer.
        let key = format!("{address} {} {}", app.id, app.namespace);
        self.known_or_new(&key, now, || Peer::new(address, tls.client(app.id, app.namespace)))
    }

    fn known_or_new(
        &self,
        key: &str,
        now: Instant,
        make: impl FnOnce() -> Result<Peer, http::Error>,
    ) -> Result<Arc<Peer>, http::Error> {
        let mut known = self.known.lock();
        if let Some(found) = known.get_mut(key) {
            found.used = now;
            return Ok(found.peer.clone());
        }
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, known)| known.used);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                known.remove(&oldest);
            }
        }
        let peer = Arc::new(make()?);
        known.insert(
            key.to_owned(),
            Known {
                peer: peer.clone(),
                used: now,
            },
        );
        Ok(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_bounded_and_shared() {
        let peers = Peers::new(None);
        let app = AppId {
            id: "a",
            namespace: "default",
        };
        let first = peers.at("127.0.0.1:1", app).expect("a peer");
        assert!(Arc::ptr_eq(&first, &peers.at("127.0.0.1:1", app).expect("a peer")));
        for port in 0..(MOST + 50) {
            peers.at(&format!("127.0.0.1:{port}"), app).expect("a peer");
        }
        assert_eq!(peers.known.lock().len(), MOST);
    }
}
