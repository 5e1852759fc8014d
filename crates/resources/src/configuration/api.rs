//! Which parts of the API there are.

use serde::{Deserialize, Serialize};

/// Lists of parts of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ApiSpec {
    /// If there are any, only these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<ApiRule>,
    /// Never these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<ApiRule>,
}

/// A part of the API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ApiRule {
    /// A building block as `state`, or the beginning of a path within it as `state/store`.
    pub name: String,
    /// A version of the API as `v1.0`, `v1` or `v1.0-alpha1`.
    pub version: String,
    /// `http`, `grpc`, or empty for both.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
}

/// How a request comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Over HTTP.
    Http,
    /// Over gRPC.
    Grpc,
}

impl Protocol {
    /// The name in rules.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

/// Names that rules can begin with.
pub const API_NAMES: [&str; 18] = [
    "invoke",
    "state",
    "publish",
    "bindings",
    "secrets",
    "actors",
    "metadata",
    "configuration",
    "lock",
    "unlock",
    "crypto",
    "subtlecrypto",
    "workflows",
    "healthz",
    "jobs",
    "shutdown",
    "conversation",
    "subscribe",
];

/// Versions after [`normal_version`].
pub const API_VERSIONS: [&str; 4] = ["v1", "v1alpha1", "v1alpha2", "v1beta1"];

/// Why a rule has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiRuleError {
    /// No part of the API has this name.
    #[error("no part of the API has the name {0:?}")]
    Name(String),
    /// There is no such version.
    #[error("there is no version {0:?} of the API")]
    Version(String),
    /// There is no such protocol.
    #[error("the protocol {0:?} is neither http nor grpc")]
    Protocol(String),
}

/// One spelling of versions: `v1.0-alpha1` is `v1alpha1`, `v1.0` is `v1`.
pub fn normal_version(version: &str) -> String {
    version
        .trim_start_matches('/')
        .replacen("v1.0", "v1", 1)
        .replace('-', "")
}

impl ApiRule {
    /// Whether the rule names something there is.
    pub fn check(&self) -> Result<(), ApiRuleError> {
        let name = self.path();
        let first = name.split('/').next().unwrap_or_default();
        if !API_NAMES.contains(&first) {
            return Err(ApiRuleError::Name(self.name.clone()));
        }
        if !API_VERSIONS.contains(&normal_version(&self.version).as_str()) {
            return Err(ApiRuleError::Version(self.version.clone()));
        }
        match self.protocol.as_str() {
            "" | "http" | "grpc" => Ok(()),
            _ => Err(ApiRuleError::Protocol(self.protocol.clone())),
        }
    }

    fn path(&self) -> &str {
        self.name.trim_matches('/')
    }

    fn is_for(&self, protocol: Protocol) -> bool {
        self.protocol.is_empty() || self.protocol.eq_ignore_ascii_case(protocol.name())
    }

    fn matches(&self, group: &str, version: &str, path: &str) -> bool {
        if normal_version(&self.version) != version {
            return false;
        }
        let name = self.path();
        name == group
            || path
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl ApiSpec {
    /// Whether a part of the API is there: not denied, and allowed if only some parts are. `path` is the path of an HTTP
    /// route without its version, as `state/{store}`, and empty for gRPC.
    pub fn permits(&self, protocol: Protocol, group: &str, version: &str, path: &str) -> bool {
        if group == "healthz" {
            return true;
        }
        let version = normal_version(version);
        let path = path.trim_matches('/');
        let matches = |rule: &&ApiRule| rule.matches(group, &version, path);
        let mut denied = self.denied.iter().filter(|rule| rule.is_for(protocol));
        if denied.any(|rule| matches(&rule)) {
            return false;
        }
        let mut allowed = self.allowed.iter().filter(|rule| rule.is_for(protocol)).peekable();
        allowed.peek().is_none() || allowed.any(|rule| matches(&rule))
    }

    /// The rules that have no effect, and why.
    pub fn problems(&self) -> Vec<ApiRuleError> {
        self.allowed
            .iter()
            .chain(&self.denied)
            .filter_map(|rule| rule.check().err())
            .collect()
    }
}
