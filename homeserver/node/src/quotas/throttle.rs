//! Token buckets, one for each key, in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use entente_protocol::fault::{Fault, FaultCode};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use crate::config::Rate;

/// Most keys of one kind that are remembered.
pub const MAX_KEYS: usize = 16_384;

type Limiter<K, C> = RateLimiter<K, Buckets<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Buckets that refill steadily.
pub struct Throttle<K: Hash + Eq + Clone, C: Clock = DefaultClock> {
    limiter: Option<Limiter<K, C>>,
    burst: NonZeroU32,
    clock: C,
    what: &'static str,
}

/// When each bucket is full again. Whoever is not in it has a full one.
///
/// Invariant: at most [`MAX_KEYS`]. Beyond that the half that is nearest to full is forgotten: its owners
/// get back a part of what they used, which is what time would give them soon.
struct Buckets<K>(Mutex<HashMap<K, Nanos>>);

impl<K: Hash + Eq + Clone> StateStore for Buckets<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full_again) = buckets.get_mut(key) {
            let (outcome, next) = measure(Some(*full_again))?;
            *full_again = next;
            return Ok(outcome);
        }
        let (outcome, next) = measure(None)?;
        if buckets.len() >= MAX_KEYS {
            forget_half(&mut buckets);
        }
        buckets.insert(key.clone(), next);
        Ok(outcome)
    }
}

fn forget_half<K: Hash + Eq>(buckets: &mut HashMap<K, Nanos>) {
    let mut ends: Vec<Nanos> = buckets.values().copied().collect();
    let middle = ends.len() / 2;
    let (_, middle, _) = ends.select_nth_unstable(middle);
    let middle = *middle;
    buckets.retain(|_, full_again| *full_again > middle);
}

impl<K: Hash + Eq + Clone> Throttle<K> {
    /// Buckets of a rate; `what` is counted, for the sentence that refuses it.
    #[must_use]
    pub fn new(rate: Rate, what: &'static str) -> Self {
        Self::with_clock(rate, what, DefaultClock::default())
    }
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Throttle<K, C> {
    fn with_clock(rate: Rate, what: &'static str, clock: C) -> Self {
        let bounded = rate.bounded();
        let limiter = bounded.and_then(|rate| {
            let quota = Quota::with_period(rate.interval)?.allow_burst(rate.burst);
            let buckets = Buckets(Mutex::default());
            Some(RateLimiter::new(quota, buckets, clock.clone()))
        });
        Self {
            limiter,
            burst: bounded.map_or(NonZeroU32::MAX, |rate| rate.burst),
            clock,
            what,
        }
    }

    /// Takes a token of the key's bucket.
    ///
    /// # Errors
    /// [`FaultCode::RateLimited`], with the time until there is one again.
    pub fn admit(&self, key: &K) -> Result<(), Fault> {
        self.admit_many(key, NonZeroU32::MIN)
    }

    /// Takes so many tokens of the key's bucket; what is more than a whole bucket counts as one.
    ///
    /// # Errors
    /// [`FaultCode::RateLimited`], with the time until there are so many.
    pub fn admit_many(&self, key: &K, count: NonZeroU32) -> Result<(), Fault> {
        let Some(limiter) = &self.limiter else {
            return Ok(());
        };
        let checked = limiter.check_key_n(key, count.min(self.burst));
        let Err(not_until) = checked.expect("a bucket holds what a bucket holds") else {
            return Ok(());
        };
        let wait = not_until.wait_time_from(self.clock.now());
        Err(refusal(self.what, wait))
    }
}

/// The refusal of what is too much, with when to try again: never earlier than it would be taken.
pub(super) fn refusal(what: &str, wait: Duration) -> Fault {
    let wait_ms = wait.as_nanos().div_ceil(1_000_000).max(1);
    let wait_ms = u32::try_from(wait_ms).unwrap_or(u32::MAX);
    let seconds = wait_ms.div_ceil(1_000);
    let detail = format!("too many {what}; try again in {seconds} s");
    Fault::new(FaultCode::RateLimited, detail).retry_after(wait_ms)
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn throttle(rate: &str) -> (Throttle<u32, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let rate = rate.parse().expect(rate);
        (
            Throttle::with_clock(rate, "questions", clock.clone()),
            clock,
        )
    }

    #[test]
    fn each_key_has_a_bucket_of_its_own_that_refills() {
        let (throttle, clock) = throttle("1/m burst 2");
        assert!(throttle.admit(&1).is_ok() && throttle.admit(&1).is_ok());
        let fault = throttle.admit(&1).expect_err("the bucket is empty");
        assert_eq!(fault.code, FaultCode::RateLimited);
        assert_eq!(fault.retry_after_ms, Some(60_000));
        assert_eq!(fault.detail, "too many questions; try again in 60 s");
        assert!(throttle.admit(&2).is_ok());
        clock.advance(Duration::from_millis(57_900));
        let fault = throttle.admit(&1).expect_err("not yet");
        assert_eq!(fault.retry_after_ms, Some(2_100));
        assert_eq!(fault.detail, "too many questions; try again in 3 s");
        clock.advance(Duration::from_millis(2_100));
        assert!(throttle.admit(&1).is_ok() && throttle.admit(&1).is_err());
    }

    #[test]
    fn whoever_comes_when_it_was_told_to_is_taken() {
        // One every 142.857 ms.
        let (throttle, clock) = throttle("7/s burst 1");
        assert!(throttle.admit(&1).is_ok());
        for _ in 0..20 {
            let fault = throttle.admit(&1).expect_err("too early");
            let wait_ms = fault.retry_after_ms.expect("a time");
            clock.advance(Duration::from_millis(wait_ms.into()));
            assert!(throttle.admit(&1).is_ok(), "after {wait_ms} ms");
        }
    }

    #[test]
    fn many_are_taken_at_once_or_not_at_all() {
        let (throttle, clock) = throttle("1/s burst 10");
        let many = |count| throttle.admit_many(&1, NonZeroU32::new(count).expect("some"));
        assert!(many(6).is_ok());
        assert_eq!(
            many(6).expect_err("four are left").retry_after_ms,
            Some(2_000)
        );
        assert!(many(4).is_ok());
        clock.advance(Duration::from_secs(10));
        assert!(many(1_000).is_ok(), "more than a bucket is a bucket");
        assert!(many(1).is_err());
    }

    #[test]
    fn no_limit_is_no_limit() {
        let (throttle, _clock) = throttle("none");
        for _ in 0..100_000 {
            assert!(throttle.admit(&1).is_ok());
        }
    }

    #[test]
    fn however_many_keys_there_are_the_busy_ones_are_remembered() {
        let (throttle, _clock) = throttle("1/h burst 3");
        while throttle.admit(&u32::MAX).is_ok() {}
        for key in 0..5 * u32::try_from(MAX_KEYS).expect("few") {
            assert!(throttle.admit(&key).is_ok());
            assert!(throttle.admit(&u32::MAX).is_err(), "after {key}");
        }
        let buckets = throttle.limiter.expect("a limit").into_state_store();
        assert!(buckets.0.lock().expect("not poisoned").len() <= MAX_KEYS);
    }
}
