//! A process that is killed in the middle of its transactions leaves whole ones only, and every one of
//! which it had been told that it is on disk; so does a database that is killed under it.
//!
//! The test starts itself again as the process to be killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::databases::open;
use entente_federation::hub::{Draft, before_first, order};
use entente_groups::{Epoch, LeafIndex, MessageId, RoomId};
use entente_homeserver_core::rows::{PeerRow, RoomRow};
use entente_homeserver_core::{Change, Owed};
use entente_homeserver_ops::{Page, Read, Store};
use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::entry::{EntryKind, Head, Seq};
use entente_testnet_postgres::Postgres;
use futures::executor::block_on;

/// Tells the process to be killed where its database is.
const DATABASE: &str = "ENTENTE_TEST_DATABASE_OF_THE_KILLED";
const ROOM: RoomId = RoomId([1; 32]);
/// Entries of each transaction.
const ENTRIES: u64 = 20;
const ALL: Page = Page {
    items: usize::MAX,
    bytes: usize::MAX,
};

fn server(name: &str) -> ServerDid {
    format!("did:web:{name}.example").parse().unwrap()
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

/// Writes until it is killed; says after each commit how far the log is on disk. Each transaction is
/// left half written for a while, so that the end often comes in the middle of one.
fn write_until_killed(url: &str) {
    let store = open(url);
    block_on(async {
        let (mut head, mut last_out) = resume(&mut *store.read().await.unwrap()).await;
        loop {
            let (mut changes, next, number) = transaction(head, last_out);
            let mut tx = store.begin().await.unwrap();
            let second_half = changes.split_off(changes.len() / 2);
            let written = async {
                tx.apply(changes).await?;
                tx.apply(second_half).await?;
                tx.commit().await
            };
            if let Err(fault) = written.await {
                // The database is gone; what became of this transaction is looked up later.
                println!("failed {fault}");
                return;
            }
            (head, last_out) = (next, number);
            println!("committed {}", head.seq.0);
            std::io::stdout().flush().unwrap();
        }
    });
}

async fn resume(read: &mut dyn Read) -> (Head, u64) {
    let room = read.room(&ROOM).await.unwrap();
    let peer = read.peer(&server("org-b")).await.unwrap();
    (
        room.map_or(before_first(), |room| room.head),
        peer.map_or(0, |peer| peer.last_out),
    )
}

/// Checks that the database holds whole transactions only, and says how many entries.
async fn whole_transactions(url: &str) -> u64 {
    let store = open(url);
    let mut read = store.read().await.unwrap();
    let (head, last_out) = resume(&mut *read).await;
    let entries = read.entries(&ROOM, Seq(0), Seq(1 << 40), ALL).await;
    let entries = entries.unwrap();
    assert_eq!(entries.len() as u64 % ENTRIES, 0, "a part of a transaction");
    let mut end = before_first();
    for entry in &entries {
        entry.extends(&end).expect("the log is one chain");
        end = entry.header.head();
    }
    assert_eq!(end, head, "room and log are of one transaction");
    let owed = read.owed(&server("org-b"), 0, ALL).await.unwrap();
    assert_eq!(owed.len(), entries.len(), "debts and log are of one");
    assert_eq!(last_out, head.seq.0, "peer and log are of one");
    head.seq.0
}

/// The last commit that the process told, up to its end.
fn last_told(lines: BufReader<ChildStdout>) -> u64 {
    let told = lines.lines().map_while(Result::ok).filter_map(|line| {
        let number = line.split("committed ").nth(1)?;
        number.parse().ok()
    });
    told.last().unwrap_or(0)
}

/// Waits until the process has committed this often.
fn wait_for(lines: &mut BufReader<ChildStdout>, mut commits: u32) {
    let mut line = String::new();
    while commits > 0 {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended early");
        commits -= u32::from(line.contains("committed "));
    }
}

fn start(url: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["crash::the_process_to_be_killed", "--exact", "--nocapture"])
        .env(DATABASE, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Does nothing unless it was started by the test below.
#[test]
fn the_process_to_be_killed() {
    if let Ok(url) = std::env::var(DATABASE) {
        write_until_killed(&url);
    }
}

/// Ends something in the middle of transactions, often, and looks what is left each time.
fn check(rounds: &[u32], end: impl Fn(&Postgres, &mut Child)) {
    let postgres = Postgres::start(&[]).unwrap();
    let url = postgres.url(&postgres.database().unwrap());
    let mut before = 0;
    for &commits in rounds {
        let mut child = start(&url);
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        wait_for(&mut lines, commits);
        end(&postgres, &mut child);
        child.wait().unwrap();
        let told = last_told(lines);
        let found = block_on(whole_transactions(&url));
        assert!(found >= told, "{told} entries were told to be on disk");
        let at_least = before + u64::from(commits) * ENTRIES;
        assert!(found >= at_least, "{found} entries, at least {at_least}");
        before = found;
    }
}

#[test]
fn a_killed_process_leaves_whole_transactions() {
    check(&[1, 7, 40, 3, 90, 25], |_, child| child.kill().unwrap());
}

#[test]
fn a_killed_database_leaves_whole_transactions() {
    check(&[1, 40, 7, 25], |postgres, _| {
        postgres.crash().unwrap();
        postgres.start_again().unwrap();
    });
}
