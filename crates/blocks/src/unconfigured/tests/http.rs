//! Over HTTP.

use super::bench;
use crate::testing::Bench;
use serde_json::json;

const NO_PLACEMENT: (u16, &str, &str) = (400, "ERR_ACTOR_NO_PLACEMENT", "placement service is not configured");
const RESERVED: (u16, &str, &str) = (
    403,
    "ERR_ACTOR_TYPE_RESERVED",
    "actor type \"dapr.internal.x\" is reserved for the Dapr workflow runtime; direct actor API access is not permitted",
);
const EOF: (u16, &str, &str) = (400, "ERR_MALFORMED_REQUEST", "failed deserializing HTTP body: EOF");
const NO_SCHEDULER: (u16, &str, &str) = (
    500,
    "DAPR_SCHEDULER_SCHEDULE_JOB",
    "failed to schedule job due to: scheduler clients are disabled",
);
const NO_SCHEDULE: (u16, &str, &str) = (400, "DAPR_SCHEDULER_SCHEDULE_EMPTY", "Schedule is empty");
const NO_EXPIRY: (u16, &str, &str) = (
    400,
    "ERR_MALFORMED_REQUEST",
    "ExpiryInSeconds is not positive in lock store a",
);
const NO_LOCK: (u16, &str, &str) = (500, "ERR_LOCK_STORE_NOT_CONFIGURED", "lock store is not configured");
const NO_CONFIGURATION: (u16, &str, &str) = (
    500,
    "ERR_CONFIGURATION_STORE_NOT_CONFIGURED",
    "configuration stores not configured",
);
const NO_CRYPTO: (u16, &str, &str) = (
    500,
    "ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED",
    "crypto providers not configured",
);
const NO_SUBTLE: (u16, &str, &str) = (501, "ERR_API_UNIMPLEMENTED", "this API is currently not implemented");
const NO_CONVERSATION: (u16, &str, &str) = (
    400,
    "ERR_CONVERSATION_NOT_FOUND",
    "failed finding conversation component c",
);
/// Whatever the text says.
const MALFORMED: (u16, &str, &str) = (400, "ERR_MALFORMED_REQUEST", "");

#[tokio::test]
async fn answers_over_http() {
    let bench = bench();
    let actor = "/v1.0/actors/t/i";
    for (method, target, body, want) in [
        ("POST", "/state", "[]", NO_PLACEMENT),
        ("PUT", "/state", "", EOF),
        ("PUT", "/state", "{}", MALFORMED),
        ("POST", "/state", r#"[{"operation":"bad"}]"#, NO_PLACEMENT),
        ("GET", "/state/k", "", NO_PLACEMENT),
        ("GET", "/method/m", "", NO_PLACEMENT),
        ("POST", "/method/m", "x", NO_PLACEMENT),
        ("PUT", "/method/m", "", NO_PLACEMENT),
        ("DELETE", "/method/m", "", NO_PLACEMENT),
        ("POST", "/reminders/r", r#"{"dueTime":"1s"}"#, NO_PLACEMENT),
        ("PUT", "/reminders/r", "", EOF),
        ("PUT", "/reminders/r", "[]", MALFORMED),
        ("GET", "/reminders/r", "", NO_PLACEMENT),
        ("DELETE", "/reminders/r", "", NO_PLACEMENT),
        ("POST", "/timers/r", "{}", NO_PLACEMENT),
        ("PUT", "/timers/r", "", EOF),
        ("DELETE", "/timers/r", "", NO_PLACEMENT),
    ] {
        check(&bench, method, &format!("{actor}{target}"), body, want).await;
    }
    for (method, target, body, want) in [
        ("POST", "/v1.0/actors/dapr.internal.x/i/state", "foo", RESERVED),
        ("PUT", "/v1.0/actors/dapr.internal.x/i/timers/x", "{}", RESERVED),
        ("GET", "/v1.0/actors/dapr.internal.x/i/reminders/x", "", RESERVED),
        ("POST", "/v1.0/actors/dapr.internal.x/i/method/x", "", NO_PLACEMENT),
        ("POST", "/v1.0-alpha1/lock/a", "", NO_EXPIRY),
        ("POST", "/v1.0-alpha1/lock/a", "{}", NO_EXPIRY),
        ("POST", "/v1.0-alpha1/lock/a", "null", MALFORMED),
        ("POST", "/v1.0-alpha1/lock/a", "[]", MALFORMED),
        ("POST", "/v1.0-alpha1/lock/a", r#"{"expiryInSeconds":5} x"#, MALFORMED),
        ("POST", "/v1.0-alpha1/lock/a", r#"{"expiryInSeconds":"x"}"#, MALFORMED),
        ("POST", "/v1.0-alpha1/lock/a", r#"{"resourceId":5}"#, MALFORMED),
        (
            "POST",
            "/v1.0-alpha1/lock/a",
            r#"{"resourceId":"r","lockOwner":"o","expiryInSeconds":-1}"#,
            NO_EXPIRY,
        ),
        (
            "POST",
            "/v1.0-alpha1/lock/a",
            r#"{"resourceId":"r","lockOwner":"o","expiryInSeconds":5}"#,
            NO_LOCK,
        ),
        (
            "POST",
            "/v1.0-alpha1/lock/a",
            r#"{"resource_id":"r","lock_owner":"o","expiry_in_seconds":"5"}"#,
            NO_LOCK,
        ),
        ("POST", "/v1.0-alpha1/lock/a", r#"{"expiryInSeconds":5.0}"#, NO_LOCK),
        ("POST", "/v1.0-alpha1/unlock/a", "", NO_LOCK),
        ("POST", "/v1.0-alpha1/unlock/a", "{}", NO_LOCK),
        (
            "POST",
            "/v1.0-alpha1/unlock/a",
            r#"{"resourceId":"r","expiryInSeconds":"x"}"#,
            NO_LOCK,
        ),
        ("POST", "/v1.0-alpha1/unlock/a", "foo", MALFORMED),
        ("PUT", "/v1.0-alpha1/crypto/c/encrypt", "data", NO_CRYPTO),
        ("PUT", "/v1.0-alpha1/crypto/c/decrypt", "data", NO_CRYPTO),
    ] {
        check(&bench, method, target, body, want).await;
    }
    for version in ["v1.0", "v1.0-alpha1"] {
        let job = format!("/{version}/jobs/j");
        for (body, want) in [
            (r#"{"schedule":"@every 1s"}"#, NO_SCHEDULER),
            (r#"{"schedule":"","data":{"a":1}}"#, NO_SCHEDULER),
            (r#"{"due_time":"1s"}"#, NO_SCHEDULER),
            (r#"{"schedule":"@every 1s","foo":1}"#, NO_SCHEDULER),
            (
                r#"{"schedule":"@every 1s","name":"j"}"#,
                (400, "DAPR_SCHEDULER_JOB_NAME", "Set the job name in the url only"),
            ),
            ("{}", NO_SCHEDULE),
            ("", NO_SCHEDULE),
            (r#"{"schedule":null}"#, NO_SCHEDULE),
            ("foo", MALFORMED),
            ("null", MALFORMED),
            (r#"{"schedule":5}"#, MALFORMED),
            (r#"{"schedule":"@every 1s","repeats":"x"}"#, MALFORMED),
            (r#"{"schedule":"@every 1s","repeats":"3"}"#, NO_SCHEDULER),
        ] {
            check(&bench, "POST", &job, body, want).await;
        }
        let get = (
            500,
            "DAPR_SCHEDULER_GET_JOB",
            "failed to get job due to: scheduler clients are disabled",
        );
        check(&bench, "GET", &job, "", get).await;
        let delete = (
            500,
            "DAPR_SCHEDULER_DELETE_JOB",
            "failed to delete job due to: scheduler clients are disabled",
        );
        check(&bench, "DELETE", &job, "", delete).await;
        for rest in ["c", "c?key=a", "c/subscribe", "c/i/unsubscribe"] {
            check(
                &bench,
                "GET",
                &format!("/{version}/configuration/{rest}"),
                "",
                NO_CONFIGURATION,
            )
            .await;
        }
    }
    for version in ["v1.0", "v1.0-alpha1", "v1.0-beta1"] {
        check(&bench, "GET", &format!("/{version}/workflows/dapr/i"), "", NO_PLACEMENT).await;
        for rest in [
            "n/start?instanceID=x",
            "i/pause",
            "i/resume",
            "i/terminate",
            "i/purge",
            "i/raiseEvent/e",
        ] {
            check(
                &bench,
                "POST",
                &format!("/{version}/workflows/dapr/{rest}"),
                "",
                NO_PLACEMENT,
            )
            .await;
        }
    }
    for name in ["getkey", "encrypt", "decrypt", "wrapkey", "unwrapkey", "sign", "verify"] {
        let target = format!("/v1.0-alpha1/subtlecrypto/c/{name}");
        check(&bench, "POST", &target, "", NO_SUBTLE).await;
        check(&bench, "POST", &target, r#"{"name":"x"}"#, NO_SUBTLE).await;
        check(&bench, "POST", &target, "foo", MALFORMED).await;
    }
    for version in ["v1.0-alpha1", "v1.0-alpha2"] {
        let target = format!("/{version}/conversation/c/converse");
        for (body, want) in [
            ("", NO_CONVERSATION),
            (r#"{"name":"x"}"#, NO_CONVERSATION),
            ("[]", MALFORMED),
            ("null", MALFORMED),
        ] {
            check(&bench, "POST", &target, body, want).await;
        }
    }
}

async fn check(bench: &Bench, method: &str, target: &str, body: &str, (status, code, message): (u16, &str, &str)) {
    let answer = bench.http(method, target, body).await;
    assert_eq!(
        (answer.status, answer.code().as_str()),
        (status, code),
        "{method} {target} {body}"
    );
    if !message.is_empty() {
        assert_eq!(answer.message(), message);
    }
    assert_eq!(answer.header("content-type"), "application/json");
}

#[tokio::test]
async fn details_over_http() {
    let bench = bench();
    let answer = bench.http("POST", "/v1.0/jobs/j", "{}").await;
    let info = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "dapr.io",
        "reason": "DAPR_SCHEDULER_SCHEDULE_EMPTY", "metadata": {"appID": "app", "namespace": "ns"}});
    assert_eq!(answer.json()["details"], json!([info]));
    let answer = bench.http("POST", "/v1.0/jobs/j", r#"{"name":"x"}"#).await;
    assert_eq!(answer.json()["details"][0]["metadata"], json!({"appID": "app"}));
    for target in ["/v1.0/actors/t/i/state/k", "/v1.0/configuration/c"] {
        assert!(bench.http("GET", target, "").await.json().get("details").is_none());
    }
}
