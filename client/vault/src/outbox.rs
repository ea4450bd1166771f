//! Rows of own messages that have not come back in the log.

use entente_groups::{Epoch, MessageId, RoomId};
use entente_identity::UnixMillis;
use rusqlite::{Connection, Row, params};

use crate::columns::optional;
use crate::error::VaultError;

/// Why a message is not handed over now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Held {
    /// It is to be handed over.
    No = 0,
    /// Until the room's epoch is over.
    UntilEpochEnds = 1,
    /// Until a time.
    UntilTime = 2,
    /// It is ordered, by the server's word; its entry has not come.
    UntilEntry = 3,
}

/// An own message that has not come back in the log.
#[derive(Clone, Debug)]
pub(crate) struct OutboxRow {
    /// Its place in the order of handing over.
    pub(crate) id: u64,
    /// The message's row.
    pub(crate) message: u64,
    pub(crate) room: RoomId,
    pub(crate) message_id: MessageId,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) ciphertext: Option<Vec<u8>>,
    pub(crate) failures: u32,
}

const SELECT: &str =
    "SELECT o.id, o.message, r.room, m.message_id, o.epoch, o.ciphertext, o.failures
                      FROM outbox o
                      JOIN message m ON m.id = o.message
                      JOIN room r ON r.id = o.room";

fn read(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    Ok(OutboxRow {
        id: row.get(0)?,
        message: row.get(1)?,
        room: RoomId(row.get(2)?),
        message_id: MessageId(row.get(3)?),
        epoch: row.get::<_, Option<u64>>(4)?.map(Epoch),
        ciphertext: row.get(5)?,
        failures: row.get(6)?,
    })
}

/// A ciphertext, the epoch in which it was made, and its hash.
pub(crate) struct Encrypted {
    pub(crate) epoch: Epoch,
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) hash: [u8; 32],
}

pub(crate) fn insert(
    connection: &Connection,
    message: u64,
    room: i64,
    encrypted: Option<&Encrypted>,
    held: Held,
) -> Result<(), VaultError> {
    connection
        .prepare_cached(
            "INSERT INTO outbox (message, room, epoch, ciphertext, hashes, held, not_before,
                                 failures)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, 0)",
        )?
        .execute(params![
            message,
            room,
            encrypted.map(|e| e.epoch.0),
            encrypted.map(|e| e.ciphertext.as_slice()),
            encrypted.map_or(&[][..], |e| e.hash.as_slice()),
            held as u8,
        ])?;
    Ok(())
}

/// Stores a new ciphertext; the hashes of earlier ones stay, since any of them may be in the log.
pub(crate) fn encrypted(
    connection: &Connection,
    message: u64,
    encrypted: &Encrypted,
) -> Result<(), VaultError> {
    let mut all = hashes(connection, message)?;
    all.extend_from_slice(&encrypted.hash);
    connection
        .prepare_cached(
            "UPDATE outbox SET epoch = ?2, ciphertext = ?3, hashes = ?4 WHERE message = ?1",
        )?
        .execute(params![
            message,
            encrypted.epoch.0,
            encrypted.ciphertext,
            all,
        ])?;
    Ok(())
}

/// Takes a message's row out; says which hashes its ciphertexts had.
pub(crate) fn take(connection: &Connection, message: u64) -> Result<Option<Vec<u8>>, VaultError> {
    let mut statement =
        connection.prepare_cached("DELETE FROM outbox WHERE message = ?1 RETURNING hashes")?;
    optional(statement.query_row([message], |row| row.get(0)))
}

/// The hashes of a message's ciphertexts.
pub(crate) fn hashes(connection: &Connection, message: u64) -> Result<Vec<u8>, VaultError> {
    let mut statement =
        connection.prepare_cached("SELECT hashes FROM outbox WHERE message = ?1")?;
    let hashes = optional(statement.query_row([message], |row| row.get(0)))?;
    Ok(hashes.unwrap_or_default())
}

pub(crate) fn of_message(
    connection: &Connection,
    message: u64,
) -> Result<Option<OutboxRow>, VaultError> {
    let sql = format!("{SELECT} WHERE o.message = ?1");
    optional(connection.prepare_cached(&sql)?.query_row([message], read))
}

/// Holds a message back.
pub(crate) fn hold(
    connection: &Connection,
    message: u64,
    held: Held,
    not_before: UnixMillis,
) -> Result<(), VaultError> {
    connection
        .prepare_cached(
            "UPDATE outbox SET held = ?2, not_before = ?3, failures = failures + 1
             WHERE message = ?1",
        )?
        .execute(params![message, held as u8, not_before.0])?;
    Ok(())
}

/// Whether [`due`] or [`release_due`] would find something; needs no transaction.
pub(crate) fn anything_due(
    connection: &Connection,
    after: u64,
    now: UnixMillis,
) -> Result<bool, VaultError> {
    let found = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM outbox
                            WHERE (id > ?1 AND held = 0) OR (held = 2 AND not_before <= ?2))",
        )?
        .query_row(params![after, now.0], |row| row.get(0))?;
    Ok(found)
}

/// Puts what was held until now at the end of what is to be handed over.
pub(crate) fn release_due(connection: &Connection, now: UnixMillis) -> Result<(), VaultError> {
    release(connection, "held = 2 AND not_before <= ?1", now.0)
}

/// Puts what a room held until its epoch ended at the end of what is to be handed over, to be
/// encrypted again.
pub(crate) fn release_epoch(connection: &Connection, room: i64) -> Result<(), VaultError> {
    connection
        .prepare_cached("UPDATE outbox SET ciphertext = NULL WHERE room = ?1 AND held = 1")?
        .execute([room])?;
    release(connection, "held = 1 AND room = ?1", room)
}

fn release(
    connection: &Connection,
    which: &str,
    parameter: impl rusqlite::ToSql,
) -> Result<(), VaultError> {
    let rows: Vec<u64> = {
        let sql = format!("SELECT message FROM outbox WHERE {which} ORDER BY id");
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([parameter], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    rows.into_iter()
        .try_for_each(|message| requeue(connection, message))
}

/// Forgets a ciphertext, so that the message is encrypted again; its hash stays.
pub(crate) fn drop_ciphertext(connection: &Connection, message: u64) -> Result<(), VaultError> {
    connection
        .prepare_cached("UPDATE outbox SET ciphertext = NULL WHERE message = ?1")?
        .execute([message])?;
    Ok(())
}

/// Gives a message a new place at the end of what is to be handed over.
pub(crate) fn requeue(connection: &Connection, message: u64) -> Result<(), VaultError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO outbox (message, room, epoch, ciphertext, hashes, held,
                                            not_before, failures)
             SELECT message, room, epoch, ciphertext, hashes, 0, 0, failures
             FROM outbox WHERE message = ?1",
        )?
        .execute([message])?;
    Ok(())
}

/// What is to be handed over, in order, after a place in it.
pub(crate) fn due(
    connection: &Connection,
    after: u64,
    limit: usize,
) -> Result<Vec<OutboxRow>, VaultError> {
    let sql = format!("{SELECT} WHERE o.id > ?1 AND o.held = 0 ORDER BY o.id LIMIT ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![after, limit], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Rows of a room.
pub(crate) fn of_room(connection: &Connection, room: i64) -> Result<Vec<OutboxRow>, VaultError> {
    let sql = format!("{SELECT} WHERE o.room = ?1 ORDER BY o.id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([room], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// How many messages of a room are not ordered yet.
pub(crate) fn waiting(connection: &Connection, room: i64) -> Result<u32, VaultError> {
    let count = connection
        .prepare_cached("SELECT count(*) FROM outbox WHERE room = ?1 AND held <> 3")?
        .query_row([room], |row| row.get(0))?;
    Ok(count)
}

/// When the next row is due that is held until a time after `now`.
pub(crate) fn next_due(
    connection: &Connection,
    now: UnixMillis,
) -> Result<Option<UnixMillis>, VaultError> {
    let due: Option<u64> = connection
        .prepare_cached("SELECT min(not_before) FROM outbox WHERE held = 2 AND not_before > ?1")?
        .query_row([now.0], |row| row.get(0))?;
    Ok(due.map(UnixMillis))
}
