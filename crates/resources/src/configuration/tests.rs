use std::path::PathBuf;

use proptest::prelude::*;
use serde_json::json;

use super::access::{AccessControlError, Action};
use super::api::{ApiRuleError, Protocol};
use super::features::{ACTOR_STATE_TTL, HOT_RELOAD};
use super::*;

fn load(texts: &[&str]) -> Result<LoadedConfiguration, ConfigurationError> {
    let named = texts
        .iter()
        .enumerate()
        .map(|(n, text)| (PathBuf::from(format!("{n}.yaml")), (*text).to_owned()));
    from_texts(&named.collect::<Vec<_>>(), |name| {
        (name == "RATE").then(|| "0.5".to_owned())
    })
}

fn spec(text: &str) -> Configuration {
    let text = format!("apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {{name: c}}\nspec:\n{text}");
    let loaded = load(&[&text]).unwrap();
    assert_eq!(loaded.problems, []);
    loaded.configuration
}

#[test]
fn nothing_written_is_all_defaults() {
    let configuration = load(&[]).unwrap().configuration;
    assert_eq!(configuration, Configuration::default());
    let metrics = configuration.metrics();
    assert!(metrics.enabled && metrics.increased_cardinality && !metrics.record_error_codes && !metrics.exclude_verbs);
    assert_eq!(
        configuration.features().enabled_names(),
        ["HotReload", "WorkflowsRemoteActivityReminder"]
    );
    assert!(!configuration.mtls_enabled());
    assert!(!configuration.api_logging().enabled);
}

#[test]
fn every_field_is_known() {
    let configuration = spec(include_str!("tests/full.yaml"));
    let tracing = configuration.spec.tracing.as_ref().unwrap();
    assert_eq!(tracing.sampling_rate, "0.5");
    let otel = tracing.otel.as_ref().unwrap();
    assert!(otel.is_secure());
    assert_eq!(otel.timeout().unwrap(), Some(GoDuration::from_secs(30)));
    let headers: Vec<_> = otel
        .headers
        .iter()
        .filter_map(tracing::OtelHeader::name_and_value)
        .collect();
    assert_eq!(
        headers,
        [("a".to_owned(), "b=c".to_owned()), ("d".to_owned(), "1".to_owned())]
    );
    let mtls = configuration.spec.mtls.as_ref().unwrap();
    assert!(configuration.mtls_enabled());
    assert_eq!(mtls.workload_cert_ttl().unwrap(), GoDuration::from_secs(3600));
    assert_eq!(mtls.allowed_clock_skew().unwrap(), GoDuration::from_secs(900));
    assert_eq!(mtls.token_validators[0].options, json!({"source": "https://x"}));
    let workflow = configuration.spec.workflow.as_ref().unwrap();
    assert_eq!(workflow.workflow_concurrency_limits[0].max_concurrent, Some(3));
    let retention = workflow.state_retention_policy.as_ref().unwrap();
    assert_eq!(retention.any_terminal, Some(GoDuration::from_secs(168 * 3600)));
    assert_eq!(retention.completed, Some(GoDuration::ZERO));
    assert!(configuration.api_logging().obfuscate_urls);
    assert_eq!(
        configuration.spec.http_pipeline.as_ref().unwrap().handlers[0].type_name,
        "middleware.http.bearer"
    );
    assert_eq!(
        configuration.spec.name_resolution.as_ref().unwrap().configuration,
        json!({"Address": 1})
    );
}

#[test]
fn what_is_written_out_is_read_back() {
    let configuration = spec(include_str!("tests/full.yaml"));
    let text = serde_json::to_string(&configuration).unwrap();
    let decoded = crate::decode::from_json::<Configuration>(text.as_bytes()).unwrap();
    assert_eq!(decoded.unknown, Vec::<String>::new());
    assert_eq!(decoded.value, configuration);
    assert!(text.contains(r#""increasedCardinality":false"#), "{text}");
}

#[test]
fn metrics_win_over_metric() {
    let metrics = spec(
        "  metric: {enabled: false, recordErrorCodes: true, http: {increasedCardinality: false, pathMatching: [/a]}}\n  \
         metrics: {enabled: true, http: {excludeVerbs: true}, latencyDistributionBuckets: [1, 2]}\n",
    )
    .metrics();
    assert!(metrics.enabled && metrics.record_error_codes && metrics.exclude_verbs && !metrics.increased_cardinality);
    assert_eq!(metrics.path_matching, ["/a"]);
    assert_eq!(metrics.latency_distribution_buckets, Some(vec![1, 2]));
}

#[test]
fn later_files_win_field_by_field() {
    let loaded = load(&[
        "kind: Configuration\nmetadata: {name: a}\nspec: {features: [{name: Feature1, enabled: true}], \
         tracing: {samplingRate: 1, stdout: true}, nameResolution: {component: x, configuration: {a: 1}}}",
        "",
        "Kind: Configuration\nmetadata: {name: b}\nspec: {Features: [{name: Feature2, enabled: true}], \
         Tracing: {samplingRate: $RATE}, metric: null, nameResolution: {configuration: {b: 2}}}",
    ])
    .unwrap();
    assert_eq!(loaded.problems, []);
    let configuration = loaded.configuration;
    assert_eq!(configuration.name(), "b");
    let features = configuration.features();
    assert!(features.is_enabled("Feature2") && !features.is_enabled("Feature1"));
    let tracing = configuration.spec.tracing.unwrap();
    assert_eq!((tracing.sampling_rate.as_str(), tracing.stdout), ("0.5", true));
    let resolution = configuration.spec.name_resolution.unwrap();
    assert_eq!(
        (resolution.component.as_str(), resolution.configuration),
        ("x", json!({"b": 2}))
    );
}

#[test]
fn variables_are_expanded_before_parsing() {
    let configuration = spec("  tracing: {samplingRate: \"${RATE}\", zipkin: {endpointAddress: \"x$UNSET\"}}\n");
    let tracing = configuration.spec.tracing.unwrap();
    assert_eq!(tracing.sampling_rate, "0.5");
    assert_eq!(tracing.zipkin.unwrap().endpoint_address, "x");
}

#[test]
fn errors_name_the_file() {
    let message = |texts: &[&str]| load(texts).unwrap_err().to_string();
    assert_eq!(
        message(&["", "spec: {metric: {enabled: [1]}}"]),
        "1.yaml: spec.metric.enabled: expected true or false, found a list"
    );
    assert!(message(&["a: ["]).starts_with("0.yaml: "));
    assert_eq!(message(&["text"]), "0.yaml: expected a map");
    let missing = load_files(&[PathBuf::from("/does/not/exist.yaml")], |_| None).unwrap_err();
    assert!(
        missing.to_string().starts_with("open /does/not/exist.yaml: "),
        "{missing}"
    );
}

#[test]
fn what_has_no_effect_is_told() {
    let loaded = load(&["kind: Component\nmetadata: {name: c}\nspec: {tracng: {}}\n---\nkind: Other\n"]).unwrap();
    let messages: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        messages,
        [
            "0.yaml: Configuration c: kind: expected Configuration, found \"Component\"",
            "0.yaml: Configuration: not read: a file holds one configuration",
            "0.yaml: Configuration c: spec.tracng: unknown field, it has no effect",
        ]
    );
}

#[test]
fn features_are_switched_by_name() {
    let features = spec(
        "  features: [{name: ActorStateTTL, enabled: true}, {name: HotReload, enabled: true}, \
         {name: HotReload, enabled: false}, {name: Unheard, enabled: true}]\n",
    )
    .features();
    assert!(features.is_enabled(ACTOR_STATE_TTL) && !features.is_enabled(HOT_RELOAD));
    assert_eq!(
        features.enabled_names(),
        ["ActorStateTTL", "WorkflowsRemoteActivityReminder", "Unheard"]
    );
    assert_eq!(features.unknown_names(), ["Unheard"]);
}

#[test]
fn secrets_and_components_are_restricted() {
    let configuration = spec(
        "  secrets: {scopes: [{storeName: a, defaultAccess: deny, allowedSecrets: [x]}, \
         {storeName: b, deniedSecrets: [z]}, {storeName: c, defaultAccess: deny}]}\n  \
         components: {deny: [bindings.smtp, state.redis/v2]}\n",
    );
    let scopes = configuration.secrets_scopes();
    assert!(scopes["a"].permits("x") && !scopes["a"].permits("z"));
    assert!(scopes["b"].permits("x") && !scopes["b"].permits("z"));
    assert!(!scopes["c"].permits("x"));
    assert!(configuration.denies_component("bindings.smtp", "v9"));
    assert!(configuration.denies_component("state.redis", "v2") && !configuration.denies_component("state.redis", ""));
}

#[test]
fn parts_of_the_api_are_allowed_and_denied() {
    let api = spec(
        "  api:\n    allowed: [{name: state, version: v1.0, protocol: http}, {name: secrets/a, version: v1.0, protocol: http}, \
         {name: crypto, version: v1.0-alpha1, protocol: http}]\n    denied: [{name: state, version: v1.0-alpha1, protocol: http}]\n",
    )
    .spec
    .api
    .unwrap();
    assert_eq!(api.problems(), []);
    let http = |group, version, path| api.permits(Protocol::Http, group, version, path);
    assert!(http("state", "v1.0", "state/{store}") && !http("state", "v1.0-alpha1", "state/{store}/query"));
    assert!(!http("publish", "v1.0", "publish/x") && http("healthz", "v1.0", "healthz"));
    assert!(http("secrets", "v1.0", "secrets/a/b") && !http("secrets", "v1.0", "secrets/ab"));
    assert!(http("crypto", "v1alpha1", "crypto/x"));
    assert!(api.permits(Protocol::Grpc, "publish", "v1", ""));
}

#[test]
fn rules_of_the_api_without_effect_are_told() {
    let text = "  api: {denied: [{name: stat, version: v1}, {name: state, version: v3}, {name: state, version: v1, protocol: tcp}]}\n";
    let api = spec(text).spec.api.unwrap();
    assert_eq!(
        api.problems(),
        [
            ApiRuleError::Name("stat".into()),
            ApiRuleError::Version("v3".into()),
            ApiRuleError::Protocol("tcp".into()),
        ]
    );
}

fn access(text: &str) -> Result<Option<access::AccessRules>, AccessControlError> {
    spec(&format!("  accessControl: {text}\n"))
        .spec
        .access_control
        .unwrap_or_default()
        .rules()
}

#[test]
fn access_is_denied_unless_said_otherwise() {
    let default = |text: &str| access(text).unwrap().map(|rules| rules.default_action);
    assert_eq!(default("{}"), None);
    assert_eq!(default("{trustDomain: x}"), Some(Action::Deny));
    assert_eq!(default("{policies: []}"), Some(Action::Allow));
    assert_eq!(default("{policies: [], defaultAction: deny}"), Some(Action::Deny));
    assert_eq!(default("{defaultAction: allow}"), Some(Action::Allow));
    assert_eq!(
        access("{defaultAction: allow}").unwrap().unwrap().trust_domain,
        "public"
    );
}

#[test]
fn policies_of_access_say_whom_they_are_about() {
    let rules = access(
        "{policies: [{appId: a, trustDomain: public, namespace: ns, defaultAction: allow, \
         operations: [{name: op, httpVerb: [post, '*'], action: deny}]}]}",
    )
    .unwrap()
    .unwrap();
    let policy = &rules.policies[0];
    assert_eq!(
        (policy.default_action, rules.default_action),
        (Action::Allow, Action::Deny)
    );
    assert_eq!(
        (policy.operations[0].path.as_str(), policy.operations[0].action),
        ("/op", Action::Deny)
    );
    assert_eq!(policy.operations[0].http_verbs, ["POST", "*"]);
    let message = |text: &str| access(text).unwrap_err().to_string();
    assert_eq!(
        message("{policies: [{appId: a, namespace: n}, {appId: b, namespace: n}]}"),
        "access control policies without trustDomain: a, b"
    );
    assert_eq!(
        message("{policies: [{namespace: n}]}"),
        "access control policies without appId: #0"
    );
    assert_eq!(
        message("{defaultAction: perhaps}"),
        "defaultAction: \"perhaps\" is neither allow nor deny"
    );
}

proptest! {
    #[test]
    fn no_text_panics(one in "\\PC*", two in "(kind|spec|metric|[-a-z:{}\\[\\], \n]){0,30}") {
        let _ = load(&[&one, &two]);
    }
}
