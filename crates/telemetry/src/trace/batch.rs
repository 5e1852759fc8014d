//! From ended spans to batches: a bounded queue, and the worker that empties it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::export::Exporter;
use super::span::SpanData;

/// Spans that wait. More are dropped and counted: tracing must not slow down what is traced.
const QUEUE: usize = 2048;
/// Spans in one export.
const BATCH: usize = 512;
/// The longest a span waits before it is sent.
const DELAY: Duration = Duration::from_secs(1);
/// The longest that the last exports may take.
const LAST: Duration = Duration::from_secs(5);

enum Message {
    Span(Box<SpanData>),
    Flush(oneshot::Sender<()>),
}

#[derive(Clone, Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Queue {
    pub(super) fn push(&self, span: SpanData) {
        if self.sender.try_send(Message::Span(Box::new(span))).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    pub(super) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.sender.send(Message::Flush(done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

/// Exports spans. Run it as a task.
pub struct Worker {
    receiver: mpsc::Receiver<Message>,
    exporters: Vec<Box<dyn Exporter>>,
    dropped: Arc<AtomicU64>,
    batch: Vec<SpanData>,
}

pub(super) fn channel(exporters: Vec<Box<dyn Exporter>>) -> (Queue, Worker) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let dropped = Arc::new(AtomicU64::new(0));
    let worker = Worker {
        receiver,
        exporters,
        dropped: Arc::clone(&dropped),
        batch: Vec::new(),
    };
    (Queue { sender, dropped }, worker)
}

impl Worker {
    /// Exports until it is cancelled or no tracer is left, then sends what has ended by then. Cancel it last: spans that end
    /// afterwards are lost.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut due = Instant::now() + DELAY;
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                message = self.receiver.recv() => match message {
                    Some(Message::Span(span)) => {
                        if self.batch.is_empty() {
                            due = Instant::now() + DELAY;
                        }
                        self.batch.push(*span);
                        if self.batch.len() >= BATCH {
                            self.export().await;
                        }
                    }
                    Some(Message::Flush(done)) => {
                        self.export().await;
                        let _ = done.send(());
                    }
                    None => break,
                },
                () = tokio::time::sleep_until(due), if !self.batch.is_empty() => self.export().await,
            }
        }
        if tokio::time::timeout(LAST, self.finish()).await.is_err() {
            tracing::warn!(target: SCOPE, "Gave up exporting the last spans after {LAST:?}");
        }
    }

    async fn finish(&mut self) {
        self.receiver.close();
        let mut waiting = Vec::new();
        while let Ok(message) = self.receiver.try_recv() {
            match message {
                Message::Span(span) => self.batch.push(*span),
                Message::Flush(done) => waiting.push(done),
            }
        }
        self.export().await;
        for done in waiting {
            let _ = done.send(());
        }
    }

    async fn export(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return;
        }
        for exporter in &self.exporters {
            if let Err(error) = exporter.export(&batch).await {
                tracing::warn!(target: SCOPE, "Failed to export {} spans: {error}", batch.len());
            }
        }
        let dropped = self.dropped.swap(0, Relaxed);
        if dropped > 0 {
            tracing::warn!(target: SCOPE, "Dropped {dropped} spans because the exporters are too slow");
        }
    }
}

pub(super) const SCOPE: &str = "dapr.runtime.trace";
