//! A device's flow over a real connection, to a server whose rows the test writes.

use entente_federation::trust::PeerPolicy;
use entente_groups::{Departure, Epoch, MemberInfo, MessageId, Role, RosterDelta};
use entente_homeserver_core::rows::RoomRow;
use entente_homeserver_core::{Change, Effect, register::RegistrationPolicy};
use entente_homeserver_ops::memory::MemoryStore;
use entente_homeserver_ops::{Here, Store};
use entente_identity::{AccountDid, DeviceId, ServerDid, SigningKey, UnixMillis, encode};
use entente_protocol::entry::{CommitBody, Entry, EntryHash, EntryHeader, EntryKind, Head, Term};
use entente_protocol::hello::KeyDocumentId;
use entente_transport::{AdmissionLimits, Connection, Endpoint, Incoming, ServerIdentity};

use super::*;
use crate::assembly::{Parts, connect};

const ROOM: RoomId = RoomId([1; 32]);
const PATIENCE: Duration = Duration::from_secs(10);

struct World {
    server: Arc<Server>,
    store: MemoryStore,
    device: DeviceKey,
    client: Connection,
    address: std::net::SocketAddr,
    dialler: Endpoint,
}

struct Flow {
    requests: FlowSender<SyncRequest>,
    events: FlowReceiver<SyncEvent>,
}

fn me() -> ServerDid {
    "did:web:org-a.test".parse().expect("a DID")
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32])
}

fn leaf() -> LeafIndex {
    LeafIndex(3)
}

impl World {
    async fn new() -> Self {
        let store = MemoryStore::new();
        let any = "127.0.0.1:0".parse().expect("an address");
        let identity = ServerIdentity::new(&key(1)).expect("an identity");
        let endpoint = Endpoint::bind(any, identity, AdmissionLimits::default()).expect("bound");
        let ca = rcgen::generate_simple_self_signed(vec!["ca.test".to_owned()]).expect("made");
        let ca = entente_discovery::ExtraCa::from_pem(ca.cert.pem().as_bytes());
        let (server, _thread) = connect(Parts {
            here: Here {
                me: me(),
                key_id: "fed-1".to_owned(),
                key: key(1),
                registration: RegistrationPolicy::Open,
            },
            key_document: KeyDocumentId {
                seq: 0,
                hash: [0; 32],
            },
            node_name: "only".to_owned(),
            store: Arc::new(store.clone()),
            discovery: entente_discovery::Options {
                extra_ca: Some(ca.expect("a CA")),
                ..Default::default()
            },
            policy: PeerPolicy::Open,
            endpoint: endpoint.clone(),
        })
        .expect("connected");
        let entered = server.nodes.enter(&server.writer).await;
        entered.expect("entered");
        let device = (AccountDid::new(key(2).public()), DeviceId([2; 16]));
        let (serving, address) = (
            Arc::clone(&server),
            endpoint.local_address().expect("bound"),
        );
        tokio::spawn(async move {
            while let Some(connection) = endpoint.accept().await {
                connection.trust();
                tokio::spawn(answer(Arc::clone(&serving), device, connection));
            }
        });
        let dialler = Endpoint::dial_only(any).expect("a socket");
        Self {
            server,
            store,
            device,
            client: dial(&dialler, address).await,
            address,
            dialler,
        }
    }

    /// Commits changes and wakes for them, as the writer does.
    async fn commit(&self, changes: Vec<Change>) {
        let mut tx = self.store.begin().await.expect("a transaction");
        tx.apply(changes).await.expect("applied");
        tx.commit().await.expect("committed");
        self.server.tails.mark(ROOM);
        let (account, device) = self.device;
        let effects = vec![Effect::WakeRoom(ROOM), Effect::WakeDevice(account, device)];
        self.server.wakes.perform(effects);
    }

    fn member(&self, joined: u64, left: Option<u64>) -> Change {
        Change::PutMember(MemberRow {
            room: ROOM,
            account: self.device.0,
            device: self.device.1,
            leaf: leaf(),
            home: me(),
            joined: Seq(joined),
            left: left.map(Seq),
        })
    }

    /// A commit entry that the device leaves by, and perhaps comes back by.
    fn leave(&self, seq: u64, back: bool) -> Entry {
        let (account, device) = self.device;
        let member = MemberInfo {
            leaf: leaf(),
            account,
            device,
            device_key: key(2).public(),
            list_version: 1,
            home: me(),
            role: Role::Member,
        };
        let roster = RosterDelta {
            joined: back.then_some(member).into_iter().collect(),
            left: vec![Departure {
                leaf: leaf(),
                account,
                device,
            }],
        };
        let body = encode(&CommitBody {
            commit: vec![1].into(),
            roster,
        });
        entry(seq, EntryKind::Commit, LeafIndex(0), body)
    }

    async fn open(&self, cursors: &[(RoomId, u64)]) -> Flow {
        let (mut requests, events) = self.client.open_sync().await.expect("a flow");
        let cursors = cursors
            .iter()
            .map(|(room, seq)| (*room, Seq(*seq)))
            .collect();
        let open = SyncRequest::Open {
            cursors,
            queue_after: 0,
        };
        requests.send(&open).await.expect("sent");
        Flow { requests, events }
    }
}

async fn dial(dialler: &Endpoint, address: std::net::SocketAddr) -> Connection {
    let pins = [key(1).public()];
    let client = dialler.connect_client(address, "org-a.test", &pins).await;
    client.expect("connected")
}

async fn answer(server: Arc<Server>, device: DeviceKey, connection: Connection) {
    while let Ok(stream) = connection.accept().await {
        if let Ok(Incoming::Sync(events, requests)) = stream.open().await {
            tokio::spawn(serve(Arc::clone(&server), device, events, requests));
        }
    }
}

impl Flow {
    async fn next(&mut self) -> SyncEvent {
        let event = timeout(PATIENCE, self.events.next())
            .await
            .expect("in time");
        event.expect("the flow holds").expect("it goes on")
    }

    /// The positions of entries up to `last`, and the watermarks that came between.
    async fn until(&mut self, last: u64) -> (Vec<u64>, Vec<u64>) {
        let (mut seqs, mut watermarks) = (Vec::new(), Vec::new());
        while seqs.last() != Some(&last) {
            match self.next().await {
                SyncEvent::Entries { room, hub, entries } => {
                    assert_eq!((room, hub), (ROOM, me()));
                    seqs.extend(entries.iter().map(|entry| entry.header.seq.0));
                }
                SyncEvent::Delivered { seq, .. } => watermarks.push(seq.0),
                SyncEvent::CaughtUp => {}
                SyncEvent::Queued { .. } => panic!("nothing is queued"),
            }
        }
        (seqs, watermarks)
    }

    /// Nothing but the end of the past comes for a moment.
    async fn is_silent(&mut self) {
        while let Ok(event) = timeout(Duration::from_millis(200), self.events.next()).await {
            assert_eq!(event.expect("the flow holds"), Some(SyncEvent::CaughtUp));
        }
    }
}

fn entry(seq: u64, kind: EntryKind, sender: LeafIndex, body: Vec<u8>) -> Entry {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&seq.to_be_bytes());
    Entry {
        header: EntryHeader {
            room: ROOM,
            term: Term::FIRST,
            seq: Seq(seq),
            epoch: Epoch(0),
            kind,
            origin: me(),
            sender,
            message_id: MessageId(id),
            prev_hash: EntryHash([0; 32]),
            body_hash: Entry::body_hash(&body),
            time: UnixMillis(seq),
        },
        body: body.into(),
        attestation: None,
    }
}

fn message(seq: u64, sender: LeafIndex) -> Change {
    let body = vec![7; 100];
    Change::AppendEntry(entry(seq, EntryKind::Application, sender, body))
}

fn messages(from: u64, to: u64) -> Vec<Change> {
    (from..=to).map(|seq| message(seq, LeafIndex(0))).collect()
}

fn room(head: u64, delivered: u64) -> Change {
    Change::PutRoom(RoomRow {
        room: ROOM,
        hub: me(),
        head: Head {
            term: Term::FIRST,
            seq: Seq(head),
            hash: EntryHash([0; 32]),
        },
        epoch: Epoch(0),
        delivered: Seq(delivered),
        pending: Vec::new(),
        followers: Vec::new(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_gets_its_part_of_the_log_in_order_and_then_what_is_new() {
    let world = World::new().await;
    let mut changes = messages(1, 1000);
    changes.extend([room(1000, 900), world.member(301, None)]);
    world.commit(changes).await;
    let mut flow = world.open(&[]).await;
    let (seqs, _) = flow.until(1000).await;
    assert_eq!(
        seqs,
        (301..=1000).collect::<Vec<_>>(),
        "from where it came in"
    );
    let mut resumed = world.open(&[(ROOM, 990)]).await;
    let (seqs, _) = resumed.until(1000).await;
    assert_eq!(seqs, (991..=1000).collect::<Vec<_>>(), "from its cursor");
    for seq in 1001..1200 {
        world
            .commit(vec![message(seq, LeafIndex(0)), room(seq, 900)])
            .await;
    }
    for flow in [&mut flow, &mut resumed] {
        let (seqs, _) = flow.until(1199).await;
        assert_eq!(seqs, (1001..1200).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_device_gets_the_entry_that_removed_it_and_nothing_after() {
    let world = World::new().await;
    let mut changes = messages(1, 10);
    changes.extend([room(10, 0), world.member(1, None)]);
    world.commit(changes).await;
    let mut live = world.open(&[]).await;
    live.until(10).await;
    let mut changes = messages(11, 19);
    changes.push(Change::AppendEntry(world.leave(20, false)));
    changes.extend(messages(21, 40));
    changes.extend([room(40, 0), world.member(1, Some(20))]);
    world.commit(changes).await;
    assert_eq!(live.until(20).await.0, (11..=20).collect::<Vec<_>>());
    live.is_silent().await;
    let mut late = world.open(&[(ROOM, 5)]).await;
    assert_eq!(late.until(20).await.0, (6..=20).collect::<Vec<_>>());
    late.is_silent().await;
    world
        .commit(vec![message(41, LeafIndex(0)), room(41, 0)])
        .await;
    live.is_silent().await;
    world
        .commit(vec![
            message(42, LeafIndex(0)),
            room(42, 0),
            world.member(42, None),
        ])
        .await;
    assert_eq!(live.until(42).await.0, [42], "it was brought in again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_rejoins_by_its_own_commit_stays() {
    let world = World::new().await;
    world
        .commit(vec![
            message(1, LeafIndex(0)),
            room(1, 0),
            world.member(1, None),
        ])
        .await;
    let mut flow = world.open(&[]).await;
    flow.until(1).await;
    let rejoin = Change::AppendEntry(world.leave(2, true));
    world
        .commit(vec![rejoin, room(2, 0), world.member(2, None)])
        .await;
    world
        .commit(vec![message(3, LeafIndex(0)), room(3, 0)])
        .await;
    assert_eq!(flow.until(3).await.0, [2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn watermarks_come_at_the_beginning_and_for_own_messages() {
    let world = World::new().await;
    let mut changes = messages(1, 10);
    changes.extend([room(10, 4), world.member(1, None)]);
    world.commit(changes).await;
    let mut flow = world.open(&[(ROOM, 10)]).await;
    assert_eq!(
        flow.next().await,
        SyncEvent::Delivered {
            room: ROOM,
            seq: Seq(4)
        }
    );
    assert_eq!(flow.next().await, SyncEvent::CaughtUp);
    world.commit(vec![room(10, 10)]).await;
    world.commit(vec![message(11, leaf()), room(11, 10)]).await;
    world
        .commit(vec![message(12, LeafIndex(0)), room(12, 10)])
        .await;
    assert_eq!(
        flow.until(12).await,
        (vec![11, 12], vec![]),
        "nothing is new about its own"
    );
    world.commit(vec![room(12, 12)]).await;
    assert_eq!(
        flow.next().await,
        SyncEvent::Delivered {
            room: ROOM,
            seq: Seq(12)
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_holds_up_only_its_own_flow() {
    let mut world = World::new().await;
    let big = |seq| {
        let body = vec![7; 100_000];
        Change::AppendEntry(entry(seq, EntryKind::Application, LeafIndex(0), body))
    };
    let mut changes: Vec<Change> = (1..=300).map(big).collect();
    changes.extend([room(300, 0), world.member(1, None)]);
    world.commit(changes).await;
    let _deaf = world.open(&[]).await;
    let other = dial(&world.dialler, world.address).await;
    let _deaf_client = std::mem::replace(&mut world.client, other);
    let mut other = world.open(&[(ROOM, 299)]).await;
    assert_eq!(other.until(300).await.0, [300]);
    drop(other.requests);
}
