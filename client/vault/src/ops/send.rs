//! Writing a message: it is in the history and in the outbox before anything is sent.

use entente_client_core::event::{Occurrence, ProfileNote};
use entente_client_core::goal::Goal;
use entente_client_core::invite::cut;
use entente_client_core::message::MessageState;
use entente_client_core::room::RoomState;
use entente_groups::{Aad, MemberFault, MessageId, RoomId};
use entente_protocol::content::{Content, Meaning};
use entente_protocol::entry::Entry;
use entente_protocol::limits::MAX_CONTENT_BYTES;

use crate::error::VaultError;
use crate::messages::NewMessage;
use crate::outbox::{Encrypted, Held};
use crate::step::Step;
use crate::vault::{Moment, Vault};
use crate::{accounts, goals, messages, outbox};

impl Vault {
    /// Writes a message: plaintext, ciphertext and MLS state in one transaction. Where it cannot be
    /// encrypted yet, that follows as soon as the room is ready.
    ///
    /// # Errors
    /// No such room, not a member, or too long.
    pub fn write_message(
        &mut self,
        room: &RoomId,
        content: &Content,
        moment: Moment<'_>,
    ) -> Result<MessageId, VaultError> {
        self.step(moment, |step| post(step, room, content))
    }

    /// Gives a room a new name and topic, for everybody in it.
    ///
    /// # Errors
    /// No such room, or not a member.
    pub fn rename(
        &mut self,
        room: &RoomId,
        name: &str,
        topic: &str,
        moment: Moment<'_>,
    ) -> Result<MessageId, VaultError> {
        self.step(moment, |step| {
            let (name, topic) = (cut(name), cut(topic));
            let content = Content::room_profile(name, topic, &mut step.rng);
            let id = post(step, room, &content)?;
            let row = step.room(room)?;
            row.name = name.to_owned();
            row.topic = topic.to_owned();
            row.renamed = true;
            step.note(&Occurrence::Profile(ProfileNote {
                room: *room,
                name: name.as_bytes().into(),
                topic: topic.as_bytes().into(),
                by: step.own.account,
            }))?;
            Ok(id)
        })
    }
}

/// Writes a message within a step.
pub(crate) fn post(
    step: &mut Step<'_>,
    room: &RoomId,
    content: &Content,
) -> Result<MessageId, VaultError> {
    let bytes = content.to_cbor();
    if bytes.len() > MAX_CONTENT_BYTES {
        return Err(VaultError::TooLarge {
            limit: MAX_CONTENT_BYTES,
            got: bytes.len(),
        });
    }
    let (id, state) = {
        let row = step.room(room)?;
        (row.id, row.state)
    };
    match state {
        RoomState::Active | RoomState::Broken => {}
        other => return Err(VaultError::RoomState(other)),
    }
    let own = step.own;
    let sender = accounts::id_of(step.connection, &own.account)?;
    let message_id = step.message_id();
    let new = NewMessage {
        room: id,
        sender: sender.ok_or(VaultError::Damaged("this account has no row"))?,
        id: message_id,
        own: true,
        state: MessageState::Waiting,
        time: step.now,
        content: &bytes,
    };
    let row = messages::insert(step.connection, &new)?;
    let row = row.ok_or(VaultError::Damaged("a random message id came twice"))?;
    let encrypted = encrypt(step, room, &message_id, &bytes)?;
    let held = match &encrypted {
        Some(_) => Held::No,
        None => Held::UntilEpochEnds,
    };
    outbox::insert(step.connection, row, id, encrypted.as_ref(), held)?;
    if !matches!(content.meaning(), Meaning::RoomProfile { .. }) {
        step.note(&Occurrence::Message(row))?;
    }
    Ok(message_id)
}

/// Encrypts a message, bound to its id and to the end of the log as seen here. `None` while the room is
/// not ready: proposals have to be committed first, or this device has to come back.
pub(crate) fn encrypt(
    step: &mut Step<'_>,
    room: &RoomId,
    id: &MessageId,
    content: &[u8],
) -> Result<Option<Encrypted>, VaultError> {
    let row = step.room(room)?;
    if !row.state.can_send() {
        return Ok(None);
    }
    let (seq, hash) = row
        .head
        .map_or((0, [0; 32]), |head| (head.seq.0, head.hash.0));
    let aad = Aad::new(*id, seq, hash);
    let own = step.own;
    let member = step.member(room)?;
    let epoch = member.epoch();
    match member.encrypt(content, &aad, &own.signing) {
        Ok(ciphertext) => Ok(Some(Encrypted {
            epoch,
            hash: Entry::body_hash(&ciphertext),
            ciphertext,
        })),
        Err(MemberFault::ProposalsPending) => {
            want_cover(step, room, 0)?;
            Ok(None)
        }
        Err(fault) => Err(fault.into()),
    }
}

/// Wants the pending proposals committed, not before a delay; at once if something waits for it.
pub(crate) fn want_cover(
    step: &mut Step<'_>,
    room: &RoomId,
    delay_ms: u64,
) -> Result<(), VaultError> {
    let id = step.room(room)?.id;
    let not_before = step.now.after(delay_ms);
    let open = goals::open(step.connection, Some(id))?;
    match open.iter().find(|goal| goal.goal == Goal::Cover) {
        Some(goal) => goals::hurry(step.connection, goal.id, not_before),
        None => {
            goals::insert(step.connection, id, &Goal::Cover, not_before, step.now)?;
            Ok(())
        }
    }
}
