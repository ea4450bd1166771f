//! Points in time as values; nothing here reads a clock.

use std::fmt;

use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    TlsSize,
    TlsSerialize,
    TlsDeserialize,
)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The point `duration_ms` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, duration_ms: u64) -> Self {
        Self(self.0.saturating_add(duration_ms))
    }

    /// The point `duration_ms` earlier; saturates at the epoch.
    #[must_use]
    pub fn before(self, duration_ms: u64) -> Self {
        Self(self.0.saturating_sub(duration_ms))
    }

    /// Milliseconds from `earlier` to `self`, zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since the Unix epoch.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}

impl fmt::Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}ms", self.0)
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
