//! Retries that are there without any resource.

use crate::{Exponential, Retry};
use std::time::Duration;

/// The built-in retry policies. A resource overrides one by defining a retry policy of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// Calls to another sidecar that cannot be reached.
    ServiceRetries,
    /// Calls to an actor whose sidecar cannot be reached.
    ActorRetries,
    /// Storing a reminder.
    ActorReminderRetries,
    /// Asking the application for what it offers, while it starts.
    InitializationRetries,
    /// Calls to an actor that has no address yet; cannot be overridden.
    ActorNotFoundRetries,
}

impl Builtin {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::ServiceRetries,
        Self::ActorRetries,
        Self::ActorReminderRetries,
        Self::InitializationRetries,
        Self::ActorNotFoundRetries,
    ];

    /// The name, which is also that of the policy that overrides it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ServiceRetries => "DaprBuiltInServiceRetries",
            Self::ActorRetries => "DaprBuiltInActorRetries",
            Self::ActorReminderRetries => "DaprBuiltInActorReminderRetries",
            Self::InitializationRetries => "DaprBuiltInInitializationRetries",
            Self::ActorNotFoundRetries => "DaprBuiltInActorNotFoundRetries",
        }
    }

    /// The built-in of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|builtin| builtin.name() == name)
    }

    /// Whether a resource may put another policy in its place.
    pub const fn overridable(self) -> bool {
        !matches!(self, Self::ActorNotFoundRetries)
    }

    /// What it does unless it is overridden.
    pub fn retry(self) -> Retry {
        let second = Duration::from_secs(1);
        match self {
            Self::ServiceRetries | Self::ActorRetries => Retry::constant(second, Some(3)),
            Self::ActorReminderRetries => Retry::exponential(Exponential::default(), None),
            Self::InitializationRetries => {
                let max_elapsed = Some(Duration::from_secs(10));
                Retry::exponential(
                    Exponential {
                        max_interval: second,
                        max_elapsed,
                        ..Default::default()
                    },
                    Some(3),
                )
            }
            Self::ActorNotFoundRetries => Retry::constant(second, Some(5)),
        }
    }
}

/// An override repeats at least this often.
pub(crate) const LEAST_RETRIES: u64 = 3;
