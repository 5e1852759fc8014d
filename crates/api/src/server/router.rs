//! From a path to the row that answers it.

use crate::{
    op::{HttpCall, Row, Table},
    path,
    request::Params,
};
use http::Method;
use resources::configuration::api::{ApiSpec, Protocol};
use std::collections::HashMap;

/// A route as the router finds it.
pub(super) struct Found {
    pub(super) row: usize,
    pub(super) call: HttpCall,
    pub(super) template: &'static str,
}

/// Routes by method: a path that is fixed for one method may be a parameter for another.
pub(super) struct Router {
    by_method: HashMap<Method, matchit::Router<Found>>,
    any: matchit::Router<Found>,
    pub(super) rows: Vec<Row>,
}

/// What became of a look-up.
pub(super) enum Match<'a> {
    /// A route takes it.
    Route(&'a Found, Params),
    /// A route takes it, but a parameter holds a bad escape.
    BadEscape(&'a Found),
    /// The path is known, but for other methods only.
    OtherMethods(Vec<Method>),
    /// No route takes it.
    None,
}

impl Router {
    /// A router of the rows that are allowed; `public_only` leaves the public port's.
    pub(super) fn new(table: &Table, access: &ApiSpec, public_only: bool) -> Self {
        let mut router = Self {
            by_method: HashMap::new(),
            any: matchit::Router::new(),
            rows: table.rows.clone(),
        };
        for (at, row) in table.rows.iter().enumerate() {
            if public_only && !row.public {
                continue;
            }
            for (methods, template, call) in &row.routes {
                let path = template.splitn(3, '/').nth(2).unwrap_or_default();
                if row.guarded && !access.permits(Protocol::Http, row.group, row.version, path) {
                    continue;
                }
                if methods.is_empty() {
                    insert(
                        &mut router.any,
                        template,
                        Found {
                            row: at,
                            call: call.clone(),
                            template,
                        },
                    );
                }
                for method in *methods {
                    let routes = router.by_method.entry(method.clone()).or_default();
                    insert(
                        routes,
                        template,
                        Found {
                            row: at,
                            call: call.clone(),
                            template,
                        },
                    );
                }
            }
        }
        router
    }

    /// Finds the route of a cleaned, raw path.
    pub(super) fn find(&self, method: &Method, raw: &str) -> Match<'_> {
        let found = self
            .by_method
            .get(method)
            .and_then(|routes| routes.at(raw).ok())
            .or_else(|| self.any.at(raw).ok());
        let Some(found) = found else {
            let others = self.by_method.iter().filter(|(_, routes)| routes.at(raw).is_ok());
            let methods: Vec<Method> = others.map(|(method, _)| method.clone()).collect();
            return if methods.is_empty() {
                Match::None
            } else {
                Match::OtherMethods(methods)
            };
        };
        let mut params = Params::new();
        for (name, value) in found.params.iter() {
            let Some(name) = names(found.value.template).find(|known| *known == name) else {
                continue;
            };
            match path::unescape(value) {
                Some(value) => params.push((name, value.into_owned())),
                None => return Match::BadEscape(found.value),
            }
        }
        Match::Route(found.value, params)
    }
}

/// The names of a template's parameters.
fn names(template: &'static str) -> impl Iterator<Item = &'static str> {
    template.split('/').filter_map(|part| {
        part.strip_prefix('{')?
            .strip_suffix('}')
            .map(|name| name.trim_start_matches('*'))
    })
}

fn insert(routes: &mut matchit::Router<Found>, template: &str, found: Found) {
    if let Err(error) = routes.insert(template, found) {
        // The tables are constants: two rows that clash are a mistake that the first test run shows.
        debug_assert!(false, "route {template}: {error}");
        tracing::error!(target: "dapr.runtime.http", "route {template} cannot be served: {error}");
    }
}
