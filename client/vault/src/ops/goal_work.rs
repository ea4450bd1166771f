//! What is to be asked of servers now: goals, trees of Welcomes, invitations on their way.

use entente_client_core::goal::{Goal, GoalId, GoalState, Reached};
use entente_client_core::room::RoomState;
use entente_groups::{CommitBundle, MessageId, RoomId};
use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::call::{
    ClientRequest, CommitRequest, CreateRoom, HubCall, Proposal, RoomAccess, TreeRef,
};

use crate::error::VaultError;
use crate::goals::{self, GoalFate, GoalRow, StoredBundle, StoredCall};
use crate::ops::arrive::note_room_state;
use crate::ops::goal_answer::give_up;
use crate::ops::invites::{self, SentInviteId};
use crate::ops::welcome::{self, WelcomeId};
use crate::step::Step;
use crate::vault::{Moment, Vault};
use crate::{outbox, rooms};

/// Something to be asked of a server. Asking twice is harmless; no answer means asking again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// A call for a goal; its answer goes to [`Vault::goal_answered`].
    Call {
        /// The goal.
        goal: GoalId,
        /// The call.
        request: ClientRequest,
    },
    /// GroupInfo and tree for a goal; they go to [`Vault::offer_came`], a refusal to
    /// [`Vault::goal_answered`].
    Offer {
        /// The goal.
        goal: GoalId,
        /// The room.
        room: RoomId,
        /// Its hub.
        hub: ServerDid,
        /// Why this device may have them.
        access: RoomAccess,
    },
    /// The tree of a Welcome; it goes to [`Vault::tree_came`], a refusal to [`Vault::tree_refused`].
    Tree(TreeWanted),
    /// An invitation on its way; the answer goes to [`Vault::invite_answered`].
    Invite {
        /// The invitation.
        invite: SentInviteId,
        /// The call.
        request: ClientRequest,
    },
}

/// The tree of a Welcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeWanted {
    /// The Welcome.
    pub welcome: WelcomeId,
    /// The room.
    pub room: RoomId,
    /// Its hub.
    pub hub: ServerDid,
    /// Which tree.
    pub tree: TreeRef,
}

impl Vault {
    /// What is to be asked now. At most one thing per room and goal; the oldest goal goes first.
    ///
    /// # Errors
    /// The vault cannot be read or written.
    pub fn due_work(&mut self, moment: Moment<'_>) -> Result<Vec<Work>, VaultError> {
        let (connection, now) = (&self.connection, moment.now);
        let due = goals::any_due(connection, now)?
            || welcome::any_due(connection, now)?
            || invites::any_due(connection, now)?;
        if !due {
            return Ok(Vec::new());
        }
        let (work, asked) = self.step(moment, |step| {
            let mut work = Vec::new();
            let mut asked = Vec::new();
            let mut busy: Vec<RoomId> = Vec::new();
            for goal in goals::open(step.connection, None)? {
                if busy.contains(&goal.room) || held_back(step, &goal)? {
                    continue;
                }
                busy.push(goal.room);
                if goal.not_before <= step.now {
                    let wanted = pursue(step, goal)?;
                    asked.extend(wanted.as_ref().and_then(asked_for));
                    work.extend(wanted);
                }
            }
            work.extend(welcome::due(step)?.into_iter().map(Work::Tree));
            work.extend(invites::due(step)?);
            Ok((work, asked))
        })?;
        self.asked.extend(asked);
        Ok(work)
    }

    /// When the next thing is to be asked or handed over that is not due at `now`.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn next_due(&mut self, now: UnixMillis) -> Result<Option<UnixMillis>, VaultError> {
        let connection = &self.connection;
        let next = [
            goals::next_due(connection, now)?,
            welcome::next_due(connection, now)?,
            invites::next_due(connection, now)?,
            outbox::next_due(connection, now)?,
        ];
        Ok(next.into_iter().flatten().min())
    }

    /// How a goal ended, or that it has not.
    ///
    /// # Errors
    /// No such goal, or it ended more than a day ago.
    pub fn goal_fate(&mut self, goal: GoalId) -> Result<GoalFate, VaultError> {
        goals::fate(&self.connection, goal)?.ok_or(VaultError::NoSuchGoal(goal))
    }

    /// Wants something done in a room of which this device is a member.
    ///
    /// # Errors
    /// No such room, or it is not in a state for that.
    pub fn want(
        &mut self,
        room: &RoomId,
        goal: &Goal,
        moment: Moment<'_>,
    ) -> Result<GoalId, VaultError> {
        self.step(moment, |step| want(step, room, goal))
    }
}

/// What is asked for a goal: a call by its id, or an offer.
fn asked_for(work: &Work) -> Option<(GoalId, Option<MessageId>)> {
    match work {
        Work::Call { goal, request } => {
            let id = match request {
                ClientRequest::CreateRoom(create) => create.message_id,
                ClientRequest::Commit(call) => call.request.message_id,
                ClientRequest::Propose(call) => call.request.message_id,
                _ => return None,
            };
            Some((*goal, Some(id)))
        }
        Work::Offer { goal, .. } => Some((*goal, None)),
        Work::Tree(_) | Work::Invite { .. } => None,
    }
}

/// Wants something, if the room is in a state for it.
pub(crate) fn want(step: &mut Step<'_>, room: &RoomId, goal: &Goal) -> Result<GoalId, VaultError> {
    let row = step.room(room)?;
    let possible = match goal {
        Goal::Resync => matches!(
            row.state,
            RoomState::Active | RoomState::Broken | RoomState::Frozen
        ),
        Goal::Found(_) | Goal::Join(_) => false,
        Goal::Add(_)
        | Goal::Remove(_)
        | Goal::MakeAdmin(_)
        | Goal::MakeMember(_)
        | Goal::SetInvite(_)
        | Goal::Cover
        | Goal::Leave => row.state == RoomState::Active,
    };
    if !possible {
        return Err(VaultError::RoomState(row.state));
    }
    let id = row.id;
    if *goal == Goal::Leave {
        row.state = RoomState::Leaving;
        note_room_state(step, room)?;
    }
    if *goal == Goal::Resync {
        let open = goals::open(step.connection, Some(id))?;
        if let Some(same) = open.iter().find(|open| open.goal == Goal::Resync) {
            return Ok(same.id);
        }
    }
    goals::insert(step.connection, id, goal, step.now, step.now)
}

/// Whether a goal has to wait for another room state: a lost device first comes back.
fn held_back(step: &mut Step<'_>, goal: &GoalRow) -> Result<bool, VaultError> {
    let state = step.room(&goal.room)?.state;
    let coming = matches!(goal.goal, Goal::Resync | Goal::Join(_) | Goal::Found(_));
    let proposing = goal.goal == Goal::Leave && state == RoomState::Leaving;
    Ok(!coming && !proposing && state != RoomState::Active)
}

fn pursue(step: &mut Step<'_>, goal: GoalRow) -> Result<Option<Work>, VaultError> {
    match goal.state {
        GoalState::Wanted if goal.goal.needs_offer() => ask_for_offer(step, &goal).map(Some),
        GoalState::Wanted => make(step, goal),
        GoalState::InFlight => {
            let call = goal.call.clone();
            let call = call.ok_or(VaultError::Damaged("a goal in flight has no call"))?;
            request(step, &goal, &call).map(Some)
        }
        GoalState::Ordered | GoalState::Done | GoalState::Failed => Ok(None),
    }
}

fn ask_for_offer(step: &mut Step<'_>, goal: &GoalRow) -> Result<Work, VaultError> {
    let hub = step.room(&goal.room)?.hub.clone();
    let access = match &goal.goal {
        Goal::Join(join) => RoomAccess::Ticket(Box::new(join.ticket.clone())),
        _ => RoomAccess::Member,
    };
    Ok(Work::Offer {
        goal: goal.id,
        room: goal.room,
        hub,
        access,
    })
}

/// Makes the call for a goal in the room's current epoch, and stores it before it is sent.
fn make(step: &mut Step<'_>, mut goal: GoalRow) -> Result<Option<Work>, VaultError> {
    if is_reached(step, &goal)? {
        goals::done(step.connection, goal.id, step.now)?;
        return Ok(None);
    }
    let call = match make_call(step, &goal) {
        Ok(call) => call,
        Err(VaultError::Damaged(what)) => return Err(VaultError::Damaged(what)),
        Err(fault) => {
            give_up(step, &goal, None, &fault.to_string())?;
            return Ok(None);
        }
    };
    let epoch = step.room(&goal.room)?.epoch;
    let message_id = step.message_id();
    goals::call(step.connection, goal.id, message_id, epoch, &call, step.now)?;
    goal.message_id = Some(message_id);
    request(step, &goal, &call).map(Some)
}

fn is_reached(step: &mut Step<'_>, goal: &GoalRow) -> Result<bool, VaultError> {
    let row = step.room(&goal.room)?;
    let (id, policy) = (row.id, row.policy.clone());
    let roster = rooms::roster(step.connection, id)?;
    let accounts: Vec<_> = roster.iter().map(|row| row.account).collect();
    let proposals_wait = step.member(&goal.room)?.has_pending_proposals();
    Ok(goal.goal.is_reached(&Reached {
        accounts: &accounts,
        policy: &policy,
        proposals_wait,
    }))
}

fn make_call(step: &mut Step<'_>, goal: &GoalRow) -> Result<StoredCall, VaultError> {
    let (own, now, room) = (step.own, step.now, &goal.room);
    let key = &own.signing;
    let policy = step.room(room)?.policy.clone();
    let member = step.member(room)?;
    if member.has_pending_commit() {
        // No call is stored for it, so it was never sent.
        member.discard_pending()?;
    }
    let bundle: CommitBundle = match &goal.goal {
        Goal::Add(add) => member.add(&[add.key_package.as_slice().to_vec()], now, key)?,
        Goal::Remove(account) => member.remove(account, key)?,
        Goal::Cover => member.commit_pending_proposals(key)?,
        Goal::MakeAdmin(_) | Goal::MakeMember(_) | Goal::SetInvite(_) => {
            let wanted = goal.goal.wanted_policy(&policy);
            let wanted = wanted.ok_or(VaultError::Damaged("a policy goal without a policy"))?;
            let wanted = wanted.map_err(entente_groups::RuleFault::from)?;
            member.set_policy(&wanted, key)?
        }
        Goal::Leave => {
            let proposal = member.leave(key)?;
            // It counts once the hub has ordered it; until then others' commits need not cover it.
            step.reload_member(room);
            return Ok(StoredCall::Propose(proposal.into()));
        }
        Goal::Found(_) => return Ok(StoredCall::Create),
        Goal::Join(_) | Goal::Resync => {
            return Err(VaultError::Damaged(
                "a goal that needs an offer was made without",
            ));
        }
    };
    Ok(StoredCall::Commit(StoredBundle::from(&bundle)))
}

fn request(step: &mut Step<'_>, goal: &GoalRow, call: &StoredCall) -> Result<Work, VaultError> {
    let hub = step.room(&goal.room)?.hub.clone();
    let message_id = goal.message_id;
    let message_id = message_id.ok_or(VaultError::Damaged("a goal in flight has no id"))?;
    let room = goal.room;
    let request = match (call, &goal.goal) {
        (StoredCall::Create, Goal::Found(found)) => ClientRequest::CreateRoom(CreateRoom {
            record: found.record.clone(),
            message_id,
            group_info: found.group_info.as_slice().to_vec(),
            tree: found.tree.as_slice().to_vec(),
        }),
        (StoredCall::Create, _) => return Err(VaultError::Damaged("a founding of no room")),
        (StoredCall::Commit(bundle), _) => ClientRequest::Commit(HubCall {
            hub,
            request: CommitRequest {
                room,
                message_id,
                bundle: bundle.into(),
            },
        }),
        (StoredCall::Propose(proposal), _) => ClientRequest::Propose(HubCall {
            hub,
            request: Proposal {
                room,
                message_id,
                proposal: proposal.as_slice().to_vec(),
            },
        }),
    };
    Ok(Work::Call {
        goal: goal.id,
        request,
    })
}
