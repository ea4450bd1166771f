//! A server speaks for people, rooms and servers that are not its own.

use anyhow::{Context, Result, ensure};
use entente_groups::{MessageId, RoomId, Suite};
use entente_identity::ServerDid;
use entente_protocol::call::{
    ClaimKeyPackage, ClientRequest, CommitRequest, GroupInfoRequest, HubCall, PeerRequest,
    Proposal, RoomAccess,
};
use entente_protocol::entry::{Entry, EntryKind, Head, Seq};
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::{DeviceItem, SubmitOutcome};
use entente_protocol::relay::{Item, SubmissionRefusal, Watermark};

use super::replay::invite;
use super::{Attack, attack};
use crate::arena::Arena;
use crate::device::{Device, ordered};
use crate::dice::Dice;
use crate::expect::refused;
use crate::gathering::{Gathering, catch_up, relayed, vouched};
use crate::patience::until;
use crate::peer::{FakeLog, Manners, Peer};
use crate::room::{Founding, Seat};

pub(super) const ATTACKS: &[Attack] = &[
    attack!("message-of-a-third-domain", Peers,
        "A hostile organization relays a message of another organization's member to the hub."
        => "a refusal item comes back (not-member), nothing is ordered, the member can send it still",
        third_domain_message),
    attack!("calls-of-a-third-domain", Peers,
        "A hostile organization vouches for another organization's member in every call."
        => "not-member, no-such-room, no-key-package or commit-refused, each",
        third_domain_calls),
    attack!("entry-of-another-hub", Peers,
        "A hostile member organization hands over the next entries of a room that another server orders, to members and to a server whose members have left."
        => "passed over; the room goes on as its hub orders it",
        another_hub),
    attack!("word-of-another-hub", Peers,
        "A hostile organization refuses a message and raises a watermark in a room that another server orders."
        => "passed over; the message still waits for its hub",
        another_hubs_word),
];

/// The codes of refusals that a hub sent back for a message.
async fn refusal_of(peer: &Peer, hub: &ServerDid, id: MessageId) -> Result<u16> {
    until("a refusal item", async || {
        let items = peer.reception.items_from(hub).into_iter();
        let mut codes = items.filter_map(|item| match item {
            Item::Refusal(refusal) if refusal.message_id == id => Some(refusal.code),
            _ => None,
        });
        Ok(codes.next())
    })
    .await
}

async fn third_domain_message(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let mut room = Gathering::new(arena, &mut dice).await?;
    let bob = &room.bob.person;
    let message = room.bob_seat.encrypt(bob, b"not yours to say", &mut dice)?;
    let mut stream = mallory.stream(&arena.a).await?;
    stream.deliver(&[relayed(bob, message.clone())]).await?;
    let code = refusal_of(mallory, &arena.a.did, message.message_id).await?;
    let allowed = [FaultCode::NotMember as u16, FaultCode::NoSuchRoom as u16];
    ensure!(allowed.contains(&code), "refused with code {code}");
    let head = room.mole_seat.head.seq;
    let next = room.alice_says("what comes next", &mut dice).await?;
    ensure!(next == head.next(), "something was ordered before {next:?}");
    let mut flow = room.bob.submitting().await?;
    let outcome = flow.submit(&arena.a.did, message.clone()).await?;
    ensure!(
        outcome == SubmitOutcome::Stored,
        "bob cannot send it: {outcome:?}"
    );
    let mut inbox = room
        .alice
        .inbox(vec![(room.room(), next)], u64::MAX)
        .await?;
    let entry = inbox.entry().await?;
    ensure!(
        entry.header.message_id == message.message_id && entry.header.origin == arena.b.did,
        "another message than bob's"
    );
    Ok(())
}

async fn third_domain_calls(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mut room = Gathering::new(arena, &mut dice).await?;
    let id = room.room();
    let link = arena.mallory()?.link(&arena.a).await?;
    let bob = &room.bob.person;
    let bundle = room.bob_seat.removing(bob, &room.mole.account, &mut dice);
    // Bob is no admin: his own device refuses; any bundle will do for one that is not his server.
    let bundle = match bundle {
        Ok(request) => request.bundle,
        Err(_) => room.bob_seat.member.refresh(None, bob.key())?,
    };
    room.bob_seat.member.discard_pending()?;
    let proposal = room.bob_seat.leaving(bob, &mut dice)?.proposal;
    let requests = [
        PeerRequest::GroupInfo(vouched(
            bob,
            GroupInfoRequest {
                room: id,
                access: RoomAccess::Member,
            },
        )),
        PeerRequest::ClaimKeyPackage(vouched(
            bob,
            ClaimKeyPackage {
                room: id,
                account: room.alice.person.account,
                home: arena.a.did.clone(),
                suite: Suite::Classical,
            },
        )),
        PeerRequest::Commit(vouched(
            bob,
            CommitRequest {
                room: id,
                message_id: MessageId(dice.bytes()),
                bundle,
            },
        )),
        PeerRequest::Propose(vouched(
            bob,
            Proposal {
                room: id,
                message_id: MessageId(dice.bytes()),
                proposal,
            },
        )),
    ];
    for request in requests {
        let name = format!("{request:?}").chars().take(16).collect::<String>();
        // A claim may be meant for Alice's home, not for the room: it has one answer for a stranger.
        let code = match request {
            PeerRequest::ClaimKeyPackage(_) => FaultCode::NoKeyPackage,
            _ => FaultCode::NoSuchRoom,
        };
        refused(link.call(&request).await, &[code]).context(name)?;
    }
    Ok(())
}

/// What a device has of a room.
async fn log_of(device: &Device, room: RoomId) -> Result<Vec<Entry>> {
    let mut inbox = device.inbox(vec![(room, Seq(0))], u64::MAX).await?;
    inbox.items_until_caught_up().await?;
    let entries = inbox.entries_so_far().into_iter();
    Ok(entries.filter(|entry| entry.header.room == room).collect())
}

async fn another_hub(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let mut room = Gathering::new(arena, &mut dice).await?;
    let mut forged = FakeLog {
        head: room.mole_seat.head,
        epoch: room.mole_seat.member.epoch(),
        ..FakeLog::new(room.room(), arena.b.did.clone(), &mut dice)
    };
    let message = Item::Entry(forged.message(&mut dice));
    let commit = Item::Entry(forged.commit(&[], &[&room.bob.person], &mut dice));
    let mut stream = mallory.stream(&arena.b).await?;
    stream.deliver(&[message, commit]).await?;
    drop(stream);
    let said = room.alice_says("what the hub orders", &mut dice).await?;
    catch_up(&room.bob, &mut room.bob_seat, said).await?;
    // Bob leaves; his server has nobody in the room any more, and is told by a stranger that he came back.
    let leaving = room.bob_seat.leaving(&room.bob.person, &mut dice)?;
    let request = ClientRequest::Propose(HubCall {
        hub: arena.a.did.clone(),
        request: leaving,
    });
    let left = ordered(room.bob.link.call(&request).await?)?;
    let mut inbox = room.bob.inbox(vec![(room.room(), said)], u64::MAX).await?;
    ensure!(inbox.entry().await?.header.seq == left.at.seq, "the end");
    let mut stream = arena.trudy()?.stream(&arena.b).await?;
    let fresh = FakeLog::new(room.room(), arena.b.did.clone(), &mut dice);
    let elsewhere = Head {
        seq: Seq(left.at.seq.0 + 5),
        ..fresh.head
    };
    for head in [left.at, elsewhere] {
        let mut forged = FakeLog {
            head,
            ..fresh.clone()
        };
        let back = forged.commit(&[&room.bob.person], &[], &mut dice);
        let lie = forged.next(EntryKind::Application, dice.many(40), &mut dice);
        stream
            .deliver(&[Item::Entry(back), Item::Entry(lie)])
            .await?;
    }
    let log = log_of(&room.bob, room.room()).await?;
    let end = log.last().map(|entry| entry.header.seq);
    ensure!(
        end == Some(left.at.seq),
        "org-b.test took entries of a room from a server that is not its hub: {end:?}"
    );
    Ok(())
}

async fn another_hubs_word(arena: &Arena, mut dice: Dice) -> Result<()> {
    let (mallory, trudy) = (arena.mallory()?, arena.trudy()?);
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    // A room whose hub is Trudy's, which hoards what it gets: bob's message waits.
    trudy.reception.set_manners(Manners::Hoarding);
    let founding = Founding::make(&bob.person, &trudy.did, &mut dice)?;
    let mut log = FakeLog::new(founding.room(), trudy.did.clone(), &mut dice);
    let entry = log.commit(&[&bob.person], &[], &mut dice);
    let mut stream = trudy.stream(&arena.b).await?;
    stream.deliver(&[Item::Entry(entry)]).await?;
    let mut seat = Seat {
        member: founding.member,
        head: log.head,
        hub: trudy.did.clone(),
    };
    let message = seat.encrypt(&bob.person, b"waiting", &mut dice)?;
    let (room, message_id) = (message.room, message.message_id);
    let mut flow = bob.submitting().await?;
    let outcome = flow.submit(&trudy.did, message).await?;
    ensure!(outcome == SubmitOutcome::Stored, "not stored: {outcome:?}");
    let mut stream = mallory.stream(&arena.b).await?;
    let code = FaultCode::NotMember as u16;
    let word = [
        Item::Refusal(SubmissionRefusal {
            room,
            message_id,
            code,
        }),
        Item::Delivered(Watermark {
            room,
            seq: Seq(u64::MAX),
        }),
        invite(&bob.person, &mut dice),
    ];
    let delivered = stream.deliver(&word).await;
    trudy.reception.set_manners(Manners::Polite);
    delivered?;
    let items = bob
        .inbox(Vec::new(), 0)
        .await?
        .items_until_caught_up()
        .await?;
    let refused = items
        .iter()
        .any(|item| matches!(item, DeviceItem::Refused(_)));
    ensure!(
        !refused,
        "org-b.test took the refusal of a message from a server that is not the room's hub"
    );
    Ok(())
}
