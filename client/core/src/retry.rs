//! How long to wait before the next try: full jitter, doubling, bounded.

use rand::{CryptoRng, Rng, RngCore};

/// The first bound, in milliseconds.
pub const FIRST_DELAY_MS: u64 = 200;
/// The last bound, in milliseconds.
pub const MAX_DELAY_MS: u64 = 60_000;

/// Tries that failed one after the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// No failure yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// After this many failures.
    #[must_use]
    pub fn after(failures: u32) -> Self {
        Self { failures }
    }

    /// The upper bound of the next delay, in milliseconds.
    #[must_use]
    pub fn bound_ms(self) -> u64 {
        let doublings = self.failures.min(16);
        (FIRST_DELAY_MS << doublings).min(MAX_DELAY_MS)
    }

    /// Counts a failure and says how long to wait, in milliseconds: anything from 0 to the bound, so
    /// that clients that lost a server together do not come back together.
    pub fn next_delay_ms(&mut self, rng: &mut (impl CryptoRng + RngCore)) -> u64 {
        let delay_ms = rng.gen_range(0..=self.bound_ms());
        self.failures = self.failures.saturating_add(1);
        delay_ms
    }

    /// Something worked.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// How long to wait after this many failures, in milliseconds; at least what the other side asked for.
pub fn delay_ms(
    failures: u32,
    asked_for_ms: Option<u32>,
    rng: &mut (impl CryptoRng + RngCore),
) -> u64 {
    let own = Backoff::after(failures).next_delay_ms(rng);
    own.max(asked_for_ms.map_or(0, u64::from)).min(MAX_DELAY_MS)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn delays_double_up_to_their_bound_and_start_again() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut backoff = Backoff::new();
        let bounds: Vec<u64> = (0..10)
            .map(|_| {
                let bound = backoff.bound_ms();
                assert!(backoff.next_delay_ms(&mut rng) <= bound);
                bound
            })
            .collect();
        assert_eq!(
            bounds,
            [
                200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000
            ]
        );
        backoff.reset();
        assert_eq!(backoff.bound_ms(), FIRST_DELAY_MS);
        assert_eq!(Backoff::after(u32::MAX).bound_ms(), MAX_DELAY_MS);
        assert!(delay_ms(0, Some(5_000), &mut rng) >= 5_000);
    }
}
