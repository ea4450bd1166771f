//! The one place where the server reads the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use entente_identity::UnixMillis;

/// Now.
#[must_use]
pub fn now() -> UnixMillis {
    // A clock before 1970 reads as the epoch: everything signed then counts as from the future.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMillis(since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)))
}
