//! How often and when a call is repeated: pure, time and randomness come in as arguments.

use crate::Matching;
use std::time::Duration;

/// Where jitter comes from: numbers from 0 up to, but not including, 1.
pub trait Random: Send + Sync + 'static {
    /// The next number.
    fn next(&self) -> f64;
}

/// Randomness of the process, not reproducible.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessRandom;

impl Random for ProcessRandom {
    fn next(&self) -> f64 {
        fastrand::f64()
    }
}

impl<F: Fn() -> f64 + Send + Sync + 'static> Random for F {
    fn next(&self) -> f64 {
        self()
    }
}

/// The pauses between attempts.
#[derive(Debug, Clone, PartialEq)]
pub enum Backoff {
    /// Always the same pause.
    Constant(Duration),
    /// Longer and longer pauses, spread at random.
    Exponential(Exponential),
}

/// Pauses that grow by a factor up to a limit, each spread at random around its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Exponential {
    /// The first pause, before it is spread.
    pub initial: Duration,
    /// What each pause is multiplied by to get the next.
    pub multiplier: f64,
    /// How far a pause is spread: 0.5 makes 10 s anything from 5 s to 15 s.
    pub jitter: f64,
    /// The longest pause, before it is spread.
    pub max_interval: Duration,
    /// No attempt begins later than this after the first; none if there is no such limit.
    pub max_elapsed: Option<Duration>,
}

impl Default for Exponential {
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(500),
            multiplier: 1.5,
            jitter: 0.5,
            max_interval: Duration::from_secs(60),
            max_elapsed: Some(Duration::from_secs(15 * 60)),
        }
    }
}

/// A retry policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// The pauses between attempts.
    pub backoff: Backoff,
    /// How many attempts may follow the first; none if there is no limit.
    pub max_retries: Option<u64>,
    /// Which failures are repeated.
    pub matching: Matching,
}

impl Retry {
    /// The same pause before each of at most `max_retries` repetitions, whatever the failure.
    pub fn constant(interval: Duration, max_retries: Option<u64>) -> Self {
        Self {
            backoff: Backoff::Constant(interval),
            max_retries,
            matching: Matching::default(),
        }
    }

    /// Growing pauses before each of at most `max_retries` repetitions, whatever the failure.
    pub fn exponential(backoff: Exponential, max_retries: Option<u64>) -> Self {
        Self {
            backoff: Backoff::Exponential(backoff),
            max_retries,
            matching: Matching::default(),
        }
    }

    /// The pauses of one call.
    pub fn schedule(&self) -> Schedule<'_> {
        let interval = match &self.backoff {
            Backoff::Constant(interval) => *interval,
            Backoff::Exponential(backoff) => backoff.initial,
        };
        Schedule {
            retry: self,
            used: 0,
            interval,
        }
    }
}

/// Where one call stands in its retry policy.
#[derive(Debug, Clone)]
pub struct Schedule<'a> {
    retry: &'a Retry,
    used: u64,
    interval: Duration,
}

impl Schedule<'_> {
    /// The pause before the next attempt, or none if there is to be no other. `elapsed` is the time since the first
    /// attempt began, `random` a number from 0 to 1.
    pub fn next(&mut self, elapsed: Duration, random: f64) -> Option<Duration> {
        if self.retry.max_retries.is_some_and(|max| self.used >= max) {
            return None;
        }
        let pause = match &self.retry.backoff {
            Backoff::Constant(interval) => *interval,
            Backoff::Exponential(backoff) => self.grow(backoff, elapsed, random)?,
        };
        self.used += 1;
        Some(pause)
    }

    fn grow(&mut self, backoff: &Exponential, elapsed: Duration, random: f64) -> Option<Duration> {
        let pause = spread(self.interval, backoff.jitter, random);
        self.interval = scale(self.interval, backoff.multiplier).min(backoff.max_interval);
        let late = backoff
            .max_elapsed
            .is_some_and(|max| elapsed.saturating_add(pause) > max);
        (!late).then_some(pause)
    }
}

/// A duration within `jitter` of `interval`.
fn spread(interval: Duration, jitter: f64, random: f64) -> Duration {
    let factor = 1.0 - jitter + 2.0 * jitter * random.clamp(0.0, 1.0);
    scale(interval, factor)
}

fn scale(interval: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(interval.as_secs_f64() * factor.max(0.0)).unwrap_or(Duration::MAX)
}
