//! `secretstores.local.env`: secrets from the environment of the sidecar.

use component::{
    Component, ComponentError, Config, Metadata, Open, OpenError, async_trait,
    secrets::{Secret, SecretStore},
};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Options of `secretstores.local.env`.
#[derive(Debug, Config)]
pub struct Options {
    /// What the names of the variables begin with. It is put before the name that a request asks for, and taken from the
    /// names when all secrets are read; variables without it are not shown.
    pub prefix: String,
}

/// The environment as a secret store.
///
/// The sidecar's own variables (`APP_API_TOKEN` and all whose names begin with `DAPR_`) are not shown: they answer with an
/// empty value, as do variables that are not set.
pub struct Env {
    prefix: String,
    /// Read once: nothing else changes the environment of a process that has started.
    variables: BTreeMap<String, String>,
}

impl Component for Env {
    const NAMES: &'static [&'static str] = &["local.env"];
    const SUMMARY: &'static str = "Reads secrets from the environment variables of the sidecar.";
    type Options = Options;

    async fn open(options: Options, _: Open) -> Result<Self, OpenError> {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
        Ok(Self::new(options, variables))
    }
}

impl Env {
    fn new(options: Options, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self {
            prefix: options.prefix,
            variables: variables.into_iter().filter(|(name, _)| shown(name)).collect(),
        }
    }
}

/// Whether a variable is a secret of the application rather than one of the sidecar.
fn shown(name: &str) -> bool {
    let name = name.to_uppercase();
    !name.starts_with("DAPR_") && name != "APP_API_TOKEN"
}

#[async_trait]
impl SecretStore for Env {
    async fn get(&self, name: &str, _: &Metadata) -> Result<Secret, ComponentError> {
        let variable = format!("{}{name}", self.prefix);
        if !shown(&variable) {
            tracing::warn!("Access to env var {name} is forbidden");
        }
        let value = self.variables.get(&variable).cloned().unwrap_or_default();
        Ok(Secret::from([(name.to_owned(), value)]))
    }

    async fn bulk_get(&self, _: &Metadata) -> Result<BTreeMap<String, Secret>, ComponentError> {
        let prefixed = self.variables.iter().filter_map(|(variable, value)| {
            let name = variable
                .strip_prefix(self.prefix.as_str())
                .filter(|name| !name.is_empty())?;
            Some((name.to_owned(), Secret::from([(name.to_owned(), value.clone())])))
        });
        Ok(prefixed.collect())
    }
}
