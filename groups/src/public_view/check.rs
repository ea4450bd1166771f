//! What a hub checks before it orders: messages, proposals, commit bundles.

use entente_identity::{AccountDid, Audience, PublicKey, Signed, UnixMillis};
use openmls::ciphersuite::hash_ref::ProposalRef;
use openmls::group::StagedCommit;
use openmls::prelude::{
    ProcessedMessage, ProcessedMessageContent, Proposal, QueuedProposal, Sender, Welcome,
};

use super::{
    APPLICATION_EPOCHS, CheckedCommit, CommitBundle, CommitFault, MAX_PENDING_PROPOSALS,
    PublicRoom, mls,
};
use crate::group_info::{Described, check_group_info};
use crate::ids::{KeyPackageRef, LeafIndex};
use crate::message::{
    ApplicationMessage, GroupMessage, HandshakeMessage, MessageFault, parse_welcome,
};
use crate::roster::{Departure, MemberInfo, Roster, roster_after, roster_delta};
use crate::rules::{Before, Candidate, CommitFacts, RuleFault, judge_commit, policy_of};
use crate::suite::Suite;
use crate::ticket::{Joiner, Ticket, TicketFault, judge_since, judge_ticket};

impl PublicRoom {
    /// Whether an application message may be ordered, as far as a server can tell.
    ///
    /// # Errors
    /// Another room, or an epoch that is too old or does not exist yet.
    pub fn check_application(&self, message: &ApplicationMessage) -> Result<(), CommitFault> {
        let (current, got) = (self.epoch(), message.epoch);
        if message.room != self.room {
            return Err(CommitFault::OtherRoom);
        }
        if got > current || got.0.saturating_add(APPLICATION_EPOCHS) < current.0 {
            return Err(CommitFault::WrongEpoch { current, got });
        }
        Ok(())
    }

    /// Checks a proposal: a member that leaves. Says who.
    ///
    /// # Errors
    /// Not a proposal of this room and epoch, not valid, or of another kind than SelfRemove.
    pub fn check_proposal(&self, proposal: &[u8]) -> Result<Departure, CommitFault> {
        let GroupMessage::Proposal(message) = GroupMessage::parse(proposal)? else {
            let expected = "a proposal";
            return Err(MessageFault::WrongKind { expected }.into());
        };
        let queued = self.process_proposal(message)?;
        let Sender::Member(leaf) = queued.sender() else {
            return Err(RuleFault::UnknownSender.into());
        };
        let member = self.roster.get(&LeafIndex::from(*leaf));
        let member = member.ok_or(RuleFault::UnknownSender)?;
        Ok(member.departure())
    }

    /// Judges a ticket as for a commit that would be ordered at `now`.
    ///
    /// # Errors
    /// Whatever makes the ticket void.
    pub fn judge_ticket(
        &self,
        ticket: &Signed<Ticket>,
        joiner: Joiner,
        now: UnixMillis,
    ) -> Result<(), TicketFault> {
        let claimed = ticket.claimed_body();
        let named = claimed.map_err(|_| TicketFault::InviterGone)?.inviter_leaf;
        let inviter = self.member(named);
        judge_ticket(ticket, self.room, joiner, inviter, &self.policy, now)?;
        judge_since(ticket, self.state.departed(&joiner.account))
    }

    /// Whether somebody was truly invited: the ticket was signed by a device that is in the room, for this
    /// account, even if it lets nobody in any more. Who was not may not learn that the room exists.
    #[must_use]
    pub fn was_invited(&self, ticket: &Signed<Ticket>, invitee: &AccountDid) -> bool {
        let Ok(claimed) = ticket.claimed_body() else {
            return false;
        };
        let Some(inviter) = self.member(claimed.inviter_leaf) else {
            return false;
        };
        ticket
            .verify(&inviter.device_key, &Audience::Room(self.room.0))
            .is_ok_and(|held| held.body().room == self.room && held.body().invitee == *invitee)
    }

    fn check_header(&self, message: &HandshakeMessage) -> Result<(), CommitFault> {
        let (current, got) = (self.epoch(), message.epoch);
        if message.room != self.room {
            return Err(CommitFault::OtherRoom);
        }
        if got != current {
            return Err(CommitFault::WrongEpoch { current, got });
        }
        Ok(())
    }

    fn process(&self, message: HandshakeMessage) -> Result<ProcessedMessage, CommitFault> {
        self.check_header(&message)?;
        self.group
            .process_message(&self.crypto, message.mls)
            .map_err(mls)
    }

    fn process_proposal(&self, message: HandshakeMessage) -> Result<QueuedProposal, CommitFault> {
        match self.process(message)?.into_content() {
            ProcessedMessageContent::ProposalMessage(queued)
                if matches!(queued.proposal(), Proposal::SelfRemove) =>
            {
                Ok(*queued)
            }
            ProcessedMessageContent::ProposalMessage(queued) => {
                let kind = queued.proposal().proposal_type();
                Err(RuleFault::ProposalKind(kind.into()).into())
            }
            _ => Err(MessageFault::WrongKind {
                expected: "a proposal",
            }
            .into()),
        }
    }

    /// Checks a commit bundle against this epoch, the proposals that were ordered in it, and the time
    /// at which it would be ordered.
    ///
    /// # Errors
    /// Anything that forbids to order it; nothing is changed.
    pub fn check_commit(
        &self,
        bundle: &CommitBundle,
        pending: &[Vec<u8>],
        now: UnixMillis,
    ) -> Result<CheckedCommit, CommitFault> {
        let GroupMessage::Commit(message) = GroupMessage::parse(&bundle.commit)? else {
            let expected = "a commit";
            return Err(MessageFault::WrongKind { expected }.into());
        };
        self.check_header(&message)?;
        if pending.len() > MAX_PENDING_PROPOSALS {
            return Err(CommitFault::TooManyProposals);
        }
        let mut next = self.fork()?;
        let mut references = Vec::with_capacity(pending.len());
        for proposal in pending {
            references.push(next.add_proposal(proposal)?);
        }
        let processed = next.process(message)?;
        let sender = processed.sender().clone();
        let aad = processed.aad().to_vec();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            return Err(RuleFault::ProposalKind(0).into());
        };
        let before = Before {
            group: &next.group,
            crypto: &next.crypto,
            roster: &self.roster,
            departures: &self.state,
            pending: references.into_iter().collect(),
        };
        let candidate = Candidate {
            staged: &staged,
            sender: &sender,
            aad: &aad,
            now,
        };
        let facts = judge_commit(&before, &candidate)?;
        let welcome_refs = check_welcome(bundle.welcome.as_deref(), &facts, self.suite)?;
        next.merge(*staged, &facts)?;
        let by_joiner = sender == Sender::NewMemberCommit;
        let checked = self.conclude(next, facts, welcome_refs, &bundle.group_info, by_joiner)?;
        checked.next.state.note_departures(&checked.roster, now);
        Ok(checked)
    }

    fn add_proposal(&mut self, proposal: &[u8]) -> Result<ProposalRef, CommitFault> {
        let GroupMessage::Proposal(message) = GroupMessage::parse(proposal)? else {
            let expected = "a proposal";
            return Err(MessageFault::WrongKind { expected }.into());
        };
        let queued = self.process_proposal(message)?;
        let reference = queued.proposal_reference_ref().clone();
        self.group.add_proposal(&self.state, queued)?;
        Ok(reference)
    }

    fn merge(&mut self, staged: StagedCommit, facts: &CommitFacts) -> Result<(), CommitFault> {
        self.group.merge_commit(&self.state, staged).map_err(mls)?;
        self.policy = policy_of(self.group.group_context().extensions())?;
        self.roster = roster_after(&self.roster, &self.group, &self.policy, &facts.fresh)?;
        Ok(())
    }

    fn conclude(
        &self,
        next: Self,
        facts: CommitFacts,
        welcome_refs: Vec<KeyPackageRef>,
        group_info: &[u8],
        by_joiner: bool,
    ) -> Result<CheckedCommit, CommitFault> {
        let committer = member_of_key(&next.roster, &facts.committer_key)?.clone();
        let described = Described::of(&next.group, committer.leaf, &facts.committer_key);
        check_group_info(group_info, &described)?;
        Ok(CheckedCommit {
            roster: roster_delta(&self.roster, &next.roster),
            committer,
            by_joiner,
            welcome_refs,
            new_policy: facts.new_policy,
            next,
        })
    }
}

/// A committer is in the room after its commit: nobody removes itself by one.
fn member_of_key<'a>(roster: &'a Roster, key: &PublicKey) -> Result<&'a MemberInfo, RuleFault> {
    roster
        .values()
        .find(|member| member.device_key == *key)
        .ok_or(RuleFault::UnknownSender)
}

/// The Welcome holds secrets for exactly the KeyPackages that were added.
fn check_welcome(
    welcome: Option<&[u8]>,
    facts: &CommitFacts,
    suite: Suite,
) -> Result<Vec<KeyPackageRef>, CommitFault> {
    let Some(bytes) = welcome else {
        return match facts.added.as_slice() {
            [] => Ok(Vec::new()),
            _ => Err(CommitFault::Welcome),
        };
    };
    let welcome: Welcome = parse_welcome(bytes)?;
    let mut wanted = facts.added.clone();
    let mut found: Vec<_> = welcome
        .secrets()
        .iter()
        .map(|secret| KeyPackageRef::new(secret.new_member().as_slice()))
        .collect();
    wanted.sort_unstable();
    found.sort_unstable();
    if wanted.is_empty() || wanted != found || welcome.ciphersuite() != suite.mls() {
        return Err(CommitFault::Welcome);
    }
    Ok(found)
}
