//! Redis errors in the terms of components.

use component::{ComponentError, ErrorKind};
use redis::{ErrorKind as RedisKind, RedisError, ServerErrorKind};

/// The server's codes, beyond those that the client library knows, for what may pass by itself.
const PASSING: [&str; 6] = ["BUSY", "OOM", "MISCONF", "NOREPLICAS", "MASTERDOWN", "LOADING"];

/// Whether the server refused to begin the command, for now: the same command may be sent again without harm.
pub(crate) fn is_not_now(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        RedisKind::Server(
            ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
        )
    )
}

/// Whether the command was sent to something that does not know the script.
pub(crate) fn is_no_script(error: &RedisError) -> bool {
    error.kind() == RedisKind::Server(ServerErrorKind::NoScript)
}

/// Whether the key holds another type of value than the command is for.
pub(crate) fn is_wrong_type(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

/// Whether the error may pass by itself.
fn is_transient(error: &RedisError) -> bool {
    match error.kind() {
        RedisKind::Io
        | RedisKind::Parse
        | RedisKind::ClusterConnectionNotFound
        | RedisKind::MasterNameNotFoundBySentinel
        | RedisKind::NoValidReplicasFoundBySentinel => true,
        RedisKind::Server(ServerErrorKind::ResponseError) => error
            .detail()
            .is_some_and(|detail| detail.contains("max number of clients")),
        RedisKind::Server(_) if is_not_now(error) => true,
        _ => error.code().is_some_and(|code| PASSING.contains(&code)),
    }
}

/// What a component answers when Redis fails it; `what` says what was tried.
pub(crate) fn failed(what: &str, error: &RedisError) -> ComponentError {
    let kind = if is_transient(error) {
        ErrorKind::Transient
    } else {
        ErrorKind::Permanent
    };
    ComponentError::new(kind, format!("{what}: redis: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(line: &[u8]) -> RedisError {
        redis::parse_redis_value(line)
            .and_then(redis::Value::extract_error)
            .expect_err("an error")
    }

    #[test]
    fn classes() {
        for line in [
            &b"-LOADING Redis is loading\r\n"[..],
            b"-READONLY You can't write\r\n",
            b"-OOM command not allowed\r\n",
            b"-ERR max number of clients reached\r\n",
            b"-CLUSTERDOWN Hash slot not served\r\n",
        ] {
            assert!(failed("set", &server(line)).is_transient(), "{line:?}");
        }
        for line in [
            &b"-ERR syntax error\r\n"[..],
            b"-WRONGTYPE Operation\r\n",
            b"-NOAUTH Authentication required.\r\n",
            b"-NOPERM no\r\n",
        ] {
            assert!(!failed("set", &server(line)).is_transient(), "{line:?}");
        }
        let gone = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert!(failed("set", &gone).is_transient());
        assert!(is_wrong_type(&server(b"-WRONGTYPE Operation\r\n")));
        assert!(is_no_script(&server(b"-NOSCRIPT No matching script\r\n")));
    }
}
