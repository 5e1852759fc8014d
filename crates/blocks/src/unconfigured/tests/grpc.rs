//! Over gRPC.

use super::bench;
use crate::testing::reason;
use prost::Message;
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

const RESERVED: &str = "actor type \"dapr.internal.x\" is reserved for the Dapr workflow runtime; direct actor API access is not permitted";

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
    assert_eq!((status.code(), status.message()), (Code::PermissionDenied, RESERVED));
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
        (Code::InvalidArgument, "failed finding conversation component c")
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
