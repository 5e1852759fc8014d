//! Tests of what is answered for blocks that are not there, as the original was seen to answer.

use super::{OPS, Unconfigured};
use crate::testing::{Bench, check_transports, reason};
use prost::Message;
use runtime::Snapshot;
use serde_json::json;
use tonic::Code;
use tonic_types::StatusExt;
use wire::{
    common::v1::StreamPayload,
    runtime::v1::{
        self as messages, ConversationRequest, ConversationResponse, DecryptRequest, DecryptRequestOptions,
        DecryptResponse, EncryptRequest, EncryptRequestOptions, EncryptResponse, Job, ScheduleJobRequest,
        ScheduleJobResponse, SubscribeActorEventsRequestAlpha1, SubscribeActorEventsResponseAlpha1, TryLockRequest,
        TryLockResponse, UnsubscribeConfigurationRequest, UnsubscribeConfigurationResponse,
    },
};

fn bench() -> Bench {
    Bench::new(Snapshot::default(), OPS, |_| Unconfigured::new())
}

#[test]
fn operations_have_both_transports() {
    let no_route = "Dapr's HTTP API has no route for it";
    let no_rpc = "Dapr's workflow RPCs all have a suffix";
    check_transports(
        OPS,
        &[
            ("UnregisterActorRemindersByType", no_route),
            ("ListActorReminders", no_route),
            ("SubscribeActorEventsAlpha1", no_route),
            ("DeleteJobsByPrefix", no_route),
            ("ListJobs", no_route),
            ("DeleteJobsByPrefixAlpha1", no_route),
            ("ListJobsAlpha1", no_route),
        ],
        &[
            "StartWorkflow",
            "GetWorkflow",
            "PauseWorkflow",
            "ResumeWorkflow",
            "TerminateWorkflow",
            "PurgeWorkflow",
            "RaiseEventWorkflow",
        ]
        .map(|name| (name, no_rpc)),
    );
}

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

/// RPCs that answer the same whatever the request is.
const FIXED: &[(&str, Code, &str, &str)] = &[
    (
        "InvokeActor",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "GetActorState",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "ExecuteActorStateTransaction",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "RegisterActorReminder",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "GetActorReminder",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "UnregisterActorReminder",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "RegisterActorTimer",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "UnregisterActorTimer",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "UnregisterActorRemindersByType",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "ListActorReminders",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "StartWorkflowAlpha1",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "RaiseEventWorkflowBeta1",
        Code::Unavailable,
        "placement service is not configured",
        "",
    ),
    (
        "GetConfiguration",
        Code::FailedPrecondition,
        "configuration stores not configured",
        "ERR_CONFIGURATION_STORE_NOT_CONFIGURED",
    ),
    (
        "SubscribeConfigurationAlpha1",
        Code::FailedPrecondition,
        "configuration stores not configured",
        "ERR_CONFIGURATION_STORE_NOT_CONFIGURED",
    ),
    (
        "UnlockAlpha1",
        Code::FailedPrecondition,
        "lock store is not configured",
        "",
    ),
    (
        "SubtleSignAlpha1",
        Code::Unimplemented,
        "this API is currently not implemented",
        "",
    ),
    (
        "ConverseAlpha1",
        Code::InvalidArgument,
        "failed finding conversation component ",
        "",
    ),
    (
        "ConverseAlpha2",
        Code::InvalidArgument,
        "failed finding conversation component ",
        "",
    ),
    (
        "GetJob",
        Code::InvalidArgument,
        "Name is empty",
        "DAPR_SCHEDULER_JOB_NAME_EMPTY",
    ),
    (
        "DeleteJobAlpha1",
        Code::InvalidArgument,
        "Name is empty",
        "DAPR_SCHEDULER_JOB_NAME_EMPTY",
    ),
    (
        "ScheduleJob",
        Code::InvalidArgument,
        "Job is empty",
        "DAPR_SCHEDULER_EMPTY",
    ),
    (
        "ListJobs",
        Code::Internal,
        "failed to list jobs due to: scheduler clients are disabled",
        "DAPR_SCHEDULER_LIST_JOBS",
    ),
    (
        "DeleteJobsByPrefix",
        Code::Internal,
        "failed to delete job due to: scheduler clients are disabled",
        "DAPR_SCHEDULER_DELETE_JOB",
    ),
];

#[tokio::test]
async fn answers_over_grpc() {
    let bench = bench();
    for (name, code, message, why) in FIXED {
        let status = bench.grpc::<_, ()>(name, &()).await.unwrap_err();
        assert_eq!(
            (status.code(), status.message(), reason(&status).as_str()),
            (*code, *message, *why),
            "{name}"
        );
    }
    let request = messages::GetActorStateRequest {
        actor_type: "dapr.internal.x".into(),
        ..Default::default()
    };
    let status = bench.grpc::<_, ()>("GetActorState", &request).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, RESERVED.2));
    let request = ConversationRequest {
        name: "c".into(),
        ..ConversationRequest::default()
    };
    let status = bench
        .grpc::<_, ConversationResponse>("ConverseAlpha1", &request)
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, NO_CONVERSATION.2)
    );
    let request = UnsubscribeConfigurationRequest {
        store_name: "c".into(),
        id: "i".into(),
    };
    let found: UnsubscribeConfigurationResponse = bench.grpc("UnsubscribeConfiguration", &request).await.unwrap();
    assert_eq!(
        (found.ok, found.message.as_str()),
        (
            false,
            "failed to unsubscribe to configuration request i: subscription does not exist"
        )
    );
}

#[tokio::test]
async fn jobs_and_locks_over_grpc() {
    let bench = bench();
    for (job, code, why) in [
        (None, Code::InvalidArgument, "DAPR_SCHEDULER_EMPTY"),
        (
            Some(("", Some("@every 1s"))),
            Code::InvalidArgument,
            "DAPR_SCHEDULER_JOB_NAME_EMPTY",
        ),
        (
            Some(("j", None)),
            Code::InvalidArgument,
            "DAPR_SCHEDULER_SCHEDULE_EMPTY",
        ),
        (
            Some(("j", Some("@every 1s"))),
            Code::Internal,
            "DAPR_SCHEDULER_SCHEDULE_JOB",
        ),
    ] {
        let job = job.map(|(name, schedule)| Job {
            name: name.into(),
            schedule: schedule.map(str::to_owned),
            ..Job::default()
        });
        for rpc in ["ScheduleJob", "ScheduleJobAlpha1"] {
            let request = ScheduleJobRequest {
                job: job.clone(),
                ..ScheduleJobRequest::default()
            };
            let status = bench.grpc::<_, ScheduleJobResponse>(rpc, &request).await.unwrap_err();
            assert_eq!((status.code(), reason(&status).as_str()), (code, why));
            let metadata = status.get_details_error_info().unwrap().metadata;
            assert_eq!(
                (metadata["appID"].as_str(), metadata["namespace"].as_str()),
                ("app", "ns")
            );
        }
    }
    for (expiry, code) in [(0, Code::InvalidArgument), (5, Code::FailedPrecondition)] {
        let request = TryLockRequest {
            store_name: "a".into(),
            expiry_in_seconds: expiry,
            ..TryLockRequest::default()
        };
        let status = bench
            .grpc::<_, TryLockResponse>("TryLockAlpha1", &request)
            .await
            .unwrap_err();
        assert_eq!(status.code(), code);
    }
}

#[tokio::test]
async fn streams() {
    let bench = bench();
    let options = |key: &str, algorithm: &str| EncryptRequest {
        options: Some(EncryptRequestOptions {
            component_name: "c".into(),
            key_name: key.into(),
            key_wrap_algorithm: algorithm.into(),
            ..EncryptRequestOptions::default()
        }),
        payload: None,
    };
    let payload = EncryptRequest {
        payload: Some(StreamPayload::default()),
        options: None,
    };
    for (messages, code, message) in [
        (
            vec![],
            Code::Internal,
            "failed to perform operation: error receiving the first message: EOF",
        ),
        (
            vec![payload],
            Code::InvalidArgument,
            "invalid request: first message does not contain the required options",
        ),
        (
            vec![options("", "")],
            Code::InvalidArgument,
            "invalid request: missing property 'keyName' in the options message",
        ),
        (
            vec![options("k", "")],
            Code::InvalidArgument,
            "invalid request: missing property 'keyWrapAlgorithm' in the options message",
        ),
        (
            vec![options("k", "RSA")],
            Code::Internal,
            "crypto providers not configured",
        ),
    ] {
        let messages: Vec<Vec<u8>> = messages.iter().map(Message::encode_to_vec).collect();
        let status = bench
            .call::<EncryptResponse>("EncryptAlpha1", &messages, &[])
            .await
            .result
            .unwrap_err();
        assert_eq!((status.code(), status.message()), (code, message));
    }
    let request = DecryptRequest {
        options: Some(DecryptRequestOptions::default()),
        payload: None,
    };
    let status = bench
        .call::<DecryptResponse>("DecryptAlpha1", &[request.encode_to_vec()], &[])
        .await
        .result
        .unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::Internal, "crypto providers not configured")
    );
    let first = SubscribeActorEventsRequestAlpha1::default().encode_to_vec();
    let answer = bench
        .call::<SubscribeActorEventsResponseAlpha1>("SubscribeActorEventsAlpha1", &[first], &[])
        .await
        .result
        .unwrap();
    assert!(answer.response_type.is_some());
    let status = bench
        .call::<SubscribeActorEventsResponseAlpha1>("SubscribeActorEventsAlpha1", &[], &[])
        .await
        .result
        .unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unknown, "EOF"));
}
