//! Placeholders in the values of a component's metadata: `{uuid}`, `{podName}`, `{namespace}`, `{appID}`.

use std::borrow::Cow;

/// What placeholders stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values<'a> {
    /// The id of the application.
    pub app_id: &'a str,
    /// The namespace of the sidecar.
    pub namespace: &'a str,
    /// The name of the pod.
    pub pod_name: &'a str,
}

/// Replaces the placeholders in `text`: `{namespace}` becomes `<namespace>.<app id>`, and each `{uuid}` a text of its
/// own, made by `new_uuid`.
pub fn expand<'t>(text: &'t str, values: &Values<'_>, mut new_uuid: impl FnMut() -> String) -> Cow<'t, str> {
    if !text.contains('{') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let placeholder = ["{uuid}", "{podName}", "{namespace}", "{appID}"]
            .into_iter()
            .find(|p| rest.starts_with(p));
        match placeholder {
            Some("{uuid}") => out.push_str(&new_uuid()),
            Some("{podName}") => out.push_str(values.pod_name),
            Some("{namespace}") => {
                out.push_str(values.namespace);
                out.push('.');
                out.push_str(values.app_id);
            }
            Some(_) => out.push_str(values.app_id),
            None => out.push('{'),
        }
        rest = &rest[placeholder.map_or(1, str::len)..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
