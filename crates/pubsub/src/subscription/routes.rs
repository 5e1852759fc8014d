//! Where a message goes: conditions in CEL over the event, compiled once.

use super::spec::Rule;
use crate::cloud_event::Event;
use cel::{
    Context, Env, IdedExpr, Program, Value,
    common::ast::{EntryExpr, Expr},
    objects::{Key, Map},
};
use serde_json::value::RawValue;
use std::{
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
};

/// The longest condition.
const MAX_LENGTH: usize = 16 * 1024;
/// How deep a condition may be nested.
const MAX_DEPTH: usize = 64;
const PARSER_STACK: usize = 16 * 1024 * 1024;

/// The rules of a subscription.
pub(crate) struct Routes {
    rules: Vec<Compiled>,
    /// The path of the first rule, if it always holds.
    fixed: Option<Arc<Route>>,
}

struct Compiled {
    condition: Option<(String, Program)>,
    route: Arc<Route>,
}

/// Where messages go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// The path as the subscription gives it.
    pub(crate) path: String,
    /// The path as an HTTP request has it.
    pub(crate) uri: http::Uri,
}

impl Route {
    fn new(path: &str) -> Self {
        let slash = if path.starts_with('/') { "" } else { "/" };
        Self {
            path: path.to_owned(),
            uri: uri(&format!("{slash}{path}")),
        }
    }
}

/// A path and query; what no URI may hold is escaped.
fn uri(text: &str) -> http::Uri {
    use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
    const ODD: &AsciiSet = &CONTROLS
        .add(b' ')
        .add(b'"')
        .add(b'<')
        .add(b'>')
        .add(b'\\')
        .add(b'^')
        .add(b'`')
        .add(b'{')
        .add(b'|')
        .add(b'}');
    let text = text.split('#').next().unwrap_or("/");
    let escaped = utf8_percent_encode(text, ODD).to_string();
    // An authority must not be read out of `//host/path`.
    let path: Result<http::uri::PathAndQuery, _> = escaped.parse();
    path.map_or_else(|_| http::Uri::from_static("/"), http::Uri::from)
}

impl Routes {
    /// Compiles the rules; the error tells which condition is none, and why.
    pub(crate) fn compile(rules: &[Rule]) -> Result<Self, String> {
        let compile_one = |rule: &Rule| {
            let condition = match rule.condition.as_str() {
                "" => None,
                text => Some((
                    text.to_owned(),
                    compile(text).map_err(|why| format!("condition {text:?}: {why}"))?,
                )),
            };
            Ok::<_, String>(Compiled {
                condition,
                route: Arc::new(Route::new(&rule.path)),
            })
        };
        let rules: Vec<Compiled> = rules.iter().map(compile_one).collect::<Result<_, _>>()?;
        let fixed = rules
            .first()
            .filter(|rule| rule.condition.is_none())
            .map(|rule| rule.route.clone());
        Ok(Self { rules, fixed })
    }

    /// The route of an event: that of the first rule that holds. Nothing if none does; the error tells which condition could
    /// not be evaluated.
    pub(crate) fn find(&self, event: &Event<'_>) -> Result<Option<Arc<Route>>, String> {
        if let Some(route) = &self.fixed {
            return Ok(Some(route.clone()));
        }
        if self.rules.is_empty() {
            return Ok(None);
        }
        // The language is others' code: a panic in it is an error of the condition.
        let evaluated = std::panic::catch_unwind(AssertUnwindSafe(|| self.evaluate(event)));
        evaluated.unwrap_or_else(|_| Err("a condition cannot be evaluated".into()))
    }

    fn evaluate(&self, event: &Event<'_>) -> Result<Option<Arc<Route>>, String> {
        let mut context = Context::with_env(environment());
        context.add_variable_from_value("event", value_of(event)?);
        for rule in &self.rules {
            let Some((text, program)) = &rule.condition else {
                return Ok(Some(rule.route.clone()));
            };
            match program.execute(&context) {
                Ok(Value::Bool(true)) => return Ok(Some(rule.route.clone())),
                Ok(Value::Bool(false)) => {}
                Ok(_) => return Err(format!("the result of match expression {text} was not a boolean")),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(None)
    }
}

fn environment() -> Arc<Env> {
    static STANDARD: OnceLock<Arc<Env>> = OnceLock::new();
    STANDARD.get_or_init(|| Arc::new(Env::stdlib())).clone()
}

/// The event as conditions see it.
fn value_of(event: &Event<'_>) -> Result<Value, String> {
    let fields = event.fields().map(|(name, raw)| Ok((key(name), tree(raw)?)));
    let map: HashMap<Key, Value> = fields.collect::<Result<_, String>>()?;
    Ok(Value::Map(Map { map: Arc::new(map) }))
}

fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

fn tree(raw: &RawValue) -> Result<Value, String> {
    let json: serde_json::Value = serde_json::from_str(raw.get()).map_err(|e| e.to_string())?;
    Ok(convert(json))
}

/// All numbers are floating point, as they are for Go.
fn convert(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(b),
        Json::Number(n) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::String(Arc::new(text)),
        Json::Array(items) => Value::List(Arc::new(items.into_iter().map(convert).collect())),
        Json::Object(fields) => {
            let map = fields.into_iter().map(|(name, value)| (key(&name), convert(value)));
            Value::Map(Map {
                map: Arc::new(map.collect()),
            })
        }
    }
}

/// The parser is generated code of others: it runs where its recursion has room, and a panic in it is an error of the text.
fn compile(text: &str) -> Result<Program, String> {
    if text.len() > MAX_LENGTH {
        return Err(format!("it is longer than {MAX_LENGTH} bytes"));
    }
    let text = text.to_owned();
    let parse = move || {
        let program = Program::compile(&text).map_err(|error| error.to_string())?;
        if !is_shallow(program.expression(), MAX_DEPTH) {
            return Err(format!("it is nested more than {MAX_DEPTH} levels deep"));
        }
        match program
            .references()
            .variables()
            .into_iter()
            .find(|name| *name != "event" && !name.starts_with('@'))
        {
            // Macros have variables of their own.
            Some(name) if !has_macro(program.expression()) => Err(format!("undeclared reference to '{name}'")),
            _ => Ok(program),
        }
    };
    let parser = std::thread::Builder::new().stack_size(PARSER_STACK).spawn(parse);
    parser
        .map_err(|error| error.to_string())?
        .join()
        .unwrap_or_else(|_| Err("it cannot be parsed".to_owned()))
}

fn parts(expression: &IdedExpr) -> Vec<&IdedExpr> {
    match &expression.expr {
        Expr::Call(call) => call.target.iter().map(|target| &**target).chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&*select.operand],
        Expr::Map(map) => map
            .entries
            .iter()
            .flat_map(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
                EntryExpr::StructField(field) => vec![&field.value],
            })
            .collect(),
        Expr::Comprehension(loops) => vec![
            &loops.iter_range,
            &loops.accu_init,
            &loops.loop_cond,
            &loops.loop_step,
            &loops.result,
        ],
        _ => Vec::new(),
    }
}

fn is_shallow(expression: &IdedExpr, depth: usize) -> bool {
    depth > 0 && parts(expression).into_iter().all(|part| is_shallow(part, depth - 1))
}

fn has_macro(expression: &IdedExpr) -> bool {
    matches!(expression.expr, Expr::Comprehension(_)) || parts(expression).into_iter().any(has_macro)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(conditions: &[&str], event: &str) -> Result<Option<String>, String> {
        let rules: Vec<Rule> = conditions
            .iter()
            .map(|condition| {
                let (condition, path) = condition.rsplit_once("=>").expect("a rule");
                Rule {
                    condition: condition.trim().into(),
                    path: path.trim().into(),
                }
            })
            .collect();
        let routes = Routes::compile(&rules)?;
        let event = Event::parse(event.as_bytes()).expect("event");
        Ok(routes.find(&event)?.map(|route| route.path.clone()))
    }

    #[test]
    fn the_first_rule_that_holds_counts() {
        let rules = [
            r#"event.data.n == 1 => one"#,
            r#"event.data.s.startsWith("a") && size(event.data.l) > 1 => s"#,
            r#"has(event.data.q) && event.data.q => q"#,
            r#"event.data.n + 1.0 == 3.0 => three"#,
            " => default",
        ];
        for (data, path) in [
            (r#"{"n":1}"#, "one"),
            (r#"{"n":1.0}"#, "one"),
            (r#"{"n":2,"s":"abc","l":[1,2]}"#, "s"),
            (r#"{"n":2,"s":"b","l":[]}"#, "three"),
            (r#"{"n":3,"s":"b","l":[],"q":true}"#, "q"),
            (r#"{"n":3,"s":"b","l":[]}"#, "default"),
        ] {
            let event = format!(r#"{{"id":"1","data":{data}}}"#);
            assert_eq!(find(&rules, &event).expect(data).as_deref(), Some(path), "{data}");
        }
        assert_eq!(find(&[r#"event.type == "x" => x"#], r#"{"type":"y"}"#), Ok(None));
        assert_eq!(
            find(&[r#"event.data.exists(x, x == "b") => x"#], r#"{"data":["a","b"]}"#),
            Ok(Some("x".into()))
        );
        assert_eq!(find(&[], "{}"), Ok(None));
    }

    #[test]
    fn a_condition_that_cannot_be_evaluated_is_an_error() {
        assert!(find(&["event.data.n == 1 => a", " => b"], r#"{"data":{}}"#).is_err());
        let error = find(&["event.data.n => a"], r#"{"data":{"n":1}}"#).expect_err("no boolean");
        assert!(error.contains("was not a boolean"), "{error}");
    }

    #[test]
    fn what_is_no_condition_does_not_compile() {
        let compile = |text: &str| {
            let rules = [Rule {
                condition: text.into(),
                path: "/".into(),
            }];
            Routes::compile(&rules).map(|_| ())
        };
        let deep = format!("{}{} == []", "[".repeat(300), "]".repeat(300));
        for text in ["foo(", "topic == \"a\"", &deep, &"x".repeat(20_000)] {
            assert!(compile(text).is_err(), "{text:.20}");
        }
        // What leaves no trace in what is compiled must do no harm either.
        for text in [
            format!("{}1", "-".repeat(15_000)),
            format!("{}1{} == 1", "(".repeat(2000), ")".repeat(2000)),
        ] {
            let _either = compile(&text);
        }
    }

    #[test]
    fn routes_become_paths_of_requests() {
        for (path, want) in [
            ("a", "/a"),
            ("/a/b?c=d", "/a/b?c=d"),
            ("/a b", "/a%20b"),
            ("/é", "/%C3%A9"),
            ("", "/"),
            ("/a%20b", "/a%20b"),
        ] {
            assert_eq!(Route::new(path).uri.to_string(), want, "{path}");
        }
    }
}
