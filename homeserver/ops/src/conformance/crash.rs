//! What a crash leaves: whole transactions only, and every one of which somebody was told that it is on
//! disk.
//!
//! A test starts itself again as the process that writes ([`write_until_killed`]), ends it or its database
//! ([`round`]), and looks at what is left.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};

use entente_federation::hub::{Draft, before_first, order};
use entente_groups::{Epoch, LeafIndex, MessageId, RoomId};
use entente_homeserver_core::rows::{PeerRow, RoomRow};
use entente_homeserver_core::{Change, Owed};
use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::entry::{EntryKind, Head, Seq};
use futures::executor::block_on;

use super::ALL;
use crate::store::{Read, Store, StoreFault};

const ROOM: RoomId = RoomId([1; 32]);
/// Entries of each transaction.
const ENTRIES: u64 = 20;
/// What the process that writes says of a commit, before the number of the last entry.
const COMMITTED: &str = "committed ";

fn server(name: &str) -> ServerDid {
    let did = format!("did:web:{name}.example");
    did.parse().expect("a DID")
}

/// The next transaction: entries that continue the log, a debt for each, the room and the peer.
fn transaction(head: Head, last_out: u64) -> (Vec<Change>, Head, u64) {
    let (mut head, mut number, mut changes) = (head, last_out, Vec::new());
    for _ in 0..ENTRIES {
        let mut message_id = [0; 16];
        message_id[..8].copy_from_slice(&head.seq.0.to_be_bytes());
        let draft = Draft {
            kind: EntryKind::Application,
            epoch: Epoch(1),
            origin: server("org-a"),
            sender: LeafIndex(0),
            message_id: MessageId(message_id),
            body: vec![7; 512],
        };
        let entry = order(ROOM, &head, draft, UnixMillis(5));
        (head, number) = (entry.header.head(), number + 1);
        changes.push(Change::AppendEntry(entry));
        changes.push(Change::Owe {
            peer: server("org-b"),
            number,
            item: Owed::Entry {
                room: ROOM,
                seq: head.seq,
            },
        });
    }
    changes.push(Change::PutRoom(RoomRow {
        room: ROOM,
        hub: server("org-a"),
        head,
        epoch: Epoch(1),
        delivered: Seq(0),
        pending: Vec::new(),
        followers: vec![server("org-b")],
    }));
    changes.push(Change::PutPeer(PeerRow {
        last_out: number,
        ..PeerRow::new(server("org-b"))
    }));
    (changes, head, number)
}

/// Writes until the process is killed, and says after each commit, by a line for [`round`], how far the log
/// is on disk. Each transaction is left half written for a while, so that the end often comes in the middle
/// of one.
///
/// # Errors
/// The database failed; what became of the last transaction is not known here.
///
/// # Panics
/// When what is there already cannot be read.
pub fn write_until_killed(store: &dyn Store, mut say: impl FnMut(String)) -> StoreFault {
    block_on(async {
        let mut read = store.read().await.expect("a view");
        let (mut head, mut last_out) = resume(&mut *read).await;
        drop(read);
        loop {
            let (changes, next, number) = transaction(head, last_out);
            if let Err(fault) = write(store, changes).await {
                return fault;
            }
            (head, last_out) = (next, number);
            say(format!("{COMMITTED}{}", head.seq.0));
        }
    })
}

async fn write(store: &dyn Store, mut changes: Vec<Change>) -> Result<(), StoreFault> {
    let mut tx = store.begin().await?;
    let second_half = changes.split_off(changes.len() / 2);
    tx.apply(changes).await?;
    tx.apply(second_half).await?;
    tx.commit().await
}

async fn resume(read: &mut dyn Read) -> (Head, u64) {
    let room = read.room(&ROOM).await.expect("a read");
    let peer = read.peer(&server("org-b")).await.expect("a read");
    (
        room.map_or(before_first(), |room| room.head),
        peer.map_or(0, |peer| peer.last_out),
    )
}

/// Checks that the database holds whole transactions only, and says how many entries.
///
/// # Panics
/// When it holds something else.
pub async fn whole_transactions(store: &dyn Store) -> u64 {
    let mut read = store.read().await.expect("a view");
    let (head, last_out) = resume(&mut *read).await;
    let entries = read.entries(&ROOM, Seq(0), Seq(1 << 40), ALL).await;
    let entries = entries.expect("a read");
    assert_eq!(entries.len() as u64 % ENTRIES, 0, "a part of a transaction");
    let mut end = before_first();
    for entry in &entries {
        entry.extends(&end).expect("the log is one chain");
        end = entry.header.head();
    }
    assert_eq!(end, head, "room and log are of one transaction");
    let owed = read.owed(&server("org-b"), 0, ALL).await.expect("a read");
    assert_eq!(owed.len(), entries.len(), "debts and log are of one");
    assert_eq!(last_out, head.seq.0, "peer and log are of one");
    head.seq.0
}

/// Lets a process that writes commit some times, ends it or its database, and looks at what is left:
/// `before` entries and those that it told of at least. Returns how many there are.
///
/// # Panics
/// When something is missing, or half there.
pub fn round(
    mut writer: Child,
    (commits, before): (u32, u64),
    end: impl FnOnce(&mut Child),
    look: impl FnOnce() -> u64,
) -> u64 {
    let mut lines = BufReader::new(writer.stdout.take().expect("piped"));
    wait_for(&mut lines, commits);
    end(&mut writer);
    writer.wait().expect("it ends");
    let told = last_told(lines);
    let found = look();
    assert!(found >= told, "{told} entries were told to be on disk");
    let at_least = before + u64::from(commits) * ENTRIES;
    assert!(found >= at_least, "{found} entries, at least {at_least}");
    found
}

/// The last commit that the process told, up to its end.
fn last_told(lines: BufReader<ChildStdout>) -> u64 {
    let told = lines.lines().map_while(Result::ok).filter_map(|line| {
        let number = line.split(COMMITTED).nth(1)?;
        number.parse().ok()
    });
    told.last().unwrap_or(0)
}

/// Waits until the process has committed this often.
fn wait_for(lines: &mut BufReader<ChildStdout>, mut commits: u32) {
    let mut line = String::new();
    while commits > 0 {
        line.clear();
        let read = lines.read_line(&mut line).expect("a pipe");
        assert!(read > 0, "it ended early");
        commits -= u32::from(line.contains(COMMITTED));
    }
}
