use crate::{
    Builtin, CallCx, ComponentKind as Kind, Exponential, Options, Policies, Policy, Retry, Warning, breaker::State,
};
use component::ComponentError;
use resources::load::{Filter, parse_str};
use std::{cell::Cell, sync::Arc, time::Duration};
use telemetry::metrics::Metrics;
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

/// Policies from the `spec`s of resources that are called `one`, `two` …
fn build_with(specs: &[&str], options: Options) -> (Policies, Vec<Warning>) {
    let documents = ["one", "two", "three"].iter().zip(specs).map(|(name, spec)| {
        let spec = spec.replace('\n', "\n  ");
        format!("apiVersion: dapr.io/v1alpha1\nkind: Resiliency\nmetadata:\n  name: {name}\nspec:\n  {spec}\n")
    });
    let text = documents.collect::<Vec<_>>().join("---\n");
    let loaded = parse_str(&text, "test", &Filter::default());
    assert_eq!(loaded.resiliencies.len(), specs.len(), "{:?}", loaded.problems);
    Policies::build(&loaded.resiliencies, options)
}

fn build(specs: &[&str]) -> (Policies, Vec<String>) {
    let (policies, warnings) = build_with(specs, Options::default());
    (policies, warnings.iter().map(Warning::to_string).collect())
}

fn built(spec: &str) -> Policies {
    let (policies, warnings) = build(&[spec]);
    assert_eq!(warnings, [""; 0]);
    policies
}

fn retry(policy: &Policy) -> Option<Retry> {
    policy.retry().cloned()
}

async fn fail(policy: &Policy, times: u32) -> u32 {
    let (token, attempts) = (CancellationToken::new(), Cell::new(0));
    for _ in 0..times {
        let call = |_| {
            attempts.set(attempts.get() + 1);
            async { Err::<(), _>(ComponentError::transient("no")) }
        };
        policy.run(&CallCx::new(&token), call).await.unwrap_err();
    }
    attempts.get()
}

#[test]
fn without_resources_nothing_applies_but_the_built_in() {
    let policies = Policies::default();
    assert!(policies.app("a", "a:m").is_noop());
    assert!(policies.actor_pre_lock("t").is_noop() && policies.actor_post_lock("t", "1").is_noop());
    assert!(policies.component_outbound("s", Kind::State).is_noop());
    assert!(policies.component_inbound("p", Kind::PubSub).is_noop());
    let service = policies.builtin(Builtin::ServiceRetries);
    assert_eq!(retry(&service), Some(Retry::constant(SECOND, Some(3))));
    let init = Exponential {
        max_interval: SECOND,
        max_elapsed: Some(10 * SECOND),
        ..Exponential::default()
    };
    let expected = Retry::exponential(init, Some(3));
    assert_eq!(retry(&policies.builtin(Builtin::InitializationRetries)), Some(expected));
    let not_found = policies.builtin(Builtin::ActorNotFoundRetries);
    assert_eq!(retry(&not_found), Some(Retry::constant(SECOND, Some(5))));
}

#[test]
fn named_targets_have_what_they_name() {
    let policies = built(
        "policies:
  timeouts: {fast: 500ms, none: -1, millis: 250}
  retries:
    five: {policy: constant, duration: 10ms, maxRetries: 5}
    forever: {policy: exponential, maxInterval: 15s}
    plain: {}
targets:
  apps:
    a: {timeout: fast, retry: five}
    b: {timeout: none}
  actors:
    t: {timeout: millis, retry: plain}
  components:
    c:
      inbound: {retry: forever}
      outbound: {timeout: fast}",
    );
    let a = policies.app("a", "a:m");
    assert_eq!(
        (a.timeout(), retry(&a)),
        (Some(SECOND / 2), Some(Retry::constant(SECOND / 100, Some(5))))
    );
    assert!(policies.app("b", "b:m").is_noop() && policies.app("c", "c:m").is_noop());
    assert!(policies.names_app("a") && policies.names_app("b") && !policies.names_app("c"));
    let (before, after) = (policies.actor_pre_lock("t"), policies.actor_post_lock("t", "1"));
    assert_eq!(
        (before.timeout(), retry(&before)),
        (None, Some(Retry::constant(5 * SECOND, None)))
    );
    assert_eq!((after.timeout(), retry(&after)), (Some(SECOND / 4), None));
    let (inbound, outbound) = (
        policies.component_inbound("c", Kind::PubSub),
        policies.component_outbound("c", Kind::PubSub),
    );
    let expected = Exponential {
        max_interval: 15 * SECOND,
        ..Exponential::default()
    };
    assert_eq!(
        (inbound.timeout(), retry(&inbound)),
        (None, Some(Retry::exponential(expected, None)))
    );
    assert_eq!((outbound.timeout(), retry(&outbound)), (Some(SECOND / 2), None));
}

#[test]
fn defaults_apply_from_the_most_specific_name_on() {
    let policies = built(
        "policies:
  timeouts:
    DefaultTimeoutPolicy: 1s
    DefaultAppTimeoutPolicy: 2s
    DefaultComponentTimeoutPolicy: 3s
    DefaultComponentInboundTimeoutPolicy: 4s
    DefaultPubsubComponentInboundTimeoutPolicy: 5s
    DefaultStatestoreComponentOutboundTimeoutPolicy: 6s
    named: 7s
targets:
  apps:
    a: {timeout: named}
  components:
    c:
      outbound: {timeout: named}",
    );
    let secs = |policy: Policy| policy.timeout().map_or(0, |timeout| timeout.as_secs());
    assert_eq!(secs(policies.app("a", "m")), 7);
    assert_eq!(secs(policies.app("b", "m")), 2);
    assert_eq!(secs(policies.actor_post_lock("t", "1")), 1);
    assert_eq!(secs(policies.component_inbound("p", Kind::PubSub)), 5);
    assert_eq!(secs(policies.component_inbound("p", Kind::Binding)), 4);
    assert_eq!(secs(policies.component_outbound("p", Kind::PubSub)), 3);
    assert_eq!(secs(policies.component_outbound("s", Kind::State)), 6);
    assert_eq!(secs(policies.component_outbound("c", Kind::State)), 7);
    assert_eq!(secs(policies.component_inbound("c", Kind::PubSub)), 5);
    assert_eq!(secs(policies.component_outbound("m", Kind::Middleware)), 0);
}

#[test]
fn overrides_make_built_in_retries_stronger_only() {
    let (policies, warnings) = build(&["policies:
  retries:
    DaprBuiltInServiceRetries: {policy: constant, duration: 5s, maxRetries: 10}
    DaprBuiltInActorRetries: {policy: constant, duration: 2s, maxRetries: 1}
    DaprBuiltInInitializationRetries: {policy: exponential, maxRetries: -1}
    DaprBuiltInActorNotFoundRetries: {policy: constant, duration: 9s, maxRetries: 9}"]);
    let of = |builtin| retry(&policies.builtin(builtin)).unwrap();
    assert_eq!(of(Builtin::ServiceRetries), Retry::constant(5 * SECOND, Some(10)));
    assert_eq!(of(Builtin::ActorRetries), Retry::constant(2 * SECOND, Some(3)));
    assert_eq!(
        of(Builtin::InitializationRetries),
        Retry::exponential(Exponential::default(), Some(3))
    );
    assert_eq!(of(Builtin::ActorNotFoundRetries), Retry::constant(SECOND, Some(5)));
    assert_eq!(warnings.len(), 3, "{warnings:?}");
}

#[test]
fn resources_are_merged() {
    let (policies, warnings) = build(&[
        "policies:\n  timeouts: {general: 1s, other: 9s}\ntargets:\n  apps:\n    a: {timeout: general}\n    b: {timeout: other}",
        "policies:\n  timeouts: {general: 2s}\ntargets:\n  apps:\n    b: {timeout: general}",
    ]);
    assert_eq!(policies.app("a", "m").timeout(), Some(2 * SECOND));
    assert_eq!(policies.app("b", "m").timeout(), Some(2 * SECOND));
    assert_eq!(warnings, ["The timeout policy general of two replaces that of one"]);
}

#[test]
fn a_resource_that_cannot_be_read_is_left_out() {
    let good = "policies:\n  timeouts: {DefaultAppTimeoutPolicy: 1s}";
    for bad in [
        "policies:\n  retries:\n    r:\n      matching: {gRPCStatusCodes: 400}",
        "policies:\n  retries:\n    r:\n      matching: {httpStatusCodes: 11}",
        "policies:\n  retries:\n    r: {policy: sometimes}",
        "policies:\n  timeouts: {t: soon}",
        "policies:\n  circuitBreakers:\n    c: {trip: consecutiveFailures >}",
        "policies:\n  circuitBreakers:\n    c: {trip: failures > 3}",
    ] {
        let (policies, warnings) = build(&[bad, good]);
        assert_eq!(warnings.len(), 1, "{bad} {warnings:?}");
        assert!(
            warnings[0].starts_with("Could not read resiliency policy one: "),
            "{warnings:?}"
        );
        assert_eq!(policies.app("a", "m").timeout(), Some(SECOND));
    }
}

#[test]
fn a_name_that_nobody_defines_is_reported() {
    let (policies, warnings) = build(&["targets:\n  apps:\n    a: {retry: gone}"]);
    assert!(policies.app("a", "m").is_noop());
    assert!(
        warnings[0].contains(r#"targets.apps.a.retry names "gone""#),
        "{warnings:?}"
    );
}

const BREAKERS: &str = "policies:
  retries:
    DefaultActorRetryPolicy: {maxRetries: 0}
  circuitBreakers:
    quick: {maxRequests: 1, interval: 0, timeout: 5s, trip: consecutiveFailures >= 2}
    DefaultAppCircuitBreakerPolicy: {trip: consecutiveFailures >= 2}
targets:
  apps:
    a: {circuitBreaker: quick, circuitBreakerCacheSize: 10}
  actors:
    by-type: {circuitBreaker: quick, circuitBreakerScope: type}
    by-id: {circuitBreaker: quick, circuitBreakerScope: id, circuitBreakerCacheSize: 10}
    both: {circuitBreaker: quick, circuitBreakerScope: both}
  components:
    c:
      inbound: {circuitBreaker: quick}
      outbound: {circuitBreaker: quick}";

#[tokio::test(start_paused = true)]
async fn breakers_are_kept_by_endpoint() {
    let policies = built(BREAKERS);
    for app in ["a", "other"] {
        fail(&policies.app(app, "m1"), 2).await;
        assert_eq!(policies.app(app, "m1").breaker_state(), Some(State::Open));
        assert_eq!(policies.app(app, "m2").breaker_state(), Some(State::Closed));
    }
    assert_eq!(policies.app("third", "m1").breaker_state(), Some(State::Closed));
}

#[tokio::test(start_paused = true)]
async fn each_field_of_a_breaker_has_its_effect() {
    let policies = built(
        "policies:
  circuitBreakers:
    slow: {maxRequests: 2, interval: 8s, timeout: 45s, trip: totalFailures >= 2}
targets:
  apps:
    a: {circuitBreaker: slow}",
    );
    let policy = policies.app("a", "m");
    for _ in 0..2 {
        fail(&policy, 1).await;
        tokio::time::sleep(8 * SECOND).await;
    }
    assert_eq!(policy.breaker_state(), Some(State::Closed));
    fail(&policy, 2).await;
    tokio::time::sleep(44 * SECOND).await;
    assert_eq!(policy.breaker_state(), Some(State::Open));
    tokio::time::sleep(SECOND).await;
    let token = CancellationToken::new();
    for state in [State::HalfOpen, State::Closed] {
        let good = |_| async { Ok::<_, ComponentError>(()) };
        policy.run(&CallCx::new(&token), good).await.unwrap();
        assert_eq!(policy.breaker_state(), Some(state));
    }
}

#[tokio::test(start_paused = true)]
async fn breakers_of_components_are_kept_by_direction() {
    let policies = built(BREAKERS);
    fail(&policies.component_outbound("c", Kind::PubSub), 2).await;
    assert_eq!(
        policies.component_outbound("c", Kind::PubSub).breaker_state(),
        Some(State::Open)
    );
    assert_eq!(
        policies.component_inbound("c", Kind::PubSub).breaker_state(),
        Some(State::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn breakers_of_actors_have_a_scope() {
    let policies = built(BREAKERS);
    for (kind, before, after) in [("by-type", true, false), ("by-id", false, true), ("both", true, true)] {
        assert_eq!(policies.actor_pre_lock(kind).breaker_state().is_some(), before);
        assert_eq!(policies.actor_post_lock(kind, "1").breaker_state().is_some(), after);
        if after {
            fail(&policies.actor_post_lock(kind, "1"), 2).await;
            assert_eq!(policies.actor_post_lock(kind, "1").breaker_state(), Some(State::Open));
            assert_eq!(policies.actor_post_lock(kind, "2").breaker_state(), Some(State::Closed));
        }
    }
    assert!(!policies.actor_pre_lock("other").may_retry());
}

#[tokio::test(start_paused = true)]
async fn breakers_are_bounded_and_freed() {
    let policies = built(BREAKERS);
    let first = policies.app("a", "first");
    let weak = first.downgrade().unwrap();
    drop(first);
    assert!(weak.upgrade().is_some());
    for n in 0..1000 {
        policies.app("a", &n.to_string());
        policies.actor_post_lock("by-id", &n.to_string());
    }
    assert!(weak.upgrade().is_none());
}

#[test]
fn what_was_loaded_and_applied_is_counted() {
    let metrics = Metrics::new(&telemetry::metrics::Options::default()).unwrap();
    let options = Options {
        metrics: metrics.clone(),
        random: Arc::new(|| 0.5),
    };
    let spec = "policies:\n  retries:\n    r: {duration: 1ms, maxRetries: 1}\ntargets:\n  components:\n    c:\n      inbound: {retry: r}";
    let (policies, _) = build_with(&[spec, "policies:\n  timeouts: {t: soon}"], options);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let attempts = runtime.block_on(fail(&policies.component_inbound("c", Kind::PubSub), 1));
    assert_eq!(attempts, 2);
    runtime.block_on(fail(&policies.builtin(Builtin::ServiceRetries), 1));
    let text = metrics.render();
    let lines: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("dapr_resiliency_"))
        .collect();
    let labels = r#"{flow_direction="inbound",name="one",namespace="",policy="retry",status="",target="Pubsub_c"}"#;
    let expected = [
        format!("dapr_resiliency_activations_total{labels} 1"),
        format!("dapr_resiliency_count{labels} 1"),
        r#"dapr_resiliency_loaded{name="one",namespace=""} 1"#.to_owned(),
    ];
    assert_eq!(lines, expected);
}
