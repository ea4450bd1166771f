//! The one place where this program reads the clock of the day.

use std::time::{SystemTime, UNIX_EPOCH};

use entente_identity::UnixMillis;

/// Now.
#[must_use]
pub fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMillis(since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }))
}
