//! Reading a message: whose it is, whether it is new, what it says.

use entente_client_core::event::{Occurrence, ProblemKind, ProfileNote};
use entente_client_core::invite::cut;
use entente_groups::{EpochSnapshot, LateFault, ProcessFault, Processed, ReadMessage, RoomId};
use entente_protocol::content::{Content, Meaning};
use entente_protocol::entry::Entry;
use rusqlite::params;

use crate::columns::optional;
use crate::error::VaultError;
use crate::messages::{self, NewMessage, OwnMessage};
use crate::ops::entries::has_form;
use crate::ops::submit::note_state;
use crate::step::Step;
use crate::{accounts, outbox, rooms};

/// What reading a ciphertext gave.
enum Outcome {
    /// Another device's message.
    Message(Box<ReadMessage>),
    /// A ciphertext of this device that its outbox does not know.
    Own,
    /// A repetition, or from before this device came in: nothing to be said about it.
    Nothing,
    /// Not readable.
    Unreadable(String),
}

/// Reads a message of the log. Whatever is wrong with it concerns this message alone.
pub(crate) fn read(step: &mut Step<'_>, room: &RoomId, entry: &Entry) -> Result<(), VaultError> {
    if let Some(message) = find_own(step, room, entry)? {
        return came_back(step, room, entry, message);
    }
    match decrypt(step, room, entry)? {
        Outcome::Message(message) => received(step, room, entry, *message),
        Outcome::Nothing => Ok(()),
        Outcome::Own => {
            let text = "a message in the name of this device is in the log, which it did not send";
            step.problem(Some(*room), ProblemKind::SenderMismatch, text)
        }
        Outcome::Unreadable(why) => {
            let seq = entry.header.seq.0;
            let text = format!("the message at position {seq} could not be read: {why}");
            step.problem(Some(*room), ProblemKind::Unreadable, &text)
        }
    }
}

/// The own message that an entry is: of this id, with a ciphertext that this device made.
fn find_own(
    step: &mut Step<'_>,
    room: &RoomId,
    entry: &Entry,
) -> Result<Option<OwnMessage>, VaultError> {
    let (own, header) = (step.own, &entry.header);
    let id = step.room(room)?.id;
    let found = messages::find_own(step.connection, id, &own.account, &header.message_id)?;
    let Some(message) = found else {
        return Ok(None);
    };
    let hashes = outbox::hashes(step.connection, message.row)?;
    let made = hashes.chunks_exact(32).any(|hash| hash == header.body_hash);
    Ok(made.then_some(message))
}

fn came_back(
    step: &mut Step<'_>,
    room: &RoomId,
    entry: &Entry,
    message: OwnMessage,
) -> Result<(), VaultError> {
    let header = &entry.header;
    let state = messages::at(header.term, header.seq);
    messages::set_state(step.connection, message.row, state, Some(header.time))?;
    outbox::take(step.connection, message.row)?;
    match message.state.position() {
        Some(told) if told.seq == header.seq => Ok(()),
        Some(told) => {
            let text = format!(
                "the server said that a message is at position {}, it is at {}",
                told.seq.0, header.seq.0
            );
            step.problem(Some(*room), ProblemKind::ServerMisbehaved, &text)
        }
        None => note_state(step, message.row, state),
    }
}

fn decrypt(step: &mut Step<'_>, room: &RoomId, entry: &Entry) -> Result<Outcome, VaultError> {
    let body = entry.body.as_slice();
    if !has_form(entry, body) {
        return Ok(Outcome::Unreadable(
            "it is no message of its epoch".to_owned(),
        ));
    }
    match step.member(room)?.process(body, entry.header.time) {
        Ok(Processed::Application(message)) => Ok(Outcome::Message(Box::new(message))),
        Ok(Processed::OwnApplication(_)) => Ok(Outcome::Own),
        Ok(Processed::Proposal(_) | Processed::Commit(_)) => Err(VaultError::Damaged(
            "a message was processed as a handshake",
        )),
        Err(ProcessFault::Repeated) => Ok(Outcome::Nothing),
        Err(ProcessFault::PastEpoch { .. }) => decrypt_late(step, room, entry),
        Err(ProcessFault::State(fault)) => Err(fault.into()),
        Err(fault) => Ok(Outcome::Unreadable(fault.to_string())),
    }
}

/// Reads a message that was encrypted before a commit and ordered after it.
fn decrypt_late(step: &mut Step<'_>, room: &RoomId, entry: &Entry) -> Result<Outcome, VaultError> {
    let epoch = entry.header.epoch;
    let row = step.room(room)?;
    let (id, first_epoch) = (row.id, row.first_epoch);
    let mut statement = step
        .connection
        .prepare_cached("SELECT snapshot FROM epoch_snapshot WHERE room = ?1 AND epoch = ?2")?;
    let snapshot = statement.query_row(params![id, epoch.0], |row| row.get::<_, Vec<u8>>(0));
    let Some(snapshot) = optional(snapshot)? else {
        // Nobody lets a newcomer read what was said before it came.
        return Ok(if epoch < first_epoch {
            Outcome::Nothing
        } else {
            Outcome::Unreadable(format!("it is of epoch {epoch}, whose keys are gone"))
        });
    };
    let snapshot = EpochSnapshot::from_bytes(&snapshot)?;
    match step
        .member(room)?
        .read_late(&snapshot, entry.body.as_slice())
    {
        Ok(message) => Ok(Outcome::Message(Box::new(message))),
        Err(LateFault::Own) => Ok(Outcome::Own),
        Err(LateFault::Process(ProcessFault::Repeated)) => Ok(Outcome::Nothing),
        Err(fault) => Ok(Outcome::Unreadable(fault.to_string())),
    }
}

fn received(
    step: &mut Step<'_>,
    room: &RoomId,
    entry: &Entry,
    message: ReadMessage,
) -> Result<(), VaultError> {
    let header = &entry.header;
    let sender = &message.sender;
    let vouched = sender.leaf == header.sender
        && sender.home == header.origin
        && message.aad.message_id == header.message_id;
    if !vouched {
        let text = format!(
            "the message at position {} is dropped: {} vouched for another sender or id than the \
             message's own signature shows",
            header.seq.0, header.origin
        );
        return step.problem(Some(*room), ProblemKind::SenderMismatch, &text);
    }
    let Ok(content) = Content::from_cbor(&message.plaintext) else {
        let text = format!("{} sent something that is no message", sender.account);
        return step.problem(Some(*room), ProblemKind::Unreadable, &text);
    };
    let id = step.room(room)?.id;
    let account = accounts::id_of(step.connection, &sender.account)?;
    let own = sender.account == step.own.account;
    let new = NewMessage {
        room: id,
        sender: account.ok_or(VaultError::Damaged("a member has no row"))?,
        id: header.message_id,
        own,
        state: messages::at(header.term, header.seq),
        time: header.time,
        content: &message.plaintext,
    };
    let Some(row) = messages::insert(step.connection, &new)? else {
        return Ok(());
    };
    compare_histories(step, id, room, &message)?;
    match content.meaning() {
        Meaning::RoomProfile { name, topic } => take_profile(step, room, &name, &topic, &message),
        Meaning::Text(_) | Meaning::Reaction(_) | Meaning::Deleted | Meaning::Unknown { .. } => {
            step.note(&Occurrence::Message(row))
        }
    }
}

/// The sender says which entry it saw last: if that is another one than here, the hub shows different
/// histories to different members, or the sender lies. Either is worth a word.
fn compare_histories(
    step: &Step<'_>,
    id: i64,
    room: &RoomId,
    message: &ReadMessage,
) -> Result<(), VaultError> {
    let aad = &message.aad;
    let here = rooms::hash_at(step.connection, id, aad.seen_seq)?;
    if here.is_none_or(|hash| hash.0 == aad.seen_hash) {
        return Ok(());
    }
    let text = format!(
        "{} saw another entry at position {} than this device: the hub may show different \
         histories; compare with the other members",
        message.sender.account, aad.seen_seq
    );
    step.problem(Some(*room), ProblemKind::SeenElsewhere, &text)
}

fn take_profile(
    step: &mut Step<'_>,
    room: &RoomId,
    name: &str,
    topic: &str,
    message: &ReadMessage,
) -> Result<(), VaultError> {
    let (name, topic) = (cut(name), cut(topic));
    let row = step.room(room)?;
    if row.name == name && row.topic == topic {
        return Ok(());
    }
    // A first name is what an invitation or an adder tells; only a later one is a new one.
    row.renamed |= !row.name.is_empty();
    row.name = name.to_owned();
    row.topic = topic.to_owned();
    step.note(&Occurrence::Profile(ProfileNote {
        room: *room,
        name: name.as_bytes().into(),
        topic: topic.as_bytes().into(),
        by: message.sender.account,
    }))
}
