//! From folders, files and text to resources.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::component::Component;
use crate::decode::{self, same_name};
use crate::http_endpoint::HttpEndpoint;
use crate::meta::{Kind, Resource, is_common_field};
use crate::policy::{McpServer, WorkflowAccessPolicy};
use crate::problem::{Problem, Severity};
use crate::resiliency::Resiliency;
use crate::subscription::{Subscription, SubscriptionV1};
use crate::yaml;

/// Which resources a sidecar sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The id of its application, for scopes.
    pub app_id: String,
    /// Its namespace: resources of others are left out, those that name none are not. `None` takes all of them.
    pub namespace: Option<String>,
}

impl Filter {
    fn accepts_namespace(&self, namespace: &str) -> bool {
        match self.namespace.as_deref() {
            None | Some("") => true,
            Some(own) => namespace.is_empty() || namespace == own,
        }
    }
}

/// What was read, in the order it was found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// Components.
    pub components: Vec<Component>,
    /// Subscriptions, whichever version they were written in.
    pub subscriptions: Vec<Subscription>,
    /// Resiliency policies.
    pub resiliencies: Vec<Resiliency>,
    /// HTTP endpoints.
    pub http_endpoints: Vec<HttpEndpoint>,
    /// MCP servers.
    pub mcp_servers: Vec<McpServer>,
    /// Workflow access policies.
    pub workflow_access_policies: Vec<WorkflowAccessPolicy>,
    /// What was left out, and what has no effect.
    pub problems: Vec<Problem>,
}

/// Why resources cannot be loaded at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A folder is not there or cannot be read.
    #[error("open {}: {error}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// Resources of a kind have the same name.
    #[error("{}", lines(.0))]
    Duplicate(Vec<Duplicate>),
}

/// A resource whose name is taken by one that was read before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("duplicate definition of {kind} name {new} with existing {existing}")]
pub struct Duplicate {
    /// The kind of both.
    pub kind: Kind,
    /// The later one, as messages show it.
    pub new: String,
    /// The first one, as messages show it.
    pub existing: String,
}

fn lines(duplicates: &[Duplicate]) -> String {
    duplicates
        .iter()
        .map(Duplicate::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

/// Reads the `.yaml` and `.yml` files of folders (not of folders within them), in the order of their names. Fails if a
/// folder is missing or names are not unique; everything else that is wrong is a [`Problem`].
pub fn from_paths(folders: &[PathBuf], filter: &Filter) -> Result<Loaded, LoadError> {
    let mut loaded = Loaded::default();
    for folder in folders {
        let files = resource_files(folder).map_err(|error| LoadError::Folder {
            path: folder.clone(),
            error,
        })?;
        for file in files {
            match fs::read(&file) {
                Ok(bytes) => loaded.add_bytes(&bytes, &file, filter),
                Err(error) => loaded.problem(skipped(&file, 0, format!("cannot be read: {error}"))),
            }
        }
    }
    loaded.check_unique()?;
    loaded.retain_in_scope(&filter.app_id);
    Ok(loaded)
}

/// Reads text that came under the name `source`, which only messages use. Scopes and duplicate names are not looked at:
/// see [`Loaded::retain_in_scope`] and [`Loaded::check_unique`].
pub fn parse_str(text: &str, source: &str, filter: &Filter) -> Loaded {
    let mut loaded = Loaded::default();
    loaded.add_text(text, Path::new(source), filter);
    loaded
}

/// The resource files of a folder, sorted by name.
fn resource_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if is_resource_file(&path) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a file has a name that resources are read from.
pub fn is_resource_file(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"))
}

impl Loaded {
    /// Reads more, see [`parse_str`].
    pub fn add_text(&mut self, text: &str, source: &Path, filter: &Filter) {
        for document in yaml::documents(text) {
            match document.content {
                Ok(value) => self.add_document(&value, source, document.line, filter),
                Err(error) => self.problem(skipped(source, document.line, format!("no YAML: {error}"))),
            }
        }
    }

    /// Fails if two resources of a kind have the same name. Meant to come before [`Loaded::retain_in_scope`], so that a
    /// folder is right or wrong for all applications alike.
    pub fn check_unique(&self) -> Result<(), LoadError> {
        let mut found = duplicates(&self.components);
        found.extend(duplicates(&self.http_endpoints));
        found.extend(duplicates(&self.subscriptions));
        found.extend(duplicates(&self.mcp_servers));
        found.extend(duplicates(&self.workflow_access_policies));
        // One kind at a time, so that a message is about one kind.
        match found.first().map(|first| first.kind) {
            Some(kind) => Err(LoadError::Duplicate(
                found.into_iter().filter(|d| d.kind == kind).collect(),
            )),
            None => Ok(()),
        }
    }

    /// Drops what an application does not see.
    pub fn retain_in_scope(&mut self, app_id: &str) {
        self.components.retain(|resource| resource.is_in_scope(app_id));
        self.subscriptions.retain(|resource| resource.is_in_scope(app_id));
        self.resiliencies.retain(|resource| resource.is_in_scope(app_id));
        self.http_endpoints.retain(|resource| resource.is_in_scope(app_id));
        self.mcp_servers.retain(|resource| resource.is_in_scope(app_id));
        self.workflow_access_policies
            .retain(|resource| resource.is_in_scope(app_id));
    }

    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn add_bytes(&mut self, bytes: &[u8], source: &Path, filter: &Filter) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.add_text(text, source, filter),
            Err(error) => self.problem(skipped(source, 0, format!("no UTF-8 text: {error}"))),
        }
    }

    fn add_document(&mut self, value: &Value, source: &Path, line: usize, filter: &Filter) {
        let header = match Header::read(value) {
            Ok(header) => header,
            Err(message) => return self.problem(skipped(source, line, message)),
        };
        let place = Place {
            source,
            line,
            kind: Kind::from_name(&header.kind),
            name: &header.name,
        };
        let Some(kind) = place.kind else {
            let message = format!("documents of kind {:?} are not looked at", header.kind);
            return self.problem(place.problem(Severity::Debug, "", message));
        };
        if !filter.accepts_namespace(&header.namespace) {
            return;
        }
        if !kind.versions().contains(&header.version.as_str()) {
            let message = format!("expected {}, found {:?}", kind.versions().join(" or "), header.version);
            return self.problem(place.problem(Severity::Skipped, "apiVersion", message));
        }
        match kind {
            Kind::Component => add(&mut self.components, &mut self.problems, value, &place),
            Kind::Subscription if header.version == "dapr.io/v1alpha1" => {
                let mut old: Vec<SubscriptionV1> = Vec::new();
                add(&mut old, &mut self.problems, value, &place);
                self.subscriptions.extend(old.into_iter().map(Subscription::from));
            }
            Kind::Subscription => add(&mut self.subscriptions, &mut self.problems, value, &place),
            Kind::Resiliency => add(&mut self.resiliencies, &mut self.problems, value, &place),
            Kind::HttpEndpoint => add(&mut self.http_endpoints, &mut self.problems, value, &place),
            Kind::McpServer => add(&mut self.mcp_servers, &mut self.problems, value, &place),
            Kind::WorkflowAccessPolicy => add(&mut self.workflow_access_policies, &mut self.problems, value, &place),
            Kind::Configuration => {
                let message = "a Configuration is read from --config, not from the resources".to_owned();
                self.problem(place.problem(Severity::Debug, "", message));
            }
        }
    }
}

/// Decodes one document into `list`, and notes what is wrong with it.
fn add<T: DeserializeOwned>(list: &mut Vec<T>, problems: &mut Vec<Problem>, value: &Value, place: &Place<'_>) {
    match decode::from_value(value) {
        Ok(decoded) => {
            let unknown = decoded.unknown.iter().filter(|field| !is_common_field(field));
            problems.extend(
                unknown
                    .map(|field| place.problem(Severity::Notice, field, "unknown field, it has no effect".to_owned())),
            );
            list.push(decoded.value);
        }
        Err(error) => problems.push(place.problem(Severity::Skipped, &error.path, error.message)),
    }
}

fn duplicates<T: Resource>(resources: &[T]) -> Vec<Duplicate> {
    let mut first: IndexMap<&str, &T> = IndexMap::new();
    let mut found = Vec::new();
    for resource in resources {
        match first.get(resource.name()) {
            Some(existing) => found.push(Duplicate {
                kind: T::KIND,
                new: resource.log_name(),
                existing: existing.log_name(),
            }),
            None => {
                first.insert(resource.name(), resource);
            }
        }
    }
    found
}

/// What tells the kind of a document.
pub(crate) struct Header {
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) namespace: String,
}

impl Header {
    pub(crate) fn read(value: &Value) -> Result<Self, String> {
        let Value::Object(map) = value else {
            return Err("expected a map".to_owned());
        };
        let metadata = field(map, "metadata").and_then(Value::as_object);
        let of_metadata = |name| metadata.map(|map| text(map, name)).unwrap_or_default();
        Ok(Self {
            version: text(map, "apiVersion"),
            kind: text(map, "kind"),
            name: of_metadata("name"),
            namespace: of_metadata("namespace"),
        })
    }
}

/// The field of this name, compared without case unless there is an exact match.
fn field<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    map.get(name).or_else(|| {
        map.iter()
            .rev()
            .find(|(key, _)| same_name(key, name))
            .map(|(_, value)| value)
    })
}

fn text(map: &Map<String, Value>, name: &str) -> String {
    let value = field(map, name);
    value
        .and_then(|value| decode::from_value::<String>(value).ok())
        .map(|decoded| decoded.value)
        .unwrap_or_default()
}

/// Where a document is and what it is about.
struct Place<'a> {
    source: &'a Path,
    line: usize,
    kind: Option<Kind>,
    name: &'a str,
}

impl Place<'_> {
    fn problem(&self, severity: Severity, field: &str, message: String) -> Problem {
        Problem {
            severity,
            source: self.source.to_owned(),
            line: self.line,
            kind: self.kind,
            resource: self.name.to_owned(),
            field: field.to_owned(),
            message,
        }
    }
}

fn skipped(source: &Path, line: usize, message: String) -> Problem {
    Place {
        source,
        line,
        kind: None,
        name: "",
    }
    .problem(Severity::Skipped, "", message)
}

#[cfg(test)]
mod tests;
