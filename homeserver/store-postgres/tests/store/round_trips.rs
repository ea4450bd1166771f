//! How often a batch goes to the database: as often for many messages as for few.

use entente_federation::hub::{Draft, before_first, order};
use entente_groups::{LeafIndex, MessageId};
use entente_homeserver_core::Change;
use entente_homeserver_core::rows::{MemberRow, RoomRow};
use entente_homeserver_ops::{Answer, Command};
use entente_homeserver_store_postgres::PostgresStore;
use entente_identity::DeviceId;
use entente_protocol::entry::{EntryKind, Seq};
use entente_protocol::relay::{Item, RelayReply, RelayedSubmission, VerifiedBatch};

use crate::databases::Databases;
use crate::nodes::{
    EPOCH, NOW, ciphertext, found_rooms, here, room, run, sender, server, submit, write,
};

/// Sizes of batches: messages, and the rooms that they go to.
const SIZES: [(u32, u8); 4] = [(4, 2), (64, 2), (64, 16), (300, 16)];

/// The number of statements of a batch, which is taken whole.
fn statements(store: &PostgresStore, commands: Vec<Command>) -> u64 {
    let before = store.statements();
    for answer in run(store, commands) {
        match answer.unwrap() {
            Answer::Submitted(_) | Answer::Received(RelayReply::Ack { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    store.statements() - before
}

/// Checks that batches of all sizes take as many statements, each on a database of its own.
fn check(found: fn(&PostgresStore), batch: fn(u32, u8) -> Vec<Command>) {
    let databases = Databases::new();
    let counts = SIZES.map(|(messages, rooms)| {
        let store = databases.store();
        found(&store);
        statements(&store, batch(messages, rooms))
    });
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
    assert!(counts[0] <= 16, "{counts:?}");
}

/// A batch of one message from each of many devices.
fn submissions(messages: u32, rooms: u8) -> Vec<Command> {
    let n = |message: u32| u8::try_from(message % u32::from(rooms)).unwrap();
    (0..messages).map(|m| submit(n(m), 1, m)).collect()
}

/// The same rooms, ordered elsewhere.
fn follow_rooms(store: &PostgresStore) {
    let (account, device) = sender();
    let changes = (0..16).flat_map(|n| {
        let row = RoomRow {
            room: room(n),
            hub: server("org-b"),
            head: before_first(),
            epoch: EPOCH,
            delivered: Seq(0),
            pending: Vec::new(),
            followers: Vec::new(),
        };
        let member = MemberRow {
            room: room(n),
            account,
            device,
            leaf: LeafIndex(0),
            home: here().me,
            joined: Seq(0),
            left: None,
        };
        [Change::PutRoom(row), Change::PutMember(member)]
    });
    write(store, changes.collect());
}

fn relayed(items: Vec<Vec<u8>>) -> Vec<Command> {
    vec![Command::Receive(VerifiedBatch {
        origin: server("org-b"),
        key: here().key.public(),
        stream_epoch: 0,
        first: 1,
        items,
    })]
}

fn id(message: u32) -> MessageId {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&message.to_be_bytes());
    MessageId(id)
}

/// Entries of the hub, of which this server's own messages come back.
fn entries(messages: u32, rooms: u8) -> Vec<Command> {
    let mut heads = vec![before_first(); usize::from(rooms)];
    let items = (0..messages).map(|m| {
        let n = u8::try_from(m % u32::from(rooms)).unwrap();
        let head = &mut heads[usize::from(n)];
        let own = m / u32::from(rooms) % 2 == 1;
        let draft = Draft {
            kind: EntryKind::Application,
            epoch: EPOCH,
            origin: if own { here().me } else { server("org-b") },
            sender: LeafIndex(0),
            message_id: id(m),
            body: ciphertext(room(n), id(m)),
        };
        let entry = order(room(n), head, draft, NOW);
        *head = entry.header.head();
        Item::Entry(entry).to_bytes()
    });
    relayed(items.collect())
}

/// Messages of a follower's people, each from a device of its own.
fn relayed_submissions(messages: u32, rooms: u8) -> Vec<Command> {
    let (account, _) = sender();
    let items = submissions(messages, rooms).into_iter().zip(0u32..);
    let items = items.map(|(command, number)| match command {
        Command::Submit { submission, .. } => {
            let item = RelayedSubmission {
                submission,
                account,
                device: device(number),
            };
            Item::Submission(item).to_bytes()
        }
        other => panic!("{other:?}"),
    });
    relayed(items.collect())
}

fn device(number: u32) -> DeviceId {
    DeviceId(id(number).0)
}

/// Rooms of this server, with members at a follower.
fn host_rooms(store: &PostgresStore) {
    found_rooms(store, 16);
    let (account, _) = sender();
    let members = (0..300).map(|number| {
        Change::PutMember(MemberRow {
            room: room(u8::try_from(number % 16).unwrap()),
            account,
            device: device(number),
            leaf: LeafIndex(number),
            home: server("org-b"),
            joined: Seq(0),
            left: None,
        })
    });
    let first_two = (0..300).map(|number| {
        Change::PutMember(MemberRow {
            room: room(u8::try_from(number % 2).unwrap()),
            account,
            device: device(number),
            leaf: LeafIndex(number),
            home: server("org-b"),
            joined: Seq(0),
            left: None,
        })
    });
    write(store, members.chain(first_two).collect());
}

#[test]
fn messages_that_are_ordered_here() {
    check(|store| found_rooms(store, 16), submissions);
}

#[test]
fn messages_that_go_to_their_hub() {
    check(follow_rooms, submissions);
}

#[test]
fn entries_that_come_from_their_hub() {
    check(follow_rooms, entries);
}

#[test]
fn messages_that_a_follower_hands_on() {
    check(host_rooms, relayed_submissions);
}
