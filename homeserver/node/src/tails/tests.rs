//! Tails over a store in memory.

use entente_groups::{Epoch, MessageId};
use entente_homeserver_core::Change;
use entente_homeserver_core::rows::RoomRow;
use entente_homeserver_ops::memory::MemoryStore;
use entente_identity::{UnixMillis, decode_exact};
use entente_protocol::entry::{EntryHash, EntryHeader, Head, Term};

use super::*;

const ROOM: RoomId = RoomId([1; 32]);

struct World {
    store: MemoryStore,
    tails: Tails,
    head: u64,
}

impl World {
    fn new() -> Self {
        let store = MemoryStore::new();
        let tails = Tails::new(Arc::new(store.clone()));
        Self {
            store,
            tails,
            head: 0,
        }
    }

    /// Appends entries as the writer does: commit, then mark.
    async fn append(&mut self, count: u64, size: usize) {
        let mut changes: Vec<Change> = (self.head + 1..=self.head + count)
            .map(|seq| Change::AppendEntry(entry(seq, size)))
            .collect();
        self.head += count;
        changes.push(Change::PutRoom(room(self.head)));
        let mut tx = self.store.begin().await.expect("a transaction");
        tx.apply(changes).await.expect("applied");
        tx.commit().await.expect("committed");
        self.tails.mark(ROOM);
    }

    async fn slice(&self, after: u64) -> Option<(Vec<u64>, bool)> {
        let slice = self.tails.slice(ROOM, Seq(after)).await.expect("an answer");
        slice.map(|slice| {
            let seqs = slice.entries.iter().map(|entry| entry.0.seq.0).collect();
            (seqs, slice.more)
        })
    }
}

fn hub() -> ServerDid {
    "did:web:org-a.test".parse().expect("a DID")
}

fn room(head: u64) -> RoomRow {
    RoomRow {
        room: ROOM,
        hub: hub(),
        head: Head {
            term: Term::FIRST,
            seq: Seq(head),
            hash: EntryHash([0; 32]),
        },
        epoch: Epoch(0),
        delivered: Seq(head / 2),
        pending: Vec::new(),
        followers: Vec::new(),
    }
}

fn entry(seq: u64, size: usize) -> Entry {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&seq.to_be_bytes());
    let body = vec![7; size];
    Entry {
        header: EntryHeader {
            room: ROOM,
            term: Term::FIRST,
            seq: Seq(seq),
            epoch: Epoch(0),
            kind: EntryKind::Application,
            origin: hub(),
            sender: LeafIndex(0),
            message_id: MessageId(id),
            prev_hash: EntryHash([0; 32]),
            body_hash: Entry::body_hash(&body),
            time: UnixMillis(seq),
        },
        body: body.into(),
        attestation: None,
    }
}

#[tokio::test]
async fn readers_at_the_end_get_what_is_new_and_others_read_the_store() {
    let mut world = World::new();
    assert_eq!(world.slice(0).await, None, "no such room");
    world.append(100, 10).await;
    assert_eq!(world.slice(100).await, Some((vec![], false)));
    assert_eq!(world.slice(97).await, Some((vec![98, 99, 100], false)));
    assert_eq!(
        world.slice(10).await,
        None,
        "the tail does not reach back so far"
    );
    world.append(3, 10).await;
    assert_eq!(world.slice(100).await, Some((vec![101, 102, 103], false)));
    let slice = world
        .tails
        .slice(ROOM, Seq(102))
        .await
        .expect("an answer")
        .expect("a slice");
    assert_eq!((slice.hub, slice.delivered), (hub(), Seq(51)));
    let decoded: Entry = decode_exact("entry", slice.entries[0].as_ref()).expect("its bytes");
    assert_eq!(decoded, entry(103, 10));
}

#[tokio::test]
async fn slices_follow_each_other_without_gaps_as_pages() {
    let mut world = World::new();
    world.append(1, 10).await;
    assert_eq!(world.slice(1).await, Some((vec![], false)));
    world.append(1000, 1500).await;
    let (mut at, mut pages) = (1, 0);
    while at < world.head {
        let (seqs, more) = world
            .slice(at)
            .await
            .expect("the tail holds what came since");
        assert!(seqs.len() <= MAX_PAGE_ENTRIES);
        assert_eq!(seqs[0], at + 1);
        assert!(seqs.is_sorted());
        at = seqs[seqs.len() - 1];
        pages += 1;
        assert_eq!(more, at < world.head);
    }
    assert!(pages > 3);
}

#[tokio::test]
async fn memory_of_a_tail_is_bounded_and_an_entry_beyond_a_page_still_goes() {
    let mut world = World::new();
    world.append(1, 10).await;
    assert!(world.slice(1).await.is_some());
    world.append(5, MAX_PAGE_BYTES + 1).await;
    assert_eq!(world.slice(1).await, None, "the oldest had to go");
    let (seqs, more) = world.slice(5).await.expect("the last is held");
    assert_eq!((seqs, more), (vec![6], false));
    world.append(5000, 1).await;
    assert_eq!(
        world.slice(6).await,
        None,
        "fallen far behind, it begins anew"
    );
    assert!(world.slice(5005).await.is_some());
}
