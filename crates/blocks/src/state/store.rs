//! A state store as the block sees it: its keys have a prefix, its values may be encrypted.

use super::{
    encryption::Keys,
    error::{self, Error},
};
use api::{ApiError, Cx};
use bytes::Bytes;
use component::{ComponentError, Properties, state::StateStore};
use runtime::{Info, Loaded};
use std::{borrow::Cow, sync::Arc};

/// What separates a prefix from its key.
const SEPARATOR: &str = "||";

/// What the block derives from a store's metadata.
pub(super) struct Derived {
    /// What stands before each key, with its separator.
    prefix: Result<String, String>,
    keys: Result<Option<Keys>, String>,
}

impl Derived {
    fn new(properties: &Properties, store: &str, info: &Info) -> Self {
        Self {
            prefix: prefix(properties, store, info),
            keys: Keys::of(properties),
        }
    }
}

/// What stands before the keys of a store, by its metadata's `keyPrefix`.
fn prefix(properties: &Properties, store: &str, info: &Info) -> Result<String, String> {
    let word = properties.get("keyPrefix").unwrap_or_default().to_lowercase();
    let prefix = match word.trim() {
        "none" => return Ok(String::new()),
        "name" => store,
        "" | "appid" => &info.app_id,
        "namespace" if info.namespace_set => &format!("{}.{}", info.namespace, info.app_id),
        "namespace" => &info.app_id,
        other => other,
    };
    if prefix.contains(SEPARATOR) {
        return Err(format!("input key/keyPrefix '{prefix}' can't contain '||'"));
    }
    Ok(format!("{prefix}{SEPARATOR}"))
}

/// A store that a request names.
pub(super) struct Store<'a> {
    pub(super) name: &'a str,
    pub(super) instance: &'a Arc<dyn StateStore>,
    prefix: &'a str,
    keys: Option<&'a Keys>,
}

impl<'a> Store<'a> {
    /// The store of a name.
    pub(super) fn find(cx: &'a Cx, name: &str) -> Result<Self, ApiError> {
        let stores = &cx.snapshot.state;
        let Some(loaded) = stores.get(name) else {
            let (store, info) = (name.to_owned(), error::whose(cx));
            return Err(match stores.is_empty() {
                true => Error::NotConfigured { store, info }.into(),
                false => Error::NotFound { store, info }.into(),
            });
        };
        Self::of(loaded, cx.info()).map_err(|why| ApiError::from(api::error::Error::Internal { why }))
    }

    fn of(loaded: &'a Arc<Loaded<dyn StateStore>>, info: &Info) -> Result<Self, String> {
        let derived = loaded.derived(|properties| Derived::new(properties, &loaded.name, info));
        let Some(derived) = derived else {
            return Err(format!(
                "state store {} is in use by another part of the sidecar",
                loaded.name
            ));
        };
        let in_store = |why: &String| format!("state store {}: {why}", loaded.name);
        Ok(Self {
            name: &loaded.name,
            instance: &loaded.instance,
            prefix: derived.prefix.as_deref().map_err(in_store)?,
            keys: derived.keys.as_ref().map_err(in_store)?.as_ref(),
        })
    }

    /// The key in the store; refused if it holds the separator.
    pub(super) fn key(&self, key: &str) -> Result<String, ApiError> {
        if memchr::memmem::find(key.as_bytes(), SEPARATOR.as_bytes()).is_some() {
            return Err(error::illegal_key(self.name, key));
        }
        let mut whole = String::with_capacity(self.prefix.len() + key.len());
        whole.push_str(self.prefix);
        whole.push_str(key);
        Ok(whole)
    }

    /// The key without the prefix.
    pub(super) fn short<'k>(&self, key: &'k str) -> &'k str {
        key.strip_prefix(self.prefix).unwrap_or(key)
    }

    /// Whether values are encrypted.
    pub(super) fn encrypts(&self) -> bool {
        self.keys.is_some()
    }

    /// A value in the form that is stored.
    pub(super) fn seal(&self, value: Bytes) -> Result<Bytes, ComponentError> {
        match self.keys {
            Some(keys) => keys.seal(&value).map_err(ComponentError::permanent),
            None => Ok(value),
        }
    }

    /// A value of its stored form.
    pub(super) fn open(&self, stored: Bytes) -> Result<Bytes, ComponentError> {
        match self.keys {
            Some(keys) if !stored.is_empty() => keys.open(&stored).map_err(ComponentError::permanent),
            _ => Ok(stored),
        }
    }

    /// The bytes that stand for a JSON text: encrypted stores keep a string without its quotes.
    pub(super) fn plain<'t>(&self, json: &'t str) -> Cow<'t, str> {
        if self.encrypts() && json.starts_with('"') {
            return serde_json::from_str::<String>(json).map_or(Cow::Borrowed(json), Cow::Owned);
        }
        Cow::Borrowed(json)
    }
}

/// What is wrong with the metadata of a store that this block reads (key prefix, encryption keys), for when it is loaded.
/// A store that encrypts is told of in the log.
pub fn check(loaded: &Arc<Loaded<dyn StateStore>>, info: &Info) -> Result<(), String> {
    let store = Store::of(loaded, info)?;
    if store.encrypts() {
        tracing::info!(target: LOG, "Automatic encryption enabled for state store {}", loaded.name);
        tracing::info!(target: LOG, "WARNING: Automatic state store encryption should never be used to store more than 4 billion items in the state store (including updates). Storing more items than that can cause the private key to be exposed.");
    }
    Ok(())
}

/// The scope of what is logged about stores as they are loaded.
const LOG: &str = "dapr.runtime.processor.state";
