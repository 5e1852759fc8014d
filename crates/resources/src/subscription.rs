//! Subscriptions to topics: two forms in files, one here.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::meta::{Kind, ObjectMeta, Resource};

/// A subscription to a topic of a message broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Subscription {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// What is subscribed to, and where messages go.
    pub spec: SubscriptionSpec,
    /// The applications that see it; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// What is subscribed to, and where messages go (v2alpha1).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionSpec {
    /// The component.
    pub pubsubname: String,
    /// The topic.
    pub topic: String,
    /// Passed to the component.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub metadata: IndexMap<String, String>,
    /// Where messages go.
    pub routes: Routes,
    /// The topic that takes what cannot be delivered.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dead_letter_topic: String,
    /// Whether messages come in bulk.
    #[serde(skip_serializing_if = "BulkSubscribe::is_default")]
    pub bulk_subscribe: BulkSubscribe,
}

/// Where messages go: the first rule that matches, else the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Routes {
    /// Tried one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// The path for the rest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default: String,
}

/// A condition and a path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rule {
    /// An expression in CEL; empty matches everything.
    #[serde(rename = "match")]
    pub condition: String,
    /// The path of the application.
    pub path: String,
}

/// Delivery of several messages at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BulkSubscribe {
    /// Whether it is on.
    pub enabled: bool,
    /// At most so many messages; 0 leaves it to the component.
    pub max_messages_count: i32,
    /// At most so long a wait, in milliseconds; 0 leaves it to the component.
    pub max_await_duration_ms: i32,
}

impl BulkSubscribe {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The older form (v1alpha1), with one route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionV1 {
    /// Name, namespace, labels.
    pub metadata: ObjectMeta,
    /// What is subscribed to, and where messages go.
    pub spec: SubscriptionSpecV1,
    /// The applications that see it; empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// The older form of [`SubscriptionSpec`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubscriptionSpecV1 {
    /// The component.
    pub pubsubname: String,
    /// The topic.
    pub topic: String,
    /// Passed to the component.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub metadata: IndexMap<String, String>,
    /// Where messages go.
    pub route: String,
    /// Whether messages come in bulk.
    #[serde(skip_serializing_if = "BulkSubscribe::is_default")]
    pub bulk_subscribe: BulkSubscribe,
    /// The topic that takes what cannot be delivered.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dead_letter_topic: String,
}

impl From<SubscriptionV1> for Subscription {
    fn from(old: SubscriptionV1) -> Self {
        let spec = SubscriptionSpec {
            pubsubname: old.spec.pubsubname,
            topic: old.spec.topic,
            metadata: old.spec.metadata,
            routes: Routes {
                rules: Vec::new(),
                default: old.spec.route,
            },
            dead_letter_topic: old.spec.dead_letter_topic,
            bulk_subscribe: old.spec.bulk_subscribe,
        };
        Self {
            metadata: old.metadata,
            spec,
            scopes: old.scopes,
        }
    }
}

impl From<Subscription> for SubscriptionV1 {
    /// Rules are lost: the older form has only the default route.
    fn from(new: Subscription) -> Self {
        let spec = SubscriptionSpecV1 {
            pubsubname: new.spec.pubsubname,
            topic: new.spec.topic,
            metadata: new.spec.metadata,
            route: new.spec.routes.default,
            bulk_subscribe: new.spec.bulk_subscribe,
            dead_letter_topic: new.spec.dead_letter_topic,
        };
        Self {
            metadata: new.metadata,
            spec,
            scopes: new.scopes,
        }
    }
}

impl Resource for Subscription {
    const KIND: Kind = Kind::Subscription;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn scopes(&self) -> &[String] {
        &self.scopes
    }
}
