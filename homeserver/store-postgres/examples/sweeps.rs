//! What a log that is kept for some days leaves behind in Postgres: dead rows, and the size of tables.
//!
//! `cargo run -p entente-homeserver-store-postgres --example sweeps -- [messages a day] [days]`
//!
//! Each *day* a hub orders messages of 512 bytes in sixteen rooms for one follower, which acknowledges all of
//! them; then what is older than three days is deleted, in parts as the homeserver does. A day lasts as
//! long as its work and five seconds, and autovacuum looks every second instead of every minute. Each day
//! is a line: rows and dead rows as Postgres counts them, and sizes in KiB with indexes.

use entente_federation::hub::{Draft, before_first, order};
use entente_groups::{Epoch, LeafIndex, MessageId, RoomId};
use entente_homeserver_core::retain::MAX_DROPPED;
use entente_homeserver_core::rows::{PeerRow, RoomRow};
use entente_homeserver_core::{Change, Owed};
use entente_homeserver_ops::Store;
use entente_homeserver_store_postgres::{PostgresStore, Settings};
use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::entry::{EntryKind, Seq};
use entente_testnet_postgres::Postgres;
use futures::executor::block_on;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

const ROOMS: usize = 16;
const KEPT_DAYS: usize = 3;
const BATCH: u64 = 100;
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

struct Hub {
    store: PostgresStore,
    rooms: Vec<RoomRow>,
    peer: PeerRow,
    rng: StdRng,
}

fn main() {
    let numbers: Vec<u64> = std::env::args()
        .skip(1)
        .map_while(|n| n.parse().ok())
        .collect();
    let number = |index: usize, otherwise| numbers.get(index).copied().unwrap_or(otherwise);
    let (messages, days) = (number(0, 5_000), number(1, 12));
    for scale in ["0.2", "0.02"] {
        let cluster = Postgres::start(&["autovacuum_naptime = 1"]).expect("a Postgres");
        let database = cluster.database().expect("a database");
        let settings = Settings::parse(&cluster.url(&database)).expect("a URL");
        let store = PostgresStore::open(&settings).expect("it opens");
        for table in ["room_log", "outbox", "room", "peer"] {
            let set = format!("ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = {scale})");
            cluster.ask(&database, &set).expect("set");
        }
        println!("autovacuum_vacuum_scale_factor = {scale}, {messages} messages a day");
        let mut hub = Hub::new(store);
        let mut heads = Vec::new();
        for day in 1..=days {
            for _ in 0..messages / BATCH {
                block_on(hub.order_batch());
            }
            heads.push(hub.heads());
            if heads.len() > KEPT_DAYS {
                let begun = if heads.len() > KEPT_DAYS + 1 {
                    heads.remove(0)
                } else {
                    vec![Seq(0); ROOMS]
                };
                block_on(hub.sweep(&begun, &heads[0].clone()));
            }
            let waited = cluster.ask(&database, "SELECT pg_sleep(5)");
            waited.expect("autovacuum has had its time");
            println!("day {day}: {}", sizes(&cluster, &database));
        }
    }
}

fn sizes(cluster: &Postgres, database: &str) -> String {
    let sql = "SELECT string_agg(relname || ' ' || n_live_tup || ' rows ' || n_dead_tup || ' dead '
            || pg_total_relation_size(relid) / 1024 || ' KiB', '; ' ORDER BY relname)
        FROM pg_stat_user_tables WHERE relname IN ('room_log', 'outbox', 'room', 'peer')";
    cluster.ask(database, sql).expect("sizes")
}

impl Hub {
    fn new(store: PostgresStore) -> Self {
        let server = |name: &str| -> ServerDid { name.parse().expect("a DID") };
        let follower = server("did:web:chat.org-b.example");
        let rooms = (0..ROOMS).map(|n| RoomRow {
            room: RoomId([n as u8; 32]),
            hub: server("did:web:chat.org-a.example"),
            head: before_first(),
            epoch: Epoch(3),
            delivered: Seq(0),
            pending: Vec::new(),
            followers: vec![follower.clone()],
        });
        Self {
            store,
            rooms: rooms.collect(),
            peer: PeerRow::new(follower),
            rng: StdRng::seed_from_u64(2),
        }
    }

    fn heads(&self) -> Vec<Seq> {
        self.rooms.iter().map(|room| room.head.seq).collect()
    }

    async fn write(&self, changes: Vec<Change>) {
        let mut tx = self.store.begin().await.expect("begun");
        tx.apply(changes).await.expect("applied");
        tx.commit().await.expect("committed");
    }

    async fn order_batch(&mut self) {
        let mut changes = Vec::new();
        for n in 0..BATCH {
            let mut body = vec![0; 512];
            self.rng.fill_bytes(&mut body);
            let mut message_id = [0; 16];
            self.rng.fill_bytes(&mut message_id);
            let room = &mut self.rooms[n as usize % ROOMS];
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
            self.peer.last_out += 1;
            changes.push(Change::Owe {
                peer: self.peer.server.clone(),
                number: self.peer.last_out,
                item: Owed::Entry {
                    room: room.room,
                    seq: room.head.seq,
                },
            });
            changes.push(Change::AppendEntry(entry));
        }
        changes.extend(self.rooms.iter().cloned().map(Change::PutRoom));
        changes.push(Change::PutPeer(self.peer.clone()));
        self.write(changes).await;
        self.peer.acked = self.peer.last_out;
        let forget = Change::DropOwed {
            peer: self.peer.server.clone(),
            up_to: self.peer.acked,
        };
        let changes = vec![forget, Change::PutPeer(self.peer.clone())];
        self.write(changes).await;
    }

    async fn sweep(&self, from: &[Seq], to: &[Seq]) {
        for (room, (from, to)) in self.rooms.iter().zip(from.iter().zip(to)) {
            let mut at = from.0;
            while at < to.0 {
                at = to.0.min(at + MAX_DROPPED);
                let drop = Change::DropEntries {
                    room: room.room,
                    up_to: Seq(at),
                };
                self.write(vec![drop]).await;
            }
        }
    }
}
