//! How fast a hub's database takes messages, and how many bytes each of them costs.
//!
//! `cargo run --release -p entente-store-sqlite --example throughput -- [messages] [batch] [rooms]`
//!
//! What a hub with one follower does, without anything but the store: batches of messages of 512
//! bytes, each with a look for a message of that id, an entry and a pointer for the follower; then the
//! follower's worker reads what is owed, and its acknowledgement ends the debt.

use std::path::Path;
use std::time::{Duration, Instant};

use entente_federation::hub::{Draft, before_first, order};
use entente_groups::{Epoch, LeafIndex, MessageId, RoomId};
use entente_homeserver_core::rows::{PeerRow, RoomRow};
use entente_homeserver_core::{Change, Owed};
use entente_homeserver_ops::{Page, Store};
use entente_identity::{ServerDid, SigningKey, UnixMillis};
use entente_protocol::checkpoint::attest;
use entente_protocol::entry::{Entry, EntryKind, Seq};
use entente_store_sqlite::SqliteStore;
use futures::executor::block_on;

const BODY_BYTES: usize = 512;

/// A hub that orders messages for one follower.
struct Hub {
    store: SqliteStore,
    me: ServerDid,
    key: SigningKey,
    rooms: Vec<RoomRow>,
    peer: PeerRow,
    messages: u64,
    clock: UnixMillis,
    spent: Spent,
}

/// Where the time went.
#[derive(Default)]
struct Spent {
    look: Duration,
    apply: Duration,
    commit: Duration,
    read: Duration,
    forget: Duration,
}

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .map_while(|n| n.parse().ok())
        .collect();
    let [messages, batch, rooms] = [
        numbers.first().copied().unwrap_or(100_000),
        numbers.get(1).copied().unwrap_or(512),
        numbers.get(2).copied().unwrap_or(16),
    ];
    let folder = tempfile::tempdir().expect("a folder for the database");
    let path = folder.path().join("homeserver.sqlite");
    let mut hub = Hub::new(&path, rooms);
    let written = written_bytes();
    let begun = Instant::now();
    while hub.messages < messages {
        block_on(hub.order_batch(batch));
        block_on(hub.relay_batch());
    }
    report(&hub, begun.elapsed(), written_bytes() - written, &path);
}

fn report(hub: &Hub, elapsed: Duration, written: u64, path: &Path) {
    let each = |bytes: u64| bytes / hub.messages;
    let rate = |time: Duration| hub.messages as f64 / time.as_secs_f64();
    println!(
        "{} messages in {elapsed:.2?}: {:.0}/s",
        hub.messages,
        rate(elapsed)
    );
    for (name, time) in [
        ("look for the id", hub.spent.look),
        ("apply", hub.spent.apply),
        ("commit", hub.spent.commit),
        ("read what is owed", hub.spent.read),
        ("forget what was owed", hub.spent.forget),
    ] {
        let each_us = time.as_secs_f64() * 1e6 / hub.messages as f64;
        println!("  {name:<22}{each_us:6.2} us each, {:>9.0}/s", rate(time));
    }
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    println!("written per message: {} bytes", each(written));
    println!("database per message: {} bytes", each(size));
    println!("resident memory: {} KiB", resident_kib());
}

impl Hub {
    fn new(path: &Path, rooms: u64) -> Self {
        let me: ServerDid = "did:web:chat.org-a.example".parse().expect("a DID");
        let follower: ServerDid = "did:web:chat.org-b.example".parse().expect("a DID");
        let room = |n: u64| RoomRow {
            room: RoomId(random(n)),
            hub: me.clone(),
            head: before_first(),
            epoch: Epoch(3),
            delivered: Seq(0),
            pending: Vec::new(),
            followers: vec![follower.clone()],
        };
        Self {
            store: SqliteStore::open(path).expect("the database can be opened"),
            rooms: (0..rooms).map(room).collect(),
            key: SigningKey::from_seed(&[1; 32]),
            peer: PeerRow::new(follower.clone()),
            me,
            messages: 0,
            clock: UnixMillis(1_700_000_000_000),
            spent: Spent::default(),
        }
    }

    async fn order_batch(&mut self, count: u64) {
        self.clock = self.clock.after(7);
        let mut entries: Vec<Entry> = (0..count).map(|_| self.next_entry()).collect();
        let mut tx = self.store.begin().await.expect("begun");
        let begun = Instant::now();
        for entry in &entries {
            let header = &entry.header;
            let known = tx.ordered(&header.room, &header.origin, &header.message_id);
            assert_eq!(known.await, Ok(None));
        }
        self.spent.look += begun.elapsed();
        self.sign_heads(&mut entries);
        let changes = self.changes(entries);
        let begun = Instant::now();
        tx.apply(changes).await.expect("applied");
        self.spent.apply += begun.elapsed();
        let begun = Instant::now();
        tx.commit().await.expect("committed");
        self.spent.commit += begun.elapsed();
    }

    fn next_entry(&mut self) -> Entry {
        let n = self.messages;
        self.messages += 1;
        let index = (n % self.rooms.len() as u64) as usize;
        let room = &mut self.rooms[index];
        let mut body = vec![0; BODY_BYTES];
        for (chunk, word) in body.chunks_mut(32).zip(0..) {
            chunk.copy_from_slice(&random(n << 8 | word));
        }
        let mut message_id = [0; 16];
        message_id.copy_from_slice(&random(n | 1 << 60)[..16]);
        if std::env::var_os("ORDERED_IDS").is_some() {
            message_id[..6].copy_from_slice(&self.clock.0.to_be_bytes()[2..]);
        }
        let draft = Draft {
            kind: EntryKind::Application,
            epoch: room.epoch,
            origin: self.me.clone(),
            sender: LeafIndex(1),
            message_id: MessageId(message_id),
            body,
        };
        let entry = order(room.room, &room.head, draft, self.clock);
        room.head = entry.header.head();
        entry
    }

    /// One signature; each room's last entry of the batch gets its path.
    fn sign_heads(&self, entries: &mut [Entry]) {
        let mut heads: Vec<_> = entries
            .iter()
            .rev()
            .take(self.rooms.len())
            .map(|entry| (entry.header.room, entry.header.head()))
            .collect();
        heads.sort_unstable_by_key(|(room, _)| *room);
        let signed = attest(&heads, &self.me, "fed-1", &self.key, self.clock);
        for ((room, head), attestation) in heads.iter().zip(signed) {
            let entry = entries
                .iter_mut()
                .rev()
                .find(|entry| entry.header.room == *room && entry.header.seq == head.seq);
            entry.expect("its head").attestation = Some(attestation);
        }
    }

    fn changes(&mut self, entries: Vec<Entry>) -> Vec<Change> {
        let mut changes = Vec::with_capacity(entries.len() * 2 + 2 * self.rooms.len());
        let touched = entries.len().min(self.rooms.len());
        let last = &entries[entries.len() - touched..];
        let rooms: Vec<RoomId> = last.iter().map(|entry| entry.header.room).collect();
        for entry in entries {
            self.peer.last_out += 1;
            let item = Owed::Entry {
                room: entry.header.room,
                seq: entry.header.seq,
            };
            changes.push(Change::AppendEntry(entry));
            changes.push(Change::Owe {
                peer: self.peer.server.clone(),
                number: self.peer.last_out,
                item,
            });
        }
        let touched = self.rooms.iter().filter(|row| rooms.contains(&row.room));
        changes.extend(touched.cloned().map(Change::PutRoom));
        changes.push(Change::PutPeer(self.peer.clone()));
        changes
    }

    async fn relay_batch(&mut self) {
        let begun = Instant::now();
        let page = Page {
            items: 512,
            bytes: 1 << 20,
        };
        let (server, after) = (self.peer.server.clone(), self.peer.acked);
        let mut read = self.store.read().await.expect("read");
        let owed = read.owed(&server, after, page).await.expect("owed");
        drop(read);
        self.spent.read += begun.elapsed();
        let up_to = owed.last().expect("something is owed").0;
        let begun = Instant::now();
        let mut tx = self.store.begin().await.expect("begun");
        let rooms = tx.owed_rooms(&server, up_to).await.expect("rooms");
        self.peer.acked = up_to;
        let changes = vec![
            Change::DropOwed {
                peer: server,
                up_to,
            },
            Change::PutPeer(self.peer.clone()),
        ];
        tx.apply(changes).await.expect("applied");
        let mut delivered = Vec::new();
        for row in self
            .rooms
            .iter_mut()
            .filter(|row| rooms.contains(&row.room))
        {
            let oldest = tx.oldest_owed(&row.room).await.expect("oldest");
            let reached = oldest.map_or(row.head.seq, |seq| Seq(seq.0 - 1));
            tx.origins(&row.room, row.delivered, reached)
                .await
                .expect("origins");
            row.delivered = reached;
            delivered.push(Change::PutRoom(row.clone()));
        }
        tx.apply(delivered).await.expect("applied");
        tx.commit().await.expect("committed");
        self.spent.forget += begun.elapsed();
    }
}

/// Bytes that look random and are the same in every run.
fn random(n: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    let mut state = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    for chunk in bytes.chunks_mut(8) {
        state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^= state >> 31;
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    bytes
}

/// A number from a file of the kernel's, such as `wchar: 12345`.
fn kernel_number(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}

/// Bytes that this process has handed to the kernel for writing.
fn written_bytes() -> u64 {
    kernel_number("/proc/self/io", "wchar:")
}

fn resident_kib() -> u64 {
    kernel_number("/proc/self/status", "VmRSS:")
}
