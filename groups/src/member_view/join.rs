//! How a device comes into a room: by founding it, by a Welcome, by an external commit.

use entente_identity::{Signed, SigningKey, UnixMillis};
use openmls::group::{MlsGroup, MlsGroupCreateConfig, StagedWelcome};
use openmls::prelude::tls_codec::Deserialize as _;
use openmls::prelude::{
    GroupId, LeafNodeParameters, MlsMessageBodyIn, MlsMessageIn, ProcessedWelcome, PublicMessageIn,
};

use super::{DeviceSigner, KeyPackages, Member, MemberFault, mls};
use crate::config::{capabilities, join_config, ratchets, unbounded_lifetime};
use crate::create::{CreateRecord, room_id};
use crate::group_info::check_extensions;
use crate::ids::{KeyPackageRef, RoomId};
use crate::leaf::LeafIdentity;
use crate::message::{
    GroupMessage, JoinAad, MessageFault, mls_bytes, parse_group_info, parse_tree, parse_welcome,
};
use crate::provider::Provider;
use crate::public_view::{CommitBundle, CommitFault, MAX_PENDING_PROPOSALS, PublicRoom};
use crate::roster::MemberInfo;
use crate::rules::{RuleFault, group_extensions, judge_tree};
use crate::state::GroupState;
use crate::ticket::{Joiner, Ticket, TicketFault};

/// A room that was founded on this device, to be handed to its hub.
#[derive(Debug)]
pub struct Founding {
    /// The founder's membership.
    pub member: Member,
    /// The GroupInfo of the first epoch.
    pub group_info: Vec<u8>,
    /// The tree of the first epoch.
    pub tree: Vec<u8>,
}

/// What a hub gives to a device that wants to join or come back.
#[derive(Clone, Debug)]
pub struct JoinOffer {
    /// The room.
    pub room: RoomId,
    /// The GroupInfo of its current epoch.
    pub group_info: Vec<u8>,
    /// The tree of that epoch.
    pub tree: Vec<u8>,
    /// The proposals that were ordered in that epoch.
    pub pending: Vec<Vec<u8>>,
}

/// A Welcome, with what is needed beside it.
#[derive(Clone, Debug)]
pub struct WelcomeOffer {
    /// The room.
    pub room: RoomId,
    /// The Welcome.
    pub welcome: Vec<u8>,
    /// The tree of the epoch to which it leads.
    pub tree: Vec<u8>,
}

impl Member {
    /// Founds the room of a create record, with this device as its only member.
    ///
    /// # Errors
    /// The key or the identity is not the creator's device's.
    pub fn create(
        record: &Signed<CreateRecord>,
        identity: &LeafIdentity,
        key: &SigningKey,
    ) -> Result<Founding, MemberFault> {
        let body = record
            .verify(&key.public(), &entente_identity::Audience::Public)
            .map_err(|_| MemberFault::WrongKey)?
            .into_body();
        check_identity(identity, key)?;
        if body.creator != identity.account {
            return Err(MemberFault::WrongKey);
        }
        Self::found(room_id(record), &body, identity, key)
    }

    /// Founds a group of that name with what `body` says, without looking.
    pub(crate) fn found(
        room: RoomId,
        body: &CreateRecord,
        identity: &LeafIdentity,
        key: &SigningKey,
    ) -> Result<Founding, MemberFault> {
        let config = MlsGroupCreateConfig::builder()
            .wire_format_policy(join_config().wire_format_policy())
            .padding_size(join_config().padding_size())
            .max_past_epochs(0)
            .number_of_resumption_psks(0)
            .use_ratchet_tree_extension(false)
            .sender_ratchet_configuration(ratchets())
            .lifetime(unbounded_lifetime())
            .ciphersuite(body.suite.mls())
            .capabilities(capabilities())
            .with_group_context_extensions(group_extensions(&body.policy))
            .with_leaf_node_extensions(identity.extensions())
            .map_err(mls)?
            .build();
        let provider = Provider::new(GroupState::new());
        let group = MlsGroup::new_with_group_id(
            &provider,
            &DeviceSigner(key),
            &config,
            GroupId::from_slice(&room.0),
            identity.credential(key.public().as_bytes()),
        )
        .map_err(mls)?;
        let group_info = group
            .export_group_info(&provider.crypto, &DeviceSigner(key), false)
            .map_err(mls)?;
        let member = Self::new(room, group, provider);
        Ok(Founding {
            group_info: mls_bytes(&group_info),
            tree: member.ratchet_tree(),
            member,
        })
    }

    /// Joins by a Welcome. A KeyPackage that is used once is gone from `key_packages` afterwards: store
    /// the deltas of both together.
    ///
    /// # Errors
    /// Not for this device, another room, or a tree with an unacceptable leaf.
    pub fn join_by_welcome(
        offer: &WelcomeOffer,
        key_packages: &mut KeyPackages,
    ) -> Result<Self, MemberFault> {
        let welcome = parse_welcome(&offer.welcome)?;
        let references: Vec<_> = welcome
            .secrets()
            .iter()
            .map(|secret| KeyPackageRef::new(secret.new_member().as_slice()))
            .collect();
        let entry = key_packages.entry(&references);
        let (entry_key, entry_value) = entry.ok_or(MemberFault::NoKeyPackage)?;
        let provider = Provider::new(GroupState::new());
        provider.state.write(entry_key.clone(), entry_value);
        let processed =
            ProcessedWelcome::new_from_welcome(&provider, &join_config(), welcome).map_err(mls)?;
        let staged = processed
            .into_staged_welcome(&provider, Some(parse_tree(&offer.tree)?))
            .map_err(mls)?;
        let inviter = StagedWelcome::welcome_sender_index(&staged);
        let group = staged.into_group(&provider).map_err(mls)?;
        let used_up = provider.state.read(&entry_key).is_none();
        provider.state.delete(&entry_key);
        let member = Self::new(offer.room, group, provider);
        member.check_joined()?;
        let inviter = member.member_at(inviter.into())?;
        let inviter = inviter.ok_or(RuleFault::UnknownSender)?.account;
        let own = member.own_member()?.account;
        if !member.policy()?.may_invite(&inviter, &own) {
            return Err(RuleFault::MayNotInvite(inviter).into());
        }
        // A KeyPackage of last resort stays.
        if used_up {
            key_packages.remove_entry(&entry_key);
        }
        Ok(member)
    }

    fn check_joined(&self) -> Result<(), MemberFault> {
        if self.group.group_id().as_slice() != self.room.0 {
            return Err(MemberFault::OtherRoom);
        }
        judge_tree(self.group.public_group(), &self.provider.crypto)?;
        self.policy()?;
        Ok(())
    }

    /// Joins with a ticket, by an external commit that the hub still has to order. If another commit is
    /// ordered first, drop the membership and join anew.
    ///
    /// # Errors
    /// The ticket lets nobody in, or the offer is not a good one.
    pub fn join_by_ticket(
        offer: &JoinOffer,
        ticket: &Signed<Ticket>,
        identity: &LeafIdentity,
        key: &SigningKey,
        now: UnixMillis,
    ) -> Result<(Self, CommitBundle), MemberFault> {
        let owner = check_identity(identity, key)?;
        let room = judge_offer(offer)?;
        let joiner = Joiner {
            account: owner.account,
            list_version: owner.list_version,
        };
        room.judge_ticket(ticket, joiner, now)
            .map_err(RuleFault::from)?;
        let device = (owner.account, owner.device.id);
        let inside = |m: &MemberInfo| {
            m.device_key == owner.device.signature_key || (m.account, m.device) == device
        };
        if room.members().any(inside) {
            return Err(RuleFault::AlreadyMember.into());
        }
        Self::commit_externally(offer, Some(ticket.clone()), identity, key)
    }

    /// Comes back to a room whose group state this device has lost, by an external commit that removes
    /// its own old leaf. As with [`Member::join_by_ticket`], the hub still has to order it.
    ///
    /// # Errors
    /// The device is not in the room, or the offer is not a good one.
    pub fn resync(
        offer: &JoinOffer,
        identity: &LeafIdentity,
        key: &SigningKey,
    ) -> Result<(Self, CommitBundle), MemberFault> {
        check_identity(identity, key)?;
        let room = judge_offer(offer)?;
        if room.members().any(|m| m.device_key == key.public()) {
            Self::commit_externally(offer, None, identity, key)
        } else {
            Err(RuleFault::Ticket(TicketFault::Missing).into())
        }
    }

    pub(crate) fn commit_externally(
        offer: &JoinOffer,
        ticket: Option<Signed<Ticket>>,
        identity: &LeafIdentity,
        key: &SigningKey,
    ) -> Result<(Self, CommitBundle), MemberFault> {
        let group_info = parse_group_info(&offer.group_info)?;
        check_extensions(&group_info)?;
        let provider = Provider::new(GroupState::new());
        let signer = DeviceSigner(key);
        let leaf = LeafNodeParameters::builder()
            .with_capabilities(capabilities())
            .with_extensions(identity.extensions())
            .build();
        let (group, bundle) = MlsGroup::external_commit_builder()
            .with_proposals(public_messages(&offer.pending)?)
            .with_ratchet_tree(parse_tree(&offer.tree)?)
            .with_config(join_config())
            .with_aad(JoinAad::new(ticket).to_bytes())
            .build_group(
                &provider,
                group_info,
                identity.credential(key.public().as_bytes()),
            )
            .map_err(mls)?
            .leaf_node_parameters(leaf)
            .load_psks(&provider.state)
            .map_err(mls)?
            .create_group_info(true)
            .build(&provider.crypto, &provider.crypto, &signer, |_| true)
            .map_err(mls)?
            .finalize(&provider)
            .map_err(mls)?;
        let member = Self::new(offer.room, group, provider);
        Ok((member, super::change::bundle_bytes(bundle)?))
    }
}

/// The identity is good and its device's key is at hand.
fn check_identity(
    identity: &LeafIdentity,
    key: &SigningKey,
) -> Result<crate::leaf::VerifiedLeaf, MemberFault> {
    let owner = identity.verify()?;
    if owner.device.signature_key == key.public() {
        Ok(owner)
    } else {
        Err(MemberFault::WrongKey)
    }
}

/// The room of an offer. What it says to wait will be committed by the joiner, who looks at it first.
fn judge_offer(offer: &JoinOffer) -> Result<PublicRoom, MemberFault> {
    let room =
        PublicRoom::adopt(offer.room, &offer.group_info, &offer.tree).map_err(offer_fault)?;
    if offer.pending.len() > MAX_PENDING_PROPOSALS {
        return Err(offer_fault(CommitFault::TooManyProposals));
    }
    for proposal in &offer.pending {
        room.check_proposal(proposal).map_err(offer_fault)?;
    }
    Ok(room)
}

fn offer_fault(fault: CommitFault) -> MemberFault {
    match fault {
        CommitFault::Message(fault) => fault.into(),
        CommitFault::OtherRoom => MemberFault::OtherRoom,
        CommitFault::Rule(fault) => fault.into(),
        CommitFault::GroupInfo(fault) => fault.into(),
        CommitFault::State(fault) => fault.into(),
        CommitFault::Mls(reason) => MemberFault::Mls(reason),
        CommitFault::WrongEpoch { .. } | CommitFault::Welcome | CommitFault::TooManyProposals => {
            MemberFault::Mls(fault.to_string())
        }
    }
}

/// Proposals as openmls takes them for an external commit.
fn public_messages(pending: &[Vec<u8>]) -> Result<Vec<PublicMessageIn>, MemberFault> {
    pending
        .iter()
        .map(|bytes| {
            let wrong = MessageFault::WrongKind {
                expected: "a proposal",
            };
            if !matches!(GroupMessage::parse(bytes)?, GroupMessage::Proposal(_)) {
                return Err(wrong.into());
            }
            let message = MlsMessageIn::tls_deserialize_exact(bytes).map_err(mls)?;
            match message.extract() {
                MlsMessageBodyIn::PublicMessage(message) => Ok(message),
                _ => Err(wrong.into()),
            }
        })
        .collect()
}
