use crate::{
    Trip,
    breaker::{Breaker, Core, Refused, Settings, State},
};
use proptest::prelude::*;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const SECOND: Duration = Duration::from_secs(1);

/// A breaker with a clock that is moved by hand.
struct Bench {
    settings: Settings,
    core: Core,
    now: Instant,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        Self {
            core: Core::new(&settings, now),
            settings,
            now,
        }
    }

    fn tripping_after(failures: u32) -> Self {
        let trip = Trip::parse(&format!("consecutiveFailures >= {failures}")).unwrap();
        Self::new(Settings {
            timeout: 5 * SECOND,
            trip,
            ..Settings::default()
        })
    }

    fn call(&mut self, success: bool) -> Result<Option<State>, Refused> {
        let ticket = self.core.admit(&self.settings, self.now)?;
        Ok(self.core.report(&self.settings, ticket, success, self.now))
    }

    fn state(&mut self) -> State {
        self.core.state(&self.settings, self.now)
    }
}

#[test]
fn opens_rests_tries_and_closes() {
    let mut bench = Bench::tripping_after(3);
    assert_eq!([bench.call(false), bench.call(false)], [Ok(None), Ok(None)]);
    assert_eq!(bench.call(false), Ok(Some(State::Open)));
    assert_eq!(bench.call(true), Err(Refused::Open));
    bench.now += 5 * SECOND;
    assert_eq!(bench.state(), State::HalfOpen);
    assert_eq!(bench.call(true), Ok(Some(State::Closed)));
    assert_eq!(bench.call(true), Ok(None));
}

#[test]
fn a_success_begins_the_row_anew() {
    let mut bench = Bench::tripping_after(3);
    for success in [false, false, true, false, false, true] {
        assert_eq!(bench.call(success), Ok(None));
    }
}

#[test]
fn half_open_lets_only_so_many_through() {
    let mut bench = Bench::tripping_after(1);
    bench.settings.max_requests = 2;
    bench.call(false).unwrap();
    bench.now += 5 * SECOND;
    let first = bench.core.admit(&bench.settings, bench.now).unwrap();
    let second = bench.core.admit(&bench.settings, bench.now).unwrap();
    assert_eq!(bench.call(true), Err(Refused::TooManyRequests));
    assert_eq!(bench.core.report(&bench.settings, first, true, bench.now), None);
    assert_eq!(
        bench.core.report(&bench.settings, second, true, bench.now),
        Some(State::Closed)
    );
}

#[test]
fn a_failed_trial_opens_again() {
    let mut bench = Bench::tripping_after(1);
    bench.call(false).unwrap();
    bench.now += 5 * SECOND;
    assert_eq!(bench.call(false), Ok(Some(State::Open)));
    bench.now += 4 * SECOND;
    assert_eq!(bench.call(true), Err(Refused::Open));
}

#[test]
fn the_interval_clears_the_counts() {
    let mut bench = Bench::tripping_after(2);
    bench.settings.interval = SECOND;
    bench.core = Core::new(&bench.settings, bench.now);
    bench.call(false).unwrap();
    bench.now += SECOND;
    assert_eq!(bench.call(false), Ok(None));
    assert_eq!(bench.core.counts().total_failures, 1);
}

#[test]
fn a_late_result_is_not_counted() {
    let mut bench = Bench::tripping_after(1);
    let late = bench.core.admit(&bench.settings, bench.now).unwrap();
    bench.call(false).unwrap();
    assert_eq!(bench.core.report(&bench.settings, late, false, bench.now), None);
    bench.now += 5 * SECOND;
    assert_eq!(bench.core.report(&bench.settings, late, true, bench.now), None);
    assert_eq!(bench.state(), State::HalfOpen);
}

#[test]
fn the_default_trips_after_six() {
    let breaker = Breaker::new("b".to_owned(), Arc::new(Settings::default()), Instant::now());
    let now = Instant::now();
    for _ in 0..5 {
        assert_eq!(breaker.report(breaker.admit(now).unwrap(), false, now), None);
    }
    assert_eq!(
        breaker.report(breaker.admit(now).unwrap(), false, now),
        Some(State::Open)
    );
    assert_eq!(breaker.state(now + 59 * SECOND), State::Open);
    assert_eq!(breaker.state(now + 60 * SECOND), State::HalfOpen);
}

/// What may happen to a breaker.
#[derive(Debug, Clone, Copy)]
enum Event {
    Ask,
    Report(usize, bool),
    Wait(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        3 => Just(Event::Ask),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(at, success)| Event::Report(at, success)),
        1 => (0u64..8000).prop_map(Event::Wait),
    ];
    proptest::collection::vec(event, 0..200)
}

proptest! {
    /// Whatever happens: open refuses, half open lets at most `max_requests` through, and waiting always helps.
    #[test]
    fn any_history_keeps_the_rules(events in events(), max_requests in 1u32..4, failures in 1u32..5, interval in 0u64..3) {
        let mut bench = Bench::tripping_after(failures);
        bench.settings = Settings { max_requests, interval: SECOND * interval as u32, ..bench.settings };
        bench.core = Core::new(&bench.settings, bench.now);
        let mut open_tickets = Vec::new();
        for event in events {
            match event {
                Event::Ask => match (bench.state(), bench.core.admit(&bench.settings, bench.now)) {
                    (State::Open, result) => prop_assert_eq!(result, Err(Refused::Open)),
                    (State::Closed, result) => open_tickets.push(result.unwrap()),
                    (State::HalfOpen, Ok(ticket)) => open_tickets.push(ticket),
                    (State::HalfOpen, Err(refused)) => prop_assert_eq!(refused, Refused::TooManyRequests),
                },
                Event::Report(at, success) if !open_tickets.is_empty() => {
                    let ticket = open_tickets.swap_remove(at % open_tickets.len());
                    bench.core.report(&bench.settings, ticket, success, bench.now);
                }
                Event::Report(..) => {}
                Event::Wait(millis) => bench.now += Duration::from_millis(millis),
            }
            let counts = bench.core.counts();
            prop_assert!(counts.total_successes + counts.total_failures <= counts.requests);
            if bench.state() == State::HalfOpen {
                prop_assert!(bench.core.counts().requests <= max_requests);
            }
        }
        for ticket in open_tickets.drain(..) {
            bench.core.report(&bench.settings, ticket, true, bench.now);
        }
        bench.now += 5 * SECOND;
        for _ in 0..=max_requests {
            prop_assert!(bench.call(true).is_ok());
        }
        prop_assert_eq!(bench.state(), State::Closed);
    }
}
