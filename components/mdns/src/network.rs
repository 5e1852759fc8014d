//! The one task that listens and sends: announces this sidecar, answers queries, and asks for other sidecars.

use crate::{
    cache::Cache,
    message::{Kind, Message, query},
    service::{Service, service_name, sidecars},
    socket::{Family, PORT, Socket, interfaces},
};
use parking_lot::Mutex;
use std::{future::pending, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    sync::mpsc::Receiver,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// When a question is asked again, after it was first asked, as long as not all have answered.
const AGAIN: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(450)];

/// How long the network has to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// How long after the first announcement the second comes, for those who missed it.
const SECOND: Duration = Duration::from_secs(1);

/// How often the machine's networks are looked at.
const NETWORKS: Duration = Duration::from_secs(60);

/// How long nothing is read after that failed.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// The longest message that is read.
const MESSAGE: usize = 9000;

/// What the task works with.
pub(crate) struct Network {
    v4: Option<Socket>,
    v6: Option<Socket>,
    service: Option<Service>,
    cache: Arc<Mutex<Cache>>,
    /// The applications to ask for.
    asks: Receiver<String>,
    asked: Vec<Asked>,
    announce: Option<Instant>,
    look_at_networks: Instant,
}

/// An application that is being asked for.
struct Asked {
    app_id: String,
    since: Instant,
    again: usize,
}

impl Asked {
    /// When there is something to do: to ask again, or to end.
    fn next(&self) -> Instant {
        self.since + AGAIN.get(self.again).copied().unwrap_or(PATIENCE)
    }
}

impl Network {
    /// Opens the port and says who this is.
    pub(crate) async fn open(
        service: Option<Service>,
        cache: Arc<Mutex<Cache>>,
        asks: Receiver<String>,
    ) -> io::Result<Self> {
        let v4 = Socket::open(Family::V4);
        let v6 = Socket::open(Family::V6);
        let (v4, v6) = match (v4, v6) {
            (Err(error), Err(_)) => return Err(error),
            (v4, v6) => (v4.ok(), v6.ok()),
        };
        let now = Instant::now();
        let mut this = Self {
            v4,
            v6,
            service,
            cache,
            asks,
            asked: Vec::new(),
            announce: None,
            look_at_networks: now,
        };
        this.join_networks(now)?;
        if !this.sockets().any(Socket::listens) {
            return Err(io::Error::other("no network of this machine carries multicast"));
        }
        this.announce().await;
        Ok(this)
    }

    fn sockets(&self) -> impl Iterator<Item = &Socket> {
        self.v4.iter().chain(&self.v6)
    }

    /// Listens on all networks there are; says whether some are new.
    fn join_networks(&mut self, now: Instant) -> io::Result<bool> {
        self.look_at_networks = now + NETWORKS;
        let (v4, v6) = interfaces()?;
        let new_v4 = self.v4.as_mut().is_some_and(|socket| socket.listen_on(&v4));
        let new_v6 = self.v6.as_mut().is_some_and(|socket| socket.listen_on(&v6));
        Ok(new_v4 || new_v6)
    }

    async fn send_to_all(&self, bytes: &[u8]) {
        for socket in self.sockets() {
            socket.send_to_all(bytes).await;
        }
    }

    async fn announce(&mut self) {
        if let Some(service) = &self.service {
            self.send_to_all(&service.announcement()).await;
            self.announce = Some(Instant::now() + SECOND);
        }
    }

    /// Works until it is cancelled, and says goodbye then.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let (mut buffer_v4, mut buffer_v6) = (vec![0; MESSAGE], vec![0; MESSAGE]);
        loop {
            let next = self.next();
            tokio::select! {
                () = cancel.cancelled() => break,
                () = sleep_until(next) => self.tick().await,
                Some(app_id) = self.asks.recv() => self.ask(app_id).await,
                received = receive(self.v4.as_ref(), &mut buffer_v4) => {
                    self.take(received, &buffer_v4, Family::V4).await;
                }
                received = receive(self.v6.as_ref(), &mut buffer_v6) => {
                    self.take(received, &buffer_v6, Family::V6).await;
                }
            }
        }
        if let Some(service) = &self.service {
            self.send_to_all(&service.goodbye()).await;
        }
    }

    /// When there is something to do.
    fn next(&self) -> Instant {
        let asked = self.asked.iter().map(Asked::next);
        asked.chain(self.announce).fold(self.look_at_networks, Instant::min)
    }

    async fn ask(&mut self, app_id: String) {
        self.send_query(&app_id).await;
        self.asked.push(Asked {
            app_id,
            since: Instant::now(),
            again: 0,
        });
    }

    async fn send_query(&self, app_id: &str) {
        if let Some(name) = service_name(app_id) {
            self.send_to_all(&query(&name, Kind::Ptr)).await;
        }
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        if self.look_at_networks <= now {
            match self.join_networks(now) {
                Ok(true) => self.announce().await,
                Ok(false) => {}
                Err(error) => tracing::debug!(%error, "mDNS cannot look at the networks of this machine"),
            }
        }
        if self.announce.is_some_and(|at| at <= now) {
            self.announce().await;
            self.announce = None;
        }
        let mut again = Vec::new();
        self.asked.retain_mut(|asked| {
            if asked.next() > now {
                return true;
            }
            if asked.again >= AGAIN.len() {
                self.cache.lock().end_asking(&asked.app_id);
                return false;
            }
            asked.again += 1;
            if !self.cache.lock().is_answered(&asked.app_id) {
                again.push(asked.app_id.clone());
            }
            true
        });
        for app_id in again {
            self.send_query(&app_id).await;
        }
    }

    async fn take(&self, received: io::Result<(usize, SocketAddr)>, buffer: &[u8], family: Family) {
        let (length, from) = match received {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "mDNS cannot receive");
                return sleep(AFTER_ERROR).await;
            }
        };
        let Some(message) = buffer.get(..length).and_then(Message::parse) else {
            return;
        };
        let multicast = from.port() == PORT;
        if message.is_answer {
            if multicast {
                self.hear(&message);
            }
            return;
        }
        let Some(answer) = self
            .service
            .as_ref()
            .and_then(|service| service.answer(&message, !multicast))
        else {
            return;
        };
        let socket = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        match socket {
            Some(socket) if multicast => socket.send_to_all(&answer).await,
            Some(socket) => socket.send_to(&answer, from).await,
            None => {}
        }
    }

    fn hear(&self, message: &Message) {
        let now = Instant::now();
        for (app_id, sidecar) in sidecars(message) {
            self.cache.lock().hear(&app_id, sidecar, now);
        }
    }
}

async fn receive(socket: Option<&Socket>, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    match socket {
        Some(socket) => socket.receive(buffer).await,
        None => pending().await,
    }
}
