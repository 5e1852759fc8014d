//! What is known of the applications that were asked for. No input or output, and no clock of its own.

use component::{ComponentError, ErrorKind};
use std::{collections::HashMap, net::SocketAddr, time::Duration};
use tokio::{sync::watch, time::Instant};

/// How long an address counts after it was last heard of, whatever it says itself.
const LIFE: Duration = Duration::from_secs(75);

/// How old an address may get before the network is asked again, while it is in use.
pub(crate) const REFRESH: Duration = Duration::from_secs(30);

/// How many applications are remembered.
const APPLICATIONS: usize = 1024;

/// How many sidecars of one application are remembered.
const SIDECARS: usize = 256;

/// A sidecar on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sidecar {
    /// What tells it from others of the same application, in small letters.
    pub(crate) instance: Vec<u8>,
    /// Where it can be reached, if it says so.
    pub(crate) address: Option<SocketAddr>,
    /// How long that counts; zero means that it has gone.
    pub(crate) ttl: Duration,
}

#[derive(Debug)]
struct Known {
    sidecar: Sidecar,
    heard: Instant,
}

impl Known {
    fn counts(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard) < self.sidecar.ttl.min(LIFE)
    }
}

#[derive(Debug)]
struct Application {
    sidecars: Vec<Known>,
    /// When the network was asked, if that is going on.
    asked: Option<Instant>,
    used: Instant,
    changed: watch::Sender<()>,
}

/// What is known of an application.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its addresses; empty if none are known.
    pub(crate) addresses: Vec<String>,
    /// Whether the network has to be asked; the cache counts on it from here on.
    pub(crate) ask: bool,
    /// Tells when more is known.
    pub(crate) changed: watch::Receiver<()>,
    /// Whether the network is being asked.
    pub(crate) asking: bool,
}

/// What is known of the applications that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Cache(HashMap<String, Application>);

impl Cache {
    /// What is known of an application that somebody looks for.
    pub(crate) fn look_up(&mut self, app_id: &str, now: Instant) -> Result<Found, ComponentError> {
        if !self.0.contains_key(app_id) {
            self.make_room()?;
        }
        let application = self.0.entry(app_id.to_owned()).or_insert_with(|| Application {
            sidecars: Vec::new(),
            asked: None,
            used: now,
            changed: watch::Sender::new(()),
        });
        application.used = now;
        application.sidecars.retain(|known| known.counts(now));
        let stale = |known: &Known| now.saturating_duration_since(known.heard) >= REFRESH;
        let wanted = application.sidecars.is_empty() || application.sidecars.iter().any(stale);
        let ask = wanted && application.asked.is_none();
        if ask {
            application.asked = Some(now);
        }
        Ok(Found {
            ask,
            ..application.found()
        })
    }

    /// The same for somebody who waits for the answer of the network.
    pub(crate) fn peek(&self, app_id: &str) -> Option<Found> {
        self.0.get(app_id).map(Application::found)
    }

    /// Forgets where an application is, since nobody answers there.
    pub(crate) fn forget(&mut self, app_id: &str) {
        if let Some(application) = self.0.get_mut(app_id) {
            application.sidecars.clear();
        }
    }

    /// Notes what a sidecar of an application says, if somebody looked for the application.
    pub(crate) fn hear(&mut self, app_id: &str, sidecar: Sidecar, now: Instant) {
        let Some(application) = self.0.get_mut(app_id) else {
            return;
        };
        let gone = sidecar.ttl.is_zero();
        if sidecar.address.is_none() && !gone {
            return;
        }
        let known = &mut application.sidecars;
        let place = known
            .iter()
            .position(|known| known.sidecar.instance == sidecar.instance);
        match place {
            Some(place) if gone => drop(known.remove(place)),
            Some(place) => known[place] = Known { sidecar, heard: now },
            None if gone || known.len() >= SIDECARS => {}
            None => known.push(Known { sidecar, heard: now }),
        }
        application.changed.send_replace(());
    }

    /// Whether all that is known has been heard of since the network was asked.
    pub(crate) fn is_answered(&self, app_id: &str) -> bool {
        let Some(Application { sidecars, asked, .. }) = self.0.get(app_id) else {
            return true;
        };
        !sidecars.is_empty() && asked.is_none_or(|asked| sidecars.iter().all(|known| known.heard >= asked))
    }

    /// The network has had its time to answer: who did not is gone.
    pub(crate) fn end_asking(&mut self, app_id: &str) {
        let Some(application) = self.0.get_mut(app_id) else {
            return;
        };
        if let Some(asked) = application.asked.take() {
            application.sidecars.retain(|known| known.heard >= asked);
        }
        application.changed.send_replace(());
    }

    /// Forgets the application that was not looked for the longest, if there are too many.
    fn make_room(&mut self) -> Result<(), ComponentError> {
        if self.0.len() < APPLICATIONS {
            return Ok(());
        }
        let idle = self.0.iter().filter(|(_, application)| application.asked.is_none());
        let oldest = idle
            .min_by_key(|(_, application)| application.used)
            .map(|(app_id, _)| app_id.clone());
        let oldest =
            oldest.ok_or_else(|| ComponentError::new(ErrorKind::Transient, "too many applications are looked for"))?;
        self.0.remove(&oldest);
        Ok(())
    }
}

impl Application {
    fn found(&self) -> Found {
        let addresses = self.sidecars.iter().filter_map(|known| known.sidecar.address);
        Found {
            addresses: addresses.map(|address| address.to_string()).collect(),
            ask: false,
            changed: self.changed.subscribe(),
            asking: self.asked.is_some(),
        }
    }
}
