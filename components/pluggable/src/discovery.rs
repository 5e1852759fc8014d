//! Finding components: the sockets in a folder, and what each serves.

use crate::{
    binding,
    connection::{Connection, anonymous},
    pubsub, secrets, state,
};
use component::{Kind, Open, OpenError, Opened, Properties};
use futures_util::future::join_all;
use std::{
    io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    time::Duration,
};
use tonic::{Code, Status};
use tonic_reflection::pb::{v1, v1alpha};

const FOLDER_VARIABLE: &str = "DAPR_COMPONENTS_SOCKETS_FOLDER";
const DEFAULT_FOLDER: &str = "/tmp/dapr-components-sockets";
const PACKAGE: &str = "dapr.proto.components.v1.";

/// How long a socket may take to say what it serves.
const ANSWER_FOR: Duration = Duration::from_secs(5);
/// How long a socket at which nobody listens is tried: its component may be about to start.
const REFUSED_FOR: Duration = Duration::from_secs(1);
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// The folder that holds the sockets: `DAPR_COMPONENTS_SOCKETS_FOLDER`, or the usual one.
pub fn folder() -> PathBuf {
    std::env::var_os(FOLDER_VARIABLE)
        .filter(|folder| !folder.is_empty())
        .map_or_else(|| DEFAULT_FOLDER.into(), PathBuf::from)
}

/// The services that make up the components of one socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Services {
    pub(crate) state: bool,
    pub(crate) transactions: bool,
    pub(crate) max_size: bool,
    pub(crate) queries: bool,
    pub(crate) pubsub: bool,
    pub(crate) input: bool,
    pub(crate) output: bool,
    pub(crate) secrets: bool,
}

impl Services {
    /// The services among the names that reflection lists.
    fn of(names: &[String]) -> Self {
        let mut services = Self::default();
        for name in names.iter().filter_map(|name| name.strip_prefix(PACKAGE)) {
            match name {
                "StateStore" => services.state = true,
                "TransactionalStateStore" => services.transactions = true,
                "TransactionalStoreMultiMaxSize" => services.max_size = true,
                "QueriableStateStore" => services.queries = true,
                "PubSub" => services.pubsub = true,
                "InputBinding" => services.input = true,
                "OutputBinding" => services.output = true,
                "SecretStore" => services.secrets = true,
                _ => tracing::debug!("a pluggable component serves {name}, which is not a kind of component"),
            }
        }
        services
    }

    /// The kinds of component that they make up.
    fn kinds(self) -> impl Iterator<Item = Kind> {
        [
            (self.state, Kind::State),
            (self.pubsub, Kind::PubSub),
            (self.input || self.output, Kind::Binding),
            (self.secrets, Kind::SecretStore),
        ]
        .into_iter()
        .filter_map(|(serves, kind)| serves.then_some(kind))
    }
}

/// A component that a socket offers. Several components of one type can be opened from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// Its kind.
    pub kind: Kind,
    /// Its name without the kind's prefix: that of the socket's file, without its extension.
    pub name: String,
    /// The socket.
    pub path: PathBuf,
    pub(crate) services: Services,
}

impl Discovered {
    /// Opens a component: connects, and initialises it with its metadata.
    pub async fn open(&self, properties: Properties, cx: Open) -> Result<Opened, OpenError> {
        let connection = Connection::new(&self.path, &cx.name).map_err(OpenError::failed)?;
        match self.kind {
            Kind::State => state::open(connection, self.services, &properties).await,
            Kind::PubSub => pubsub::open(connection, &properties, cx.name).await,
            Kind::Binding => binding::open(connection, self.services, &properties, cx.name).await,
            Kind::SecretStore => secrets::open(connection, &properties).await,
            kind => Err(OpenError::failed(format!(
                "no component of kind {kind:?} can be pluggable"
            ))),
        }
    }
}

/// The component of a type and version. As with built-in components, names are compared without case; there is one version.
pub fn find<'a>(found: &'a [Discovered], kind: Kind, name: &str, version: &str) -> Option<&'a Discovered> {
    if !["", "v0", "v1"].iter().any(|known| version.eq_ignore_ascii_case(known)) {
        return None;
    }
    found
        .iter()
        .find(|discovered| discovered.kind == kind && discovered.name.eq_ignore_ascii_case(name))
}

/// Finds the components of all sockets in a folder. A socket that gives no answer in time is logged and passed over, and so
/// is a folder that is not there.
pub async fn discover(folder: &Path) -> Vec<Discovered> {
    tracing::debug!("loading pluggable components under path {}", folder.display());
    let sockets = match sockets(folder).await {
        Ok(sockets) => sockets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(
                "could not look for pluggable components in {}: {error}",
                folder.display()
            );
            return Vec::new();
        }
    };
    let asked = sockets.into_iter().map(|(name, path)| async move {
        match services(&path).await {
            Ok(services) => offers(&name, &path, services),
            Err(reason) => {
                tracing::warn!("could not use pluggable component socket {}: {reason}", path.display());
                Vec::new()
            }
        }
    });
    join_all(asked).await.into_iter().flatten().collect()
}

fn offers(name: &str, path: &Path, services: Services) -> Vec<Discovered> {
    services
        .kinds()
        .map(|kind| {
            tracing::info!(
                "pluggable component '{name}' was successfully registered for '{}{name}'",
                kind.prefix()
            );
            Discovered {
                kind,
                name: name.to_owned(),
                path: path.to_owned(),
                services,
            }
        })
        .collect()
}

/// The sockets in a folder with the names of their components, sorted.
async fn sockets(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut sockets = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        let Ok(file) = tokio::fs::metadata(&path).await else {
            continue;
        };
        if file.is_dir() {
            continue;
        }
        match path.file_stem().and_then(|name| name.to_str()) {
            Some(name) if file.file_type().is_socket() => sockets.push((name.to_owned(), path)),
            _ => tracing::warn!("could not use socket for file {}", path.display()),
        }
    }
    sockets.sort();
    Ok(sockets)
}

/// Asks a socket what it serves.
async fn services(path: &Path) -> Result<Services, String> {
    let begun = tokio::time::Instant::now();
    loop {
        let answer = tokio::time::timeout_at(begun + ANSWER_FOR, list(path)).await;
        match answer {
            Ok(Ok(names)) => return Ok(Services::of(&names)),
            Ok(Err(status)) if status.code() == Code::Unavailable && begun.elapsed() < REFUSED_FOR => {
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
            Ok(Err(status)) => return Err(crate::error::plain(&status).message),
            Err(_) => return Err(format!("no answer within {ANSWER_FOR:?}")),
        }
    }
}

/// The names of the services, by the current reflection or the one before.
async fn list(path: &Path) -> Result<Vec<String>, Status> {
    match list_v1(path).await {
        Err(status) if status.code() == Code::Unimplemented => list_v1alpha(path).await,
        answer => answer,
    }
}

macro_rules! list {
    ($name:ident, $version:ident) => {
        async fn $name(path: &Path) -> Result<Vec<String>, Status> {
            use $version::{
                ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
                server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
            };
            let request = ServerReflectionRequest {
                host: String::new(),
                message_request: Some(MessageRequest::ListServices(String::new())),
            };
            let mut client = ServerReflectionClient::new(anonymous(path));
            let answers = client.server_reflection_info(tokio_stream::once(request)).await?;
            let answer = answers.into_inner().message().await?;
            match answer.and_then(|answer| answer.message_response) {
                Some(MessageResponse::ListServicesResponse(list)) => {
                    Ok(list.service.into_iter().map(|service| service.name).collect())
                }
                Some(MessageResponse::ErrorResponse(error)) => {
                    Err(Status::new(Code::from(error.error_code), error.error_message))
                }
                _ => Err(Status::internal("reflection gave no list of services")),
            }
        }
    };
}

list!(list_v1, v1);
list!(list_v1alpha, v1alpha);
