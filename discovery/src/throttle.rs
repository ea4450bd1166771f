//! At most one fetch per organization and minute, however many unknown keys a peer shows.

use std::collections::BTreeMap;

use entente_identity::{Domain, UnixMillis};

/// Shortest time between two fetches of the same organization's document, in milliseconds.
pub const MIN_FETCH_INTERVAL_MS: u64 = 60_000;

/// Most organizations remembered at once.
const MAX_REMEMBERED: usize = 10_000;

/// Remembers when each organization was last fetched; `now` is an argument.
#[derive(Debug, Default)]
pub struct FetchThrottle {
    last: BTreeMap<Domain, UnixMillis>,
}

/// A fetch that has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("fetched less than a minute ago; again in {retry_after_ms} ms")]
pub struct TooSoon {
    /// When it is worth asking again, in milliseconds from now.
    pub retry_after_ms: u64,
}

impl FetchThrottle {
    /// Admits a fetch of an organization's document, and remembers it.
    ///
    /// # Errors
    /// When the last one is less than a minute old, or more organizations than can be remembered
    /// were fetched within a minute.
    pub fn admit(&mut self, domain: &Domain, now: UnixMillis) -> Result<(), TooSoon> {
        if let Some(wait_ms) = self.last.get(domain).map(|last| remaining_ms(*last, now)) {
            if wait_ms > 0 {
                return Err(TooSoon {
                    retry_after_ms: wait_ms,
                });
            }
        } else if self.last.len() >= MAX_REMEMBERED {
            self.forget_old(now);
            if self.last.len() >= MAX_REMEMBERED {
                return Err(TooSoon {
                    retry_after_ms: MIN_FETCH_INTERVAL_MS,
                });
            }
        }
        self.last.insert(domain.clone(), now);
        Ok(())
    }

    fn forget_old(&mut self, now: UnixMillis) {
        self.last.retain(|_, last| remaining_ms(*last, now) > 0);
    }
}

/// A clock that was set back lengthens no wait beyond the interval.
fn remaining_ms(last: UnixMillis, now: UnixMillis) -> u64 {
    last.after(MIN_FETCH_INTERVAL_MS)
        .since(now)
        .min(MIN_FETCH_INTERVAL_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(number: usize) -> Domain {
        format!("org-{number}.example").parse().expect("a domain")
    }

    #[test]
    fn b5_a_flood_of_unknown_keys_is_one_fetch_per_minute_and_organization() {
        let mut throttle = FetchThrottle::default();
        let start = UnixMillis(1_000_000);
        assert_eq!(throttle.admit(&domain(1), start), Ok(()));
        for unknown_key in 1..1_000 {
            let wait = throttle.admit(&domain(1), start.after(unknown_key));
            assert_eq!(
                wait,
                Err(TooSoon {
                    retry_after_ms: MIN_FETCH_INTERVAL_MS - unknown_key
                })
            );
        }
        assert_eq!(throttle.admit(&domain(2), start), Ok(()));
        assert_eq!(
            throttle.admit(&domain(1), start.after(MIN_FETCH_INTERVAL_MS)),
            Ok(())
        );
    }

    #[test]
    fn b5_a_clock_set_back_locks_nobody_out() {
        let mut throttle = FetchThrottle::default();
        assert_eq!(throttle.admit(&domain(1), UnixMillis(9_000_000)), Ok(()));
        let wait = throttle.admit(&domain(1), UnixMillis(1_000));
        assert_eq!(
            wait,
            Err(TooSoon {
                retry_after_ms: MIN_FETCH_INTERVAL_MS
            })
        );
    }

    #[test]
    fn b5_memory_is_bounded_and_old_names_make_room() {
        let mut throttle = FetchThrottle::default();
        let start = UnixMillis(0);
        for number in 0..MAX_REMEMBERED {
            assert_eq!(throttle.admit(&domain(number), start), Ok(()));
        }
        assert!(throttle.admit(&domain(MAX_REMEMBERED), start).is_err());
        let later = start.after(MIN_FETCH_INTERVAL_MS);
        assert_eq!(throttle.admit(&domain(MAX_REMEMBERED), later), Ok(()));
    }
}
