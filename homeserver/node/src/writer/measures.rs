//! What the writer did since it started, as numbers that only grow.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use entente_homeserver_ops::{Executed, StoreFault};

/// Bounds of a transaction's number of commands.
pub(crate) const BATCH_BOUNDS: [u64; 8] = [1, 2, 4, 16, 64, 128, 256, 512];
/// Bounds of a transaction's time, in microseconds.
pub(crate) const TIME_BOUNDS_US: [u64; 12] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];
/// What becomes of a transaction.
pub(crate) const OUTCOMES: [&str; 5] =
    ["committed", "unavailable", "conflict", "unknown", "broken"];
/// What becomes of a command.
pub(crate) const ANSWERS: [&str; 3] = ["done", "refused", "failed"];

/// What the writer did.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    /// Transactions, by [`OUTCOMES`].
    pub(crate) transactions: [Count; OUTCOMES.len()],
    /// Commands, by [`ANSWERS`].
    pub(crate) commands: [Count; ANSWERS.len()],
    /// How often a transaction was begun again because another writer was faster.
    pub(crate) retries: Count,
    /// Commands of each transaction.
    pub(crate) batches: Histogram<{ BATCH_BOUNDS.len() }>,
    /// Time of each transaction with all its attempts, in microseconds.
    pub(crate) times_us: Histogram<{ TIME_BOUNDS_US.len() }>,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

/// How many values lie up to each bound; those beyond the last are in the number of all.
#[derive(Debug)]
pub(crate) struct Histogram<const N: usize> {
    within: [Count; N],
    all: Count,
    sum: Count,
}

impl Measures {
    /// Notes a transaction.
    pub(super) fn note(&self, executed: &Executed, took: Duration) {
        let outcome = match &executed.failure {
            None => 0,
            Some(StoreFault::Unavailable(_)) => 1,
            Some(StoreFault::Conflict(_)) => 2,
            Some(StoreFault::Unknown(_)) => 3,
            Some(StoreFault::Broken(_)) => 4,
        };
        self.transactions[outcome].add(1);
        let count = executed.answers.len() as u64;
        let refused = executed.answers.iter().filter(|answer| answer.is_err());
        match &executed.failure {
            Some(_) => self.commands[2].add(count),
            None => {
                let refused = refused.count() as u64;
                self.commands[1].add(refused);
                self.commands[0].add(count - refused);
            }
        }
        self.retries.add(executed.attempts.saturating_sub(1).into());
        self.batches.add(&BATCH_BOUNDS, count);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.times_us.add(&TIME_BOUNDS_US, took_us);
    }
}

impl Count {
    fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The number now.
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self {
            within: std::array::from_fn(|_| Count::default()),
            all: Count::default(),
            sum: Count::default(),
        }
    }
}

impl<const N: usize> Histogram<N> {
    fn add(&self, bounds: &[u64; N], value: u64) {
        for (within, bound) in self.within.iter().zip(bounds) {
            if value <= *bound {
                within.add(1);
            }
        }
        self.sum.add(value);
        self.all.add(1);
    }

    /// How many lie up to each bound, how many there are, and their sum.
    pub(crate) fn now(&self) -> ([u64; N], u64, u64) {
        let within = std::array::from_fn(|n| self.within[n].now());
        (within, self.all.now(), self.sum.now())
    }
}
