//! Subscriptions from files.

use super::{
    routes::Routes,
    spec::{Bulk, Compiled, Kind, Rule, Spec},
};
use resources::Subscription;
use std::sync::Arc;

/// A declared subscription, with the resource that it comes from.
#[derive(Clone)]
pub(crate) struct Declared {
    resource: Arc<Subscription>,
    pub(crate) compiled: Option<Compiled>,
}

impl Declared {
    fn new(resource: &Arc<Subscription>) -> Self {
        Self {
            compiled: Compiled::new(spec(resource)),
            resource: resource.clone(),
        }
    }
}

/// The subscriptions of a new set of resources. What has not changed keeps its place, what is new or changed comes last.
pub(crate) fn update(old: &[Declared], resources: &[Arc<Subscription>]) -> Vec<Declared> {
    let mut left: Vec<&Arc<Subscription>> = resources.iter().collect();
    let kept = old.iter().filter(|declared| {
        let same = left.iter().position(|resource| **resource == declared.resource);
        same.map(|at| left.remove(at)).is_some()
    });
    let mut all: Vec<Declared> = kept.cloned().collect();
    all.extend(left.into_iter().map(Declared::new));
    all
}

/// What is wrong with the conditions of a declared subscription, for when it is loaded.
pub fn check(resource: &Subscription) -> Result<(), String> {
    Routes::compile(&spec(resource).rules).map(drop)
}

fn spec(resource: &Subscription) -> Spec {
    let from = &resource.spec;
    let mut rules: Vec<Rule> = from
        .routes
        .rules
        .iter()
        .map(|rule| Rule {
            condition: rule.condition.clone(),
            path: rule.path.clone(),
        })
        .collect();
    if !from.routes.default.is_empty() {
        rules.push(Rule {
            condition: String::new(),
            path: from.routes.default.clone(),
        });
    }
    let bulk = &from.bulk_subscribe;
    Spec {
        kind: Kind::Declarative,
        pubsub: from.pubsubname.clone(),
        topic: from.topic.clone(),
        metadata: from.metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        dead_letter: from.dead_letter_topic.clone(),
        rules,
        bulk: Bulk::new(bulk.enabled, bulk.max_messages_count, bulk.max_await_duration_ms),
    }
}
