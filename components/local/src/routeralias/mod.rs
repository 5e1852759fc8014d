//! `middleware.http.routeralias`: other paths for what the sidecar offers.

use component::{
    Component, Config, ConfigError, Field, Open, OpenError, Properties, async_trait,
    middleware::{Body, HttpMiddleware, Next},
};
use http::{Uri, uri::PathAndQuery};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, percent_encode, utf8_percent_encode};
use regex::bytes::Regex;
use std::{borrow::Cow, collections::BTreeMap, collections::HashMap};

#[cfg(test)]
mod tests;

/// What cannot stand in a path as it is.
const NOT_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'#');

/// What can stand in the value of a query as it is.
const NOT_IN_VALUES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Options of `middleware.http.routeralias`.
#[derive(Debug, Default)]
pub struct Options {
    /// Paths and what they stand for.
    pub routes: BTreeMap<String, String>,
}

const ROUTES: Field = Field {
    name: "routes",
    aliases: &[],
    kind: "object in JSON or YAML",
    required: false,
    default: "",
    secret: false,
    doc: "Paths and what each stands for, in JSON or YAML: with `{\"/orders/{id}\": \"/v1.0/invoke/shop/method/orders\"}` a \
          request for `/orders/7` is one for `/v1.0/invoke/shop/method/orders?id=7`. `{name}` stands for a part between two \
          slashes, `{name:expression}` for what the regular expression matches; a path without variables goes first. Paths can also be given as metadata of \
          their own whose names begin with a slash (deprecated).",
};

impl Config for Options {
    fn fields() -> Vec<Field> {
        vec![ROUTES]
    }

    fn decode(properties: &Properties) -> Result<Self, ConfigError> {
        let mut routes: BTreeMap<String, String> = match properties.get(ROUTES.name).map(str::trim) {
            None | Some("") => BTreeMap::new(),
            Some(text) => serde_json::from_str(text)
                .or_else(|_not_json| serde_saphyr::from_str(text))
                .map_err(|error| ConfigError::invalid(ROUTES.name, text, error))?,
        };
        let own = properties.iter().filter(|(name, _)| name.starts_with('/'));
        routes.extend(own.map(|(path, target)| (path.to_owned(), target.to_owned())));
        Ok(Self { routes })
    }
}

/// Gives what the sidecar offers other paths. The method, the body and the query of a request stay.
pub struct RouterAlias {
    /// Paths without variables, which come first.
    exact: HashMap<Vec<u8>, Target>,
    templates: Vec<(Template, Target)>,
}

impl Component for RouterAlias {
    const NAMES: &'static [&'static str] = &["routeralias"];
    const STATUS: component::Status = component::Status::Alpha;
    const SUMMARY: &'static str = "Gives paths of the sidecar's HTTP API, such as those of invocations, other names.";
    type Options = Options;

    async fn open(options: Options, _: Open) -> Result<Self, OpenError> {
        let mut this = Self {
            exact: HashMap::new(),
            templates: Vec::new(),
        };
        for (path, target) in options.routes {
            let invalid = |problem| ConfigError::invalid(ROUTES.name, &path, problem);
            let template = Template::parse(&path).map_err(invalid)?;
            let target = Target::new(&target);
            if template.variables.is_empty() {
                this.exact.insert(path.into_bytes(), target);
            } else {
                this.templates.push((template, target));
            }
        }
        Ok(this)
    }
}

/// What a path stands for, as it is sent on.
struct Target {
    path: String,
    query: Option<String>,
}

impl Target {
    fn new(text: &str) -> Self {
        let text = if text.starts_with('/') {
            Cow::from(text)
        } else {
            Cow::from(format!("/{text}"))
        };
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text.as_ref(), None),
        };
        let encode = |text: &str| utf8_percent_encode(text, NOT_IN_PATHS).to_string();
        Self {
            path: encode(path),
            query: query.map(encode),
        }
    }

    /// The target with its own query, the request's, and the variables of its path.
    fn with(&self, query: Option<&str>, variables: &[(&str, String)]) -> String {
        let variables = variables.iter().map(|(name, value)| format!("{name}={value}"));
        let given = [self.query.as_deref(), query].into_iter().flatten().map(str::to_owned);
        let queries: Vec<String> = given.chain(variables).filter(|part| !part.is_empty()).collect();
        if queries.is_empty() {
            return self.path.clone();
        }
        format!("{}?{}", self.path, queries.join("&"))
    }
}

/// A path with variables.
struct Template {
    pattern: Regex,
    /// The names of the variables, as they are put into a query.
    variables: Vec<String>,
}

impl Template {
    fn parse(path: &str) -> Result<Self, String> {
        let mut pattern = String::from("^(?s-u)");
        let mut variables = Vec::new();
        let mut rest = path;
        while let Some(start) = rest.find('{') {
            pattern.push_str(&regex::escape(&rest[..start]));
            let inner = &rest[start + 1..];
            let end = closing(inner).ok_or("a brace is not closed")?;
            let (name, expression) = inner[..end].split_once(':').unwrap_or((&inner[..end], "[^/]+"));
            if name.is_empty() {
                return Err("a variable has no name".into());
            }
            // Checked alone, since it could close the group that it is put into.
            regex::bytes::Regex::new(expression).map_err(|error| error.to_string())?;
            pattern.push_str(&format!("(?P<v{}>{expression})", variables.len()));
            variables.push(utf8_percent_encode(name, NOT_IN_VALUES).to_string());
            rest = &inner[end + 1..];
        }
        pattern.push_str(&regex::escape(rest));
        pattern.push('$');
        Ok(Self {
            pattern: Regex::new(&pattern).map_err(|error| error.to_string())?,
            variables,
        })
    }

    /// The variables of a path that matches, ready for a query.
    fn variables_of(&self, path: &[u8]) -> Option<Vec<(&str, String)>> {
        let captures = self.pattern.captures(path)?;
        let values = self.variables.iter().enumerate().map(|(i, name)| {
            let value = captures
                .name(&format!("v{i}"))
                .map_or(&b""[..], |found| found.as_bytes());
            (name.as_str(), percent_encode(value, NOT_IN_VALUES).to_string())
        });
        Some(values.collect())
    }
}

/// Where the brace closes that was opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0usize;
    for (i, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(i),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

impl RouterAlias {
    /// What the request is for, if its path stands for another.
    fn target_of(&self, uri: &Uri) -> Option<Uri> {
        let path: Cow<'_, [u8]> = percent_decode_str(uri.path()).into();
        let target = match self.exact.get(path.as_ref()) {
            Some(target) => target.with(uri.query(), &[]),
            None => self.templates.iter().find_map(|(template, target)| {
                let variables = template.variables_of(&path)?;
                Some(target.with(uri.query(), &variables))
            })?,
        };
        let mut parts = uri.clone().into_parts();
        parts.path_and_query = Some(PathAndQuery::try_from(target).ok()?);
        Uri::from_parts(parts).ok()
    }
}

#[async_trait]
impl HttpMiddleware for RouterAlias {
    async fn handle(&self, mut request: http::Request<Body>, next: &dyn Next) -> http::Response<Body> {
        if let Some(target) = self.target_of(request.uri()) {
            *request.uri_mut() = target;
        }
        next.run(request).await
    }
}
