//! A device's place in a room, with the real MLS group behind it.

use anyhow::{Context, Result, bail, ensure};
use entente_groups::{
    Aad, CreateRecord, JoinOffer, Member, MessageId, RoomId, Suite, Ticket, room_id,
};
use entente_identity::{AccountDid, ServerDid, Signed, decode_exact};
use entente_protocol::call::{CommitRequest, CreateRoom, GroupInfoReply, Ordered, Proposal};
use entente_protocol::entry::{CommitBody, Entry, EntryKind, Head, ProposalBody};
use entente_protocol::flow::Submission;

use crate::clock::now;
use crate::dice::Dice;
use crate::person::Person;

/// How long the tickets of attacks count, in milliseconds.
const TICKET_MS: u64 = 3_600_000;

/// A device's place in a room.
pub struct Seat {
    /// The device's side of the group.
    pub member: Member,
    /// The end of the log as the device has it.
    pub head: Head,
    /// The room's hub.
    pub hub: ServerDid,
}

/// A room that was made on a device and not yet handed in.
pub struct Founding {
    /// The founder's side of the group.
    pub member: Member,
    /// What to hand in.
    pub request: CreateRoom,
}

impl Founding {
    /// Makes a room.
    ///
    /// # Errors
    /// MLS refuses it.
    pub fn make(person: &Person, hub: &ServerDid, dice: &mut Dice) -> Result<Self> {
        let record = CreateRecord::new(
            person.account,
            hub.clone(),
            Suite::Classical,
            now(),
            dice.rng(),
        )
        .sign(person.key());
        let founding = Member::create(&record, &person.identity, person.key())?;
        Ok(Self {
            member: founding.member,
            request: CreateRoom {
                record,
                message_id: MessageId(dice.bytes()),
                group_info: founding.group_info,
                tree: founding.tree,
            },
        })
    }

    /// The room.
    #[must_use]
    pub fn room(&self) -> RoomId {
        room_id(&self.request.record)
    }

    /// The founder's place, once the hub has ordered the founding.
    #[must_use]
    pub fn seat(self, hub: &ServerDid, ordered: &Ordered) -> Seat {
        Seat {
            member: self.member,
            head: ordered.at,
            hub: hub.clone(),
        }
    }
}

/// Makes the commit by which a person joins with a ticket.
///
/// # Errors
/// The hub's reply is not usable, or MLS refuses it.
pub fn joining(
    person: &Person,
    room: RoomId,
    reply: &GroupInfoReply,
    ticket: &Signed<Ticket>,
    dice: &mut Dice,
) -> Result<(Member, CommitRequest)> {
    let tree = reply.tree.inline.clone();
    let offer = JoinOffer {
        room,
        group_info: reply.group_info.clone(),
        tree: tree.context("the tree of a small room is inline")?,
        pending: reply.pending.clone(),
    };
    let (member, bundle) =
        Member::join_by_ticket(&offer, ticket, &person.identity, person.key(), now())?;
    let request = CommitRequest {
        room,
        message_id: MessageId(dice.bytes()),
        bundle,
    };
    Ok((member, request))
}

impl Seat {
    /// The room.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.member.room()
    }

    /// Invites an account.
    ///
    /// # Errors
    /// The device may not.
    pub fn ticket(&self, invitee: AccountDid, person: &Person) -> Result<Signed<Ticket>> {
        let key = person.key();
        Ok(self
            .member
            .issue_ticket(invitee, 1, TICKET_MS, now(), key)?)
    }

    /// Encrypts a message.
    ///
    /// # Errors
    /// MLS refuses it.
    pub fn encrypt(&mut self, person: &Person, text: &[u8], dice: &mut Dice) -> Result<Submission> {
        let message_id = MessageId(dice.bytes());
        let aad = Aad::new(message_id, self.head.seq.0, self.head.hash.0);
        let epoch = self.member.epoch();
        Ok(Submission {
            room: self.room(),
            message_id,
            epoch,
            ciphertext: self.member.encrypt(text, &aad, person.key())?.into(),
        })
    }

    /// Makes the commit that removes an account.
    ///
    /// # Errors
    /// MLS refuses it.
    pub fn removing(
        &mut self,
        person: &Person,
        gone: &AccountDid,
        dice: &mut Dice,
    ) -> Result<CommitRequest> {
        Ok(CommitRequest {
            room: self.room(),
            message_id: MessageId(dice.bytes()),
            bundle: self.member.remove(gone, person.key())?,
        })
    }

    /// Makes the proposal by which the device leaves.
    ///
    /// # Errors
    /// MLS refuses it.
    pub fn leaving(&mut self, person: &Person, dice: &mut Dice) -> Result<Proposal> {
        Ok(Proposal {
            room: self.room(),
            message_id: MessageId(dice.bytes()),
            proposal: self.member.leave(person.key())?,
        })
    }

    /// Reads an entry that extends what the device has; earlier ones are passed over.
    ///
    /// # Errors
    /// It does not extend the log, or breaks MLS or the room's rules.
    pub fn read(&mut self, entry: &Entry) -> Result<()> {
        if entry.header.seq <= self.head.seq {
            return Ok(());
        }
        entry.extends(&self.head)?;
        ensure!(entry.header.kind != EntryKind::Create, "a second beginning");
        self.member
            .process(&mls_message(entry)?, entry.header.time)?;
        self.head = entry.header.head();
        Ok(())
    }
}

/// The MLS message in an entry.
fn mls_message(entry: &Entry) -> Result<Vec<u8>> {
    let body = entry.body.as_slice();
    match entry.header.kind {
        EntryKind::Application => Ok(body.to_vec()),
        EntryKind::Commit => {
            let body: CommitBody = decode_exact("commit", body)?;
            Ok(body.commit.into())
        }
        EntryKind::Proposal => {
            let body: ProposalBody = decode_exact("proposal", body)?;
            Ok(body.proposal.into())
        }
        EntryKind::Create => bail!("a create entry has no MLS message"),
    }
}
