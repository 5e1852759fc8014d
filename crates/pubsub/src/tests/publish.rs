//! Publishing over both transports.

use super::{
    bench::{Bench, Setup, in_memory, one, policies, snapshot},
    broker::Fake,
};
use crate::OPS;
use component::{
    ComponentError,
    pubsub::{Feature, PubSub as Broker},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use wire::runtime::v1::{BulkPublishRequest, BulkPublishRequestEntry, PublishEventRequest};

fn fake(setup: impl FnOnce(&mut Fake)) -> (Arc<Fake>, Arc<dyn Broker>) {
    let mut fake = Fake::default();
    setup(&mut fake);
    let fake = Arc::new(fake);
    (fake.clone(), fake)
}

fn request(pubsub: &str, topic: &str) -> PublishEventRequest {
    PublishEventRequest {
        pubsub_name: pubsub.into(),
        topic: topic.into(),
        ..PublishEventRequest::default()
    }
}

#[test]
fn operations_have_names_and_routes() {
    let names: Vec<_> = OPS
        .iter()
        .map(|op| (op.name, op.group, op.version, op.grpc.is_some()))
        .collect();
    assert_eq!(names.len(), 4);
    assert!(names.iter().all(|(.., grpc)| *grpc));
}

#[tokio::test]
async fn errors_over_http() {
    let broker = in_memory().await;
    let limits = [("publishingScopes", "app=a")];
    let bench = Bench::new(Setup {
        snapshot: snapshot(&[("ps", &[], &broker), ("limited", &limits, &broker)]),
        ..Setup::default()
    });
    let ce = [("content-type", "application/cloudevents+json")];
    for (path, headers, body, status, code, reason) in [
        (
            "/v1.0/publish/none/t",
            &[][..],
            "",
            404,
            "ERR_PUBSUB_NOT_FOUND",
            "DAPR_PUBSUB_NOT_FOUND",
        ),
        (
            "/v1.0/publish/bulk/x",
            &[],
            "",
            404,
            "ERR_PUBSUB_NOT_FOUND",
            "DAPR_PUBSUB_NOT_FOUND",
        ),
        (
            "/v1.0/publish/limited/b",
            &[],
            "",
            403,
            "ERR_PUBSUB_FORBIDDEN",
            "DAPR_PUBSUB_FORBIDDEN",
        ),
        (
            "/v1.0/publish/bulk/limited/b",
            &[],
            "[]",
            403,
            "ERR_PUBSUB_FORBIDDEN",
            "DAPR_PUBSUB_FORBIDDEN",
        ),
        (
            "/v1.0/publish/ps/t?metadata.rawPayload=yes",
            &[],
            "",
            400,
            "ERR_PUBSUB_REQUEST_METADATA",
            "DAPR_PUBSUB_METADATA_DESERIALIZATION",
        ),
        (
            "/v1.0/publish/ps/t",
            &ce,
            "{\"}",
            500,
            "ERR_PUBSUB_CLOUD_EVENTS_SER",
            "DAPR_PUBSUB_CLOUD_EVENT_CREATION",
        ),
        (
            "/v1.0/publish/bulk/ps/t",
            &[],
            "{\"a\": \"}",
            400,
            "ERR_PUBSUB_EVENTS_SER",
            "DAPR_PUBSUB_UNMARSHAL_EVENTS",
        ),
        (
            "/v1.0-alpha1/publish/bulk/ps/t",
            &[],
            "[{}]",
            400,
            "ERR_PUBSUB_EVENTS_SER",
            "DAPR_PUBSUB_MARSHAL_ENVELOPE",
        ),
    ] {
        let answer = bench.send(path, headers, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{path} {answer:?}"
        );
        let details = answer.json()["details"].clone();
        let info = details
            .as_array()
            .unwrap()
            .iter()
            .find(|d| d["@type"].as_str().unwrap().ends_with("ErrorInfo"))
            .unwrap();
        assert_eq!((&info["reason"], &info["domain"]), (&json!(reason), &json!("dapr.io")));
        let resource = details
            .as_array()
            .unwrap()
            .iter()
            .find(|d| d["resource_type"] == "pubsub");
        assert_eq!(resource.is_some(), reason != "DAPR_PUBSUB_NOT_FOUND");
    }
    let answer = bench.send("/v1.0/publish/bulk/ps/t", &[], "{}").await;
    let go = "error when unmarshaling the request for topic t pubsub ps: json: cannot unmarshal object into Go value of type []http.bulkPublishMessageEntry";
    assert_eq!(answer.message(), go);
    for (path, body) in [
        ("ps/t", "1"),
        ("ps/a/b%2Fc", "1"),
        ("ps/%20", ""),
        ("bulk/ps/t", "[]"),
        ("bulk/ps/t", "null"),
    ] {
        assert_eq!(
            bench.send(&format!("/v1.0/publish/{path}"), &[], body).await.status,
            204,
            "{path}"
        );
    }
}

fn reason(status: &Status) -> (Code, String, bool, bool) {
    let details = status.get_error_details();
    let info = details.error_info().unwrap();
    (
        status.code(),
        info.reason.clone(),
        !info.metadata.is_empty(),
        details.resource_info().is_some(),
    )
}

#[tokio::test]
async fn errors_over_grpc() {
    let bench = Bench::new(Setup {
        snapshot: one().await,
        ..Setup::default()
    });
    let mut client = bench.client();
    let bad_event = PublishEventRequest {
        data: "{\"".into(),
        data_content_type: "application/cloudevents+json".into(),
        ..request("ps", "t")
    };
    let bad_raw = PublishEventRequest {
        metadata: [("rawPayload".to_owned(), "x".to_owned())].into(),
        ..request("ps", "t")
    };
    for (request, reason_of, with_info, message) in [
        (request("", "t"), "NAME_EMPTY", false, "pubsub name is empty"),
        (request("none", ""), "NOT_FOUND", false, "pubsub none is not found"),
        (
            request("ps", ""),
            "TOPIC_NAME_EMPTY",
            false,
            "topic is empty in pubsub ps",
        ),
        (bad_event, "CLOUD_EVENT_CREATION", true, "cannot create cloudevent"),
        (
            bad_raw,
            "METADATA_DESERIALIZATION",
            true,
            "failed deserializing metadata. Error: rawPayload value must be a valid boolean: actual is 'x'",
        ),
    ] {
        let status = client.publish_event(request).await.unwrap_err();
        let with_resource = reason_of != "NOT_FOUND";
        assert_eq!(status.message(), message);
        assert_eq!(
            reason(&status),
            (
                Code::InvalidArgument,
                format!("DAPR_PUBSUB_{reason_of}"),
                with_info,
                with_resource
            )
        );
    }
    let no_id = BulkPublishRequest {
        pubsub_name: "ps".into(),
        topic: "t".into(),
        entries: vec![BulkPublishRequestEntry::default()],
        ..BulkPublishRequest::default()
    };
    let status = client.bulk_publish_event(no_id).await.unwrap_err();
    assert_eq!(
        status.message(),
        "error marshaling events to bytes for topic t pubsub ps. error: entryId is duplicated or not present for entry"
    );
    assert_eq!(
        reason(&status),
        (Code::InvalidArgument, "DAPR_PUBSUB_MARSHAL_EVENTS".into(), true, true)
    );
}

#[tokio::test]
async fn brokers_get_what_they_need() {
    let (fake, broker) = fake(|fake| fake.features = vec![Feature::MessageTtl]);
    let bench = Bench::new(Setup {
        snapshot: snapshot(&[("ps", &[("consumerID", "ns.app")], &broker)]),
        ..Setup::default()
    });
    let path = "/v1.0/publish/ps/a/b?metadata.ttlInSeconds=5&metadata.partitionKey=k&other=x";
    bench.send(path, &[("content-type", "application/json")], "1").await;
    bench
        .send(
            "/v1.0/publish/ps/raw?metadata.rawPayload=true",
            &[("content-type", "x/y")],
            "as it is",
        )
        .await;
    let published = fake.published.lock().clone();
    assert_eq!(published[0].topic, "nsa/b");
    assert_eq!(
        published[0].content_type.as_deref(),
        Some("application/cloudevents+json")
    );
    assert_eq!(published[0].metadata["partitionKey"], "k");
    assert_eq!(published[0].metadata.len(), 2);
    let event: Value = serde_json::from_slice(&published[0].data).unwrap();
    assert_eq!((&event["topic"], event.get("expiration")), (&json!("a/b"), None));
    assert_eq!(
        (&*published[1].data, published[1].content_type.as_deref()),
        (&b"as it is"[..], Some("x/y"))
    );
    let count = "component_pubsub_egress_count{app_id=\"app\",component=\"ps\",namespace=\"\",success=\"true\",topic=\"a/b\"} 1";
    assert_eq!(bench.metric(&[count]).len(), 1);
}

#[tokio::test]
async fn raw_messages_over_grpc_carry_their_trace() {
    let (fake, broker) = fake(|_| {});
    let bench = Bench::new(Setup {
        snapshot: snapshot(&[("ps", &[], &broker)]),
        ..Setup::default()
    });
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut request = tonic::Request::new(PublishEventRequest {
        metadata: [("rawPayload".to_owned(), "true".to_owned())].into(),
        ..request("ps", "t")
    });
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    bench.client().publish_event(request).await.unwrap();
    assert_eq!(fake.published.lock()[0].metadata["traceparent"], parent);
}

#[tokio::test]
async fn what_fails_is_repeated_as_policies_say() {
    let retry = r#"{"policy":"constant","duration":"1ms","maxRetries":3}"#;
    for (error, attempts) in [
        (ComponentError::transient("down"), 4),
        (ComponentError::permanent("never"), 1),
    ] {
        let (fake, broker) = fake(|fake| fake.results.lock().extend(vec![error.clone(); 10]));
        let mut loaded = snapshot(&[("ps", &[], &broker)]);
        loaded.policies = policies("outbound", retry);
        let bench = Bench::new(Setup {
            snapshot: loaded,
            ..Setup::default()
        });
        let answer = bench.send("/v1.0/publish/ps/t", &[], "1").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (500, "ERR_PUBSUB_PUBLISH_MESSAGE")
        );
        assert_eq!(
            answer.message(),
            format!("error when publishing to topic t in pubsub ps: {}", error.message)
        );
        assert_eq!(fake.published.lock().len(), attempts);
    }
}

fn entries(count: usize) -> BulkPublishRequest {
    let entries = (0..count).map(|at| BulkPublishRequestEntry {
        entry_id: at.to_string(),
        event: format!("{{\"n\":{at}}}").into(),
        content_type: "application/json".into(),
        metadata: [("own".to_owned(), at.to_string())].into(),
    });
    BulkPublishRequest {
        pubsub_name: "ps".into(),
        topic: "t".into(),
        entries: entries.collect(),
        metadata: [("common".to_owned(), "c".to_owned())].into(),
    }
}

#[tokio::test]
async fn bulks_go_one_by_one_to_brokers_that_have_none() {
    let (fake, broker) = fake(|fake| fake.results.lock().push_back(ComponentError::transient("down")));
    let bench = Bench::new(Setup {
        snapshot: snapshot(&[("ps", &[], &broker)]),
        ..Setup::default()
    });
    let response = bench
        .client()
        .bulk_publish_event(entries(3))
        .await
        .unwrap()
        .into_inner();
    let failed: Vec<_> = response
        .failed_entries
        .iter()
        .map(|f| (f.entry_id.as_str(), f.error.as_str()))
        .collect();
    assert_eq!(failed, [("0", "down")]);
    assert_eq!(fake.published.lock().len(), 3);
    assert!(
        fake.published
            .lock()
            .iter()
            .all(|p| p.metadata["common"] == "c" && p.metadata.contains_key("own"))
    );
    fake.results.lock().extend(vec![ComponentError::transient("down"); 2]);
    let status = bench.client().bulk_publish_event_alpha1(entries(2)).await.unwrap_err();
    assert_eq!(status.message(), "error when publishing to topic t in pubsub ps: down");
}

#[tokio::test]
async fn only_what_failed_of_a_bulk_is_repeated() {
    let fine = ComponentError::transient("");
    let (fake, broker) = fake(|fake| {
        fake.native = true;
        fake.results
            .lock()
            .extend([fine.clone(), ComponentError::transient("down"), fine]);
    });
    let mut loaded = snapshot(&[("ps", &[], &broker)]);
    loaded.policies = policies("outbound", r#"{"policy":"constant","duration":"1ms","maxRetries":3}"#);
    let bench = Bench::new(Setup {
        snapshot: loaded,
        ..Setup::default()
    });
    let response = bench
        .client()
        .bulk_publish_event(entries(3))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(response.failed_entries, []);
    let sizes: Vec<_> = fake.bulks.lock().iter().map(|bulk| bulk.entries.len()).collect();
    assert_eq!(sizes, [3, 1]);
    assert_eq!(fake.bulks.lock()[1].entries[0].entry_id, "1");
}

#[tokio::test]
async fn bulks_over_http() {
    let (fake, broker) = fake(|_| {});
    let bench = Bench::new(Setup {
        snapshot: snapshot(&[("ps", &[], &broker)]),
        ..Setup::default()
    });
    let body = r#"[
        {"entryId":"1","event":{"z":1, "a":2},"contentType":"application/json","metadata":{"k":"v"}},
        {"EntryID":"2","Event":"he\"llo","contentType":"text/plain"},
        {"entryId":"3","event":"aGk=","contentType":"application/octet-stream"},
        {"entryId":"4","contentType":"application/json"}
    ] and more"#;
    let answer = bench
        .send("/v1.0/publish/bulk/ps/t?metadata.rawPayload=true", &[], body)
        .await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let mut data: Vec<_> = fake
        .published
        .lock()
        .iter()
        .map(|p| String::from_utf8_lossy(&p.data).into_owned())
        .collect();
    data.sort();
    assert_eq!(data, ["he\"llo", "hi", "null", r#"{"z":1, "a":2}"#]);
    for (body, message) in [
        (
            r#"[{"entryId":"1","event":"x"}]"#,
            "error: mismatch between contentType and event",
        ),
        (
            r#"[{"entryId":"1","event":{},"contentType":"text/plain"}]"#,
            "error: mismatch between contentType and event",
        ),
        (
            r#"[{"entryId":"1","event":"!!","contentType":"application/octet-stream"}]"#,
            "error: unable to decode base64 application/octect-stream data: illegal base64 data at input byte 0",
        ),
        (
            r#"[{"entryId":1,"event":"x","contentType":"text/plain"}]"#,
            "json: cannot unmarshal number into Go struct field bulkPublishMessageEntry.entryId of type string",
        ),
        ("", "EOF"),
    ] {
        let answer = bench.send("/v1.0/publish/bulk/ps/t", &[], body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.message().ends_with(message), "{body} {answer:?}");
    }
    fake.results.lock().push_back(ComponentError::transient("down"));
    let one = r#"[{"entryId":"1","event":"x","contentType":"text/plain"}]"#;
    let answer = bench.send("/v1.0/publish/bulk/ps/t", &[], one).await;
    let want = json!({"failedEntries": [{"entryId": "1", "error": "down"}], "errorCode": "ERR_PUBSUB_PUBLISH_MESSAGE"});
    assert_eq!((answer.status, answer.json()), (500, want));
}
