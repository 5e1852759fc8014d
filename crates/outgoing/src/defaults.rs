//! The names of policies that apply to targets which no resource names, most specific first.

use crate::target::Flow;
use component::Kind;

/// What a default policy can be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    App,
    Actor,
    Component(Kind, Flow),
}

/// The type of a component as names of policies and metrics have it; none for kinds that no policy is for.
pub(crate) const fn type_name(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::State => "Statestore",
        Kind::PubSub => "Pubsub",
        Kind::Binding => "Binding",
        Kind::SecretStore => "Secretstore",
        Kind::Configuration => "Configuration",
        Kind::Lock => "Lock",
        Kind::Crypto => "Crypto",
        Kind::Conversation => "Conversation",
        Kind::Middleware | Kind::NameResolution => return None,
    })
}

impl Subject {
    /// What stands between `Default` and `RetryPolicy` in the names to look for.
    fn keywords(self) -> Vec<String> {
        let specific = match self {
            Self::App => vec!["App".to_owned()],
            Self::Actor => vec!["Actor".to_owned()],
            Self::Component(kind, flow) => {
                let direction = match flow {
                    Flow::Inbound => "ComponentInbound",
                    Flow::Outbound => "ComponentOutbound",
                };
                let typed = type_name(kind).map(|name| format!("{name}{direction}"));
                typed
                    .into_iter()
                    .chain([direction.to_owned(), "Component".to_owned()])
                    .collect()
            }
        };
        specific.into_iter().chain([String::new()]).collect()
    }

    /// The first policy that `find` knows, by the names for policies of this sort (`Retry`, `Timeout`, `CircuitBreaker`).
    pub(crate) fn find<T>(self, sort: &str, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.keywords()
            .iter()
            .find_map(|keyword| find(&format!("Default{keyword}{sort}Policy")))
    }
}
