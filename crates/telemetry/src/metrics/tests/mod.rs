mod labels;

use std::time::Duration;

use super::http::Exchange;
use super::resiliency::Policy;
use super::*;

const MS: Duration = Duration::from_millis(1);

fn areas() -> Vec<&'static View> {
    let areas = [
        service::ALL,
        component::ALL,
        http::ALL,
        grpc::ALL,
        workflow::ALL,
        resiliency::ALL,
        error_code::ALL,
    ];
    areas.concat()
}

fn sidecar(change: impl FnOnce(&mut Options)) -> Metrics {
    let mut options = Options {
        app_id: Some("myapp".into()),
        ..Options::default()
    };
    change(&mut options);
    Metrics::new(&options).expect("metrics")
}

fn has(metrics: &Metrics, line: &str) {
    let text = metrics.render();
    assert!(text.lines().any(|own| own == line), "no line {line}\nin\n{text}");
}

fn lacks(metrics: &Metrics, part: &str) {
    let text = metrics.render();
    assert!(!text.contains(part), "{part} in\n{text}");
}

fn get(metrics: &Metrics, path: &str) {
    metrics.http_server_request(&Exchange {
        method: "GET",
        path,
        status: 200,
        elapsed: MS,
        ..Exchange::default()
    });
}

fn requests(path: &str, count: u32) -> String {
    let labels = format!("app_id=\"myapp\",method=\"GET\",path=\"{path}\",status=\"200\"");
    format!("dapr_http_server_request_count{{{labels}}} {count}")
}

#[test]
fn the_sidecar_has_96_views_and_their_labels_are_in_order() {
    let views = areas();
    assert_eq!(views.len(), 96);
    let mut names: Vec<String> = views.iter().map(|view| view.exposed_name()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 96);
    for view in views {
        // the key that differs in case is ordered as text all the same
        assert!(view.labels.is_sorted(), "labels of {}", view.name);
        assert!(!view.labels.contains(&"app_id"), "labels of {}", view.name);
    }
}

#[test]
fn names_are_exposed_as_the_original_does() {
    assert_eq!(
        http::SERVER_REQUEST_COUNT.exposed_name(),
        "dapr_http_server_request_count"
    );
    assert_eq!(
        grpc::SERVER_COMPLETED.exposed_name(),
        "dapr_grpc_io_server_completed_rpcs"
    );
    assert_eq!(error_code::TOTAL.exposed_name(), "dapr_error_code_total");
}

#[test]
fn a_counter_is_written_with_help_type_and_empty_labels() {
    let metrics = sidecar(|_| {});
    metrics.workflow_operation("create_workflow", "success", Duration::ZERO);
    let text = metrics.render();
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("workflow")).collect();
    assert_eq!(
        lines,
        [
            "# HELP dapr_runtime_workflow_operation_count The number of successful/failed workflow operation requests.",
            "# TYPE dapr_runtime_workflow_operation_count counter",
            "dapr_runtime_workflow_operation_count{app_id=\"myapp\",namespace=\"\",operation=\"create_workflow\",\
             status=\"success\"} 1",
        ]
    );
}

#[test]
fn a_histogram_is_cumulative_and_uses_gos_numbers() {
    let metrics = sidecar(|_| {});
    metrics.observe(&http::SERVER_REQUEST_BYTES, &[], 1024.);
    metrics.observe(&http::SERVER_REQUEST_BYTES, &[], 3e6);
    has(&metrics, "# TYPE dapr_http_server_request_bytes histogram");
    has(
        &metrics,
        "dapr_http_server_request_bytes_bucket{app_id=\"myapp\",le=\"1024\"} 1",
    );
    has(
        &metrics,
        "dapr_http_server_request_bytes_bucket{app_id=\"myapp\",le=\"1.048576e+06\"} 1",
    );
    has(
        &metrics,
        "dapr_http_server_request_bytes_bucket{app_id=\"myapp\",le=\"+Inf\"} 2",
    );
    has(
        &metrics,
        "dapr_http_server_request_bytes_sum{app_id=\"myapp\"} 3.001024e+06",
    );
    has(&metrics, "dapr_http_server_request_bytes_count{app_id=\"myapp\"} 2");
}

#[test]
fn floats_are_written_as_go_does() {
    let cases = [
        (0.0, "0"),
        (1.0, "1"),
        (100_000., "100000"),
        (1e6, "1e+06"),
        (1_729_720_899., "1.729720899e+09"),
        (0.1, "0.1"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-2.5, "-2.5"),
        (f64::INFINITY, "+Inf"),
    ];
    for (value, expected) in cases {
        let mut out = String::new();
        push_float(&mut out, value);
        assert_eq!(out, expected);
    }
}

#[test]
fn label_values_are_escaped() {
    let metrics = sidecar(|_| {});
    metrics.component_initialized("a\"b\\c\nd");
    has(
        &metrics,
        r#"dapr_runtime_component_init_total{app_id="myapp",component="a\"b\\c\nd"} 1"#,
    );
}

#[test]
fn handles_and_names_reach_the_same_series() {
    let metrics = sidecar(|_| {});
    let counter = metrics.counter(&component::STATE_COUNT, &["store", "", "get", "true"]);
    counter.increment();
    counter.add(2);
    metrics.component_state("store", "get", true, MS);
    let line = "dapr_component_state_count{app_id=\"myapp\",component=\"store\",namespace=\"\",operation=\"get\",success=\"true\"} 4";
    has(&metrics, line);
    let gauge = metrics.actor_timers("cat");
    gauge.add(3);
    gauge.add(-1);
    has(
        &metrics,
        "dapr_runtime_actor_timers{actor_type=\"cat\",app_id=\"myapp\"} 2",
    );
    gauge.set(0);
    has(
        &metrics,
        "dapr_runtime_actor_timers{actor_type=\"cat\",app_id=\"myapp\"} 0",
    );
}

#[test]
fn values_are_told_apart_by_position() {
    let metrics = sidecar(|_| {});
    metrics.increment(&service::INVOCATION_REQ_SENT, &["ab", ""]);
    metrics.increment(&service::INVOCATION_REQ_SENT, &["a", "b"]);
    has(
        &metrics,
        "dapr_runtime_service_invocation_req_sent_total{app_id=\"myapp\",dst_app_id=\"ab\",type=\"\"} 1",
    );
    has(
        &metrics,
        "dapr_runtime_service_invocation_req_sent_total{app_id=\"myapp\",dst_app_id=\"a\",type=\"b\"} 1",
    );
}

#[test]
fn many_threads_lose_nothing() {
    let metrics = sidecar(|_| {});
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for at in 0..1000 {
                    metrics.pubsub_egress("pubsub", if at % 2 == 0 { "even" } else { "odd" }, true, MS);
                }
            });
        }
    });
    let labels = "app_id=\"myapp\",component=\"pubsub\",namespace=\"\",success=\"true\",topic=\"odd\"";
    has(
        &metrics,
        &format!("dapr_component_pubsub_egress_count{{{labels}}} 2000"),
    );
    has(
        &metrics,
        &format!("dapr_component_pubsub_egress_latencies_sum{{{labels}}} 2000"),
    );
}

#[test]
fn a_full_view_counts_the_rest_together() {
    let metrics = sidecar(|_| {});
    for at in 0..MAX_SERIES + 5 {
        metrics.component_initialized(&at.to_string());
    }
    has(
        &metrics,
        "dapr_runtime_component_init_total{app_id=\"myapp\",component=\"_other\"} 5",
    );
    metrics.component_initialized("7");
    has(
        &metrics,
        "dapr_runtime_component_init_total{app_id=\"myapp\",component=\"7\"} 2",
    );
}

#[test]
fn a_long_value_is_cut() {
    let metrics = sidecar(|_| {});
    metrics.component_initialized(&"ü".repeat(MAX_VALUE));
    has(
        &metrics,
        &format!(
            "dapr_runtime_component_init_total{{app_id=\"myapp\",component=\"{}\"}} 1",
            "ü".repeat(MAX_VALUE / 2)
        ),
    );
}

#[test]
fn disabled_metrics_do_nothing() {
    let metrics = Metrics::disabled();
    get(&metrics, "/v1.0/healthz");
    metrics.counter(&error_code::TOTAL, &["a", "b"]).increment();
    metrics.actor_timers("cat").set(1);
    assert_eq!(metrics.render(), "");
}

#[test]
fn raw_views_and_collectors_of_other_programs() {
    static LEADER: View = View::gauge("etcd_server_has_leader", &[], "1 with a leader.").raw();
    static LATENCY: View = View::histogram(
        "scheduler/trigger_latency",
        &["type"],
        &[0., 100., 500.],
        "Time to trigger.",
    );
    let metrics = sidecar(|_| {});
    metrics.gauge(&LEADER, &[]).set(1);
    metrics.observe(&LATENCY, &["job"], 200.);
    metrics.collect(Box::new(|out| out.gauge("extra", "More.", 2.5)));
    has(&metrics, "etcd_server_has_leader 1");
    has(&metrics, "extra 2.5");
    has(
        &metrics,
        "dapr_scheduler_trigger_latency_bucket{app_id=\"myapp\",type=\"job\",le=\"100\"} 0",
    );
    lacks(&metrics, "le=\"0\"");
}

#[test]
fn the_process_is_described() {
    let text = sidecar(|_| {}).render();
    for name in [
        "cpu_seconds_total",
        "resident_memory_bytes",
        "virtual_memory_bytes",
        "open_fds",
        "start_time_seconds",
    ] {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("process_{name} ")))
            .expect(name);
        let value: f64 = line
            .rsplit(' ')
            .next()
            .and_then(|value| value.parse().ok())
            .expect(name);
        assert!(value >= 0., "{line}");
    }
    let start = text
        .lines()
        .find_map(|line| line.strip_prefix("process_start_time_seconds "))
        .expect("start");
    assert!(start.parse::<f64>().expect("number") > 1.7e9);
}

#[test]
fn latency_buckets_come_from_the_configuration() {
    let metrics = sidecar(|options| options.latency_buckets = Some(vec![5., 50., 500., 5000.]));
    get(&metrics, "/x");
    let text = metrics.render();
    let bounds: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("dapr_http_server_latency_bucket"))
        .filter_map(|line| line.split("le=\"").nth(1)?.split('"').next())
        .collect();
    assert_eq!(bounds, ["5", "50", "500", "5000", "+Inf"]);
}

#[test]
fn rules_rewrite_label_values() {
    let rule = |name: &str| Rule {
        name: name.into(),
        labels: vec![RuleLabel {
            name: "path".into(),
            regex: vec![
                ("/orders/{id}".into(), "/orders/.+".into()),
                ("/$1".into(), "/(v[0-9])/.*".into()),
            ],
        }],
    };
    let metrics =
        sidecar(|options| options.rules = vec![rule("dapr_http_server_request_count"), rule("http/client/x")]);
    get(&metrics, "/orders/1");
    get(&metrics, "/orders/2");
    get(&metrics, "/v2/a");
    has(&metrics, &requests("/orders/{id}", 2));
    has(&metrics, &requests("/v2", 1));
    has(
        &metrics,
        &requests("/orders/1", 1).replace("request_count", "response_count"),
    );
    let bad = Options {
        rules: vec![Rule {
            name: "m".into(),
            labels: vec![RuleLabel {
                name: "l".into(),
                regex: vec![(String::new(), "(".into())],
            }],
        }],
        ..Options::default()
    };
    assert!(Metrics::new(&bad).is_err());
}

#[test]
fn error_codes_are_counted_when_wanted() {
    let metrics = sidecar(|_| {});
    metrics.error_code("state", "ERR_STATE_GET");
    lacks(&metrics, "dapr_error_code_total");
    let metrics = sidecar(|options| options.record_error_codes = true);
    metrics.error_code("state", "ERR_STATE_GET");
    has(
        &metrics,
        "dapr_error_code_total{app_id=\"myapp\",category=\"state\",error_code=\"ERR_STATE_GET\"} 1",
    );
}

#[test]
fn a_breaker_is_in_one_state() {
    let metrics = sidecar(|_| {});
    let mut policy = Policy {
        name: "myresiliency",
        namespace: "",
        policy: "circuitbreaker",
        flow_direction: "outbound",
        target: "app_server",
        status: "closed",
    };
    metrics.resiliency_count(&policy);
    metrics.resiliency_breaker_state(&policy);
    policy.status = "half-open";
    metrics.resiliency_breaker_state(&policy);
    let labels = |status: &str| {
        format!(
            "{{app_id=\"myapp\",flow_direction=\"outbound\",name=\"myresiliency\",namespace=\"\",\
             policy=\"circuitbreaker\",status=\"{status}\",target=\"app_server\"}}"
        )
    };
    has(&metrics, &format!("dapr_resiliency_count{} 1", labels("closed")));
    has(&metrics, &format!("dapr_resiliency_cb_state{} 0", labels("closed")));
    has(&metrics, &format!("dapr_resiliency_cb_state{} 1", labels("half-open")));
}

#[test]
fn fractions_of_a_millisecond_count() {
    let metrics = sidecar(|_| {});
    metrics.component_job("job_trigger_op", true, Duration::from_micros(250));
    let labels = "app_id=\"myapp\",namespace=\"\",operation=\"job_trigger_op\"";
    has(&metrics, &format!("dapr_component_job_success_count{{{labels}}} 1"));
    has(
        &metrics,
        &format!("dapr_component_job_latencies_sum{{{labels},success=\"true\"}} 0.25"),
    );
}

#[test]
fn grpc_calls_are_counted_by_method_and_status() {
    let metrics = sidecar(|_| {});
    metrics.grpc_server_completed("/dapr.proto.runtime.v1.Dapr/GetState", grpc::status_name(0), 10, 20, MS);
    let labels =
        "app_id=\"myapp\",grpc_server_method=\"/dapr.proto.runtime.v1.Dapr/GetState\",grpc_server_status=\"OK\"";
    has(&metrics, &format!("dapr_grpc_io_server_completed_rpcs{{{labels}}} 1"));
    assert_eq!(grpc::status_name(16), "Unauthenticated");
    assert_eq!(grpc::status_name(99), "Unknown");
}

#[test]
fn two_sidecars_have_metrics_of_their_own() {
    let (one, two) = (
        sidecar(|_| {}),
        sidecar(|options| options.app_id = Some("other".into())),
    );
    one.component_loaded();
    two.component_loaded();
    has(&one, "dapr_runtime_component_loaded{app_id=\"myapp\"} 1");
    has(&two, "dapr_runtime_component_loaded{app_id=\"other\"} 1");
}
