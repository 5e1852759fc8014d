//! What can go wrong between a component and its database.

use component::{ComponentError, ErrorKind};
use rusqlite::ErrorCode;
use std::time::Duration;

/// Why a call to the database failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// SQLite refused a statement.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The transaction that a call shared with others was not committed.
    #[error("the transaction was not committed: {reason}")]
    NotCommitted {
        /// What SQLite said.
        reason: String,
        /// Whether another try may succeed.
        transient: bool,
    },
    /// The call met a fault of this program; it did nothing.
    #[error("an internal fault, see the log")]
    Panicked,
    /// The component has been closed.
    #[error("the database is closed")]
    Closed,
    /// No answer within the time allowed.
    #[error("no answer from the database within {0:?}")]
    TimedOut(Duration),
    /// The component itself refuses the request.
    #[error(transparent)]
    Refused(#[from] ComponentError),
}

impl Error {
    /// Whether another connection held a lock for too long.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, Self::Sqlite(error) if matches!(
            error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        ))
    }

    /// Whether the same call may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::DiskFull
                        | ErrorCode::SystemIoFailure
                        | ErrorCode::OutOfMemory
                        | ErrorCode::CannotOpen
                        | ErrorCode::OperationInterrupted
                )
            ),
            Self::NotCommitted { transient, .. } => *transient,
            Self::TimedOut(_) => true,
            Self::Closed | Self::Panicked => false,
            Self::Refused(error) => error.is_transient(),
        }
    }

    /// The error for all others that shared a transaction with the one that met this error.
    pub(crate) fn not_committed(&self) -> Self {
        Self::NotCommitted {
            reason: self.to_string(),
            transient: self.is_transient(),
        }
    }
}

impl From<Error> for ComponentError {
    fn from(error: Error) -> Self {
        let kind = if error.is_transient() {
            ErrorKind::Transient
        } else {
            ErrorKind::Permanent
        };
        match error {
            Error::Refused(refusal) => refusal,
            other => Self::new(kind, other.to_string()),
        }
    }
}
