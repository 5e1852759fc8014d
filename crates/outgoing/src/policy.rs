//! The guarded call: attempts, each cut by a timeout and counted by a circuit breaker, repeated as the retry policy says.

use crate::{
    CallError, Class, Classify, Failure, LOG, Random, Retry,
    breaker::{Breaker, Refused, State, Ticket},
    retry::Schedule,
    target::{Origin, RETRY, TIMEOUT, Target},
};
use resources::GoDuration;
use std::{fmt, future::Future, sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What a call needs to know of the one who wants it.
#[derive(Debug, Clone, Copy)]
pub struct CallCx<'a> {
    /// Ends the call, whatever it is doing.
    pub cancel: &'a CancellationToken,
}

impl<'a> CallCx<'a> {
    /// A call that ends when the token is cancelled.
    pub fn new(cancel: &'a CancellationToken) -> Self {
        Self { cancel }
    }
}

/// The policies that apply to one target. Cheap to clone; the default applies nothing, and running through it allocates
/// nothing and sets no timer.
#[derive(Clone, Default)]
pub struct Policy {
    applied: Option<Arc<Applied>>,
    once: bool,
}

/// A part of a policy and the resource it comes from; nothing is counted for one that comes from no resource.
#[derive(Clone)]
pub(crate) struct Part<T> {
    pub(crate) value: T,
    pub(crate) origin: Option<Arc<Origin>>,
}

/// What is applied to the calls of one target.
pub(crate) struct Applied {
    pub(crate) timeout: Option<Part<Duration>>,
    pub(crate) retry: Option<Part<Arc<Retry>>>,
    pub(crate) breaker: Option<Part<Arc<Breaker>>>,
    pub(crate) target: Arc<Target>,
    /// What is called, for the log.
    pub(crate) operation: String,
    pub(crate) random: Arc<dyn Random>,
}

/// How an attempt ended.
enum Outcome<T, E> {
    Good(T),
    Bad(T, Failure),
    Error(CallError<E>),
}

impl Policy {
    pub(crate) fn new(applied: Arc<Applied>) -> Self {
        Self {
            applied: Some(applied),
            once: false,
        }
    }

    /// The same policy without its retries, for a request that cannot be sent again.
    pub fn without_retry(mut self) -> Self {
        self.once = true;
        self
    }

    /// Whether nothing applies.
    pub fn is_noop(&self) -> bool {
        self.applied.is_none()
    }

    /// Whether there may be more than one attempt, so that what is sent has to be kept.
    pub fn may_retry(&self) -> bool {
        self.retry().is_some_and(|retry| retry.max_retries != Some(0))
    }

    /// How long an attempt may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.applied.as_ref()?.timeout.as_ref().map(|part| part.value)
    }

    /// How it repeats, if it does.
    pub fn retry(&self) -> Option<&Retry> {
        let part = self.applied.as_ref()?.retry.as_ref()?;
        Some(&*part.value).filter(|_| !self.once)
    }

    /// For tests of what is freed.
    #[cfg(test)]
    pub(crate) fn downgrade(&self) -> Option<std::sync::Weak<Applied>> {
        self.applied.as_ref().map(Arc::downgrade)
    }

    /// The state of the circuit breaker, if there is one.
    pub fn breaker_state(&self) -> Option<State> {
        let breaker = self.applied.as_ref()?.breaker.as_ref()?;
        Some(breaker.value.state(Instant::now().into_std()))
    }

    /// Calls `f` under this policy. `f` is given the number of the attempt, from 1.
    pub async fn run<T, E, F, Fut>(&self, cx: &CallCx<'_>, f: F) -> Result<T, CallError<E>>
    where
        E: Classify,
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        self.run_checked(cx, f, |_| None).await
    }

    /// Like [`Policy::run`], for values that can carry bad news: where `is_failure` says so, the attempt counts as
    /// failed. When there is no further attempt, the last value is returned as it is.
    pub async fn run_checked<T, E, F, Fut, C>(
        &self,
        cx: &CallCx<'_>,
        mut f: F,
        is_failure: C,
    ) -> Result<T, CallError<E>>
    where
        E: Classify,
        F: FnMut(u32) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        C: Fn(&T) -> Option<Failure>,
    {
        let Some(applied) = &self.applied else {
            return cut(cx, None, || f(1)).await;
        };
        let mut run = Run::begin(applied, self.once);
        loop {
            let attempt = run.attempt;
            let outcome = run.attempt(cx, || f(attempt), &is_failure).await;
            if let Outcome::Good(value) = outcome {
                run.note_recovery();
                return Ok(value);
            }
            let Some(pause) = run.pause(&outcome) else {
                return outcome.into_result();
            };
            drop(outcome);
            run.wait(cx, pause).await?;
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = self.applied.as_ref().map(|applied| &applied.operation);
        let (timeout, retry, breaker) = (self.timeout(), self.retry(), self.breaker_state());
        f.debug_struct("Policy")
            .field("operation", &operation)
            .field("timeout", &timeout)
            .field("retry", &retry)
            .field("breaker", &breaker)
            .finish()
    }
}

impl<T, E: Classify> Outcome<T, E> {
    fn of(result: Result<T, CallError<E>>, is_failure: &impl Fn(&T) -> Option<Failure>) -> Self {
        match result {
            Ok(value) => match is_failure(&value) {
                None => Self::Good(value),
                Some(failure) => Self::Bad(value, failure),
            },
            Err(error) => Self::Error(error),
        }
    }

    /// Whether the target did its part, which is what a breaker counts.
    fn is_success(&self) -> bool {
        match self {
            Self::Good(_) => true,
            Self::Bad(..) => false,
            Self::Error(CallError::Inner(error)) => error.class() == Class::Superseded,
            Self::Error(_) => false,
        }
    }

    fn is_repeated(&self, retry: &Retry) -> bool {
        match self {
            Self::Good(_) => false,
            Self::Bad(_, failure) => retry.matching.allows_failure(*failure),
            Self::Error(CallError::Timeout) => true,
            Self::Error(CallError::Inner(error)) => {
                error.class() == Class::Transient && retry.matching.allows_error(error)
            }
            Self::Error(_) => false,
        }
    }

    fn into_result(self) -> Result<T, CallError<E>> {
        match self {
            Self::Good(value) | Self::Bad(value, _) => Ok(value),
            Self::Error(error) => Err(error),
        }
    }
}

/// One guarded call under way.
struct Run<'a> {
    applied: &'a Applied,
    schedule: Option<(&'a Retry, Schedule<'a>)>,
    started: Instant,
    /// The number of the attempt, from 1.
    attempt: u32,
    timed_out: bool,
}

impl<'a> Run<'a> {
    fn begin(applied: &'a Applied, once: bool) -> Self {
        let retry = applied.retry.as_ref().filter(|_| !once);
        if let Some(origin) = retry.and_then(|part| part.origin.as_ref()) {
            applied.target.executed(origin, RETRY);
        }
        if let Some(origin) = applied.timeout.as_ref().and_then(|part| part.origin.as_ref()) {
            applied.target.executed(origin, TIMEOUT);
        }
        let started = Instant::now();
        if let Some(Part {
            value: breaker,
            origin: Some(origin),
        }) = &applied.breaker
        {
            applied
                .target
                .breaker_executed(origin, breaker.state(started.into_std()));
        }
        let schedule = retry.map(|part| (&*part.value, part.value.schedule()));
        Self {
            applied,
            schedule,
            started,
            attempt: 1,
            timed_out: false,
        }
    }

    async fn attempt<T, E, Fut>(
        &mut self,
        cx: &CallCx<'_>,
        f: impl FnOnce() -> Fut,
        is_failure: &impl Fn(&T) -> Option<Failure>,
    ) -> Outcome<T, E>
    where
        E: Classify,
        Fut: Future<Output = Result<T, E>>,
    {
        // Before the breaker is asked: it is not to count what was never tried.
        if cx.cancel.is_cancelled() {
            return Outcome::Error(CallError::Cancelled);
        }
        let permit = match Permit::ask(self.applied) {
            Ok(permit) => permit,
            Err(Refused::Open) => return Outcome::Error(CallError::BreakerOpen),
            Err(Refused::TooManyRequests) => return Outcome::Error(CallError::TooManyRequests),
        };
        let limit = self.applied.timeout.as_ref().map(|part| part.value);
        let outcome = Outcome::of(cut(cx, limit, f).await, is_failure);
        if let Some(permit) = permit {
            permit.finish(outcome.is_success());
        }
        if matches!(outcome, Outcome::Error(CallError::Timeout)) {
            self.note_timeout();
        }
        outcome
    }

    fn note_timeout(&mut self) {
        let first = !std::mem::replace(&mut self.timed_out, true);
        if let Some(Part {
            origin: Some(origin), ..
        }) = self.applied.timeout.as_ref().filter(|_| first)
        {
            self.applied.target.activated(origin, TIMEOUT);
        }
    }

    /// How long to wait for the next attempt; none if the call is over.
    fn pause<T, E: Classify>(&mut self, outcome: &Outcome<T, E>) -> Option<Duration> {
        let (retry, schedule) = self.schedule.as_mut()?;
        if !outcome.is_repeated(retry) {
            return None;
        }
        let pause = schedule.next(self.started.elapsed(), self.applied.random.next())?;
        self.note_retry(outcome, pause);
        self.attempt = self.attempt.saturating_add(1);
        Some(pause)
    }

    /// The first repetition of a call is counted, and logged for all to see; what went wrong each time is for who looks
    /// closely.
    fn note_retry<T, E: Classify>(&self, outcome: &Outcome<T, E>, pause: Duration) {
        let Applied {
            operation,
            target,
            retry,
            ..
        } = self.applied;
        if self.attempt == 1 {
            let pause = GoDuration::from(pause);
            tracing::warn!(target: LOG, "Error processing operation {operation}. Retrying in {pause}…");
            if let Some(origin) = retry.as_ref().and_then(|part| part.origin.as_ref()) {
                target.activated(origin, RETRY);
            }
        }
        match outcome {
            Outcome::Error(error) => tracing::debug!(target: LOG, "Error for operation {operation} was: {error}"),
            Outcome::Bad(_, failure) => tracing::debug!(target: LOG, "Error for operation {operation} was: {failure}"),
            Outcome::Good(_) => {}
        }
    }

    fn note_recovery(&self) {
        if self.attempt > 1 {
            let operation = &self.applied.operation;
            tracing::info!(target: LOG, attempts = self.attempt, "Recovered processing operation {operation}.");
        }
    }

    async fn wait<E>(&self, cx: &CallCx<'_>, pause: Duration) -> Result<(), CallError<E>> {
        tokio::select! {
            biased;
            () = cx.cancel.cancelled() => Err(CallError::Cancelled),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

/// Runs one attempt until it is done, too late, or not wanted any more.
async fn cut<T, E, Fut>(cx: &CallCx<'_>, limit: Option<Duration>, f: impl FnOnce() -> Fut) -> Result<T, CallError<E>>
where
    Fut: Future<Output = Result<T, E>>,
{
    if cx.cancel.is_cancelled() {
        return Err(CallError::Cancelled);
    }
    let work = async {
        match limit {
            None => f().await.map_err(CallError::Inner),
            Some(limit) => match tokio::time::timeout(limit, f()).await {
                Ok(result) => result.map_err(CallError::Inner),
                Err(_) => Err(CallError::Timeout),
            },
        }
    };
    tokio::select! {
        biased;
        result = work => result,
        () = cx.cancel.cancelled() => Err(CallError::Cancelled),
    }
}

/// A call that a breaker let through. One that is dropped before it ends counts as failed: nobody waited for it any more,
/// and a trial call that never ends would keep the breaker half open.
struct Permit<'a> {
    breaker: &'a Breaker,
    target: &'a Target,
    origin: Option<&'a Origin>,
    ticket: Option<Ticket>,
}

impl<'a> Permit<'a> {
    /// None if there is no breaker.
    fn ask(applied: &'a Applied) -> Result<Option<Self>, Refused> {
        let Some(part) = &applied.breaker else { return Ok(None) };
        let ticket = part.value.admit(Instant::now().into_std())?;
        let (target, origin) = (&*applied.target, part.origin.as_deref());
        Ok(Some(Self {
            breaker: &part.value,
            target,
            origin,
            ticket: Some(ticket),
        }))
    }

    fn finish(mut self, success: bool) {
        self.report(success);
    }

    fn report(&mut self, success: bool) {
        let Some(ticket) = self.ticket.take() else { return };
        let changed = self.breaker.report(ticket, success, Instant::now().into_std());
        if let (Some(state), Some(origin)) = (changed, self.origin) {
            self.target.breaker_changed(origin, state);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.report(false);
    }
}
