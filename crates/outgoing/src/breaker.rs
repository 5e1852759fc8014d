//! The circuit breaker: closed while calls go well, open for a while after too many failures, then half open for a few
//! trial calls. The core is pure; [`Breaker`] puts a lock around it.

use crate::{LOG, Trip};
use parking_lot::Mutex;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// Whether a breaker lets calls through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// All calls pass.
    Closed,
    /// A few calls pass, to try the target out.
    HalfOpen,
    /// No call passes.
    Open,
}

impl State {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Closed, Self::HalfOpen, Self::Open];

    /// The name of the state in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a breaker refused a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is open.
    Open,
    /// It is half open, and as many calls as it allows are on their way.
    TooManyRequests,
}

/// What a breaker has seen since its state last changed or its interval last began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Calls let through.
    pub requests: u32,
    /// Calls that went well.
    pub total_successes: u32,
    /// Calls that failed.
    pub total_failures: u32,
    /// Calls that went well since the last that failed.
    pub consecutive_successes: u32,
    /// Calls that failed since the last that went well.
    pub consecutive_failures: u32,
}

impl Counts {
    fn success(&mut self) {
        self.total_successes = self.total_successes.saturating_add(1);
        self.consecutive_successes = self.consecutive_successes.saturating_add(1);
        self.consecutive_failures = 0;
    }

    fn failure(&mut self) {
        self.total_failures = self.total_failures.saturating_add(1);
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.consecutive_successes = 0;
    }
}

/// How a breaker behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of the policy.
    pub name: String,
    /// How many calls may pass while half open, and how many must go well to close it; at least 1.
    pub max_requests: u32,
    /// After how long the counts begin anew while closed; never if zero.
    pub interval: Duration,
    /// How long it stays open.
    pub timeout: Duration,
    /// When it opens.
    pub trip: Trip,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: String::new(),
            max_requests: 1,
            interval: Duration::ZERO,
            timeout: Duration::from_secs(60),
            trip: Trip::default(),
        }
    }
}

/// The breaker as a state machine; it knows no clock.
#[derive(Debug)]
pub struct Core {
    state: State,
    /// Counts the changes of state and the new beginnings of the interval: a result that comes later is not counted.
    generation: u64,
    counts: Counts,
    /// When the state (open) or the interval (closed) ends.
    expiry: Option<Instant>,
}

/// The right to one call, given by [`Core::admit`] and handed back with [`Core::report`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    generation: u64,
}

impl Core {
    /// A closed breaker.
    pub fn new(settings: &Settings, now: Instant) -> Self {
        let mut core = Self {
            state: State::Closed,
            generation: 0,
            counts: Counts::default(),
            expiry: None,
        };
        core.begin(settings, State::Closed, now);
        core
    }

    /// The state, after whatever is due by now.
    pub fn state(&mut self, settings: &Settings, now: Instant) -> State {
        let due = self.expiry.is_some_and(|expiry| expiry <= now);
        match self.state {
            State::Closed if due => self.begin(settings, State::Closed, now),
            State::Open if due => self.begin(settings, State::HalfOpen, now),
            _ => {}
        }
        self.state
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Asks for a call.
    pub fn admit(&mut self, settings: &Settings, now: Instant) -> Result<Ticket, Refused> {
        match self.state(settings, now) {
            State::Open => return Err(Refused::Open),
            State::HalfOpen if self.counts.requests >= settings.max_requests => return Err(Refused::TooManyRequests),
            _ => {}
        }
        self.counts.requests = self.counts.requests.saturating_add(1);
        Ok(Ticket {
            generation: self.generation,
        })
    }

    /// Says how a call went; returns the new state if that changed it.
    pub fn report(&mut self, settings: &Settings, ticket: Ticket, success: bool, now: Instant) -> Option<State> {
        let state = self.state(settings, now);
        if ticket.generation != self.generation {
            return None;
        }
        if success {
            self.counts.success()
        } else {
            self.counts.failure()
        }
        let next = match (state, success) {
            (State::HalfOpen, true) if self.counts.consecutive_successes >= settings.max_requests => State::Closed,
            (State::HalfOpen, false) => State::Open,
            (State::Closed, false) if settings.trip.fires(&self.counts) => State::Open,
            _ => return None,
        };
        self.begin(settings, next, now);
        Some(next)
    }

    fn begin(&mut self, settings: &Settings, state: State, now: Instant) {
        self.state = state;
        self.generation = self.generation.wrapping_add(1);
        self.counts = Counts::default();
        self.expiry = match state {
            State::Closed if settings.interval.is_zero() => None,
            State::Closed => now.checked_add(settings.interval),
            State::Open => now.checked_add(settings.timeout),
            State::HalfOpen => None,
        };
    }
}

/// A breaker that many calls share.
#[derive(Debug)]
pub struct Breaker {
    name: String,
    settings: Arc<Settings>,
    core: Mutex<Core>,
}

impl Breaker {
    /// A closed breaker; `name` is for the log.
    pub fn new(name: String, settings: Arc<Settings>, now: Instant) -> Self {
        let core = Mutex::new(Core::new(&settings, now));
        Self { name, settings, core }
    }

    /// The state, after whatever is due by now.
    pub fn state(&self, now: Instant) -> State {
        self.with(|core, settings| core.state(settings, now))
    }

    /// What was counted since the state last changed.
    pub fn counts(&self) -> Counts {
        self.core.lock().counts()
    }

    /// Asks for a call.
    pub fn admit(&self, now: Instant) -> Result<Ticket, Refused> {
        self.with(|core, settings| core.admit(settings, now))
    }

    /// Says how a call went; returns the new state if that changed it.
    pub fn report(&self, ticket: Ticket, success: bool, now: Instant) -> Option<State> {
        self.with(|core, settings| core.report(settings, ticket, success, now))
    }

    /// Does something and logs it if that changed the state.
    fn with<R>(&self, f: impl FnOnce(&mut Core, &Settings) -> R) -> R {
        let mut core = self.core.lock();
        let before = core.state;
        let result = f(&mut core, &self.settings);
        let after = core.state;
        drop(core);
        if before != after {
            tracing::info!(target: LOG, "Circuit breaker {:?} changed state from {before} to {after}", self.name);
        }
        result
    }
}
