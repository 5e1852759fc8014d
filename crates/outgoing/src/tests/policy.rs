use crate::{
    CallCx, CallError, Class, Classify, Failure, Matching, Policy, Retry, Trip,
    breaker::{Settings, State},
    policy::Part,
    site::{Names, Shared, Template},
    target::{Flow, Origin},
};
use resources::resiliency::StatusCodes;
use std::{cell::Cell, future::pending, sync::Arc, time::Duration};
use telemetry::metrics::{Metrics, Options};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

/// An error of a call, with its class and codes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("fault")]
struct Fault(Class, Option<u16>, Option<i32>);

const TRANSIENT: Fault = Fault(Class::Transient, None, None);

impl Classify for Fault {
    fn class(&self) -> Class {
        self.0
    }
    fn http_status(&self) -> Option<u16> {
        self.1
    }
    fn grpc_code(&self) -> Option<i32> {
        self.2
    }
}

#[derive(Default)]
struct Parts {
    timeout: Option<Duration>,
    retry: Option<Retry>,
    breaker: Option<Settings>,
}

fn part<T>(value: T) -> Part<T> {
    let origin = Origin {
        name: "res".to_owned(),
        namespace: "ns".to_owned(),
    };
    Part {
        value,
        origin: Some(Arc::new(origin)),
    }
}

impl Parts {
    fn with(self, metrics: &Metrics) -> Policy {
        let template = Template {
            timeout: self.timeout.map(part),
            retry: self.retry.map(|retry| part(Arc::new(retry))),
            breaker: self.breaker.map(|settings| part(Arc::new(settings))),
            ..Template::default()
        };
        let shared = Shared {
            random: Arc::new(|| 0.5),
            metrics: metrics.clone(),
        };
        let target = shared.target(Flow::Outbound, "app_b".to_owned());
        template.policy(
            &shared,
            &target,
            Names {
                operation: "endpoint[b]".to_owned(),
                breaker: "b".to_owned(),
            },
        )
    }

    fn policy(self) -> Policy {
        self.with(&Metrics::disabled())
    }
}

fn retry(times: u64) -> Parts {
    Parts {
        retry: Some(Retry::constant(SECOND, Some(times))),
        ..Parts::default()
    }
}

fn breaker(failures: u32) -> Settings {
    let trip = Trip::parse(&format!("consecutiveFailures >= {failures}")).unwrap();
    Settings {
        timeout: 5 * SECOND,
        trip,
        ..Settings::default()
    }
}

/// Runs a call that fails until the `good`th attempt; returns the result and the number of attempts.
async fn failing(policy: &Policy, good: u32, fault: Fault) -> (Result<u32, CallError<Fault>>, u32) {
    let (token, attempts) = (CancellationToken::new(), Cell::new(0));
    let result = policy
        .run(&CallCx::new(&token), |attempt| {
            attempts.set(attempt);
            let fault = fault.clone();
            async move { if attempt < good { Err(fault) } else { Ok(attempt) } }
        })
        .await;
    (result, attempts.get())
}

/// Runs a call that gives this HTTP status each time; returns the number of attempts.
async fn answering(policy: &Policy, status: u16) -> u32 {
    let (token, attempts) = (CancellationToken::new(), Cell::new(0));
    let call = |attempt| {
        attempts.set(attempt);
        async move { Ok::<_, Fault>(status) }
    };
    let is_failure = |status: &u16| (*status >= 400).then_some(Failure::Http(*status));
    let result = policy.run_checked(&CallCx::new(&token), call, is_failure).await;
    assert_eq!(result, Ok(status));
    attempts.get()
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_there_is_one_attempt() {
    let policy = Policy::default();
    assert!(policy.is_noop() && !policy.may_retry());
    assert_eq!(
        failing(&policy, 9, TRANSIENT).await,
        (Err(CallError::Inner(TRANSIENT)), 1)
    );
    assert_eq!(failing(&policy, 1, TRANSIENT).await, (Ok(1), 1));
}

/// The loop adds little to what a caller has to keep, and can run in any task.
#[test]
fn a_guarded_call_is_small_and_sendable() {
    fn check<T: Send>(value: T) -> usize {
        size_of_val(&value)
    }
    let (policy, token) = (Policy::default(), CancellationToken::new());
    let cx = CallCx::new(&token);
    let inner = |_| async {
        let kept = [0u8; 4096];
        sleep(SECOND).await;
        Ok::<_, Fault>(kept[17])
    };
    let size = check(policy.run(&cx, inner));
    assert!(size < 4096 + 1024, "{size}");
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Policy>();
    shared::<crate::Policies>();
}

#[tokio::test(start_paused = true)]
async fn retries_end_with_success_or_the_last_error() {
    let policy = retry(3).policy();
    let start = Instant::now();
    assert_eq!(failing(&policy, 3, TRANSIENT).await, (Ok(3), 3));
    assert_eq!(start.elapsed(), 2 * SECOND);
    assert_eq!(
        failing(&policy, 9, TRANSIENT).await,
        (Err(CallError::Inner(TRANSIENT)), 4)
    );
    assert_eq!(failing(&policy.without_retry(), 9, TRANSIENT).await.1, 1);
}

#[tokio::test(start_paused = true)]
async fn only_transient_errors_are_repeated() {
    let policy = retry(3).policy();
    for class in [Class::Permanent, Class::Superseded] {
        let fault = Fault(class, None, None);
        assert_eq!(
            failing(&policy, 9, fault.clone()).await,
            (Err(CallError::Inner(fault)), 1)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn codes_choose_what_is_repeated() {
    let matching = Matching {
        http: StatusCodes::parse_http("429,500-503").unwrap(),
        grpc: StatusCodes::parse_grpc("14").unwrap(),
    };
    let retry = Retry {
        matching,
        ..Retry::constant(SECOND, Some(3))
    };
    let policy = Parts {
        retry: Some(retry),
        ..Parts::default()
    }
    .policy();
    for (http, grpc, attempts) in [
        (None, None, 4),
        (Some(429), None, 4),
        (Some(503), None, 4),
        (Some(404), None, 1),
        (None, Some(14), 4),
        (None, Some(9), 1),
        (Some(503), Some(9), 1),
    ] {
        let fault = Fault(Class::Transient, http, grpc);
        assert_eq!(failing(&policy, 9, fault).await.1, attempts, "{http:?} {grpc:?}");
    }
    assert_eq!(answering(&policy, 200).await, 1);
    assert_eq!(answering(&policy, 404).await, 1);
    assert_eq!(answering(&policy, 500).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_bad_value_is_returned_after_the_last_attempt() {
    assert_eq!(answering(&retry(2).policy(), 500).await, 3);
    assert_eq!(answering(&Policy::default(), 500).await, 1);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_own_time() {
    let policy = Parts {
        timeout: Some(SECOND),
        ..retry(2)
    }
    .policy();
    let (token, start) = (CancellationToken::new(), Instant::now());
    let result = policy
        .run(&CallCx::new(&token), |attempt| async move {
            sleep(SECOND * if attempt < 3 { 9 } else { 0 }).await;
            Ok::<_, Fault>(attempt)
        })
        .await;
    assert_eq!(result, Ok(3));
    assert_eq!(start.elapsed(), 4 * SECOND);
    let result = policy
        .run(&CallCx::new(&token), |_| pending::<Result<(), Fault>>())
        .await
        .unwrap_err();
    assert_eq!(result.to_string(), "context deadline exceeded");
}

#[tokio::test(start_paused = true)]
async fn cancelling_ends_the_attempt_and_the_pause() {
    let policy = retry(3).policy();
    for delay in [Duration::ZERO, SECOND / 2, SECOND * 3 / 2] {
        let token = CancellationToken::new();
        let cancel = token.clone();
        tokio::spawn(async move {
            sleep(delay).await;
            cancel.cancel();
        });
        let start = Instant::now();
        let call = |attempt| async move {
            if attempt == 1 {
                Err(TRANSIENT)
            } else {
                pending::<Result<(), Fault>>().await
            }
        };
        assert_eq!(policy.run(&CallCx::new(&token), call).await, Err(CallError::Cancelled));
        assert!(start.elapsed() <= delay + Duration::from_millis(2));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_tried_for_one_who_left() {
    let token = CancellationToken::new();
    token.cancel();
    let guarded = Parts {
        breaker: Some(breaker(1)),
        ..retry(3)
    }
    .policy();
    for policy in [Policy::default(), guarded.clone()] {
        let call = |_| async { panic!("called") as Result<(), Fault> };
        let result = policy.run(&CallCx::new(&token), call).await.unwrap_err();
        assert_eq!(result.to_string(), "context canceled");
    }
    assert_eq!(guarded.breaker_state(), Some(State::Closed));
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_and_ends_the_retries() {
    let policy = Parts {
        breaker: Some(breaker(3)),
        ..retry(9)
    }
    .policy();
    let (result, attempts) = failing(&policy, 99, TRANSIENT).await;
    assert_eq!(
        (result.unwrap_err().to_string().as_str(), attempts),
        ("circuit breaker is open", 3)
    );
    assert_eq!(failing(&policy, 1, TRANSIENT).await, (Err(CallError::BreakerOpen), 0));
    sleep(5 * SECOND).await;
    assert_eq!(failing(&policy, 1, TRANSIENT).await, (Ok(1), 1));
    assert_eq!(policy.breaker_state(), Some(State::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_half_open_breaker_lets_one_through() {
    let policy = Parts {
        breaker: Some(breaker(1)),
        ..Parts::default()
    }
    .policy();
    failing(&policy, 9, TRANSIENT).await.0.unwrap_err();
    sleep(5 * SECOND).await;
    let token = CancellationToken::new();
    let cx = CallCx::new(&token);
    let slow = policy.run(&cx, |_| async {
        sleep(SECOND).await;
        Ok::<_, Fault>(())
    });
    let (slow, (second, _)) = tokio::join!(slow, failing(&policy, 1, TRANSIENT));
    assert_eq!(slow, Ok(()));
    assert_eq!(second.unwrap_err().to_string(), "too many requests");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_is_dropped_counts_as_failed() {
    let policy = Parts {
        breaker: Some(breaker(1)),
        ..Parts::default()
    }
    .policy();
    failing(&policy, 9, TRANSIENT).await.0.unwrap_err();
    sleep(5 * SECOND).await;
    let token = CancellationToken::new();
    let cx = CallCx::new(&token);
    let call = policy.run(&cx, |_| pending::<Result<(), Fault>>());
    assert!(tokio::time::timeout(SECOND, call).await.is_err());
    assert_eq!(policy.breaker_state(), Some(State::Open));
    sleep(5 * SECOND).await;
    assert_eq!(failing(&policy, 1, TRANSIENT).await.0, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_counts_bad_values_and_timeouts_but_not_what_was_superseded() {
    let policy = Parts {
        breaker: Some(breaker(2)),
        timeout: Some(SECOND),
        ..Parts::default()
    }
    .policy();
    for _ in 0..5 {
        failing(&policy, 9, Fault(Class::Superseded, None, None))
            .await
            .0
            .unwrap_err();
    }
    answering(&policy, 500).await;
    assert_eq!(policy.breaker_state(), Some(State::Closed));
    let token = CancellationToken::new();
    policy
        .run(&CallCx::new(&token), |_| pending::<Result<(), Fault>>())
        .await
        .unwrap_err();
    assert_eq!(policy.breaker_state(), Some(State::Open));
}

#[tokio::test(start_paused = true)]
async fn what_an_inner_policy_refused_is_not_repeated() {
    let (outer, inner) = (
        retry(3).policy(),
        Parts {
            breaker: Some(breaker(2)),
            ..Parts::default()
        }
        .policy(),
    );
    let token = CancellationToken::new();
    let cx = CallCx::new(&token);
    let attempts = Cell::new(0);
    let inner_call = |_| {
        attempts.set(attempts.get() + 1);
        async { Err::<(), _>(TRANSIENT) }
    };
    let result = outer.run(&cx, |_| inner.run(&cx, inner_call)).await;
    assert_eq!(result, Err(CallError::Inner(CallError::BreakerOpen)));
    assert_eq!(attempts.get(), 2);
}

/// The value of a series of `resiliency/*`, zero if there is none.
fn series(metrics: &Metrics, name: &str, policy: &str, status: &str) -> u64 {
    let labels = [
        format!("policy=\"{policy}\""),
        format!("status=\"{status}\""),
        "target=\"app_b\"".to_owned(),
    ];
    let text = metrics.render();
    let mut lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("dapr_resiliency_{name}{{")));
    let line = lines.find(|line| labels.iter().all(|label| line.contains(label)));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn retries_and_timeouts_are_counted_once_a_call() {
    let metrics = Metrics::new(&Options::default()).unwrap();
    let policy = Parts {
        timeout: Some(SECOND),
        ..retry(3)
    }
    .with(&metrics);
    let token = CancellationToken::new();
    answering(&policy, 200).await;
    for (policy, count) in [("retry", 1), ("timeout", 1)] {
        assert_eq!(series(&metrics, "count", policy, ""), count);
        assert_eq!(series(&metrics, "activations_total", policy, ""), 0);
    }
    policy
        .run(&CallCx::new(&token), |_| pending::<Result<(), Fault>>())
        .await
        .unwrap_err();
    for (policy, count) in [("retry", 2), ("timeout", 2)] {
        assert_eq!(series(&metrics, "count", policy, ""), count);
        assert_eq!(series(&metrics, "activations_total", policy, ""), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_breaker_is_counted_by_its_state() {
    let metrics = Metrics::new(&Options::default()).unwrap();
    let policy = Parts {
        breaker: Some(breaker(3)),
        ..Parts::default()
    }
    .with(&metrics);
    let states =
        || ["closed", "half-open", "open"].map(|status| series(&metrics, "cb_state", "circuitbreaker", status));
    let counts = || ["closed", "half-open", "open"].map(|status| series(&metrics, "count", "circuitbreaker", status));
    for _ in 0..4 {
        failing(&policy, 1, TRANSIENT).await.0.unwrap();
    }
    assert_eq!((counts(), states()), ([4, 0, 0], [1, 0, 0]));
    for _ in 0..4 {
        failing(&policy, 2, TRANSIENT).await.0.unwrap_err();
    }
    assert_eq!((counts(), states()), ([7, 0, 1], [0, 0, 1]));
    assert_eq!(series(&metrics, "activations_total", "circuitbreaker", "open"), 1);
    sleep(6 * SECOND).await;
    failing(&policy, 1, TRANSIENT).await.0.unwrap();
    assert_eq!((counts(), states()), ([7, 1, 1], [0, 1, 0]));
    failing(&policy, 1, TRANSIENT).await.0.unwrap();
    assert_eq!((counts(), states()), ([8, 1, 1], [1, 0, 0]));
}
