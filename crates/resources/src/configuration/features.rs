//! Features that can be switched on and off.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// State of actors may have a time to live.
pub const ACTOR_STATE_TTL: &str = "ActorStateTTL";
/// Resources are read again when they change.
pub const HOT_RELOAD: &str = "HotReload";
/// Workflows of an application run on all its sidecars.
pub const WORKFLOWS_CLUSTERED_DEPLOYMENT: &str = "WorkflowsClusteredDeployment";
/// Activities of other applications are started by reminders.
pub const WORKFLOWS_REMOTE_ACTIVITY_REMINDER: &str = "WorkflowsRemoteActivityReminder";
/// The history of workflows is signed.
pub const WORKFLOW_HISTORY_SIGNING: &str = "WorkflowHistorySigning";

/// The features there are, and whether they are on unless switched.
pub const DEFAULTS: [(&str, bool); 5] = [
    (ACTOR_STATE_TTL, false),
    (HOT_RELOAD, true),
    (WORKFLOWS_CLUSTERED_DEPLOYMENT, false),
    (WORKFLOWS_REMOTE_ACTIVITY_REMINDER, true),
    (WORKFLOW_HISTORY_SIGNING, false),
];

/// A feature that is switched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Whether it is on.
    pub enabled: bool,
}

/// Which features are on. Names that are not known can be switched too: they have no effect but are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features(IndexMap<String, bool>);

impl Default for Features {
    fn default() -> Self {
        Self::new(&[])
    }
}

impl Features {
    /// The defaults with switches put over them; of several for a name, the last.
    pub fn new(switches: &[Feature]) -> Self {
        let defaults = DEFAULTS.into_iter().map(|(name, enabled)| (name.to_owned(), enabled));
        let switched = switches.iter().map(|feature| (feature.name.clone(), feature.enabled));
        Self(defaults.chain(switched).collect())
    }

    /// Whether a feature is on.
    pub fn is_enabled(&self, name: &str) -> bool {
        self.0.get(name).copied().unwrap_or(false)
    }

    /// The features that are on.
    pub fn enabled_names(&self) -> Vec<&str> {
        self.0
            .iter()
            .filter(|(_, enabled)| **enabled)
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Names that were switched and are not known.
    pub fn unknown_names(&self) -> Vec<&str> {
        let is_known = |name: &str| DEFAULTS.iter().any(|(known, _)| *known == name);
        self.0
            .keys()
            .map(String::as_str)
            .filter(|name| !is_known(name))
            .collect()
    }
}
