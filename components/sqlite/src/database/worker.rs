//! The thread that owns a connection. Requests wait in a bounded queue; those that wait at the same time share one
//! transaction and so one sync of the disk, and each gets an answer of its own once that is done.

use super::{Error, gate::Gate};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// How many requests may wait; the next one waits outside, and delays its own caller only.
const QUEUE: usize = 1024;

/// How many requests share a transaction at most.
const GROUP: usize = 512;

/// How long closing waits for the thread.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// What a request does to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// It reads, and sees nothing that is not committed.
    Read,
    /// It writes with one statement.
    Statement,
    /// It writes with several statements: all of them or none.
    Whole,
    /// Like [`Access::Whole`], but what it writes need not survive a loss of power when it is answered.
    Relaxed,
}

/// A request in the queue.
trait Job: Send {
    fn access(&self) -> Access;
    /// Whether nobody waits for the answer any more.
    fn is_abandoned(&self) -> bool;
    fn run(&mut self, connection: &Connection);
    fn has_failed(&self) -> bool;
    /// Answers: with what the request met itself, or else with `error`, or else with its value.
    fn answer(self: Box<Self>, error: Option<Error>);
}

struct Call<W, T> {
    access: Access,
    work: Option<W>,
    result: Option<Result<T, Error>>,
    answer: oneshot::Sender<Result<T, Error>>,
}

impl<W, T> Job for Call<W, T>
where
    W: FnOnce(&Connection) -> Result<T, Error> + Send,
    T: Send,
{
    fn access(&self) -> Access {
        self.access
    }

    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(&mut self, connection: &Connection) {
        if let Some(work) = self.work.take() {
            let result = catch_unwind(AssertUnwindSafe(|| work(connection)));
            self.result = Some(result.unwrap_or(Err(Error::Panicked)));
        }
    }

    fn has_failed(&self) -> bool {
        matches!(self.result, Some(Err(_)))
    }

    fn answer(self: Box<Self>, error: Option<Error>) {
        let result = match (self.result, error) {
            (Some(Ok(_)), Some(error)) | (None, Some(error)) => Err(error),
            (Some(result), _) => result,
            (None, None) => Err(Error::Closed),
        };
        // Whoever asked may have given up.
        let _ = self.answer.send(result);
    }
}

enum Message {
    Job(Box<dyn Job>),
    Close,
}

/// A handle to the thread. The thread ends when this is closed or dropped.
pub(crate) struct Worker {
    messages: mpsc::Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    timeout: Duration,
}

impl Worker {
    /// Starts the thread. A request that is not answered within `timeout` fails; `gate` is passed before each transaction.
    pub(crate) fn spawn(connection: Connection, timeout: Duration, gate: Option<Gate>) -> std::io::Result<Self> {
        let (messages, queue) = mpsc::channel(QUEUE);
        let owner = Owner {
            connection,
            gate,
            syncs: Cell::new(true),
        };
        let thread = std::thread::Builder::new()
            .name("sqlite".into())
            .spawn(move || owner.run(queue))?;
        Ok(Self {
            messages,
            thread: Mutex::new(Some(thread)),
            timeout,
        })
    }

    /// Has `work` done. `Ok` means that what it wrote is committed; after [`Error::TimedOut`] it may be or not.
    pub(crate) async fn call<T, W>(&self, access: Access, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        match tokio::time::timeout(self.timeout, self.call_patiently(access, work)).await {
            Ok(result) => result,
            Err(_) => Err(Error::TimedOut(self.timeout)),
        }
    }

    /// Has `work` done however long it takes, so that the caller knows what has become of it.
    pub(crate) async fn call_patiently<T, W>(&self, access: Access, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job = Call {
            access,
            work: Some(work),
            result: None,
            answer,
        };
        let sent = self.messages.send(Message::Job(Box::new(job))).await;
        sent.map_err(|_| Error::Closed)?;
        answered.await.map_err(|_| Error::Closed)?
    }

    /// Answers what waits, and ends the thread.
    pub(crate) async fn close(&self) {
        // An error means that the thread has ended already.
        let _ = self.messages.send(Message::Close).await;
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join());
            if tokio::time::timeout(CLOSE_LIMIT, joined).await.is_err() {
                tracing::warn!("SQLite did not finish its last statement within {CLOSE_LIMIT:?}");
            }
        }
    }
}

/// What the thread has.
struct Owner {
    connection: Connection,
    gate: Option<Gate>,
    /// Whether a commit syncs the disk at the moment.
    syncs: Cell<bool>,
}

impl Owner {
    fn run(self, mut queue: mpsc::Receiver<Message>) {
        let (mut messages, mut jobs) = (Vec::new(), Vec::new());
        let mut open = true;
        while open && queue.blocking_recv_many(&mut messages, GROUP) > 0 {
            for message in messages.drain(..) {
                match message {
                    Message::Job(job) if open && !job.is_abandoned() => jobs.push(job),
                    Message::Job(_) => {}
                    Message::Close => open = false,
                }
            }
            self.carry_out(&mut jobs);
        }
    }

    /// Reads go first, outside of the transaction.
    fn carry_out(&self, jobs: &mut Vec<Box<dyn Job>>) {
        for mut job in jobs.extract_if(.., |job| job.access() == Access::Read) {
            job.run(&self.connection);
            job.answer(None);
        }
        if jobs.is_empty() {
            return;
        }
        let passed = self.gate.as_ref().map(Gate::pass);
        let outcome = self.write(jobs);
        drop(passed);
        for job in jobs.drain(..) {
            let error = outcome.as_ref().err().map(Error::not_committed);
            job.answer(error);
        }
    }

    fn write(&self, jobs: &mut [Box<dyn Job>]) -> Result<(), Error> {
        self.sync_if(jobs.iter().any(|job| job.access() != Access::Relaxed))?;
        if let [job] = jobs
            && job.access() == Access::Statement
        {
            job.run(&self.connection);
            return Ok(());
        }
        self.statement("BEGIN IMMEDIATE")?;
        let done = self.run_all(jobs).and_then(|()| self.statement("COMMIT"));
        if done.is_err() && !self.connection.is_autocommit() {
            self.statement("ROLLBACK")?;
        }
        done
    }

    /// Runs all, each so that its failure leaves the others as they are.
    fn run_all(&self, jobs: &mut [Box<dyn Job>]) -> Result<(), Error> {
        for job in jobs {
            if job.access() == Access::Statement {
                job.run(&self.connection);
            } else {
                self.statement("SAVEPOINT one")?;
                job.run(&self.connection);
                if job.has_failed() && !self.connection.is_autocommit() {
                    self.statement("ROLLBACK TO one")?;
                }
                self.statement("RELEASE one")?;
            }
            if self.connection.is_autocommit() {
                // Some errors, such as a full disk, undo the whole transaction.
                return Err(Error::NotCommitted {
                    reason: "SQLite rolled it back".into(),
                    transient: true,
                });
            }
        }
        Ok(())
    }

    fn sync_if(&self, syncs: bool) -> Result<(), Error> {
        if self.syncs.get() != syncs {
            let level = if syncs { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.syncs.set(syncs);
        }
        Ok(())
    }

    fn statement(&self, sql: &str) -> Result<(), Error> {
        self.connection.prepare_cached(sql)?.execute([])?;
        Ok(())
    }
}
