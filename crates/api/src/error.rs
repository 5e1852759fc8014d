//! Errors of the API: declared where they arise, rendered here.
//!
//! A block declares its errors with [`errors!`](crate::errors): one row gives the code that HTTP clients see, the reason
//! that gRPC clients see, both statuses, the text, and what else the answer carries.

use serde_json::{Map, Value, json};
use tonic_types::{ErrorDetail, ErrorDetails, StatusExt};

/// The domain of all our error details.
pub const DOMAIN: &str = "dapr.io";

/// A kind of error: one row of a block's table.
#[derive(Debug, Clone, Copy)]
pub struct Code {
    /// What HTTP clients see as `errorCode`.
    pub code: &'static str,
    /// The reason in the error details; empty for errors that carry none.
    pub reason: &'static str,
    /// The HTTP status.
    pub http: u16,
    /// The gRPC code.
    pub grpc: tonic::Code,
    /// The category that metrics count it under.
    pub category: &'static str,
    /// What it means, for the reference page.
    pub doc: &'static str,
}

/// What an error's answer carries besides its code and text (`google.rpc` error details).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// More about the error itself: names and values.
    Info(Vec<(String, String)>),
    /// The resource that it is about.
    Resource {
        /// Its type, such as `state`.
        kind: String,
        /// Its name.
        name: String,
        /// Who owns it.
        owner: String,
        /// What is wrong with it.
        description: String,
    },
    /// What is wrong with a field of the request.
    Field {
        /// The field.
        field: String,
        /// What is wrong with it.
        description: String,
    },
    /// The reason that gRPC clients see, for errors of old whose HTTP answers carry no details.
    GrpcReason(&'static str),
    /// Where to read more.
    Help {
        /// The page.
        url: String,
        /// What it tells.
        description: String,
    },
}

impl Detail {
    /// The resource that an error is about.
    pub fn resource(kind: impl Into<String>, name: impl Into<String>) -> Self {
        Self::Resource {
            kind: kind.into(),
            name: name.into(),
            owner: String::new(),
            description: String::new(),
        }
    }

    /// What is wrong with a field.
    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            description: description.into(),
        }
    }

    /// Where to read more.
    pub fn help(url: impl Into<String>, description: impl Into<String>) -> Self {
        Self::Help {
            url: url.into(),
            description: description.into(),
        }
    }

    /// A value of the error's information.
    pub fn info(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Info(vec![(key.into(), value.into())])
    }
}

/// An error on its way to a client.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// Its kind.
    pub code: &'static Code,
    /// Its text.
    pub message: String,
    /// The text for gRPC clients, where it differs.
    pub grpc_message: Option<String>,
    /// What else its answer carries.
    pub details: Vec<Detail>,
    /// A gRPC status that is to be passed on as it is.
    pub status: Option<Box<tonic::Status>>,
    /// An HTTP answer that is to be passed on as it is.
    pub http: Option<Box<HttpAnswer>>,
}

/// What somebody else wants an HTTP answer to say. The kind of the error is still what is counted.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// The `errorCode`, if it is not that of the kind.
    pub code: Option<String>,
    /// The `details`, instead of those of the error.
    pub details: Vec<Value>,
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

impl ApiError {
    /// An error of the given kind.
    pub fn new(code: &'static Code, message: impl Into<String>, details: Vec<Detail>) -> Self {
        Self {
            code,
            message: message.into(),
            grpc_message: None,
            details,
            status: None,
            http: None,
        }
    }

    /// The status of the HTTP answer.
    pub fn http_status(&self) -> u16 {
        self.http.as_ref().map_or(self.code.http, |answer| answer.status)
    }

    /// The same error with another text for gRPC clients.
    pub fn with_grpc_message(mut self, message: impl Into<String>) -> Self {
        self.grpc_message = Some(message.into());
        self
    }

    /// The error as the JSON body of an HTTP answer.
    pub fn json(&self) -> Vec<u8> {
        let mut body = Map::new();
        let told = self.http.as_ref().and_then(|answer| answer.code.as_deref());
        body.insert("errorCode".into(), told.unwrap_or(self.code.code).into());
        body.insert("message".into(), self.message.as_str().into());
        let details = match &self.http {
            Some(answer) => answer.details.clone(),
            None => self.json_details(),
        };
        if !details.is_empty() {
            body.insert("details".into(), Value::Array(details));
        }
        serde_json::to_vec(&Value::Object(body)).unwrap_or_default()
    }

    fn json_details(&self) -> Vec<Value> {
        let mut out = Vec::new();
        if !self.code.reason.is_empty() {
            let mut info = json!({
                "@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": DOMAIN, "reason": self.code.reason,
            });
            let metadata = self.info();
            if !metadata.is_empty() {
                info["metadata"] = metadata
                    .into_iter()
                    .map(|(k, v)| (k, Value::from(v)))
                    .collect::<Map<_, _>>()
                    .into();
            } else {
                info["metadata"] = Value::Null;
            }
            out.push(info);
        }
        let (mut fields, mut links) = (Vec::new(), Vec::new());
        for detail in &self.details {
            match detail {
                Detail::Info(_) | Detail::GrpcReason(_) => {}
                Detail::Resource {
                    kind,
                    name,
                    owner,
                    description,
                } => out.push(json!({
                    "@type": "type.googleapis.com/google.rpc.ResourceInfo",
                    "resource_type": kind, "resource_name": name, "owner": owner, "description": description,
                })),
                Detail::Field { field, description } => {
                    fields.push(json!({"field": field, "description": description}))
                }
                Detail::Help { url, description } => links.push(json!({"url": url, "description": description})),
            }
        }
        if !fields.is_empty() {
            out.push(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "field_violations": fields}));
        }
        if !links.is_empty() {
            out.push(json!({"@type": "type.googleapis.com/google.rpc.Help", "links": links}));
        }
        out
    }

    fn info(&self) -> Vec<(String, String)> {
        self.details
            .iter()
            .filter_map(|d| {
                if let Detail::Info(pairs) = d {
                    Some(pairs.clone())
                } else {
                    None
                }
            })
            .flatten()
            .collect()
    }

    /// The error as a gRPC status.
    pub fn status(&self) -> tonic::Status {
        if let Some(status) = &self.status {
            return (**status).clone();
        }
        let message = self.grpc_message.as_ref().unwrap_or(&self.message);
        if self.code.reason.is_empty() && self.details.is_empty() {
            return tonic::Status::new(self.code.grpc, message);
        }
        tonic::Status::with_error_details_vec(self.code.grpc, message, self.grpc_details())
    }

    fn grpc_details(&self) -> Vec<ErrorDetail> {
        let mut out = Vec::new();
        if !self.code.reason.is_empty() {
            let metadata: std::collections::HashMap<_, _> = self.info().into_iter().collect();
            out.push(tonic_types::ErrorInfo::new(self.code.reason, DOMAIN, metadata).into());
        }
        let mut more = ErrorDetails::new();
        for detail in &self.details {
            match detail {
                Detail::Info(_) => {}
                Detail::GrpcReason(reason) => {
                    out.push(
                        tonic_types::ErrorInfo::new(
                            *reason,
                            DOMAIN,
                            std::collections::HashMap::<String, String>::new(),
                        )
                        .into(),
                    );
                }
                Detail::Resource {
                    kind,
                    name,
                    owner,
                    description,
                } => {
                    out.push(tonic_types::ResourceInfo::new(kind, name, owner, description).into());
                }
                Detail::Field { field, description } => {
                    more.add_bad_request_violation(field, description);
                }
                Detail::Help { url, description } => {
                    more.add_help_link(description, url);
                }
            }
        }
        out.extend(more.bad_request().cloned().map(ErrorDetail::from));
        out.extend(more.help().cloned().map(ErrorDetail::from));
        out
    }
}

/// Declares the errors of a block: an enum, its table of [`Code`]s, and its conversion into [`ApiError`].
///
/// ```ignore
/// errors! { "state";
///     /// No state store of that name is loaded.
///     NotFound { store: String } = "ERR_STATE_STORE_NOT_FOUND", reason "DAPR_STATE_NOT_FOUND", http 400, grpc InvalidArgument,
///         "state store {store} is not found";
///     /// The key holds what no key may hold.
///     IllegalKey { store: String, key: String } = "ERR_MALFORMED_REQUEST", reason "DAPR_STATE_ILLEGAL_KEY", http 400, grpc InvalidArgument,
///         "input key/keyPrefix '{key}' can't contain '||'",
///         with [Detail::resource("state", store), Detail::field(key, "…")];
/// }
/// ```
///
/// Each variant becomes an [`ApiError`] by `From`; `Error::CODES` is what the reference page lists.
#[macro_export]
macro_rules! errors {
    ($category:literal; $(
        #[doc = $doc:literal]
        $name:ident $({ $($field:ident : $ty:ty),* $(,)? })? = $code:literal, $(reason $reason:literal,)? http $http:literal, grpc $grpc:ident,
            $message:literal $(, with [ $($detail:expr),* $(,)? ])? ;
    )*) => {
        /// What can go wrong in this block.
        #[derive(Debug, Clone)]
        #[allow(missing_docs)]
        pub enum Error { $( #[doc = $doc] $name $({ $($field: $ty),* })?, )* }

        impl Error {
            /// All kinds of errors of this block.
            pub const CODES: &'static [$crate::Code] = &[ $( $crate::Code {
                code: $code, reason: concat!("" $(, $reason)?), http: $http, grpc: $crate::error::GrpcCode::$grpc, category: $category, doc: $doc,
            }, )* ];

            /// The row of this error.
            pub fn code(&self) -> &'static $crate::Code {
                let mut row = 0;
                $( if matches!(self, Self::$name { .. }) { return &Self::CODES[row]; } row += 1; )*
                &Self::CODES[row.min(Self::CODES.len() - 1)]
            }
        }

        impl std::fmt::Display for Error {
            #[allow(unused_variables)]
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self { $( Self::$name $({ $($field),* })? => write!(f, $message), )* }
            }
        }

        impl std::error::Error for Error {}

        impl From<Error> for $crate::ApiError {
            #[allow(unused_variables)]
            fn from(error: Error) -> Self {
                let message = error.to_string();
                let code = error.code();
                let details = match &error { $( Error::$name $({ $($field),* })? => vec![ $($($detail),*)? ], )* };
                Self::new(code, message, details)
            }
        }
    };
}

pub use tonic::Code as GrpcCode;

errors! { "common";
    /// The API is not served by this sidecar.
    Unimplemented { what: String } = "ERR_API_UNIMPLEMENTED", http 501, grpc Unimplemented, "{what}";
    /// The request cannot be understood.
    BadRequest { why: String } = "ERR_BAD_REQUEST", http 400, grpc InvalidArgument, "invalid request: {why}";
    /// The request cannot be understood.
    Malformed { why: String } = "ERR_MALFORMED_REQUEST", http 400, grpc InvalidArgument, "failed deserializing HTTP body: {why}";
    /// The request's body broke off or is too large.
    BodyRead { why: String } = "ERR_BODY_READ", http 400, grpc InvalidArgument, "failed to read request body: {why}";
    /// Something that must not happen did.
    Internal { why: String } = "ERR_INTERNAL", http 500, grpc Internal, "{why}";
    /// There is no application to call.
    NoAppChannel = "ERR_APP_CHANNEL_NIL", http 500, grpc Internal, "app channel is not initialized";
}
