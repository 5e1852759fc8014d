//! What can go wrong when an application calls another.

api::errors! { "service-invocation";
    /// The request names no application.
    NoTarget = "ERR_DIRECT_INVOKE", http 404, grpc NotFound,
        "failed getting app id either from the URL path or the header dapr-app-id";
    /// The call failed on its way, or the other side could not answer it.
    Failed { id: String, why: String } = "ERR_DIRECT_INVOKE", http 500, grpc Internal,
        "failed to invoke, id: {id}, err: {why}";
    /// An access control policy of the other side forbids it.
    Denied { id: String, why: String } = "ERR_DIRECT_INVOKE", http 403, grpc Internal,
        "failed to invoke, id: {id}, err: {why}";
}
