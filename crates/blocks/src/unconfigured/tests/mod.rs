//! Tests of what is answered for blocks that are not there, as the original was seen to answer.

mod grpc;
mod http;

use super::{OPS, Unconfigured};
use crate::testing::{Bench, check_transports};
use runtime::Snapshot;

pub(super) fn bench() -> Bench {
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
