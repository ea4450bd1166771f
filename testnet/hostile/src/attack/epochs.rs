//! Epochs that are long over or have not begun, and more proposals than anybody needs.

use anyhow::{Context, Result, ensure};
use entente_groups::{Epoch, MessageId};
use entente_protocol::call::{
    ClientRequest, CommitRequest, HubCall, PeerRequest, Proposal, RoomAccess, TreeChunkRequest,
};
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::{Submission, SubmitOutcome};
use entente_protocol::relay::Item;
use futures::stream::{self, StreamExt};

use super::{Attack, attack};
use crate::arena::Arena;
use crate::device::ordered;
use crate::dice::Dice;
use crate::expect::refused;
use crate::gathering::{Gathering, catch_up, group_info_through, relayed};
use crate::patience::until;

pub(super) const ATTACKS: &[Attack] = &[
    attack!("far-epochs", Peers,
        "Messages and commits name epochs far in the past and the future, with nonsense for a ciphertext."
        => "wrong-epoch before anybody looks into the ciphertext",
        far_epochs),
    attack!("proposal-flood", Peers,
        "A device that leaves hands in its proposal a thousand times under new ids, changed and unchanged, through its server and beside it."
        => "one proposal is pending; the room goes on with the next commit",
        proposal_flood),
];

/// Where the epoch stands in an MLS PublicMessage: after version, wire format and the group id.
const EPOCH_AT: usize = 2 + 2 + 1 + 32;
/// How often the proposal is handed in on each way.
const PROPOSALS: usize = 500;
/// Calls under way at once.
const AT_ONCE: usize = 16;

async fn far_epochs(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mut room = Gathering::new(arena, &mut dice).await?;
    let hub = arena.a.did.clone();
    let stale = move_on(&mut room, 5).await?;
    let now = room.alice_seat.member.epoch().0;
    let far = [0, now - 4, now + 1, now + 1_000, u64::MAX - 1, u64::MAX];
    let mut flow = room.alice.submitting().await?;
    for epoch in far {
        let outcome = flow.submit(&hub, nonsense(&room, epoch, &mut dice)).await?;
        ensure!(
            matches!(&outcome, SubmitOutcome::Refused(fault) if fault.code == FaultCode::WrongEpoch),
            "a message of epoch {epoch} at epoch {now}: {outcome:?}"
        );
    }
    let outcome = flow.submit(&hub, nonsense(&room, now, &mut dice)).await?;
    ensure!(
        matches!(&outcome, SubmitOutcome::Refused(fault) if fault.code == FaultCode::BadRequest),
        "nonsense of the current epoch: {outcome:?}"
    );
    relayed_epochs(arena, &room, &far, &mut dice).await?;
    for epoch in far {
        let mut request = stale.clone();
        request.message_id = MessageId(dice.bytes());
        request.bundle.commit[EPOCH_AT..EPOCH_AT + 8].copy_from_slice(&epoch.to_be_bytes());
        let request = ClientRequest::Commit(HubCall {
            hub: hub.clone(),
            request,
        });
        let answer = room.alice.link.call(&request).await;
        refused(answer, &[FaultCode::WrongEpoch])
            .with_context(|| format!("a commit of epoch {epoch} at epoch {now}"))?;
        let chunk = ClientRequest::TreeChunk(HubCall {
            hub: hub.clone(),
            request: TreeChunkRequest {
                room: room.room(),
                access: RoomAccess::Member,
                epoch: Epoch(epoch),
                hash: dice.bytes(),
                offset: u32::MAX,
            },
        });
        refused(room.alice.link.call(&chunk).await, &[FaultCode::Gone])?;
    }
    Ok(())
}

/// Alice commits that many times; a commit that was made before all of them comes back.
async fn move_on(room: &mut Gathering, times: usize) -> Result<CommitRequest> {
    let mut stale = None;
    for round in 0..times {
        let key = room.alice.person.key();
        let bundle = room.alice_seat.member.refresh(None, key)?;
        let request = CommitRequest {
            room: room.room(),
            message_id: MessageId([u8::try_from(round)?; 16]),
            bundle,
        };
        stale.get_or_insert_with(|| request.clone());
        let at = room.alice_commits(request).await?.at.seq;
        catch_up(&room.alice, &mut room.alice_seat, at).await?;
    }
    stale.context("at least one commit")
}

fn nonsense(room: &Gathering, epoch: u64, dice: &mut Dice) -> Submission {
    Submission {
        room: room.room(),
        message_id: MessageId(dice.bytes()),
        epoch: Epoch(epoch),
        ciphertext: dice.many(100).into(),
    }
}

/// The same through another server: the hub sends back why.
async fn relayed_epochs(
    arena: &Arena,
    room: &Gathering,
    far: &[u64],
    dice: &mut Dice,
) -> Result<()> {
    let mallory = arena.mallory()?;
    let mut sent = Vec::new();
    for epoch in far {
        sent.push(nonsense(room, *epoch, dice));
    }
    let items: Vec<Item> = sent
        .iter()
        .map(|message| relayed(&room.mole, message.clone()))
        .collect();
    mallory.stream(&arena.a).await?.deliver(&items).await?;
    let codes = until("refusals of all of them", async || {
        let items = mallory.reception.items_from(&arena.a.did);
        let codes: Vec<u16> = items
            .iter()
            .filter_map(|item| match item {
                Item::Refusal(refusal) => Some(refusal),
                _ => None,
            })
            .filter(|refusal| sent.iter().any(|m| m.message_id == refusal.message_id))
            .map(|refusal| refusal.code)
            .collect();
        Ok((codes.len() >= sent.len()).then_some(codes))
    })
    .await?;
    ensure!(
        codes
            .iter()
            .all(|code| *code == FaultCode::WrongEpoch as u16),
        "relayed: {codes:?}"
    );
    Ok(())
}

async fn proposal_flood(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let mut room = Gathering::new(arena, &mut dice).await?;
    let head = room.mole_seat.head.seq;
    let first = room.mole_seat.leaving(&room.mole, &mut dice)?;
    let link = mallory.link(&arena.a).await?;
    let request = PeerRequest::Propose(room.mole_asks(first.clone()));
    link.ask(&request).await?;
    let variations: Vec<PeerRequest> = (0..PROPOSALS)
        .map(|round| PeerRequest::Propose(room.mole_asks(varied(&first, round, &mut dice))))
        .collect();
    let answers = stream::iter(&variations)
        .map(|request| link.call(request))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    ensure!(
        taken == 0,
        "{taken} more proposals of one device were taken"
    );
    by_device(arena, &mut room, &mut dice).await?;
    let access = RoomAccess::Member;
    let gone = group_info_through(&link, &room.mole, room.room(), access.clone()).await;
    ensure!(gone.is_err(), "who left still sees the group");
    let reply = room
        .alice
        .group_info(&arena.a.did, room.room(), access)
        .await?;
    ensure!(
        reply.pending.len() == 2,
        "{} proposals are pending, of two devices",
        reply.pending.len()
    );
    // Alice covers what is pending, and says something: the room goes on.
    let at = head.next().next();
    catch_up(&room.alice, &mut room.alice_seat, at).await?;
    let bundle = {
        let key = room.alice.person.key();
        room.alice_seat.member.commit_pending_proposals(key)?
    };
    let request = CommitRequest {
        room: room.room(),
        message_id: MessageId(dice.bytes()),
        bundle,
    };
    let at = room.alice_commits(request).await?.at.seq;
    catch_up(&room.alice, &mut room.alice_seat, at).await?;
    room.alice_says("it goes on", &mut dice).await?;
    Ok(())
}

/// The same flood from a device at the hub's side of another honest server.
async fn by_device(arena: &Arena, room: &mut Gathering, dice: &mut Dice) -> Result<()> {
    let first = room.bob_seat.leaving(&room.bob.person, dice)?;
    let request = |proposal| {
        ClientRequest::Propose(HubCall {
            hub: arena.a.did.clone(),
            request: proposal,
        })
    };
    ordered(room.bob.link.call(&request(first.clone())).await?)?;
    let variations: Vec<ClientRequest> = (0..PROPOSALS)
        .map(|round| request(varied(&first, round, dice)))
        .collect();
    let answers = stream::iter(&variations)
        .map(|request| room.bob.link.call(request))
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    let taken = answers.iter().filter(|answer| answer.is_ok()).count();
    ensure!(
        taken == 0,
        "{taken} more proposals of one device were taken"
    );
    Ok(())
}

/// A proposal under a new id, every other one with a byte changed.
fn varied(first: &Proposal, round: usize, dice: &mut Dice) -> Proposal {
    let mut proposal = first.clone();
    proposal.message_id = MessageId(dice.bytes());
    if round % 2 == 1 {
        let place = dice.below(proposal.proposal.len());
        proposal.proposal[place] ^= 1 << dice.below(8);
    }
    proposal
}
