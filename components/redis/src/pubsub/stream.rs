//! The commands on one stream and one consumer group.

use super::{
    entry::{self, Entry, Id},
    ledger::{Fetch, Fetched},
};
use crate::{
    dial::{Conn, Target},
    link::{Link, Repeat},
};
use redis::{Cmd, Pipeline, RedisResult, Value};
use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// How long one read waits for messages.
pub(super) const BLOCK: Duration = Duration::from_secs(1);
/// How many pending messages are looked at in one go.
const LOOKED_AT: usize = 100;
/// How many ids go into one command.
const IDS_AT_ONCE: usize = 500;
/// The idle time of a message that is given back: everybody's processing time-out is over.
const GIVEN_BACK: Duration = Duration::from_secs(24 * 3600);
/// The longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// One stream and one consumer group, whose single consumer has the group's name: that is how all sidecars of an
/// application, ours and the original's, are one consumer.
#[derive(Clone)]
pub(super) struct Stream {
    pub(super) link: Arc<Link>,
    pub(super) target: Arc<Target>,
    pub(super) answer_timeout: Option<Duration>,
    pub(super) topic: String,
    pub(super) group: String,
}

impl Stream {
    /// A command on the stream.
    fn command(&self, words: &[&str]) -> Cmd {
        let mut command = Cmd::new();
        command.arg(words).arg(&self.topic).arg(&self.group);
        command
    }

    /// Makes the group if it is not there, from the beginning of the stream: what was published before is delivered too,
    /// and a group that was lost loses no message.
    pub(super) async fn ensure_group(&self) -> RedisResult<()> {
        let mut command = self.command(&["XGROUP", "CREATE"]);
        command.arg("0").arg("MKSTREAM");
        match self.link.run(Repeat::Safe, &command).await {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error),
            _ => Ok(()),
        }
    }

    /// Acknowledges messages.
    pub(super) async fn acknowledge(&self, ids: &[Id]) -> RedisResult<()> {
        for ids in ids.chunks(IDS_AT_ONCE) {
            self.link.run(Repeat::Safe, self.command(&["XACK"]).arg(ids)).await?;
        }
        Ok(())
    }

    /// Tells Redis that these messages are still in our hands.
    pub(super) async fn touch(&self, ids: &[Id]) -> RedisResult<()> {
        for ids in ids.chunks(IDS_AT_ONCE) {
            let mut command = self.command(&["XCLAIM"]);
            command.arg(&self.group).arg(0).arg(ids).arg("JUSTID");
            self.link.run(Repeat::Safe, &command).await?;
        }
        Ok(())
    }

    /// Fetches messages again that are pending, those that have been idle as long as they must.
    pub(super) async fn fetch(&self, wanted: &[Fetch]) -> RedisResult<Vec<(Id, Fetched)>> {
        let mut found = Vec::with_capacity(wanted.len());
        for wanted in wanted.chunks(IDS_AT_ONCE) {
            let answers = self.claim(wanted, &[]).await?;
            for (Fetch { id, .. }, answer) in wanted.iter().zip(answers) {
                found.push((*id, self.fetched(answer.extract_error()?)));
            }
        }
        Ok(found)
    }

    fn fetched(&self, answer: Value) -> Fetched {
        let Value::Array(mut entries) = answer else {
            return Fetched::Taken;
        };
        match entries.pop() {
            None => Fetched::Taken,
            // Before Redis 7, of a message that was trimmed away.
            Some(Value::Nil) => Fetched::Gone,
            Some(value) => match entry::read(&self.topic, value) {
                Some(entry) => Fetched::Entry(entry),
                None => Fetched::Gone,
            },
        }
    }

    /// Gives messages back, so that the next sweep of whoever sweeps takes them.
    pub(super) async fn give_back(&self, left: &[Fetch]) -> RedisResult<()> {
        let idle = GIVEN_BACK.as_millis().to_string();
        for left in left.chunks(IDS_AT_ONCE) {
            self.claim(left, &["IDLE", &idle, "JUSTID"]).await?;
        }
        Ok(())
    }

    async fn claim(&self, wanted: &[Fetch], options: &[&str]) -> RedisResult<Vec<Value>> {
        let mut pipe = Pipeline::with_capacity(wanted.len());
        for Fetch { id, idle } in wanted {
            let mut command = self.command(&["XCLAIM"]);
            let idle = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
            command.arg(&self.group).arg(idle).arg(id).arg(options);
            pipe.add_command(command);
        }
        self.link.run_all(Repeat::Unsafe, &pipe).await
    }

    /// Messages that have been pending for as long as `idle` and are not in `held`, at most `most`; and whether there are
    /// more.
    pub(super) async fn pending(
        &self,
        idle: Duration,
        held: &HashSet<Id>,
        most: usize,
    ) -> RedisResult<(Vec<Fetch>, bool)> {
        let mut found = Vec::new();
        let mut from = "-".to_owned();
        loop {
            let mut command = self.command(&["XPENDING"]);
            command.arg(&from).arg("+").arg(LOOKED_AT);
            let answer = self.link.run(Repeat::Safe, &command).await?;
            let rows: Vec<(Value, String, u64, u64)> = redis::from_redis_value(answer)?;
            let mut last = None;
            for (id, _, idle_for, _) in &rows {
                last = entry::id(id);
                let Some(id) = last else { continue };
                if u128::from(*idle_for) < idle.as_millis() || held.contains(&id) {
                    continue;
                }
                if found.len() >= most {
                    return Ok((found, true));
                }
                found.push(Fetch { id, idle });
            }
            match last {
                Some(last) if rows.len() >= LOOKED_AT => from = last.next().to_string(),
                _ => return Ok((found, false)),
            }
        }
    }

    /// Ends the read that blocks on the client with this number.
    pub(super) async fn unblock(&self, client: i64) {
        let mut command = redis::cmd("CLIENT");
        command.arg("UNBLOCK").arg(client);
        // Without it the read ends by itself.
        let _ended = self.link.run(Repeat::Safe, &command).await;
    }
}

/// Reads new messages, on a connection of its own, since a read holds up what is behind it.
pub(super) struct Reader {
    stream: Stream,
    /// The connection, and the number of its client as [`Blocked`] keeps it.
    lane: Option<(Conn, i64)>,
    failures: u32,
    recovered: bool,
    blocked: Arc<Blocked>,
}

/// A client whose number is not known.
const NAMELESS: i64 = -1;

/// Which client of the server is blocked by a read; 0 for none.
#[derive(Debug, Default)]
pub(super) struct Blocked(AtomicI64);

/// What is known of a read that is going on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocking {
    /// Nothing was sent: the read can be dropped.
    No,
    /// A client is blocked that can be named.
    Client(i64),
    /// A client is blocked that cannot be named.
    Somebody,
}

impl Blocked {
    pub(super) fn get(&self) -> Blocking {
        match self.0.load(Ordering::Acquire) {
            0 => Blocking::No,
            id if id > 0 => Blocking::Client(id),
            _ => Blocking::Somebody,
        }
    }
}

impl Reader {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            lane: None,
            failures: 0,
            recovered: false,
            blocked: Arc::default(),
        }
    }

    /// Which client is blocked by this reader's read.
    pub(super) fn blocked(&self) -> Arc<Blocked> {
        self.blocked.clone()
    }

    /// How many reads in a row have failed.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the last read succeeded after others had failed.
    pub(super) fn has_recovered(&self) -> bool {
        self.recovered
    }

    /// Reads at most `count` new messages. After a failure, waits before it connects again.
    pub(super) async fn read(mut self, count: usize) -> (Self, RedisResult<Vec<Entry>>) {
        let outcome = self.attempt(count).await;
        self.blocked.0.store(0, Ordering::Release);
        match &outcome {
            Ok(_) => {
                self.recovered = self.failures > 0;
                self.failures = 0;
            }
            Err(_) => {
                self.recovered = false;
                self.lane = None;
                self.failures = self.failures.saturating_add(1);
            }
        }
        (self, outcome)
    }

    async fn attempt(&mut self, count: usize) -> RedisResult<Vec<Entry>> {
        if self.failures > 0 {
            let pause = Duration::from_millis(25)
                .saturating_mul(1 << self.failures.min(10))
                .min(LONGEST_PAUSE);
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            self.stream.ensure_group().await?;
        }
        let (conn, client) = match &mut self.lane {
            Some(lane) => lane,
            None => {
                let lane = self.connect().await?;
                self.lane.insert(lane)
            }
        };
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(&self.stream.group).arg(&self.stream.group);
        command
            .arg("COUNT")
            .arg(count)
            .arg("BLOCK")
            .arg(BLOCK.as_millis() as u64);
        command.arg("STREAMS").arg(&self.stream.topic).arg(">");
        self.blocked.0.store(*client, Ordering::Release);
        let answer: Value = command.query_async(conn).await?;
        Ok(entry::read_all(&self.stream.topic, answer))
    }

    async fn connect(&self) -> RedisResult<(Conn, i64)> {
        let timeout = self.stream.answer_timeout.map(|timeout| timeout + BLOCK);
        let mut conn = self.stream.target.connect(timeout).await?;
        let mut client = NAMELESS;
        if !conn.is_cluster() {
            let mut command = redis::cmd("CLIENT");
            client = command.arg("ID").query_async(&mut conn).await.unwrap_or(NAMELESS);
        }
        Ok((conn, client))
    }
}
