//! The connection that all requests of a component share. It is opened anew when it is lost.

use crate::{
    dial::{Conn, Target},
    error,
    options::Connection,
};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use parking_lot::Mutex;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Value, aio::ConnectionLike};
use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

/// Whether a command may be sent again when nobody knows if it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// Twice is not the same as once.
    Unsafe,
}

/// How often and after which pauses a command is sent again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    retries: u32,
    shortest: Duration,
    longest: Duration,
}

impl Pauses {
    fn new(options: &Connection) -> Self {
        Self {
            retries: u32::try_from(options.redis_max_retries).unwrap_or(0),
            shortest: options.redis_min_retry_interval.0.unwrap_or_default(),
            longest: options.redis_max_retry_interval.0.unwrap_or_default(),
        }
    }

    /// The pause after the `attempt`th failure, with jitter so that many callers do not come back at once.
    fn after(&self, attempt: u32) -> Duration {
        let pause = self.shortest.saturating_mul(1 << attempt.min(16)).min(self.longest);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

type Dialing = Shared<BoxFuture<'static, RedisResult<Conn>>>;

/// What is open now.
#[derive(Default)]
struct Slot {
    conn: Option<Conn>,
    /// The opening that is under way. All who need it wait for it together, each as long as it likes.
    dialing: Option<Dialing>,
    /// Counts the openings there have been, so that one failure is blamed on one connection only.
    serial: u64,
    closed: bool,
}

/// One shared connection.
pub(crate) struct Link {
    target: Arc<Target>,
    slot: Mutex<Slot>,
    pauses: Pauses,
    answer_timeout: Option<Duration>,
}

/// One or several commands.
enum Request<'a> {
    One(&'a Cmd),
    Many(&'a Pipeline),
}

impl Link {
    /// A link to the target; it is opened at its first use.
    pub(crate) fn new(target: Arc<Target>, options: &Connection) -> Self {
        Self {
            target,
            slot: Mutex::default(),
            pauses: Pauses::new(options),
            answer_timeout: options.read_timeout.0,
        }
    }

    /// Sends a command and returns its answer.
    pub(crate) async fn run(&self, repeat: Repeat, command: &Cmd) -> RedisResult<Value> {
        self.send(repeat, Request::One(command)).await
    }

    /// Sends commands at once and returns an answer for each; an answer may be [`Value::ServerError`].
    pub(crate) async fn run_all(&self, repeat: Repeat, commands: &Pipeline) -> RedisResult<Vec<Value>> {
        match self.send(repeat, Request::Many(commands)).await? {
            Value::Array(answers) if answers.len() == commands.len() => Ok(answers),
            _ => Err((ErrorKind::UnexpectedReturnType, "wrong number of answers").into()),
        }
    }

    /// Whether the server answers.
    pub(crate) async fn ping(&self) -> RedisResult<()> {
        self.run(Repeat::Safe, &redis::cmd("PING")).await.map(drop)
    }

    /// The connection itself, opened if need be.
    pub(crate) async fn conn(&self) -> RedisResult<Conn> {
        self.open().await.map(|(_, conn)| conn)
    }

    /// Closes the connection; what is sent afterwards fails.
    pub(crate) fn close(&self) {
        let mut slot = self.slot.lock();
        slot.closed = true;
        slot.conn = None;
        slot.dialing = None;
    }

    async fn send(&self, repeat: Repeat, request: Request<'_>) -> RedisResult<Value> {
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            let error = match self.attempt(repeat, &request).await {
                Ok(value) => return Ok(value),
                Err(Failed { error, again }) => {
                    let late = self.answer_timeout.is_some_and(|limit| started.elapsed() >= limit);
                    if !again || late || attempt >= self.pauses.retries {
                        return Err(error);
                    }
                    error
                }
            };
            tracing::debug!(%error, attempt, "redis: trying again");
            tokio::time::sleep(self.pauses.after(attempt)).await;
            attempt += 1;
        }
    }

    async fn attempt(&self, repeat: Repeat, request: &Request<'_>) -> Result<Value, Failed> {
        // What could not be sent may always be sent again.
        let (serial, mut conn) = self.open().await.map_err(|error| Failed {
            again: error.is_io_error() || error::is_not_now(&error),
            error,
        })?;
        let answer = match request {
            Request::One(command) => conn.req_packed_command(command).await.and_then(Value::extract_error),
            Request::Many(commands) => conn
                .req_packed_commands(commands, 0, commands.len())
                .await
                .map(Value::Array),
        };
        answer.map_err(|error| {
            let not_now = error::is_not_now(&error);
            if conn.is_cluster() {
                // It mends itself and has already repeated what it could.
                if error.kind() == ErrorKind::ClusterConnectionNotFound {
                    self.lose(serial);
                }
                return Failed { error, again: false };
            }
            let lost = error.is_unrecoverable_error() || error.is_timeout();
            if lost || error.kind() == ErrorKind::Server(redis::ServerErrorKind::ReadOnly) {
                self.lose(serial);
            }
            let dropped = lost && !error.is_timeout() && repeat == Repeat::Safe;
            Failed {
                error,
                again: not_now || dropped,
            }
        })
    }

    /// The open connection and its serial number.
    async fn open(&self) -> RedisResult<(u64, Conn)> {
        let (serial, dialing) = {
            let mut slot = self.slot.lock();
            if slot.closed {
                return Err(closed());
            }
            if let Some(conn) = slot.conn.as_ref().filter(|conn| !conn.is_lost()) {
                return Ok((slot.serial, conn.clone()));
            }
            if slot.dialing.is_none() {
                let (target, timeout) = (self.target.clone(), self.answer_timeout);
                slot.serial += 1;
                slot.dialing = Some(async move { target.connect(timeout).await }.boxed().shared());
            }
            (slot.serial, slot.dialing.clone())
        };
        let Some(dialing) = dialing else {
            return Err(closed());
        };
        let outcome = match self.answer_timeout {
            None => dialing.await,
            Some(limit) => tokio::time::timeout(limit, dialing)
                .await
                .map_err(|_| RedisError::from(io::Error::from(io::ErrorKind::TimedOut)))?,
        };
        let mut slot = self.slot.lock();
        if slot.closed {
            return Err(closed());
        }
        // The first who learns of the outcome keeps it for those who come later.
        if slot.serial == serial && slot.dialing.take().is_some() {
            slot.conn = outcome.as_ref().ok().cloned();
        }
        outcome.map(|conn| (serial, conn))
    }

    /// Forgets the connection with this serial number.
    fn lose(&self, serial: u64) {
        let mut slot = self.slot.lock();
        if slot.serial == serial {
            slot.conn = None;
        }
    }
}

/// Why an attempt failed, and whether another may be made.
struct Failed {
    error: RedisError,
    again: bool,
}

fn closed() -> RedisError {
    (ErrorKind::Client, "the component is closed").into()
}
