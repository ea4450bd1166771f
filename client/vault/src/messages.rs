//! Rows of messages.

use entente_client_core::event::StoredState;
use entente_client_core::message::{
    HandleTrust, LogPosition, Message, MessageState, Sender, content_id,
};
use entente_groups::{MessageId, RoomId};
use entente_identity::{AccountDid, Handle, UnixMillis};
use entente_protocol::content::Content;
use entente_protocol::entry::{Seq, Term};
use rusqlite::{Connection, Row, params};

use crate::columns::{Root, Text, optional, senseless};
use crate::error::VaultError;

/// A message to be inserted.
pub(crate) struct NewMessage<'a> {
    pub(crate) room: i64,
    pub(crate) sender: i64,
    pub(crate) id: MessageId,
    pub(crate) own: bool,
    pub(crate) state: MessageState,
    pub(crate) time: UnixMillis,
    pub(crate) content: &'a [u8],
}

/// An own message, as far as its fate is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnMessage {
    pub(crate) row: u64,
    pub(crate) state: MessageState,
}

const SELECT: &str = "SELECT m.id, r.room, m.message_id, a.root, a.handle, m.own, m.state, m.fault,
                             m.term, m.seq, m.time, m.content, r.delivered, h.account, m.sender
                      FROM message m
                      JOIN room r ON r.id = m.room
                      JOIN account a ON a.id = m.sender
                      LEFT JOIN handle_pin h ON h.handle = a.handle";

fn position(row: &Row<'_>, term: usize, seq: usize) -> rusqlite::Result<Option<(Term, Seq)>> {
    let (term, seq): (Option<u32>, Option<u64>) = (row.get(term)?, row.get(seq)?);
    Ok(term.zip(seq).map(|(term, seq)| (Term(term), Seq(seq))))
}

/// The state in the columns `first`..: state, fault, term, seq.
fn state(row: &Row<'_>, first: usize) -> rusqlite::Result<MessageState> {
    let stored = StoredState {
        number: row.get(first)?,
        fault: row.get(first + 1)?,
        at: position(row, first + 2, first + 3)?,
    };
    stored
        .state()
        .ok_or_else(|| senseless(first, "no message state"))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Message> {
    let room = RoomId(row.get(1)?);
    let account = row.get::<_, Root>(3)?.0;
    let content: Vec<u8> = row.get(11)?;
    let content = Content::from_cbor(&content).map_err(|_| senseless(11, "no MIMI content"))?;
    let delivered = Seq(row.get(12)?);
    let state = match state(row, 6)? {
        MessageState::Ordered(at) if at.seq <= delivered => MessageState::Delivered(at),
        state => state,
    };
    let (pinned, sender): (Option<i64>, i64) = (row.get(13)?, row.get(14)?);
    let trust = match pinned {
        None => HandleTrust::Claimed,
        Some(pinned) if pinned == sender => HandleTrust::Confirmed,
        Some(_) => HandleTrust::Contradicted,
    };
    Ok(Message {
        row: row.get(0)?,
        room,
        id: MessageId(row.get(2)?),
        content_id: content_id(&content, &account, &room),
        sender: Sender {
            account,
            handle: row.get::<_, Text<Handle>>(4)?.0,
            trust,
        },
        own: row.get(5)?,
        state,
        time: UnixMillis(row.get(10)?),
        content,
    })
}

/// Inserts a message; `None` if its sender has sent one of this id before.
pub(crate) fn insert(
    connection: &Connection,
    new: &NewMessage<'_>,
) -> Result<Option<u64>, VaultError> {
    let state = StoredState::from(new.state);
    let mut statement = connection.prepare_cached(
        "INSERT OR IGNORE INTO message (room, seq, term, sender, message_id, own, state, fault,
                                        time, content)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) RETURNING id",
    )?;
    optional(statement.query_row(
        params![
            new.room,
            state.at.map(|(_, seq)| seq.0),
            state.at.map(|(term, _)| term.0),
            new.sender,
            new.id.0,
            new.own,
            state.number,
            state.fault,
            new.time.0,
            new.content,
        ],
        |row| row.get(0),
    ))
}

/// Sets how far an own message has come, and when it was ordered.
pub(crate) fn set_state(
    connection: &Connection,
    row: u64,
    state: MessageState,
    ordered: Option<UnixMillis>,
) -> Result<(), VaultError> {
    let state = StoredState::from(state);
    connection
        .prepare_cached(
            "UPDATE message SET state = ?2, fault = ?3, term = ?4, seq = ?5,
                                time = coalesce(?6, time)
             WHERE id = ?1",
        )?
        .execute(params![
            row,
            state.number,
            state.fault,
            state.at.map(|(term, _)| term.0),
            state.at.map(|(_, seq)| seq.0),
            ordered.map(|time| time.0),
        ])?;
    Ok(())
}

/// A message of this account by its id.
pub(crate) fn find_own(
    connection: &Connection,
    room: i64,
    account: &AccountDid,
    id: &MessageId,
) -> Result<Option<OwnMessage>, VaultError> {
    let mut statement = connection.prepare_cached(
        "SELECT m.id, m.state, m.fault, m.term, m.seq
         FROM message m JOIN account a ON a.id = m.sender
         WHERE m.room = ?1 AND a.root = ?2 AND m.message_id = ?3",
    )?;
    let root = account.root_key().as_bytes();
    optional(statement.query_row(params![room, root, id.0], |row| {
        Ok(OwnMessage {
            row: row.get(0)?,
            state: state(row, 1)?,
        })
    }))
}

/// A message by its row.
pub(crate) fn at_row(connection: &Connection, row: u64) -> Result<Option<Message>, VaultError> {
    let sql = format!("{SELECT} WHERE m.id = ?1");
    optional(connection.prepare_cached(&sql)?.query_row([row], read))
}

/// A message by its id; this account's before one of another that happens to have the same.
pub(crate) fn by_id(
    connection: &Connection,
    room: i64,
    id: &MessageId,
) -> Result<Option<Message>, VaultError> {
    let sql = format!(
        "{SELECT} WHERE m.room = ?1 AND m.message_id = ?2 ORDER BY m.own DESC, m.id LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    optional(statement.query_row(params![room, id.0], read))
}

/// The last ordered messages before a position, in ascending order.
pub(crate) fn page(
    connection: &Connection,
    room: i64,
    before: Option<Seq>,
    limit: usize,
) -> Result<Vec<Message>, VaultError> {
    let sql = format!(
        "{SELECT} WHERE m.room = ?1 AND m.seq IS NOT NULL AND m.seq < ?2
         ORDER BY m.seq DESC LIMIT ?3"
    );
    let before = before.map_or(i64::MAX as u64, |seq| seq.0);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![room, before, limit], read)?;
    let mut messages: Vec<Message> = rows.collect::<Result<_, _>>()?;
    messages.reverse();
    Ok(messages)
}

/// Own messages of a room, or of all rooms, that are in no log, in the order in which they were written.
pub(crate) fn not_ordered(
    connection: &Connection,
    room: Option<i64>,
) -> Result<Vec<Message>, VaultError> {
    let sql = format!("{SELECT} WHERE m.seq IS NULL AND (?1 IS NULL OR m.room = ?1) ORDER BY m.id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([room], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// When the last message of a room came, and how many of others come after a position.
pub(crate) fn glance(
    connection: &Connection,
    room: i64,
    read_seq: Seq,
) -> Result<(Option<UnixMillis>, u32), VaultError> {
    let last = connection
        .prepare_cached(
            "SELECT time FROM message WHERE room = ?1 AND seq IS NOT NULL
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([room], |row| Ok(UnixMillis(row.get(0)?)));
    let unread = connection
        .prepare_cached("SELECT count(*) FROM message WHERE room = ?1 AND seq > ?2 AND own = 0")?
        .query_row(params![room, read_seq.0], |row| row.get(0))?;
    Ok((optional(last)?, unread))
}

/// The position that states of a message share with the log.
pub(crate) fn at(term: Term, seq: Seq) -> MessageState {
    MessageState::Ordered(LogPosition { term, seq })
}
