//! When to try again: full jitter from 200 ms, doubling, capped at 60 s in the first hour, then 300 s.

use entente_identity::UnixMillis;

/// First delay bound.
const BASE_MS: u64 = 200;
/// Cap while the peer has been away for less than [`LONG_MS`].
const SHORT_CAP_MS: u64 = 60_000;
/// Cap after that.
const LONG_CAP_MS: u64 = 300_000;
/// When a short outage becomes a long one.
const LONG_MS: u64 = 3_600_000;
/// While anything is owed, a probe goes out after a delay between these bounds at the latest.
const PROBE_MS: (u64, u64) = (3_000, 5_000);

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
    since: Option<UnixMillis>,
}

/// Whether a peer's absence holds anything up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Something is owed: probe often.
    Owed,
    /// Nothing waits.
    Idle,
}

impl Backoff {
    /// Notes a failure and returns the delay before the next attempt, in milliseconds.
    ///
    /// `jitter` is a uniformly random number; the delay is uniform between zero and the bound (full
    /// jitter), so that a thousand peers do not come back in step.
    pub fn fail(&mut self, now: UnixMillis, urgency: Urgency, jitter: u64) -> u64 {
        let since = *self.since.get_or_insert(now);
        let cap = if now.since(since) < LONG_MS {
            SHORT_CAP_MS
        } else {
            LONG_CAP_MS
        };
        let bound = BASE_MS.saturating_mul(1 << self.failures.min(20)).min(cap);
        self.failures = self.failures.saturating_add(1);
        let delay = jitter % (bound + 1);
        match urgency {
            Urgency::Idle => delay,
            Urgency::Owed => delay.min(PROBE_MS.0 + jitter % (PROBE_MS.1 - PROBE_MS.0)),
        }
    }

    /// Forgets all failures: the peer has shown that it is there.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Since when attempts have failed, if they have.
    #[must_use]
    pub fn failing_since(&self) -> Option<UnixMillis> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn delays_stay_below_their_caps(jitters in prop::collection::vec(any::<u64>(), 1..60)) {
            let (mut idle, mut owed) = (Backoff::default(), Backoff::default());
            let mut now = UnixMillis(1_000);
            for jitter in jitters {
                let delay = idle.fail(now, Urgency::Idle, jitter);
                prop_assert!(delay <= LONG_CAP_MS);
                prop_assert!(now.0 - 1_000 >= LONG_MS || delay <= SHORT_CAP_MS);
                prop_assert!(owed.fail(now, Urgency::Owed, jitter) < PROBE_MS.1);
                now = now.after(delay.max(1));
            }
        }
    }

    #[test]
    fn a_reset_begins_anew() {
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            backoff.fail(UnixMillis(5), Urgency::Idle, u64::MAX - 1);
        }
        assert_eq!(backoff.failing_since(), Some(UnixMillis(5)));
        backoff.reset();
        assert!(backoff.fail(UnixMillis(9), Urgency::Idle, u64::MAX) <= BASE_MS);
    }
}
