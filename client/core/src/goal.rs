//! What is wanted in a room through its hub, and what an answer means for it.
//!
//! A goal is a row: it survives a crash, and is worked on until it is done or refused for good. At most
//! one per room is in flight. Losing a race against another commit is no failure: the goal is made
//! anew in the next epoch, unless the room has got there by itself.

use entente_groups::{CreateRecord, InviteRight, PolicyFault, RoomPolicy, Ticket};
use entente_identity::{AccountDid, Signed};
use entente_protocol::fault::{Fault, FaultCode};
use rand::{CryptoRng, RngCore};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::retry::delay_ms;

/// How often a goal is made anew after a refusal that may only mean a lost race.
pub const MAX_REMADE: u32 = 8;

/// Names a goal within this vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoalId(pub u64);

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum Goal {
    /// To found the room.
    #[tls_codec(discriminant = 1)]
    Found(FoundGoal),
    /// To join with a ticket.
    #[tls_codec(discriminant = 2)]
    Join(JoinGoal),
    /// To come back after the group state was lost.
    #[tls_codec(discriminant = 3)]
    Resync,
    /// To add an account's device.
    #[tls_codec(discriminant = 4)]
    Add(AddGoal),
    /// To remove an account.
    #[tls_codec(discriminant = 5)]
    Remove(AccountDid),
    /// To make an account an admin.
    #[tls_codec(discriminant = 6)]
    MakeAdmin(AccountDid),
    /// To make an account a plain member.
    #[tls_codec(discriminant = 7)]
    MakeMember(AccountDid),
    /// To change who may invite.
    #[tls_codec(discriminant = 8)]
    SetInvite(InviteRight),
    /// To commit the proposals of those who leave.
    #[tls_codec(discriminant = 9)]
    Cover,
    /// To leave.
    #[tls_codec(discriminant = 10)]
    Leave,
}

/// To found a room.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct FoundGoal {
    /// The record whose hash is the room's id.
    pub record: Signed<CreateRecord>,
    /// The group's GroupInfo.
    pub group_info: VLBytes,
    /// The group's tree.
    pub tree: VLBytes,
}

/// To join with a ticket.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct JoinGoal {
    /// The ticket.
    pub ticket: Signed<Ticket>,
    /// The invitation's number in this vault.
    pub invite: u32,
}

/// To add an account's device.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct AddGoal {
    /// The account.
    pub account: AccountDid,
    /// The KeyPackage that was claimed; good until a commit that uses it is ordered.
    pub key_package: VLBytes,
}

/// How a goal stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoalState {
    /// Nothing has been sent yet, or it has to be made anew.
    Wanted,
    /// A call is made and stored; it is repeated until an answer is certain.
    InFlight,
    /// The hub says that it is ordered; its entry has not come yet.
    Ordered,
    /// Reached.
    Done,
    /// Refused for good.
    Failed,
}

/// What to do with a goal after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterFault {
    /// Another commit was first, or something is not known here yet: read the log, then make it anew.
    MakeAnew {
        /// How long to wait for the log at least, in milliseconds.
        delay_ms: u64,
    },
    /// Whether it took effect is not known: the same call again.
    Repeat {
        /// How long to wait, in milliseconds.
        delay_ms: u64,
    },
    /// It has happened already; its entry will come.
    AwaitEntry,
    /// Refused for good.
    GiveUp,
}

/// Decides after a refusal. `remade` counts how often the goal was made anew, `failures` how often this
/// call failed.
pub fn after_fault(
    goal: &Goal,
    fault: &Fault,
    remade: u32,
    failures: u32,
    rng: &mut (impl CryptoRng + RngCore),
) -> AfterFault {
    let anew = |rng: &mut _| {
        if remade < MAX_REMADE {
            let delay_ms = delay_ms(remade, fault.retry_after_ms, rng);
            AfterFault::MakeAnew { delay_ms }
        } else {
            AfterFault::GiveUp
        }
    };
    match fault.code {
        FaultCode::RoomExists if matches!(goal, Goal::Found(_)) => AfterFault::AwaitEntry,
        FaultCode::WrongEpoch | FaultCode::Gone => anew(rng),
        // Perhaps only because a proposal was ordered that this device had not seen.
        FaultCode::CommitRefused if remade < 2 => anew(rng),
        FaultCode::NotAuthenticated | FaultCode::AuthenticationFailed => AfterFault::Repeat {
            delay_ms: delay_ms(failures, fault.retry_after_ms, rng),
        },
        code if code.retry_helps() => AfterFault::Repeat {
            delay_ms: delay_ms(failures, fault.retry_after_ms, rng),
        },
        _ => AfterFault::GiveUp,
    }
}

/// What a room looks like, as far as it decides whether a goal is still to be pursued.
#[derive(Clone, Copy, Debug)]
pub struct Reached<'a> {
    /// The accounts in the room.
    pub accounts: &'a [AccountDid],
    /// The policy.
    pub policy: &'a RoomPolicy,
    /// Whether proposals wait for a commit.
    pub proposals_wait: bool,
}

impl Goal {
    /// Whether the room is as the goal wants it already.
    #[must_use]
    pub fn is_reached(&self, room: &Reached<'_>) -> bool {
        match self {
            Self::Add(add) => room.accounts.contains(&add.account),
            Self::Remove(account) => !room.accounts.contains(account),
            Self::MakeAdmin(account) => room.policy.admins().contains(account),
            Self::MakeMember(account) => !room.policy.admins().contains(account),
            Self::SetInvite(right) => room.policy.invite() == *right,
            Self::Cover => !room.proposals_wait,
            Self::Found(_) | Self::Join(_) | Self::Resync | Self::Leave => false,
        }
    }

    /// The policy that the goal wants, if it is one about the policy.
    ///
    /// # Errors
    /// The room would have no admin, or too many.
    pub fn wanted_policy(&self, before: &RoomPolicy) -> Option<Result<RoomPolicy, PolicyFault>> {
        match self {
            Self::MakeAdmin(account) => Some(before.with_admin(*account)),
            Self::MakeMember(account) => Some(before.without_admin(account)),
            Self::SetInvite(right) => Some(Ok(before.with_invite(*right))),
            Self::Found(_)
            | Self::Join(_)
            | Self::Resync
            | Self::Add(_)
            | Self::Remove(_)
            | Self::Cover
            | Self::Leave => None,
        }
    }

    /// Whether the device makes an external commit for it, from an offer of the hub.
    #[must_use]
    pub fn needs_offer(&self) -> bool {
        matches!(self, Self::Join(_) | Self::Resync)
    }

    /// What it does, for a person: completes "… failed".
    #[must_use]
    pub fn description(&self) -> &'static str {
        match self {
            Self::Found(_) => "founding the room",
            Self::Join(_) => "joining the room",
            Self::Resync => "coming back into the room",
            Self::Add(_) => "adding somebody",
            Self::Remove(_) => "removing somebody",
            Self::MakeAdmin(_) | Self::MakeMember(_) => "changing a role",
            Self::SetInvite(_) => "changing who may invite",
            Self::Cover => "letting go who leaves",
            Self::Leave => "leaving the room",
        }
    }
}

impl GoalState {
    /// Every state.
    pub const ALL: [Self; 5] = [
        Self::Wanted,
        Self::InFlight,
        Self::Ordered,
        Self::Done,
        Self::Failed,
    ];

    /// The number under which it is stored.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The state of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// Whether nothing more is done for it.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            Self::Done | Self::Failed => true,
            Self::Wanted | Self::InFlight | Self::Ordered => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use entente_identity::SigningKey;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn account(seed: u8) -> AccountDid {
        AccountDid::new(SigningKey::from_seed(&[seed; 32]).public())
    }

    fn after(goal: &Goal, code: FaultCode, remade: u32) -> AfterFault {
        let mut rng = StdRng::seed_from_u64(1);
        after_fault(goal, &Fault::new(code, ""), remade, 0, &mut rng)
    }

    #[test]
    fn a_lost_race_is_run_again_but_not_for_ever() {
        let lost = |remade| after(&Goal::Cover, FaultCode::WrongEpoch, remade);
        assert!(matches!(lost(0), AfterFault::MakeAnew { .. }));
        assert_eq!(lost(MAX_REMADE), AfterFault::GiveUp);
        let refused = |remade| after(&Goal::Cover, FaultCode::CommitRefused, remade);
        assert!(matches!(refused(1), AfterFault::MakeAnew { .. }));
        assert_eq!(refused(2), AfterFault::GiveUp);
    }

    #[test]
    fn what_is_not_certain_is_asked_again_with_the_same_call() {
        for code in [
            FaultCode::Timeout,
            FaultCode::PeerUnreachable,
            FaultCode::Busy,
        ] {
            assert!(matches!(
                after(&Goal::Leave, code, 0),
                AfterFault::Repeat { .. }
            ));
        }
        assert_eq!(
            after(&Goal::Leave, FaultCode::NotMember, 0),
            AfterFault::GiveUp
        );
    }

    #[test]
    fn goals_know_when_they_are_reached() {
        let policy = RoomPolicy::founded_by(account(1));
        let accounts = [account(1), account(2)];
        let room = Reached {
            accounts: &accounts,
            policy: &policy,
            proposals_wait: false,
        };
        let reached = |goal: Goal| goal.is_reached(&room);
        assert!(reached(Goal::Remove(account(3))) && !reached(Goal::Remove(account(2))));
        assert!(reached(Goal::MakeAdmin(account(1))) && !reached(Goal::MakeAdmin(account(2))));
        assert!(reached(Goal::MakeMember(account(2))) && !reached(Goal::MakeMember(account(1))));
        assert!(reached(Goal::SetInvite(InviteRight::Members)));
        assert!(reached(Goal::Cover) && !reached(Goal::Leave));
        let alone = Goal::MakeMember(account(1)).wanted_policy(&policy);
        assert_eq!(alone, Some(Err(PolicyFault::Admins)));
        assert_eq!(Goal::Leave.wanted_policy(&policy), None);
    }

    #[test]
    fn states_read_back() {
        for state in GoalState::ALL {
            assert_eq!(GoalState::from_number(state.number()), Some(state));
        }
    }
}
