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

    /// Makes the policy, with a breaker of its own.
    pub(crate) fn policy(&self, shared: &Shared, target: &Arc<Target>, names: Names) -> Policy {
        if self.is_empty() {
            return Policy::default();
        }
        let now = Instant::now().into_std();
        let breaker = self.breaker.as_ref().map(
            |Part {
                 value: settings,
                 origin,
             }| Part {
                value: Arc::new(Breaker::new(names.breaker, settings.clone(), now)),
                origin: origin.clone(),
            },
        );
        Policy::new(Arc::new(Applied {
            timeout: self.timeout.clone(),
            retry: self.retry.clone(),
            breaker,
            target: target.clone(),
            operation: names.operation,
            random: shared.random.clone(),
        }))
    }

    /// What begins the names of breakers.
    pub(crate) fn breaker_name(&self) -> &str {
        self.breaker.as_ref().map_or("", |part| &part.value.name)
    }
}

/// What a policy is called in the log.
pub(crate) struct Names {
    /// What is called.
    pub(crate) operation: String,
    /// The circuit breaker.
    pub(crate) breaker: String,
}

/// How many breakers are kept for the endpoints of an application, unless the resource says otherwise.
const APP_BREAKERS: usize = 100;
/// How many breakers are kept for the actors of a type, unless the resource says otherwise.
const ACTOR_BREAKERS: usize = 5000;

/// A policy for all keys of a target, or one for each of those asked for lately.
enum ByKey {
    One(Policy),
    Many(Template, Cache<Policy>),
}

impl ByKey {
    /// `names` is for the policy that has no breaker, and so is one for all.
    fn new(template: Template, shared: &Shared, target: &Arc<Target>, names: Names, default_size: usize) -> Self {
        if template.breaker.is_none() {
            return Self::One(template.policy(shared, target, names));
        }
        let cache = Cache::new(template.cache_size.unwrap_or(default_size));
        Self::Many(template, cache)
    }

    fn get(&self, key: &str, make: impl FnOnce(&Template) -> Policy) -> Policy {
        match self {
            Self::One(policy) => policy.clone(),
            Self::Many(template, cache) => cache.get_or_insert_with(key, || make(template)),
        }
    }
}

/// An application that is called.
pub(crate) struct App {
    id: String,
    target: Arc<Target>,
    endpoints: ByKey,
}

impl App {
    pub(crate) fn new(id: &str, template: Template, shared: &Shared) -> Self {
        let target = shared.target(Flow::Outbound, format!("app_{id}"));
        let names = Names {
            operation: format!("endpoint[{id}]"),
            breaker: String::new(),
        };
        let endpoints = ByKey::new(template, shared, &target, names, APP_BREAKERS);
        Self {
            id: id.to_owned(),
            target,
            endpoints,
        }
    }

    pub(crate) fn policy(&self, shared: &Shared, endpoint: &str) -> Policy {
        self.endpoints.get(endpoint, |template| {
            let operation = format!("endpoint[{}, {endpoint}]", self.id);
            template.policy(
                shared,
                &self.target,
                Names {
                    operation,
                    breaker: endpoint.to_owned(),
                },
            )
        })
    }
}

/// A type of actors.
pub(crate) struct Actor {
    name: String,
    target: Arc<Target>,
    before: Policy,
    after: ByKey,
}

impl Actor {
    pub(crate) fn new(name: &str, template: Template, shared: &Shared) -> Self {
        let target = shared.target(Flow::Outbound, format!("actor_{name}"));
        let names = || Names {
            operation: format!("actor[{name}]"),
            breaker: format!("{}-{name}", template.breaker_name()),
        };
        let (outer, inner) = template.clone().split();
        let before = outer.policy(shared, &target, names());
        let after = ByKey::new(inner, shared, &target, names(), ACTOR_BREAKERS);
        Self {
            name: name.to_owned(),
            target,
            before,
            after,
        }
    }

    pub(crate) fn pre_lock(&self) -> Policy {
        self.before.clone()
    }

    pub(crate) fn post_lock(&self, shared: &Shared, id: &str) -> Policy {
        self.after.get(id, |template| {
            let operation = format!("actor[{}, {id}]", self.name);
            let breaker = format!("{}-{}-{id}", template.breaker_name(), self.name);
            template.policy(shared, &self.target, Names { operation, breaker })
        })
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
