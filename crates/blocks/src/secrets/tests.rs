//! Tests of the secrets API through both servers.

use super::{OPS, Secrets, check_scopes};
use crate::testing::{Bench, check_transports, loaded, open, reason};
use async_trait::async_trait;
use component::{
    ComponentError, Metadata,
    secrets::{Secret, SecretStore},
};
use resources::Configuration;
use runtime::Snapshot;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tonic::Code;
use wire::runtime::v1::{GetBulkSecretRequest, GetBulkSecretResponse, GetSecretRequest, GetSecretResponse};

/// A store that fails, or has a secret without values, and whose values tell what it was asked for.
struct Fake;

#[async_trait]
impl SecretStore for Fake {
    async fn get(&self, name: &str, metadata: &Metadata) -> Result<Secret, ComponentError> {
        match name {
            "broken" => Err(ComponentError::transient("it broke")),
            "nothing" => Ok(Secret::new()),
            _ => Ok(metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect()),
        }
    }

    async fn bulk_get(&self, _: &Metadata) -> Result<BTreeMap<String, Secret>, ComponentError> {
        Err(ComponentError::transient("it broke"))
    }
}

const SCOPES: &str = r#"{"kind":"Configuration","spec":{"secrets":{"scopes":[
    {"storeName":"denied","defaultAccess":"allow","deniedSecrets":["b"]},
    {"storeName":"allowed","allowedSecrets":["a"]},
    {"storeName":"closed","defaultAccess":"deny"},
    {"storeName":"absent","defaultAccess":"deny"}]}}}"#;

async fn bench() -> (Bench, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrets.json");
    std::fs::write(&path, r#"{"a":"1","b":"<2>","c":{"d":"3"}}"#).unwrap();
    let store: Arc<dyn SecretStore> =
        Arc::new(open::<component_local::file::File>(&[("secretsFile", path.to_str().unwrap())]).await);
    let configuration: Configuration = serde_json::from_str(SCOPES).unwrap();
    let mut snapshot = Snapshot {
        configuration: Arc::new(configuration),
        ..Snapshot::default()
    };
    for name in ["file", "denied", "allowed", "closed"] {
        snapshot.secrets.extend([loaded(name, &[], store.clone())]);
    }
    snapshot
        .secrets
        .extend([loaded("fake", &[], Arc::new(Fake) as Arc<dyn SecretStore>)]);
    check_scopes(&snapshot);
    (Bench::new(snapshot, OPS, Secrets::new), folder)
}

#[test]
fn operations_have_both_transports() {
    check_transports(OPS, &[], &[]);
}

#[tokio::test]
async fn one_secret() {
    let (bench, _folder) = bench().await;
    for (target, status, body) in [
        ("file/a", 200, r#"{"a":"1"}"#),
        ("file/b", 200, r#"{"b":"<2>"}"#),
        ("file/c:d", 200, r#"{"c:d":"3"}"#),
        ("denied/a", 200, r#"{"a":"1"}"#),
        ("allowed/a", 200, r#"{"a":"1"}"#),
        ("fake/x?metadata.k=v&other=1", 200, r#"{"k":"v"}"#),
        ("fake/nothing", 204, ""),
    ] {
        let answer = bench.http("GET", &format!("/v1.0/secrets/{target}"), "").await;
        assert_eq!((answer.status, answer.text.as_str()), (status, body), "{target}");
    }
    let metadata = HashMap::from([("k".to_owned(), "v".to_owned())]);
    let request = GetSecretRequest {
        store_name: "fake".into(),
        key: "x".into(),
        metadata: metadata.clone(),
    };
    let found: GetSecretResponse = bench.grpc("GetSecret", &request).await.unwrap();
    assert_eq!(found.data, metadata);
}

#[tokio::test]
async fn errors() {
    let (bench, _folder) = bench().await;
    for (store, key, http, code, grpc, message) in [
        (
            "nope",
            "a",
            401,
            "ERR_SECRET_STORE_NOT_FOUND",
            Code::InvalidArgument,
            "failed finding secret store with key nope",
        ),
        (
            "denied",
            "b",
            403,
            "ERR_PERMISSION_DENIED",
            Code::PermissionDenied,
            r#"access denied by policy to get "b" from "denied""#,
        ),
        (
            "allowed",
            "b",
            403,
            "ERR_PERMISSION_DENIED",
            Code::PermissionDenied,
            r#"access denied by policy to get "b" from "allowed""#,
        ),
        (
            "closed",
            "a",
            403,
            "ERR_PERMISSION_DENIED",
            Code::PermissionDenied,
            r#"access denied by policy to get "a" from "closed""#,
        ),
        (
            "file",
            "x",
            500,
            "ERR_SECRET_GET",
            Code::Internal,
            "failed getting secret with key x from secret store file: secret x not found",
        ),
        (
            "fake",
            "broken",
            500,
            "ERR_SECRET_GET",
            Code::Internal,
            "failed getting secret with key broken from secret store fake: it broke",
        ),
    ] {
        let answer = bench.http("GET", &format!("/v1.0/secrets/{store}/{key}"), "").await;
        let want = serde_json::json!({"errorCode": code, "message": message});
        assert_eq!((answer.status, answer.json()), (http, want), "{store}/{key}");
        let request = GetSecretRequest {
            store_name: store.into(),
            key: key.into(),
            ..GetSecretRequest::default()
        };
        let status = bench
            .grpc::<_, GetSecretResponse>("GetSecret", &request)
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), status.message(), reason(&status).as_str()),
            (grpc, message, "")
        );
    }
    let message = "failed getting secrets from secret store fake: it broke";
    let answer = bench.http("GET", "/v1.0/secrets/fake/bulk", "").await;
    assert_eq!(
        (answer.status, answer.code().as_str(), answer.message().as_str()),
        (500, "ERR_SECRET_GET", message)
    );
    let request = GetBulkSecretRequest {
        store_name: "fake".into(),
        ..GetBulkSecretRequest::default()
    };
    let status = bench
        .grpc::<_, GetBulkSecretResponse>("GetBulkSecret", &request)
        .await
        .unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Internal, message));
    let text = bench.metrics.render();
    assert!(text.contains(r#"dapr_component_secret_count{app_id="app",component="fake",namespace="ns",operation="bulk_get",success="false"} 2"#));
    assert!(
        text.contains(r#"dapr_error_code_total{app_id="app",category="secret",error_code="ERR_PERMISSION_DENIED"} 3"#)
    );
}

#[tokio::test]
async fn all_secrets_that_may_be_read() {
    let (bench, _folder) = bench().await;
    for (store, want) in [
        ("file", r#"{"a":{"a":"1"},"b":{"b":"<2>"},"c:d":{"c:d":"3"}}"#),
        ("denied", r#"{"a":{"a":"1"},"c:d":{"c:d":"3"}}"#),
        ("allowed", r#"{"a":{"a":"1"}}"#),
        ("closed", "{}"),
    ] {
        let answer = bench.http("GET", &format!("/v1.0/secrets/{store}/bulk"), "").await;
        assert_eq!((answer.status, answer.text.as_str()), (200, want), "{store}");
        let request = GetBulkSecretRequest {
            store_name: store.into(),
            ..GetBulkSecretRequest::default()
        };
        let found: GetBulkSecretResponse = bench.grpc("GetBulkSecret", &request).await.unwrap();
        let wanted: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(want).unwrap();
        let found: BTreeMap<_, BTreeMap<_, _>> = found
            .data
            .into_iter()
            .map(|(k, v)| (k, v.secrets.into_iter().collect()))
            .collect();
        assert_eq!(found, wanted);
    }
}

#[tokio::test]
async fn no_store_at_all() {
    let bench = Bench::new(Snapshot::default(), OPS, Secrets::new);
    for key in ["k", "bulk"] {
        let answer = bench.http("GET", &format!("/v1.0/secrets/s/{key}"), "").await;
        let want = serde_json::json!({"errorCode": "ERR_SECRET_STORES_NOT_CONFIGURED", "message": "secret store is not configured"});
        assert_eq!((answer.status, answer.json()), (500, want));
    }
    let request = GetBulkSecretRequest {
        store_name: "s".into(),
        ..GetBulkSecretRequest::default()
    };
    let status = bench
        .grpc::<_, GetBulkSecretResponse>("GetBulkSecret", &request)
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::FailedPrecondition, "secret store is not configured")
    );
}
