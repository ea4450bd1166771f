//! When accounts last lost a device in a room: tickets that were signed before let nobody in.
//!
//! A ticket lives for weeks, and whoever was removed still has the one by which it came. Hub and
//! members note departures with the time at which they were ordered. A member knows those since it
//! came in; the hub, which refuses first, knows all of them.

use entente_identity::{AccountDid, CLOCK_TOLERANCE_MS, UnixMillis};

use crate::roster::{Departure, MemberInfo, RosterDelta};
use crate::state::{EntryKind, GroupState};
use crate::ticket::MAX_TICKET_LIFETIME_MS;

impl GroupState {
    /// Notes who went at `now`, and forgets those from before whom no ticket can be left.
    pub(crate) fn note_departures(&self, delta: &RosterDelta, now: UnixMillis) {
        let oldest = now.before(MAX_TICKET_LIFETIME_MS + 2 * CLOCK_TOLERANCE_MS);
        for (key, value) in self.entries_of(EntryKind::Departure) {
            if time_of(&value) < oldest {
                self.delete(&key);
            }
        }
        for gone in delta.left.iter().filter(|gone| !stays(gone, delta)) {
            let last = self.departed(&gone.account).unwrap_or_default();
            let time = last.max(now).0.to_be_bytes();
            self.write(key_of(&gone.account), time.to_vec());
        }
    }

    /// When a device of the account last went.
    pub(crate) fn departed(&self, account: &AccountDid) -> Option<UnixMillis> {
        self.with(&key_of(account), |value| value.map(time_of))
    }
}

/// A device that came back, or whose home changed, did not go.
fn stays(gone: &Departure, delta: &RosterDelta) -> bool {
    let same = |m: &MemberInfo| m.account == gone.account && m.device == gone.device;
    delta.joined.iter().any(same)
}

fn key_of(account: &AccountDid) -> Vec<u8> {
    [
        &[EntryKind::Departure as u8][..],
        account.root_key().as_bytes(),
    ]
    .concat()
}

/// What is damaged counts as the end of time, so that no ticket is let through by it.
fn time_of(value: impl AsRef<[u8]>) -> UnixMillis {
    let bytes = value.as_ref().try_into();
    UnixMillis(bytes.map_or(u64::MAX, u64::from_be_bytes))
}
