//! How many things of one key are under way at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entente_protocol::fault::{Fault, FaultCode};

/// What a caller is told to wait, in milliseconds.
const RETRY_MS: u32 = 500;

/// Counts what is under way. Whoever has nothing under way takes no memory.
pub struct InFlight<K: Hash + Eq> {
    most: u32,
    what: &'static str,
    counts: Arc<Mutex<HashMap<K, u32>>>,
}

/// One thing under way, until it is dropped.
pub struct UnderWay<K: Hash + Eq> {
    key: K,
    counts: Arc<Mutex<HashMap<K, u32>>>,
}

impl<K: Hash + Eq + Clone> InFlight<K> {
    /// At most so many of one key; `what` is counted, for the sentence that refuses it.
    #[must_use]
    pub fn new(most: NonZeroU32, what: &'static str) -> Self {
        Self {
            most: most.get(),
            what,
            counts: Arc::default(),
        }
    }

    /// Begins something.
    ///
    /// # Errors
    /// [`FaultCode::RateLimited`] while as many are under way as may be.
    pub fn begin(&self, key: &K) -> Result<UnderWay<K>, Fault> {
        let mut counts = lock(&self.counts);
        let count = counts.entry(key.clone()).or_insert(0);
        if *count >= self.most {
            let detail = format!(
                "more than {} {} at once; wait for answers and try again",
                self.most, self.what
            );
            return Err(Fault::new(FaultCode::RateLimited, detail).retry_after(RETRY_MS));
        }
        *count += 1;
        Ok(UnderWay {
            key: key.clone(),
            counts: Arc::clone(&self.counts),
        })
    }
}

impl<K: Hash + Eq> Drop for UnderWay<K> {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.key);
            }
        }
    }
}

fn lock<K>(counts: &Mutex<HashMap<K, u32>>) -> MutexGuard<'_, HashMap<K, u32>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_makes_room_and_leaves_nothing_behind() {
        let calls = InFlight::new(NonZeroU32::new(2).expect("two"), "calls");
        let first = calls.begin(&1).expect("one");
        let second = calls.begin(&1).expect("two");
        let fault = calls.begin(&1).err().expect("three");
        assert_eq!(fault.code, FaultCode::RateLimited);
        assert!(fault.retry_after_ms.is_some());
        let other = calls.begin(&2).expect("another key");
        drop(first);
        let again = calls.begin(&1).expect("two again");
        drop((second, other, again));
        assert!(lock(&calls.counts).is_empty());
    }
}
