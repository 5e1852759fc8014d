//! Conversation components, where none is loaded.

use super::{AnyMessage, Unconfigured, message};
use api::{ApiError, Cx, HttpRequest, HttpResponse, errors};
use wire::runtime::v1::{
    ConversationRequest, ConversationRequestAlpha2, ConversationResponse, ConversationResponseAlpha2,
};

errors! { "conversation";
    /// No conversation component of that name is loaded.
    NotFound { name: String } = "ERR_CONVERSATION_NOT_FOUND", http 400, grpc InvalidArgument, "failed finding conversation component {name}";
}

pub(super) async fn absent(_: &Unconfigured, mut request: HttpRequest) -> Result<HttpResponse, ApiError> {
    message::<AnyMessage>(&mut request).await?;
    Err(Error::NotFound {
        name: request.param("name").to_owned(),
    }
    .into())
}

pub(super) async fn converse_alpha1(
    _: &Unconfigured,
    _: &Cx,
    request: ConversationRequest,
) -> Result<ConversationResponse, Error> {
    Err(Error::NotFound { name: request.name })
}

pub(super) async fn converse_alpha2(
    _: &Unconfigured,
    _: &Cx,
    request: ConversationRequestAlpha2,
) -> Result<ConversationResponseAlpha2, Error> {
    Err(Error::NotFound { name: request.name })
}
