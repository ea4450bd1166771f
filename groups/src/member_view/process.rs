//! Reading what the hub ordered: messages, proposals, commits.
//!
//! A commit is judged by the same rules as the hub's before it is merged. A fault of kind
//! [`ProcessFault::Rule`] therefore means that the hub ordered what it must not: report it, and do not
//! go on in the room.

use std::cell::OnceCell;

use entente_identity::UnixMillis;
use openmls::framing::errors::{MessageDecryptionError as Decryption, SecretTreeError};
use openmls::group::{ProcessMessageError, StagedCommit, ValidationError};
use openmls::prelude::{
    MlsGroupStateError, ProcessedMessage, ProcessedMessageContent, Proposal, QueuedProposal, Sender,
};

use super::{EpochSnapshot, Member, MemberFault};
use crate::ids::{Epoch, LeafIndex};
use crate::leaf::LeafFault;
use crate::message::{Aad, ApplicationMessage, GroupMessage, HandshakeMessage, MessageFault};
use crate::policy::RoomPolicy;
use crate::roster::{Departure, MemberInfo, RosterDelta, roster_after, roster_delta};
use crate::rules::{Before, Candidate, CommitFacts, RuleFault, judge_commit};
use crate::state::StateFault;

/// What an ordered entry turned out to be.
#[derive(Debug)]
pub enum Processed {
    /// A message of another device.
    Application(ReadMessage),
    /// A message of this device that came back. Its content is not decrypted, and a member could forge
    /// the claim: recognise it by the message id of one's own outbox.
    OwnApplication(Aad),
    /// A device asks to leave.
    Proposal(Departure),
    /// A commit was merged.
    Commit(MergedCommit),
}

/// A message that was decrypted and whose sender is certain.
#[derive(Clone, PartialEq, Eq)]
pub struct ReadMessage {
    /// Who sent it.
    pub sender: MemberInfo,
    /// What it bound to it: compare the message id with the entry's.
    pub aad: Aad,
    /// The content.
    pub plaintext: Vec<u8>,
}

/// A commit that was merged.
#[derive(Debug)]
pub struct MergedCommit {
    /// The epoch that it made.
    pub epoch: Epoch,
    /// Who made it, as it is afterwards.
    pub committer: MemberInfo,
    /// Whether it was this device.
    pub own: bool,
    /// Who came and who went.
    pub roster: RosterDelta,
    /// Whether this device is out of the room by it.
    pub removed_self: bool,
    /// The policy after it, if it changed.
    pub new_policy: Option<RoomPolicy>,
    /// What is needed to read late messages of the epoch before; keep the last three.
    pub past: EpochSnapshot,
}

/// Why an ordered entry could not be read. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProcessFault {
    /// The bytes are no message of a room.
    #[error(transparent)]
    Message(#[from] MessageFault),
    /// Another room's.
    #[error("the message is for another room")]
    OtherRoom,
    /// This device is no longer in the room.
    #[error("this device is no longer in the room")]
    Removed,
    /// Of an epoch that is over: a message may be read with that epoch's snapshot.
    #[error("the message is of epoch {got}, which is over; the room is at {current}")]
    PastEpoch {
        /// The epoch of the room.
        current: Epoch,
        /// The epoch of the message.
        got: Epoch,
    },
    /// Of an epoch that has not begun: commits are missing before it.
    #[error("the message is of epoch {got}, the room is at {current}; fetch the commits between")]
    FutureEpoch {
        /// The epoch of the room.
        current: Epoch,
        /// The epoch of the message.
        got: Epoch,
    },
    /// The keys were used already: the same ciphertext came again, or was used under another id.
    #[error("the message's keys were used already: a repetition")]
    Repeated,
    /// Does not decrypt or verify.
    #[error("the message cannot be decrypted: {0}")]
    Undecryptable(String),
    /// RFC 9420's own checks of a handshake.
    #[error("not valid MLS: {0}; if others go on, come back by resync")]
    Mls(String),
    /// The room's rules: the hub ordered what it must not.
    #[error("the hub ordered what breaks the room's rules: {0}")]
    Rule(#[from] RuleFault),
    /// The stored state cannot be read: damaged storage, or a bug.
    #[error(transparent)]
    State(#[from] StateFault),
}

impl From<LeafFault> for ProcessFault {
    fn from(fault: LeafFault) -> Self {
        Self::Rule(fault.into())
    }
}

impl From<ProcessFault> for MemberFault {
    fn from(fault: ProcessFault) -> Self {
        Self::Mls(fault.to_string())
    }
}

pub(super) fn process_fault(error: ProcessMessageError<StateFault>) -> ProcessFault {
    match error {
        ProcessMessageError::StorageError(fault) => fault.into(),
        ProcessMessageError::GroupStateError(MlsGroupStateError::UseAfterEviction) => {
            ProcessFault::Removed
        }
        ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(fault)) => {
            match fault {
                Decryption::SecretTreeError(SecretTreeError::SecretReuseError) => {
                    ProcessFault::Repeated
                }
                fault => ProcessFault::Undecryptable(fault.to_string()),
            }
        }
        other => ProcessFault::Mls(other.to_string()),
    }
}

impl Member {
    /// Reads an entry that was ordered at `ordered_at`.
    ///
    /// # Errors
    /// The entry cannot be read; see [`ProcessFault`] for whose fault that is.
    pub fn process(
        &mut self,
        bytes: &[u8],
        ordered_at: UnixMillis,
    ) -> Result<Processed, ProcessFault> {
        if !self.is_active() {
            return Err(ProcessFault::Removed);
        }
        let message = GroupMessage::parse(bytes)?;
        let (current, got) = (self.epoch(), message.epoch());
        if message.room() != self.room {
            return Err(ProcessFault::OtherRoom);
        }
        if got < current {
            return Err(ProcessFault::PastEpoch { current, got });
        }
        if got > current {
            return Err(ProcessFault::FutureEpoch { current, got });
        }
        match message {
            GroupMessage::Application(message) => self.process_application(message, None),
            GroupMessage::Proposal(message) => self.process_proposal(message),
            GroupMessage::Commit(message) => self.process_commit(message, ordered_at),
        }
    }

    /// Reads a message of this epoch, or of a past one whose secrets this value was given.
    pub(super) fn process_application(
        &mut self,
        message: ApplicationMessage,
        past: Option<&EpochSnapshot>,
    ) -> Result<Processed, ProcessFault> {
        let processed = self
            .group
            .process_message(&self.provider, message.mls)
            .map_err(process_fault)?;
        let sender = sender_leaf(&processed)?;
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(content) => {
                let sender = match past {
                    Some(past) => past.member(sender),
                    None => self.member_at(sender)?,
                };
                let sender = sender.ok_or(RuleFault::UnknownSender)?;
                Ok(Processed::Application(ReadMessage {
                    sender,
                    aad: message.aad,
                    plaintext: content.into_bytes(),
                }))
            }
            ProcessedMessageContent::OwnPrivateMessage => {
                Ok(Processed::OwnApplication(message.aad))
            }
            _ => Err(ProcessFault::Mls("not an application message".to_owned())),
        }
    }

    fn process_proposal(&mut self, message: HandshakeMessage) -> Result<Processed, ProcessFault> {
        let processed = self
            .group
            .process_message(&self.provider, message.mls)
            .map_err(process_fault)?;
        let leaf = sender_leaf(&processed)?;
        let ProcessedMessageContent::ProposalMessage(queued) = processed.into_content() else {
            return Err(ProcessFault::Mls("not a proposal".to_owned()));
        };
        if !matches!(queued.proposal(), Proposal::SelfRemove) {
            let kind = queued.proposal().proposal_type();
            return Err(RuleFault::ProposalKind(kind.into()).into());
        }
        let member = self.member_at(leaf)?.ok_or(RuleFault::UnknownSender)?;
        self.remember_proposal(*queued)?;
        Ok(Processed::Proposal(member.departure()))
    }

    /// Keeps a proposal for the commit that covers it; one's own is there already when it comes back.
    fn remember_proposal(&mut self, queued: QueuedProposal) -> Result<(), StateFault> {
        let reference = queued.proposal_reference_ref();
        if self.pending_references().any(|known| known == *reference) {
            return Ok(());
        }
        self.group
            .store_pending_proposal(&self.provider.state, queued)
    }

    fn process_commit(
        &mut self,
        message: HandshakeMessage,
        ordered_at: UnixMillis,
    ) -> Result<Processed, ProcessFault> {
        let processed = self
            .group
            .process_message(&self.provider, message.mls)
            .map_err(process_fault)?;
        let sender = processed.sender().clone();
        let aad = processed.aad().to_vec();
        let roster = self.roster()?;
        let judge = |staged: &StagedCommit| {
            let before = Before {
                group: self.group.public_group(),
                crypto: &self.provider.crypto,
                roster,
                departures: &self.provider.state,
                pending: self.pending_references().collect(),
            };
            let candidate = Candidate {
                staged,
                sender: &sender,
                aad: &aad,
                now: ordered_at,
            };
            judge_commit(&before, &candidate)
        };
        match processed.into_content() {
            ProcessedMessageContent::StagedCommitMessage(staged) => {
                let facts = judge(&staged)?;
                self.merge(facts, Some(*staged), ordered_at)
            }
            ProcessedMessageContent::OwnPendingCommit => {
                let pending = self.group.pending_commit();
                let facts = judge(pending.ok_or(StateFault::Damaged("a pending commit"))?)?;
                self.merge(facts, None, ordered_at)
            }
            _ => Err(ProcessFault::Mls("not a commit".to_owned())),
        }
    }

    /// Merges a judged commit: another's, or this device's own that waits.
    fn merge(
        &mut self,
        facts: CommitFacts,
        staged: Option<StagedCommit>,
        ordered_at: UnixMillis,
    ) -> Result<Processed, ProcessFault> {
        let before = self.roster()?.clone();
        let past = EpochSnapshot::of(self, before.values())?;
        let own = staged.is_none();
        let merged = match staged {
            Some(staged) => self
                .group
                .merge_staged_commit(&self.provider, staged)
                .map_err(|error| error.to_string()),
            None => self
                .group
                .merge_pending_commit(&self.provider)
                .map_err(|error| error.to_string()),
        };
        merged.map_err(ProcessFault::Mls)?;
        let policy = self.policy()?;
        let group = self.group.public_group();
        let after = roster_after(&before, group, &policy, &facts.fresh)?;
        let committer = after
            .values()
            .find(|member| member.device_key == facts.committer_key)
            .ok_or(RuleFault::UnknownSender)?;
        let merged = MergedCommit {
            epoch: self.epoch(),
            committer: committer.clone(),
            own,
            roster: roster_delta(&before, &after),
            removed_self: !self.is_active(),
            new_policy: facts.new_policy,
            past,
        };
        self.provider
            .state
            .note_departures(&merged.roster, ordered_at);
        self.roster = OnceCell::from(after);
        Ok(Processed::Commit(merged))
    }
}

fn sender_leaf(processed: &ProcessedMessage) -> Result<LeafIndex, ProcessFault> {
    match processed.sender() {
        Sender::Member(leaf) => Ok((*leaf).into()),
        Sender::External(_) | Sender::NewMemberProposal | Sender::NewMemberCommit => {
            Err(RuleFault::UnknownSender.into())
        }
    }
}

impl std::fmt::Debug for ReadMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadMessage")
            .field("sender", &self.sender)
            .field("aad", &self.aad)
            .finish_non_exhaustive()
    }
}
