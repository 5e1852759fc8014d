//! Which topics of a component the application may use, and under which names.

use component::{
    Properties,
    pubsub::{Feature, PubSub},
};
use runtime::{Info, Loaded};
use std::{borrow::Cow, sync::Arc};

/// A component as a subscription or a request finds it.
pub(crate) type Component = Arc<Loaded<dyn PubSub>>;

/// What a component's metadata say to the sidecar, worked out once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// The topics that the application may publish to, if it is limited.
    publish: Option<Vec<String>>,
    /// The topics that the application may subscribe to, if it is limited.
    subscribe: Option<Vec<String>>,
    /// The only topics there are; empty for any.
    allowed: Vec<String>,
    /// Topics for those only whom a scope names.
    protected: Vec<String>,
    /// What stands before the names of topics in the broker.
    prefix: String,
    /// Whether messages expire in the broker.
    pub(crate) expires: bool,
    /// Whether received messages are to be handed over at once, even in bulk.
    pub(crate) immediate: bool,
}

impl Access {
    /// What the metadata of a loaded component say.
    pub(crate) fn of<'a>(component: &'a Loaded<dyn PubSub>, info: &Info) -> Cow<'a, Self> {
        let make = |properties: &Properties| {
            let features = component.instance.features();
            Self {
                expires: features.contains(&Feature::MessageTtl),
                immediate: features.contains(&Feature::BulkSubscribeImmediate),
                ..Self::new(properties, info)
            }
        };
        component
            .derived(make)
            .map_or_else(|| Cow::Owned(make(&component.properties)), Cow::Borrowed)
    }

    fn new(properties: &Properties, info: &Info) -> Self {
        let list = |name| topics(properties.get(name).unwrap_or_default());
        let scope = |name| scope(properties.get(name).unwrap_or_default(), &info.app_id);
        // `{namespace}` in the consumer's name has become this: the namespaces share the broker, not the topics.
        let namespaced = format!("{}.{}", info.namespace, info.app_id);
        let is_namespaced = ["consumerID", "clientID"]
            .iter()
            .any(|name| properties.get(name).is_some_and(|value| value.contains(&namespaced)));
        Self {
            publish: scope("publishingScopes"),
            subscribe: scope("subscriptionScopes"),
            allowed: list("allowedTopics"),
            protected: list("protectedTopics"),
            prefix: if is_namespaced {
                info.namespace.clone()
            } else {
                String::new()
            },
            expires: false,
            immediate: false,
        }
    }

    /// Whether the application may publish to a topic.
    pub(crate) fn may_publish(&self, topic: &str) -> bool {
        self.permits(self.publish.as_deref(), topic)
    }

    /// Whether the application may subscribe to a topic.
    pub(crate) fn may_subscribe(&self, topic: &str) -> bool {
        self.permits(self.subscribe.as_deref(), topic)
    }

    fn permits(&self, scope: Option<&[String]>, topic: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|own| own == topic);
        let exists = self.allowed.is_empty() || named(&self.allowed);
        exists && scope.map_or_else(|| !named(&self.protected), named)
    }

    /// A topic's name in the broker.
    pub(crate) fn broker_topic(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// A topic's name as applications know it.
    pub(crate) fn app_topic<'t>(&self, topic: &'t str) -> &'t str {
        topic.strip_prefix(self.prefix.as_str()).unwrap_or(topic)
    }
}

/// Topics separated by commas.
fn topics(text: &str) -> Vec<String> {
    text.split(',')
        .map(str::trim)
        .filter(|topic| !topic.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The topics of an application in `app1=topic1,topic2;app2=`; none if it is not limited.
fn scope(text: &str, app_id: &str) -> Option<Vec<String>> {
    let scopes = text.split(';').filter_map(|scope| scope.split_once('='));
    let mut own = scopes.filter(|(app, _)| app.trim() == app_id).peekable();
    own.peek()?;
    Some(own.flat_map(|(_, list)| topics(list)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(pairs: &[(&str, &str)], app_id: &str) -> Access {
        let info = Info {
            app_id: app_id.into(),
            namespace: "ns".into(),
            ..Info::default()
        };
        Access::new(&pairs.iter().copied().collect(), &info)
    }

    #[test]
    fn scopes_limit_those_they_name() {
        let scopes = [("publishingScopes", "app1=a, b;app2=;app3=c")];
        for (app, topic, may) in [
            ("app1", "a", true),
            ("app1", "b", true),
            ("app1", "c", false),
            ("app2", "a", false),
            ("app3", "c", true),
            ("other", "z", true),
        ] {
            assert_eq!(access(&scopes, app).may_publish(topic), may, "{app} {topic}");
            assert!(access(&scopes, app).may_subscribe(topic));
        }
    }

    #[test]
    fn allowed_and_protected_topics() {
        let allowed = access(&[("allowedTopics", "a,b")], "app");
        assert!(allowed.may_publish("a") && !allowed.may_publish("c") && !allowed.may_subscribe("c"));
        let protected = [("protectedTopics", "a"), ("subscriptionScopes", "app=a")];
        let access = access(&protected, "app");
        assert!(access.may_subscribe("a") && !access.may_publish("a") && access.may_publish("b"));
        assert!(!access.may_subscribe("b"));
    }

    #[test]
    fn namespaced_consumers_have_topics_of_their_own() {
        let own = access(&[("consumerID", "ns.app")], "app");
        assert_eq!(own.broker_topic("t"), "nst");
        assert_eq!(own.app_topic("nst"), "t");
        let shared = access(&[("consumerID", "app")], "app");
        assert_eq!(shared.broker_topic("t"), "t");
    }
}
