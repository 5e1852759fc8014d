//! What applies to one target, and the circuit breakers of its endpoints.

use crate::{
    Policy, Random, Retry,
    breaker::{Breaker, Settings},
    cache::Cache,
    policy::{Applied, Part},
    target::{Flow, Target},
};
use std::{sync::Arc, time::Duration};
use telemetry::metrics::Metrics;
use tokio::time::Instant;

/// What an actor's circuit breaker watches over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Scope {
    /// All actors of the type together.
    #[default]
    Type,
    /// Each actor.
    Id,
    /// Both.
    Both,
}

impl Scope {
    fn has_type(self) -> bool {
        self != Self::Id
    }

    fn has_id(self) -> bool {
        self != Self::Type
    }
}

/// The policies that a target names.
#[derive(Clone, Default)]
pub(crate) struct Template {
    pub(crate) timeout: Option<Part<Duration>>,
    pub(crate) retry: Option<Part<Arc<Retry>>>,
    pub(crate) breaker: Option<Part<Arc<Settings>>>,
    pub(crate) scope: Scope,
    /// How many breakers are kept for the target's endpoints or actors.
    pub(crate) cache_size: Option<usize>,
}

/// What all policies of a sidecar share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) random: Arc<dyn Random>,
    pub(crate) metrics: Metrics,
}

impl Shared {
    pub(crate) fn target(&self, flow: Flow, label: String) -> Arc<Target> {
        Arc::new(Target::new(flow, label, self.metrics.clone()))
    }
}

impl Template {
    pub(crate) fn is_empty(&self) -> bool {
        self.timeout.is_none() && self.retry.is_none() && self.breaker.is_none()
    }

    /// Makes the policy, with a breaker of its own; `breaker` is that one's name in the log.
    pub(crate) fn policy(&self, shared: &Shared, target: &Arc<Target>, breaker: &str) -> Policy {
        if self.is_empty() {
            return Policy::default();
        }
        let open = |settings: &Arc<Settings>| {
            Arc::new(Breaker::new(
                breaker.to_owned(),
                settings.clone(),
                Instant::now().into_std(),
            ))
        };
        let breaker = self.breaker.as_ref().map(|part| Part {
            value: open(&part.value),
            origin: part.origin.clone(),
        });
        Policy::new(Arc::new(Applied {
            timeout: self.timeout.clone(),
            retry: self.retry.clone(),
            breaker,
            target: target.clone(),
            random: shared.random.clone(),
        }))
    }
}

/// How many breakers are kept for the endpoints of an application, unless the resource says otherwise.
const APP_BREAKERS: usize = 100;
/// How many breakers are kept for the actors of a type, unless the resource says otherwise.
const ACTOR_BREAKERS: usize = 5000;

/// A policy for all keys of a target, or one for each of those asked for lately.
enum ByKey {
    One(Policy),
    Many {
        template: Template,
        target: Arc<Target>,
        cache: Cache<Policy>,
    },
}

impl ByKey {
    fn new(template: Template, shared: &Shared, target: Arc<Target>, default_size: usize) -> Self {
        if template.breaker.is_none() {
            return Self::One(template.policy(shared, &target, ""));
        }
        let cache = Cache::new(template.cache_size.unwrap_or(default_size));
        Self::Many {
            template,
            target,
            cache,
        }
    }

    fn get(&self, shared: &Shared, key: &str) -> Policy {
        match self {
            Self::One(policy) => policy.clone(),
            Self::Many {
                template,
                target,
                cache,
            } => cache.get_or_insert_with(key, || {
                template.policy(shared, target, &format!("{}-{key}", target.label()))
            }),
        }
    }
}

/// An application that is called.
pub(crate) struct App(ByKey);

impl App {
    pub(crate) fn new(id: &str, template: Template, shared: &Shared) -> Self {
        let target = shared.target(Flow::Outbound, format!("app_{id}"));
        Self(ByKey::new(template, shared, target, APP_BREAKERS))
    }

    pub(crate) fn policy(&self, shared: &Shared, endpoint: &str) -> Policy {
        self.0.get(shared, endpoint)
    }
}

/// A type of actors.
pub(crate) struct Actor {
    before: Policy,
    after: ByKey,
}

impl Actor {
    pub(crate) fn new(kind: &str, template: Template, shared: &Shared) -> Self {
        let target = shared.target(Flow::Outbound, format!("actor_{kind}"));
        let (outer, inner) = template.split();
        let before = outer.policy(shared, &target, target.label());
        Self {
            before,
            after: ByKey::new(inner, shared, target, ACTOR_BREAKERS),
        }
    }

    pub(crate) fn pre_lock(&self) -> Policy {
        self.before.clone()
    }

    pub(crate) fn post_lock(&self, shared: &Shared, id: &str) -> Policy {
        self.after.get(shared, id)
    }
}

impl Template {
    /// What applies before the lock of an actor is taken (retries, the type's breaker: waiting for a repetition must not
    /// hold the lock), and what applies under it (the timeout, which must not count waiting for the lock, and the actor's
    /// breaker).
    fn split(self) -> (Self, Self) {
        let (scope, cache_size) = (self.scope, self.cache_size);
        let breaker_if = |wanted: bool| self.breaker.clone().filter(|_| wanted);
        let outer = Self {
            timeout: None,
            retry: self.retry,
            breaker: breaker_if(scope.has_type()),
            scope,
            cache_size,
        };
        let inner = Self {
            timeout: self.timeout,
            retry: None,
            breaker: breaker_if(scope.has_id()),
            scope,
            cache_size,
        };
        (outer, inner)
    }
}
