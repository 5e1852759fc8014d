//! The `method` and `path` labels.

use super::*;

#[test]
fn paths_with_increased_cardinality() {
    let metrics = sidecar(|_| {});
    let count = |method, path, status| {
        metrics.http_server_request(&Exchange {
            method,
            path,
            status,
            ..Exchange::default()
        });
    };
    count("GET", "/v1.0/invoke/myapp/method/hi", 200);
    count("POST", "/v1.0/state/mystore", 204);
    count("GET", "/v1.0/state/mystore/myvalue", 200);
    count("POST", "/v1.0/actors/myactortype/myactorid/method/foo", 200);
    count("GET", "/v1.0/healthz", 204);
    for (name, method, path, status) in [
        ("request", "GET", "/v1.0/invoke/myapp/method/hi", 200),
        ("request", "POST", "/v1.0/state/mystore", 204),
        ("request", "GET", "/v1.0/state/mystore", 200),
        ("request", "POST", "/v1.0/actors/myactortype/{id}/method", 200),
        ("response", "GET", "/v1.0/healthz", 204),
    ] {
        let labels = format!("app_id=\"myapp\",method=\"{method}\",path=\"{path}\",status=\"{status}\"");
        has(&metrics, &format!("dapr_http_server_{name}_count{{{labels}}} 1"));
    }
}

#[test]
fn paths_of_the_application_lose_their_ids() {
    let metrics = sidecar(|_| {});
    let path = "/actors/cat/tom/method/remind/feed";
    metrics.http_client_completed(&Exchange {
        method: "PUT",
        path,
        status: 200,
        ..Exchange::default()
    });
    let labels = "app_id=\"myapp\",method=\"PUT\",path=\"/actors/cat/{id}/method/remind/feed\",status=\"200\"";
    has(&metrics, &format!("dapr_http_client_completed_count{{{labels}}} 1"));
}

#[test]
fn paths_with_low_cardinality() {
    let metrics = sidecar(|options| options.http.increased_cardinality = false);
    get(&metrics, "/v1.0/invoke/myapp/method/hi");
    get(&metrics, "/v1.0/state/mystore/myvalue");
    let exchange = Exchange {
        method: "GET",
        path: "/dapr/config",
        status: 200,
        ..Exchange::default()
    };
    metrics.http_client_completed(&exchange);
    let labels = |path: &str| format!("app_id=\"myapp\",method=\"GET\",path=\"{path}\",status=\"200\"");
    has(&metrics, &format!("dapr_http_server_request_count{{{}}} 2", labels("")));
    has(
        &metrics,
        &format!("dapr_http_client_completed_count{{{}}} 1", labels("/dapr/config")),
    );
    lacks(&metrics, "dapr_http_server_response_count");
}

fn matching(increased_cardinality: bool, templates: &[&str]) -> Metrics {
    sidecar(|options| {
        options.http.increased_cardinality = increased_cardinality;
        options.http.path_matching = templates.iter().map(|template| (*template).to_owned()).collect();
    })
}

const ORDERS: &[&str] = &[
    "/v1.0/invoke/myapp/method/basket",
    "/v1.0/invoke/myapp/method/orders/1234",
    "/v1.0/invoke/myapp/method/orders/{orderID}",
    "/v1.0/invoke/myapp/method/orders",
    "/v1.0/state/mystore/{key}",
];

fn order_requests(metrics: &Metrics) {
    for path in ["orders/1111", "orders/1234", "orders", "basket", "items/1234"] {
        get(metrics, &format!("/v1.0/invoke/myapp/method/{path}"));
    }
    get(metrics, "//v1.0/invoke/myapp/method/orders/9999");
}

#[test]
fn matched_paths_with_low_cardinality() {
    let metrics = matching(false, ORDERS);
    order_requests(&metrics);
    get(&metrics, "/v1.0/state/mystore/foo");
    has(&metrics, &requests("/v1.0/invoke/myapp/method/orders/{orderID}", 2));
    has(&metrics, &requests("/v1.0/invoke/myapp/method/orders/1234", 1));
    has(&metrics, &requests("/v1.0/invoke/myapp/method/orders", 1));
    has(&metrics, &requests("/v1.0/invoke/myapp/method/basket", 1));
    has(&metrics, &requests("/v1.0/state/mystore/{key}", 1));
    has(&metrics, &requests("", 1));
}

#[test]
fn matched_paths_with_increased_cardinality() {
    let metrics = matching(true, ORDERS);
    order_requests(&metrics);
    has(&metrics, &requests("/v1.0/invoke/myapp/method/orders/{orderID}", 2));
    has(&metrics, &requests("/v1.0/invoke/myapp/method/items/1234", 1));
    has(
        &metrics,
        &requests("/v1.0/invoke/myapp/method/orders/{orderID}", 2).replace("request_count", "response_count"),
    );
}

#[test]
fn templates_of_the_application_match_invocations_too() {
    let metrics = matching(false, &["/orders/{orderID}", "/files/{path...}", "/open/"]);
    get(&metrics, "/v1.0/invoke/myapp/method/orders/1234");
    get(&metrics, "/v1.0/invoke/myapp/method/orders/5678");
    get(&metrics, "/v1.0/invoke/myapp/method/files/a/b");
    get(&metrics, "/v1.0/invoke/myapp/method/open/a");
    get(&metrics, "/orders/1");
    get(&metrics, "/v1.0/invoke/myapp/method/orders/1/items");
    has(&metrics, &requests("/v1.0/invoke/{app_id}/method/orders/{orderID}", 2));
    has(&metrics, &requests("/v1.0/invoke/{app_id}/method/files/{path...}", 1));
    has(&metrics, &requests("/v1.0/invoke/{app_id}/method/open/", 1));
    has(&metrics, &requests("/orders/{orderID}", 1));
    has(&metrics, &requests("", 1));
}

#[test]
fn verbs_can_be_left_out() {
    let metrics = sidecar(|options| options.http.exclude_verbs = true);
    get(&metrics, "/v1.0/invoke/myapp/method/orders/123");
    has(
        &metrics,
        &requests("/v1.0/invoke/myapp/method/orders/123", 1).replace("GET", ""),
    );
}
