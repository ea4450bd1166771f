//! What some member has to do, and which member's device does it.
//!
//! Nobody is told; every device decides from what all of them know. Several doing the same thing at
//! once is harmless: the hub orders one commit, and a profile posted twice reads the same.

use entente_groups::LeafIndex;
use rand::{CryptoRng, Rng, RngCore};

/// A device of each of this many members tries within the shortest window.
const EAGER_MEMBERS: u64 = 4;
/// The shortest window in which a commit of pending proposals is made, in milliseconds.
const WINDOW_MS: u64 = 1_500;
/// The longest window, in milliseconds.
const MAX_WINDOW_MS: u64 = 20_000;

/// How long a device waits before it commits the proposals of others, in milliseconds: anything within
/// a window that grows with the room, so that a large one does not race as a whole.
pub fn commit_delay_ms(devices: usize, rng: &mut (impl CryptoRng + RngCore)) -> u64 {
    let devices = u64::try_from(devices).unwrap_or(u64::MAX);
    let windows = devices.div_ceil(EAGER_MEMBERS).max(1);
    rng.gen_range(0..=WINDOW_MS.saturating_mul(windows).min(MAX_WINDOW_MS))
}

/// How somebody came into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Added by this device, which knows that the newcomer knows nothing.
    AddedHere,
    /// Added by another device.
    AddedElsewhere,
    /// Joined by a ticket, whose invitation told the room's name as it was then.
    ByTicket,
}

/// Whether this device posts the room's name and topic for a newcomer: whoever added it does; after a
/// ticket the first of the other leaves does, if the room was renamed since it was founded.
#[must_use]
pub fn posts_profile(
    arrival: Arrival,
    own: LeafIndex,
    others: impl IntoIterator<Item = LeafIndex>,
    was_renamed: bool,
) -> bool {
    match arrival {
        Arrival::AddedHere => true,
        Arrival::AddedElsewhere => false,
        Arrival::ByTicket => was_renamed && others.into_iter().min() == Some(own),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn exactly_one_device_posts_a_changed_profile_after_a_ticket() {
        let leaves = [3, 1, 7].map(LeafIndex);
        let posting = |arrival, renamed| {
            let posts = |own: &&LeafIndex| posts_profile(arrival, **own, leaves, renamed);
            leaves.iter().filter(posts).count()
        };
        assert_eq!(posting(Arrival::ByTicket, true), 1);
        assert_eq!(posting(Arrival::ByTicket, false), 0);
        assert_eq!(posting(Arrival::AddedElsewhere, true), 0);
    }

    #[test]
    fn a_large_room_takes_its_time() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut longest = |devices| (0..200).map(|_| commit_delay_ms(devices, &mut rng)).max();
        assert!(longest(2) <= Some(WINDOW_MS));
        assert!(longest(16) > Some(WINDOW_MS));
        assert!(longest(usize::MAX) <= Some(MAX_WINDOW_MS));
    }
}
