//! What can go wrong when a message is published.

use api::{Detail, errors};

/// Names and values of an error's information.
type Info = Vec<(String, String)>;

fn about(pubsub: &str, description: String) -> Detail {
    Detail::Resource {
        kind: "pubsub".into(),
        name: pubsub.into(),
        owner: String::new(),
        description,
    }
}

fn info(pairs: &[(&str, &str)]) -> Detail {
    let pairs = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Detail::Info(pairs.collect())
}

errors! { "pubsub";
    /// The request names no component.
    NameEmpty = "ERR_PUBSUB_EMPTY", reason "DAPR_PUBSUB_NAME_EMPTY", http 404, grpc InvalidArgument,
        "pubsub name is empty", with [about("", "pubsub name is empty".into())];
    /// No message broker of that name is loaded.
    NotFound { pubsub: String } = "ERR_PUBSUB_NOT_FOUND", reason "DAPR_PUBSUB_NOT_FOUND", http 404, grpc InvalidArgument,
        "pubsub {pubsub} is not found";
    /// The request names no topic.
    TopicEmpty { pubsub: String } = "ERR_TOPIC_NAME_EMPTY", reason "DAPR_PUBSUB_TOPIC_NAME_EMPTY", http 404, grpc InvalidArgument,
        "topic is empty in pubsub {pubsub}", with [about(pubsub, format!("topic is empty in pubsub {pubsub}"))];
    /// The component's scopes do not let the application publish to the topic.
    Forbidden { pubsub: String, topic: String, app: String } = "ERR_PUBSUB_FORBIDDEN", reason "DAPR_PUBSUB_FORBIDDEN", http 403, grpc PermissionDenied,
        "topic {topic} is not allowed for app id {app}",
        with [
            about(pubsub, format!("topic {topic} is not allowed for app id {app}")),
            info(&[("error", &format!("topic {topic} is not allowed for app id {app}")), ("topic", topic)]),
        ];
    /// The metadata of the request hold what cannot be read.
    Metadata { pubsub: String, why: String, metadata: Info } = "ERR_PUBSUB_REQUEST_METADATA", reason "DAPR_PUBSUB_METADATA_DESERIALIZATION", http 400, grpc InvalidArgument,
        "failed deserializing metadata. Error: {why}",
        with [about(pubsub, format!("failed deserializing metadata. Error: {why}")), Detail::Info(metadata.clone())];
    /// What is sent as a CloudEvent is none.
    CloudEvent { pubsub: String, app: String, why: String } = "ERR_PUBSUB_CLOUD_EVENTS_SER", reason "DAPR_PUBSUB_CLOUD_EVENT_CREATION", http 500, grpc InvalidArgument,
        "cannot create cloudevent",
        with [about(pubsub, "cannot create cloudevent".into()), info(&[("appID", app), ("error", why)])];
    /// The body of a bulk cannot be read.
    UnmarshalEvents { pubsub: String, topic: String, app: String, why: String } = "ERR_PUBSUB_EVENTS_SER", reason "DAPR_PUBSUB_UNMARSHAL_EVENTS", http 400, grpc InvalidArgument,
        "error when unmarshaling the request for topic {topic} pubsub {pubsub}: {why}",
        with [
            about(pubsub, format!("error when unmarshaling the request for topic {topic} pubsub {pubsub}: {why}")),
            info(&[("appID", app)]),
        ];
    /// An entry of a bulk cannot be used.
    MarshalEvents { pubsub: String, topic: String, app: String, why: String } = "ERR_PUBSUB_EVENTS_SER", reason "DAPR_PUBSUB_MARSHAL_EVENTS", http 400, grpc InvalidArgument,
        "error marshaling events to bytes for topic {topic} pubsub {pubsub}. error: {why}",
        with [
            about(pubsub, format!("error marshaling events to bytes for topic {topic} pubsub {pubsub}. error: {why}")),
            info(&[("appID", app), ("error", why)]),
        ];
    /// An entry of a bulk does not fit its content type.
    MarshalEnvelope { pubsub: String, topic: String, app: String, why: String } = "ERR_PUBSUB_EVENTS_SER", reason "DAPR_PUBSUB_MARSHAL_ENVELOPE", http 400, grpc InvalidArgument,
        "error when marshalling cloud event envelope for topic {topic} pubsub {pubsub}: {why}",
        with [
            about(pubsub, format!("error when marshalling cloud event envelope for topic {topic} pubsub {pubsub}: {why}")),
            info(&[("appID", app), ("error", why)]),
        ];
    /// The broker did not take the message.
    Publish { pubsub: String, topic: String, why: String } = "ERR_PUBSUB_PUBLISH_MESSAGE", reason "DAPR_PUBSUB_PUBLISH_MESSAGE", http 500, grpc Internal,
        "error when publishing to topic {topic} in pubsub {pubsub}: {why}",
        with [
            about(pubsub, format!("error when publishing to topic {topic} in pubsub {pubsub}: {why}")),
            info(&[("error", why), ("topic", topic)]),
        ];
    /// A request's body broke off or is too large.
    Body { why: String } = "ERR_BODY_READ", http 400, grpc InvalidArgument, "failed to read request body: {why}";
}
