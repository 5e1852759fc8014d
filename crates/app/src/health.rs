//! Whether the application is well: health checks, and what follows from them.

use crate::{Along, App};
use http::Request;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use telemetry::metrics::Metrics;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wire::runtime::v1::app_callback_health_check_client::AppCallbackHealthCheckClient;

/// How the application's health is checked.
#[derive(Debug, Clone)]
pub struct HealthOptions {
    /// The path that is asked (HTTP).
    pub path: String,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// How many failures in a row make it unwell.
    pub threshold: u32,
}

/// Whether the application is well. Cheap to clone; without health checks it always is.
#[derive(Clone)]
pub struct Health {
    options: Option<Arc<HealthOptions>>,
    state: Arc<watch::Sender<bool>>,
}

impl Health {
    /// With checks, the application is unwell until the first one succeeds; without, it is well.
    pub fn new(options: Option<HealthOptions>) -> Self {
        let (state, _) = watch::channel(options.is_none());
        Self {
            options: options.map(Arc::new),
            state: Arc::new(state),
        }
    }

    /// How it is checked, if it is.
    pub fn options(&self) -> Option<&HealthOptions> {
        self.options.as_deref()
    }

    /// Whether it is well now.
    pub fn is_well(&self) -> bool {
        *self.state.borrow()
    }

    /// Tells of changes.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.state.subscribe()
    }

    /// Checks until cancelled. The first success makes the application well; `threshold` failures in a row make it unwell.
    pub async fn run(self, app: Arc<App>, metrics: Metrics, cancel: CancellationToken) {
        let Some(options) = self.options.clone() else { return };
        let mut failures = 0;
        let mut ticks = tokio::time::interval(options.interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let well = tokio::select! {
                () = cancel.cancelled() => return,
                well = probe(app.clone(), options.clone(), metrics.clone()) => well,
            };
            if well {
                failures = 0;
                self.set(true);
            } else {
                failures += 1;
                if failures >= options.threshold.max(1) {
                    self.set(false);
                }
            }
        }
    }

    fn set(&self, well: bool) {
        self.state.send_if_modified(|now| {
            let changed = *now != well;
            if changed {
                let word = if well { "healthy" } else { "unhealthy" };
                tracing::info!(target: "dapr.apphealth", "App health is {word}");
            }
            *now = well;
            changed
        });
    }
}

async fn probe(app: Arc<App>, options: Arc<HealthOptions>, metrics: Metrics) -> bool {
    let started = Instant::now();
    if app.options().protocol.is_grpc() {
        let mut client = AppCallbackHealthCheckClient::new(app.channel(Along::default()));
        let answer = tokio::time::timeout(options.timeout, client.health_check(())).await;
        let well = matches!(answer, Ok(Ok(_)));
        metrics.grpc_health_probe(if well { "OK" } else { "Unavailable" }, started.elapsed());
        return well;
    }
    let path = if options.path.starts_with('/') {
        options.path.clone()
    } else {
        format!("/{}", options.path)
    };
    let Ok(request) = Request::get(path).body(component::middleware::empty()) else {
        return false;
    };
    // Health checks pass neither the pipeline nor the limit of concurrent calls: they must tell the truth under load.
    match tokio::time::timeout(options.timeout, app.probe_http(request)).await {
        Ok(Ok(status)) => {
            metrics.http_health_probe(status.as_u16(), started.elapsed());
            status.is_success()
        }
        _ => {
            metrics.http_health_probe(500, started.elapsed());
            false
        }
    }
}
