//! What went wrong in SQLite, in the store's words: now, or for good.

use entente_homeserver_ops::StoreFault;
use entente_identity::CodecFault;
use rusqlite::ErrorCode;

/// Tells a passing failure from damage or a bug.
pub(crate) fn fault(error: rusqlite::Error) -> StoreFault {
    let passing = matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::OutOfMemory
                | ErrorCode::PermissionDenied
        )
    );
    if passing {
        StoreFault::Unavailable(error.to_string())
    } else {
        StoreFault::Broken(error.to_string())
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
