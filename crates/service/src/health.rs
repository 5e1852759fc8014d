//! Whether a program is ready: when all of its parts are.

use std::sync::Arc;

use http::StatusCode;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::http::{Handler, PLAIN, serve, text};

/// The parts of a program and which of them are ready. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Health {
    parts: Arc<Mutex<Vec<Part>>>,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    ready: bool,
}

/// A part of a program, as seen by itself: not ready at first.
#[derive(Clone, Debug)]
pub struct Target {
    health: Health,
    at: usize,
}

impl Health {
    /// Adds a part that is not ready yet.
    pub fn target(&self, name: &'static str) -> Target {
        let mut parts = self.parts.lock();
        parts.push(Part { name, ready: false });
        Target {
            health: self.clone(),
            at: parts.len() - 1,
        }
    }

    /// Whether every part is ready. Without parts nothing is.
    pub fn is_ready(&self) -> bool {
        let parts = self.parts.lock();
        !parts.is_empty() && parts.iter().all(|part| part.ready)
    }

    /// The parts that are not ready.
    pub fn unready(&self) -> Vec<&'static str> {
        self.parts
            .lock()
            .iter()
            .filter(|part| !part.ready)
            .map(|part| part.name)
            .collect()
    }

    /// Serves `/healthz` until it is cancelled: 200 when ready, 500 when not. `more` answers other paths.
    pub async fn serve(self, listener: TcpListener, more: Option<Handler>, cancel: CancellationToken) {
        let handler: Handler = Arc::new(move |path| match path {
            "/healthz" if self.is_ready() => Some(text(StatusCode::OK, PLAIN, "ok")),
            "/healthz" => {
                let names = self.unready().join(", ");
                Some(text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    PLAIN,
                    format!("not ready: {names}"),
                ))
            }
            path => more.as_ref().and_then(|more| more(path)),
        });
        serve(listener, handler, cancel).await;
    }
}

impl Target {
    /// This part is ready.
    pub fn ready(&self) {
        self.set(true);
    }

    /// This part is not ready any more.
    pub fn not_ready(&self) {
        self.set(false);
    }

    fn set(&self, ready: bool) {
        if let Some(part) = self.health.parts.lock().get_mut(self.at) {
            part.ready = ready;
        }
    }
}
