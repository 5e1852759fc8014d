//! How a component is offered, found by its type, and opened.

use crate::{
    Config, ConfigError, Field, Properties, binding::InputBinding, binding::OutputBinding, middleware::HttpMiddleware,
    name_resolution::NameResolver, pubsub::PubSub, secrets::SecretStore, state::StateStore,
};
use futures_util::future::BoxFuture;
use std::{collections::HashMap, sync::Arc};

/// What kind of component it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A key-value store.
    State,
    /// A message broker.
    PubSub,
    /// Calls out and events in.
    Binding,
    /// A store of secrets.
    SecretStore,
    /// Dynamic configuration.
    Configuration,
    /// Distributed locks.
    Lock,
    /// Cryptography.
    Crypto,
    /// A large language model.
    Conversation,
    /// A step of an HTTP pipeline.
    Middleware,
    /// Finds other sidecars.
    NameResolution,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::State,
        Self::PubSub,
        Self::Binding,
        Self::SecretStore,
        Self::Configuration,
        Self::Lock,
        Self::Crypto,
        Self::Conversation,
        Self::Middleware,
        Self::NameResolution,
    ];

    /// What stands before the name in a component's `spec.type`, with its dot.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::State => "state.",
            Self::PubSub => "pubsub.",
            Self::Binding => "bindings.",
            Self::SecretStore => "secretstores.",
            Self::Configuration => "configuration.",
            Self::Lock => "lock.",
            Self::Crypto => "crypto.",
            Self::Conversation => "conversation.",
            Self::Middleware => "middleware.http.",
            Self::NameResolution => "nameresolution.",
        }
    }

    /// The kind and the name that a `spec.type` says.
    pub fn split(spec_type: &str) -> Option<(Self, &str)> {
        Self::ALL
            .iter()
            .find_map(|kind| spec_type.strip_prefix(kind.prefix()).map(|name| (*kind, name)))
    }
}

/// How mature a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Proven against the real service.
    Stable,
    /// May still change.
    Beta,
    /// An experiment.
    Alpha,
}

/// What a component may know of the sidecar that opens it.
#[derive(Debug, Clone, Default)]
pub struct Open {
    /// The component's name, as its resource gives it.
    pub name: String,
    /// The application's id.
    pub app_id: String,
    /// The application's namespace; empty if none is set.
    pub namespace: String,
    /// The address at which other sidecars reach this one.
    pub host_address: String,
    /// The port at which other sidecars reach this one; 0 if none.
    pub internal_port: u16,
    /// The sidecar's HTTP port, which some name resolvers announce.
    pub http_port: u16,
}

/// Why a component could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The metadata are wrong; the error names the field.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The component could not start, for the reason given.
    #[error("{0}")]
    Failed(String),
}

impl OpenError {
    /// The component could not start, for the reason given.
    pub fn failed(reason: impl std::fmt::Display) -> Self {
        Self::Failed(reason.to_string())
    }
}

/// A component: its names, its options, and how it is opened. The traits of its kind say what it can do.
pub trait Component: Sized + Send + Sync + 'static {
    /// The names of the component without the kind's prefix; the first is the one that is shown.
    const NAMES: &'static [&'static str];
    /// The versions it serves; the first is what an empty version means.
    const VERSIONS: &'static [&'static str] = &["v1"];
    /// How mature it is.
    const STATUS: Status = Status::Stable;
    /// One or two sentences for its reference page.
    const SUMMARY: &'static str;
    /// The options that its metadata are decoded into.
    type Options: Config + Send;

    /// Opens the component: when this returns it can be used.
    fn open(options: Self::Options, cx: Open) -> impl Future<Output = Result<Self, OpenError>> + Send;
}

/// A component that has been opened.
#[derive(Clone)]
pub enum Opened {
    /// A key-value store.
    State(Arc<dyn StateStore>),
    /// A message broker.
    PubSub(Arc<dyn PubSub>),
    /// A store of secrets.
    SecretStore(Arc<dyn SecretStore>),
    /// A binding; it has at least one of the two directions.
    Binding {
        /// Events in.
        input: Option<Arc<dyn InputBinding>>,
        /// Calls out.
        output: Option<Arc<dyn OutputBinding>>,
    },
    /// A step of an HTTP pipeline.
    Middleware(Arc<dyn HttpMiddleware>),
    /// Finds other sidecars.
    NameResolution(Arc<dyn NameResolver>),
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::State(_) => "State",
            Self::PubSub(_) => "PubSub",
            Self::SecretStore(_) => "SecretStore",
            Self::Binding { .. } => "Binding",
            Self::Middleware(_) => "Middleware",
            Self::NameResolution(_) => "NameResolution",
        })
    }
}

type OpenFn = fn(Properties, Open) -> BoxFuture<'static, Result<Opened, OpenError>>;

/// A component on offer.
#[derive(Clone, Copy)]
pub struct Entry {
    /// Its kind.
    pub kind: Kind,
    /// Its names without the kind's prefix; the first is the one that is shown.
    pub names: &'static [&'static str],
    /// The versions it serves.
    pub versions: &'static [&'static str],
    /// How mature it is.
    pub status: Status,
    /// One or two sentences for its reference page.
    pub summary: &'static str,
    /// Its metadata fields.
    pub fields: fn() -> Vec<Field>,
    /// Whether a binding reads events.
    pub input: bool,
    /// Whether a binding takes calls.
    pub output: bool,
    /// Opens it.
    pub open: OpenFn,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.kind.prefix(), self.names[0])
    }
}

const fn offer<C: Component>(kind: Kind, open: OpenFn) -> Entry {
    Entry {
        kind,
        names: C::NAMES,
        versions: C::VERSIONS,
        status: C::STATUS,
        summary: C::SUMMARY,
        fields: C::Options::fields,
        input: false,
        output: false,
        open,
    }
}

async fn opened<C: Component>(properties: Properties, cx: Open) -> Result<C, OpenError> {
    C::open(C::Options::decode(&properties)?, cx).await
}

macro_rules! offers {
    ($($(#[$doc:meta])* $name:ident, $kind:ident, $bound:ident;)*) => { $(
        $(#[$doc])*
        pub const fn $name<C: Component + $bound>() -> Entry {
            offer::<C>(Kind::$kind, |p, cx| Box::pin(async move { Ok(Opened::$kind(Arc::new(opened::<C>(p, cx).await?))) }))
        }
    )* };
}

offers! {
    /// Offers a state store.
    state, State, StateStore;
    /// Offers a message broker.
    pubsub, PubSub, PubSub;
    /// Offers a secret store.
    secret_store, SecretStore, SecretStore;
    /// Offers an HTTP middleware.
    middleware, Middleware, HttpMiddleware;
    /// Offers a name resolver.
    name_resolution, NameResolution, NameResolver;
}

/// Offers a binding that takes calls.
pub const fn output_binding<C: Component + OutputBinding>() -> Entry {
    let entry = offer::<C>(Kind::Binding, |p, cx| {
        Box::pin(async move {
            Ok(Opened::Binding {
                input: None,
                output: Some(Arc::new(opened::<C>(p, cx).await?)),
            })
        })
    });
    Entry { output: true, ..entry }
}

/// Offers a binding that brings events.
pub const fn input_binding<C: Component + InputBinding>() -> Entry {
    let entry = offer::<C>(Kind::Binding, |p, cx| {
        Box::pin(async move {
            Ok(Opened::Binding {
                input: Some(Arc::new(opened::<C>(p, cx).await?)),
                output: None,
            })
        })
    });
    Entry { input: true, ..entry }
}

/// Offers a binding that does both.
pub const fn binding<C: Component + InputBinding + OutputBinding>() -> Entry {
    let entry = offer::<C>(Kind::Binding, |p, cx| {
        Box::pin(async move {
            let both = Arc::new(opened::<C>(p, cx).await?);
            Ok(Opened::Binding {
                input: Some(both.clone()),
                output: Some(both),
            })
        })
    });
    Entry {
        input: true,
        output: true,
        ..entry
    }
}

/// All components on offer, by kind and name.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    entries: Vec<Entry>,
    by_name: HashMap<(Kind, String), usize>,
}

impl Registry {
    /// A registry of the given lists.
    pub fn new(lists: &[&[Entry]]) -> Self {
        let mut registry = Self::default();
        for entry in lists.iter().flat_map(|list| list.iter()) {
            for name in entry.names {
                registry
                    .by_name
                    .insert((entry.kind, name.to_ascii_lowercase()), registry.entries.len());
            }
            registry.entries.push(*entry);
        }
        registry
    }

    /// All entries, in the order of their lists.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a type and version, if there is one. Names are compared without case; an empty version, `v0` and `v1`
    /// all mean the first version.
    pub fn find(&self, kind: Kind, name: &str, version: &str) -> Option<&Entry> {
        let entry = &self.entries[*self.by_name.get(&(kind, name.to_ascii_lowercase()))?];
        let version = version.to_ascii_lowercase();
        let initial = matches!(version.as_str(), "" | "v0" | "v1");
        (entry.versions.contains(&version.as_str()) || (initial && entry.versions.contains(&"v1"))).then_some(entry)
    }
}
