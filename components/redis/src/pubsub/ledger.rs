//! What a subscription holds: which messages are queued, being handled, done or to be tried again. Pure: time is passed in.

use super::entry::{Entry, Id};
use component::pubsub::Message;
use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

/// How many failed messages are kept in mind. More than that are left to the sweep over what is pending in Redis.
const MOST_WAITING: usize = 10_000;
/// How many messages may be done and not yet acknowledged before no more are taken in.
const MOST_DONE: usize = 10_000;
/// The pause before a message is tried for the second time; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// How a ledger is run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How many messages may be queued or handled.
    pub(super) depth: usize,
    /// The longest pause before a failed message is tried again; nothing if it is not to be.
    pub(super) longest_pause: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Waits for a worker.
    Queued,
    /// A worker has it.
    Running,
    /// Handled, not yet acknowledged.
    Done,
    /// Failed, to be tried again.
    Waiting(Instant),
    /// Failed, and being fetched from Redis again.
    Fetching,
}

#[derive(Debug)]
struct Held {
    place: Place,
    failures: u32,
    /// Since when, at the latest, Redis has known that this message is in our hands.
    touched: Instant,
}

/// A message to fetch, and for how long it must have been idle if it is still ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fetch {
    pub(super) id: Id,
    pub(super) idle: Duration,
}

/// What became of fetching a message.
#[derive(Debug)]
pub(super) enum Fetched {
    /// Here it is.
    Entry(Entry),
    /// The stream no longer has it.
    Gone,
    /// Somebody else has it, or it was acknowledged.
    Taken,
}

/// What a subscription holds.
#[derive(Debug)]
pub(super) struct Ledger {
    limits: Limits,
    held: HashMap<Id, Held>,
    queue: VecDeque<(Id, Message)>,
    running: usize,
    done: Vec<Id>,
    unacknowledged: usize,
    waiting: BTreeSet<(Instant, Id)>,
}

impl Ledger {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            held: HashMap::new(),
            queue: VecDeque::new(),
            running: 0,
            done: Vec::new(),
            unacknowledged: 0,
            waiting: BTreeSet::new(),
        }
    }

    /// How many more messages may be taken in.
    pub(super) fn room(&self) -> usize {
        match self.unacknowledged < MOST_DONE {
            true => self.limits.depth.saturating_sub(self.queue.len() + self.running),
            false => 0,
        }
    }

    /// How many messages wait for a worker.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How many messages workers have.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// The ids of all that is held.
    pub(super) fn ids(&self) -> HashSet<Id> {
        self.held.keys().copied().collect()
    }

    /// Takes in entries that Redis has just given to us.
    pub(super) fn admit(&mut self, entries: Vec<Entry>, now: Instant) {
        for entry in entries {
            if let Some(held) = self.held.get_mut(&entry.id) {
                // Given a second time, as after the group was made anew: one copy is enough.
                held.touched = now;
                continue;
            }
            self.enqueue(entry, 0, now);
        }
    }

    fn enqueue(&mut self, entry: Entry, failures: u32, now: Instant) {
        let mut place = Place::Queued;
        match entry.message {
            Some(message) => self.queue.push_back((entry.id, message)),
            None => {
                tracing::warn!(id = %entry.id, "redis: a stream entry without the field data is passed over");
                place = Place::Done;
                self.done.push(entry.id);
                self.unacknowledged += 1;
            }
        }
        let held = Held {
            place,
            failures,
            touched: now,
        };
        self.held.insert(entry.id, held);
    }

    /// The next message for a worker.
    pub(super) fn start(&mut self) -> Option<(Id, Message)> {
        let (id, message) = self.queue.pop_front()?;
        if let Some(held) = self.held.get_mut(&id) {
            held.place = Place::Running;
        }
        self.running += 1;
        Some((id, message))
    }

    /// A worker is through with a message. Returns when the message is to be tried again.
    pub(super) fn finish(&mut self, id: Id, handled: bool, now: Instant) -> Option<Instant> {
        self.running = self.running.saturating_sub(1);
        let held = self.held.get_mut(&id)?;
        if handled {
            held.place = Place::Done;
            self.done.push(id);
            self.unacknowledged += 1;
            return None;
        }
        held.failures = held.failures.saturating_add(1);
        let pause = self.limits.longest_pause.map(|longest| pause(held.failures, longest));
        match pause {
            Some(pause) if self.waiting.len() < MOST_WAITING => {
                let due = now + pause;
                held.place = Place::Waiting(due);
                self.waiting.insert((due, id));
                Some(due)
            }
            // It stays pending in Redis.
            _ => {
                self.held.remove(&id);
                None
            }
        }
    }

    /// Messages that are done and to be acknowledged now.
    pub(super) fn take_done(&mut self) -> Vec<Id> {
        std::mem::take(&mut self.done)
    }

    /// How many messages wait to be acknowledged.
    pub(super) fn done(&self) -> usize {
        self.done.len()
    }

    /// These were acknowledged, or not.
    pub(super) fn acknowledged(&mut self, ids: Vec<Id>, success: bool) {
        if !success {
            self.done.extend(ids);
            return;
        }
        self.unacknowledged = self.unacknowledged.saturating_sub(ids.len());
        for id in ids {
            self.held.remove(&id);
        }
    }

    /// When the next failed message is to be tried again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.first().map(|(due, _)| *due)
    }

    /// Failed messages to be tried again now, as many as there is room for.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Fetch> {
        let mut due = Vec::new();
        let room = self.room();
        while due.len() < room
            && let Some((when, id)) = self.waiting.first().copied()
            && when <= now
        {
            self.waiting.pop_first();
            if let Some(held) = self.held.get_mut(&id) {
                held.place = Place::Fetching;
                due.push(fetch(id, held, now));
            }
        }
        due
    }

    /// What became of messages that [`Self::take_due`] gave or that a sweep found.
    pub(super) fn fetched(&mut self, found: Vec<(Id, Fetched)>, now: Instant) {
        for (id, fetched) in found {
            let failures = match self.held.get(&id) {
                Some(held) if held.place == Place::Fetching => held.failures,
                // Something else has become of it meanwhile.
                Some(_) => continue,
                None => 0,
            };
            self.held.remove(&id);
            match fetched {
                Fetched::Entry(entry) => self.enqueue(entry, failures, now),
                Fetched::Gone => self.enqueue(Entry { id, message: None }, failures, now),
                Fetched::Taken => {}
            }
        }
    }

    /// Fetching failed: the messages are due again at the given time.
    pub(super) fn postpone(&mut self, due: &[Fetch], when: Instant) {
        for Fetch { id, .. } in due {
            if let Some(held) = self.held.get_mut(id) {
                held.place = Place::Waiting(when);
                self.waiting.insert((when, *id));
            }
        }
    }

    /// Messages in our hands of which Redis was not told for as long as `age`.
    pub(super) fn stale(&self, now: Instant, age: Duration) -> Vec<Id> {
        self.held
            .iter()
            .filter(|(_, held)| matches!(held.place, Place::Queued | Place::Running | Place::Done))
            .filter(|(_, held)| now.duration_since(held.touched) >= age)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Redis was told that these are in our hands.
    pub(super) fn touched(&mut self, ids: &[Id], now: Instant) {
        for id in ids {
            if let Some(held) = self.held.get_mut(id) {
                held.touched = now;
            }
        }
    }

    /// Gives up all that no worker has begun, for others to take.
    pub(super) fn leave(&mut self, now: Instant) -> Vec<Fetch> {
        self.queue.clear();
        self.waiting.clear();
        let left: Vec<Fetch> = self
            .held
            .iter()
            .filter(|(_, held)| !matches!(held.place, Place::Running | Place::Done))
            .map(|(id, held)| fetch(*id, held, now))
            .collect();
        for Fetch { id, .. } in &left {
            self.held.remove(id);
        }
        left
    }
}

fn fetch(id: Id, held: &Held, now: Instant) -> Fetch {
    Fetch {
        id,
        idle: now.duration_since(held.touched),
    }
}

/// The pause after so many failures, with jitter.
fn pause(failures: u32, longest: Duration) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(20)).min(longest);
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(60);

    fn ledger(depth: usize) -> Ledger {
        Ledger::new(Limits {
            depth,
            longest_pause: Some(LONGEST),
        })
    }

    fn entry(millis: u64) -> Entry {
        Entry {
            id: Id::new(millis, 0),
            message: Some(Message::default()),
        }
    }

    fn id(millis: u64) -> Id {
        Id::new(millis, 0)
    }

    #[test]
    fn a_message_is_forgotten_once_it_is_acknowledged() {
        let (mut ledger, now) = (ledger(2), Instant::now());
        ledger.admit(vec![entry(1), entry(2)], now);
        assert_eq!(ledger.room(), 0);
        assert_eq!(ledger.start().map(|(id, _)| id), Some(id(1)));
        assert_eq!(ledger.room(), 0);
        assert_eq!(ledger.finish(id(1), true, now), None);
        assert_eq!(ledger.room(), 1);
        let done = ledger.take_done();
        ledger.acknowledged(done, false);
        let done = ledger.take_done();
        assert_eq!(done, [id(1)]);
        ledger.acknowledged(done, true);
        assert_eq!(ledger.ids(), [id(2)].into());
        assert_eq!(ledger.unacknowledged, 0);
    }

    #[test]
    fn a_failed_message_is_fetched_after_pauses_that_grow() {
        let (mut ledger, mut now) = (ledger(1), Instant::now());
        ledger.admit(vec![entry(1)], now);
        let mut last = Duration::ZERO;
        for failures in 0..14 {
            ledger.start().expect("is queued");
            let due = ledger.finish(id(1), false, now).expect("is tried again");
            let pause = due - now;
            assert!(pause >= FIRST_PAUSE / 2 && pause <= LONGEST, "{pause:?}");
            if failures == 0 {
                assert!(pause <= FIRST_PAUSE);
            }
            last = pause;
            assert!(ledger.take_due(now).is_empty());
            assert_eq!(ledger.next_due(), Some(due));
            now = due;
            assert_eq!(ledger.take_due(now), [Fetch { id: id(1), idle: pause }]);
            ledger.fetched(vec![(id(1), Fetched::Entry(entry(1)))], now);
        }
        assert!(last >= LONGEST / 2);
    }

    #[test]
    fn a_message_that_is_held_is_not_taken_in_twice() {
        let (mut ledger, now) = (ledger(9), Instant::now());
        ledger.admit(vec![entry(1), entry(1)], now);
        ledger.start().expect("is queued");
        ledger.admit(vec![entry(1)], now);
        ledger.fetched(vec![(id(1), Fetched::Entry(entry(1)))], now);
        assert!(ledger.start().is_none());
        ledger.finish(id(1), false, now).expect("is tried again");
        ledger.admit(vec![entry(1)], now);
        assert!(ledger.start().is_none());
    }

    #[test]
    fn what_others_took_is_forgotten_and_what_is_gone_is_acknowledged() {
        let (mut ledger, now) = (ledger(9), Instant::now());
        ledger.admit(vec![entry(1), entry(2)], now);
        for n in 1..=2 {
            ledger.start().expect("is queued");
            ledger.finish(id(n), false, now).expect("is tried again");
        }
        let later = now + LONGEST;
        assert_eq!(ledger.take_due(later).len(), 2);
        ledger.fetched(vec![(id(1), Fetched::Taken), (id(2), Fetched::Gone)], later);
        assert!(ledger.start().is_none());
        assert_eq!(ledger.take_done(), [id(2)]);
        assert_eq!(ledger.ids(), [id(2)].into());
    }

    #[test]
    fn only_so_many_failures_are_kept_in_mind() {
        let (mut ledger, now) = (ledger(usize::MAX), Instant::now());
        for n in 0..MOST_WAITING as u64 + 5 {
            ledger.admit(vec![entry(n)], now);
            ledger.start().expect("is queued");
            ledger.finish(id(n), false, now);
        }
        assert_eq!(ledger.ids().len(), MOST_WAITING);
        ledger.limits.depth = 3;
        assert_eq!(ledger.take_due(now + LONGEST).len(), 3);
    }

    #[test]
    fn without_redelivery_a_failure_is_left_to_redis() {
        let now = Instant::now();
        let mut ledger = Ledger::new(Limits {
            depth: 1,
            longest_pause: None,
        });
        ledger.admit(vec![entry(1)], now);
        ledger.start().expect("is queued");
        assert_eq!(ledger.finish(id(1), false, now), None);
        assert!(ledger.ids().is_empty());
    }

    #[test]
    fn what_is_held_for_long_is_stale() {
        let (mut ledger, now) = (ledger(9), Instant::now());
        let age = Duration::from_secs(5);
        ledger.admit(vec![entry(1), entry(2)], now);
        ledger.start().expect("is queued");
        assert!(ledger.stale(now, age).is_empty());
        let later = now + age;
        assert_eq!(ledger.stale(later, age).len(), 2);
        ledger.touched(&[id(1)], later);
        assert_eq!(ledger.stale(later, age), [id(2)]);
    }

    #[test]
    fn leaving_keeps_what_a_worker_has_or_has_done() {
        let (mut ledger, now) = (ledger(9), Instant::now());
        ledger.admit((1..=4).map(entry).collect(), now);
        for n in 1..=3 {
            ledger.start().expect("is queued");
            if n > 1 {
                ledger.finish(id(n), n == 2, now);
            }
        }
        let mut left: Vec<Id> = ledger.leave(now).iter().map(|fetch| fetch.id).collect();
        left.sort();
        assert_eq!(left, [id(3), id(4)]);
        assert_eq!(ledger.ids(), [id(1), id(2)].into());
        assert!(ledger.start().is_none() && ledger.next_due().is_none());
    }

    #[test]
    fn an_entry_without_a_message_is_acknowledged() {
        let (mut ledger, now) = (ledger(9), Instant::now());
        ledger.admit(
            vec![Entry {
                id: id(1),
                message: None,
            }],
            now,
        );
        assert!(ledger.start().is_none());
        assert_eq!(ledger.take_done(), [id(1)]);
    }
}
