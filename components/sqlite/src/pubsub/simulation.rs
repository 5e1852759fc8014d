//! Random histories of publishers and consumers against the tables, step by step: whatever happens, each group is done
//! with each message in the end, and nothing stays behind.

use super::{
    bell::{Bell, Ear},
    consumers,
    core::{Bounds, Core, Outcome},
    now_ms,
    options::InitialOffset,
    poll::{Delivery, Polled},
    publish::{self, Outgoing},
    schema,
};
use component::Metadata;
use fastrand::Rng;
use rusqlite::Connection;
use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

const GROUPS: [&str; 2] = ["a", "b"];

struct Member {
    group: usize,
    core: Core,
    _ear: Ear,
    /// What its handler has at the moment.
    in_work: Vec<Vec<Delivery>>,
}

struct World {
    rng: Rng,
    /// The consumers' clock.
    now: Instant,
    connection: Connection,
    bell: Bell,
    members: Vec<Member>,
    /// How many messages were published.
    published: usize,
    /// What each group has taken in without refusing it.
    done: [BTreeSet<String>; 2],
    /// How many consumers died or were taken for dead.
    deaths: usize,
    deliveries: HashMap<(usize, String), usize>,
    refusals: usize,
}

impl World {
    fn new(seed: u64, folder: &std::path::Path) -> Self {
        let connection = Connection::open_in_memory().unwrap();
        for step in schema::STEPS {
            connection.execute_batch(step).unwrap();
        }
        let mut world = Self {
            rng: Rng::with_seed(seed),
            now: Instant::now(),
            connection,
            bell: Bell::new(Some(&folder.join("x"))).unwrap(),
            members: Vec::new(),
            published: 0,
            done: Default::default(),
            deaths: 0,
            deliveries: HashMap::new(),
            refusals: 0,
        };
        for group in 0..GROUPS.len() {
            world.join(group);
        }
        world
    }

    fn join(&mut self, group: usize) {
        let ear = self.bell.listen().unwrap();
        let names = ("t", GROUPS[group]);
        let me = consumers::join(&self.connection, &self.bell, names, &ear.name, InitialOffset::Latest).unwrap();
        let concurrency = self.rng.usize(1..4);
        let bounds = Bounds {
            concurrency,
            window: (concurrency, 8),
            unit: (1, Duration::ZERO),
            lease: Duration::from_secs(1000),
        };
        self.members.push(Member {
            group,
            core: Core::new(me, bounds, self.now),
            _ear: ear,
            in_work: Vec::new(),
        });
    }

    /// One transaction, which is undone one time in ten.
    fn transact<T>(&mut self, work: impl FnOnce(&Connection, &Bell) -> T) -> Option<T> {
        self.connection.execute_batch("BEGIN").unwrap();
        let value = work(&self.connection, &self.bell);
        let fails = self.rng.u8(..10) == 0;
        self.connection
            .execute_batch(if fails { "ROLLBACK" } else { "COMMIT" })
            .unwrap();
        (!fails).then_some(value)
    }

    fn publish(&mut self) {
        let count = self.rng.usize(1..6);
        let messages: Vec<Outgoing> = (self.published..self.published + count)
            .map(|n| Outgoing::new(n.to_string().into(), None, &Metadata::new()).unwrap())
            .collect();
        let appended = self.transact(|connection, bell| publish::append(connection, bell, "t", &messages).unwrap());
        if appended.is_some() {
            self.published += count;
            // Whoever waits was rung for; here all hear it.
            self.members.iter_mut().for_each(|member| member.core.ring());
        }
    }

    fn poll(&mut self, index: usize) {
        let Some(poll) = self.members[index].core.poll(self.now) else {
            return;
        };
        let polled = self.transact(|connection, bell| poll.carry_out(connection, bell).unwrap());
        let member = &mut self.members[index];
        match polled {
            Some(Polled::Batch {
                deliveries,
                more,
                next_due,
                others_busy,
            }) => {
                let look_at = (next_due.is_some() || others_busy).then_some(self.now);
                member.core.fill(deliveries, more, look_at, self.now);
            }
            Some(Polled::Superseded) => {
                let group = member.group;
                self.members.remove(index);
                self.join(group);
            }
            None => member.core.fail(self.now),
        }
    }

    fn work(&mut self, index: usize) {
        let member = &mut self.members[index];
        if let Some(batch) = member.core.begin(self.now) {
            member.in_work.push(batch);
        }
        if member.in_work.is_empty() || self.rng.bool() {
            return;
        }
        let batch = member.in_work.swap_remove(self.rng.usize(..member.in_work.len()));
        let outcomes = batch.into_iter().map(|delivery| {
            let text = String::from_utf8(delivery.data.to_vec()).unwrap();
            *self.deliveries.entry((member.group, text.clone())).or_default() += 1;
            let refused = self.rng.u8(..5) == 0;
            if refused {
                self.refusals += 1;
            } else {
                self.done[member.group].insert(text);
            }
            Outcome {
                seq: delivery.seq,
                is_retry: delivery.is_retry,
                refused: refused.then(|| (delivery.attempts + 1, now_ms())),
            }
        });
        let outcomes: Vec<Outcome> = outcomes.collect();
        member.core.end(&outcomes, self.now);
    }

    fn step(&mut self) {
        self.now += Duration::from_millis(self.rng.u64(..10));
        let index = self.rng.usize(..self.members.len());
        let group = self.members[index].group;
        match self.rng.u8(..100) {
            0..15 => self.publish(),
            15..55 => self.poll(index),
            55..94 => self.work(index),
            94 | 95 if self.members.len() < 6 => self.join(group),
            96 => {
                // Killed: its row stays, its socket is gone.
                self.members.remove(index);
                self.deaths += 1;
            }
            97 => {
                // Stands still for too long.
                let overdue = "UPDATE pubsub_consumers SET lease_until = 0";
                self.connection.execute(overdue, []).unwrap();
                self.deaths += self.members.len();
            }
            98 => self.leave(index),
            _ => {}
        }
        for group in 0..GROUPS.len() {
            if !self.members.iter().any(|member| member.group == group) {
                self.join(group);
            }
        }
    }

    /// Goes in good order; what its handler has is lost with it, which makes it a death.
    fn leave(&mut self, index: usize) {
        let mut member = self.members.remove(index);
        self.deaths += 1;
        member.core.stop(self.now, now_ms());
        let (me, last) = (member.core.identity(), member.core.report(0, self.now));
        self.transact(|connection, bell| {
            last.carry_out(connection, bell).unwrap();
            consumers::leave(connection, bell, me).unwrap();
        });
    }

    fn dump(&self) -> String {
        let rows = |sql: &str| -> Vec<String> {
            let mut select = self.connection.prepare(sql).unwrap();
            select
                .query_map([], |row| row.get(0))
                .unwrap()
                .map(Result::unwrap)
                .collect()
        };
        format!(
            "messages {:?}, groups {:?}, consumers {:?}, retries {:?}, topic {:?}",
            rows("SELECT seq || '' FROM pubsub_messages"),
            rows("SELECT id || ' ' || cursor FROM pubsub_groups"),
            rows(
                "SELECT id || ' group ' || group_id || ' held ' || held || ' pending ' || pending FROM pubsub_consumers"
            ),
            rows("SELECT group_id || ' ' || seq || ' ' || coalesce(consumer_id, '-') FROM pubsub_retries"),
            rows("SELECT trimmed || '' FROM pubsub_topics"),
        )
    }

    fn is_settled(&self) -> bool {
        let count = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        count("SELECT count(*) FROM pubsub_messages") == 0
            && count("SELECT count(*) FROM pubsub_retries") == 0
            && count("SELECT coalesce(sum(held), 0) FROM pubsub_consumers") == 0
    }
}

#[tokio::test]
async fn each_group_is_done_with_each_message_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut seeds: Vec<u64> = (0..60).collect();
    seeds.push(fastrand::u64(..));
    for seed in seeds {
        let mut world = World::new(seed, folder.path());
        for _ in 0..600 {
            world.step();
        }
        let began = Instant::now();
        while !world.is_settled() {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "seed {seed} does not settle: {}",
                world.dump()
            );
            for index in (0..world.members.len()).rev() {
                world.work(index);
                world.poll(index);
            }
            world.now += Duration::from_millis(50);
        }
        let all: BTreeSet<String> = (0..world.published).map(|n| n.to_string()).collect();
        assert_eq!(world.done, [all.clone(), all], "seed {seed}");
        // Nothing is delivered twice but what was refused, or held by somebody who died.
        let again: usize = world.deliveries.values().map(|count| count - 1).sum();
        assert!(
            again <= world.refusals + world.deaths * 8 * 6,
            "seed {seed}: {again} delivered again"
        );
        if world.deaths == 0 {
            assert_eq!(again, world.refusals, "seed {seed}");
        }
    }
}
