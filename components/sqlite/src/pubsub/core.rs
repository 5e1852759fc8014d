//! What a consumer knows and decides, without input or output: its messages, their outcomes, and when to poll again.

use super::{
    consumers::Identity,
    poll::{Delivery, Failure, Poll},
};
use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    time::{Duration, Instant},
};

/// How long outcomes wait to be written down together; so much is delivered again when a sidecar is killed.
const FLUSH_DELAY: Duration = Duration::from_millis(20);

/// How often a consumer looks after others that hold messages.
pub(super) const INSPECTION: Duration = Duration::from_secs(2);

/// After how many messages those that all groups are done with are removed.
const TRIM_AFTER: usize = 256;

/// How many messages are taken in advance: so many that they last for about this long.
const FAST: Duration = Duration::from_millis(200);
const SLOW: Duration = Duration::from_secs(1);

/// Bounds of a consumer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How many calls of the handler may be under way.
    pub(super) concurrency: usize,
    /// How many messages are taken in advance, at least and at most.
    pub(super) window: (usize, usize),
    /// How many messages one call takes, and how long it waits for them.
    pub(super) unit: (usize, Duration),
    pub(super) lease: Duration,
}

/// A message that was handed over, and whether it was refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) seq: i64,
    pub(super) is_retry: bool,
    /// If it was refused: how often, and when it is due again.
    pub(super) refused: Option<(u32, i64)>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Core {
    me: Identity,
    bounds: Bounds,
    window: usize,
    queue: VecDeque<Delivery>,
    /// When the first of the queue came.
    queued_at: Instant,
    /// Calls under way.
    running: usize,
    /// Fresh messages that are not done with, and retries that are not.
    pending: BTreeSet<i64>,
    retries: HashSet<i64>,
    settled: Vec<i64>,
    failed: Vec<Failure>,
    /// Since when outcomes wait to be written down.
    dirty_since: Option<Instant>,
    untrimmed: usize,
    /// Whether there may be more messages.
    more: bool,
    /// Whether somebody has rung since the last poll began.
    rung: bool,
    /// When to look again though nobody rings.
    look_at: Option<Instant>,
    polled_at: Instant,
    filled_at: Instant,
    inspected_at: Instant,
    /// How many outcomes the poll under way has with it, and how much it wants.
    under_way: Option<(usize, usize, usize)>,
    /// No poll before.
    not_before: Option<Instant>,
    errors: u32,
    stopping: bool,
}

impl Core {
    pub(super) fn new(me: Identity, bounds: Bounds, now: Instant) -> Self {
        Self {
            me,
            bounds,
            window: bounds.window.0,
            queue: VecDeque::new(),
            queued_at: now,
            running: 0,
            pending: BTreeSet::new(),
            retries: HashSet::new(),
            settled: Vec::new(),
            failed: Vec::new(),
            dirty_since: None,
            untrimmed: 0,
            more: true,
            rung: false,
            look_at: None,
            polled_at: now,
            filled_at: now,
            inspected_at: now,
            under_way: None,
            not_before: None,
            errors: 0,
            stopping: false,
        }
    }

    pub(super) fn identity(&self) -> Identity {
        self.me
    }

    /// Somebody has published, or handed messages back.
    pub(super) fn ring(&mut self) {
        self.rung = true;
        self.more = true;
    }

    /// Takes nothing in any more, and hands back what waits.
    pub(super) fn stop(&mut self, now: Instant, now_ms: i64) {
        self.stopping = true;
        for delivery in std::mem::take(&mut self.queue) {
            let outcome = Outcome {
                seq: delivery.seq,
                is_retry: delivery.is_retry,
                refused: Some((delivery.attempts, now_ms)),
            };
            self.note(outcome, now);
        }
    }

    /// Others have taken over: nothing is left to be told.
    pub(super) fn abandon(&mut self) {
        self.under_way = None;
        self.pending.clear();
        self.retries.clear();
        self.settled.clear();
        self.failed.clear();
        self.dirty_since = None;
    }

    /// Whether it is stopping and no call is under way.
    pub(super) fn has_stopped(&self) -> bool {
        self.stopping && self.running == 0 && self.under_way.is_none()
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// The messages of the next call, if one is to begin.
    pub(super) fn begin(&mut self, now: Instant) -> Option<Vec<Delivery>> {
        let (most, wait) = self.bounds.unit;
        let ready = self.queue.len() >= most || (!self.queue.is_empty() && now >= self.queued_at + wait);
        if self.stopping || !ready || self.running >= self.bounds.concurrency {
            return None;
        }
        self.running += 1;
        self.queued_at = now;
        Some(self.queue.drain(..most.min(self.queue.len())).collect())
    }

    /// A call has ended.
    pub(super) fn end(&mut self, outcomes: &[Outcome], now: Instant) {
        self.running = self.running.saturating_sub(1);
        for outcome in outcomes {
            self.note(*outcome, now);
        }
    }

    fn note(&mut self, outcome: Outcome, now: Instant) {
        let seq = outcome.seq;
        if outcome.is_retry {
            self.retries.remove(&seq);
        } else {
            self.pending.remove(&seq);
        }
        match outcome.refused {
            Some((attempts, due_at)) => self.failed.push(Failure { seq, attempts, due_at }),
            None if outcome.is_retry => self.settled.push(seq),
            None => {}
        }
        self.untrimmed += 1;
        self.dirty_since.get_or_insert(now);
    }

    /// The next poll, if one is due.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Poll> {
        if self.under_way.is_some() || self.not_before.is_some_and(|time| now < time) {
            return None;
        }
        if self.look_at.is_some_and(|time| now >= time) {
            self.look_at = None;
            self.more = true;
        }
        let want = if self.wants_more() {
            self.window - self.queue.len()
        } else {
            0
        };
        let due = self.flush_at().is_some_and(|time| now >= time) || self.renew_at().is_some_and(|time| now >= time);
        if want == 0 && !due {
            return None;
        }
        Some(self.report(want, now))
    }

    /// What is to be told now.
    pub(super) fn report(&mut self, want: usize, now: Instant) -> Poll {
        let inspect = now >= self.inspected_at + INSPECTION;
        let idle = self.queue.is_empty() && self.running == 0;
        let trim = self.untrimmed >= TRIM_AFTER || (idle && self.untrimmed > 0);
        self.rung = false;
        self.dirty_since = None;
        self.under_way = Some((self.settled.len(), self.failed.len(), want));
        self.polled_at = now;
        if inspect {
            self.inspected_at = now;
        }
        if trim {
            self.untrimmed = 0;
        }
        Poll {
            me: self.me,
            pending: self.pending.iter().copied().collect(),
            retries: self.retries.len(),
            settled: self.settled.clone(),
            failed: self.failed.clone(),
            want,
            inspect,
            trim,
            lease: self.bounds.lease,
        }
    }

    /// The poll has brought messages. `look_at`: when to look again though nobody rings.
    pub(super) fn fill(&mut self, deliveries: Vec<Delivery>, more: bool, look_at: Option<Instant>, now: Instant) {
        let Some((settled, failed, want)) = self.under_way.take() else {
            return;
        };
        self.settled.drain(..settled);
        self.failed.drain(..failed);
        (self.not_before, self.errors) = (None, 0);
        if want > 0 {
            self.more = more || self.rung;
            self.look_at = look_at;
        } else {
            self.look_at = self.look_at.into_iter().chain(look_at).min();
        }
        if deliveries.is_empty() {
            return;
        }
        self.adapt(deliveries.len() >= want, now);
        if self.queue.is_empty() {
            self.queued_at = now;
        }
        for delivery in &deliveries {
            if delivery.is_retry {
                self.retries.insert(delivery.seq);
            } else {
                self.pending.insert(delivery.seq);
            }
        }
        self.queue.extend(deliveries);
        if self.stopping {
            self.stop(now, super::now_ms());
        }
    }

    /// Takes more in advance the faster it goes, so that a slow sidecar does not sit on what others could do.
    fn adapt(&mut self, full: bool, now: Instant) {
        let took = now.saturating_duration_since(self.filled_at);
        self.filled_at = now;
        let (least, most) = self.bounds.window;
        if took > SLOW {
            self.window = (self.window / 2).max(least);
        } else if full && took < FAST {
            self.window = (self.window * 2).min(most);
        }
    }

    /// The poll has failed; the next one waits longer each time.
    pub(super) fn fail(&mut self, now: Instant) {
        self.under_way = None;
        self.more = true;
        self.untrimmed += 1;
        self.dirty_since.get_or_insert(now);
        self.errors = self.errors.saturating_add(1);
        let longest = Duration::from_millis(50).saturating_mul(2u32.saturating_pow(self.errors.min(7)));
        self.not_before = Some(now + longest.mul_f64(fastrand::f64()));
    }

    /// When it must act, if nothing else happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let begin = (!self.queue.is_empty() && self.running < self.bounds.concurrency && !self.stopping)
            .then(|| self.queued_at + self.bounds.unit.1);
        let poll = if self.under_way.is_some() {
            None
        } else {
            let again = self.not_before.filter(|_| self.wants_more());
            let look = self.look_at.filter(|_| !self.stopping);
            let earliest = [again, look, self.flush_at(), self.renew_at()]
                .into_iter()
                .flatten()
                .min();
            earliest.map(|time| self.not_before.map_or(time, |not_before| time.max(not_before)))
        };
        begin.into_iter().chain(poll).min()
    }

    fn wants_more(&self) -> bool {
        !self.stopping && self.more && self.queue.len() <= self.window / 2
    }

    /// When outcomes are to be written down.
    fn flush_at(&self) -> Option<Instant> {
        self.dirty_since.map(|since| since + FLUSH_DELAY)
    }

    /// When it must say that it still lives.
    fn renew_at(&self) -> Option<Instant> {
        let holds = !self.pending.is_empty() || !self.retries.is_empty();
        holds.then(|| self.polled_at + self.bounds.lease / 3)
    }
}
