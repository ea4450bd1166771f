//! A device leaves a room by SelfRemove: the proposal is ordered, and the device is cut off at once.

use entente_federation::hub::Draft;
use entente_groups::{Departure, Epoch, LeafIndex, PublicRoom};
use entente_identity::{AccountDid, DeviceId, ServerDid, UnixMillis, encode};
use entente_protocol::call::{Ordered, Proposal};
use entente_protocol::entry::{EntryKind, ProposalBody};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::limits::{MAX_BODY_BYTES, MAX_PENDING_PROPOSALS};

use crate::change::{Change, Decision};
use crate::commit::commit_fault;
use crate::order::{append, followers};
use crate::rows::{MemberRow, RoomRow};

/// A proposal that may be ordered, if the room has not moved since.
#[derive(Clone, Debug)]
pub struct CheckedProposal {
    request: Proposal,
    epoch: Epoch,
    leaver: Departure,
}

/// Checks a proposal against the room's current epoch: of no effect.
///
/// # Errors
/// Not a valid SelfRemove of the device that hands it in.
pub fn check(
    group: &PublicRoom,
    sender: (AccountDid, DeviceId),
    request: Proposal,
) -> Result<CheckedProposal, Fault> {
    if request.proposal.len() > MAX_BODY_BYTES {
        return Err(Fault::new(FaultCode::TooLarge, "the proposal is too large"));
    }
    let leaver = group
        .check_proposal(&request.proposal)
        .map_err(|fault| commit_fault(&fault))?;
    if (leaver.account, leaver.device) != sender {
        let detail = "the proposal is another device's than the one that hands it in";
        return Err(Fault::new(FaultCode::CommitRefused, detail));
    }
    Ok(CheckedProposal {
        request,
        epoch: group.epoch(),
        leaver,
    })
}

impl CheckedProposal {
    /// What was handed in.
    #[must_use]
    pub fn request(&self) -> &Proposal {
        &self.request
    }

    /// Who leaves.
    #[must_use]
    pub fn leaver(&self) -> &Departure {
        &self.leaver
    }

    /// Orders the proposal. `members` are the room's current members, the leaver among them.
    ///
    /// # Errors
    /// The room has moved since the check, the leaver is gone already, or too many proposals wait.
    pub fn order(
        self,
        me: &ServerDid,
        origin: &ServerDid,
        room: &RoomRow,
        members: &[MemberRow],
        now: UnixMillis,
    ) -> Result<Decision<Ordered>, FaultCode> {
        if room.epoch != self.epoch {
            return Err(FaultCode::WrongEpoch);
        }
        let is_leaver = |row: &&MemberRow| {
            (row.account, row.device) == (self.leaver.account, self.leaver.device)
        };
        let leaver = members.iter().find(is_leaver).ok_or(FaultCode::NotMember)?;
        if leaver.home != *origin {
            return Err(FaultCode::NotMember);
        }
        if room.pending.len() >= MAX_PENDING_PROPOSALS {
            return Err(FaultCode::CommitRefused);
        }
        let stay = members.iter().filter(|row| !is_leaver(row));
        let after = followers(me, stay.map(|row| &row.home));
        let (mut decision, mut next) = append(room, self.draft(origin, leaver.leaf), now);
        let seq = decision.reply.at.seq;
        next.pending.push(seq);
        next.followers = after;
        decision.changes.push(Change::PutRoom(next));
        decision.changes.push(Change::EndMember {
            room: room.room,
            account: self.leaver.account,
            device: self.leaver.device,
            left: seq,
        });
        Ok(decision)
    }

    fn draft(&self, origin: &ServerDid, sender: LeafIndex) -> Draft {
        Draft {
            kind: EntryKind::Proposal,
            epoch: self.epoch,
            origin: origin.clone(),
            sender,
            message_id: self.request.message_id,
            body: encode(&ProposalBody {
                proposal: self.request.proposal.clone().into(),
                leaver: self.leaver.clone(),
            }),
        }
    }
}
