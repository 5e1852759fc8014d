//! Writes of the wire as writes of a store.

use super::{Error, Store};
use api::{ApiError, Transport};
use bytes::Bytes;
use component::{
    ComponentError,
    state::{self as contract, Concurrency, Consistency},
};
use serde_json::value::RawValue;
use std::borrow::Cow;
use wire::common::v1::{
    Etag, StateItem, StateOptions,
    state_options::{StateConcurrency, StateConsistency},
};

/// The number that stands in a wire message for a word that is not one of Dapr's.
pub(super) const UNKNOWN_WORD: i32 = -1;

/// A write, and what the wire has no field for.
#[derive(Default)]
pub(super) struct Write {
    pub(super) item: StateItem,
    /// The content type that an HTTP caller gave besides the metadata.
    pub(super) content_type: Option<String>,
}

impl From<StateItem> for Write {
    fn from(item: StateItem) -> Self {
        Self {
            item,
            content_type: None,
        }
    }
}

/// The write of one key, with its value as it is stored. The key is whole.
pub(super) fn set(store: &Store<'_>, write: Write, transport: Transport) -> Result<contract::Set, ComponentError> {
    let Write { item, content_type } = write;
    Ok(contract::Set {
        key: item.key,
        value: store.seal(item.value)?,
        etag: etag(item.etag),
        metadata: item.metadata,
        options: options(item.options, transport),
        content_type,
    })
}

/// The deletion of one key.
pub(super) fn delete(store: &Store<'_>, item: StateItem, transport: Transport) -> Result<contract::Delete, ApiError> {
    Ok(contract::Delete {
        key: store.key(&item.key)?,
        etag: etag(item.etag),
        metadata: item.metadata,
        options: options(item.options, transport),
    })
}

/// The value of a gRPC caller who says in the metadata that it is JSON: it is checked, and stored without blanks.
pub(super) fn checked_json(store: &Store<'_>, item: &StateItem) -> Result<Option<Bytes>, Error> {
    let told = item.metadata.get("contentType").map(String::as_str);
    if told != Some("application/json") || store.encrypts() {
        return Ok(None);
    }
    let json = serde_json::from_slice::<&RawValue>(&item.value);
    let json = json.map_err(|e| Error::NotJson { why: e.to_string() })?;
    match crate::loose::compact(Some(json)) {
        Cow::Borrowed(text) if text.len() == item.value.len() => Ok(None),
        text => Ok(Some(Bytes::copy_from_slice(text.as_bytes()))),
    }
}

/// An empty entity tag is none.
pub(super) fn etag(etag: Option<Etag>) -> Option<String> {
    etag.map(|etag| etag.value).filter(|value| !value.is_empty())
}

/// Options of a write. Numbers that mean nothing are as good as none.
pub(super) fn options(options: Option<StateOptions>, transport: Transport) -> contract::Options {
    let options = options.unwrap_or_default();
    let concurrency = match StateConcurrency::try_from(options.concurrency) {
        Ok(StateConcurrency::ConcurrencyFirstWrite) => Concurrency::FirstWrite,
        Ok(StateConcurrency::ConcurrencyLastWrite) => Concurrency::LastWrite,
        Err(_) if is_word(options.concurrency, transport) => Concurrency::Unknown,
        _ => Concurrency::Unspecified,
    };
    contract::Options {
        concurrency,
        consistency: consistency(options.consistency, transport),
    }
}

/// How sure or fresh, by its number.
pub(super) fn consistency(number: i32, transport: Transport) -> Consistency {
    match StateConsistency::try_from(number) {
        Ok(StateConsistency::ConsistencyEventual) => Consistency::Eventual,
        Ok(StateConsistency::ConsistencyStrong) => Consistency::Strong,
        Err(_) if is_word(number, transport) => Consistency::Unknown,
        _ => Consistency::Unspecified,
    }
}

/// Whether a number stands for a word that is not one of Dapr's: only HTTP has words.
fn is_word(number: i32, transport: Transport) -> bool {
    number == UNKNOWN_WORD && transport == Transport::Http
}
