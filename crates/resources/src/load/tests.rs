use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::value::ValueSource;

fn component(name: &str, namespace: &str, type_name: &str) -> String {
    let namespace = if namespace.is_empty() {
        String::new()
    } else {
        format!("\n namespace: {namespace}")
    };
    format!(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata:\n name: {name}{namespace}\nspec:\n type: {type_name}\n version: v1\n"
    )
}

fn parse(text: &str) -> Loaded {
    parse_str(text, "test.yaml", &Filter::default())
}

fn in_namespace(namespace: &str) -> Filter {
    Filter {
        app_id: "app".into(),
        namespace: Some(namespace.into()),
    }
}

fn names<T: Resource>(resources: &[T]) -> Vec<&str> {
    resources.iter().map(Resource::name).collect()
}

fn problems(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(Problem::to_string).collect()
}

/// The resources of the original's suite for unique names.
fn same_names() -> String {
    [
        component("abc", "mynamespace", "state.in-memory"),
        component("abc", "", "pubsub.in-memory"),
        component("abc", "foobar", "state.in-memory"),
        component("123", "", "state.in-memory"),
        component("123", "mynamespace", "state.in-memory"),
        component("123", "", "pubsub.in-memory"),
    ]
    .join("---\n")
}

#[test]
fn duplicate_names_are_told_in_the_order_they_come() {
    let error = parse(&same_names()).check_unique().unwrap_err();
    assert_eq!(
        error.to_string(),
        "duplicate definition of Component name abc (pubsub.in-memory/v1) with existing abc (state.in-memory/v1)\n\
         duplicate definition of Component name abc (state.in-memory/v1) with existing abc (state.in-memory/v1)\n\
         duplicate definition of Component name 123 (state.in-memory/v1) with existing 123 (state.in-memory/v1)\n\
         duplicate definition of Component name 123 (pubsub.in-memory/v1) with existing 123 (state.in-memory/v1)"
    );
}

#[test]
fn duplicate_names_in_other_namespaces_do_not_count() {
    let loaded = parse_str(&same_names(), "test.yaml", &in_namespace("mynamespace"));
    assert_eq!(
        loaded.check_unique().unwrap_err().to_string(),
        "duplicate definition of Component name abc (pubsub.in-memory/v1) with existing abc (state.in-memory/v1)\n\
         duplicate definition of Component name 123 (state.in-memory/v1) with existing 123 (state.in-memory/v1)\n\
         duplicate definition of Component name 123 (pubsub.in-memory/v1) with existing 123 (state.in-memory/v1)"
    );
}

#[test]
fn resources_without_a_namespace_are_in_every_namespace() {
    let text = [
        component("abc", "abc", "state.in-memory"),
        component("123", "", "state.in-memory"),
        component("789", "mynamespace", "state.in-memory"),
    ]
    .join("---\n");
    assert_eq!(
        names(&parse_str(&text, "t", &in_namespace("mynamespace")).components),
        ["123", "789"]
    );
    assert_eq!(
        names(&parse_str(&text, "t", &in_namespace("")).components),
        ["abc", "123", "789"]
    );
    assert_eq!(names(&parse(&text).components), ["abc", "123", "789"]);
}

#[test]
fn scopes_are_application_ids() {
    let mut loaded = parse(&format!(
        "{}scopes: [app, other]\n",
        component("a", "", "state.in-memory")
    ));
    loaded.add_text(
        &component("b", "", "state.in-memory"),
        Path::new("t"),
        &Filter::default(),
    );
    loaded.add_text(
        &format!("{}scopes: [other]\n", component("c", "", "state.in-memory")),
        Path::new("t"),
        &Filter::default(),
    );
    loaded.retain_in_scope("app");
    assert_eq!(names(&loaded.components), ["a", "b"]);
}

#[test]
fn values_of_any_type_and_references_are_read() {
    let loaded = parse(
        "apiVersion: dapr.io/v1alpha1
Kind: Component
metadata: {name: 123, creationTimestamp: null, labels: {a: 1}}
status: {}
spec:
  type: state.redis
  version: 1
  ignoreErrors: true
  initTimeout: 1m
  metadata:
  - {name: text, value: abc}
  - {name: number, value: 10}
  - {name: float, value: 1000.0}
  - {name: flag, value: yes}
  - {name: tree, value: {b: 1, a: [x]}}
  - {name: secret, secretKeyRef: {name: s, key: k}}
  - {name: variable, envRef: HOME}
  - {name: nothing}
auth: {secretStore: vault}
",
    );
    assert_eq!(problems(&loaded), Vec::<String>::new());
    let component = &loaded.components[0];
    assert_eq!(component.log_name(), "123 (state.redis/1)");
    assert_eq!(component.category(), "state");
    assert_eq!(component.auth.secret_store, "vault");
    assert_eq!(component.init_timeout().unwrap().to_string(), "1m0s");
    assert!(component.spec.ignore_errors && component.refers_to_secrets());
    let text = |name| {
        component
            .setting(name)
            .and_then(|item| item.value.as_ref())
            .map(ToString::to_string)
    };
    assert_eq!(text("TEXT").as_deref(), Some("abc"));
    assert_eq!(text("number").as_deref(), Some("10"));
    assert_eq!(text("float").as_deref(), Some("1000"));
    assert_eq!(text("flag").as_deref(), Some("true"));
    assert_eq!(text("tree").as_deref(), Some(r#"{"a":["x"],"b":1}"#));
    assert_eq!(
        component.setting("variable").unwrap().source(),
        ValueSource::Env("HOME")
    );
    assert_eq!(component.setting("nothing").unwrap().source(), ValueSource::Nothing);
}

#[test]
fn both_forms_of_subscription_become_one() {
    let loaded = parse(
        "apiVersion: dapr.io/v1alpha1
kind: Subscription
metadata: {name: old}
spec: {pubsubname: p, topic: t, route: /a, deadLetterTopic: d, bulkSubscribe: {enabled: true, maxMessagesCount: 5}}
scopes: [app]
---
apiVersion: dapr.io/v2alpha1
Kind: Subscription
metadata: {name: new}
spec:
  pubsubname: p
  topic: t
  metadata: {rawPayload: true}
  routes: {default: /a, rules: [{match: event.type == \"x\", path: /x}]}
",
    );
    assert_eq!(problems(&loaded), Vec::<String>::new());
    let [old, new] = &loaded.subscriptions[..] else {
        panic!("{loaded:?}")
    };
    assert_eq!(old.spec.routes.default, "/a");
    assert_eq!(
        (
            old.spec.bulk_subscribe.max_messages_count,
            old.spec.dead_letter_topic.as_str()
        ),
        (5, "d")
    );
    assert_eq!(new.spec.routes.rules[0].condition, "event.type == \"x\"");
    assert_eq!(new.spec.metadata.get("rawPayload").map(String::as_str), Some("true"));
    let back = Subscription::from(SubscriptionV1::from(old.clone()));
    assert_eq!(&back, old);
}

#[test]
fn fields_of_the_newer_form_are_unknown_to_the_older_one() {
    let loaded = parse(
        "apiVersion: dapr.io/v1alpha1\nkind: Subscription\nmetadata: {name: s}\nspec: {topic: t, routes: {default: /a}}\n",
    );
    assert_eq!(
        problems(&loaded),
        ["test.yaml: Subscription s: spec.routes: unknown field, it has no effect"]
    );
}

#[test]
fn all_kinds_are_read() {
    let text = "apiVersion: dapr.io/v1alpha1
kind: HTTPEndpoint
metadata: {name: h}
spec: {baseUrl: http://x, headers: [{name: a, value: 1}], clientTLS: {rootCA: {value: pem}, renegotiation: Never}}
---
apiVersion: dapr.io/v1alpha1
kind: Resiliency
metadata: {name: r}
spec: {policies: {timeouts: {fast: 500}}}
---
apiVersion: dapr.io/v1alpha1
kind: MCPServer
metadata: {name: m}
spec: {endpoint: {sse: {url: http://x}}}
---
apiVersion: dapr.io/v1alpha1
kind: WorkflowAccessPolicy
metadata: {name: w}
spec: {rules: []}
---
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: c}
spec: {anything: true}
---
apiVersion: v1
kind: Service
metadata: {name: s}
";
    let loaded = parse(text);
    assert_eq!(loaded.http_endpoints[0].log_name(), "h (http://x)");
    assert_eq!(loaded.resiliencies[0].spec.policies.timeouts["fast"], "500");
    assert_eq!(
        loaded.mcp_servers[0].spec,
        json!({"endpoint": {"sse": {"url": "http://x"}}})
    );
    assert_eq!(loaded.workflow_access_policies[0].name(), "w");
    assert!(
        loaded
            .problems
            .iter()
            .all(|problem| problem.severity == Severity::Debug),
        "{:?}",
        problems(&loaded)
    );
    assert_eq!(loaded.problems.len(), 2);
}

#[test]
fn problems_name_file_resource_and_field() {
    let text = "apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: typo}
spec: {type: a.b, version: v1, metdata: []}
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: wrong}
spec: {type: [a], version: v1}
---
apiVersion: dapr.io/v9
kind: Component
metadata: {name: future}
---
just text
---
a: [
";
    let loaded = parse(text);
    let found = problems(&loaded);
    assert_eq!(
        found[..4],
        [
            "test.yaml: Component typo: spec.metdata: unknown field, it has no effect",
            "test.yaml (document at line 5): Component wrong: spec.type: expected text, found a list (left out)",
            "test.yaml (document at line 10): Component future: apiVersion: expected dapr.io/v1alpha1, found \"dapr.io/v9\" (left out)",
            "test.yaml (document at line 14): expected a map (left out)",
        ]
    );
    assert!(
        found[4].starts_with("test.yaml (document at line 16): no YAML: "),
        "{}",
        found[4]
    );
    assert_eq!(names(&loaded.components), ["typo"]);
}

#[test]
fn folders_are_read_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("2.yml", &component("b", "", "state.in-memory"));
    write("1.yaml", &component("a", "", "state.in-memory"));
    write(
        "3.YAML",
        &format!("{}scopes: [other]", component("c", "", "state.in-memory")),
    );
    write("secrets.json", "{\"a\": \"b\"}");
    fs::write(folder.path().join("4.yaml"), b"\xff\xfe\x00").unwrap();
    fs::create_dir(folder.path().join("5.yaml")).unwrap();
    let loaded = from_paths(&[folder.path().to_owned()], &in_namespace("")).unwrap();
    assert_eq!(names(&loaded.components), ["a", "b"]);
    assert_eq!(loaded.problems.len(), 1);
    assert!(loaded.problems[0].message.contains("UTF-8"), "{:?}", loaded.problems);
}

#[test]
fn names_are_unique_across_files_and_scopes() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.yaml"), component("foo", "", "pubsub.in-memory")).unwrap();
    let other = format!("{}scopes: [other]", component("foo", "", "state.in-memory"));
    fs::write(folder.path().join("2.yaml"), other).unwrap();
    let error = from_paths(&[folder.path().to_owned()], &Filter::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "duplicate definition of Component name foo (state.in-memory/v1) with existing foo (pubsub.in-memory/v1)"
    );
}

#[test]
fn a_missing_folder_is_fatal() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    let error = from_paths(std::slice::from_ref(&missing), &Filter::default()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.starts_with(&format!("open {}: ", missing.display())),
        "{message}"
    );
    assert!(matches!(error, LoadError::Folder { .. }));
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let mut loaded = parse(&text);
        let _ = loaded.check_unique();
        loaded.retain_in_scope("app");
    }

    #[test]
    fn no_resource_panics(kind in 0..7usize, body in "(  [a-zA-Z]{1,9}: [-\\[\\]{}a-z0-9:,\"'&*!.]{0,12}\n){0,6}") {
        let kind = Kind::ALL[kind];
        for version in kind.versions() {
            parse(&format!("apiVersion: {version}\nkind: {kind}\nmetadata:\n  name: n\nspec:\n{body}"));
        }
    }
}
