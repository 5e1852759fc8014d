//! How the sidecar is told to end by its own API.

use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the shutdown API does: ends the sidecar gracefully, or at once.
pub(crate) fn stop(cancel: CancellationToken) -> blocks::metadata::Stop {
    Box::new(move |force| {
        let cancel = cancel.clone();
        // The answer goes out first.
        tokio::spawn(async move {
            if force {
                tracing::info!(target: "dapr.runtime", "Force shutdown requested, exiting immediately without graceful shutdown");
                tokio::time::sleep(Duration::from_millis(100)).await;
                std::process::exit(1);
            }
            tracing::info!(target: "dapr.runtime", "Shutdown requested via API");
            tokio::time::sleep(Duration::from_millis(10)).await;
            cancel.cancel();
        });
    })
}
