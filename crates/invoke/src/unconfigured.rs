//! Calls of actors, as a sidecar answers them that hosts none.

use crate::{Invoke, codes, fault::Fault, rpc};
use api::{Body, Cx};
use http::{Request, Response};

impl Invoke {
    /// `CallActor`, `CallActorReminder`, `CallActorStream`.
    pub(crate) async fn call_actor(&self, _: Cx, _: Request<Body>) -> Response<Body> {
        rpc::failed(&Fault::status(
            codes::INTERNAL,
            "the state store is not configured to use the actor runtime. Have you set the - name: actorStateStore value: \"true\" in your state store component file?",
        ))
    }
}
