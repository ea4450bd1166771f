//! What a member changes: who is in the room, what the policy is, its own keys.
//!
//! Every change is a commit with a new path of the committer's keys. It waits in the state until it
//! comes back in the log, or until another commit is ordered first and takes its place.

use entente_identity::{AccountDid, SigningKey, UnixMillis};
use openmls::group::MlsGroup;
use openmls::prelude::{CommitBuilder, CommitMessageBundle, Initial, LeafNodeParameters};

use super::{DeviceSigner, Member, MemberFault, mls};
use crate::config::capabilities;
use crate::ids::LeafIndex;
use crate::key_package::{judge, verify};
use crate::leaf::LeafIdentity;
use crate::message::{mls_bytes, parse_key_package};
use crate::policy::RoomPolicy;
use crate::public_view::CommitBundle;
use crate::rules::{RuleFault, group_extensions};

type Builder<'a> = CommitBuilder<'a, Initial, &'a mut MlsGroup>;

impl Member {
    /// Adds devices by their KeyPackages.
    ///
    /// # Errors
    /// A KeyPackage is bad at `now`, or the policy does not allow it.
    pub fn add(
        &mut self,
        key_packages: &[Vec<u8>],
        now: UnixMillis,
        key: &SigningKey,
    ) -> Result<CommitBundle, MemberFault> {
        let (own, policy, room) = (self.own_member()?, self.policy()?, self.suite()?);
        let crypto = &self.provider.crypto;
        let mut added = Vec::with_capacity(key_packages.len());
        for bytes in key_packages {
            let key_package = verify(parse_key_package(bytes)?, crypto)?;
            let judged = judge(&key_package, crypto, now)?;
            if judged.suite != room {
                let got = judged.suite;
                return Err(MemberFault::OtherSuite { room, got });
            }
            if !policy.may_invite(&own.account, &judged.owner.account) {
                return Err(RuleFault::MayNotInvite(own.account).into());
            }
            added.push(key_package);
        }
        self.commit(key, |builder| Ok(builder.propose_adds(added)))
    }

    /// Removes all devices of an account; of one's own account, all but this one.
    ///
    /// # Errors
    /// The account has no device to be removed, or the policy does not allow it.
    pub fn remove(
        &mut self,
        account: &AccountDid,
        key: &SigningKey,
    ) -> Result<CommitBundle, MemberFault> {
        let members = self.members()?;
        let leaves = members.iter().filter(|m| m.account == *account);
        let leaves: Vec<_> = leaves.map(|m| m.leaf).collect();
        self.remove_leaves(account, leaves, key)
    }

    /// Removes one device.
    ///
    /// # Errors
    /// There is none at the leaf, it is this one, or the policy does not allow it.
    pub fn remove_device(
        &mut self,
        leaf: LeafIndex,
        key: &SigningKey,
    ) -> Result<CommitBundle, MemberFault> {
        let account = match self.member_at(leaf)? {
            Some(member) => member.account,
            None => return Err(RuleFault::UnknownSender.into()),
        };
        self.remove_leaves(&account, vec![leaf], key)
    }

    fn remove_leaves(
        &mut self,
        account: &AccountDid,
        mut leaves: Vec<LeafIndex>,
        key: &SigningKey,
    ) -> Result<CommitBundle, MemberFault> {
        let own = self.own_member()?;
        if !self.policy()?.may_remove(&own.account, account) {
            return Err(RuleFault::MayNotRemove(own.account).into());
        }
        // Whoever leaves is covered by its own proposal.
        let leaving: Vec<_> = self.leaving_leaves().collect();
        leaves.retain(|leaf| *leaf != own.leaf && !leaving.contains(leaf));
        if leaves.is_empty() {
            return Err(MemberFault::NoSuchMember(*account));
        }
        let leaves = leaves.into_iter().map(Into::into);
        self.commit(key, |builder| Ok(builder.propose_removals(leaves)))
    }

    /// Changes the room's policy.
    ///
    /// # Errors
    /// This account is no admin.
    pub fn set_policy(
        &mut self,
        policy: &RoomPolicy,
        key: &SigningKey,
    ) -> Result<CommitBundle, MemberFault> {
        policy.check()?;
        let own = self.own_member()?;
        if !self.policy()?.may_change_policy(&own.account) {
            return Err(RuleFault::MayNotChangePolicy(own.account).into());
        }
        let extensions = group_extensions(policy);
        self.commit(key, |builder| {
            builder
                .propose_group_context_extensions(extensions)
                .map_err(mls)
        })
    }

    /// Commits the proposals that wait.
    ///
    /// # Errors
    /// None wait, or this device is one of those that leave.
    pub fn commit_pending_proposals(
        &mut self,
        key: &SigningKey,
    ) -> Result<CommitBundle, MemberFault> {
        if !self.has_pending_proposals() {
            return Err(MemberFault::NothingPending);
        }
        self.commit(key, |builder| Ok(builder))
    }

    /// Replaces this device's keys in the tree, and what its leaf says if `identity` is given: after a
    /// move to another server, or with a newer certificate.
    ///
    /// # Errors
    /// The identity is another device's.
    pub fn refresh(
        &mut self,
        identity: Option<&LeafIdentity>,
        key: &SigningKey,
    ) -> Result<CommitBundle, MemberFault> {
        let Some(identity) = identity else {
            return self.commit(key, |builder| Ok(builder));
        };
        let (owner, own) = (identity.verify()?, self.own_member()?);
        if owner.account != own.account || owner.device.id != own.device {
            return Err(RuleFault::LeafChangedOwner.into());
        }
        let leaf = LeafNodeParameters::builder()
            .with_capabilities(capabilities())
            .with_extensions(identity.extensions())
            .build();
        self.commit(key, |builder| Ok(builder.leaf_node_parameters(leaf)))
    }

    /// Asks to leave: the proposal goes to the hub, and this device says nothing more.
    ///
    /// # Errors
    /// Removed, or a commit of this device waits.
    pub fn leave(&mut self, key: &SigningKey) -> Result<Vec<u8>, MemberFault> {
        self.check_ready(key)?;
        let proposal = self
            .group
            .leave_group_via_self_remove(&self.provider, &DeviceSigner(key))
            .map_err(mls)?;
        Ok(mls_bytes(&proposal))
    }

    /// Forgets the commit that waits, as when the hub refused it.
    ///
    /// # Errors
    /// The state cannot be written: a bug.
    pub fn discard_pending(&mut self) -> Result<(), MemberFault> {
        self.group.clear_pending_commit(&self.provider.state)?;
        Ok(())
    }

    fn check_ready(&self, key: &SigningKey) -> Result<(), MemberFault> {
        self.check_key(key)?;
        if self.is_leaving() {
            return Err(MemberFault::Leaving);
        }
        if self.has_pending_commit() {
            return Err(MemberFault::CommitPending);
        }
        Ok(())
    }

    pub(crate) fn commit(
        &mut self,
        key: &SigningKey,
        configure: impl FnOnce(Builder<'_>) -> Result<Builder<'_>, MemberFault>,
    ) -> Result<CommitBundle, MemberFault> {
        self.check_ready(key)?;
        let builder = self
            .group
            .commit_builder()
            .consume_proposal_store(true)
            .force_self_update(true);
        let crypto = &self.provider.crypto;
        let bundle = configure(builder)?
            .load_psks(&self.provider.state)
            .map_err(mls)?
            .create_group_info(true)
            .build(crypto, crypto, &DeviceSigner(key), |_| true)
            .map_err(mls)?
            .stage_commit(&self.provider)
            .map_err(mls)?;
        bundle_bytes(bundle)
    }
}

pub(super) fn bundle_bytes(bundle: CommitMessageBundle) -> Result<CommitBundle, MemberFault> {
    let (commit, welcome, group_info) = bundle.into_messages();
    let group_info = group_info.ok_or_else(|| mls("a commit was made without its GroupInfo"))?;
    Ok(CommitBundle {
        commit: mls_bytes(&commit),
        welcome: welcome.as_ref().map(mls_bytes),
        group_info: mls_bytes(&group_info),
    })
}
