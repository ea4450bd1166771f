//! Questions of strangers about people and rooms: what exists and what does not is answered alike.

use entente_groups::{Epoch, KeyPackageRef, KeyPackageUse, LeafIndex, MessageId, RoomId, Suite};
use entente_homeserver_core::Change;
use entente_homeserver_core::rows::{KeyPackageRow, MemberRow, RoomRow};
use entente_identity::AccountDid;
use entente_protocol::call::{
    ClaimKeyPackage, ClientRequest, ClientResponse, GroupInfoRequest, HubCall, Proposal,
    RoomAccess, SealedInvite, TreeChunkRequest,
};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::fault::FaultCode;
use entente_transport::Connection;
use tokio::time::Instant;

use super::world::{Person, World, refusal};
use crate::clock::now;
use crate::config::Limits;
use crate::pipeline::EVEN_TIME;

pub const ROOM: RoomId = RoomId([1; 32]);

/// A room of which this server, or another, is the hub.
pub fn room(id: RoomId, hub: &entente_identity::ServerDid) -> Change {
    Change::PutRoom(RoomRow {
        room: id,
        hub: hub.clone(),
        head: Head {
            term: Term::FIRST,
            seq: Seq(1),
            hash: EntryHash([0; 32]),
        },
        epoch: Epoch(0),
        delivered: Seq(0),
        pending: Vec::new(),
        followers: Vec::new(),
    })
}

pub fn member(world: &World, person: &Person) -> Change {
    Change::PutMember(MemberRow {
        room: ROOM,
        account: person.account,
        device: person.device,
        leaf: LeafIndex(0),
        home: world.me.clone(),
        joined: Seq(1),
        left: None,
    })
}

/// KeyPackages in a device's stock, as rows.
pub fn key_packages(person: &Person, usage: KeyPackageUse, count: u8) -> Vec<Change> {
    let row = |number: u8| KeyPackageRow {
        reference: KeyPackageRef::new(&[&[usage as u8, number][..], &[0; 30]].concat()),
        account: person.account,
        device: person.device,
        key_package: vec![usage as u8, number],
        suite: Suite::PostQuantum,
        usage,
        expires: now().after(1_000_000_000),
        claimed: None,
    };
    (0..count).map(row).map(Change::PutKeyPackage).collect()
}

pub fn claim(world: &World, account: AccountDid) -> ClientRequest {
    ClientRequest::ClaimKeyPackage(HubCall {
        hub: world.me.clone(),
        request: ClaimKeyPackage {
            room: ROOM,
            account,
            home: world.me.clone(),
            suite: Suite::PostQuantum,
        },
    })
}

fn invite(world: &World, to: &Person, id: u8) -> ClientRequest {
    ClientRequest::Invite(SealedInvite {
        account: to.account,
        home: world.me.clone(),
        message_id: MessageId([id; 16]),
        sealed: vec![(to.device, vec![7; 64])],
    })
}

/// Everything that one can ask about a room.
fn about(world: &World, room: RoomId, account: AccountDid) -> [ClientRequest; 4] {
    let hub = world.me.clone();
    let access = RoomAccess::Member;
    [
        ClientRequest::GroupInfo(HubCall {
            hub: hub.clone(),
            request: GroupInfoRequest {
                room,
                access: access.clone(),
            },
        }),
        ClientRequest::TreeChunk(HubCall {
            hub: hub.clone(),
            request: TreeChunkRequest {
                room,
                access,
                epoch: Epoch(0),
                hash: [0; 32],
                offset: 0,
            },
        }),
        ClientRequest::ClaimKeyPackage(HubCall {
            hub: hub.clone(),
            request: ClaimKeyPackage {
                room,
                account,
                home: hub.clone(),
                suite: Suite::PostQuantum,
            },
        }),
        ClientRequest::Propose(HubCall {
            hub,
            request: Proposal {
                room,
                message_id: MessageId([3; 16]),
                proposal: vec![0; 100],
            },
        }),
    ]
}

async fn answers(
    connection: &Connection,
    requests: [ClientRequest; 4],
) -> Vec<entente_protocol::fault::Fault> {
    let mut faults = Vec::new();
    for request in requests {
        let asked = Instant::now();
        faults.push(refusal(connection.call(&request).await));
        assert!(asked.elapsed() >= EVEN_TIME, "the time would tell");
    }
    faults
}

#[tokio::test]
async fn f4_a_room_that_exists_and_one_that_does_not_look_the_same_from_outside() {
    let world = World::new(Limits::default()).await;
    let (alice, eve) = (world.settle("alice").await, world.settle("eve").await);
    let (followed, unknown) = (RoomId([2; 32]), RoomId([3; 32]));
    let hub = "did:web:org-b.test".parse().expect("a DID");
    let rows = vec![
        room(ROOM, &world.me),
        member(&world, &alice),
        room(followed, &hub),
    ];
    world.commit(rows).await;
    let connection = world.login(&eve).await;
    let nothing = answers(&connection, about(&world, unknown, alice.account)).await;
    for fault in &nothing {
        assert_eq!(fault.code, FaultCode::NoSuchRoom, "{fault}");
    }
    for known in [ROOM, followed] {
        let something = answers(&connection, about(&world, known, alice.account)).await;
        assert_eq!(something, nothing);
    }
}

#[tokio::test]
async fn f4_invitations_and_claims_do_not_tell_who_exists() {
    let world = World::new(Limits::default()).await;
    let (alice, bob) = (world.settle("alice").await, world.settle("bob").await);
    world
        .commit(vec![room(ROOM, &world.me), member(&world, &alice)])
        .await;
    let unknown = Person::new("nobody", &world.me);
    let connection = world.login(&alice).await;
    for (id, to) in [(1, &bob), (2, &unknown)] {
        let asked = Instant::now();
        let sent = connection.call(&invite(&world, to, id)).await;
        assert!(asked.elapsed() >= EVEN_TIME, "the time would tell");
        assert_eq!(sent, Ok(ClientResponse::Done));
    }
    // Bob exists and has no KeyPackage.
    let of_bob = refusal(connection.call(&claim(&world, bob.account)).await);
    let of_nobody = refusal(connection.call(&claim(&world, unknown.account)).await);
    assert_eq!(of_bob, of_nobody);
    assert_eq!(of_bob.code, FaultCode::NoKeyPackage);
}

#[tokio::test]
async fn f4_who_asks_too_often_is_told_so_whether_the_person_exists_or_not() {
    let world = World::new(Limits {
        key_packages_of_account_for_asker: "1/h burst 3".parse().expect("a rate"),
        ..Limits::default()
    })
    .await;
    let (alice, bob) = (world.settle("alice").await, world.settle("bob").await);
    world
        .commit(vec![room(ROOM, &world.me), member(&world, &alice)])
        .await;
    let unknown = Person::new("nobody", &world.me);
    let connection = world.login(&alice).await;
    for of in [bob.account, unknown.account] {
        for _ in 0..3 {
            let fault = refusal(connection.call(&claim(&world, of)).await);
            assert_eq!(fault.code, FaultCode::NoKeyPackage);
        }
        let fault = refusal(connection.call(&claim(&world, of)).await);
        assert_eq!(fault.code, FaultCode::RateLimited);
        assert!(fault.retry_after_ms.is_some_and(|wait| wait > 3_000_000));
        assert!(fault.detail.contains("try again in 3"), "{fault}");
    }
}

#[tokio::test]
async fn f2_an_account_here_cannot_empty_anothers_stock() {
    let world = World::new(Limits::default()).await;
    let (eve, bob) = (world.settle("eve").await, world.settle("bob").await);
    let mut rows = vec![room(ROOM, &world.me), member(&world, &eve)];
    rows.extend(key_packages(&bob, KeyPackageUse::Once, 20));
    rows.extend(key_packages(&bob, KeyPackageUse::LastResort, 1));
    world.commit(rows).await;
    let connection = world.login(&eve).await;
    let mut given = 0;
    let fault = loop {
        match connection.call(&claim(&world, bob.account)).await {
            Ok(ClientResponse::KeyPackage(claimed)) => {
                assert_eq!(claimed.key_package[0], KeyPackageUse::Once as u8);
                given += 1;
            }
            other => break refusal(other),
        }
    };
    assert_eq!(fault.code, FaultCode::RateLimited);
    assert!(given < 20, "{given} of 20 were given away");
}
