//! Policies that were checked, with their defaults filled in.

use indexmap::IndexMap;

use super::codes::{CodesError, StatusCodes};
use super::{
    ActorTargetSpec, CircuitBreakerSpec, ComponentTargetSpec, PoliciesSpec, ResiliencySpec, RetrySpec, TargetSpec,
    TargetsSpec,
};
use crate::duration::{GoDuration, ParseDurationError};

/// Everything a resiliency resource says, checked. References to policies that are not defined are kept: see
/// [`Policies::undefined`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policies {
    /// Timeouts by name; none is no limit.
    pub timeouts: IndexMap<String, Option<GoDuration>>,
    /// Retry policies by name.
    pub retries: IndexMap<String, Retry>,
    /// Circuit breakers by name.
    pub circuit_breakers: IndexMap<String, CircuitBreaker>,
    /// Applications by id.
    pub apps: IndexMap<String, BreakerTarget>,
    /// Actors by type.
    pub actors: IndexMap<String, BreakerTarget>,
    /// Components by name.
    pub components: IndexMap<String, ComponentTargets>,
}

/// When and how often a call is made again.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// How long to wait between calls.
    pub backoff: Backoff,
    /// How often at most; -1 is for ever.
    pub max_retries: i64,
    /// Which failures are tried again.
    pub matching: Matching,
}

/// How long to wait between calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backoff {
    /// Always the same.
    Constant {
        /// The wait.
        duration: GoDuration,
    },
    /// Longer each time.
    Exponential {
        /// The longest wait.
        max_interval: GoDuration,
    },
}

/// Which failures are tried again: all of them unless codes are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// Of HTTP.
    pub http: Option<StatusCodes>,
    /// Of gRPC.
    pub grpc: Option<StatusCodes>,
}

/// When calls are no longer made.
#[derive(Clone, Debug, PartialEq)]
pub struct CircuitBreaker {
    /// How many calls are let through half open.
    pub max_requests: u32,
    /// How often counts are cleared while closed; zero is never.
    pub interval: GoDuration,
    /// How long it stays open.
    pub timeout: GoDuration,
    /// When it opens, in CEL; none is after more than five failures in a row.
    pub trip: Option<String>,
}

/// Names of policies; none where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// A timeout.
    pub timeout: Option<String>,
    /// A retry policy.
    pub retry: Option<String>,
    /// A circuit breaker.
    pub circuit_breaker: Option<String>,
}

/// The policies of an application or an actor type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakerTarget {
    /// Names of policies.
    pub policies: Target,
    /// What there is a breaker for; always [`BreakerScope::Id`] for applications.
    pub scope: BreakerScope,
    /// How many breakers are kept.
    pub cache_size: usize,
}

/// What there is a circuit breaker for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerScope {
    /// Each actor type.
    Type,
    /// Each actor (each endpoint of an application).
    Id,
    /// Both of them.
    Both,
}

/// The policies of a component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ComponentTargets {
    /// For what comes from the component.
    pub inbound: Target,
    /// For what goes to it.
    pub outbound: Target,
}

/// Why policies are no good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A duration cannot be read.
    #[error("{field}: {error}")]
    Duration {
        /// The path of the field.
        field: String,
        /// What is wrong.
        error: ParseDurationError,
    },
    /// A list of status codes cannot be read.
    #[error("{field}: {error}")]
    Codes {
        /// The path of the field.
        field: String,
        /// What is wrong.
        error: CodesError,
    },
    /// A retry policy of an unknown kind.
    #[error("retries.{name}.policy: {policy:?} is neither constant nor exponential")]
    Kind {
        /// The policy.
        name: String,
        /// Its kind as written.
        policy: String,
    },
    /// A circuit breaker of actors without a scope, or with an unknown one.
    #[error("actors.{name}.circuitBreakerScope: {scope:?} is none of type, id and both")]
    Scope {
        /// The actor type.
        name: String,
        /// The scope as written.
        scope: String,
    },
    /// A number that makes no sense.
    #[error("{field}: {value} is out of range")]
    Range {
        /// The path of the field.
        field: String,
        /// The number.
        value: i64,
    },
}

const DEFAULT_RETRY_DURATION: GoDuration = GoDuration::from_secs(5);
const DEFAULT_RETRY_MAX_INTERVAL: GoDuration = GoDuration::from_secs(60);
const DEFAULT_BREAKER_TIMEOUT: GoDuration = GoDuration::from_secs(60);
const DEFAULT_APP_CACHE_SIZE: usize = 100;
const DEFAULT_ACTOR_CACHE_SIZE: usize = 5000;

impl TryFrom<&ResiliencySpec> for Policies {
    type Error = PolicyError;

    fn try_from(spec: &ResiliencySpec) -> Result<Self, PolicyError> {
        let mut policies = Self::default();
        policies.read_policies(&spec.policies)?;
        policies.read_targets(&spec.targets)?;
        Ok(policies)
    }
}

impl Policies {
    fn read_policies(&mut self, spec: &PoliciesSpec) -> Result<(), PolicyError> {
        for (name, text) in &spec.timeouts {
            let timeout = duration(text, || format!("timeouts.{name}"))?;
            // Zero and less are no limit.
            let timeout = timeout.filter(|timeout| *timeout > GoDuration::ZERO);
            self.timeouts.insert(name.clone(), timeout);
        }
        for (name, retry) in &spec.retries {
            self.retries.insert(name.clone(), Retry::read(name, retry)?);
        }
        for (name, breaker) in &spec.circuit_breakers {
            self.circuit_breakers
                .insert(name.clone(), CircuitBreaker::read(name, breaker)?);
        }
        Ok(())
    }

    fn read_targets(&mut self, spec: &TargetsSpec) -> Result<(), PolicyError> {
        for (name, target) in &spec.apps {
            self.apps.insert(name.clone(), BreakerTarget::of_app(name, target)?);
        }
        for (name, target) in &spec.actors {
            self.actors.insert(name.clone(), BreakerTarget::of_actor(name, target)?);
        }
        for (name, targets) in &spec.components {
            let targets = ComponentTargets {
                inbound: Target::of_component(&targets.inbound),
                outbound: Target::of_component(&targets.outbound),
            };
            self.components.insert(name.clone(), targets);
        }
        Ok(())
    }

    /// The references to policies that are not defined here, as `targets.apps.a.retry: r`. They have no effect, unless
    /// another resource or the built-in ones define them.
    pub fn undefined(&self) -> Vec<String> {
        let mut found = Vec::new();
        let breaker_targets = [("apps", &self.apps), ("actors", &self.actors)];
        for (group, targets) in breaker_targets {
            for (name, target) in targets {
                self.note_undefined(&format!("targets.{group}.{name}"), &target.policies, &mut found);
            }
        }
        for (name, targets) in &self.components {
            self.note_undefined(
                &format!("targets.components.{name}.inbound"),
                &targets.inbound,
                &mut found,
            );
            self.note_undefined(
                &format!("targets.components.{name}.outbound"),
                &targets.outbound,
                &mut found,
            );
        }
        found
    }

    fn note_undefined(&self, path: &str, target: &Target, found: &mut Vec<String>) {
        let mut note = |field: &str, name: &Option<String>, is_defined: &dyn Fn(&str) -> bool| {
            if let Some(name) = name.as_deref().filter(|name| !is_defined(name)) {
                found.push(format!("{path}.{field}: {name}"));
            }
        };
        note("timeout", &target.timeout, &|name| self.timeouts.contains_key(name));
        note("retry", &target.retry, &|name| self.retries.contains_key(name));
        note("circuitBreaker", &target.circuit_breaker, &|name| {
            self.circuit_breakers.contains_key(name)
        });
    }
}

impl Retry {
    fn read(name: &str, spec: &RetrySpec) -> Result<Self, PolicyError> {
        let wait = |text: &str, field: &str, default| {
            duration(text, || format!("retries.{name}.{field}")).map(|d| d.unwrap_or(default))
        };
        let constant = wait(&spec.duration, "duration", DEFAULT_RETRY_DURATION)?;
        let max_interval = wait(&spec.max_interval, "maxInterval", DEFAULT_RETRY_MAX_INTERVAL)?;
        let backoff = match spec.policy.to_ascii_lowercase().as_str() {
            "" | "constant" => Backoff::Constant { duration: constant },
            "exponential" => Backoff::Exponential { max_interval },
            _ => {
                return Err(PolicyError::Kind {
                    name: name.to_owned(),
                    policy: spec.policy.clone(),
                });
            }
        };
        let matching = spec.matching.clone().unwrap_or_default();
        let codes = |field: &str, result: Result<Option<StatusCodes>, CodesError>| {
            result.map_err(|error| PolicyError::Codes {
                field: format!("retries.{name}.matching.{field}"),
                error,
            })
        };
        Ok(Self {
            backoff,
            max_retries: spec.max_retries.map_or(-1, |n| n.max(-1)),
            matching: Matching {
                http: codes("httpStatusCodes", StatusCodes::parse_http(&matching.http_status_codes))?,
                grpc: codes("gRPCStatusCodes", StatusCodes::parse_grpc(&matching.grpc_status_codes))?,
            },
        })
    }
}

impl CircuitBreaker {
    fn read(name: &str, spec: &CircuitBreakerSpec) -> Result<Self, PolicyError> {
        let wait = |text: &str, field: &str| duration(text, || format!("circuitBreakers.{name}.{field}"));
        let max_requests = spec.max_requests.unwrap_or(1);
        let out_of_range = || PolicyError::Range {
            field: format!("circuitBreakers.{name}.maxRequests"),
            value: max_requests,
        };
        Ok(Self {
            max_requests: u32::try_from(max_requests).map_err(|_| out_of_range())?.max(1),
            interval: wait(&spec.interval, "interval")?.unwrap_or(GoDuration::ZERO),
            timeout: wait(&spec.timeout, "timeout")?
                .filter(|d| *d > GoDuration::ZERO)
                .unwrap_or(DEFAULT_BREAKER_TIMEOUT),
            trip: named(&spec.trip),
        })
    }
}

impl BreakerTarget {
    fn of_app(name: &str, spec: &TargetSpec) -> Result<Self, PolicyError> {
        let policies = Target {
            timeout: named(&spec.timeout),
            retry: named(&spec.retry),
            circuit_breaker: named(&spec.circuit_breaker),
        };
        let size = spec.circuit_breaker_cache_size;
        let cache_size = cache_size(size, DEFAULT_APP_CACHE_SIZE, || {
            format!("apps.{name}.circuitBreakerCacheSize")
        })?;
        Ok(Self {
            policies,
            scope: BreakerScope::Id,
            cache_size,
        })
    }

    fn of_actor(name: &str, spec: &ActorTargetSpec) -> Result<Self, PolicyError> {
        let policies = Target {
            timeout: named(&spec.timeout),
            retry: named(&spec.retry),
            circuit_breaker: named(&spec.circuit_breaker),
        };
        let scope = match spec.circuit_breaker_scope.to_ascii_lowercase().as_str() {
            "type" => BreakerScope::Type,
            "id" => BreakerScope::Id,
            "both" => BreakerScope::Both,
            // Without a breaker nobody asks for the scope.
            "" if policies.circuit_breaker.is_none() => BreakerScope::Type,
            _ => {
                let scope = spec.circuit_breaker_scope.clone();
                return Err(PolicyError::Scope {
                    name: name.to_owned(),
                    scope,
                });
            }
        };
        let size = spec.circuit_breaker_cache_size;
        let cache_size = cache_size(size, DEFAULT_ACTOR_CACHE_SIZE, || {
            format!("actors.{name}.circuitBreakerCacheSize")
        })?;
        Ok(Self {
            policies,
            scope,
            cache_size,
        })
    }
}

impl Target {
    fn of_component(spec: &ComponentTargetSpec) -> Self {
        Self {
            timeout: named(&spec.timeout),
            retry: named(&spec.retry),
            circuit_breaker: named(&spec.circuit_breaker),
        }
    }
}

fn named(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn duration(text: &str, field: impl Fn() -> String) -> Result<Option<GoDuration>, PolicyError> {
    GoDuration::parse_or_millis(text).map_err(|error| PolicyError::Duration { field: field(), error })
}

fn cache_size(size: Option<i64>, default: usize, field: impl Fn() -> String) -> Result<usize, PolicyError> {
    match size {
        None | Some(0) => Ok(default),
        Some(value) => usize::try_from(value).map_err(|_| PolicyError::Range { field: field(), value }),
    }
}
