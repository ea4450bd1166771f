//! A device hands in an application message.
//!
//! At the room's hub it is ordered at once; elsewhere it is stored and owed to the hub. Repeating it
//! returns the first answer.

use entente_federation::hub::{self, Draft};
use entente_groups::{GroupMessage, LeafIndex};
use entente_identity::{AccountDid, DeviceId, ServerDid, UnixMillis};
use entente_protocol::call::Ordered;
use entente_protocol::entry::EntryKind;
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::Submission;
use entente_protocol::relay::{Item, RelayedSubmission};

use crate::change::{Change, Decision, Effect, Owed};
use crate::equivocation::Standing;
use crate::order::append;
use crate::rows::{MemberRow, PendingRow, RoomRow};

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is in the log.
    Ordered(Ordered),
    /// It waits for its hub.
    Stored,
}

/// What is known about a message before it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The room, if its log is held here.
    pub room: Option<&'a RoomRow>,
    /// The sender's time in it.
    pub member: Option<&'a MemberRow>,
    /// Where it stands in the log, if it was ordered before.
    pub ordered: Option<Ordered>,
    /// Whether it waits for its hub already.
    pub pending: bool,
    /// Whether the room's hub showed two histories.
    pub standing: Standing,
}

/// Judges a message of a device that is logged in here.
///
/// # Errors
/// Not a member, the wrong epoch (at the hub), or malformed.
pub fn submit(
    me: &ServerDid,
    known: Known<'_>,
    sender: (AccountDid, DeviceId),
    submission: &Submission,
    now: UnixMillis,
) -> Result<Decision<Submitted>, FaultCode> {
    if let Some(ordered) = known.ordered {
        return Ok(Decision::reply(Submitted::Ordered(ordered)));
    }
    if known.pending {
        return Ok(Decision::reply(Submitted::Stored));
    }
    let room = known.room.ok_or(FaultCode::NoSuchRoom)?;
    let member = current(known.member)?;
    if known.standing == Standing::Frozen {
        return Err(FaultCode::RoomFrozen);
    }
    if room.hub == *me {
        let decision = order(room, member.leaf, me, submission, now)?;
        return Ok(decision.map(Submitted::Ordered));
    }
    check_ciphertext(submission)?;
    Ok(store(room, sender, submission, now))
}

/// Judges a message that a follower relayed; `from` vouches for the sender.
///
/// # Errors
/// Not the hub, the sender is not a member from that server, the wrong epoch, or malformed.
pub fn relayed(
    me: &ServerDid,
    from: &ServerDid,
    known: Known<'_>,
    submission: &Submission,
    now: UnixMillis,
) -> Result<Decision<Ordered>, FaultCode> {
    if let Some(ordered) = known.ordered {
        return Ok(Decision::reply(ordered));
    }
    let room = known.room.ok_or(FaultCode::NoSuchRoom)?;
    let member = current(known.member.filter(|member| member.home == *from))?;
    if room.hub != *me {
        return Err(FaultCode::NotHub);
    }
    order(room, member.leaf, from, submission, now)
}

fn current(member: Option<&MemberRow>) -> Result<&MemberRow, FaultCode> {
    // Who never was a member does not learn that the room exists.
    let member = member.ok_or(FaultCode::NoSuchRoom)?;
    if member.left.is_none() {
        Ok(member)
    } else {
        Err(FaultCode::NotMember)
    }
}

fn order(
    room: &RoomRow,
    sender: LeafIndex,
    origin: &ServerDid,
    submission: &Submission,
    now: UnixMillis,
) -> Result<Decision<Ordered>, FaultCode> {
    let bytes = submission.ciphertext.as_slice();
    hub::judge_application(room.epoch, submission.epoch, bytes.len())?;
    check_ciphertext(submission)?;
    let draft = Draft {
        kind: EntryKind::Application,
        epoch: submission.epoch,
        origin: origin.clone(),
        sender,
        message_id: submission.message_id,
        body: bytes.to_vec(),
    };
    let (mut decision, next) = append(room, draft, now);
    decision.changes.push(Change::PutRoom(next));
    Ok(decision)
}

/// The ciphertext is an MLS PrivateMessage of the room and epoch that the submission names, and bound to its
/// message id: under another one it would be dropped by everybody who decrypts it.
fn check_ciphertext(submission: &Submission) -> Result<(), FaultCode> {
    match GroupMessage::parse(submission.ciphertext.as_slice()) {
        Ok(GroupMessage::Application(message))
            if message.room == submission.room
                && message.epoch == submission.epoch
                && message.aad.message_id == submission.message_id =>
        {
            Ok(())
        }
        Ok(_) | Err(_) => Err(FaultCode::BadRequest),
    }
}

fn store(
    room: &RoomRow,
    sender: (AccountDid, DeviceId),
    submission: &Submission,
    now: UnixMillis,
) -> Decision<Submitted> {
    let (account, device) = sender;
    let item = Item::Submission(RelayedSubmission {
        submission: submission.clone(),
        account,
        device,
    });
    let mut decision = Decision::reply(Submitted::Stored);
    decision.changes.push(Change::PutPending(PendingRow {
        account,
        device,
        submission: submission.clone(),
        stored: now,
    }));
    decision
        .owed
        .push((room.hub.clone(), Owed::Item(item.to_bytes())));
    decision.effects.push(Effect::WakePeer(room.hub.clone()));
    decision
}
