//! How long a writer waits after it was overtaken.
//!
//! A transaction that others overtook is run again at once by its caller. Often the faster one is still on
//! its way to disk then: it is too late to stop it and too early to see it, and whoever reads what it
//! writes fails again without having waited for anything. So the next transaction begins a little later,
//! by chance, so that two do not stay in step; and not much later, since whoever waits long between
//! attempts meets another transaction of the faster one each time, and starves.

use std::time::Duration;

use rand::Rng;
use rand::rngs::OsRng;

/// The longest wait's middle.
const MOST: Duration = Duration::from_millis(4);
/// The first wait's middle: a commit's way to a good disk.
const FIRST: Duration = Duration::from_millis(1);

/// How often a writer was overtaken without getting on.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    overtaken: u32,
}

impl Pace {
    /// Another writer was first.
    pub(crate) fn overtaken(&mut self) {
        self.overtaken += 1;
    }

    /// A transaction got through.
    pub(crate) fn through(&mut self) {
        self.overtaken = 0;
    }

    /// How long to wait before the next transaction, if at all.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let doublings = self.overtaken.checked_sub(1)?;
        let middle = MOST.min(FIRST * 2u32.saturating_pow(doublings));
        Some(middle.mul_f64(OsRng.gen_range(0.5..1.5)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(overtaken: u32, from_ms: f64, to_ms: f64) {
        let mut pace = Pace::default();
        for _ in 0..overtaken {
            pace.overtaken();
        }
        let wait_ms = pace.wait().expect("it was overtaken").as_secs_f64() * 1e3;
        assert!((from_ms..=to_ms).contains(&wait_ms), "{wait_ms} ms");
        pace.through();
        assert_eq!(pace.wait(), None);
    }

    #[test]
    fn waits_grow_to_a_bound_and_end_with_success() {
        assert_eq!(Pace::default().wait(), None);
        check(1, 0.5, 1.5);
        check(2, 1.0, 3.0);
        check(3, 2.0, 6.0);
        check(4, 2.0, 6.0);
        check(2_000, 2.0, 6.0);
    }
}
