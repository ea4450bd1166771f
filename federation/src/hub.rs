//! How the hub puts a room's items in order.
//!
//! Everything here is a pure fold over the room's head: the writer loads the head once and applies
//! these functions to the commands of a batch in turn.

use entente_groups::{Epoch, LeafIndex, MessageId, RoomId};
use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::entry::{Entry, EntryHash, EntryHeader, EntryKind, Head, Seq, Term};
use entente_protocol::fault::FaultCode;
use entente_protocol::limits::{MAX_CIPHERTEXT_BYTES, MAX_PAST_EPOCHS};

/// What is to become an entry.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it is.
    pub kind: EntryKind,
    /// The epoch in which it was made.
    pub epoch: Epoch,
    /// The homeserver that handed it in.
    pub origin: ServerDid,
    /// The sender's leaf.
    pub sender: LeafIndex,
    /// The sender's id for it.
    pub message_id: MessageId,
    /// The body.
    pub body: Vec<u8>,
}

/// The head of a room that has no entry yet.
#[must_use]
pub fn before_first() -> Head {
    Head {
        term: Term::FIRST,
        seq: Seq(0),
        hash: EntryHash::default(),
    }
}

/// Makes the next entry of a room's log.
#[must_use]
pub fn order(room: RoomId, head: &Head, draft: Draft, now: UnixMillis) -> Entry {
    let header = EntryHeader {
        room,
        term: head.term,
        seq: head.seq.next(),
        epoch: draft.epoch,
        kind: draft.kind,
        origin: draft.origin,
        sender: draft.sender,
        message_id: draft.message_id,
        prev_hash: head.hash,
        body_hash: Entry::body_hash(&draft.body),
        time: now,
    };
    Entry {
        header,
        body: draft.body.into(),
        attestation: None,
    }
}

/// Judges the epoch and size of an application message, before anything costly.
///
/// # Errors
/// [`FaultCode::WrongEpoch`] outside the window, [`FaultCode::TooLarge`] beyond the limit.
pub fn judge_application(
    room_epoch: Epoch,
    message_epoch: Epoch,
    ciphertext_bytes: usize,
) -> Result<(), FaultCode> {
    if ciphertext_bytes > MAX_CIPHERTEXT_BYTES {
        return Err(FaultCode::TooLarge);
    }
    let in_window = message_epoch <= room_epoch
        && room_epoch.0.saturating_sub(message_epoch.0) <= MAX_PAST_EPOCHS;
    if in_window {
        Ok(())
    } else {
        Err(FaultCode::WrongEpoch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draft(n: u8) -> Draft {
        Draft {
            kind: EntryKind::Application,
            epoch: Epoch(1),
            origin: "did:web:org-a.example".parse().expect("a DID"),
            sender: LeafIndex(0),
            message_id: MessageId([n; 16]),
            body: vec![n],
        }
    }

    proptest! {
        #[test]
        fn ordered_entries_form_one_chain(count in 1u8..40) {
            let room = RoomId([1; 32]);
            let mut head = before_first();
            for n in 0..count {
                let entry = order(room, &head, draft(n), UnixMillis(u64::from(n)));
                prop_assert_eq!(entry.extends(&head), Ok(()));
                head = entry.header.head();
            }
            prop_assert_eq!(head.seq, Seq(u64::from(count)));
        }
    }

    #[test]
    fn three_past_epochs_are_accepted() {
        let check = |epoch, expect| {
            assert_eq!(
                judge_application(Epoch(5), Epoch(epoch), 10),
                expect,
                "{epoch}"
            );
        };
        check(5, Ok(()));
        check(2, Ok(()));
        check(1, Err(FaultCode::WrongEpoch));
        check(6, Err(FaultCode::WrongEpoch));
        assert_eq!(
            judge_application(Epoch(5), Epoch(5), MAX_CIPHERTEXT_BYTES + 1),
            Err(FaultCode::TooLarge)
        );
    }
}
