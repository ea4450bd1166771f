//! What an answer means for a goal.

use entente_client_core::event::ProblemKind;
use entente_client_core::goal::{AfterFault, Goal, GoalId, GoalState, MAX_REMADE, after_fault};
use entente_client_core::retry::delay_ms;
use entente_client_core::room::RoomState;
use entente_groups::{CommitBundle, Epoch, JoinOffer, Member, MemberFault, RuleFault, TicketFault};
use entente_protocol::call::{ClientResponse, GroupInfoReply, Ordered};
use entente_protocol::fault::{Fault, FaultCode};

use crate::error::VaultError;
use crate::goals::{self, GoalRow, StoredBundle, StoredCall};
use crate::ops::arrive::{go_out, note_room_state};
use crate::ops::entries::arrived;
use crate::ops::invites;
use crate::step::Step;
use crate::vault::{Moment, Vault};

impl Vault {
    /// Notes the answer to a goal's call, or the refusal of its offer.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn goal_answered(
        &mut self,
        goal: GoalId,
        answer: &Result<ClientResponse, Fault>,
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        let asked = self.asked.remove(&goal);
        self.step(moment, |step| {
            let found = goals::find(step.connection, goal)?;
            // Its entry may have settled it, or another process may have asked anew since.
            let answers = |row: &GoalRow| asked.is_none_or(|asked| asked == row.message_id);
            let Some(row) = found.filter(|row| !row.state.is_over() && answers(row)) else {
                return Ok(());
            };
            match answer {
                Ok(ClientResponse::Ordered(ordered)) if row.state != GoalState::Wanted => {
                    was_ordered(step, &row, ordered)
                }
                Ok(_) => {
                    let text = "the server answered with something that was not asked for";
                    step.problem(Some(row.room), ProblemKind::ServerMisbehaved, text)?;
                    let not_before = step.now.after(delay_ms(row.failures, None, &mut step.rng));
                    goals::repeat(step.connection, row.id, not_before)
                }
                Err(fault) => was_refused(step, &row, fault),
            }
        })
    }

    /// Makes the external commit for a goal from what the hub gave.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn offer_came(
        &mut self,
        goal: GoalId,
        reply: &GroupInfoReply,
        tree: &[u8],
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        self.step(moment, |step| {
            let found = goals::find(step.connection, goal)?;
            let Some(row) = found.filter(|row| row.state == GoalState::Wanted) else {
                return Ok(());
            };
            let offer = JoinOffer {
                room: row.room,
                group_info: reply.group_info.clone(),
                tree: tree.to_vec(),
                pending: reply.pending.clone(),
            };
            match commit_externally(step, &row.goal, &offer) {
                Ok((member, bundle)) => joining(step, &row, member, &bundle),
                Err(fault) => cannot_join(step, &row, fault),
            }
        })
    }
}

fn was_ordered(step: &mut Step<'_>, row: &GoalRow, ordered: &Ordered) -> Result<(), VaultError> {
    match &row.goal {
        Goal::Found(_) | Goal::Join(_) | Goal::Resync => {
            let state = step.room(&row.room)?.state;
            if matches!(state, RoomState::Creating | RoomState::Joining) {
                return arrived(step, &row.room, ordered.at);
            }
            goals::done(step.connection, row.id, step.now)
        }
        Goal::Leave => go_out(step, &row.room, RoomState::Left),
        Goal::Add(_)
        | Goal::Remove(_)
        | Goal::MakeAdmin(_)
        | Goal::MakeMember(_)
        | Goal::SetInvite(_)
        | Goal::Cover => goals::ordered(step.connection, row.id, step.now),
    }
}

fn was_refused(step: &mut Step<'_>, row: &GoalRow, fault: &Fault) -> Result<(), VaultError> {
    // What is ordered by the hub's word is not unordered by a later refusal of a repetition.
    if row.state == GoalState::Ordered {
        return Ok(());
    }
    let next = after_fault(&row.goal, fault, row.remade, row.failures, &mut step.rng);
    match next {
        AfterFault::Repeat { delay_ms } => {
            goals::repeat(step.connection, row.id, step.now.after(delay_ms))
        }
        AfterFault::AwaitEntry => goals::ordered(step.connection, row.id, step.now),
        AfterFault::MakeAnew { delay_ms } => {
            forget_sent(step, row)?;
            let not_before = step.now.after(delay_ms);
            goals::anew(step.connection, row.id, not_before, step.now)
        }
        AfterFault::GiveUp => give_up(step, row, Some(fault.code), &fault.detail),
    }
}

/// Takes back in the MLS state what a call had begun.
fn forget_sent(step: &mut Step<'_>, row: &GoalRow) -> Result<(), VaultError> {
    if !matches!(row.call, Some(StoredCall::Commit(_))) {
        return Ok(());
    }
    // The state of a join is that of an epoch that never began; a new offer replaces it.
    if row.goal.needs_offer() {
        return Ok(());
    }
    let member = step.member(&row.room)?;
    if member.has_pending_commit() {
        member.discard_pending()?;
    }
    Ok(())
}

/// Ends a goal without success, and puts the room into the state that follows from it.
pub(crate) fn give_up(
    step: &mut Step<'_>,
    row: &GoalRow,
    code: Option<FaultCode>,
    detail: &str,
) -> Result<(), VaultError> {
    forget_sent(step, row)?;
    goals::failed(step.connection, row.id, code, detail, step.now)?;
    let out = matches!(code, Some(FaultCode::NotMember | FaultCode::NoSuchRoom));
    match &row.goal {
        Goal::Found(_) => go_out(step, &row.room, RoomState::Left)?,
        Goal::Join(join) => {
            // A hub tells nobody about a room whose ticket it cannot verify, as when the inviter has left.
            let void = matches!(code, Some(FaultCode::TicketRefused | FaultCode::NoSuchRoom));
            invites::join_failed(step, join.invite, void)?;
            go_out(step, &row.room, RoomState::Left)?;
        }
        Goal::Resync if out => go_out(step, &row.room, RoomState::Removed)?,
        Goal::Resync => step.room(&row.room)?.state = RoomState::Broken,
        Goal::Leave if out => go_out(step, &row.room, RoomState::Left)?,
        Goal::Leave => {
            step.room(&row.room)?.state = RoomState::Active;
            note_room_state(step, &row.room)?;
        }
        Goal::Cover => return Ok(()),
        Goal::Add(_)
        | Goal::Remove(_)
        | Goal::MakeAdmin(_)
        | Goal::MakeMember(_)
        | Goal::SetInvite(_) => {}
    }
    let text = format!("{} failed: {detail}", row.goal.description());
    step.problem(Some(row.room), ProblemKind::ChangeFailed, &text)
}

type ExternalCommit = Result<(Member, CommitBundle), MemberFault>;

fn commit_externally(step: &Step<'_>, goal: &Goal, offer: &JoinOffer) -> ExternalCommit {
    let (own, now) = (step.own, step.now);
    let (identity, key) = (own.identity(), &own.signing);
    let Goal::Join(join) = goal else {
        return Member::resync(offer, &identity, key);
    };
    match Member::join_by_ticket(offer, &join.ticket, &identity, key, now) {
        // Let in before, by a commit whose fate this device did not learn.
        Err(MemberFault::Rule(RuleFault::AlreadyMember)) => Member::resync(offer, &identity, key),
        made => made,
    }
}

fn joining(
    step: &mut Step<'_>,
    row: &GoalRow,
    member: Member,
    bundle: &CommitBundle,
) -> Result<(), VaultError> {
    let epoch = Epoch(member.epoch().0.saturating_sub(1));
    step.room(&row.room)?.state = RoomState::Joining;
    step.replace_member(member)?;
    let call = StoredCall::Commit(StoredBundle::from(bundle));
    let message_id = step.message_id();
    goals::call(step.connection, row.id, message_id, epoch, &call, step.now)
}

fn cannot_join(step: &mut Step<'_>, row: &GoalRow, fault: MemberFault) -> Result<(), VaultError> {
    let code = match &fault {
        MemberFault::Rule(RuleFault::Ticket(TicketFault::Missing)) => FaultCode::NotMember,
        MemberFault::Rule(RuleFault::Ticket(_)) => FaultCode::TicketRefused,
        MemberFault::Rule(_) | MemberFault::WrongKey | MemberFault::State(_) => {
            FaultCode::CommitRefused
        }
        // What the hub gave does not hold together: perhaps it was of two epochs.
        _ if row.remade < MAX_REMADE => {
            let not_before = step.now.after(delay_ms(row.remade, None, &mut step.rng));
            return goals::anew(step.connection, row.id, not_before, step.now);
        }
        _ => FaultCode::PeerMisbehaved,
    };
    give_up(step, row, Some(code), &fault.to_string())
}
