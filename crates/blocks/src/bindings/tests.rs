//! Tests of the output bindings API through both servers.

use super::{Bindings, OPS};
use crate::testing::{Bench, check_transports, loaded, reason};
use async_trait::async_trait;
use bytes::Bytes;
use component::{
    ComponentError, Metadata,
    binding::{Invoke, InvokeError, OutputBinding, Response},
};
use parking_lot::Mutex;
use prost::Message;
use runtime::Snapshot;
use std::{collections::HashMap, sync::Arc};
use tonic::Code;
use wire::runtime::v1::{InvokeBindingRequest, InvokeBindingResponse};

#[derive(Default)]
struct Fake(Mutex<Vec<Invoke>>);

fn metadata() -> Metadata {
    Metadata::from([("statusCode".into(), "404".into()), ("X-A".into(), "b".into())])
}

#[async_trait]
impl OutputBinding for Fake {
    fn operations(&self) -> Vec<String> {
        ["create", "echo", "fail", "nothing", "empty"]
            .map(str::to_owned)
            .to_vec()
    }

    async fn invoke(&self, request: Invoke) -> Result<Response, InvokeError> {
        let (operation, data) = (request.operation.clone(), request.data.clone());
        self.0.lock().push(request);
        match operation.as_str() {
            "fail" => Err(InvokeError {
                error: ComponentError::permanent("received status code 404"),
                response: Some(Response {
                    metadata: metadata(),
                    ..Response::default()
                }),
            }),
            "create" => Err(ComponentError::transient("it broke").into()),
            "nothing" => Ok(Response::default()),
            "empty" => Ok(Response {
                data: Some(Bytes::new()),
                metadata: metadata(),
                content_type: None,
            }),
            _ => Ok(Response {
                data: Some(data),
                metadata: metadata(),
                content_type: None,
            }),
        }
    }
}

fn bench() -> (Bench, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let mut snapshot = Snapshot::default();
    snapshot
        .output_bindings
        .extend([loaded("out", &[], fake.clone() as Arc<dyn OutputBinding>)]);
    (Bench::new(snapshot, OPS, Bindings::new), fake)
}

const OUT: &str = "/v1.0/bindings/out";

#[test]
fn operations_have_both_transports() {
    check_transports(OPS, &[], &[]);
}

#[tokio::test]
async fn data_over_http() {
    let (bench, fake) = bench();
    for (data, want) in [
        (r#","data":{"a" : 1}"#, r#"{"a":1}"#),
        (r#","data":"str""#, r#""str""#),
        (r#","DATA":12345678901234567890"#, "12345678901234567890"),
        (r#","data":null"#, "null"),
        ("", "null"),
    ] {
        for method in ["POST", "PUT"] {
            let answer = bench
                .http(method, OUT, &format!(r#"{{"OPERATION":"echo"{data}}} trailing"#))
                .await;
            assert_eq!((answer.status, answer.text.as_str()), (200, want));
            assert_eq!(
                (answer.header("metadata.statusCode"), answer.header("metadata.X-A")),
                ("404", "b")
            );
            assert_eq!(answer.header("content-type"), "application/json");
        }
    }
    assert_eq!(fake.0.lock()[0].data, r#"{"a":1}"#);
    assert_eq!(bench.http("POST", OUT, r#"{"operation":"nothing"}"#).await.status, 204);
    let empty = bench.http("POST", OUT, r#"{"operation":"empty"}"#).await;
    assert_eq!(
        (empty.status, empty.text.as_str(), empty.header("metadata.x-a")),
        (200, "", "b")
    );
}

#[tokio::test]
async fn trace_and_baggage_go_along() {
    let (bench, fake) = bench();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = [("traceparent", trace), ("tracestate", "a=b"), ("baggage", "k=v,b=c")];
    let own = r#"{"operation":"echo","metadata":{"traceparent":"mine","other":"x"}}"#;
    bench.send("POST", OUT, &headers, own).await;
    let metadata = fake.0.lock().pop().unwrap().metadata;
    let want = [
        ("traceparent", trace),
        ("tracestate", "a=b"),
        ("baggage", "k=v,b=c"),
        ("other", "x"),
    ];
    assert_eq!(metadata, want.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let message = InvokeBindingRequest {
        name: "out".into(),
        operation: "echo".into(),
        ..Default::default()
    };
    let answer = bench
        .call::<InvokeBindingResponse>("InvokeBinding", &[message.encode_to_vec()], &headers)
        .await;
    answer.result.unwrap();
    assert_eq!(fake.0.lock().pop().unwrap().metadata["traceparent"], trace);
    // Without a trace there is one of zeros.
    bench.http("POST", OUT, own).await;
    let metadata = fake.0.lock().pop().unwrap().metadata;
    assert_eq!(
        metadata["traceparent"],
        "00-00000000000000000000000000000000-0000000000000000-00"
    );
    assert_eq!(metadata.len(), 2);
}

#[tokio::test]
async fn errors() {
    let (bench, _) = bench();
    for (name, operation, why) in [
        ("nope", "echo", "couldn't find output binding nope"),
        ("out", "", "operation field is missing from request"),
        (
            "out",
            "bad",
            "binding out does not support operation bad. supported operations:create echo fail nothing empty",
        ),
        ("out", "create", "it broke"),
        ("out", "fail", "received status code 404"),
    ] {
        let message = format!("error invoking output binding {name}: {why}");
        let answer = bench
            .http(
                "POST",
                &format!("/v1.0/bindings/{name}"),
                &format!(r#"{{"operation":"{operation}"}}"#),
            )
            .await;
        let want = serde_json::json!({"errorCode": "ERR_INVOKE_OUTPUT_BINDING", "message": message});
        assert_eq!((answer.status, answer.json()), (500, want));
        let along = if operation == "fail" { "404" } else { "" };
        assert_eq!(answer.header("metadata.statusCode"), along);
        let request = InvokeBindingRequest {
            name: name.into(),
            operation: operation.into(),
            ..Default::default()
        };
        let answer = bench
            .call::<InvokeBindingResponse>("InvokeBinding", &[request.encode_to_vec()], &[])
            .await;
        let status = answer.result.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Internal, message.as_str()));
        assert_eq!(reason(&status), "ERR_INVOKE_OUTPUT_BINDING");
        let told = answer
            .headers
            .get("metadata.statuscode")
            .map_or("", |value| value.to_str().unwrap());
        assert_eq!(told, along);
        assert!(
            !answer.headers.contains_key("grpc-status"),
            "the status comes in the trailers"
        );
    }
    for body in [
        "",
        "[]",
        "foo",
        r#"{"operation":5}"#,
        r#"{"operation":"echo","metadata":{"a":1}}"#,
    ] {
        let answer = bench.http("POST", "/v1.0/bindings/nope", body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "ERR_MALFORMED_REQUEST"),
            "{body}"
        );
    }
    assert_eq!(bench.http("POST", OUT, "null").await.status, 500);
    let text = bench.metrics.render();
    for line in [
        r#"{app_id="app",component="nope",namespace="ns",operation="echo",success="false"} 2"#,
        r#"{app_id="app",component="out",namespace="ns",operation="fail",success="false"} 2"#,
    ] {
        assert!(
            text.contains(&format!("dapr_component_output_binding_count{line}")),
            "{line}"
        );
    }
}

#[tokio::test]
async fn answers_over_grpc() {
    let (bench, _) = bench();
    let request = InvokeBindingRequest {
        name: "out".into(),
        operation: "echo".into(),
        data: Bytes::from_static(b"\xff\x00"),
        metadata: HashMap::from([("a".into(), "b".into())]),
    };
    let answer = bench
        .call::<InvokeBindingResponse>("InvokeBinding", &[request.encode_to_vec()], &[])
        .await;
    let found = answer.result.unwrap();
    assert_eq!((&found.data[..], found.metadata), (b"\xff\x00".as_slice(), metadata()));
    assert_eq!(answer.headers["metadata.x-a"], "b");
}

#[tokio::test]
async fn sent_from_inside() {
    let (bench, fake) = bench();
    let (block, cx) = (Bindings::new(bench.metrics.clone()), api::Cx::internal(&bench.runtime));
    block.send(&cx, "out", "echo", Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(fake.0.lock().pop().unwrap().data, "x");
    let error = block.send(&cx, "nope", "echo", Bytes::new()).await.unwrap_err();
    assert_eq!(
        error.message,
        "error invoking output binding nope: couldn't find output binding nope"
    );
}
