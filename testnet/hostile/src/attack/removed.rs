//! Who was removed, or has not come in yet, asks for more.

use anyhow::{Context, Result, ensure};
use entente_groups::{Epoch, MessageId, Suite};
use entente_protocol::call::{
    ClaimKeyPackage, ClientRequest, GroupInfoRequest, HubCall, PeerRequest, PeerResponse, Pull,
    RoomAccess, TreeChunkRequest,
};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::fault::FaultCode;
use entente_protocol::relay::Item;

use super::{Attack, attack};
use crate::arena::Arena;
use crate::device::nonsense_invite;
use crate::dice::Dice;
use crate::expect::refused;
use crate::gathering::{Gathering, catch_up, handed_over, relayed};
use crate::patience::until;
use crate::person::Person;

pub(super) const ATTACKS: &[Attack] = &[
    attack!("removed-organization", Peers,
        "The only member of a hostile organization is removed; its server waits, pulls, asks and sends."
        => "it gets the entry that removes it and nothing after; every question is refused",
        removed_organization),
    attack!("removed-member", Peers,
        "A removed member goes on to sync, ask and send at its own server."
        => "its log ends with its removal; every question is refused",
        removed_member),
    attack!("pull-from-before", Peers,
        "An organization that came in late pulls from the beginning of the log."
        => "nothing from before the entry that brought it in",
        from_before),
];

/// The beginning of all logs.
const BEGINNING: Head = Head {
    term: Term(0),
    seq: Seq(0),
    hash: EntryHash([0; 32]),
};

async fn removed_organization(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let mut room = Gathering::new(arena, &mut dice).await?;
    let place = (&arena.a.did, room.room());
    let joined = room.mole_seat.head;
    handed_over(mallory, place, "the mole's own entry", |entries| {
        entries.iter().any(|entry| entry.header.seq == joined.seq)
    })
    .await?;
    let removal = room.alice_removes_the_mole(&mut dice).await?;
    let mut last = removal;
    for text in ["at last", "among ourselves", "nobody else"] {
        last = room.alice_says(text, &mut dice).await?;
    }
    catch_up(&room.bob, &mut room.bob_seat, last).await?;
    // What is owed goes out in order: when this arrives, nothing more of the room is under way.
    let handle = format!("{}@{}", arena.fresh("marker"), mallory.did.domain());
    let marker = MessageId(dice.bytes());
    let nobody = Person::new(handle.parse()?, &mut dice);
    let request = nonsense_invite(&nobody, marker);
    room.alice.link.call(&request).await?;
    until("the marker", async || {
        let items = mallory.reception.items_from(&arena.a.did);
        let came = items
            .iter()
            .any(|item| matches!(item, Item::Invite(invite) if invite.message_id == marker));
        Ok(came.then_some(()))
    })
    .await?;
    let entries = handed_over(mallory, place, "entries", |_| true).await?;
    let end = entries.iter().map(|entry| entry.header.seq).max();
    ensure!(
        end == Some(removal),
        "the removed organization has the log up to {end:?}, it was removed at {removal:?}"
    );
    ask_in_vain(arena, &mut room, joined, &mut dice).await
}

/// Everything that the server of a removed member may try.
async fn ask_in_vain(
    arena: &Arena,
    room: &mut Gathering,
    joined: Head,
    dice: &mut Dice,
) -> Result<()> {
    let mallory = arena.mallory()?;
    let id = room.room();
    let link = mallory.link(&arena.a).await?;
    let ticket = RoomAccess::Ticket(Box::new(room.mole_ticket.clone()));
    let hash = [0; 32];
    let group_info =
        |access| PeerRequest::GroupInfo(room.mole_asks(GroupInfoRequest { room: id, access }));
    let chunk = |access| {
        PeerRequest::TreeChunk(room.mole_asks(TreeChunkRequest {
            room: id,
            access,
            epoch: Epoch(1),
            hash,
            offset: 0,
        }))
    };
    let until = Seq(u64::MAX);
    let pull = |after| {
        PeerRequest::Pull(Pull {
            room: id,
            after,
            until,
        })
    };
    let requests = [
        ("pull from the beginning", pull(BEGINNING)),
        ("pull from where it came in", pull(joined)),
        ("the group's state", group_info(RoomAccess::Member)),
        (
            "the group's state with the old ticket",
            group_info(ticket.clone()),
        ),
        ("the tree", chunk(RoomAccess::Member)),
        ("the tree with the old ticket", chunk(ticket)),
        (
            "a KeyPackage",
            PeerRequest::ClaimKeyPackage(room.mole_asks(ClaimKeyPackage {
                room: id,
                account: room.bob.person.account,
                home: arena.b.did.clone(),
                suite: Suite::Classical,
            })),
        ),
    ];
    let codes = [
        FaultCode::NoSuchRoom,
        FaultCode::NotMember,
        FaultCode::TicketRefused,
    ];
    for (what, request) in requests {
        refused(link.call(&request).await, &codes).context(what)?;
    }
    let message = room.mole_seat.encrypt(&room.mole, b"still here", dice)?;
    let id = message.message_id;
    let mut stream = link.stream().await?;
    stream.deliver(&[relayed(&room.mole, message)]).await?;
    until_refused(arena, id).await
}

async fn until_refused(arena: &Arena, id: MessageId) -> Result<()> {
    let mallory = arena.mallory()?;
    until("the refusal of the mole's message", async || {
        let items = mallory.reception.items_from(&arena.a.did);
        let refused = items
            .iter()
            .any(|item| matches!(item, Item::Refusal(refusal) if refusal.message_id == id));
        Ok(refused.then_some(()))
    })
    .await
}

async fn removed_member(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mut room = Gathering::new(arena, &mut dice).await?;
    let id = room.room();
    let gone = room.bob.person.account;
    let request = room
        .alice_seat
        .removing(&room.alice.person, &gone, &mut dice)?;
    let removal = room.alice_commits(request).await?.at.seq;
    catch_up(&room.alice, &mut room.alice_seat, removal).await?;
    let last = room.alice_says("bob is gone", &mut dice).await?;
    let cursors = vec![(id, room.bob_seat.head.seq)];
    let mut inbox = room.bob.inbox(cursors.clone(), u64::MAX).await?;
    let entry = inbox.entry().await?;
    ensure!(entry.header.seq == removal, "{:?} came", entry.header.seq);
    // The removal may have come before its end was known; a flow opened afterwards shows all there is.
    let mut inbox = room.bob.inbox(cursors, u64::MAX).await?;
    inbox.items_until_caught_up().await?;
    let entries = inbox.entries_so_far();
    let end = entries.iter().map(|entry| entry.header.seq).max();
    ensure!(
        end == Some(removal),
        "bob's log ends at {end:?} of {last:?}"
    );
    let hub = arena.a.did.clone();
    let request = ClientRequest::GroupInfo(HubCall {
        hub: hub.clone(),
        request: GroupInfoRequest {
            room: id,
            access: RoomAccess::Member,
        },
    });
    let codes = [FaultCode::NotMember, FaultCode::NoSuchRoom];
    refused(room.bob.link.call(&request).await, &codes)?;
    let message = room
        .bob_seat
        .encrypt(&room.bob.person, b"still here", &mut dice)?;
    let mut flow = room.bob.submitting().await?;
    let outcome = flow.submit(&hub, message).await?;
    ensure!(
        matches!(&outcome, entente_protocol::flow::SubmitOutcome::Refused(fault)
            if codes.contains(&fault.code)),
        "the message of a removed member: {outcome:?}"
    );
    Ok(())
}

async fn from_before(arena: &Arena, mut dice: Dice) -> Result<()> {
    let room = Gathering::new(arena, &mut dice).await?;
    let joined = room.mole_seat.head.seq;
    let link = arena.mallory()?.link(&arena.a).await?;
    let pull = PeerRequest::Pull(Pull {
        room: room.room(),
        after: BEGINNING,
        until: Seq(u64::MAX),
    });
    let PeerResponse::Entries(entries) = link.ask(&pull).await? else {
        anyhow::bail!("another reply");
    };
    let first = entries.iter().map(|entry| entry.header.seq).min();
    ensure!(
        first == Some(joined),
        "the log from {first:?} on; the organization came in at {joined:?}"
    );
    Ok(())
}
