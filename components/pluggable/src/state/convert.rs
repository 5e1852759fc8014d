//! Requests and answers of a state store, from and to their messages.

use bytes::Bytes;
use component::{
    Metadata,
    state::{Concurrency, Consistency, Delete, Feature, Get, Item, Options, Set},
};
use wire::components::v1::{
    self as pb,
    state_options::{StateConcurrency, StateConsistency},
};

const FEATURES: [Feature; 7] = [
    Feature::Etag,
    Feature::Transactional,
    Feature::QueryApi,
    Feature::Ttl,
    Feature::DeleteWithPrefix,
    Feature::PartitionKey,
    Feature::KeysLike,
];

/// The feature of a name. Listing keys and deleting by prefix have no call that a pluggable component could serve.
pub(crate) fn feature(name: &str) -> Option<Feature> {
    FEATURES
        .into_iter()
        .filter(|feature| !matches!(feature, Feature::KeysLike | Feature::DeleteWithPrefix))
        .find(|feature| feature.name() == name)
}

fn consistency(consistency: Consistency) -> i32 {
    let consistency = match consistency {
        Consistency::Unspecified | Consistency::Unknown => StateConsistency::ConsistencyUnspecified,
        Consistency::Eventual => StateConsistency::ConsistencyEventual,
        Consistency::Strong => StateConsistency::ConsistencyStrong,
    };
    consistency.into()
}

fn options(options: Options) -> pb::StateOptions {
    let concurrency = match options.concurrency {
        Concurrency::Unspecified | Concurrency::Unknown => StateConcurrency::ConcurrencyUnspecified,
        Concurrency::FirstWrite => StateConcurrency::ConcurrencyFirstWrite,
        Concurrency::LastWrite => StateConcurrency::ConcurrencyLastWrite,
    };
    pb::StateOptions {
        concurrency: concurrency.into(),
        consistency: consistency(options.consistency),
    }
}

fn etag(etag: Option<String>) -> Option<pb::Etag> {
    etag.map(|value| pb::Etag { value })
}

/// A read of one key.
pub(crate) fn get(request: Get) -> pb::GetRequest {
    pb::GetRequest {
        key: request.key,
        metadata: request.metadata,
        consistency: consistency(request.consistency),
    }
}

/// A write of one key.
pub(crate) fn set(request: Set) -> pb::SetRequest {
    pb::SetRequest {
        key: request.key,
        value: request.value,
        etag: etag(request.etag),
        metadata: request.metadata,
        options: Some(options(request.options)),
        content_type: request.content_type.unwrap_or_default(),
    }
}

/// A deletion of one key.
pub(crate) fn delete(request: Delete) -> pb::DeleteRequest {
    pb::DeleteRequest {
        key: request.key,
        etag: etag(request.etag),
        metadata: request.metadata,
        options: Some(options(request.options)),
    }
}

/// What was found; an answer without value and entity tag means that nothing was.
pub(crate) fn item(data: Bytes, etag: Option<pb::Etag>, metadata: Metadata, content_type: String) -> Option<Item> {
    let etag = non_empty(etag.map(|etag| etag.value).unwrap_or_default());
    if data.is_empty() && etag.is_none() {
        return None;
    }
    Some(Item {
        data,
        etag,
        metadata,
        content_type: non_empty(content_type),
    })
}

/// A text, or nothing if it is empty.
pub(crate) fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
