//! Failures: a receiver dies, a sender comes back from a backup, a disk is full, a database is held.

mod stage;

use std::collections::HashSet;

use entente_groups::MessageId;
use entente_hostile::accident::{Backup, Filler, HeldDatabase, SmallDisk};
use entente_hostile::arena::Arena;
use entente_hostile::device::{Device, nonsense_invite};
use entente_hostile::dice::Dice;
use entente_hostile::patience::until;
use entente_hostile::room::Seat;
use entente_protocol::call::{ClientRequest, PeerRequest, Pull};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::{DeviceItem, InviteItem, SubmitOutcome};
use entente_protocol::relay::Item;
use entente_testnet_machine::not_run;
use stage::{SEED, attacks};
use testnet::network::ready::{Readiness, readiness};
use testnet::network::{Binaries, BuildChoice};

const A: usize = 0;
const B: usize = 1;

async fn invitations(device: &Device) -> Vec<MessageId> {
    let mut inbox = device.inbox(Vec::new(), 0).await.unwrap();
    let items = inbox.items_until_caught_up().await.unwrap();
    let ids = items.into_iter().map(|item| match item {
        DeviceItem::Invite(invite) => invite.message_id,
        other => panic!("{other:?}"),
    });
    ids.collect()
}

fn invite(to: &Device, dice: &mut Dice) -> Item {
    Item::Invite(InviteItem {
        account: to.person.account,
        device: to.person.device,
        inviter: to.person.account,
        message_id: MessageId(dice.bytes()),
        sealed: vec![7; 64].into(),
    })
}

fn question() -> PeerRequest {
    PeerRequest::Pull(Pull {
        room: entente_groups::RoomId([0; 32]),
        after: Head {
            term: Term::FIRST,
            seq: Seq(0),
            hash: EntryHash([0; 32]),
        },
        until: Seq(1),
    })
}

/// When the receiver is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Sent,
    Received,
    Acknowledged,
}

#[tokio::test]
async fn d2_what_a_killed_receiver_did_not_commit_the_sender_still_has() {
    let arena = stage::arena().await;
    let mut dice = Dice::of(SEED, "d2");
    let mut bob = arena.newcomer(&arena.b, "bob", &mut dice).await.unwrap();
    let mallory = arena.mallory().unwrap();
    let epoch = mallory.fresh_epoch();
    let items: Vec<Item> = (0..30).map(|_| invite(&bob, &mut dice)).collect();
    let bytes: Vec<Vec<u8>> = items.iter().map(Item::to_bytes).collect();
    for moment in [Moment::Sent, Moment::Received, Moment::Acknowledged] {
        let link = mallory.link_at(&arena.b, epoch, 0).await.unwrap();
        let owned = usize::try_from(link.reply.last_in).unwrap();
        let mut stream = link.stream().await.unwrap();
        let upper = (owned + 10).min(bytes.len());
        let batch = stream.sign(stream.next, bytes[owned..upper].to_vec());
        let held = match moment {
            Moment::Received => Some(HeldDatabase::of(arena.folder(), &arena.domain(B)).unwrap()),
            Moment::Sent | Moment::Acknowledged => None,
        };
        stream.send(&batch).await.unwrap();
        match moment {
            Moment::Sent => {}
            // An answer on the same connection: what was sent before it has arrived.
            Moment::Received => {
                stream.link.call(&question()).await.unwrap_err();
            }
            Moment::Acknowledged => {
                stream.reply().await.unwrap().unwrap();
            }
        }
        arena.kill(B).await.unwrap();
        if let Some(held) = held {
            held.release().unwrap();
        }
        arena.start(B).await.unwrap();
        let link = mallory.link_at(&arena.b, epoch, 0).await.unwrap();
        let after = usize::try_from(link.reply.last_in).unwrap();
        match moment {
            Moment::Sent => assert!(after == owned || after == upper, "{moment:?}: {after}"),
            Moment::Received => assert_eq!(after, owned, "nothing was committed"),
            Moment::Acknowledged => assert_eq!(after, upper, "what was acknowledged is there"),
        }
    }
    let link = mallory.link_at(&arena.b, epoch, 0).await.unwrap();
    let owned = usize::try_from(link.reply.last_in).unwrap();
    let mut stream = link.stream().await.unwrap();
    stream.deliver(&items[owned..]).await.unwrap();
    bob.reconnect().await.unwrap();
    let wanted: Vec<MessageId> = items
        .iter()
        .map(|item| match item {
            Item::Invite(invite) => invite.message_id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(invitations(&bob).await, wanted);
}

#[tokio::test]
async fn d4_a_sender_with_an_old_stream_is_told_where_it_stands() {
    attacks(&["old-stream"]).await;
}

#[tokio::test]
async fn d4_a_server_restored_from_an_old_backup_loses_and_doubles_nothing() {
    let arena = stage::arena().await;
    let mut dice = Dice::of(SEED, "d4");
    let mut alice = arena.newcomer(&arena.a, "alice", &mut dice).await.unwrap();
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await.unwrap();
    let mut sent = Vec::new();
    send(&alice, &bob, &mut sent, &mut dice).await;
    until_arrived(&bob, &sent).await;
    arena.kill(A).await.unwrap();
    let backup = Backup::of(arena.folder(), &arena.domain(A)).unwrap();
    for restore in [false, true] {
        if restore {
            arena.kill(A).await.unwrap();
            backup.restore().unwrap();
        }
        arena.start(A).await.unwrap();
        alice.reconnect().await.unwrap();
        send(&alice, &bob, &mut sent, &mut dice).await;
        until_arrived(&bob, &sent).await;
    }
    let came = invitations(&bob).await;
    let distinct: HashSet<_> = came.iter().collect();
    assert_eq!(distinct.len(), came.len(), "nothing twice");
}

async fn send(alice: &Device, bob: &Device, sent: &mut Vec<MessageId>, dice: &mut Dice) {
    for _ in 0..20 {
        let id = MessageId(dice.bytes());
        alice
            .link
            .call(&nonsense_invite(&bob.person, id))
            .await
            .unwrap();
        sent.push(id);
    }
}

async fn until_arrived(bob: &Device, sent: &[MessageId]) {
    let arrived = until("all invitations", async || {
        let came: HashSet<_> = invitations(bob).await.into_iter().collect();
        Ok(sent.iter().all(|id| came.contains(id)).then_some(()))
    });
    arrived.await.unwrap();
}

/// Hands a message in; whether it was ordered, or refused as busy.
async fn say(device: &Device, seat: &mut Seat, text: &[u8], dice: &mut Dice) -> Option<MessageId> {
    let submission = seat.encrypt(&device.person, text, dice).unwrap();
    let id = submission.message_id;
    let mut flow = device.submitting().await.unwrap();
    match flow.submit(&seat.hub, submission).await.unwrap() {
        SubmitOutcome::Ordered { .. } => Some(id),
        SubmitOutcome::Refused(fault) => {
            assert_eq!(fault.code, FaultCode::Busy, "{fault:?}");
            assert!(fault.retry_after_ms.is_some(), "{fault:?}");
            None
        }
        SubmitOutcome::Stored => panic!("the hub only stored it"),
    }
}

async fn log_of(device: &Device, seat: &Seat) -> HashSet<MessageId> {
    let cursors = vec![(seat.room(), Seq(0))];
    let mut inbox = device.inbox(cursors, u64::MAX).await.unwrap();
    inbox.items_until_caught_up().await.unwrap();
    let entries = inbox.entries_so_far().into_iter();
    entries.map(|entry| entry.header.message_id).collect()
}

#[tokio::test]
async fn d7_a_full_disk_refuses_loses_nothing_and_recovers_without_a_restart() {
    if let Some(reason) = SmallDisk::impossible() {
        not_run(
            "disk",
            &format!("a process cannot have one of its own here: {reason}"),
        );
        return;
    }
    let binaries = Binaries::find(BuildChoice::Build).await.unwrap();
    let disk = SmallDisk::of(binaries, "org-a.test", 16 * 1024).unwrap();
    let arena = Arena::open(disk.binaries.clone(), SEED).await.unwrap();
    let mut dice = Dice::of(SEED, "d7");
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await.unwrap();
    let mut seat = alice.found(&mut dice).await.unwrap();
    let mut ordered = vec![say(&alice, &mut seat, b"before", &mut dice).await.unwrap()];
    let pid = arena.pid(A).await.unwrap();
    let filler = Filler::of(pid, arena.folder(), &arena.domain(A)).unwrap();
    // The log of the database may have room left from before: it is used up by messages.
    let text = vec![b'x'; 60_000];
    let mut refused = 0;
    while refused < 3 {
        match say(&alice, &mut seat, &text, &mut dice).await {
            Some(id) => ordered.push(id),
            None => refused += 1,
        }
        assert!(ordered.len() < 1_000, "the disk is never full");
    }
    let admin = arena.admin(A);
    assert_eq!(readiness(admin).await, Readiness::NotReady);
    let status = alice.link.call(&ClientRequest::Status).await;
    status.expect("questions are answered all the same");
    filler.remove().unwrap();
    let again = until("the server takes messages again", async || {
        Ok(say(&alice, &mut seat, b"after", &mut dice).await)
    });
    ordered.push(again.await.unwrap());
    assert_eq!(readiness(admin).await, Readiness::Ready);
    assert_eq!(arena.pid(A).await.unwrap(), pid, "the same process");
    let log = log_of(&alice, &seat).await;
    let lost = ordered.iter().filter(|id| !log.contains(id)).count();
    assert_eq!(lost, 0, "of {} acknowledged messages", ordered.len());
    arena.check_servers().await.unwrap();
}

#[tokio::test]
async fn d7_a_database_in_other_hands_refuses_as_busy_and_recovers_without_a_restart() {
    let arena = stage::arena().await;
    let mut dice = Dice::of(SEED, "d7 held");
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await.unwrap();
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await.unwrap();
    let mut seat = alice.found(&mut dice).await.unwrap();
    let before = say(&alice, &mut seat, b"before", &mut dice).await.unwrap();
    let held = HeldDatabase::of(arena.folder(), &arena.domain(A)).unwrap();
    assert_eq!(say(&alice, &mut seat, b"meanwhile", &mut dice).await, None);
    let status = alice.link.call(&ClientRequest::Status).await;
    status.expect("questions are answered all the same");
    // The other organization does not notice.
    let mut other = bob.found(&mut dice).await.unwrap();
    say(&bob, &mut other, b"undisturbed", &mut dice)
        .await
        .unwrap();
    held.release().unwrap();
    let again = until("the server takes messages again", async || {
        Ok(say(&alice, &mut seat, b"after", &mut dice).await)
    });
    let after = again.await.unwrap();
    let log = log_of(&alice, &seat).await;
    assert!(log.contains(&before) && log.contains(&after));
    arena.check_servers().await.unwrap();
}
