//! A room as a member's device sees it: the MLS group with its secrets, over a [`GroupState`].
//!
//! Every step changes the value in memory and leaves its rows in [`Member::take_delta`], to be stored
//! in the same transaction as the message or entry. If that transaction fails, drop the value and load
//! it again. A step that returns an error has changed nothing.
//!
//! `join` makes a member, `change` makes commits, `process` reads what was ordered, `late` reads
//! messages of past epochs.

mod change;
mod join;
mod key_packages;
mod late;
mod process;

use std::cell::OnceCell;
use std::fmt;

use entente_identity::{AccountDid, Handle, Signature, Signed, SigningKey, UnixMillis};
use openmls::ciphersuite::hash_ref::ProposalRef;
use openmls::group::MlsGroup;
use openmls::prelude::{GroupId, LeafNodeIndex, Proposal, Sender};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;

use crate::group_info::GroupInfoFault;
use crate::ids::{Epoch, LeafIndex, RoomId};
use crate::key_package::KeyPackageFault;
use crate::leaf::{LeafFault, owner_of};
use crate::message::{Aad, MessageFault, mls_bytes};
use crate::policy::{PolicyFault, RoomPolicy};
use crate::provider::Provider;
use crate::roster::{MemberInfo, Roster, member_at, roster_of};
use crate::rules::{RuleFault, policy_of, suite_of};
use crate::state::{GroupState, StateDelta, StateFault};
use crate::suite::Suite;
use crate::ticket::Ticket;

pub use join::{Founding, JoinOffer, WelcomeOffer};
pub use key_packages::{KeyPackageOrder, KeyPackages, NewKeyPackage};
pub use late::{EpochSnapshot, LateFault};
pub use process::{MergedCommit, ProcessFault, Processed, ReadMessage};

/// One device's membership of one room.
pub struct Member {
    room: RoomId,
    pub(crate) group: MlsGroup,
    pub(crate) provider: Provider,
    /// Who is in the room, once it was asked for: reading a leaf costs as much as a message.
    roster: OnceCell<Roster>,
}

/// Why a step of this device cannot be done. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberFault {
    /// The device is no longer in the room.
    #[error("this device is no longer in the room")]
    Removed,
    /// The device has asked to leave.
    #[error("this device is leaving the room")]
    Leaving,
    /// A commit of this device has not come back yet.
    #[error("a commit of this device is waiting to be ordered; let it come back, or discard it")]
    CommitPending,
    /// Proposals wait: they have to be committed before anything is said (RFC 9420 §15.2).
    #[error("proposals are waiting in this room; commit them before sending")]
    ProposalsPending,
    /// There is nothing to commit.
    #[error("no proposals are waiting in this room")]
    NothingPending,
    /// No such member, or none that can be removed.
    #[error("{0} has no device in the room that this one could remove")]
    NoSuchMember(AccountDid),
    /// A KeyPackage of another suite than the room's.
    #[error("the KeyPackage is for suite {got}, the room's is {room}")]
    OtherSuite {
        /// The room's suite.
        room: Suite,
        /// The KeyPackage's suite.
        got: Suite,
    },
    /// GroupInfo, Welcome or tree are of another room.
    #[error("the group is not the room that was asked for")]
    OtherRoom,
    /// The Welcome is for no KeyPackage of this device.
    #[error("the Welcome is for no KeyPackage that this device has")]
    NoKeyPackage,
    /// The key is not that of the device.
    #[error("the signing key is not the one of the device that the leaf names")]
    WrongKey,
    /// A message that cannot be read.
    #[error(transparent)]
    Message(#[from] MessageFault),
    /// The room's rules.
    #[error(transparent)]
    Rule(#[from] RuleFault),
    /// A KeyPackage that must not be used.
    #[error(transparent)]
    KeyPackage(#[from] KeyPackageFault),
    /// The GroupInfo.
    #[error(transparent)]
    GroupInfo(#[from] GroupInfoFault),
    /// RFC 9420's own checks.
    #[error("not valid MLS: {0}")]
    Mls(String),
    /// The stored state cannot be read: damaged storage, or a bug.
    #[error(transparent)]
    State(#[from] StateFault),
}

impl From<LeafFault> for MemberFault {
    fn from(fault: LeafFault) -> Self {
        Self::Rule(fault.into())
    }
}

impl From<PolicyFault> for MemberFault {
    fn from(fault: PolicyFault) -> Self {
        Self::Rule(fault.into())
    }
}

pub(crate) fn mls(error: impl fmt::Display) -> MemberFault {
    MemberFault::Mls(error.to_string())
}

/// Signs for openmls with a device's key.
pub(crate) struct DeviceSigner<'a>(pub(crate) &'a SigningKey);

impl Signer for DeviceSigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        let signature: Signature = self.0.sign(payload);
        Ok(signature.as_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

impl Member {
    /// Loads a membership from all of its rows.
    ///
    /// # Errors
    /// Rows are missing or damaged.
    pub fn load(
        room: RoomId,
        rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, StateFault> {
        Self::of_state(room, GroupState::from_rows(rows)?)
    }

    fn of_state(room: RoomId, state: GroupState) -> Result<Self, StateFault> {
        let provider = Provider::new(state);
        let group = MlsGroup::load(&provider.state, &GroupId::from_slice(&room.0))?
            .ok_or(StateFault::Damaged("a group is incomplete"))?;
        Ok(Self::new(room, group, provider))
    }

    fn new(room: RoomId, group: MlsGroup, provider: Provider) -> Self {
        Self {
            room,
            group,
            provider,
            roster: OnceCell::new(),
        }
    }

    /// The rows that the steps since the last call changed.
    #[must_use]
    pub fn take_delta(&mut self) -> StateDelta {
        self.provider.state.take_delta()
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// The epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.group.epoch().as_u64())
    }

    /// Whether the device is still in the room.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.group.is_active()
    }

    /// This device's leaf.
    #[must_use]
    pub fn own_leaf(&self) -> LeafIndex {
        self.group.own_leaf_index().into()
    }

    /// The room's policy.
    ///
    /// # Errors
    /// The state is damaged.
    pub fn policy(&self) -> Result<RoomPolicy, RuleFault> {
        policy_of(self.group.extensions())
    }

    /// The room's suite.
    ///
    /// # Errors
    /// The state is damaged.
    pub fn suite(&self) -> Result<Suite, RuleFault> {
        Ok(suite_of(self.group.public_group())?)
    }

    /// Everyone in the room, in the order of their leaves.
    ///
    /// # Errors
    /// The state is damaged.
    pub fn members(&self) -> Result<Vec<MemberInfo>, RuleFault> {
        Ok(self.roster()?.values().cloned().collect())
    }

    /// The handle that the home record at a leaf names, as its account says.
    ///
    /// # Errors
    /// The state is damaged.
    pub fn handle_at(&self, leaf: LeafIndex) -> Result<Option<Handle>, RuleFault> {
        let node = self.group.public_group().leaf(leaf.into());
        let owner = node.map(owner_of).transpose()?;
        Ok(owner.map(|owner| owner.home.handle))
    }

    fn roster(&self) -> Result<&Roster, RuleFault> {
        if let Some(roster) = self.roster.get() {
            return Ok(roster);
        }
        let policy = self.policy()?;
        let roster = roster_of(self.group.public_group(), &policy)?;
        Ok(self.roster.get_or_init(|| roster))
    }

    fn member_at(&self, leaf: LeafIndex) -> Result<Option<MemberInfo>, RuleFault> {
        if let Some(roster) = self.roster.get() {
            return Ok(roster.get(&leaf).cloned());
        }
        let policy = self.policy()?;
        Ok(member_at(self.group.public_group(), leaf, &policy)?)
    }

    fn own_member(&self) -> Result<MemberInfo, MemberFault> {
        self.member_at(self.own_leaf())?.ok_or(MemberFault::Removed)
    }

    /// Whether proposals were ordered in this epoch and wait for a commit.
    #[must_use]
    pub fn has_pending_proposals(&self) -> bool {
        self.group.has_pending_proposals()
    }

    /// Whether a commit of this device waits to come back.
    #[must_use]
    pub fn has_pending_commit(&self) -> bool {
        self.group.pending_commit().is_some()
    }

    /// Whether this device has asked to leave and waits to be let go.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.leaving_leaves().any(|leaf| leaf == self.own_leaf())
    }

    /// The leaves whose SelfRemove waits.
    fn leaving_leaves(&self) -> impl Iterator<Item = LeafIndex> {
        self.group.pending_proposals().filter_map(|queued| {
            match (queued.proposal(), queued.sender()) {
                (Proposal::SelfRemove, Sender::Member(leaf)) => Some(LeafIndex::from(*leaf)),
                _ => None,
            }
        })
    }

    fn pending_references(&self) -> impl Iterator<Item = ProposalRef> {
        self.group
            .pending_proposals()
            .map(|queued| queued.proposal_reference_ref().clone())
    }

    /// The ratchet tree, as joiners need it beside GroupInfo or Welcome.
    #[must_use]
    pub fn ratchet_tree(&self) -> Vec<u8> {
        mls_bytes(&self.group.export_ratchet_tree())
    }

    /// A value that is the same for all members of this epoch, and only theirs (RFC 9420 §8.7).
    #[must_use]
    pub fn epoch_authenticator(&self) -> Vec<u8> {
        self.group.epoch_authenticator().as_slice().to_vec()
    }

    fn check_active(&self) -> Result<(), MemberFault> {
        if self.is_active() {
            Ok(())
        } else {
            Err(MemberFault::Removed)
        }
    }

    fn check_key(&self, key: &SigningKey) -> Result<(), MemberFault> {
        self.check_active()?;
        let index = LeafNodeIndex::from(self.own_leaf());
        let leaf = self.group.public_group().leaf(index);
        let leaf = leaf.ok_or(MemberFault::Removed)?;
        if leaf.signature_key().as_slice() == key.public().as_bytes() {
            Ok(())
        } else {
            Err(MemberFault::WrongKey)
        }
    }

    /// Encrypts a message, bound to its id and the last entry seen.
    ///
    /// # Errors
    /// Removed, leaving, or proposals have to be committed first.
    pub fn encrypt(
        &mut self,
        plaintext: &[u8],
        aad: &Aad,
        key: &SigningKey,
    ) -> Result<Vec<u8>, MemberFault> {
        self.check_key(key)?;
        if self.is_leaving() {
            return Err(MemberFault::Leaving);
        }
        if self.has_pending_proposals() {
            return Err(MemberFault::ProposalsPending);
        }
        self.group.set_aad(aad.to_bytes());
        let message = self
            .group
            .create_message(&self.provider, &DeviceSigner(key), plaintext)
            .map_err(mls);
        self.group.set_aad(Vec::new());
        Ok(mls_bytes(&message?))
    }

    /// Signs a ticket for an account, whose device list the caller has seen at `min_list_version`.
    ///
    /// # Errors
    /// Removed, or the policy does not let this account invite.
    pub fn issue_ticket(
        &self,
        invitee: AccountDid,
        min_list_version: u32,
        lifetime_ms: u64,
        now: UnixMillis,
        key: &SigningKey,
    ) -> Result<Signed<Ticket>, MemberFault> {
        self.check_key(key)?;
        let own = self.own_member()?;
        let policy = self.policy()?;
        if !policy.may_invite(&own.account, &invitee) {
            return Err(RuleFault::MayNotInvite(own.account).into());
        }
        let ticket = Ticket {
            room: self.room,
            invitee,
            role: policy.role_of(&invitee),
            min_list_version,
            inviter: own.account,
            inviter_leaf: own.leaf,
        };
        // This device's clock may be behind the one by which a departure was ordered.
        let departed = self.provider.state.departed(&invitee);
        let created = departed.map_or(now, |departed| departed.max(now));
        Ok(ticket.sign(key, created, lifetime_ms))
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("room", &self.room)
            .field("epoch", &self.epoch())
            .field("own_leaf", &self.own_leaf())
            .finish_non_exhaustive()
    }
}
