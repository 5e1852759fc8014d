//! Calls under the policies of their target.

use crate::{
    Invoke, Target,
    call::{Answer, Call},
    fault::Fault,
};
use outgoing::{CallCx, CallError};
use runtime::Snapshot;

/// Over what the caller came: it sees the status of an application as HTTP or as gRPC, and so do the policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    Http,
    Grpc,
}

impl Invoke {
    /// Makes a call under the policies of its target. A body that cannot be sent again is sent once.
    pub(crate) async fn guarded(
        &self,
        snapshot: &Snapshot,
        id: &str,
        mut call: Call,
        front: Front,
    ) -> Result<Answer, CallError<Fault>> {
        let target = self.target(snapshot, id).map_err(CallError::Inner)?;
        let endpoint = format!("{id}:{}", call.method);
        let mut policy = snapshot.policies.app(id, &endpoint);
        if policy.is_noop() {
            if matches!(target, Target::Local) {
                // Nothing of it is needed again.
                call.body.release();
            }
            return self.dispatch(snapshot, &target, call).await.map_err(CallError::Inner);
        }
        if !call.body.is_replayable() {
            policy = policy.without_retry();
        }
        call.repeats = policy.may_retry();
        let failure = |answer: &Answer| match front {
            Front::Http => answer.http_failure(),
            Front::Grpc => answer.grpc_failure(),
        };
        let attempt = |_| self.dispatch(snapshot, &target, call.clone());
        let answer = policy.run_checked(&CallCx::new(&self.never), attempt, failure).await?;
        call.body.release();
        Ok(answer)
    }

    /// Makes a call once.
    async fn dispatch(&self, snapshot: &Snapshot, target: &Target<'_>, call: Call) -> Result<Answer, Fault> {
        match target {
            Target::Local => self.call_app(call).await,
            Target::Remote(app) => self.call_peer(snapshot, *app, call).await,
            Target::Service(service) => self.call_service(service, call).await,
        }
    }
}
