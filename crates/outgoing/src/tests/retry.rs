use crate::{Backoff, Exponential, Retry};
use proptest::prelude::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn pauses(retry: &Retry, random: f64) -> impl Iterator<Item = Duration> {
    let mut schedule = retry.schedule();
    let mut elapsed = Duration::ZERO;
    std::iter::from_fn(move || {
        let pause = schedule.next(elapsed, random)?;
        elapsed += pause;
        Some(pause)
    })
}

#[test]
fn constant_repeats_as_often_as_it_may() {
    let retry = Retry::constant(SECOND, Some(3));
    assert_eq!(pauses(&retry, 0.7).collect::<Vec<_>>(), [SECOND; 3]);
    assert_eq!(pauses(&Retry::constant(SECOND, Some(0)), 0.7).count(), 0);
    assert_eq!(pauses(&Retry::constant(SECOND, None), 0.7).take(5000).count(), 5000);
}

#[test]
fn exponential_grows_to_its_limit() {
    let backoff = Exponential {
        max_interval: 2 * SECOND,
        ..Exponential::default()
    };
    let retry = Retry::exponential(backoff, Some(6));
    let millis: Vec<_> = pauses(&retry, 0.5).map(|pause| pause.as_millis()).collect();
    assert_eq!(millis, [500, 750, 1125, 1687, 2000, 2000]);
}

#[test]
fn exponential_spreads_around_the_pause() {
    let retry = Retry::exponential(Exponential::default(), None);
    assert_eq!(pauses(&retry, 0.0).next(), Some(Duration::from_millis(250)));
    assert_eq!(pauses(&retry, 1.0).next(), Some(Duration::from_millis(750)));
}

#[test]
fn exponential_ends_with_its_time() {
    let backoff = Exponential {
        max_elapsed: Some(10 * SECOND),
        max_interval: SECOND,
        ..Exponential::default()
    };
    let total: Duration = pauses(&Retry::exponential(backoff, None), 0.5).sum();
    assert!(
        (Duration::from_secs(9)..=Duration::from_secs(10)).contains(&total),
        "{total:?}"
    );
}

proptest! {
    #[test]
    fn pauses_stay_within_bounds(
        initial in 1u64..10_000, limit in 1u64..100_000, jitter in 0.0..1.0f64, retries in 0u64..50, random in 0.0..1.0f64,
    ) {
        let backoff = Exponential {
            initial: Duration::from_millis(initial),
            jitter,
            max_interval: Duration::from_millis(limit),
            max_elapsed: Some(Duration::from_secs(900)),
            ..Exponential::default()
        };
        let most = Duration::from_millis(initial.max(limit)).mul_f64(1.0 + jitter) + Duration::from_micros(1);
        let retry = Retry::exponential(backoff, Some(retries));
        let all: Vec<_> = pauses(&retry, random).collect();
        prop_assert!(all.len() as u64 <= retries);
        prop_assert!(all.iter().all(|pause| *pause <= most));
        prop_assert!(all.iter().sum::<Duration>() <= Duration::from_secs(900));
    }

    #[test]
    fn any_exponential_is_computed(initial: u64, limit: u64, multiplier: f64, jitter: f64, random: f64, elapsed: u64) {
        let backoff = Exponential {
            initial: Duration::from_nanos(initial),
            multiplier,
            jitter,
            max_interval: Duration::from_nanos(limit),
            max_elapsed: None,
        };
        let retry = Retry { backoff: Backoff::Exponential(backoff), ..Retry::constant(SECOND, Some(5)) };
        let mut schedule = retry.schedule();
        while schedule.next(Duration::from_nanos(elapsed), random).is_some() {}
    }
}
