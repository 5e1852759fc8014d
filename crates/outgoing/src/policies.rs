//! All policies of a sidecar, by target.

use crate::{
    Builtin, Policy,
    build::{self, Options, Warning},
    cache::Cache,
    defaults::type_name,
    site::{Actor, App, Names, Shared, Template},
    target::Flow,
};
use component::Kind;
use std::{collections::HashMap, fmt, sync::Arc};

/// How many targets are remembered that no resource names.
const OTHER_TARGETS: usize = 1000;

/// The policies of a sidecar. Looking up one that does not apply allocates nothing.
pub struct Policies {
    shared: Shared,
    apps: Group<App>,
    actors: Group<Actor>,
    inbound: Components,
    outbound: Components,
    builtins: Vec<(Builtin, Policy)>,
}

/// Targets of one sort: those that resources name, and those that the default policies apply to.
struct Group<T> {
    named: HashMap<String, Arc<T>>,
    default: Template,
    others: Cache<Arc<T>>,
}

/// The components of one direction, by kind.
struct Components {
    flow: Flow,
    named: HashMap<String, Template>,
    kinds: Vec<(Kind, Template, Cache<Policy>)>,
}

/// What the resources say, before it is made into policies.
pub(crate) struct Plan {
    pub(crate) shared: Shared,
    pub(crate) apps: HashMap<String, Template>,
    pub(crate) app_default: Template,
    pub(crate) actors: HashMap<String, Template>,
    pub(crate) actor_default: Template,
    pub(crate) inbound: ComponentPlan,
    pub(crate) outbound: ComponentPlan,
    pub(crate) builtins: Vec<(Builtin, Template)>,
}

/// What the resources say of components in one direction.
pub(crate) struct ComponentPlan {
    pub(crate) named: HashMap<String, Template>,
    pub(crate) defaults: Vec<(Kind, Template)>,
}

impl Policies {
    /// Makes policies of what was loaded. A resource that cannot be read is left out, with an entry in the log; what is
    /// odd otherwise is logged and reported too.
    pub fn build(resources: &[resources::Resiliency], options: Options) -> (Self, Vec<Warning>) {
        let (plan, warnings) = build::plan(resources, options);
        (Self::new(plan), warnings)
    }

    fn new(plan: Plan) -> Self {
        let shared = plan.shared;
        let apps = Group::new(plan.apps, plan.app_default, |id, template| {
            App::new(id, template, &shared)
        });
        let actors = Group::new(plan.actors, plan.actor_default, |kind, template| {
            Actor::new(kind, template, &shared)
        });
        let builtins = plan.builtins.into_iter().map(|(builtin, template)| {
            let target = shared.target(Flow::Outbound, builtin.name().to_owned());
            let names = Names {
                operation: builtin.name().to_owned(),
                breaker: String::new(),
            };
            (builtin, template.policy(&shared, &target, names))
        });
        let builtins = builtins.collect();
        let inbound = Components::new(Flow::Inbound, plan.inbound);
        let outbound = Components::new(Flow::Outbound, plan.outbound);
        Self {
            shared,
            apps,
            actors,
            inbound,
            outbound,
            builtins,
        }
    }

    /// Whether a resource names policies for this application, so that the built-in retries do not apply to it.
    pub fn names_app(&self, app_id: &str) -> bool {
        self.apps.named.contains_key(app_id)
    }

    /// Whether a resource names policies for this type of actors, so that the built-in retries do not apply to it.
    pub fn names_actor(&self, actor_type: &str) -> bool {
        self.actors.named.contains_key(actor_type)
    }

    /// The policy of calls to an application; each endpoint key, `<app id>:<method>` by custom, has a circuit breaker of
    /// its own.
    pub fn app(&self, app_id: &str, endpoint: &str) -> Policy {
        let make = |template| App::new(app_id, template, &self.shared);
        self.apps
            .with(app_id, make, |app| app.policy(&self.shared, endpoint))
            .unwrap_or_default()
    }

    /// The policy of calls to an actor around the taking of its lock: retries and the circuit breaker of the type.
    pub fn actor_pre_lock(&self, actor_type: &str) -> Policy {
        let make = |template| Actor::new(actor_type, template, &self.shared);
        self.actors.with(actor_type, make, Actor::pre_lock).unwrap_or_default()
    }

    /// The policy of calls to an actor under its lock: the timeout and the circuit breaker of the actor.
    pub fn actor_post_lock(&self, actor_type: &str, actor_id: &str) -> Policy {
        let make = |template| Actor::new(actor_type, template, &self.shared);
        self.actors
            .with(actor_type, make, |actor| actor.post_lock(&self.shared, actor_id))
            .unwrap_or_default()
    }

    /// The policy of calls to a component.
    pub fn component_outbound(&self, name: &str, kind: Kind) -> Policy {
        self.outbound.policy(name, kind, &self.shared)
    }

    /// The policy of calls to the application that a component causes.
    pub fn component_inbound(&self, name: &str, kind: Kind) -> Policy {
        self.inbound.policy(name, kind, &self.shared)
    }

    /// A policy that is there without any resource. Nothing is counted for it.
    pub fn builtin(&self, builtin: Builtin) -> Policy {
        let found = self.builtins.iter().find(|(known, _)| *known == builtin);
        found.map(|(_, policy)| policy.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies").finish_non_exhaustive()
    }
}

impl Default for Policies {
    /// The built-in policies only.
    fn default() -> Self {
        Self::build(&[], Options::default()).0
    }
}

impl<T> Group<T> {
    fn new(named: HashMap<String, Template>, default: Template, make: impl Fn(&str, Template) -> T) -> Self {
        let named = named.into_iter().map(|(name, template)| {
            let site = Arc::new(make(&name, template));
            (name, site)
        });
        Self {
            named: named.collect(),
            default,
            others: Cache::new(OTHER_TARGETS),
        }
    }

    /// What `f` says of the target; none if nothing applies to it.
    fn with<R>(&self, name: &str, make: impl FnOnce(Template) -> T, f: impl FnOnce(&T) -> R) -> Option<R> {
        if let Some(site) = self.named.get(name) {
            return Some(f(site));
        }
        if self.default.is_empty() {
            return None;
        }
        let site = self
            .others
            .get_or_insert_with(name, || Arc::new(make(self.default.clone())));
        Some(f(&site))
    }
}

impl Components {
    fn new(flow: Flow, plan: ComponentPlan) -> Self {
        // So many that a component which a resource names is hardly ever forgotten.
        let capacity = OTHER_TARGETS + plan.named.len();
        let kinds = plan
            .defaults
            .into_iter()
            .map(|(kind, template)| (kind, template, Cache::new(capacity)));
        Self {
            flow,
            named: plan.named,
            kinds: kinds.collect(),
        }
    }

    fn names(&self, name: &str, template: &Template) -> Names {
        let direction = match self.flow {
            Flow::Inbound => "input",
            Flow::Outbound => "output",
        };
        let operation = format!("component[{name}] {direction}");
        Names {
            operation,
            breaker: format!("{}-{name}", template.breaker_name()),
        }
    }

    fn policy(&self, name: &str, kind: Kind, shared: &Shared) -> Policy {
        let Some((_, default, cache)) = self.kinds.iter().find(|(known, ..)| *known == kind) else {
            return Policy::default();
        };
        let template = self.named.get(name).unwrap_or(default);
        if template.is_empty() {
            return Policy::default();
        }
        cache.get_or_insert_with(name, || {
            let label = format!("{}_{name}", type_name(kind).unwrap_or_default());
            let target = shared.target(self.flow, label);
            template.policy(shared, &target, self.names(name, template))
        })
    }
}
