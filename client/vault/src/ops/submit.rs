//! Handing own messages over, and noting what became of them.

use entente_client_core::duty::commit_delay_ms;
use entente_client_core::event::{Occurrence, StateChange, StoredState};
use entente_client_core::message::MessageState;
use entente_client_core::outbox::{Next, after_outcome, after_refusal, is_stale};
use entente_groups::{MessageId, RoomId};
use entente_protocol::fault::Fault;
use entente_protocol::flow::{Submission, SubmitFrame, SubmitReply};

use crate::error::VaultError;
use crate::messages::OwnMessage;
use crate::ops::send::{encrypt, want_cover};
use crate::outbox::{Held, OutboxRow};
use crate::step::Step;
use crate::vault::{Moment, Vault};
use crate::{messages, outbox, rooms};

/// A message to be handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its place in the order of handing over; ask for what comes after it.
    pub place: u64,
    /// The frame.
    pub frame: SubmitFrame,
}

impl Vault {
    /// What is to be handed over after a place, in order. On a new connection ask from 0: everything
    /// that is not ordered is handed over again, under the same ids.
    ///
    /// # Errors
    /// The vault cannot be read or written.
    pub fn submissions(
        &mut self,
        after: u64,
        limit: usize,
        moment: Moment<'_>,
    ) -> Result<Vec<Outgoing>, VaultError> {
        if !outbox::anything_due(&self.connection, after, moment.now)? {
            return Ok(Vec::new());
        }
        self.step(moment, |step| {
            outbox::release_due(step.connection, step.now)?;
            let mut outgoing = Vec::new();
            for row in outbox::due(step.connection, after, limit)? {
                outgoing.extend(submission(step, row)?);
            }
            Ok(outgoing)
        })
    }

    /// Notes what the server said about messages.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn submit_replies(
        &mut self,
        replies: &[SubmitReply],
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        self.step(moment, |step| {
            for reply in replies {
                let Some((message, failures)) = find(step, &reply.room, &reply.message_id)? else {
                    continue;
                };
                let rng = &mut step.rng;
                let next = after_outcome(message.state, &reply.outcome, failures, rng);
                follow(step, &reply.room, message, next)?;
            }
            Ok(())
        })
    }

    /// Everything that the server had is processed: what waits for a newer epoch in rooms where none
    /// has come is tried again, and who leaves is let go where nobody has done it yet.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn caught_up(&mut self, moment: Moment<'_>) -> Result<(), VaultError> {
        self.step(moment, |step| {
            for row in rooms::all(step.connection)? {
                if !row.state.can_send() {
                    continue;
                }
                if row.proposals == 0 {
                    outbox::release_epoch(step.connection, row.id)?;
                    continue;
                }
                let devices = rooms::roster(step.connection, row.id)?.len();
                let delay_ms = commit_delay_ms(devices, &mut step.rng);
                want_cover(step, &row.room, delay_ms)?;
            }
            Ok(())
        })
    }
}

/// The frame of an outbox row; encrypts where there is no ciphertext, or one that is too old.
fn submission(step: &mut Step<'_>, row: OutboxRow) -> Result<Option<Outgoing>, VaultError> {
    let (hub, current) = {
        let room = step.room(&row.room)?;
        (room.hub.clone(), room.epoch)
    };
    let fresh = |epoch: &_| !is_stale(*epoch, current);
    let (epoch, ciphertext) = match (row.epoch.filter(fresh), row.ciphertext) {
        (Some(epoch), Some(ciphertext)) => (epoch, ciphertext),
        _ => {
            let content = messages::at_row(step.connection, row.message)?;
            let content = content.ok_or(VaultError::Damaged("an outbox row has no message"))?;
            let bytes = content.content.to_cbor();
            let Some(new) = encrypt(step, &row.room, &row.message_id, &bytes)? else {
                let until = (Held::UntilEpochEnds, step.now);
                outbox::hold(step.connection, row.message, until.0, until.1)?;
                return Ok(None);
            };
            outbox::encrypted(step.connection, row.message, &new)?;
            (new.epoch, new.ciphertext)
        }
    };
    let submission = Submission {
        room: row.room,
        message_id: row.message_id,
        epoch,
        ciphertext: ciphertext.into(),
    };
    Ok(Some(Outgoing {
        place: row.id,
        frame: SubmitFrame { hub, submission },
    }))
}

/// An own message and how often it was refused so far; `None` for one that this vault does not know.
fn find(
    step: &mut Step<'_>,
    room: &RoomId,
    id: &MessageId,
) -> Result<Option<(OwnMessage, u32)>, VaultError> {
    let own = step.own;
    let Some(row) = step.find_room(room)? else {
        return Ok(None);
    };
    let room = row.id;
    let Some(message) = messages::find_own(step.connection, room, &own.account, id)? else {
        return Ok(None);
    };
    let waiting = outbox::of_message(step.connection, message.row)?;
    Ok(Some((message, waiting.map_or(0, |row| row.failures))))
}

/// Notes a refusal that came by way of the device's queue.
pub(crate) fn refused(
    step: &mut Step<'_>,
    room: &RoomId,
    id: &MessageId,
    fault: &Fault,
) -> Result<(), VaultError> {
    let Some((message, failures)) = find(step, room, id)? else {
        return Ok(());
    };
    let next = after_refusal(message.state, fault, failures, &mut step.rng);
    follow(step, room, message, next)
}

fn follow(
    step: &mut Step<'_>,
    room: &RoomId,
    message: OwnMessage,
    next: Next,
) -> Result<(), VaultError> {
    match next {
        Next::Note(state) if state == message.state => Ok(()),
        Next::Note(state) => {
            messages::set_state(step.connection, message.row, state, None)?;
            if state.position().is_some() {
                let until = (Held::UntilEntry, step.now);
                outbox::hold(step.connection, message.row, until.0, until.1)?;
            }
            note_state(step, message.row, state)
        }
        Next::EncryptAgain => encrypt_again(step, room, message.row),
        Next::Resubmit { delay_ms } => {
            let not_before = step.now.after(delay_ms);
            outbox::hold(step.connection, message.row, Held::UntilTime, not_before)
        }
        Next::Fail(code) => {
            let failed = MessageState::Failed(code);
            messages::set_state(step.connection, message.row, failed, None)?;
            outbox::take(step.connection, message.row)?;
            note_state(step, message.row, failed)
        }
    }
}

/// Encrypts again in the room's epoch, or as soon as that is a newer one than the refused one.
fn encrypt_again(step: &mut Step<'_>, room: &RoomId, message: u64) -> Result<(), VaultError> {
    let current = step.room(room)?.epoch;
    let Some(row) = outbox::of_message(step.connection, message)? else {
        return Ok(());
    };
    // Another process may have encrypted it again already: that copy is on its way.
    if row.epoch.is_some_and(|epoch| epoch < current) {
        outbox::drop_ciphertext(step.connection, message)?;
        return outbox::requeue(step.connection, message);
    }
    outbox::hold(step.connection, message, Held::UntilEpochEnds, step.now)
}

/// Notes that an own message went on.
pub(crate) fn note_state(step: &Step<'_>, row: u64, state: MessageState) -> Result<(), VaultError> {
    step.note(&Occurrence::State(StateChange {
        row,
        state: StoredState::from(state),
    }))
}
