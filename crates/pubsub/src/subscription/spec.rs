//! What a subscription is, wherever it comes from.

use crate::{content, subscription::routes::Routes};
use component::{Metadata, pubsub::BulkOptions};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use wire::runtime::v1::{PubsubSubscription, PubsubSubscriptionRule, PubsubSubscriptionRules, PubsubSubscriptionType};

/// Where a subscription comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A file.
    Declarative,
    /// The application's answer.
    Programmatic,
    /// A stream that the application holds open.
    Streaming,
}

/// A condition and a path; an empty condition always holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) condition: String,
    pub(crate) path: String,
}

/// How bulks of a subscription are made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bulk {
    pub(crate) max_messages: usize,
    pub(crate) max_wait: Duration,
}

impl Bulk {
    /// From the numbers of a subscription; what is not positive is the default.
    pub(crate) fn new(enabled: bool, max_messages: i32, max_wait_ms: i32) -> Option<Self> {
        let positive = |n: i32| u32::try_from(n).ok().filter(|n| *n > 0);
        enabled.then(|| Self {
            max_messages: positive(max_messages).map_or(100, |n| usize::try_from(n).unwrap_or(usize::MAX)),
            max_wait: Duration::from_millis(positive(max_wait_ms).map_or(1000, u64::from)),
        })
    }

    /// The same for a component.
    pub(crate) fn options(self) -> BulkOptions {
        BulkOptions {
            max_messages: self.max_messages,
            max_wait: self.max_wait,
        }
    }
}

/// The component and the topic of a subscription; there is at most one of files and the application for each.
pub(crate) type Key = (String, String);

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) pubsub: String,
    pub(crate) topic: String,
    pub(crate) metadata: BTreeMap<String, String>,
    /// The topic that takes what cannot be delivered; empty for none.
    pub(crate) dead_letter: String,
    /// Tried one after the other; a default is the last.
    pub(crate) rules: Vec<Rule>,
    pub(crate) bulk: Option<Bulk>,
}

impl Spec {
    pub(crate) fn key(&self) -> Key {
        (self.pubsub.clone(), self.topic.clone())
    }

    /// Its metadata as components take them.
    pub(crate) fn component_metadata(&self) -> Metadata {
        self.metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// Whether messages are taken as they are.
    pub(crate) fn is_raw(&self) -> bool {
        let text = self.metadata.get(content::RAW).map(String::as_str).unwrap_or_default();
        content::parse_bool(text).unwrap_or(false)
    }

    /// As the metadata API shows it.
    pub(crate) fn listed(&self) -> PubsubSubscription {
        let rules = self.rules.iter().map(|rule| PubsubSubscriptionRule {
            r#match: rule.condition.clone(),
            path: rule.path.clone(),
        });
        let kind = match self.kind {
            Kind::Declarative => PubsubSubscriptionType::Declarative,
            Kind::Programmatic => PubsubSubscriptionType::Programmatic,
            Kind::Streaming => PubsubSubscriptionType::Streaming,
        };
        PubsubSubscription {
            pubsub_name: self.pubsub.clone(),
            topic: self.topic.clone(),
            metadata: self.component_metadata(),
            rules: Some(PubsubSubscriptionRules { rules: rules.collect() }),
            dead_letter_topic: self.dead_letter.clone(),
            r#type: kind.into(),
        }
    }
}

/// A subscription with its conditions compiled.
#[derive(Clone)]
pub(crate) struct Compiled {
    pub(crate) spec: Arc<Spec>,
    pub(crate) routes: Arc<Routes>,
}

impl Compiled {
    /// Compiles the conditions. One that cannot be makes the subscription useless: the log says so.
    pub(crate) fn new(spec: Spec) -> Option<Self> {
        match Routes::compile(&spec.rules) {
            Ok(routes) => Some(Self {
                spec: Arc::new(spec),
                routes: Arc::new(routes),
            }),
            Err(why) => {
                let Spec { pubsub, topic, .. } = &spec;
                tracing::error!(target: super::LOG, "subscription to topic {topic} on pubsub {pubsub} is left out: {why}");
                None
            }
        }
    }
}

/// Declared and programmatic subscriptions as one list: of several declared for a topic the first counts, of several
/// programmatic the last, and programmatic ones take the place of declared ones.
pub(crate) fn merge(declared: &[Compiled], programmatic: &[Compiled]) -> Vec<Compiled> {
    let mut all: Vec<Compiled> = Vec::with_capacity(declared.len() + programmatic.len());
    let mut places = std::collections::HashMap::new();
    for one in declared.iter().chain(programmatic) {
        let Spec {
            kind, pubsub, topic, ..
        } = &*one.spec;
        match places.entry(one.spec.key()) {
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(all.len());
                all.push(one.clone());
            }
            std::collections::hash_map::Entry::Occupied(place) if *kind == Kind::Programmatic => {
                tracing::debug!(target: super::LOG, "the application's subscription to topic {topic} on pubsub {pubsub} replaces the one before");
                all[*place.get()] = one.clone();
            }
            std::collections::hash_map::Entry::Occupied(_) => {
                tracing::warn!(target: super::LOG, "subscription to topic {topic} on pubsub {pubsub} is declared more than once; the first counts");
            }
        }
    }
    all
}
