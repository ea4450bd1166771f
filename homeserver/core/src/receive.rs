//! The items that peers hand over. Each is applied, parked with its bytes, or refused alone; the
//! stream goes on in any case.

use std::collections::BTreeMap;

use entente_federation::follower::{Follow, Followed, RefuseReason, follow};
use entente_groups::{Departure, Epoch, KeyPackageUse, RosterDelta};
use entente_identity::{CodecFault, ServerDid, decode_exact};
use entente_protocol::entry::{CommitBody, CreateBody, Entry, EntryKind, ProposalBody, Seq};
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::{DeviceItem, InviteItem, RefusedItem, WelcomeItem};
use entente_protocol::limits::{
    MAX_INVITE_BYTES, MAX_WAITING_INVITES, MAX_WAITING_INVITES_OF_SERVER,
};
use entente_protocol::relay::{Item, RelayedSubmission, SubmissionRefusal, Watermark};

use crate::change::{Change, Decision, Effect, Owed, Queued};
use crate::commit::{member_row, welcome_here};
use crate::equivocation::Standing;
use crate::rows::{Claimant, DeviceRow, KeyPackageRow, PendingRow, RoomRow};

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// It had its effect, or had it before.
    Applied,
    /// It cannot be applied now.
    Parked(String),
    /// It can never be applied; counted and passed over.
    Dropped(String),
}

/// What an entry says about who is in the room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryRoster {
    /// Who came and went.
    pub delta: RosterDelta,
    /// Who left by proposal.
    pub leaver: Option<Departure>,
}

/// Reads from an entry's body who came and went.
///
/// # Errors
/// The body is malformed.
pub fn roster_of(entry: &Entry) -> Result<EntryRoster, CodecFault> {
    let body = entry.body.as_slice();
    let roster = match entry.header.kind {
        EntryKind::Create => EntryRoster {
            delta: decode_exact::<CreateBody>("create entry", body)?.roster,
            leaver: None,
        },
        EntryKind::Commit => EntryRoster {
            delta: decode_exact::<CommitBody>("commit entry", body)?.roster,
            leaver: None,
        },
        EntryKind::Proposal => EntryRoster {
            delta: RosterDelta::default(),
            leaver: Some(decode_exact::<ProposalBody>("proposal entry", body)?.leaver),
        },
        EntryKind::Application => EntryRoster::default(),
    };
    Ok(roster)
}

/// What is known here about an entry's room.
#[derive(Clone, Copy, Debug)]
pub struct KnownRoom<'a> {
    /// The room, if its log is held here.
    pub room: Option<&'a RoomRow>,
    /// Whether a local device is in it now; without one, an entry that brings one in begins anew.
    pub has_members: bool,
    /// The entry's message, if it is a local one that waits for the hub.
    pub pending: Option<&'a PendingRow>,
    /// Whether the room's hub showed two histories.
    pub standing: Standing,
}

/// Judges an entry of a hub's log.
#[must_use]
pub fn entry(
    me: &ServerDid,
    from: &ServerDid,
    known: KnownRoom<'_>,
    entry: &Entry,
) -> Decision<Received> {
    if known.standing == Standing::Frozen {
        let reason = "the room is frozen: its hub showed two histories".to_owned();
        return Decision::reply(Received::Dropped(reason));
    }
    let roster = match roster_of(entry) {
        Ok(roster) => roster,
        Err(fault) => return Decision::reply(Received::Dropped(fault.to_string())),
    };
    // A room that is known keeps its hub, also when nobody here is in it any more.
    if let Some(room) = known.room.filter(|room| room.hub != *from) {
        let reason = RefuseReason::NotHub {
            from: from.clone(),
            hub: room.hub.clone(),
        };
        return Decision::reply(Received::Dropped(reason.to_string()));
    }
    let brings_us_in = roster.delta.joined.iter().any(|member| member.home == *me);
    let followed = known
        .room
        .filter(|room| {
            let anew = brings_us_in && !known.has_members && entry.header.seq > room.head.seq;
            room.hub == *me || !anew
        })
        .map(|room| Followed {
            hub: &room.hub,
            head: &room.head,
        });
    match follow(followed, entry, from, brings_us_in) {
        Follow::Append => append(me, from, known, entry, &roster),
        Follow::Known => Decision::reply(Received::Applied),
        Follow::Park(fault) => {
            let mut decision = Decision::reply(Received::Parked(fault.to_string()));
            let repair = Effect::RepairRoom(entry.header.room);
            decision.effects.push(repair);
            decision
        }
        Follow::Refuse(reason) => Decision::reply(Received::Dropped(reason.to_string())),
    }
}

fn append(
    me: &ServerDid,
    from: &ServerDid,
    known: KnownRoom<'_>,
    entry: &Entry,
    roster: &EntryRoster,
) -> Decision<Received> {
    let header = &entry.header;
    let mut decision = Decision::reply(Received::Applied);
    decision.changes.push(Change::AppendEntry(entry.clone()));
    decision
        .changes
        .push(Change::PutRoom(room_after(from, known.room, entry)));
    let seq = header.seq;
    let left = roster.delta.left.iter().chain(&roster.leaver);
    decision.changes.extend(left.map(|gone| Change::EndMember {
        room: header.room,
        account: gone.account,
        device: gone.device,
        left: seq,
    }));
    for member in &roster.delta.joined {
        let row = member_row(header.room, member, seq);
        decision.changes.push(Change::PutMember(row));
        if member.home == *me {
            let wake = Effect::WakeDevice(member.account, member.device);
            decision.effects.push(wake);
        }
    }
    if let Some(pending) = known.pending.filter(|_| header.origin == *me) {
        let (room, message_id) = pending.key();
        decision
            .changes
            .push(Change::DropPending { room, message_id });
    }
    decision.changes.push(Change::DropParked {
        room: header.room,
        up_to: seq,
    });
    decision.effects.push(Effect::WakeRoom(header.room));
    decision
}

fn room_after(from: &ServerDid, room: Option<&RoomRow>, entry: &Entry) -> RoomRow {
    let header = &entry.header;
    let mut pending = room.map_or_else(Vec::new, |room| room.pending.clone());
    let epoch = match header.kind {
        EntryKind::Create => Epoch(0),
        EntryKind::Commit => {
            pending.clear();
            header.epoch.next()
        }
        EntryKind::Proposal => {
            pending.push(header.seq);
            header.epoch
        }
        EntryKind::Application => room.map_or(header.epoch, |room| room.epoch),
    };
    RoomRow {
        room: header.room,
        hub: room.map_or_else(|| from.clone(), |room| room.hub.clone()),
        head: header.head(),
        epoch,
        delivered: room.map_or(Seq(0), |room| room.delivered),
        pending,
        followers: Vec::new(),
    }
}

/// A Welcome for a device here. `package` is the KeyPackage that it answers, if it is one of ours
/// that was claimed and not used up. One of last resort is not used up: Welcomes by it are bounded as
/// invitations are, `waiting` is as in [`invite`].
#[must_use]
pub fn welcome(
    from: &ServerDid,
    package: Option<&KeyPackageRow>,
    waiting: &BTreeMap<ServerDid, u32>,
    item: WelcomeItem,
) -> Decision<Received> {
    if item.hub != *from {
        let reason = "a Welcome of a hub that did not send it".to_owned();
        return Decision::reply(Received::Dropped(reason));
    }
    let claimed = package.filter(|package| {
        let by_hub = |claim: &Claimant| claim.room == item.room && claim.hub == *from;
        package.usage == KeyPackageUse::LastResort || package.claimed.as_ref().is_some_and(by_hub)
    });
    let Some(package) = claimed else {
        let reason =
            "a Welcome for a KeyPackage that its hub did not claim for that room".to_owned();
        return Decision::reply(Received::Dropped(reason));
    };
    let again = package.usage == KeyPackageUse::LastResort;
    if again && too_many_wait(from, waiting) {
        let reason = "too many invitations and Welcomes wait for that device".to_owned();
        return Decision::reply(Received::Dropped(reason));
    }
    let mut decision = Decision::reply(Received::Applied);
    welcome_here(package, again.then_some(from), item, &mut decision);
    decision
}

/// An invitation for a device here, handed over by `from`. `waiting` says how many each server has handed
/// over that the device did not take yet.
#[must_use]
pub fn invite(
    from: &ServerDid,
    device: Option<&DeviceRow>,
    waiting: &BTreeMap<ServerDid, u32>,
    item: InviteItem,
) -> Decision<Received> {
    let fits = item.sealed.as_slice().len() <= MAX_INVITE_BYTES;
    let Some(device) = device.filter(|_| fits) else {
        let reason = "an invitation for nobody here, or too large".to_owned();
        return Decision::reply(Received::Dropped(reason));
    };
    if too_many_wait(from, waiting) {
        let reason = "too many invitations and Welcomes wait for that device".to_owned();
        return Decision::reply(Received::Dropped(reason));
    }
    let mut decision = Decision::reply(Received::Applied);
    let (account, device) = (device.account, device.device);
    decision.queued.push(Queued {
        account,
        device,
        item: DeviceItem::Invite(item),
        invited_by: Some(from.clone()),
    });
    decision.effects.push(Effect::WakeDevice(account, device));
    decision
}

/// Whether so much that nobody asked for waits for a device that a server may not hand over more.
fn too_many_wait(from: &ServerDid, waiting: &BTreeMap<ServerDid, u32>) -> bool {
    let of_server = waiting.get(from).copied().unwrap_or(0);
    of_server >= MAX_WAITING_INVITES_OF_SERVER
        || waiting.values().sum::<u32>() >= MAX_WAITING_INVITES
}

/// The hub of a room did not order a local message. Nobody else is believed that.
#[must_use]
pub fn refusal(
    from: &ServerDid,
    room: Option<&RoomRow>,
    pending: Option<&PendingRow>,
    item: &SubmissionRefusal,
) -> Decision<Received> {
    if room.is_none_or(|room| room.hub != *from) {
        let reason = "a refusal from a server that is not the room's hub".to_owned();
        return Decision::reply(Received::Dropped(reason));
    }
    let Some(pending) = pending else {
        return Decision::reply(Received::Applied);
    };
    let mut decision = Decision::reply(Received::Applied);
    let (account, device) = (pending.account, pending.device);
    let refused = DeviceItem::Refused(RefusedItem {
        room: item.room,
        message_id: item.message_id,
        code: item.code,
    });
    decision
        .queued
        .push(Queued::new((account, device), refused));
    decision.changes.push(Change::DropPending {
        room: item.room,
        message_id: item.message_id,
    });
    decision.effects.push(Effect::WakeDevice(account, device));
    decision
}

/// The hub says how far the log has been delivered.
#[must_use]
pub fn delivered(
    from: &ServerDid,
    room: Option<&RoomRow>,
    watermark: Watermark,
) -> Decision<Received> {
    let Some(room) = room.filter(|room| room.hub == *from) else {
        let reason = "a watermark from a server that is not the room's hub".to_owned();
        return Decision::reply(Received::Dropped(reason));
    };
    let seq = watermark.seq.min(room.head.seq);
    let mut decision = Decision::reply(Received::Applied);
    if seq > room.delivered {
        decision.changes.push(Change::PutRoom(RoomRow {
            delivered: seq,
            ..room.clone()
        }));
        decision.effects.push(Effect::WakeRoom(room.room));
    }
    decision
}

/// What the origin of a submission that was not ordered is told.
#[must_use]
pub fn refuse_submission(
    from: &ServerDid,
    relayed: &RelayedSubmission,
    code: FaultCode,
) -> Decision<Received> {
    let item = Item::Refusal(SubmissionRefusal {
        room: relayed.submission.room,
        message_id: relayed.submission.message_id,
        code: code as u16,
    });
    let mut decision = Decision::reply(Received::Applied);
    decision
        .owed
        .push((from.clone(), Owed::Item(item.to_bytes())));
    decision.effects.push(Effect::WakePeer(from.clone()));
    decision
}
