//! The `method` and `path` labels of HTTP metrics.

use std::borrow::Cow;

/// What a configuration says about the labels of HTTP metrics.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Whether paths become label values as they are.
    pub increased_cardinality: bool,
    /// Path templates; `{name}` stands for one segment, `{name...}` for the rest.
    pub path_matching: Vec<String>,
    /// Whether the `method` label stays empty.
    pub exclude_verbs: bool,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            increased_cardinality: true,
            path_matching: Vec::new(),
            exclude_verbs: false,
        }
    }
}

/// Paths that keep their label whatever the configuration says.
const FIXED: &[&str] = &["/dapr/config", "/dapr/metrics", "/dapr/subscribe", "/healthz"];

/// Where an application's path stands in the path of an invocation; templates of the application match there too.
const INVOKE: &str = "/v1.0/invoke/{app_id}/method";

/// The rules for labels of HTTP metrics, made from [`HttpOptions`].
pub(super) struct HttpLabels {
    pub(super) increased_cardinality: bool,
    exclude_verbs: bool,
    templates: Node,
    matching: bool,
}

impl HttpLabels {
    pub(super) fn new(options: &HttpOptions) -> HttpLabels {
        let mut templates = Node::default();
        for template in &options.path_matching {
            let template = if template.starts_with('/') {
                template.clone()
            } else {
                format!("/{template}")
            };
            templates.insert(&template, &template);
            if !template.starts_with("/v1.0") {
                let invoked = format!("{INVOKE}{template}");
                templates.insert(&invoked, &invoked);
            }
        }
        HttpLabels {
            increased_cardinality: options.increased_cardinality,
            exclude_verbs: options.exclude_verbs,
            templates,
            matching: !options.path_matching.is_empty(),
        }
    }

    pub(super) fn method<'a>(&self, method: &'a str) -> &'a str {
        if self.exclude_verbs { "" } else { method }
    }

    /// The label of a path, which comes without its query.
    pub(super) fn path<'a>(&'a self, path: &'a str) -> Cow<'a, str> {
        if let Some(template) = self.matching.then(|| self.templates.find(path)).flatten() {
            return Cow::Borrowed(template);
        }
        if self.increased_cardinality {
            return without_keys(path);
        }
        if FIXED.contains(&path) {
            Cow::Borrowed(path)
        } else {
            Cow::Borrowed("")
        }
    }
}

/// Takes out what differs from call to call and never repeats: keys of stores, ids of actors.
fn without_keys(path: &str) -> Cow<'_, str> {
    let mut segments = path.trim_start_matches('/').splitn(6, '/');
    let (Some(first), Some(second), Some(third)) = (segments.next(), segments.next(), segments.next()) else {
        return Cow::Borrowed(path);
    };
    match (first, second) {
        // the application's side: actors/type/id/method/name
        ("actors", _) => {
            let rest: Vec<&str> = segments.collect();
            let slash = if rest.is_empty() { "" } else { "/" };
            let root = if path.starts_with('/') { "/" } else { "" };
            Cow::Owned(format!("{root}actors/{second}/{{id}}{slash}{}", rest.join("/")))
        }
        // version/state/store/key
        (_, "state" | "secrets") => Cow::Owned(format!("/{first}/{second}/{third}")),
        // version/actors/type/id/operation/name
        (_, "actors") => match (segments.next(), segments.next()) {
            (Some(_), Some(operation)) => Cow::Owned(format!("/{first}/{second}/{third}/{{id}}/{operation}")),
            _ => Cow::Borrowed(path),
        },
        _ => Cow::Borrowed(path),
    }
}

/// Templates by segment. What is written out goes before what a variable takes.
#[derive(Default)]
struct Node {
    written: Vec<(String, Node)>,
    variable: Option<Box<Node>>,
    /// The template that ends here.
    end: Option<String>,
    /// The template that takes all that follows.
    rest: Option<String>,
}

impl Node {
    fn insert(&mut self, template: &str, label: &str) {
        let mut node = self;
        let mut segments = template.split('/').skip(1).peekable();
        while let Some(segment) = segments.next() {
            let last = segments.peek().is_none();
            if last && (segment.is_empty() || segment.ends_with("...}")) {
                node.rest.get_or_insert_with(|| label.to_owned());
                return;
            }
            if segment == "{$}" {
                break;
            }
            node = node.child(segment);
        }
        node.end.get_or_insert_with(|| label.to_owned());
    }

    fn child(&mut self, segment: &str) -> &mut Node {
        if segment.starts_with('{') && segment.ends_with('}') {
            return self.variable.get_or_insert_default();
        }
        let at = self
            .written
            .iter()
            .position(|(written, _)| written == segment)
            .unwrap_or_else(|| {
                self.written.push((segment.to_owned(), Node::default()));
                self.written.len() - 1
            });
        &mut self.written[at].1
    }

    fn find(&self, path: &str) -> Option<&str> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        self.walk(&segments)
    }

    fn walk(&self, segments: &[&str]) -> Option<&str> {
        let Some((segment, following)) = segments.split_first() else {
            return self.end.as_deref().or(self.rest.as_deref());
        };
        let written = self.written.iter().find(|(written, _)| written == segment);
        written
            .and_then(|(_, node)| node.walk(following))
            .or_else(|| self.variable.as_ref()?.walk(following))
            .or(self.rest.as_deref())
    }
}
