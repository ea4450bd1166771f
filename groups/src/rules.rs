//! The rules of a room: whether a commit is acceptable, judged from its bytes, the tree and policy
//! before it, and the time at which it was ordered.
//!
//! The hub judges before it orders, every member before it merges, by this one function. openmls has
//! checked signatures and RFC 9420's own rules; what is here is what that leaves to the application.

use std::collections::BTreeSet;

use entente_identity::{AccountDid, DeviceId, PublicKey, UnixMillis};
use openmls::ciphersuite::hash_ref::ProposalRef;
use openmls::group::{QueuedProposal, StagedCommit};
use openmls::prelude::{
    Extension, Extensions, GroupContext, LeafNodeIndex, Proposal, ProposalOrRefType, PublicGroup,
    Sender, UnknownExtension,
};

use crate::config::{POLICY_EXTENSION, required_capabilities};
use crate::crypto::Crypto;
use crate::ids::{KeyPackageRef, LeafIndex, RoomId};
use crate::key_package::{KeyPackageFault, judge};
use crate::leaf::{LeafFault, VerifiedLeaf, judge_leaf, owner_of};
use crate::message::{JoinAad, MessageFault};
use crate::policy::{PolicyFault, RoomPolicy};
use crate::roster::{MemberInfo, Roster};
use crate::state::GroupState;
use crate::suite::{Suite, SuiteFault};
use crate::ticket::{Joiner, TicketFault, judge_since, judge_ticket};

/// Why a commit is not acceptable: the committer's fault, or the hub's if it ordered it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleFault {
    /// A new or changed leaf breaks the leaf rule.
    #[error("a leaf of the commit: {0}")]
    Leaf(#[from] LeafFault),
    /// A device was added by a bad KeyPackage.
    #[error(transparent)]
    KeyPackage(#[from] KeyPackageFault),
    /// A joiner's ticket lets nobody in.
    #[error(transparent)]
    Ticket(#[from] TicketFault),
    /// The policy is unreadable.
    #[error(transparent)]
    Policy(#[from] PolicyFault),
    /// The room's suite is not one of ours.
    #[error(transparent)]
    Suite(#[from] SuiteFault),
    /// The authenticated data is not what belongs to such a commit.
    #[error(transparent)]
    Message(#[from] MessageFault),
    /// The room lacks an extension that every room has, or has others.
    #[error("the room's extensions are the required capabilities and the policy, no others")]
    GroupExtensions,
    /// The sender is neither a member nor a joiner.
    #[error("the commit's sender is not in the room")]
    UnknownSender,
    /// A proposal of a kind that rooms do not use, or by reference where it must be in line.
    #[error("proposals of type {0:#06x} are not used in this way in rooms")]
    ProposalKind(u16),
    /// The committer may not add.
    #[error("{0} may not invite or add others")]
    MayNotInvite(AccountDid),
    /// The committer may not remove.
    #[error("{0} may not remove others")]
    MayNotRemove(AccountDid),
    /// The committer may not change the policy.
    #[error("{0} may not change the room's policy")]
    MayNotChangePolicy(AccountDid),
    /// A proposal that was ordered in this epoch is not in the commit.
    #[error("the commit leaves out {0} ordered proposal(s); fetch them and commit again")]
    Uncovered(usize),
    /// The committer is leaving.
    #[error("a device that is leaving commits nothing any more")]
    LeaverCommits,
    /// The committer's leaf became another account's or device's.
    #[error("a member's leaf stays its device's, and what it says does not grow older")]
    LeafChangedOwner,
    /// A device that joins or is added is in the room already, and its old leaf would stay.
    #[error("the device is in the room already; it comes back by removing its own leaf")]
    AlreadyMember,
    /// A joiner removes a leaf that is not its own.
    #[error("a joiner removes no leaf but its own device's")]
    RemovesOther,
}

/// What a good commit does, beside the tree.
#[derive(Debug)]
pub(crate) struct CommitFacts {
    /// The committer's account.
    pub(crate) committer: AccountDid,
    /// The committer's key, by which its leaf is found afterwards.
    pub(crate) committer_key: PublicKey,
    /// The devices whose leaves are new or changed.
    pub(crate) fresh: Vec<PublicKey>,
    /// The KeyPackages that it adds.
    pub(crate) added: Vec<KeyPackageRef>,
    /// The devices that it adds.
    newcomers: Vec<(AccountDid, DeviceId)>,
    /// The policy after it, if it changes.
    pub(crate) new_policy: Option<RoomPolicy>,
}

/// The room before a commit, as the rules see it.
pub(crate) struct Before<'a> {
    pub(crate) group: &'a PublicGroup,
    pub(crate) crypto: &'a Crypto,
    /// Who is in it.
    pub(crate) roster: &'a Roster,
    /// When accounts last lost a device.
    pub(crate) departures: &'a GroupState,
    /// The proposals that were ordered in this epoch.
    pub(crate) pending: BTreeSet<ProposalRef>,
}

/// A commit that openmls found to be in order.
pub(crate) struct Candidate<'a> {
    pub(crate) staged: &'a StagedCommit,
    pub(crate) sender: &'a Sender,
    pub(crate) aad: &'a [u8],
    /// The time at which it was ordered.
    pub(crate) now: UnixMillis,
}

/// The policy that a group's extensions hold.
pub(crate) fn policy_of(extensions: &Extensions<GroupContext>) -> Result<RoomPolicy, RuleFault> {
    let required = Extension::RequiredCapabilities(required_capabilities());
    let policy = extensions
        .unknown(POLICY_EXTENSION)
        .ok_or(RuleFault::GroupExtensions)?;
    if extensions.iter().count() != 2 || !extensions.iter().any(|found| *found == required) {
        return Err(RuleFault::GroupExtensions);
    }
    Ok(RoomPolicy::from_bytes(&policy.0)?)
}

/// The extensions of a group with this policy.
pub(crate) fn group_extensions(policy: &RoomPolicy) -> Extensions<GroupContext> {
    Extensions::from_vec(vec![
        Extension::RequiredCapabilities(required_capabilities()),
        Extension::Unknown(POLICY_EXTENSION, UnknownExtension(policy.to_bytes())),
    ])
    .expect("both extensions may be in a GroupContext")
}

/// The suite of a group.
pub(crate) fn suite_of(group: &PublicGroup) -> Result<Suite, SuiteFault> {
    Suite::from_mls(group.ciphersuite())
}

/// Judges every leaf of a tree that was not followed from its beginning.
pub(crate) fn judge_tree(group: &PublicGroup, crypto: &Crypto) -> Result<(), RuleFault> {
    let suite = suite_of(group)?;
    for (_, leaf) in group.treesync().full_leaves() {
        judge_leaf(leaf, suite, crypto)?;
    }
    Ok(())
}

/// Judges a commit.
pub(crate) fn judge_commit(
    before: &Before<'_>,
    commit: &Candidate<'_>,
) -> Result<CommitFacts, RuleFault> {
    let suite = suite_of(before.group)?;
    let policy = policy_of(before.group.group_context().extensions())?;
    let path_leaf = commit.staged.update_path_leaf_node();
    let path_owner = path_leaf
        .map(|leaf| judge_leaf(leaf, suite, before.crypto))
        .transpose()?;
    let committer = match commit.sender {
        Sender::Member(index) => judge_member(before.group, *index, path_owner, commit)?,
        Sender::NewMemberCommit => {
            let owner = path_owner.ok_or(RuleFault::UnknownSender)?;
            judge_joiner(before, commit, &policy, &owner)?;
            owner
        }
        Sender::External(_) | Sender::NewMemberProposal => return Err(RuleFault::UnknownSender),
    };
    let mut facts = CommitFacts {
        committer: committer.account,
        committer_key: committer.device.signature_key,
        fresh: vec![committer.device.signature_key],
        added: Vec::new(),
        newcomers: Vec::new(),
        new_policy: None,
    };
    for proposal in commit.staged.queued_proposals() {
        judge_proposal(before, commit, &policy, proposal, &mut facts)?;
    }
    check_coverage(before, commit.staged)?;
    Ok(facts)
}

/// A commit covers every proposal that was ordered in its epoch.
fn check_coverage(before: &Before<'_>, staged: &StagedCommit) -> Result<(), RuleFault> {
    let covered: BTreeSet<&ProposalRef> = staged
        .queued_proposals()
        .map(QueuedProposal::proposal_reference_ref)
        .collect();
    match before
        .pending
        .iter()
        .filter(|p| !covered.contains(p))
        .count()
    {
        0 => Ok(()),
        uncovered => Err(RuleFault::Uncovered(uncovered)),
    }
}

fn judge_member(
    group: &PublicGroup,
    index: LeafNodeIndex,
    path_owner: Option<VerifiedLeaf>,
    commit: &Candidate<'_>,
) -> Result<VerifiedLeaf, RuleFault> {
    if !commit.aad.is_empty() {
        return Err(MessageFault::Aad.into());
    }
    let owner = owner_of(group.leaf(index).ok_or(RuleFault::UnknownSender)?)?;
    match path_owner {
        Some(new) => {
            check_same_device(&owner, &new)?;
            Ok(new)
        }
        None => Ok(owner),
    }
}

/// A leaf stays its device's: what may change is what the account says about it, to something newer.
fn check_same_device(before: &VerifiedLeaf, after: &VerifiedLeaf) -> Result<(), RuleFault> {
    if before.account == after.account
        && before.device.id == after.device.id
        && before.device.signature_key == after.device.signature_key
        && before.list_version <= after.list_version
        && before.home.seq <= after.home.seq
    {
        Ok(())
    } else {
        Err(RuleFault::LeafChangedOwner)
    }
}

fn judge_joiner(
    before: &Before<'_>,
    commit: &Candidate<'_>,
    policy: &RoomPolicy,
    owner: &VerifiedLeaf,
) -> Result<(), RuleFault> {
    let ticket = JoinAad::from_bytes(commit.aad)?.ticket;
    let old = before.roster.values().find(|member| {
        let device = &owner.device;
        member.device_key == device.signature_key || is_device(member, owner)
    });
    let removed = commit.staged.remove_proposals().next();
    let removed = removed.map(|proposal| LeafIndex::from(proposal.remove_proposal().removed()));
    match (old, removed) {
        (Some(old), Some(removed)) if old.leaf == removed => {
            let leaf = before.group.leaf(removed.into());
            check_same_device(&owner_of(leaf.ok_or(RuleFault::UnknownSender)?)?, owner)
        }
        (Some(_), _) => Err(RuleFault::AlreadyMember),
        (None, Some(_)) => Err(RuleFault::RemovesOther),
        (None, None) => {
            let ticket = ticket.ok_or(TicketFault::Missing)?;
            let named = ticket.claimed_body().map(|body| body.inviter_leaf);
            let named = named.map_err(|_| TicketFault::InviterGone)?;
            let joiner = Joiner {
                account: owner.account,
                list_version: owner.list_version,
            };
            let inviter = before.roster.get(&named);
            let room = room_of(before.group)?;
            judge_ticket(&ticket, room, joiner, inviter, policy, commit.now)?;
            let departed = before.departures.departed(&owner.account);
            Ok(judge_since(&ticket, departed)?)
        }
    }
}

/// Whether it is this device, by its name within its account: under no second key is it in a room.
fn is_device(member: &MemberInfo, owner: &VerifiedLeaf) -> bool {
    member.account == owner.account && member.device == owner.device.id
}

/// The leaves that a commit takes out of the room.
fn taken_out(staged: &StagedCommit) -> BTreeSet<LeafIndex> {
    let leaf_of = |queued: &QueuedProposal| match (queued.proposal(), queued.sender()) {
        (Proposal::Remove(remove), _) => Some(LeafIndex::from(remove.removed())),
        (Proposal::SelfRemove, Sender::Member(leaf)) => Some(LeafIndex::from(*leaf)),
        _ => None,
    };
    staged.queued_proposals().filter_map(leaf_of).collect()
}

/// A device that is added is not in the room, nor added twice.
fn check_newcomer(
    before: &Before<'_>,
    commit: &Candidate<'_>,
    owner: &VerifiedLeaf,
    facts: &CommitFacts,
) -> Result<(), RuleFault> {
    let gone = taken_out(commit.staged);
    let stays = |member: &&MemberInfo| !gone.contains(&member.leaf);
    let mut members = before.roster.values().filter(stays);
    let device = (owner.account, owner.device.id);
    if members.any(|member| is_device(member, owner)) || facts.newcomers.contains(&device) {
        return Err(RuleFault::AlreadyMember);
    }
    Ok(())
}

pub(crate) fn room_of(group: &PublicGroup) -> Result<RoomId, MessageFault> {
    RoomId::from_group_id(group.group_id().as_slice()).ok_or(MessageFault::NotARoom)
}

fn judge_proposal(
    before: &Before<'_>,
    commit: &Candidate<'_>,
    policy: &RoomPolicy,
    queued: &QueuedProposal,
    facts: &mut CommitFacts,
) -> Result<(), RuleFault> {
    let by_member = matches!(commit.sender, Sender::Member(_));
    let in_line = queued.proposal_or_ref_type() == ProposalOrRefType::Proposal;
    let committer = facts.committer;
    let refused = RuleFault::ProposalKind(queued.proposal().proposal_type().into());
    match queued.proposal() {
        Proposal::Add(add) if by_member && in_line => {
            let judged = judge(add.key_package(), before.crypto, commit.now)?;
            if !policy.may_invite(&committer, &judged.owner.account) {
                return Err(RuleFault::MayNotInvite(committer));
            }
            check_newcomer(before, commit, &judged.owner, facts)?;
            let device = &judged.owner.device;
            facts.newcomers.push((judged.owner.account, device.id));
            facts.fresh.push(device.signature_key);
            facts.added.push(judged.reference);
            Ok(())
        }
        Proposal::Remove(remove) if by_member && in_line => {
            let leaf = before.group.leaf(remove.removed());
            let removed = owner_of(leaf.ok_or(RuleFault::UnknownSender)?)?.account;
            if policy.may_remove(&committer, &removed) {
                Ok(())
            } else {
                Err(RuleFault::MayNotRemove(committer))
            }
        }
        // The joiner's own old leaf, as was checked with its ticket.
        Proposal::Remove(_) if in_line => Ok(()),
        Proposal::SelfRemove if queued.sender() == commit.sender => Err(RuleFault::LeaverCommits),
        Proposal::SelfRemove if !in_line => Ok(()),
        Proposal::ExternalInit(_) if !by_member && in_line => Ok(()),
        Proposal::GroupContextExtensions(change) if by_member && in_line => {
            if !policy.may_change_policy(&committer) {
                return Err(RuleFault::MayNotChangePolicy(committer));
            }
            facts.new_policy = Some(policy_of(change.extensions())?);
            Ok(())
        }
        Proposal::Add(_)
        | Proposal::Update(_)
        | Proposal::Remove(_)
        | Proposal::PreSharedKey(_)
        | Proposal::ReInit(_)
        | Proposal::ExternalInit(_)
        | Proposal::GroupContextExtensions(_)
        | Proposal::SelfRemove
        | Proposal::AppDataUpdate(_)
        | Proposal::AppEphemeral(_)
        | Proposal::Custom(_) => Err(refused),
    }
}
