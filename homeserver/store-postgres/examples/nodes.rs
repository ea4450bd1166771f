//! How several nodes get on with each other on one Postgres.
//!
//! `cargo run --release -p entente-homeserver-store-postgres --example nodes -- [seconds] [batch]
//! [line of configuration...]`
//!
//! Each node hands batches of messages to a store of its own, as fast as they are answered: first one
//! node, then two with rooms and followers of their own, two with rooms of their own and one follower,
//! and two in one room. Postgres is a cluster of its own on this machine, with `fsync` on.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use entente_groups::{Aad, Epoch, LeafIndex, MessageId, RoomId};
use entente_homeserver_core::Change;
use entente_homeserver_core::register::RegistrationPolicy;
use entente_homeserver_core::rows::{MemberRow, RoomRow};
use entente_homeserver_ops::{Command, Here, Store, execute};
use entente_homeserver_store_postgres::{PostgresStore, Settings};
use entente_identity::{AccountDid, DeviceId, ServerDid, SigningKey, UnixMillis};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::flow::Submission;
use entente_testnet_postgres::Postgres;
use futures::executor::block_on;

const ROOMS: u8 = 16;
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// What a node did.
#[derive(Default)]
struct Tally {
    messages: u64,
    commits: u64,
    refused: u64,
    slowest: Duration,
}

fn main() {
    let numbers: Vec<u32> = std::env::args()
        .skip(1)
        .map_while(|n| n.parse().ok())
        .collect();
    let seconds = numbers.first().copied().unwrap_or(5);
    let batch = numbers.get(1).copied().unwrap_or(100);
    let lines: Vec<String> = std::env::args().skip(1 + numbers.len()).collect();
    let mut configuration = vec!["shared_buffers = '256MB'"];
    configuration.extend(lines.iter().map(String::as_str));
    let cluster = Postgres::start(&configuration).expect("a Postgres");
    for (name, nodes, room_of, peer_of) in [
        (
            "one node",
            1,
            own as fn(u8, u8) -> u8,
            own as fn(u8, u8) -> u8,
        ),
        ("two nodes, nothing in common", 2, own, own),
        ("two nodes, one follower", 2, own, shared),
        ("two nodes, one room", 2, first, shared),
    ] {
        let database = cluster.database().expect("a database");
        let url = cluster.url(&database);
        let setting = Setting {
            batch,
            time: Duration::from_secs(seconds.into()),
            room_of,
            peer_of,
        };
        let tallies = run(&url, nodes, &setting);
        let sum = |of: fn(&Tally) -> u64| tallies.iter().map(of).sum::<u64>();
        let slowest = tallies.iter().map(|tally| tally.slowest).max();
        let rollbacks =
            "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()";
        println!(
            "{name}: {} messages/s, {} batches/s, {} rolled back, {} given up, slowest batch {:?}",
            sum(|t| t.messages) / u64::from(seconds),
            sum(|t| t.commits) / u64::from(seconds),
            cluster.ask(&database, rollbacks).expect("a number"),
            sum(|t| t.refused),
            slowest.unwrap_or_default(),
        );
    }
}

/// A room or follower of the node's own.
fn own(node: u8, n: u8) -> u8 {
    node * ROOMS + n % ROOMS
}

/// One follower for all.
fn shared(_: u8, _: u8) -> u8 {
    0
}

/// One room for all.
fn first(_: u8, _: u8) -> u8 {
    0
}

struct Setting {
    batch: u32,
    time: Duration,
    room_of: fn(u8, u8) -> u8,
    peer_of: fn(u8, u8) -> u8,
}

fn run(url: &str, nodes: u8, setting: &Setting) -> Vec<Tally> {
    let stores: Vec<PostgresStore> = (0..nodes)
        .map(|_| PostgresStore::open(&Settings::parse(url).expect("a URL")).expect("it opens"))
        .collect();
    found_rooms(&stores[0], nodes, setting);
    let together = Barrier::new(stores.len());
    thread::scope(|scope| {
        let running: Vec<_> = (0..nodes)
            .zip(&stores)
            .map(|(node, store)| {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    work(node, store, setting)
                })
            })
            .collect();
        let ended = running
            .into_iter()
            .map(|thread| thread.join().expect("it ends"));
        ended.collect()
    })
}

fn work(node: u8, store: &PostgresStore, setting: &Setting) -> Tally {
    let (begun, here) = (Instant::now(), here());
    let mut tally = Tally::default();
    let mut next = 0u64;
    while begun.elapsed() < setting.time {
        let commands = (0..setting.batch).map(|n| {
            next += 1;
            submit((setting.room_of)(node, n as u8 % ROOMS), node, next)
        });
        let commands = commands.collect();
        let at = Instant::now();
        let executed = block_on(execute(store, &here, commands, NOW));
        tally.slowest = tally.slowest.max(at.elapsed());
        if executed.failure.is_some() {
            tally.refused += 1;
            continue;
        }
        assert!(
            executed.answers.iter().all(Result::is_ok),
            "all are ordered"
        );
        tally.commits += 1;
        tally.messages += executed.answers.len() as u64;
    }
    tally
}

fn server(n: u8) -> ServerDid {
    format!("did:web:org-{n}.example").parse().expect("a DID")
}

fn here() -> Here {
    Here {
        me: server(255),
        key_id: "fed-1".to_owned(),
        key: SigningKey::from_seed(&[1; 32]),
        registration: RegistrationPolicy::Open,
    }
}

fn sender() -> (AccountDid, DeviceId) {
    let account = AccountDid::new(SigningKey::from_seed(&[7; 32]).public());
    (account, DeviceId([7; 16]))
}

fn found_rooms(store: &PostgresStore, nodes: u8, setting: &Setting) {
    let (account, device) = sender();
    let changes = (0..nodes * ROOMS).flat_map(|n| {
        let room = RoomRow {
            room: RoomId([n; 32]),
            hub: server(255),
            head: Head {
                term: Term(1),
                seq: Seq(0),
                hash: EntryHash([0; 32]),
            },
            epoch: Epoch(1),
            delivered: Seq(0),
            pending: Vec::new(),
            followers: vec![server((setting.peer_of)(n / ROOMS, n % ROOMS))],
        };
        let member = MemberRow {
            room: room.room,
            account,
            device,
            leaf: LeafIndex(0),
            home: server(255),
            joined: Seq(0),
            left: None,
        };
        [Change::PutRoom(room), Change::PutMember(member)]
    });
    block_on(async {
        let mut tx = store.begin().await.expect("begun");
        tx.apply(changes.collect()).await.expect("applied");
        tx.commit().await.expect("committed");
    });
}

/// A message in the form of an MLS PrivateMessage (RFC 9420 §6).
fn submit(n: u8, node: u8, message: u64) -> Command {
    let room = RoomId([n; 32]);
    let mut id = [node; 16];
    id[..8].copy_from_slice(&message.to_be_bytes());
    let mut bytes = vec![0, 1, 0, 2, 32];
    bytes.extend(room.0);
    bytes.extend(1u64.to_be_bytes());
    bytes.extend([1, 57]);
    bytes.extend(Aad::new(MessageId(id), 0, [0; 32]).to_bytes());
    bytes.push(16);
    bytes.extend([9; 16]);
    // 400 bytes of ciphertext, whose length takes two bytes.
    bytes.extend([0x41, 0x90]);
    bytes.extend([9; 400]);
    Command::Submit {
        sender: sender(),
        submission: Submission {
            room,
            message_id: MessageId(id),
            epoch: Epoch(1),
            ciphertext: bytes.into(),
        },
    }
}
