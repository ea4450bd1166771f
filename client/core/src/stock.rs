//! How many KeyPackages a device keeps at its server.

use entente_groups::Suite;
use entente_protocol::limits::{KEY_PACKAGE_LIFETIME_MS, KEY_PACKAGE_STOCK};

/// How many packages to make, for one suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    /// The suite.
    pub suite: Suite,
    /// How many that are used once.
    pub once: usize,
    /// Whether to replace the one of last resort.
    pub last_resort: bool,
}

/// How long before its end a package of last resort is replaced, in milliseconds: a third of its life.
pub const LAST_RESORT_MARGIN_MS: u64 = KEY_PACKAGE_LIFETIME_MS / 3;

/// What to publish when the server holds `unclaimed` packages of all suites together. Below half the
/// stock it is filled up; `last_resort_missing` lists the suites whose last resort is missing or old.
///
/// The server tells one number for all suites, so that a suite that others use much may run low while
/// the others are full; each suite gets the same share, and then the last resort steps in.
#[must_use]
pub fn refill(unclaimed: u32, last_resort_missing: &[Suite]) -> Vec<Refill> {
    let suites = Suite::ALL.len();
    let whole = KEY_PACKAGE_STOCK * suites;
    let have = usize::try_from(unclaimed).unwrap_or(usize::MAX);
    let once = if have < whole / 2 {
        (whole - have).div_ceil(suites)
    } else {
        0
    };
    Suite::ALL
        .into_iter()
        .map(|suite| Refill {
            suite,
            once,
            last_resort: last_resort_missing.contains(&suite),
        })
        .filter(|refill| refill.once > 0 || refill.last_resort)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn once(unclaimed: u32) -> Vec<usize> {
        let refills = refill(unclaimed, &[]);
        refills.iter().map(|refill| refill.once).collect()
    }

    #[test]
    fn the_stock_is_filled_up_below_half() {
        assert_eq!(once(0), [20, 20]);
        assert_eq!(once(19), [11, 11]);
        assert_eq!(once(20), [0; 0]);
        assert_eq!(once(u32::MAX), [0; 0]);
    }

    #[test]
    fn an_old_last_resort_is_replaced_even_with_a_full_stock() {
        let refills = refill(40, &[Suite::Classical]);
        let expect = Refill {
            suite: Suite::Classical,
            once: 0,
            last_resort: true,
        };
        assert_eq!(refills, [expect]);
    }
}
