//! Who drives a link: the commands of nodes that share a database, one after the other.

use entente_homeserver_core::Change;
use entente_homeserver_core::links::{Taken, Tenure};
use entente_homeserver_core::register::RegistrationPolicy;
use entente_homeserver_core::rows::{LinkRow, NodeId, PeerRow};
use entente_homeserver_ops::memory::MemoryStore;
use entente_homeserver_ops::{Answer, Command, Here, Others, Store, execute};
use entente_identity::{ServerDid, SigningKey, UnixMillis};
use futures::executor::block_on;

const A: NodeId = NodeId([1; 16]);
const B: NodeId = NodeId([2; 16]);

fn peer() -> ServerDid {
    "did:web:org-b.example".parse().unwrap()
}

fn run(store: &MemoryStore, command: Command) -> Answer {
    let here = Here {
        me: "did:web:org-a.example".parse().unwrap(),
        key_id: "fed-test".to_owned(),
        key: SigningKey::from_seed(&[1; 32]),
        registration: RegistrationPolicy::Open,
    };
    let executed = block_on(execute(store, &here, vec![command], UnixMillis(5)));
    executed.answers.into_iter().next().unwrap().unwrap()
}

fn enter(store: &MemoryStore, node: NodeId, others: Others) {
    let name = node.to_string();
    let enter = Command::Enter { node, name, others };
    assert_eq!(run(store, enter), Answer::Done);
}

fn take(store: &MemoryStore, node: NodeId) -> Answer {
    let take = Command::TakeLink {
        peer: peer(),
        node,
        stream_epoch: 0,
    };
    run(store, take)
}

fn taken(store: &MemoryStore, node: NodeId) -> Taken {
    match take(store, node) {
        Answer::Taken(taken) => taken,
        other => panic!("not taken: {other:?}"),
    }
}

fn row(store: &MemoryStore) -> PeerRow {
    let row = block_on(async { store.read().await.unwrap().peer(&peer()).await });
    row.unwrap().unwrap()
}

fn acknowledge(store: &MemoryStore, tenure: Tenure, up_to: u64) -> Answer {
    let peer = peer();
    run(
        store,
        Command::Acknowledge {
            peer,
            tenure,
            up_to,
        },
    )
}

#[test]
fn a_holder_that_was_buried_writes_nothing_about_the_stream() {
    let store = MemoryStore::new();
    enter(&store, A, Others::MayLive);
    enter(&store, B, Others::MayLive);
    let first = taken(&store, A);
    let owing = PeerRow {
        last_out: 9,
        ..first.peer
    };
    block_on(async {
        let mut tx = store.begin().await.unwrap();
        tx.apply(vec![Change::PutPeer(owing)]).await.unwrap();
        tx.commit().await.unwrap();
    });
    assert_eq!(acknowledge(&store, first.tenure, 2), Answer::Done);
    assert!(matches!(
        take(&store, B),
        Answer::Held(LinkRow { holder: A, .. })
    ));
    let bury = |beat| Command::Bury { node: A, beat };
    assert_eq!(run(&store, Command::Beat(A)), Answer::Done);
    // Who was looking saw an older beat.
    assert_eq!(run(&store, bury(Some(0))), Answer::Done);
    assert_eq!(run(&store, bury(Some(1))), Answer::Buried);
    // Nobody has taken the link yet: what the peer told the buried node is still so.
    assert_eq!(acknowledge(&store, first.tenure, 3), Answer::Done);
    let second = taken(&store, B);
    assert!(second.peer.stream_epoch > first.peer.stream_epoch);
    assert_eq!(second.peer.acked, 3);
    let before = row(&store);
    assert_eq!(acknowledge(&store, first.tenure, 5), Answer::Lost);
    let begin = Command::BeginEpoch {
        peer: peer(),
        tenure: first.tenure,
        stream_epoch: u64::MAX,
    };
    assert_eq!(run(&store, begin), Answer::Lost);
    assert_eq!(run(&store, Command::Beat(A)), Answer::Buried);
    assert_eq!(take(&store, A), Answer::Buried);
    assert_eq!(row(&store), before);
    assert_eq!(acknowledge(&store, second.tenure, 5), Answer::Done);
    assert_eq!(row(&store).acked, 5);
}

#[test]
fn who_owns_the_database_alone_takes_what_its_last_life_left() {
    let store = MemoryStore::new();
    enter(&store, A, Others::Gone);
    let first = taken(&store, A);
    enter(&store, B, Others::Gone);
    let second = taken(&store, B);
    assert_eq!(second.tenure.fence, first.tenure.fence + 1);
    assert_eq!(run(&store, Command::Beat(A)), Answer::Buried);
}

#[test]
fn a_node_that_leaves_frees_its_links_at_once() {
    let store = MemoryStore::new();
    enter(&store, A, Others::MayLive);
    enter(&store, B, Others::MayLive);
    taken(&store, A);
    let leave = Command::Bury {
        node: A,
        beat: None,
    };
    assert_eq!(run(&store, leave), Answer::Buried);
    assert_eq!(taken(&store, B).tenure.fence, 2);
}
