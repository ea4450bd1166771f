//! What went wrong in Postgres, in the store's words: now, because of another writer, or for good.
//!
//! Invariants: a fault's text holds the server's own message and its code, never a row's values (which
//! Postgres puts into the detail) and never a password. A commit whose answer did not come is
//! [`StoreFault::Unknown`], whatever broke the connection.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use entente_homeserver_ops::StoreFault;
use entente_identity::CodecFault;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::types::{WasNull, WrongType};

/// Tells a passing failure and another writer from damage or a bug, before a commit.
pub(crate) fn fault(error: &Error) -> StoreFault {
    let told = describe(error);
    match error.as_db_error() {
        Some(error) => by_code(error.code().code(), told),
        None if is_ours(error) => StoreFault::Broken(told),
        None => StoreFault::Unavailable(told),
    }
}

/// The same for what a commit met: only the database's own refusal says that nothing was written.
pub(crate) fn commit_fault(error: &Error) -> StoreFault {
    match error.as_db_error() {
        Some(refusal) if !leaves_open(refusal) => fault(error),
        Some(_) | None => StoreFault::Unknown(describe(error)),
    }
}

/// Why there is no connection.
pub(crate) fn pool_fault(error: &PoolError) -> StoreFault {
    match error {
        PoolError::Backend(error) => fault(error),
        PoolError::Timeout(_) => StoreFault::Unavailable("no connection in time".to_owned()),
        PoolError::Closed | PoolError::NoRuntimeSpecified => {
            StoreFault::Unavailable("the connections are closed".to_owned())
        }
        PoolError::PostCreateHook(error) => {
            StoreFault::Unavailable(format!("a connection cannot be set up: {error}"))
        }
    }
}

/// A column whose bytes cannot be read back.
pub(crate) fn damaged(fault: CodecFault) -> StoreFault {
    StoreFault::Broken(fault.to_string())
}

/// A column whose text or number cannot be read back.
pub(crate) fn unreadable(what: &str) -> StoreFault {
    StoreFault::Broken(format!("a {what} in the database cannot be read"))
}

/// By SQLSTATE; its first two characters are the class (PostgreSQL, appendix A).
fn by_code(code: &str, told: String) -> StoreFault {
    match code {
        // A serialization failure, a deadlock, and a wait for another writer's row that took too long.
        "40001" | "40P01" | "55P03" => StoreFault::Conflict(told),
        // A standby, a session that idled too long, rights that are missing.
        "25006" | "25P03" | "42501" => StoreFault::Unavailable(told),
        // Connection, authorization, no such database, transaction, resources, operator, system.
        _ => match code.get(..2) {
            Some("08" | "28" | "3D" | "40" | "53" | "57" | "58") => StoreFault::Unavailable(told),
            _ => StoreFault::Broken(told),
        },
    }
}

/// Whether the database's answer to a commit does not say what became of it.
fn leaves_open(refusal: &DbError) -> bool {
    let ends_connection = matches!(
        refusal.parsed_severity(),
        Some(Severity::Fatal | Severity::Panic)
    );
    let code = refusal.code().code();
    // Resolution unknown, completion unknown; a backend that is told to go may have committed before.
    ends_connection || matches!(code, "08007" | "40003") || code.starts_with("57P")
}

/// Whether this store asked or understood wrongly, rather than that the connection failed.
fn is_ours(error: &Error) -> bool {
    match error.source() {
        Some(source) => source.is::<WrongType>() || source.is::<WasNull>(),
        None => !error.is_closed(),
    }
}

fn describe(error: &Error) -> String {
    if let Some(refusal) = error.as_db_error() {
        return format!("{} ({})", refusal.message(), refusal.code().code());
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
