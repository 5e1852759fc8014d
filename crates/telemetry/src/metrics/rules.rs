//! Rewriting of label values by regular expressions, metric by metric.

use std::borrow::Cow;

use regex::Regex;

use super::view::View;

/// Rewrites the values of labels of one metric.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// The metric, with or without `dapr_`, with `/` or `_`.
    pub name: String,
    /// The labels concerned.
    pub labels: Vec<RuleLabel>,
}

/// How the values of one label are rewritten.
#[derive(Clone, Debug, Default)]
pub struct RuleLabel {
    /// The label's key.
    pub name: String,
    /// Replacement and expression, in the order of the configuration.
    pub regex: Vec<(String, String)>,
}

/// A rule of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("metrics rule {metric}, label {label}: invalid regular expression {expression:?}: {source}")]
pub struct RuleError {
    metric: String,
    label: String,
    expression: String,
    source: regex::Error,
}

#[derive(Default)]
pub(super) struct Rules(Vec<Compiled>);

struct Compiled {
    metric: String,
    label: String,
    regex: Vec<(Regex, String)>,
}

impl Rules {
    pub(super) fn new(rules: &[Rule]) -> Result<Rules, RuleError> {
        let mut compiled = Vec::new();
        for rule in rules {
            for label in &rule.labels {
                compiled.push(compile(rule, label)?);
            }
        }
        Ok(Rules(compiled))
    }

    /// The values after the rules of this view, or nothing when it has none.
    pub(super) fn rewrite<'a>(&self, view: &View, values: &[&'a str]) -> Option<Vec<Cow<'a, str>>> {
        if self.0.is_empty() {
            return None;
        }
        let mut new: Option<Vec<Cow<'a, str>>> = None;
        for rule in self.0.iter().filter(|rule| view.is_named(&rule.metric)) {
            let Some(at) = view.labels.iter().position(|key| *key == rule.label) else {
                continue;
            };
            let new = new.get_or_insert_with(|| values.iter().map(|value| Cow::Borrowed(*value)).collect());
            if let Some(value) = new.get_mut(at) {
                rule.apply(value);
            }
        }
        new
    }
}

impl Compiled {
    fn apply(&self, value: &mut Cow<'_, str>) {
        for (regex, replacement) in &self.regex {
            if let Cow::Owned(changed) = regex.replace_all(value, replacement.as_str()) {
                *value = Cow::Owned(changed);
            }
        }
    }
}

fn compile(rule: &Rule, label: &RuleLabel) -> Result<Compiled, RuleError> {
    let mut regex = Vec::with_capacity(label.regex.len());
    for (replacement, expression) in &label.regex {
        let compiled = Regex::new(expression).map_err(|source| RuleError {
            metric: rule.name.clone(),
            label: label.name.clone(),
            expression: expression.clone(),
            source,
        })?;
        regex.push((compiled, replacement.clone()));
    }
    Ok(Compiled {
        metric: rule.name.clone(),
        label: label.name.clone(),
        regex,
    })
}
