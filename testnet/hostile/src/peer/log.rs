//! A room's log as a hostile hub writes it: entries that chain, whatever they say.

use entente_groups::{
    Departure, Epoch, LeafIndex, MemberInfo, MessageId, Role, RoomId, RosterDelta,
};
use entente_identity::{ServerDid, SigningKey, encode};
use entente_protocol::checkpoint::attest;
use entente_protocol::entry::{
    CommitBody, Entry, EntryHash, EntryHeader, EntryKind, Head, Seq, Term,
};

use crate::clock::now;
use crate::dice::Dice;
use crate::person::Person;

/// The log of a room of which a hostile organization says that it is the hub.
#[derive(Clone, Debug)]
pub struct FakeLog {
    /// The room.
    pub room: RoomId,
    /// The server that each entry names as its origin.
    pub origin: ServerDid,
    /// The end of the log.
    pub head: Head,
    /// The epoch of the next entry.
    pub epoch: Epoch,
}

impl FakeLog {
    /// A log that others are let into after some entries.
    #[must_use]
    pub fn new(room: RoomId, origin: ServerDid, dice: &mut Dice) -> Self {
        Self {
            room,
            origin,
            head: Head {
                term: Term::FIRST,
                seq: Seq(3),
                hash: EntryHash(dice.bytes()),
            },
            epoch: Epoch(0),
        }
    }

    /// The next entry of any kind with any body.
    pub fn next(&mut self, kind: EntryKind, body: Vec<u8>, dice: &mut Dice) -> Entry {
        let header = EntryHeader {
            room: self.room,
            term: self.head.term,
            seq: self.head.seq.next(),
            epoch: self.epoch,
            kind,
            origin: self.origin.clone(),
            sender: LeafIndex(0),
            message_id: MessageId(dice.bytes()),
            prev_hash: self.head.hash,
            body_hash: Entry::body_hash(&body),
            time: now(),
        };
        self.head = header.head();
        Entry {
            header,
            body: body.into(),
            attestation: None,
        }
    }

    /// The next entry: a commit that brings people in and takes people out, by its own account.
    pub fn commit(&mut self, joined: &[&Person], left: &[&Person], dice: &mut Dice) -> Entry {
        let leaf = |index: usize| LeafIndex(u32::try_from(index).unwrap_or(u32::MAX) + 1);
        let joined = joined.iter().enumerate();
        let left = left.iter().enumerate();
        let roster = RosterDelta {
            joined: joined
                .map(|(index, person)| MemberInfo {
                    leaf: leaf(index),
                    account: person.account,
                    device: person.device,
                    device_key: person.key().public(),
                    list_version: 1,
                    home: person.home(),
                    role: Role::Member,
                })
                .collect(),
            left: left
                .map(|(index, person)| Departure {
                    leaf: leaf(index),
                    account: person.account,
                    device: person.device,
                })
                .collect(),
        };
        let body = encode(&CommitBody {
            commit: vec![7; 32].into(),
            roster,
        });
        self.next(EntryKind::Commit, body, dice)
    }

    /// The next entry: a message of nonsense.
    pub fn message(&mut self, dice: &mut Dice) -> Entry {
        let body = dice.many(64);
        self.next(EntryKind::Application, body, dice)
    }
}

/// The entry with a hub's signature on it as a head.
#[must_use]
pub fn attested(entry: Entry, hub: &ServerDid, key_id: &str, key: &SigningKey) -> Entry {
    let head = (entry.header.room, entry.header.head());
    let attestation = attest(&[head], hub, key_id, key, now()).pop();
    Entry {
        attestation,
        ..entry
    }
}
