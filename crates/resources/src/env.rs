//! The environment: which variables a component may refer to, and `$NAME` in configuration files. The variables are
//! handed in, never read here.

use std::borrow::Cow;

/// The variable that lists, separated by spaces, which variables components may refer to.
pub const ALLOWED_KEYS_VARIABLE: &str = "DAPR_ENV_KEYS";

/// Why a component may not refer to a variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvRefError {
    /// The name is empty.
    #[error("the name of the environment variable is empty")]
    Empty,
    /// The name has a space in it.
    #[error("the name of the environment variable {0:?} contains a space")]
    Space(String),
    /// The variable is one of our own, and may be a secret.
    #[error("the environment variable {0:?} is reserved")]
    Reserved(String),
    /// The variable is not on the list.
    #[error("the environment variable {0:?} is not listed in {ALLOWED_KEYS_VARIABLE}")]
    NotAllowed(String),
}

/// Whether a component may refer to the variable `name`; `allowed` is the value of `DAPR_ENV_KEYS`.
pub fn check_env_ref(name: &str, allowed: Option<&str>) -> Result<(), EnvRefError> {
    if name.is_empty() {
        return Err(EnvRefError::Empty);
    }
    if name.contains(' ') {
        return Err(EnvRefError::Space(name.to_owned()));
    }
    let upper = name.to_ascii_uppercase();
    if upper == "APP_API_TOKEN" || upper.starts_with("DAPR_") {
        return Err(EnvRefError::Reserved(name.to_owned()));
    }
    match allowed.filter(|list| !list.is_empty()) {
        Some(list) if !list.split([' ', ',']).any(|key| key == name) => Err(EnvRefError::NotAllowed(name.to_owned())),
        _ => Ok(()),
    }
}

/// The value of the variable that a component refers to; a variable that is not set is empty.
pub fn resolve_env_ref(name: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, EnvRefError> {
    check_env_ref(name, lookup(ALLOWED_KEYS_VARIABLE).as_deref())?;
    Ok(lookup(name).unwrap_or_default())
}

/// Replaces `$NAME` and `${NAME}` by the variable's value, and by nothing if it is not set. There is no way to write a
/// dollar sign before a name: that is how the original has it.
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Cow<'_, str> {
    if !text.contains('$') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (reference, length) = reference(after);
        match reference {
            Reference::Name(name) => out.push_str(&lookup(name).unwrap_or_default()),
            Reference::Dollar => out.push('$'),
            Reference::Broken => {}
        }
        rest = &after[length..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// What follows a dollar sign.
enum Reference<'a> {
    /// A name to look up.
    Name(&'a str),
    /// Nothing that could be a name: the dollar sign stays.
    Dollar,
    /// `${}` or `${` without an end: it is dropped.
    Broken,
}

/// Reads what follows a dollar sign, with its length in bytes.
fn reference(after: &str) -> (Reference<'_>, usize) {
    let Some(first) = after.chars().next() else {
        return (Reference::Dollar, 0);
    };
    if first == '{' {
        return match after.find('}') {
            Some(1) => (Reference::Broken, 2),
            Some(end) => (Reference::Name(&after[1..end]), end + 1),
            None => (Reference::Broken, 1),
        };
    }
    // The special variables of a shell are names of one character.
    if first.is_ascii_digit() || "*#$@!?-".contains(first) {
        return (Reference::Name(&after[..1]), 1);
    }
    let length = after
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count();
    match length {
        0 => (Reference::Dollar, 0),
        _ => (Reference::Name(&after[..length]), length),
    }
}

#[cfg(test)]
mod tests;
