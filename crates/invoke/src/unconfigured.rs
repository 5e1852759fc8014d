//! Calls of actors, as a sidecar answers them that hosts none.

use crate::{Invoke, codes, fault::Fault, rpc};
use api::{Body, Cx};
use http::{Request, Response};

impl Invoke {
    /// `CallActor`, `CallActorReminder`, `CallActorStream`.
    pub(crate) async fn call_actor(&self, _: Cx, _: Request<Body>) -> Response<Body> {
        let text = "placement service is not configured";
        rpc::failed(&Fault::status(codes::UNAVAILABLE, text))
    }
}
