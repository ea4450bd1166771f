//! How long a room's log is kept: what came here long enough ago goes, unless somebody still needs it.
//!
//! An entry's own time is its hub's word, and an entry may come late, by a repair. So what counts is when the log was
//! seen to reach a position here: a mark, made about once a day, at most [`MAX_MARKS`] of them. What is kept however old it is:
//! the end of the log and the newest head that the hub signed, which the next entry and other servers are
//! compared with; what is owed to a peer; and the proposals that the next commit must cover.

use entente_identity::UnixMillis;
use entente_protocol::entry::Seq;

use crate::change::{Change, Decision};
use crate::rows::{RetentionRow, RoomRow};

/// Most marks of one room.
pub const MAX_MARKS: usize = 32;
/// Most entries that one command deletes, so that nobody waits long for it.
pub const MAX_DROPPED: u64 = 512;

/// Positions from which on a log is needed whatever its age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// The first entry that is owed to a peer.
    pub owed: Option<Seq>,
    /// The newest head that the hub signed.
    pub signed: Option<Seq>,
}

/// Whether there is more to delete now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retained {
    /// Everything that may go has gone.
    All,
    /// Another command deletes more.
    More,
}

/// Deletes what is older than `keep_ms`, and marks how far the log goes now.
#[must_use]
pub fn retain(
    room: &RoomRow,
    row: RetentionRow,
    needed: Needed,
    keep_ms: u64,
    now: UnixMillis,
) -> Decision<Retained> {
    let mut next = row.clone();
    let mut decision = Decision::reply(Retained::All);
    let is_old = |time: &UnixMillis| time.0.saturating_add(keep_ms) <= now.0;
    let old = row.marks.iter().filter(|(_, time)| is_old(time)).count();
    if let Some((due, _)) = old.checked_sub(1).and_then(|last| row.marks.get(last)) {
        // Of the old ones the newest says all; it stays until everything before it has gone.
        next.marks.drain(..old - 1);
        let last = first_needed(room, needed).0.saturating_sub(1).min(due.0);
        if last >= row.kept_from.0 {
            let end = last.min(row.kept_from.0.saturating_add(MAX_DROPPED - 1));
            decision.changes.push(Change::DropEntries {
                room: room.room,
                up_to: Seq(end),
            });
            next.kept_from = Seq(end.saturating_add(1));
            if end < last {
                decision.reply = Retained::More;
            }
        }
        if next.kept_from > *due {
            next.marks.remove(0);
        }
    }
    mark(&mut next, room.head.seq, keep_ms, now);
    if next != row {
        decision.changes.push(Change::PutRetention(next));
    }
    decision
}

fn mark(row: &mut RetentionRow, head: Seq, keep_ms: u64, now: UnixMillis) {
    let apart_ms = keep_ms / (MAX_MARKS as u64 - 1);
    let is_due = row
        .marks
        .last()
        .is_none_or(|(seq, time)| *seq < head && time.0.saturating_add(apart_ms) <= now.0);
    if is_due && row.marks.len() < MAX_MARKS && head >= row.kept_from {
        row.marks.push((head, now));
    }
}

/// The first entry that is needed whatever its age.
fn first_needed(room: &RoomRow, needed: Needed) -> Seq {
    let proposals = room.pending.iter().copied();
    let others = needed.owed.into_iter().chain(needed.signed);
    let first = proposals.chain(others).min();
    first.map_or(room.head.seq, |first| first.min(room.head.seq))
}

#[cfg(test)]
mod tests;
