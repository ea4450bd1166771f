//! Token buckets, one for each key: how often somebody may do something.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};

use entente_protocol::fault::{Fault, FaultCode};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// After so many admissions the buckets that are full again are forgotten.
const SWEEP_EVERY: u32 = 4096;

/// Buckets that refill steadily.
pub struct Throttle<K: Hash + Eq + Clone> {
    buckets: DefaultKeyedRateLimiter<K>,
    admitted: AtomicU32,
}

impl<K: Hash + Eq + Clone> Throttle<K> {
    /// Buckets of `burst`, refilled by `per_second`.
    #[must_use]
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            buckets: RateLimiter::keyed(quota),
            admitted: AtomicU32::new(0),
        }
    }

    /// Takes a token of the key's bucket.
    ///
    /// # Errors
    /// [`FaultCode::RateLimited`], with the time until there is one again.
    pub fn admit(&self, key: &K) -> Result<(), Fault> {
        if self.admitted.fetch_add(1, Ordering::Relaxed) % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.buckets.retain_recent();
        }
        self.buckets.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
            Fault::new(FaultCode::RateLimited, "too many requests; slow down")
                .retry_after(wait_ms.max(1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_bucket_of_its_own() {
        let one = NonZeroU32::new(1).expect("not zero");
        let two = NonZeroU32::new(2).expect("not zero");
        let throttle = Throttle::new(one, two);
        assert!(throttle.admit(&1).is_ok() && throttle.admit(&1).is_ok());
        let fault = throttle.admit(&1).expect_err("the bucket is empty");
        assert_eq!(fault.code, FaultCode::RateLimited);
        assert!(fault.retry_after_ms.is_some_and(|wait| wait <= 1_000));
        assert!(throttle.admit(&2).is_ok());
    }
}
