//! Several nodes on one database: whatever they do at the same time comes out as if one of them had
//! done it after the other.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::thread;

use entente_groups::{
    Aad, Epoch, KeyPackageRef, KeyPackageUse, LeafIndex, MessageId, RoomId, Suite,
};
use entente_homeserver_core::Change;
use entente_homeserver_core::links::Tenure;
use entente_homeserver_core::register::RegistrationPolicy;
use entente_homeserver_core::rows::{
    Claimant, KeyPackageRow, LinkRow, MemberRow, NodeId, NodeRow, RoomRow,
};
use entente_homeserver_core::submit::Submitted;
use entente_homeserver_ops::{Answer, Command, Here, Others, Page, Store, execute};
use entente_homeserver_store_postgres::PostgresStore;
use entente_identity::{
    AccountClaim, AccountDid, Device, DeviceId, DeviceRole, HomeRecord, HpkePublicKey, ServerDid,
    SigningKey, UnixMillis, first_device_list,
};
use entente_protocol::call::Register;
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::Submission;
use futures::executor::block_on;

use crate::databases::{Databases, open};

const ALL: Page = Page {
    items: usize::MAX,
    bytes: usize::MAX,
};
pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
pub(crate) const EPOCH: Epoch = Epoch(1);

pub(crate) fn server(name: &str) -> ServerDid {
    format!("did:web:{name}.example").parse().unwrap()
}

pub(crate) fn here() -> Here {
    Here {
        me: server("org-a"),
        key_id: "fed-test".to_owned(),
        key: SigningKey::from_seed(&[1; 32]),
        registration: RegistrationPolicy::Open,
    }
}

pub(crate) fn room(n: u8) -> RoomId {
    RoomId([n; 32])
}

pub(crate) fn sender() -> (AccountDid, DeviceId) {
    let account = AccountDid::new(SigningKey::from_seed(&[7; 32]).public());
    (account, DeviceId([7; 16]))
}

pub(crate) fn write(store: &PostgresStore, changes: Vec<Change>) {
    block_on(async {
        let mut tx = store.begin().await.unwrap();
        tx.apply(changes).await.unwrap();
        tx.commit().await.unwrap();
    });
}

/// Rooms that this server orders for two others, with one member here.
pub(crate) fn found_rooms(store: &PostgresStore, rooms: u8) {
    let (account, device) = sender();
    let changes = (0..rooms).flat_map(|n| {
        let head = Head {
            term: Term(1),
            seq: Seq(0),
            hash: EntryHash([0; 32]),
        };
        let row = RoomRow {
            room: room(n),
            hub: server("org-a"),
            head,
            epoch: EPOCH,
            delivered: Seq(0),
            pending: Vec::new(),
            followers: vec![server("org-b"), server("org-c")],
        };
        let member = MemberRow {
            room: room(n),
            account,
            device,
            leaf: LeafIndex(0),
            home: server("org-a"),
            joined: Seq(0),
            left: None,
        };
        [Change::PutRoom(row), Change::PutMember(member)]
    });
    write(store, changes.collect());
}

/// An MLS PrivateMessage in form (RFC 9420 §6), as far as a server looks into one.
pub(crate) fn ciphertext(room: RoomId, id: MessageId) -> Vec<u8> {
    let mut bytes = vec![0, 1, 0, 2, 32];
    bytes.extend(room.0);
    bytes.extend(EPOCH.0.to_be_bytes());
    // An application message: authenticated data, sender data, ciphertext.
    let seen = Aad::new(id, 0, [0; 32]).to_bytes();
    bytes.extend([1, 57]);
    bytes.extend(seen);
    bytes.push(16);
    bytes.extend([9; 16]);
    bytes.push(32);
    bytes.extend([9; 32]);
    bytes
}

pub(crate) fn submit(n: u8, node: u8, message: u32) -> Command {
    let mut id = [node; 16];
    id[..4].copy_from_slice(&message.to_be_bytes());
    let id = MessageId(id);
    let submission = Submission {
        room: room(n),
        message_id: id,
        epoch: EPOCH,
        ciphertext: ciphertext(room(n), id).into(),
    };
    Command::Submit {
        sender: sender(),
        submission,
    }
}

pub(crate) fn run(store: &PostgresStore, commands: Vec<Command>) -> Vec<Result<Answer, Fault>> {
    let executed = block_on(execute(store, &here(), commands, NOW));
    assert_eq!(executed.failure, None);
    executed.answers
}

/// Does the same on several nodes at the same time; gives what each of them found.
fn together<T: Send>(
    nodes: &[PostgresStore],
    does: impl Fn(u8, &PostgresStore) -> T + Sync,
) -> Vec<T> {
    let begin = Barrier::new(nodes.len());
    thread::scope(|scope| {
        let running: Vec<_> = (0u8..)
            .zip(nodes)
            .map(|(number, store)| {
                let (begin, does) = (&begin, &does);
                scope.spawn(move || {
                    begin.wait();
                    does(number, store)
                })
            })
            .collect();
        let ended = running.into_iter().map(|thread| thread.join().unwrap());
        ended.collect()
    })
}

fn nodes(url: &str, count: usize) -> Vec<PostgresStore> {
    (0..count).map(|_| open(url)).collect()
}

fn position(answer: &Result<Answer, Fault>) -> u64 {
    match answer {
        Ok(Answer::Submitted(Submitted::Ordered(ordered))) => ordered.at.seq.0,
        other => panic!("{other:?}"),
    }
}

/// Checks that a room's log is one chain from 1 to its head, and gives its length.
async fn one_chain(store: &PostgresStore, n: u8) -> u64 {
    let mut read = store.read().await.unwrap();
    let head = read.room(&room(n)).await.unwrap().unwrap().head;
    let entries = read.entries(&room(n), Seq(0), Seq(1 << 40), ALL).await;
    let mut end = Head {
        term: Term(1),
        seq: Seq(0),
        hash: EntryHash([0; 32]),
    };
    let mut signed = false;
    for entry in entries.unwrap() {
        entry.extends(&end).expect("the log is one chain");
        end = entry.header.head();
        signed = entry.attestation.is_some();
    }
    assert_eq!(end, head, "the room stands at the end of its log");
    assert!(signed, "the head is signed");
    head.seq.0
}

/// Checks that what is owed to each peer is numbered without doubles or gaps, and is this much.
async fn owed_in_order(store: &PostgresStore, count: u64) {
    let mut read = store.read().await.unwrap();
    for peer in [server("org-b"), server("org-c")] {
        let owed = read.owed(&peer, 0, ALL).await.unwrap();
        let numbers: Vec<u64> = owed.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "to {peer}");
        let row = read.peer(&peer).await.unwrap().unwrap();
        assert_eq!(row.last_out, count);
    }
}

#[test]
fn two_nodes_order_into_one_room_without_a_lost_or_doubled_number() {
    const BATCHES: u32 = 30;
    const BATCH: u32 = 7;
    let databases = Databases::new();
    let url = databases.fresh();
    let nodes = nodes(&url, 2);
    found_rooms(&nodes[0], 1);
    let answered = together(&nodes, |node, store| {
        let mut positions = Vec::new();
        for batch in 0..BATCHES {
            let commands = (0..BATCH).map(|n| submit(0, node, batch * BATCH + n));
            let answers = run(store, commands.collect());
            positions.extend(answers.iter().map(position));
        }
        positions
    });
    let total = 2 * u64::from(BATCHES * BATCH);
    for positions in &answered {
        assert!(
            positions.is_sorted(),
            "each node's messages keep their order"
        );
    }
    let distinct: BTreeSet<u64> = answered.into_iter().flatten().collect();
    assert_eq!(distinct, (1..=total).collect(), "every number once");
    block_on(async {
        assert_eq!(one_chain(&nodes[1], 0).await, total);
        owed_in_order(&nodes[0], total).await;
    });
}

#[test]
fn the_same_message_at_two_nodes_is_ordered_once() {
    let databases = Databases::new();
    let url = databases.fresh();
    let nodes = nodes(&url, 3);
    found_rooms(&nodes[0], 1);
    for message in 0..20 {
        let answered = together(&nodes, |_, store| {
            position(&run(store, vec![submit(0, 9, message)])[0])
        });
        assert_eq!(answered, vec![u64::from(message) + 1; 3]);
    }
    block_on(owed_in_order(&nodes[0], 20));
}

/// Each of two peers ends its debts at another node: neither may think that the other one still owes.
#[test]
fn the_watermark_passes_what_two_nodes_acknowledge() {
    let databases = Databases::new();
    let url = databases.fresh();
    let nodes = nodes(&url, 2);
    found_rooms(&nodes[0], 1);
    let tenure = Tenure {
        holder: NodeId([1; 16]),
        fence: 1,
    };
    let links = ["org-b", "org-c"].map(|name| {
        Change::PutLink(LinkRow {
            peer: server(name),
            holder: tenure.holder,
            fence: tenure.fence,
        })
    });
    write(&nodes[0], links.into());
    for message in 0..25 {
        run(&nodes[0], vec![submit(0, 1, message)]);
        together(&nodes, |node, store| {
            let peer = [server("org-b"), server("org-c")][usize::from(node)].clone();
            let up_to = u64::from(message) + 1;
            let acknowledge = Command::Acknowledge {
                peer,
                tenure,
                up_to,
            };
            let answers = run(store, vec![acknowledge]);
            assert_eq!(answers, vec![Ok(Answer::Done)]);
        });
        let row = block_on(async { nodes[0].read().await.unwrap().room(&room(0)).await });
        assert_eq!(row.unwrap().unwrap().delivered, Seq(u64::from(message) + 1));
    }
}

#[test]
fn a_key_package_is_given_out_once() {
    const PACKAGES: u8 = 24;
    let databases = Databases::new();
    let url = databases.fresh();
    let nodes = nodes(&url, 2);
    let (account, device) = sender();
    let packages = (0..PACKAGES).map(|n| {
        Change::PutKeyPackage(KeyPackageRow {
            reference: KeyPackageRef::new(&[n; 32]),
            account,
            device,
            key_package: vec![n; 40],
            suite: Suite::Classical,
            usage: KeyPackageUse::Once,
            expires: NOW.after(1_000_000),
            claimed: None,
        })
    });
    write(&nodes[0], packages.collect());
    let claimed = together(&nodes, |node, store| {
        let claims = (0..PACKAGES / 2).map(|_| {
            let claim = Command::Claim {
                claimant: Claimant {
                    room: room(node),
                    hub: server("org-b"),
                },
                account,
                suite: Suite::Classical,
            };
            match run(store, vec![claim]).remove(0) {
                Ok(Answer::Claimed(claimed)) => claimed.key_package.clone(),
                other => panic!("{other:?}"),
            }
        });
        claims.collect::<Vec<_>>()
    });
    let distinct: BTreeSet<Vec<u8>> = claimed.into_iter().flatten().collect();
    assert_eq!(distinct.len(), usize::from(PACKAGES));
}

fn register(seed: [u8; 32]) -> Command {
    let root = SigningKey::from_seed(&seed);
    let device = Device {
        id: DeviceId([seed[0]; 16]),
        signature_key: SigningKey::from_seed(&[99; 32]).public(),
        hpke_key: HpkePublicKey([seed[0]; 32]),
        role: DeviceRole::Manager,
    };
    let handle = format!("name-{}@org-a.example", seed[1]).parse().unwrap();
    let claim = AccountClaim {
        account: AccountDid::new(root.public()),
        device_list: first_device_list(&root, vec![device], NOW),
        signer_chain: Vec::new(),
        home_record: HomeRecord::first(&root, handle, NOW),
    };
    Command::Register(Box::new(Register { claim, token: None }))
}

/// Whoever comes second is told that the name is taken, and not that the database is broken.
#[test]
fn a_name_is_given_to_one_account() {
    let databases = Databases::new();
    let url = databases.fresh();
    let nodes = nodes(&url, 2);
    for name in 0..20 {
        let answers = together(&nodes, |node, store| {
            let mut seed = [7; 32];
            seed[..2].copy_from_slice(&[node, name]);
            run(store, vec![register(seed)]).remove(0)
        });
        let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!((done.len(), refused.len()), (1, 1), "{refused:?}");
        let code = refused[0].as_ref().expect_err("refused").code;
        assert_ne!(code, FaultCode::Internal);
        assert_ne!(code, FaultCode::Busy);
    }
}

/// Nodes that go through the same rooms in opposite orders get on, whoever waits for whom.
#[test]
fn rooms_are_shared_out_whatever_the_order() {
    const ROOMS: u8 = 6;
    const ROUNDS: u32 = 12;
    let databases = Databases::new();
    let url = databases.fresh();
    let nodes = nodes(&url, 3);
    found_rooms(&nodes[0], ROOMS);
    together(&nodes, |node, store| {
        for round in 0..ROUNDS {
            let rooms = (0..ROOMS).map(|n| if node == 1 { ROOMS - 1 - n } else { n });
            let commands = rooms.map(|n| submit(n, node, round)).collect();
            for answer in run(store, commands) {
                position(&answer);
            }
        }
    });
    block_on(async {
        for n in 0..ROOMS {
            assert_eq!(one_chain(&nodes[0], n).await, u64::from(3 * ROUNDS));
        }
        owed_in_order(&nodes[0], u64::from(3 * ROUNDS) * u64::from(ROOMS)).await;
    });
}

fn enter(store: &PostgresStore, node: NodeId) {
    let enter = Command::Enter {
        node,
        name: node.to_string(),
        others: Others::MayLive,
    };
    assert_eq!(run(store, vec![enter]), vec![Ok(Answer::Done)]);
}

fn take(node: NodeId) -> Command {
    Command::TakeLink {
        peer: server("org-b"),
        node,
        stream_epoch: 0,
    }
}

/// All of them want the link at the same time, again and again; each time the one that has it is buried.
#[test]
fn a_link_has_one_holder_however_many_nodes_want_it() {
    const ROUNDS: u8 = 12;
    let databases = Databases::new();
    let url = databases.fresh();
    let nodes = nodes(&url, 3);
    for round in 0..ROUNDS {
        let ids = [0, 1, 2].map(|n| NodeId([round * 3 + n + 1; 16]));
        for (store, id) in nodes.iter().zip(ids) {
            enter(store, id);
        }
        let answers = together(&nodes, |n, store| {
            run(store, vec![take(ids[usize::from(n)])]).remove(0)
        });
        let mut holders = Vec::new();
        for answer in answers {
            match answer {
                Ok(Answer::Taken(taken)) => holders.push(taken.tenure),
                Ok(Answer::Held(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(holders.len(), 1, "round {round}: {holders:?}");
        let holder = holders[0];
        assert_eq!(holder.fence, u64::from(round) + 1);
        let bury = Command::Bury {
            node: holder.holder,
            beat: Some(0),
        };
        assert_eq!(run(&nodes[0], vec![bury]), vec![Ok(Answer::Buried)]);
        for id in ids.into_iter().filter(|id| *id != holder.holder) {
            let leave = Command::Bury {
                node: id,
                beat: None,
            };
            assert_eq!(run(&nodes[1], vec![leave]), vec![Ok(Answer::Buried)]);
        }
    }
}

/// Either the beat comes first and the node lives, or it is buried and told so.
#[test]
fn a_node_that_beats_while_it_is_buried_is_told() {
    let databases = Databases::new();
    let url = databases.fresh();
    let nodes = nodes(&url, 2);
    for n in 0..20 {
        let node = NodeId([n + 1; 16]);
        enter(&nodes[0], node);
        let answers = together(&nodes, |by, store| {
            let command = match by {
                0 => Command::Beat(node),
                _ => Command::Bury {
                    node,
                    beat: Some(0),
                },
            };
            run(store, vec![command]).remove(0)
        });
        let row = block_on(async { nodes[0].read().await.unwrap().node(&node).await }).unwrap();
        let lives = NodeRow {
            node,
            name: node.to_string(),
            beat: 1,
        };
        match answers.as_slice() {
            [Ok(Answer::Done), Ok(Answer::Done)] => assert_eq!(row, Some(lives)),
            [Ok(Answer::Buried), Ok(Answer::Buried)] => assert_eq!(row, None),
            other => panic!("{other:?}"),
        }
    }
}
