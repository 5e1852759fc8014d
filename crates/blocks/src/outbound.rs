//! The one guarded call of a component: its policy, its time, its failure.

use api::Cx;
use component::{ComponentError, Kind};
use outgoing::{CallCx, CallError, Classify};
use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// A call ends with the task that wants it: whoever goes away drops the future.
static NEVER: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);

/// Calls a component by `f` under the policy for it, and tells how long that took. `request` is copied for each attempt if
/// there may be several.
pub(crate) async fn call<R, T, E, Fut>(
    cx: &Cx,
    name: &str,
    kind: Kind,
    request: R,
    f: impl Fn(R) -> Fut,
) -> (Result<T, CallError<E>>, Duration)
where
    R: Clone,
    E: Classify,
    Fut: Future<Output = Result<T, E>>,
{
    let started = Instant::now();
    let policy = cx.snapshot.policies.component_outbound(name, kind);
    let result = if policy.is_noop() {
        f(request).await.map_err(CallError::Inner)
    } else {
        policy.run(&CallCx::new(&NEVER), |_attempt| f(request.clone())).await
    };
    (result, started.elapsed())
}

/// The error of a call as one of the component: what a policy did is told by its text.
pub(crate) fn component_error(error: CallError<ComponentError>) -> ComponentError {
    match error {
        CallError::Inner(error) => error,
        other => ComponentError::transient(other.to_string()),
    }
}
