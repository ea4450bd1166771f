//! How fast a hub's database takes messages: SQLite beside Postgres, in one run on one machine.
//!
//! `cargo run --release -p entente-homeserver-store-postgres --example compare -- [messages] [batch]
//! [rooms]`
//!
//! What a hub with one follower does, without anything but the store: batches of messages of 512
//! bytes, each with a look for a message of that id, an entry and a pointer for the follower; then the
//! follower's worker reads what is owed, and its acknowledgement ends the debt. The looks are made
//! together, as a homeserver does, and one by one beside it. Postgres is a cluster of its own on this
//! machine, with `fsync` on.

use std::time::{Duration, Instant};

use entente_federation::hub::{Draft, before_first, order};
use entente_groups::{Epoch, LeafIndex, MessageId, RoomId};
use entente_homeserver_core::rows::{PeerRow, RoomRow};
use entente_homeserver_core::{Change, Owed};
use entente_homeserver_ops::{Found, Page, Store, Wanted, one_by_one};
use entente_homeserver_store_postgres::{PostgresStore, Settings};
use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::entry::{Entry, EntryKind, Seq};
use entente_store_sqlite::SqliteStore;
use entente_testnet_postgres::Postgres;
use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

const BODY_BYTES: usize = 512;
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// A hub that orders messages for one follower.
struct Hub {
    store: Box<dyn Store>,
    rooms: Vec<RoomRow>,
    peer: PeerRow,
    rng: StdRng,
    looks: Looks,
    messages: u64,
    commits: u64,
    rows: u64,
    spent: Spent,
}

/// How messages are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Together,
    OneByOne,
}

/// Where the time went.
#[derive(Default)]
struct Spent {
    begin: Duration,
    look: Duration,
    apply: Duration,
    commit: Duration,
    relay: Duration,
}

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .map_while(|n| n.parse().ok())
        .collect();
    let number = |index: usize, otherwise| numbers.get(index).copied().unwrap_or(otherwise);
    let (messages, batch, rooms) = (number(0, 50_000), number(1, 100), number(2, 16));
    println!("{messages} messages of {BODY_BYTES} bytes in batches of {batch}, {rooms} rooms");
    let folder = tempfile::tempdir().expect("a folder for the database");
    for looks in [Looks::Together, Looks::OneByOne] {
        let file = folder.path().join(format!("{looks:?}.sqlite"));
        let sqlite = Box::new(SqliteStore::open(&file).expect("it opens"));
        measure(("SQLite", looks), sqlite, (messages, batch, rooms));
    }
    let cluster = Postgres::start(&["shared_buffers = '256MB'"]).expect("a Postgres");
    for looks in [Looks::Together, Looks::OneByOne] {
        let database = cluster.database().expect("a database");
        let settings = Settings::parse(&cluster.url(&database)).expect("a URL");
        let postgres = Box::new(PostgresStore::open(&settings).expect("it opens"));
        measure(("Postgres", looks), postgres, (messages, batch, rooms));
        let size = format!("SELECT pg_database_size('{database}')");
        println!(
            "  database: {} bytes",
            cluster.ask("postgres", &size).expect("its size")
        );
    }
}

fn measure(
    (name, looks): (&str, Looks),
    store: Box<dyn Store>,
    (messages, batch, rooms): (u64, u64, u64),
) {
    let mut hub = Hub::new(store, rooms, looks);
    let begun = Instant::now();
    while hub.messages < messages {
        block_on(hub.order_batch(batch));
        block_on(hub.relay_batch());
    }
    let elapsed = begun.elapsed();
    let each = |count: u64, time: Duration| count as f64 / time.as_secs_f64();
    let spent = &hub.spent;
    let writing = spent.begin + spent.apply + spent.commit;
    println!(
        "{name}, looks {looks:?}: {:.0} messages/s in all",
        each(hub.messages, elapsed)
    );
    println!(
        "  written without the looks: {:.0} commits/s, {:.0} rows/s",
        each(hub.commits, writing),
        each(hub.rows, writing)
    );
    for (name, time) in [
        ("begin", spent.begin),
        ("look for the ids", spent.look),
        ("apply", spent.apply),
        ("commit", spent.commit),
        ("relay and forget", spent.relay),
    ] {
        let batch_us = time.as_secs_f64() * 1e6 / hub.commits as f64;
        let message_us = time.as_secs_f64() * 1e6 / hub.messages as f64;
        println!("  {name:<18}{batch_us:9.1} us each batch, {message_us:6.2} us each message");
    }
}

impl Hub {
    fn new(store: Box<dyn Store>, rooms: u64, looks: Looks) -> Self {
        let server = |name: &str| -> ServerDid { name.parse().expect("a DID") };
        let follower = server("did:web:chat.org-b.example");
        let mut rng = StdRng::seed_from_u64(1);
        let rooms = (0..rooms).map(|_| {
            let mut id = [0; 32];
            rng.fill_bytes(&mut id);
            RoomRow {
                room: RoomId(id),
                hub: server("did:web:chat.org-a.example"),
                head: before_first(),
                epoch: Epoch(3),
                delivered: Seq(0),
                pending: Vec::new(),
                followers: vec![follower.clone()],
            }
        });
        Self {
            store,
            rooms: rooms.collect(),
            peer: PeerRow::new(follower),
            rng: StdRng::seed_from_u64(2),
            looks,
            messages: 0,
            commits: 0,
            rows: 0,
            spent: Spent::default(),
        }
    }

    async fn order_batch(&mut self, count: u64) {
        let entries: Vec<Entry> = (0..count).map(|_| self.next_entry()).collect();
        let begun = Instant::now();
        let mut tx = self.store.begin().await.expect("begun");
        self.spent.begin += begun.elapsed();
        let begun = Instant::now();
        let mut wanted = Wanted::default();
        for entry in &entries {
            let header = &entry.header;
            let message = (header.room, header.origin.clone(), header.message_id);
            wanted.messages.insert(message);
        }
        let known = match self.looks {
            Looks::Together => tx.together(&wanted).await,
            Looks::OneByOne => one_by_one(&mut *tx, &wanted).await,
        };
        assert_eq!(known, Ok(Found::default()));
        self.spent.look += begun.elapsed();
        let changes = self.changes(entries);
        self.rows += changes.len() as u64;
        self.commits += 1;
        let begun = Instant::now();
        tx.apply(changes).await.expect("applied");
        self.spent.apply += begun.elapsed();
        let begun = Instant::now();
        tx.commit().await.expect("committed");
        self.spent.commit += begun.elapsed();
    }

    fn next_entry(&mut self) -> Entry {
        let index = (self.messages % self.rooms.len() as u64) as usize;
        self.messages += 1;
        let mut body = vec![0; BODY_BYTES];
        self.rng.fill_bytes(&mut body);
        let mut message_id = [0; 16];
        self.rng.fill_bytes(&mut message_id);
        let room = &mut self.rooms[index];
        let draft = Draft {
            kind: EntryKind::Application,
            epoch: room.epoch,
            origin: room.hub.clone(),
            sender: LeafIndex(1),
            message_id: MessageId(message_id),
            body,
        };
        let entry = order(room.room, &room.head, draft, NOW);
        room.head = entry.header.head();
        entry
    }

    fn changes(&mut self, entries: Vec<Entry>) -> Vec<Change> {
        let mut changes = Vec::with_capacity(entries.len() * 2 + self.rooms.len() + 1);
        for entry in entries {
            self.peer.last_out += 1;
            let (room, seq) = (entry.header.room, entry.header.seq);
            changes.push(Change::AppendEntry(entry));
            changes.push(Change::Owe {
                peer: self.peer.server.clone(),
                number: self.peer.last_out,
                item: Owed::Entry { room, seq },
            });
        }
        changes.extend(self.rooms.iter().cloned().map(Change::PutRoom));
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
        let up_to = owed.last().expect("something is owed").0;
        self.peer.acked = up_to;
        let mut tx = self.store.begin().await.expect("begun");
        let forget = Change::DropOwed {
            peer: server,
            up_to,
        };
        let changes = vec![forget, Change::PutPeer(self.peer.clone())];
        tx.apply(changes).await.expect("applied");
        tx.commit().await.expect("committed");
        self.spent.relay += begun.elapsed();
    }
}
