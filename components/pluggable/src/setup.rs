//! What opening has in common for all kinds.

use crate::{
    connection::{Init, Link},
    error::plain,
};
use component::{OpenError, Properties};
use tonic::{Code, Response, Status};
use wire::components::v1 as pb;

/// No limit of its own for messages of components: what the API takes and gives has limits already.
pub(crate) const MESSAGE_LIMIT: usize = usize::MAX;

/// A component's metadata as `Init` takes them.
pub(crate) fn metadata(properties: &Properties) -> pb::MetadataRequest {
    let properties = properties.iter();
    pb::MetadataRequest {
        properties: properties
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    }
}

/// How a component is initialised, from its `Init` call.
pub(crate) fn init<F, Call, T>(call: F) -> Init
where
    F: Fn(Link) -> Call + Send + Sync + 'static,
    Call: Future<Output = Result<Response<T>, Status>> + Send + 'static,
{
    Box::new(move |link| {
        let call = call(link);
        Box::pin(async move { call.await.map(|_| ()) })
    })
}

/// The features that a component lists; one that does not know the call has none.
pub(crate) fn features(answer: Result<Response<pb::FeaturesResponse>, Status>) -> Result<Vec<String>, OpenError> {
    match answer {
        Ok(answer) => Ok(answer.into_inner().features),
        Err(status) if status.code() == Code::Unimplemented => Ok(Vec::new()),
        Err(status) => Err(failed(&status)),
    }
}

/// Why a component could not be opened.
pub(crate) fn failed(status: &Status) -> OpenError {
    OpenError::failed(plain(status).message)
}
