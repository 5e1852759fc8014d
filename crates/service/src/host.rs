//! What a program gets from its surroundings: a place to run tasks, and word when to stop.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

const SCOPE: &str = "dapr.host";

/// Why a vital task, and with it the program, ended.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// It failed.
    #[error("{task}: {source}")]
    Failed {
        /// Its name.
        task: &'static str,
        /// What it said.
        source: BoxError,
    },
    /// It panicked.
    #[error("{task}: panicked: {message}")]
    Panicked {
        /// Its name.
        task: &'static str,
        /// What the panic said.
        message: String,
    },
}

/// What a program gets from its surroundings. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    /// Cancelled when the program is to stop.
    pub cancel: CancellationToken,
    shared: Arc<Shared>,
}

struct Shared {
    tasks: TaskTracker,
    hangups: watch::Sender<u64>,
    failure: Mutex<Option<TaskError>>,
}

impl Default for Host {
    fn default() -> Host {
        Host::new(CancellationToken::new())
    }
}

impl Host {
    /// A host of its own, as tests want it; programs get theirs from [`run`](crate::run).
    pub fn new(cancel: CancellationToken) -> Host {
        let shared = Shared {
            tasks: TaskTracker::new(),
            hangups: watch::Sender::new(0),
            failure: Mutex::default(),
        };
        Host {
            cancel,
            shared: Arc::new(shared),
        }
    }

    /// A host that stops with this one, or alone, and has tasks and failures of its own: for a part that is restarted as a
    /// whole. Hang-ups reach it too.
    pub fn child(&self) -> Host {
        let shared = Shared {
            tasks: TaskTracker::new(),
            hangups: self.shared.hangups.clone(),
            failure: Mutex::default(),
        };
        Host {
            cancel: self.cancel.child_token(),
            shared: Arc::new(shared),
        }
    }

    /// Runs a task. When it panics, that is logged, and everything else goes on.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        self.shared.tasks.spawn(async move {
            match AssertUnwindSafe(task).catch_unwind().await {
                Ok(output) => Some(output),
                Err(panic) => {
                    tracing::error!(target: SCOPE, "Task {name} panicked: {}", panic_message(&*panic));
                    None
                }
            }
        })
    }

    /// Runs a task without which the program is of no use: when it fails or panics, the program stops with that error.
    pub fn spawn_vital<F, E>(&self, name: &'static str, task: F) -> JoinHandle<()>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + Send + 'static,
    {
        let host = self.clone();
        self.shared.tasks.spawn(async move {
            match AssertUnwindSafe(task).catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => host.fail(TaskError::Failed {
                    task: name,
                    source: error.into(),
                }),
                Err(panic) => host.fail(TaskError::Panicked {
                    task: name,
                    message: panic_message(&*panic),
                }),
            }
        })
    }

    fn fail(&self, error: TaskError) {
        tracing::error!(target: SCOPE, "Stopping because of task {error}");
        self.shared.failure.lock().get_or_insert(error);
        self.cancel.cancel();
    }

    /// Waits until every task has ended, at most for the given time. The first failure of a vital task is the result; tasks
    /// that are still there are left to the end of the runtime.
    pub async fn join(&self, patience: Duration) -> Result<(), TaskError> {
        self.shared.tasks.close();
        if tokio::time::timeout(patience, self.shared.tasks.wait()).await.is_err() {
            let left = self.shared.tasks.len();
            tracing::warn!(target: SCOPE, "{left} tasks did not stop within {patience:?}");
        }
        self.shared.failure.lock().take().map_or(Ok(()), Err)
    }

    /// Counts SIGHUPs: changes each time one comes.
    pub fn hangups(&self) -> watch::Receiver<u64> {
        self.shared.hangups.subscribe()
    }

    /// Acts as if a SIGHUP had come.
    pub fn hang_up(&self) {
        self.shared.hangups.send_modify(|count| *count += 1);
    }
}

/// What a panic said, if it was text.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
