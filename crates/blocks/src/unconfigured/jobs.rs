//! Jobs, where no scheduler is configured.

use super::{Unconfigured, message, refuse, whole_number};
use api::{ApiError, Body, Cx, Detail, HttpRequest, HttpResponse, errors};
use serde::Deserialize;
use serde_json::value::RawValue;
use wire::runtime::v1::{
    DeleteJobRequest, DeleteJobResponse, GetJobRequest, GetJobResponse, ScheduleJobRequest, ScheduleJobResponse,
};

/// Names and values of an error's information.
type Info = Vec<(String, String)>;

const WHY: &str = "scheduler clients are disabled";

errors! { "job";
    /// The name of the job is told twice.
    NameInBody { info: Info } = "DAPR_SCHEDULER_JOB_NAME", reason "DAPR_SCHEDULER_JOB_NAME", http 400, grpc InvalidArgument,
        "Set the job name in the url only", with [Detail::Info(info.clone())];
    /// There is no job in the request.
    Empty { info: Info } = "DAPR_SCHEDULER_EMPTY", reason "DAPR_SCHEDULER_EMPTY", http 400, grpc InvalidArgument, "Job is empty",
        with [Detail::Info(info.clone())];
    /// The job has no name.
    NoName { info: Info } = "DAPR_SCHEDULER_JOB_NAME_EMPTY", reason "DAPR_SCHEDULER_JOB_NAME_EMPTY", http 400, grpc InvalidArgument, "Name is empty",
        with [Detail::Info(info.clone())];
    /// The job says neither when nor how often.
    NoSchedule { info: Info } = "DAPR_SCHEDULER_SCHEDULE_EMPTY", reason "DAPR_SCHEDULER_SCHEDULE_EMPTY", http 400, grpc InvalidArgument, "Schedule is empty",
        with [Detail::Info(info.clone())];
    /// The job could not be scheduled.
    Schedule { info: Info } = "DAPR_SCHEDULER_SCHEDULE_JOB", reason "DAPR_SCHEDULER_SCHEDULE_JOB", http 500, grpc Internal,
        "failed to schedule job due to: {WHY}", with [Detail::Info(info.clone())];
    /// The job could not be read.
    Get { info: Info } = "DAPR_SCHEDULER_GET_JOB", reason "DAPR_SCHEDULER_GET_JOB", http 500, grpc Internal,
        "failed to get job due to: {WHY}", with [Detail::Info(info.clone())];
    /// The job could not be deleted.
    Delete { info: Info } = "DAPR_SCHEDULER_DELETE_JOB", reason "DAPR_SCHEDULER_DELETE_JOB", http 500, grpc Internal,
        "failed to delete job due to: {WHY}", with [Detail::Info(info.clone())];
    /// The jobs could not be listed.
    List { info: Info } = "DAPR_SCHEDULER_LIST_JOBS", reason "DAPR_SCHEDULER_LIST_JOBS", http 500, grpc Internal,
        "failed to list jobs due to: {WHY}", with [Detail::Info(info.clone())];
}

/// Whose job it is.
fn whose(cx: &Cx) -> Info {
    let info = cx.info();
    vec![
        ("appID".into(), info.app_id.clone()),
        ("namespace".into(), info.namespace.clone()),
    ]
}

/// What decides whether a job can be scheduled, of the JSON of a job.
#[derive(Default, Deserialize)]
struct Job {
    name: Option<String>,
    schedule: Option<String>,
    #[serde(rename = "dueTime", alias = "due_time")]
    due_time: Option<String>,
    #[serde(default, rename = "repeats", deserialize_with = "whole_number")]
    _repeats: u32,
    #[serde(rename = "ttl")]
    _ttl: Option<String>,
    #[serde(rename = "data")]
    _data: Option<Box<RawValue>>,
}

pub(super) async fn http_schedule(_: &Unconfigured, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let job: Job = message(&mut request).await?;
    let info = whose(&request.cx);
    if job.name.is_some_and(|name| !name.is_empty()) {
        let info = info.into_iter().filter(|(name, _)| name == "appID").collect();
        return Err(Error::NameInBody { info }.into());
    }
    Err(scheduled(info, job.schedule.is_some() || job.due_time.is_some()).into())
}

fn scheduled(info: Info, is_timed: bool) -> Error {
    if is_timed {
        Error::Schedule { info }
    } else {
        Error::NoSchedule { info }
    }
}

pub(super) async fn http_get(_: &Unconfigured, request: HttpRequest) -> Result<HttpResponse, Error> {
    Err(Error::Get {
        info: whose(&request.cx),
    })
}

pub(super) async fn http_delete(_: &Unconfigured, request: HttpRequest) -> Result<HttpResponse, Error> {
    Err(Error::Delete {
        info: whose(&request.cx),
    })
}

pub(super) async fn schedule(
    _: &Unconfigured,
    cx: &Cx,
    request: ScheduleJobRequest,
) -> Result<ScheduleJobResponse, Error> {
    let info = whose(cx);
    let Some(job) = request.job else {
        return Err(Error::Empty { info });
    };
    if job.name.is_empty() {
        return Err(Error::NoName { info });
    }
    Err(scheduled(info, job.schedule.is_some() || job.due_time.is_some()))
}

pub(super) async fn get(_: &Unconfigured, cx: &Cx, request: GetJobRequest) -> Result<GetJobResponse, Error> {
    let info = whose(cx);
    Err(if request.name.is_empty() {
        Error::NoName { info }
    } else {
        Error::Get { info }
    })
}

pub(super) async fn delete(_: &Unconfigured, cx: &Cx, request: DeleteJobRequest) -> Result<DeleteJobResponse, Error> {
    let info = whose(cx);
    Err(if request.name.is_empty() {
        Error::NoName { info }
    } else {
        Error::Delete { info }
    })
}

pub(super) async fn refuse_delete(_: &Unconfigured, cx: Cx, request: http::Request<Body>) -> http::Response<Body> {
    refuse(&cx, request, Error::Delete { info: whose(&cx) }).await
}

pub(super) async fn refuse_list(_: &Unconfigured, cx: Cx, request: http::Request<Body>) -> http::Response<Body> {
    refuse(&cx, request, Error::List { info: whose(&cx) }).await
}
