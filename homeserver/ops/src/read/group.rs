//! A room's group at its hub: what members and invitees may see, and the checks before an ordering.

use entente_groups::{Epoch, GroupMessage, PublicRoom, RoomId, Ticket};
use entente_homeserver_core::commit::{Asker, CheckedBundle, CurrentGroup};
use entente_homeserver_core::group_rows::{self, GroupRows, rewind};
use entente_homeserver_core::propose::CheckedProposal;
use entente_homeserver_core::rows::{EpochRow, MemberRow, RoomRow};
use entente_homeserver_core::{commit, group_info, key_packages, propose};
use entente_identity::{ServerDid, Signed, UnixMillis, decode_exact};
use entente_protocol::call::{
    CommitRequest, GroupInfoReply, GroupInfoRequest, Ordered, Proposal, RoomAccess,
    TreeChunkRequest,
};
use entente_protocol::entry::{ProposalBody, Seq};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::limits::KEPT_EPOCHS;

use crate::execute::store_fault;
use crate::store::{Page, Read, StoreFault};

/// What a check comes to: the very request was ordered before, or it may be ordered now.
#[derive(Debug)]
pub enum Checked<T> {
    /// Here is the first answer again.
    Before(Ordered),
    /// It may be ordered, if the room has not moved by then.
    Now(Box<T>),
}

/// Checks a commit bundle that a device of `asker.origin` hands in.
///
/// # Errors
/// Not the hub, a rule that it breaks, or the store does not answer.
pub async fn check_commit(
    read: &mut dyn Read,
    me: &ServerDid,
    asker: &Asker,
    request: CommitRequest,
    now: UnixMillis,
) -> Result<Checked<CheckedBundle>, Fault> {
    let place = (request.room, request.message_id);
    let earlier = read.ordered(&place.0, &asker.origin, &place.1).await;
    if let Some(ordered) = earlier.map_err(|fault| store_fault(&fault))? {
        return Ok(Checked::Before(ordered));
    }
    let member = member(read, asker, request.room).await?;
    let ticket = match member {
        Some(_) => None,
        None => shown_ticket(&request),
    };
    let current = shown_to(
        (&mut *read, me),
        (asker, member.as_ref()),
        request.room,
        ticket.as_ref(),
    );
    commit::check(&current.await?, asker, request, now).map(|bundle| Checked::Now(Box::new(bundle)))
}

/// Checks a SelfRemove proposal that a device of `asker.origin` hands in.
///
/// # Errors
/// Not the hub, not valid, or the store does not answer.
pub async fn check_proposal(
    read: &mut dyn Read,
    me: &ServerDid,
    asker: &Asker,
    request: Proposal,
) -> Result<Checked<CheckedProposal>, Fault> {
    let earlier = read
        .ordered(&request.room, &asker.origin, &request.message_id)
        .await;
    if let Some(ordered) = earlier.map_err(|fault| store_fault(&fault))? {
        return Ok(Checked::Before(ordered));
    }
    let member = member(read, asker, request.room).await?;
    let current = shown_to(
        (&mut *read, me),
        (asker, member.as_ref()),
        request.room,
        None,
    )
    .await?;
    propose::check(&current.group, (asker.account, asker.device), request)
        .map(|proposal| Checked::Now(Box::new(proposal)))
}

/// What joining or resyncing takes.
///
/// # Errors
/// Not the hub, the asker may not see it, or the store does not answer.
pub async fn group_info(
    read: &mut dyn Read,
    me: &ServerDid,
    asker: &Asker,
    request: &GroupInfoRequest,
    now: UnixMillis,
) -> Result<GroupInfoReply, Fault> {
    let member = member(read, asker, request.room).await?;
    let ticket = ticket_of(&request.access);
    let current = shown_to(
        (&mut *read, me),
        (asker, member.as_ref()),
        request.room,
        ticket,
    )
    .await?;
    let group = &current.group;
    group_info::may_see(
        group,
        (asker.account, &asker.origin),
        member.as_ref(),
        &request.access,
        now,
    )?;
    Ok(group_info::reply(
        &current.room,
        &current.epoch,
        group,
        current.pending,
    ))
}

/// A part of a ratchet tree.
///
/// # Errors
/// Not the hub, the asker may not see it, it is not kept, or the store does not answer.
pub async fn tree_chunk(
    read: &mut dyn Read,
    me: &ServerDid,
    asker: &Asker,
    request: &TreeChunkRequest,
    now: UnixMillis,
) -> Result<Vec<u8>, Fault> {
    let member = member(read, asker, request.room).await?;
    let ticket = ticket_of(&request.access);
    // Who may see it is judged by the group as it is now, not as it was then.
    let now_in = shown_to(
        (&mut *read, me),
        (asker, member.as_ref()),
        request.room,
        ticket,
    )
    .await?;
    group_info::may_see(
        &now_in.group,
        (asker.account, &asker.origin),
        member.as_ref(),
        &request.access,
        now,
    )?;
    let (epoch, group) = past_epoch(read, &now_in.room, request.epoch).await?;
    group_info::chunk(&epoch, &group, request)
}

/// A kept epoch of a room, read back from the current one.
async fn past_epoch(
    read: &mut dyn Read,
    room: &RoomRow,
    epoch: Epoch,
) -> Result<(EpochRow, PublicRoom), Fault> {
    let load = async {
        let rows = read.group(&room.room).await?.into_iter().collect();
        let mut epochs = Vec::new();
        let kept = epoch <= room.epoch && room.epoch.0 - epoch.0 < KEPT_EPOCHS;
        for number in (epoch.0..=room.epoch.0).filter(|_| kept) {
            epochs.extend(read.epoch(&room.room, Epoch(number)).await?);
        }
        Ok((rows, epochs))
    };
    let (rows, mut epochs): (GroupRows, Vec<EpochRow>) =
        load.await.map_err(|fault| store_fault(&fault))?;
    let gone = || {
        let detail = "that epoch's tree is not kept any more; ask for a fresh GroupInfo";
        Fault::new(FaultCode::Gone, detail)
    };
    let wanted = epochs.first().filter(|row| row.epoch == epoch);
    let wanted = wanted.cloned().ok_or_else(gone)?;
    epochs.pop();
    let broken = |reason: String| store_fault(&StoreFault::Broken(reason));
    let rows = rewind(rows, &epochs).map_err(|fault| broken(fault.to_string()))?;
    Ok((wanted, restore(room.room, &rows)?))
}

/// Whether a device may claim KeyPackages for a room of which this server is the hub.
///
/// # Errors
/// Not the hub, not a member, or the store does not answer.
pub async fn may_claim(
    read: &mut dyn Read,
    me: &ServerDid,
    asker: &Asker,
    room: RoomId,
) -> Result<(), Fault> {
    let member = member(read, asker, room).await?.ok_or_else(no_such_room)?;
    hub_of(read, me, room).await?;
    key_packages::may_claim(&asker.origin, Some(&member))
        .map_err(|code| Fault::new(code, code.meaning()))
}

/// The asker's time in a room, even if it has ended.
async fn member(
    read: &mut dyn Read,
    asker: &Asker,
    room: RoomId,
) -> Result<Option<MemberRow>, Fault> {
    let member = read.member(&room, &asker.account, &asker.device).await;
    let member = member.map_err(|fault| store_fault(&fault))?;
    Ok(member.filter(|member| member.home == asker.origin))
}

/// A room as its hub has it, for those who know that it exists: whoever is or was in it, and whoever was
/// truly invited. All others get the answer that they would get if there was no such room.
async fn shown_to(
    (read, me): (&mut dyn Read, &ServerDid),
    (asker, member): (&Asker, Option<&MemberRow>),
    room: RoomId,
    ticket: Option<&Signed<Ticket>>,
) -> Result<CurrentGroup, Fault> {
    if member.is_some() {
        return current(read, me, room).await;
    }
    let ticket = ticket.ok_or_else(no_such_room)?;
    let current = current(read, me, room).await.map_err(|fault| {
        if fault.code == FaultCode::NotHub {
            no_such_room()
        } else {
            fault
        }
    })?;
    if current.group.was_invited(ticket, &asker.account) {
        Ok(current)
    } else {
        Err(no_such_room())
    }
}

fn ticket_of(access: &RoomAccess) -> Option<&Signed<Ticket>> {
    match access {
        RoomAccess::Ticket(ticket) => Some(ticket),
        RoomAccess::Member => None,
    }
}

/// The ticket by which a commit joins, not verified.
fn shown_ticket(request: &CommitRequest) -> Option<Signed<Ticket>> {
    match GroupMessage::parse(&request.bundle.commit).ok()? {
        GroupMessage::Commit(message) => message.ticket,
        GroupMessage::Application(_) | GroupMessage::Proposal(_) => None,
    }
}

fn no_such_room() -> Fault {
    Fault::new(FaultCode::NoSuchRoom, FaultCode::NoSuchRoom.meaning())
}

async fn hub_of(read: &mut dyn Read, me: &ServerDid, room: RoomId) -> Result<RoomRow, Fault> {
    let row = read
        .room(&room)
        .await
        .map_err(|fault| store_fault(&fault))?;
    let row = row.ok_or_else(no_such_room)?;
    if row.hub != *me {
        let detail = format!("the room's hub is {}", row.hub);
        return Err(Fault::new(FaultCode::NotHub, detail));
    }
    Ok(row)
}

async fn current(read: &mut dyn Read, me: &ServerDid, room: RoomId) -> Result<CurrentGroup, Fault> {
    let row = hub_of(read, me, room).await?;
    let load = async {
        let epoch = read.epoch(&room, row.epoch).await?;
        let missing = || StoreFault::Broken(format!("room {room} has no group at its epoch"));
        let epoch = epoch.ok_or_else(missing)?;
        let rows: GroupRows = read.group(&room).await?.into_iter().collect();
        let pending = pending(read, &row).await?;
        Ok((epoch, rows, pending))
    };
    let (epoch, rows, pending) = load.await.map_err(|fault| store_fault(&fault))?;
    Ok(CurrentGroup {
        group: restore(room, &rows)?,
        room: row,
        epoch,
        rows,
        pending,
    })
}

async fn pending(read: &mut dyn Read, room: &RoomRow) -> Result<Vec<Vec<u8>>, StoreFault> {
    let page = Page {
        items: 1,
        bytes: usize::MAX,
    };
    let mut proposals = Vec::with_capacity(room.pending.len());
    for seq in &room.pending {
        let after = Seq(seq.0 - 1);
        let entries = read.entries(&room.room, after, *seq, page).await?;
        let broken = || StoreFault::Broken(format!("room {}: entry {seq:?}", room.room));
        let entry = entries.first().ok_or_else(broken)?;
        let body: ProposalBody =
            decode_exact("proposal entry", entry.body.as_slice()).map_err(|_| broken())?;
        proposals.push(body.proposal.as_slice().to_vec());
    }
    Ok(proposals)
}

fn restore(room: RoomId, rows: &GroupRows) -> Result<PublicRoom, Fault> {
    group_rows::restore(room, rows)
        .map_err(|fault| store_fault(&StoreFault::Broken(fault.to_string())))
}
