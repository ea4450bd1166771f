//! Coming into a room and going out of it.

use entente_client_core::event::{Occurrence, ProblemKind, RoomStateNote};
use entente_client_core::goal::Goal;
use entente_client_core::message::MessageState;
use entente_client_core::room::RoomState;
use entente_groups::{MemberInfo, RoomId, RuleFault};
use entente_protocol::entry::Head;
use entente_protocol::fault::FaultCode;

use crate::error::VaultError;
use crate::ops::submit::note_state;
use crate::step::Step;
use crate::{accounts, goals, messages, outbox, rooms};

/// Whether this device was in the room before, so that what it missed is worth a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// For the first time, or anew after it had gone.
    New,
    /// After it had lost track.
    Back,
}

/// Begins to follow a room whose MLS state is in place: the log goes on after `at`.
pub(crate) fn activate(
    step: &mut Step<'_>,
    room: &RoomId,
    at: Head,
    arrived: Arrived,
) -> Result<(), VaultError> {
    let member = step.member(room)?;
    let (epoch, suite, policy) = (member.epoch(), member.suite()?, member.policy()?);
    let proposals = u32::from(member.has_pending_proposals());
    let row = step.room(room)?;
    let known = row.head.filter(|_| arrived == Arrived::Back);
    let missed = known.filter(|head| head.seq.next() < at.seq);
    row.state = RoomState::Active;
    row.head = Some(at);
    row.epoch = epoch;
    row.first_epoch = epoch;
    row.suite = suite;
    row.policy = policy;
    row.proposals = proposals;
    if row.read_seq.0 == 0 {
        row.read_seq = at.seq;
    }
    let id = row.id;
    // The history before may have been another one.
    step.connection
        .execute("DELETE FROM entry_hash WHERE room = ?1", [id])?;
    rooms::keep_hash(step.connection, id, &at)?;
    outbox::release_epoch(step.connection, id)?;
    fill_roster(step, room)?;
    if let Some(head) = missed {
        let text = format!(
            "what was said between positions {} and {} could not be read by this device",
            head.seq.0, at.seq.0
        );
        step.problem(Some(*room), ProblemKind::Missed, &text)?;
    }
    note_room_state(step, room)
}

/// Fills the roster from the MLS state.
pub(crate) fn fill_roster(step: &mut Step<'_>, room: &RoomId) -> Result<(), VaultError> {
    let id = step.room(room)?.id;
    rooms::clear_roster(step.connection, id)?;
    for info in step.member(room)?.members()? {
        enlist(step, room, &info)?;
    }
    Ok(())
}

/// Puts a device that is in the MLS state into the roster.
pub(crate) fn enlist(
    step: &mut Step<'_>,
    room: &RoomId,
    info: &MemberInfo,
) -> Result<(), VaultError> {
    let handle = step.member(room)?.handle_at(info.leaf)?;
    let handle = handle.ok_or(RuleFault::UnknownSender)?;
    let id = step.room(room)?.id;
    let account = accounts::meet(step.connection, &info.account, &handle, info.list_version)?;
    rooms::put_in_roster(step.connection, id, account, info)
}

/// Ends this device's part in a room: its secrets go, its history stays.
pub(crate) fn go_out(
    step: &mut Step<'_>,
    room: &RoomId,
    state: RoomState,
) -> Result<(), VaultError> {
    let row = step.room(room)?;
    row.state = state;
    row.proposals = 0;
    let id = row.id;
    step.drop_member(room)?;
    rooms::clear_roster(step.connection, id)?;
    for waiting in outbox::of_room(step.connection, id)? {
        let own = step.own;
        outbox::take(step.connection, waiting.message)?;
        let before = messages::find_own(step.connection, id, &own.account, &waiting.message_id)?;
        if before.is_some_and(|message| message.state.position().is_none()) {
            let failed = MessageState::Failed(FaultCode::NotMember);
            messages::set_state(step.connection, waiting.message, failed, None)?;
            note_state(step, waiting.message, failed)?;
        }
    }
    for open in goals::open(step.connection, Some(id))? {
        if open.goal == Goal::Leave {
            goals::done(step.connection, open.id, step.now)?;
        } else {
            let code = Some(FaultCode::NotMember);
            let detail = "this device is no longer in the room";
            goals::failed(step.connection, open.id, code, detail, step.now)?;
        }
    }
    note_room_state(step, room)
}

/// Stops in a room until this device has come back by a resync, and wants that.
pub(crate) fn lose_track(step: &mut Step<'_>, room: &RoomId, why: &str) -> Result<(), VaultError> {
    let row = step.room(room)?;
    row.state = RoomState::Broken;
    let (id, now) = (row.id, step.now);
    let text = format!("this device lost track of the room and comes back by a resync: {why}");
    step.problem(Some(*room), ProblemKind::LostTrack, &text)?;
    note_room_state(step, room)?;
    if let Some(sent) = goals::sent(step.connection, id)? {
        goals::anew(step.connection, sent.id, now, now)?;
    }
    want_resync(step, id)
}

/// Wants to come back into a room, if that is not wanted already.
pub(crate) fn want_resync(step: &Step<'_>, room: i64) -> Result<(), VaultError> {
    let open = goals::open(step.connection, Some(room))?;
    if open.iter().all(|goal| goal.goal != Goal::Resync) {
        goals::insert(step.connection, room, &Goal::Resync, step.now, step.now)?;
    }
    Ok(())
}

/// Notes where a room stands now.
pub(crate) fn note_room_state(step: &mut Step<'_>, room: &RoomId) -> Result<(), VaultError> {
    let state = step.room(room)?.state as u8;
    step.note(&Occurrence::RoomState(RoomStateNote { room: *room, state }))
}
