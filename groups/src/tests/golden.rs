//! Bytes that earlier versions wrote are read for ever: encodings, and stored state.
//!
//! `state-1.bin` was written by `examples/golden.rs`: a room of two at the hub and at a member, with a
//! message of the current epoch and one of the epoch before.

use entente_identity::{AccountDid, SigningKey, encode};
use sha2::{Digest, Sha256};

use super::world::NOW;
use crate::{
    Aad, EpochSnapshot, InviteRight, LeafIndex, Member, MessageId, Processed, PublicRoom, Role,
    RoomId, RoomPolicy, Suite, Ticket,
};

fn hash(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    RoomId(digest).to_string()[..16].to_owned()
}

#[test]
fn encodings_do_not_change() {
    let account = |seed| AccountDid::new(SigningKey::from_seed(&[seed; 32]).public());
    let aad = Aad::new(MessageId([1; 16]), 2, [3; 32]).to_bytes();
    let policy = RoomPolicy::new([account(1), account(2)], InviteRight::Admins);
    let ticket = Ticket {
        room: RoomId([1; 32]),
        invitee: account(1),
        role: Role::Member,
        min_list_version: 2,
        inviter: account(3),
        inviter_leaf: LeafIndex(4),
    };
    let seen = [
        hash(&aad),
        hash(&policy.expect("two admins").to_bytes()),
        hash(&encode(&ticket)),
        hash(&encode(&Suite::ALL.to_vec())),
    ];
    assert_eq!(seen, ENCODINGS);
}

/// Authenticated data, policy, ticket, suites.
const ENCODINGS: [&str; 4] = [
    "cbd187725e1e649a",
    "6882390cedb7f19c",
    "9a800e5b946a51be",
    "0f273e9146d958bd",
];

#[derive(serde::Deserialize)]
struct Stored {
    room: [u8; 32],
    hub: Vec<u8>,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    past: Vec<u8>,
    message: Vec<u8>,
    late: Vec<u8>,
    commit: Vec<u8>,
}

#[test]
fn stored_state_is_read() {
    let bytes = include_bytes!("../../testdata/state-1.bin");
    let stored: Stored = postcard::from_bytes(bytes).expect("the fixture");
    let hub = PublicRoom::restore(&stored.hub).expect("a snapshot of the hub");
    assert_eq!(hub.members().len(), 2);
    let mut member = Member::load(RoomId(stored.room), stored.rows).expect("rows of a member");
    assert_eq!(member.epoch(), hub.epoch());
    assert!(hub.members().eq(&member.members().expect("own tree")));
    let past = EpochSnapshot::from_bytes(&stored.past).expect("a snapshot of an epoch");
    let late = member.read_late(&past, &stored.late).expect("reads");
    assert_eq!(late.plaintext, b"late");
    match member.process(&stored.message, NOW).expect("reads") {
        Processed::Application(read) => assert_eq!(read.plaintext, b"in time"),
        other => panic!("expected a message, got {other:?}"),
    }
    assert!(matches!(
        member.process(&stored.commit, NOW),
        Ok(Processed::Commit(_))
    ));
}
