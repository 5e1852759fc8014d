//! Who may invoke the application.

use serde::{Deserialize, Serialize};

/// The trust domain that callers and sidecars have unless configured.
pub const DEFAULT_TRUST_DOMAIN: &str = "public";

/// Who may invoke the application, as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AccessControl {
    /// `allow` or `deny`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default_action: String,
    /// The trust domain of this application.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trust_domain: String,
    /// By calling application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<AppPolicySpec>>,
}

/// What an application may do, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AppPolicySpec {
    /// The calling application.
    pub app_id: String,
    /// `allow` or `deny`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub default_action: String,
    /// Its trust domain.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trust_domain: String,
    /// Its namespace.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// By operation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<OperationSpec>,
}

/// An operation that is allowed or denied, as written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OperationSpec {
    /// The path, in which `*` stands for a part and `**` for any number of them.
    pub name: String,
    /// Verbs of HTTP, or `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub http_verb: Vec<String>,
    /// `allow` or `deny`.
    pub action: String,
}

/// Whether something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It may.
    Allow,
    /// It may not.
    Deny,
}

/// Who may invoke the application, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRules {
    /// For callers that no policy is about.
    pub default_action: Action,
    /// The trust domain of this application.
    pub trust_domain: String,
    /// By calling application.
    pub policies: Vec<AppPolicy>,
}

/// What an application may do, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppPolicy {
    /// The calling application.
    pub app_id: String,
    /// Its trust domain.
    pub trust_domain: String,
    /// Its namespace.
    pub namespace: String,
    /// For operations that are not listed.
    pub default_action: Action,
    /// By operation.
    pub operations: Vec<Operation>,
}

/// An operation that is allowed or denied, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The path, with a slash at its beginning.
    pub path: String,
    /// Verbs of HTTP in capitals, or `*`.
    pub http_verbs: Vec<String>,
    /// What applies.
    pub action: Action,
}

/// Why access control is no good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessControlError {
    /// Policies that do not say whom they are about.
    #[error("access control policies without {}: {}", field, apps.join(", "))]
    Missing {
        /// The field that is missing.
        field: &'static str,
        /// The applications they are about, `#n` where that is missing.
        apps: Vec<String>,
    },
    /// An action that is none.
    #[error("{field}: {action:?} is neither allow nor deny")]
    Action {
        /// The path of the field.
        field: String,
        /// As written.
        action: String,
    },
}

impl AccessControl {
    /// Checks the rules and fills in defaults. None if nothing at all is written, which allows everything.
    ///
    /// Without a default action everything else is denied, unless the list of policies is written and empty.
    pub fn rules(&self) -> Result<Option<AccessRules>, AccessControlError> {
        if *self == Self::default() {
            return Ok(None);
        }
        let specs = self.policies.as_deref().unwrap_or_default();
        check_fields(specs)?;
        let fallback = match self.policies.as_deref() {
            Some([]) => Action::Allow,
            _ => Action::Deny,
        };
        let policies = specs
            .iter()
            .enumerate()
            .map(|(index, spec)| spec.check(index))
            .collect::<Result<Vec<_>, _>>()?;
        let trust_domain = match self.trust_domain.trim() {
            "" => DEFAULT_TRUST_DOMAIN,
            written => written,
        };
        Ok(Some(AccessRules {
            default_action: action(&self.default_action, || "defaultAction".to_owned())?.unwrap_or(fallback),
            trust_domain: trust_domain.to_owned(),
            policies,
        }))
    }
}

impl AppPolicySpec {
    fn check(&self, index: usize) -> Result<AppPolicy, AccessControlError> {
        let path = format!("policies[{index}]");
        let mut operations = Vec::with_capacity(self.operations.len());
        for (number, operation) in self.operations.iter().enumerate() {
            let field = || format!("{path}.operations[{number}].action");
            operations.push(Operation {
                path: format!("/{}", operation.name.trim_start_matches('/')),
                http_verbs: operation
                    .http_verb
                    .iter()
                    .map(|verb| verb.to_ascii_uppercase())
                    .collect(),
                action: action(&operation.action, field)?.unwrap_or(Action::Deny),
            });
        }
        Ok(AppPolicy {
            app_id: self.app_id.clone(),
            trust_domain: self.trust_domain.clone(),
            namespace: self.namespace.clone(),
            default_action: action(&self.default_action, || format!("{path}.defaultAction"))?.unwrap_or(Action::Deny),
            operations,
        })
    }
}

/// Every policy has to say which application, trust domain and namespace it is about.
fn check_fields(specs: &[AppPolicySpec]) -> Result<(), AccessControlError> {
    type Get = fn(&AppPolicySpec) -> &str;
    let fields: [(&'static str, Get); 3] = [
        ("appId", |p| &p.app_id),
        ("trustDomain", |p| &p.trust_domain),
        ("namespace", |p| &p.namespace),
    ];
    for (field, get) in fields {
        let missing = specs.iter().enumerate().filter(|(_, spec)| get(spec).is_empty());
        let apps: Vec<String> = missing.map(|(index, spec)| display_name(index, spec)).collect();
        if !apps.is_empty() {
            return Err(AccessControlError::Missing { field, apps });
        }
    }
    Ok(())
}

fn display_name(index: usize, spec: &AppPolicySpec) -> String {
    if spec.app_id.is_empty() {
        format!("#{index}")
    } else {
        spec.app_id.clone()
    }
}

fn action(text: &str, field: impl Fn() -> String) -> Result<Option<Action>, AccessControlError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "allow" => Ok(Some(Action::Allow)),
        "deny" => Ok(Some(Action::Deny)),
        _ => Err(AccessControlError::Action {
            field: field(),
            action: text.to_owned(),
        }),
    }
}
