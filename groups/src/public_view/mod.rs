//! A room as its hub and followers see it: members, policy and tree, no secrets.
//!
//! A [`PublicRoom`] is a value of one epoch. Checking a commit leaves it as it is and gives the value of
//! the next epoch, to be stored in the transaction that orders the commit.

mod check;

use std::fmt;

use entente_identity::{AccountDid, Signed};
use openmls::prelude::{GroupId, ProposalStore, PublicGroup};

use crate::create::{CreateRecord, room_id};
use crate::crypto::Crypto;
use crate::group_info::{GroupInfoFault, check_extensions};
use crate::ids::{Epoch, KeyPackageRef, LeafIndex, RoomId};
use crate::leaf::LeafFault;
use crate::message::{MessageFault, mls_bytes, parse_group_info, parse_tree};
use crate::policy::{Role, RoomPolicy};
use crate::roster::{MemberInfo, Roster, RosterDelta, roster_of};
use crate::rules::{RuleFault, judge_tree, policy_of, room_of, suite_of};
use crate::state::{GroupState, Row, StateDelta, StateFault};
use crate::suite::Suite;

/// Most proposals that may wait in one epoch.
pub const MAX_PENDING_PROPOSALS: usize = 256;
/// Within how many epochs of the current one application messages are accepted.
pub const APPLICATION_EPOCHS: u64 = 3;

/// What a committer hands in: one unit, ordered or refused as one.
#[derive(Clone, PartialEq, Eq)]
pub struct CommitBundle {
    /// The commit, as it will be ordered.
    pub commit: Vec<u8>,
    /// The Welcome for those that it adds.
    pub welcome: Option<Vec<u8>>,
    /// The GroupInfo of the epoch that it makes, without the tree.
    pub group_info: Vec<u8>,
}

/// A room at one epoch, without secrets.
pub struct PublicRoom {
    room: RoomId,
    suite: Suite,
    policy: RoomPolicy,
    group: PublicGroup,
    roster: Roster,
    state: GroupState,
    crypto: Crypto,
}

/// A commit bundle that may be ordered.
pub struct CheckedCommit {
    /// The room after it.
    pub next: PublicRoom,
    /// Who came and who went.
    pub roster: RosterDelta,
    /// The committer, as it is after it.
    pub committer: MemberInfo,
    /// Whether the committer joins or comes back by it.
    pub by_joiner: bool,
    /// The KeyPackages whose devices the Welcome is for.
    pub welcome_refs: Vec<KeyPackageRef>,
    /// The policy after it, if it changes.
    pub new_policy: Option<RoomPolicy>,
}

/// Why a handshake is refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommitFault {
    /// Not a handshake of a room.
    #[error(transparent)]
    Message(#[from] MessageFault),
    /// Of another room.
    #[error("the message is for another room")]
    OtherRoom,
    /// Made in another epoch: the usual fate of the slower of two committers.
    #[error(
        "the room is at epoch {current}, the message was made at {got}; process what was ordered and try again"
    )]
    WrongEpoch {
        /// The epoch of the room.
        current: Epoch,
        /// The epoch of the message.
        got: Epoch,
    },
    /// RFC 9420's own checks: signatures, tree, framing.
    #[error("not valid MLS: {0}")]
    Mls(String),
    /// The room's rules.
    #[error(transparent)]
    Rule(#[from] RuleFault),
    /// The GroupInfo.
    #[error(transparent)]
    GroupInfo(#[from] GroupInfoFault),
    /// The Welcome is missing, superfluous, or for others than are added.
    #[error("the Welcome is for exactly those whom the commit adds")]
    Welcome,
    /// Too many proposals are waiting.
    #[error("at most {MAX_PENDING_PROPOSALS} proposals wait in one epoch")]
    TooManyProposals,
    /// The room's own state cannot be read: a bug, or damaged storage.
    #[error(transparent)]
    State(#[from] StateFault),
}

/// Why a room cannot be founded or taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoundingFault {
    /// Group or tree cannot be followed.
    #[error(transparent)]
    Commit(#[from] CommitFault),
    /// The record and the group's first epoch differ.
    #[error("the room's first epoch differs from its create record in {0}")]
    Record(&'static str),
}

impl From<RuleFault> for FoundingFault {
    fn from(fault: RuleFault) -> Self {
        Self::Commit(fault.into())
    }
}

impl From<LeafFault> for CommitFault {
    fn from(fault: LeafFault) -> Self {
        Self::Rule(fault.into())
    }
}

impl From<LeafFault> for FoundingFault {
    fn from(fault: LeafFault) -> Self {
        Self::Commit(fault.into())
    }
}

fn mls(error: impl fmt::Display) -> CommitFault {
    CommitFault::Mls(error.to_string())
}

impl PublicRoom {
    /// Founds a room from its create record and the group's first epoch.
    ///
    /// # Errors
    /// The record is not signed by the only member's device, or says something else than the group.
    pub fn from_create(
        record: &Signed<CreateRecord>,
        group_info: &[u8],
        tree: &[u8],
    ) -> Result<Self, FoundingFault> {
        let this = Self::adopt(room_id(record), group_info, tree)?;
        let founder = match this.roster.values().collect::<Vec<_>>().as_slice() {
            [founder] if this.epoch() == Epoch(0) => (*founder).clone(),
            _ => return Err(FoundingFault::Record("who is in it")),
        };
        let audience = entente_identity::Audience::Public;
        let body = record
            .verify(&founder.device_key, &audience)
            .map_err(|_| FoundingFault::Record("the founder's key"))?
            .into_body();
        if body.creator != founder.account {
            return Err(FoundingFault::Record("the founder"));
        }
        if body.suite != this.suite {
            return Err(FoundingFault::Record("the cipher suite"));
        }
        if body.policy != this.policy {
            return Err(FoundingFault::Record("the policy"));
        }
        Ok(this)
    }

    /// Takes over a room at some epoch from its GroupInfo and tree, judging every leaf.
    ///
    /// # Errors
    /// GroupInfo and tree do not belong together or to the room, or a leaf is not acceptable.
    pub fn adopt(room: RoomId, group_info: &[u8], tree: &[u8]) -> Result<Self, CommitFault> {
        let crypto = Crypto::default();
        let state = GroupState::new();
        let group_info = parse_group_info(group_info)?;
        check_extensions(&group_info)?;
        let proposals = ProposalStore::new();
        let tree = parse_tree(tree)?;
        let (group, _) = PublicGroup::from_external(&crypto, &state, tree, group_info, proposals)
            .map_err(mls)?;
        if room_of(&group)? != room {
            return Err(CommitFault::OtherRoom);
        }
        judge_tree(&group, &crypto)?;
        Self::assemble(room, group, state, crypto)
    }

    /// Restores a room from [`PublicRoom::snapshot`].
    ///
    /// # Errors
    /// The bytes are no snapshot.
    pub fn restore(snapshot: &[u8]) -> Result<Self, CommitFault> {
        let (room, rows): ([u8; 32], Vec<Row>) =
            postcard::from_bytes(snapshot).map_err(|_| StateFault::Damaged("a room snapshot"))?;
        Self::from_rows(RoomId(room), rows)
    }

    /// Restores a room from its rows.
    ///
    /// # Errors
    /// Rows are missing or damaged.
    pub fn from_rows(
        room: RoomId,
        rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<Self, CommitFault> {
        let state = GroupState::from_rows(rows)?;
        let group = load_group(room, &state)?;
        Self::assemble(room, group, state, Crypto::default())
    }

    fn assemble(
        room: RoomId,
        group: PublicGroup,
        state: GroupState,
        crypto: Crypto,
    ) -> Result<Self, CommitFault> {
        let policy = policy_of(group.group_context().extensions())?;
        Ok(Self {
            room,
            suite: suite_of(&group).map_err(RuleFault::from)?,
            roster: roster_of(&group, &policy)?,
            policy,
            group,
            state,
            crypto,
        })
    }

    /// The whole room as one value, to be stored with the epoch.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        postcard::to_allocvec(&(self.room.0, self.state.to_rows()))
            .expect("byte strings have an encoding")
    }

    /// What differs from the room that this one was made from, as rows: a cheaper way to store the
    /// current epoch than a snapshot. A room that was founded or adopted gives all of its rows.
    #[must_use]
    pub fn take_delta(&mut self) -> StateDelta {
        self.state.take_delta()
    }

    /// A copy of this epoch's value.
    ///
    /// # Errors
    /// The state cannot be read back: a bug.
    pub fn fork(&self) -> Result<Self, CommitFault> {
        let state = self.state.fork();
        Ok(Self {
            group: load_group(self.room, &state)?,
            room: self.room,
            suite: self.suite,
            policy: self.policy.clone(),
            roster: self.roster.clone(),
            state,
            crypto: Crypto::default(),
        })
    }

    /// The room's name.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// The room's suite.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The room's policy.
    #[must_use]
    pub fn policy(&self) -> &RoomPolicy {
        &self.policy
    }

    /// The room's epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch(self.group.group_context().epoch().as_u64())
    }

    /// Everyone in the room, in the order of their leaves.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &MemberInfo> {
        self.roster.values()
    }

    /// The member at a leaf.
    #[must_use]
    pub fn member(&self, leaf: LeafIndex) -> Option<&MemberInfo> {
        self.roster.get(&leaf)
    }

    /// Whether an account has a device in the room, and its role.
    #[must_use]
    pub fn role_of(&self, account: &AccountDid) -> Option<Role> {
        let mut members = self.roster.values();
        members.find(|m| m.account == *account).map(|m| m.role)
    }

    /// The ratchet tree, as joiners need it beside GroupInfo or Welcome.
    #[must_use]
    pub fn ratchet_tree(&self) -> Vec<u8> {
        mls_bytes(&self.group.export_ratchet_tree())
    }

    /// The tree's hash, as the GroupContext holds it.
    #[must_use]
    pub fn tree_hash(&self) -> &[u8] {
        self.group.group_context().tree_hash()
    }
}

fn load_group(room: RoomId, state: &GroupState) -> Result<PublicGroup, StateFault> {
    PublicGroup::load(state, &GroupId::from_slice(&room.0))?
        .ok_or(StateFault::Damaged("a public group is incomplete"))
}

impl fmt::Debug for PublicRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicRoom")
            .field("room", &self.room)
            .field("epoch", &self.epoch())
            .field("members", &self.roster.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CheckedCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedCommit")
            .field("next", &self.next)
            .field("roster", &self.roster)
            .field("committer", &self.committer)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CommitBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let welcome = self.welcome.as_ref().map_or(0, Vec::len);
        let (commit, group_info) = (self.commit.len(), self.group_info.len());
        write!(f, "CommitBundle({commit} + {welcome} + {group_info} bytes)")
    }
}
