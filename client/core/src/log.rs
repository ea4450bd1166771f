//! Whether an entry extends a room's log as this device has it, and what the entry is for it.

use entente_groups::MessageId;
use entente_protocol::entry::{ChainFault, Entry, EntryKind, Head};

use crate::room::RoomState;

/// A room's log as this device has it.
#[derive(Clone, Copy, Debug)]
pub struct LogView {
    /// Where the room stands.
    pub state: RoomState,
    /// The end of the log as processed; `None` before the first entry.
    pub head: Option<Head>,
    /// The id of the commit or create entry by which this device comes in, while it waits for it.
    pub coming_in_by: Option<MessageId>,
}

/// What an entry is for this device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Processed before, perhaps by another process.
    Known,
    /// Ordered before this device came in: not readable here.
    BeforeOwnTime,
    /// The entry by which this device comes in: the log begins here.
    ComesIn,
    /// The next one.
    Next,
    /// The room is not followed any more.
    NotFollowed,
    /// Entries are missing before it: ask for them again.
    Gap,
    /// It continues another history, or is no whole entry: stop, keep it as evidence.
    Forked(ChainFault),
}

/// Judges an entry's place.
#[must_use]
pub fn judge_entry(view: &LogView, entry: &Entry) -> Verdict {
    match view.state {
        RoomState::Creating | RoomState::Joining => judge_arrival(view, entry),
        RoomState::Active | RoomState::Leaving => judge_next(view, entry),
        RoomState::Left | RoomState::Removed | RoomState::Broken | RoomState::Frozen => {
            Verdict::NotFollowed
        }
    }
}

fn judge_arrival(view: &LogView, entry: &Entry) -> Verdict {
    let header = &entry.header;
    let begins = matches!(header.kind, EntryKind::Create | EntryKind::Commit);
    if !begins || view.coming_in_by != Some(header.message_id) {
        return Verdict::BeforeOwnTime;
    }
    match entry.body_matches() {
        Ok(()) => Verdict::ComesIn,
        Err(fault) => Verdict::Forked(fault),
    }
}

fn judge_next(view: &LogView, entry: &Entry) -> Verdict {
    let Some(head) = &view.head else {
        return Verdict::Gap;
    };
    let header = &entry.header;
    if header.seq < head.seq {
        return Verdict::Known;
    }
    // The last entry shown once more is the cheapest way to notice a second history.
    if header.seq == head.seq {
        return if header.hash() == head.hash {
            Verdict::Known
        } else {
            Verdict::Forked(ChainFault::Fork(header.seq))
        };
    }
    match entry.extends(head) {
        Ok(()) => Verdict::Next,
        Err(ChainFault::Gap { .. }) => Verdict::Gap,
        Err(fault) => Verdict::Forked(fault),
    }
}

#[cfg(test)]
mod tests {
    use entente_groups::{Epoch, LeafIndex, RoomId};
    use entente_identity::UnixMillis;
    use entente_protocol::entry::{EntryHash, EntryHeader, Seq, Term};

    use super::*;

    fn entry(seq: u64, prev_hash: EntryHash) -> Entry {
        let body = vec![u8::try_from(seq).expect("small")];
        Entry {
            header: EntryHeader {
                room: RoomId([1; 32]),
                term: Term::FIRST,
                seq: Seq(seq),
                epoch: Epoch(0),
                kind: EntryKind::Commit,
                origin: "did:web:org-a.example".parse().expect("a DID"),
                sender: LeafIndex(0),
                message_id: MessageId([u8::try_from(seq).expect("small"); 16]),
                prev_hash,
                body_hash: Entry::body_hash(&body),
                time: UnixMillis(seq),
            },
            body: body.into(),
            attestation: None,
        }
    }

    fn check(state: RoomState, head: Option<Head>, entry: &Entry, expect: &Verdict) {
        let view = LogView {
            state,
            head,
            coming_in_by: Some(MessageId([3; 16])),
        };
        assert_eq!(&judge_entry(&view, entry), expect, "{entry:?}");
    }

    #[test]
    fn a_log_is_read_in_one_unbroken_chain() {
        let second = entry(2, EntryHash([9; 32]));
        let head = Some(second.header.head());
        let third = entry(3, second.header.hash());
        let active = RoomState::Active;
        check(active, head, &third, &Verdict::Next);
        check(active, head, &second, &Verdict::Known);
        check(
            active,
            head,
            &entry(1, EntryHash::default()),
            &Verdict::Known,
        );
        check(active, head, &entry(4, third.header.hash()), &Verdict::Gap);
        let fork = |seq| Verdict::Forked(ChainFault::Fork(Seq(seq)));
        check(active, head, &entry(3, EntryHash([7; 32])), &fork(3));
        check(active, head, &entry(2, EntryHash([7; 32])), &fork(2));
        let mut changed = third.clone();
        changed.body = vec![99].into();
        let broken = Verdict::Forked(ChainFault::Body(Seq(3)));
        check(active, head, &changed, &broken);
        check(RoomState::Frozen, head, &third, &Verdict::NotFollowed);
        check(RoomState::Removed, head, &third, &Verdict::NotFollowed);
    }

    #[test]
    fn a_newcomer_begins_with_the_entry_that_it_made() {
        let joining = RoomState::Joining;
        let own = entry(3, EntryHash([5; 32]));
        check(joining, None, &own, &Verdict::ComesIn);
        check(
            joining,
            None,
            &entry(2, EntryHash([5; 32])),
            &Verdict::BeforeOwnTime,
        );
        let mut message = own.clone();
        message.header.kind = EntryKind::Application;
        check(joining, None, &message, &Verdict::BeforeOwnTime);
        let mut changed = own;
        changed.body = vec![98].into();
        let broken = Verdict::Forked(ChainFault::Body(Seq(3)));
        check(joining, None, &changed, &broken);
    }
}
