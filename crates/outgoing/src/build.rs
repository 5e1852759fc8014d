//! From resources to a plan of policies: merging, references, defaults, overrides.

use crate::{
    Backoff, Builtin, Exponential, LOG, Matching, ProcessRandom, Random, Retry, Trip,
    breaker::Settings,
    builtin::LEAST_RETRIES,
    defaults::{Subject, type_name},
    policies::{ComponentPlan, Plan},
    policy::Part,
    site::{Scope, Shared, Template},
    target::{Flow, Origin},
};
use component::Kind;
use resources::{Resiliency, resiliency as spec};
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};
use telemetry::metrics::Metrics;

/// What policies are made with.
pub struct Options {
    /// Where their numbers go.
    pub metrics: Metrics,
    /// Where jitter comes from.
    pub random: Arc<dyn Random>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            metrics: Metrics::disabled(),
            random: Arc::new(ProcessRandom),
        }
    }
}

/// Something odd in the resources, already in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The resource it is about.
    pub resource: String,
    /// What is odd.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A resource that could be read.
struct Source {
    origin: Arc<Origin>,
    policies: spec::Policies,
    breakers: Vec<(String, Arc<Settings>)>,
}

/// The policies of all resources by name; those of a later resource replace those of an earlier one.
#[derive(Default)]
struct Named {
    timeouts: HashMap<String, Part<Option<Duration>>>,
    retries: HashMap<String, Part<Arc<Retry>>>,
    breakers: HashMap<String, Part<Arc<Settings>>>,
}

#[derive(Default)]
struct Warnings(Vec<Warning>);

impl Warnings {
    fn add(&mut self, resource: &str, text: String) {
        tracing::warn!(target: LOG, "{text}");
        self.0.push(Warning {
            resource: resource.to_owned(),
            text,
        });
    }
}

/// Reads, merges and resolves.
pub(crate) fn plan(resources: &[Resiliency], options: Options) -> (Plan, Vec<Warning>) {
    let mut warnings = Warnings::default();
    let sources: Vec<_> = resources
        .iter()
        .filter_map(|resource| read(resource, &mut warnings))
        .collect();
    for source in &sources {
        options
            .metrics
            .resiliency_loaded(&source.origin.name, &source.origin.namespace);
    }
    let named = Named::merge(&sources, &mut warnings);
    let shared = Shared {
        random: options.random,
        metrics: options.metrics,
    };
    let mut plan = Plan {
        shared,
        apps: HashMap::new(),
        app_default: named.default_for(Subject::App),
        actors: HashMap::new(),
        actor_default: named.default_for(Subject::Actor),
        inbound: named.components(Flow::Inbound),
        outbound: named.components(Flow::Outbound),
        builtins: named.builtins(&mut warnings),
    };
    for source in &sources {
        named.resolve_targets(source, &mut plan, &mut warnings);
    }
    (plan, warnings.0)
}

/// The checked form of a resource; none if there is something wrong with it.
fn read(resource: &Resiliency, warnings: &mut Warnings) -> Option<Source> {
    let name = &resource.metadata.name;
    match try_read(resource) {
        Ok((policies, breakers)) => {
            let origin = Origin {
                name: name.clone(),
                namespace: resource.metadata.namespace.clone(),
            };
            Some(Source {
                origin: Arc::new(origin),
                policies,
                breakers,
            })
        }
        Err(reason) => {
            let text = format!("Could not read resiliency policy {name}: {reason}");
            tracing::error!(target: LOG, "{text}");
            warnings.0.push(Warning {
                resource: name.clone(),
                text,
            });
            None
        }
    }
}

type Breakers = Vec<(String, Arc<Settings>)>;

fn try_read(resource: &Resiliency) -> Result<(spec::Policies, Breakers), String> {
    let policies = spec::Policies::try_from(&resource.spec).map_err(|error| error.to_string())?;
    let breakers = policies
        .circuit_breakers
        .iter()
        .map(|(name, breaker)| match settings(name, breaker) {
            Ok(settings) => Ok((name.clone(), Arc::new(settings))),
            Err(error) => Err(format!("circuitBreakers.{name}.trip: {error}")),
        })
        .collect::<Result<_, _>>()?;
    Ok((policies, breakers))
}

fn settings(name: &str, breaker: &spec::CircuitBreaker) -> Result<Settings, crate::TripError> {
    Ok(Settings {
        name: name.to_owned(),
        max_requests: breaker.max_requests.max(1),
        interval: breaker.interval.to_std_or_zero(),
        timeout: breaker.timeout.to_std_or_zero(),
        trip: breaker
            .trip
            .as_deref()
            .map(Trip::parse)
            .transpose()?
            .unwrap_or_default(),
    })
}

fn retry(retry: &spec::Retry) -> Retry {
    let backoff = match retry.backoff {
        spec::Backoff::Constant { duration } => Backoff::Constant(duration.to_std_or_zero()),
        spec::Backoff::Exponential { max_interval } => Backoff::Exponential(Exponential {
            max_interval: max_interval.to_std_or_zero(),
            ..Default::default()
        }),
    };
    let matching = Matching {
        http: retry.matching.http.clone(),
        grpc: retry.matching.grpc.clone(),
    };
    Retry {
        backoff,
        max_retries: u64::try_from(retry.max_retries).ok(),
        matching,
    }
}

impl Named {
    fn merge(sources: &[Source], warnings: &mut Warnings) -> Self {
        let mut named = Self::default();
        for Source {
            origin,
            policies,
            breakers,
        } in sources
        {
            let mut merge = Merge { origin, warnings };
            for (name, timeout) in &policies.timeouts {
                merge.add(
                    &mut named.timeouts,
                    "timeout",
                    name,
                    timeout.and_then(|timeout| timeout.to_std()),
                );
            }
            for (name, policy) in &policies.retries {
                merge.add(&mut named.retries, "retry", name, Arc::new(retry(policy)));
            }
            for (name, settings) in breakers {
                merge.add(&mut named.breakers, "circuit breaker", name, settings.clone());
            }
        }
        named
    }

    /// The policies that apply to a subject which no resource names.
    fn default_for(&self, subject: Subject) -> Template {
        let timeout = subject.find("Timeout", |name| self.timeouts.get(name).cloned());
        Template {
            timeout: timeout.and_then(limit),
            retry: subject.find("Retry", |name| self.retries.get(name).cloned()),
            breaker: subject.find("CircuitBreaker", |name| self.breakers.get(name).cloned()),
            ..Template::default()
        }
    }

    fn components(&self, flow: Flow) -> ComponentPlan {
        let kinds = Kind::ALL.into_iter().filter(|kind| type_name(*kind).is_some());
        let defaults = kinds
            .map(|kind| (kind, self.default_for(Subject::Component(kind, flow))))
            .collect();
        ComponentPlan {
            named: HashMap::new(),
            defaults,
        }
    }

    fn builtins(&self, warnings: &mut Warnings) -> Vec<(Builtin, Template)> {
        let builtins = Builtin::ALL.into_iter().map(|builtin| {
            let value = Arc::new(self.builtin(builtin, warnings));
            (
                builtin,
                Template {
                    retry: Some(Part { value, origin: None }),
                    ..Template::default()
                },
            )
        });
        builtins.collect()
    }

    /// What resources make of a built-in policy. They can make it stronger, not weaker; that this also holds for retrying
    /// for ever (-1) is as in the original.
    fn builtin(&self, builtin: Builtin, warnings: &mut Warnings) -> Retry {
        let name = builtin.name();
        let Some(part) = self.retries.get(name) else {
            return builtin.retry();
        };
        let resource = part.origin.as_ref().map_or("", |origin| origin.name.as_str());
        if !builtin.overridable() {
            warnings.add(
                resource,
                format!("The retry policy {name} cannot be overridden; the built-in one stays"),
            );
            return builtin.retry();
        }
        let mut retry = Retry::clone(&part.value);
        if retry.max_retries.is_none_or(|max| max < LEAST_RETRIES) {
            let text =
                format!("The retry policy {name} has to allow {LEAST_RETRIES} retries at least; it gets that many");
            warnings.add(resource, text);
            retry.max_retries = Some(LEAST_RETRIES);
        }
        retry
    }

    fn resolve_targets(&self, source: &Source, plan: &mut Plan, warnings: &mut Warnings) {
        let mut resolve = Resolve {
            named: self,
            resource: &source.origin.name,
            warnings,
        };
        for (name, target) in &source.policies.apps {
            plan.apps
                .insert(name.clone(), resolve.breaker_target("apps", name, target));
        }
        for (name, target) in &source.policies.actors {
            plan.actors
                .insert(name.clone(), resolve.breaker_target("actors", name, target));
        }
        for (name, targets) in &source.policies.components {
            for (flow, target, plan) in [
                ("inbound", &targets.inbound, &mut plan.inbound),
                ("outbound", &targets.outbound, &mut plan.outbound),
            ] {
                // A direction that names nothing has the default policies.
                if *target != spec::Target::default() {
                    let template = resolve.target(&format!("components.{name}.{flow}"), target);
                    plan.named.insert(name.clone(), template);
                }
            }
        }
    }
}

/// A timeout that limits nothing is none.
fn limit(part: Part<Option<Duration>>) -> Option<Part<Duration>> {
    part.value.map(|value| Part {
        value,
        origin: part.origin,
    })
}

/// Takes in the policies of one resource.
struct Merge<'a> {
    origin: &'a Arc<Origin>,
    warnings: &'a mut Warnings,
}

impl Merge<'_> {
    fn add<T>(&mut self, all: &mut HashMap<String, Part<T>>, sort: &str, name: &str, value: T) {
        let part = Part {
            value,
            origin: Some(self.origin.clone()),
        };
        let Some(Part { origin: Some(old), .. }) = all.insert(name.to_owned(), part) else {
            return;
        };
        let text = format!(
            "The {sort} policy {name} of {} replaces that of {}",
            self.origin.name, old.name
        );
        self.warnings.add(&self.origin.name, text);
    }
}

/// Finds the policies that the targets of one resource name.
struct Resolve<'a> {
    named: &'a Named,
    resource: &'a str,
    warnings: &'a mut Warnings,
}

impl Resolve<'_> {
    fn breaker_target(&mut self, group: &str, name: &str, target: &spec::BreakerTarget) -> Template {
        let scope = match target.scope {
            spec::BreakerScope::Type => Scope::Type,
            spec::BreakerScope::Id => Scope::Id,
            spec::BreakerScope::Both => Scope::Both,
        };
        let template = self.target(&format!("{group}.{name}"), &target.policies);
        Template {
            scope,
            cache_size: Some(target.cache_size),
            ..template
        }
    }

    fn target(&mut self, path: &str, target: &spec::Target) -> Template {
        let named = self.named;
        Template {
            timeout: self
                .find(&named.timeouts, path, "timeout", &target.timeout)
                .and_then(limit),
            retry: self.find(&named.retries, path, "retry", &target.retry),
            breaker: self.find(&named.breakers, path, "circuitBreaker", &target.circuit_breaker),
            ..Template::default()
        }
    }

    fn find<T: Clone>(
        &mut self,
        all: &HashMap<String, T>,
        path: &str,
        field: &str,
        name: &Option<String>,
    ) -> Option<T> {
        let name = name.as_deref()?;
        let found = all.get(name).cloned();
        if found.is_none() {
            let text = format!(
                "Resiliency policy {}: targets.{path}.{field} names {name:?}, which no resource defines",
                self.resource
            );
            self.warnings.add(self.resource, text);
        }
        found
    }
}
