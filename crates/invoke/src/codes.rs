//! Codes of gRPC and statuses of HTTP, and how one becomes the other.

use http::StatusCode;
use std::borrow::Cow;

/// gRPC: all is well.
pub(crate) const OK: i32 = 0;
/// gRPC: nobody knows.
pub(crate) const UNKNOWN: i32 = 2;
/// gRPC: the request makes no sense.
pub(crate) const INVALID_ARGUMENT: i32 = 3;
/// gRPC: it took too long.
pub(crate) const DEADLINE_EXCEEDED: i32 = 4;
/// gRPC: it is forbidden.
pub(crate) const PERMISSION_DENIED: i32 = 7;
/// gRPC: too much of something.
pub(crate) const RESOURCE_EXHAUSTED: i32 = 8;
/// gRPC: there is no such method.
pub(crate) const UNIMPLEMENTED: i32 = 12;
/// gRPC: something is broken.
pub(crate) const INTERNAL: i32 = 13;
/// gRPC: the other side cannot be reached.
pub(crate) const UNAVAILABLE: i32 = 14;
/// gRPC: the caller did not say who it is.
pub(crate) const UNAUTHENTICATED: i32 = 16;

/// The name of a gRPC code.
pub(crate) fn name(code: i32) -> Cow<'static, str> {
    match telemetry::metrics::grpc::known_status_name(code) {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(format!("Code({code})")),
    }
}

/// The gRPC code of an application's HTTP status.
pub(crate) fn from_http(status: u16) -> i32 {
    match status {
        200..=299 => OK,
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => 5,
        408 => 1,
        409 => 6,
        429 => RESOURCE_EXHAUSTED,
        501 => UNIMPLEMENTED,
        503 => UNAVAILABLE,
        504 => DEADLINE_EXCEEDED,
        _ => UNKNOWN,
    }
}

/// The HTTP status of an application's gRPC code.
pub(crate) fn to_http(code: i32) -> StatusCode {
    match code {
        OK => StatusCode::OK,
        1 => StatusCode::REQUEST_TIMEOUT,
        INVALID_ARGUMENT | 9 | 11 => StatusCode::BAD_REQUEST,
        DEADLINE_EXCEEDED => StatusCode::GATEWAY_TIMEOUT,
        5 => StatusCode::NOT_FOUND,
        6 | 10 => StatusCode::CONFLICT,
        PERMISSION_DENIED => StatusCode::FORBIDDEN,
        UNAUTHENTICATED => StatusCode::UNAUTHORIZED,
        RESOURCE_EXHAUSTED => StatusCode::TOO_MANY_REQUESTS,
        UNIMPLEMENTED => StatusCode::NOT_IMPLEMENTED,
        UNAVAILABLE => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether an application's answer counts as a failure. Redirections do not.
pub(crate) fn is_failure(status: StatusCode) -> bool {
    !(200..400).contains(&status.as_u16())
}

/// The words of an HTTP status.
pub(crate) fn reason(status: StatusCode) -> Cow<'static, str> {
    match status.canonical_reason() {
        Some(words) => Cow::Borrowed(words),
        None => Cow::Owned(format!("status code {}", status.as_u16())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways() {
        for (http, grpc) in [
            (200, 0),
            (299, 0),
            (301, 2),
            (400, 13),
            (401, 16),
            (403, 7),
            (404, 5),
            (408, 1),
            (409, 6),
            (418, 2),
            (429, 8),
            (500, 2),
            (501, 12),
            (503, 14),
            (504, 4),
        ] {
            assert_eq!(from_http(http), grpc, "{http}");
        }
        for (grpc, http) in [
            (0, 200),
            (1, 408),
            (2, 500),
            (3, 400),
            (4, 504),
            (5, 404),
            (6, 409),
            (7, 403),
            (8, 429),
            (9, 400),
            (10, 409),
            (11, 400),
            (12, 501),
            (13, 500),
            (14, 503),
            (15, 500),
            (16, 401),
            (20, 500),
        ] {
            assert_eq!(to_http(grpc), http, "{grpc}");
        }
        assert_eq!(name(14), "Unavailable");
        assert_eq!(name(20), "Code(20)");
    }
}
