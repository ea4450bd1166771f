//! Servers that send or ask for too much.

use std::time::Duration;

use entente_groups::{KeyPackageUse, MessageId, RoomId, Suite};
use entente_homeserver_core::Change;
use entente_identity::{AccountDid, DeviceId, SigningKey};
use entente_protocol::call::{ClaimKeyPackage, PeerRequest, PeerResponse, Pull, Vouched};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::{DeviceItem, InviteItem, SyncEvent, SyncRequest};
use entente_protocol::relay::{Item, RelayReply, Watermark};
use entente_transport::Connection;
use tokio::time::{sleep, timeout};

use super::peer::{EPOCH, network};
use crate::client_edge::tests::questions::{ROOM, key_packages, member, room};
use crate::client_edge::tests::world::{PATIENCE, Person, World, refusal};
use crate::config::{Limits, Rate};

fn rate(text: &str) -> Rate {
    text.parse().expect("a rate")
}

fn somebody(number: u32) -> AccountDid {
    let mut seed = [9; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    AccountDid::new(SigningKey::from_seed(&seed).public())
}

fn invite(to: &Person, inviter: AccountDid, number: u32) -> Item {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_be_bytes());
    Item::Invite(InviteItem {
        account: to.account,
        device: to.device,
        inviter,
        message_id: MessageId(id),
        sealed: vec![7; 200].into(),
    })
}

/// An item that is taken and has no effect.
fn watermark() -> Item {
    Item::Delivered(Watermark {
        room: RoomId([5; 32]),
        seq: Seq(1),
    })
}

/// Ten thousand invitations from a thousand accounts of one server: so many rows and no more, the stream
/// goes on, other servers' invitations still arrive, and the invitee's device syncs.
#[tokio::test(flavor = "multi_thread")]
async fn f3_a_servers_flood_of_invitations_is_cut_off_for_that_server_alone() {
    const INVITES: u32 = 10_000;
    let limits = Limits {
        invites_to_account_from_server: rate("1/h burst 100"),
        invites_to_account: rate("1/h burst 150"),
        invites_per_peer: rate("1/h burst 300"),
        ..Limits::default()
    };
    let (world, [b, c]) = network(limits, ["org-b.test", "org-c.test"]).await;
    let (alice, bob) = (world.settle("alice").await, world.settle("bob").await);
    let inviters: Vec<AccountDid> = (0..1_000).map(somebody).collect();
    let mut flood = b.stream(&world).await;
    let all: Vec<Item> = (0..INVITES)
        .map(|number| invite(&alice, inviters[number as usize % inviters.len()], number))
        .collect();
    for items in all.chunks(500) {
        flood.deliver(&b, &world, items).await;
    }
    assert_eq!(world.queued(&alice).await.len(), 100);
    // The cut-off is for the whole server: its invitations for others count too.
    let to_bob: Vec<Item> = (0..300)
        .map(|number| invite(&bob, inviters[0], number))
        .collect();
    flood.deliver(&b, &world, &to_bob).await;
    assert_eq!(world.queued(&bob).await.len(), 0, "300 were used up");
    flood.deliver(&b, &world, &[watermark()]).await;
    let mut other = c.stream(&world).await;
    other
        .deliver(&c, &world, &[invite(&alice, somebody(7), 1)])
        .await;
    let queued = world.queued(&alice).await;
    assert_eq!(queued.len(), 101);
    check_sync(&world, &alice, queued.len()).await;
}

/// Sees that a device gets all that is queued for it, and nothing else.
async fn check_sync(world: &World, person: &Person, count: usize) {
    let connection = world.login(person).await;
    let (mut requests, mut events) = connection.open_sync().await.expect("a flow");
    let open = SyncRequest::Open {
        cursors: Vec::new(),
        queue_after: 0,
    };
    requests.send(&open).await.expect("sent");
    let mut got = 0;
    loop {
        let event = timeout(PATIENCE, events.next()).await.expect("in time");
        match event.expect("the flow holds").expect("it goes on") {
            SyncEvent::Queued {
                item: DeviceItem::Invite(_),
                ..
            } => got += 1,
            SyncEvent::CaughtUp => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(got, count);
}

/// A peer at many times its rate is told when to go on. What it sends before that is not taken, what it
/// sends then is; another peer is served all the while.
#[tokio::test(flavor = "multi_thread")]
async fn d6_a_peer_beyond_its_rate_is_told_when_to_go_on_and_loses_nothing() {
    let limits = Limits {
        items_per_peer: rate("200/s burst 300"),
        ..Limits::default()
    };
    let (world, [b, c]) = network(limits, ["org-b.test", "org-c.test"]).await;
    let alice = world.settle("alice").await;
    let mut flood = b.stream(&world).await;
    let mut other = c.stream(&world).await;
    let items = |from: u64| -> Vec<Item> {
        let numbers = from..from + 100;
        let number = |number| u32::try_from(number).expect("few");
        numbers
            .map(|n| invite(&alice, somebody(1), number(n)))
            .collect()
    };
    let (mut told, mut taken) = (0, 0);
    while taken < 1_000 {
        let batch = b.batch(&world, &flood, &items(taken));
        flood.batches.send(&batch).await.expect("sent");
        match flood.reply().await {
            RelayReply::Ack {
                stream_epoch,
                up_to,
            } => {
                assert_eq!((stream_epoch, up_to), (EPOCH, taken + 100));
                taken = up_to;
                flood.next = up_to + 1;
            }
            RelayReply::Busy { retry_after_ms } => {
                assert!((1..=500).contains(&retry_after_ms), "{retry_after_ms} ms");
                told += 1;
                // Half of them come too early, and are told so again.
                if told % 2 == 0 {
                    sleep(Duration::from_millis(retry_after_ms.into())).await;
                }
                other.deliver(&c, &world, &[watermark()]).await;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(told >= 3, "told {told} times");
    let queued = world.queued(&alice).await;
    let ids: Vec<MessageId> = queued
        .iter()
        .map(|row| match &row.item {
            DeviceItem::Invite(invite) => invite.message_id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids.len(), 1_000, "nothing is lost or doubled");
    assert!(ids.is_sorted_by_key(|id| id.0), "in order");
}

#[tokio::test]
async fn d6_bytes_of_a_peer_are_limited_like_its_items() {
    let limits = Limits {
        item_bytes_per_peer: "1KiB/h burst 16KiB".parse().expect("a rate"),
        ..Limits::default()
    };
    let (world, [b]) = network(limits, ["org-b.test"]).await;
    let alice = world.settle("alice").await;
    let mut stream = b.stream(&world).await;
    let items: Vec<Item> = (0..40).map(|n| invite(&alice, somebody(1), n)).collect();
    stream.deliver(&b, &world, &items).await;
    let batch = b.batch(&world, &stream, &items);
    stream.batches.send(&batch).await.expect("sent");
    assert_waits_long(stream.reply().await);
    // What would fit does not overtake what was refused: it does not even come as far as the writer,
    // which would miss what is before it and ask for it at once.
    stream.next += 40;
    let small = b.batch(&world, &stream, &[watermark()]);
    stream.batches.send(&small).await.expect("sent");
    assert_waits_long(stream.reply().await);
}

fn assert_waits_long(reply: RelayReply) {
    let RelayReply::Busy { retry_after_ms } = reply else {
        panic!("{reply:?}");
    };
    assert!(retry_after_ms > 60_000, "{retry_after_ms} ms");
}

async fn pull(connection: &Connection) -> Fault {
    let request = PeerRequest::Pull(Pull {
        room: RoomId([1; 32]),
        after: Head {
            term: Term::FIRST,
            seq: Seq(0),
            hash: EntryHash([0; 32]),
        },
        until: Seq(9),
    });
    refusal(connection.call(&request).await)
}

#[tokio::test]
async fn d6_calls_of_a_peer_beyond_its_rate_are_told_when_to_come_again() {
    let limits = Limits {
        calls_per_peer: rate("1/h burst 5"),
        ..Limits::default()
    };
    let (world, [b, c]) = network(limits, ["org-b.test", "org-c.test"]).await;
    let (of_b, of_c) = (b.link(&world).await, c.link(&world).await);
    for _ in 0..5 {
        assert_eq!(pull(&of_b).await.code, FaultCode::NoSuchRoom);
    }
    let fault = pull(&of_b).await;
    assert_eq!(fault.code, FaultCode::RateLimited);
    assert!(fault.retry_after_ms.is_some_and(|wait| wait > 60_000));
    assert!(
        fault.detail.contains("calls of this server; try again in"),
        "{fault}"
    );
    // A new connection brings no new bucket.
    let again = b.link(&world).await;
    assert_eq!(pull(&again).await.code, FaultCode::RateLimited);
    assert_eq!(pull(&of_c).await.code, FaultCode::NoSuchRoom);
}

async fn claim(connection: &Connection, world: &World, of: AccountDid) -> Result<Vec<u8>, Fault> {
    let request = PeerRequest::ClaimKeyPackage(Vouched {
        account: somebody(3),
        device: DeviceId([3; 16]),
        request: ClaimKeyPackage {
            room: RoomId([8; 32]),
            account: of,
            home: world.me.clone(),
            suite: Suite::PostQuantum,
        },
    });
    match connection.call(&request).await {
        Ok(PeerResponse::KeyPackage(claimed)) => Ok(claimed.key_package),
        other => Err(refusal(other)),
    }
}

/// A claim for a room that exists here and one for a room that does not are answered alike, whether the
/// account is at home here or elsewhere.
#[tokio::test]
async fn f4_a_claim_does_not_tell_a_server_which_rooms_there_are() {
    let (world, [b]) = network(Limits::default(), ["org-b.test"]).await;
    let alice = world.settle("alice").await;
    let followed = RoomId([2; 32]);
    let elsewhere = "did:web:org-c.test".parse().expect("a DID");
    let rows = vec![
        room(ROOM, &world.me),
        member(&world, &alice),
        room(followed, &elsewhere),
    ];
    world.commit(rows).await;
    let link = b.link(&world).await;
    for home in [&world.me, &elsewhere] {
        let mut faults = Vec::new();
        for room in [ROOM, followed, RoomId([3; 32])] {
            let request = PeerRequest::ClaimKeyPackage(Vouched {
                account: alice.account,
                device: alice.device,
                request: ClaimKeyPackage {
                    room,
                    account: somebody(4),
                    home: home.clone(),
                    suite: Suite::PostQuantum,
                },
            });
            faults.push(refusal(link.call(&request).await));
        }
        assert_eq!(faults[0], faults[2], "{home}");
        assert_eq!(faults[1], faults[2], "{home}");
    }
}

/// One server, whomever it asks for, gets fewer KeyPackages of an account than there are; when servers
/// together empty the stock, the one of last resort is given, marked as such, and never used up.
#[tokio::test]
async fn f2_a_server_cannot_empty_a_stock_and_the_last_resort_stays() {
    let (world, [b, c]) = network(Limits::default(), ["org-b.test", "org-c.test"]).await;
    let bob = world.settle("bob").await;
    let mut rows: Vec<Change> = key_packages(&bob, KeyPackageUse::Once, 20);
    rows.extend(key_packages(&bob, KeyPackageUse::LastResort, 1));
    world.commit(rows).await;
    let (of_b, of_c) = (b.link(&world).await, c.link(&world).await);
    let mut given = Vec::new();
    let fault = loop {
        match claim(&of_b, &world, bob.account).await {
            Ok(key_package) => given.push(key_package),
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault.code, FaultCode::RateLimited);
    assert!(fault.retry_after_ms.is_some());
    assert!(given.len() < 20, "{} of 20", given.len());
    // Nobody learns from it who exists.
    let of_nobody = loop {
        match claim(&of_b, &world, somebody(99)).await {
            Err(fault) if fault.code == FaultCode::NoKeyPackage => {}
            other => break other.expect_err("nobody has a KeyPackage"),
        }
    };
    assert_eq!(of_nobody.code, FaultCode::RateLimited);
    let rest = 20 - given.len();
    for _ in 0..rest {
        given.push(
            claim(&of_c, &world, bob.account)
                .await
                .expect("some are left"),
        );
    }
    let once = KeyPackageUse::Once as u8;
    assert!(given.iter().all(|key_package| key_package[0] == once));
    given.sort();
    given.dedup();
    assert_eq!(given.len(), 20, "none is given out twice");
    for _ in 0..3 {
        let last = claim(&of_c, &world, bob.account)
            .await
            .expect("the last resort");
        assert_eq!(last[0], KeyPackageUse::LastResort as u8);
    }
}
