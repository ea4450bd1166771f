//! Rows of rooms, their rosters and their MLS states.

use entente_client_core::room::RoomState;
use entente_groups::{Epoch, LeafIndex, MemberInfo, RoomId, RoomPolicy, StateDelta, Suite};
use entente_identity::{AccountDid, DeviceId, Handle, ServerDid};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use rusqlite::{Connection, Row, params};

use crate::columns::{Root, Text, of_number, optional, senseless};
use crate::error::VaultError;

/// How many of the latest entry hashes of a room are kept.
const KEPT_HASHES: u64 = 512;

/// A room, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoomRow {
    pub(crate) id: i64,
    pub(crate) room: RoomId,
    pub(crate) hub: ServerDid,
    pub(crate) suite: Suite,
    pub(crate) state: RoomState,
    pub(crate) name: String,
    pub(crate) topic: String,
    /// Whether the profile was changed after the room was founded.
    pub(crate) renamed: bool,
    pub(crate) policy: RoomPolicy,
    /// Counts the changes of the MLS state.
    pub(crate) version: u64,
    pub(crate) epoch: Epoch,
    /// The epoch in which this device came in.
    pub(crate) first_epoch: Epoch,
    pub(crate) head: Option<Head>,
    /// Proposals of others that wait for a commit.
    pub(crate) proposals: u32,
    pub(crate) delivered: Seq,
    pub(crate) read_seq: Seq,
}

impl RoomRow {
    /// The last position that was processed.
    pub(crate) fn cursor(&self) -> Seq {
        self.head.map_or(Seq(0), |head| head.seq)
    }
}

/// A device in a room, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RosterRow {
    pub(crate) leaf: LeafIndex,
    pub(crate) account: AccountDid,
    pub(crate) handle: Handle,
    pub(crate) device: DeviceId,
    pub(crate) leaving: bool,
}

const COLUMNS: &str = "id, room, hub, suite, state, name, topic, renamed, policy, version, epoch,
                       first_epoch, head_term, head_seq, head_hash, proposals, delivered, read_seq";

fn read(row: &Row<'_>) -> rusqlite::Result<RoomRow> {
    let head = match (row.get(12)?, row.get(13)?, row.get(14)?) {
        (Some(term), Some(seq), Some(hash)) => Some(Head {
            term: Term(term),
            seq: Seq(seq),
            hash: EntryHash(hash),
        }),
        _ => None,
    };
    let policy: Vec<u8> = row.get(8)?;
    let policy = RoomPolicy::from_bytes(&policy).map_err(|_| senseless(8, "no room policy"))?;
    let suite = Suite::from_code_point(row.get(3)?).map_err(|_| senseless(3, "no suite"))?;
    Ok(RoomRow {
        id: row.get(0)?,
        room: RoomId(row.get(1)?),
        hub: row.get::<_, Text<ServerDid>>(2)?.0,
        suite,
        state: of_number(row, 4, RoomState::from_number)?,
        name: row.get(5)?,
        topic: row.get(6)?,
        renamed: row.get(7)?,
        policy,
        version: row.get(9)?,
        epoch: Epoch(row.get(10)?),
        first_epoch: Epoch(row.get(11)?),
        head,
        proposals: row.get(15)?,
        delivered: Seq(row.get(16)?),
        read_seq: Seq(row.get(17)?),
    })
}

pub(crate) fn find(connection: &Connection, room: &RoomId) -> Result<Option<RoomRow>, VaultError> {
    let sql = format!("SELECT {COLUMNS} FROM room WHERE room = ?1");
    optional(connection.prepare_cached(&sql)?.query_row([room.0], read))
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<RoomRow>, VaultError> {
    let sql = format!("SELECT {COLUMNS} FROM room ORDER BY id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Inserts a room; its `id` is ignored, the row with the right one is returned.
pub(crate) fn insert(connection: &Connection, row: RoomRow) -> Result<RoomRow, VaultError> {
    connection
        .prepare_cached(
            "INSERT INTO room (room, hub, suite, state, name, topic, renamed, policy, version,
                               epoch, first_epoch, head_term, head_seq, head_hash, proposals,
                               delivered, read_seq)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?
        .execute(params![
            row.room.0,
            row.hub.to_string(),
            row.suite.code_point(),
            row.state as u8,
            row.name,
            row.topic,
            row.renamed,
            row.policy.to_bytes(),
            row.version,
            row.epoch.0,
            row.first_epoch.0,
            row.head.map(|head| head.term.0),
            row.head.map(|head| head.seq.0),
            row.head.map(|head| head.hash.0),
            row.proposals,
            row.delivered.0,
            row.read_seq.0,
        ])?;
    Ok(RoomRow {
        id: connection.last_insert_rowid(),
        ..row
    })
}

pub(crate) fn update(connection: &Connection, row: &RoomRow) -> Result<(), VaultError> {
    connection
        .prepare_cached(
            "UPDATE room SET hub = ?2, suite = ?3, state = ?4, name = ?5, topic = ?6, renamed = ?7,
                             policy = ?8, version = ?9, epoch = ?10, first_epoch = ?11,
                             head_term = ?12, head_seq = ?13, head_hash = ?14, proposals = ?15,
                             delivered = ?16, read_seq = ?17
             WHERE id = ?1",
        )?
        .execute(params![
            row.id,
            row.hub.to_string(),
            row.suite.code_point(),
            row.state as u8,
            row.name,
            row.topic,
            row.renamed,
            row.policy.to_bytes(),
            row.version,
            row.epoch.0,
            row.first_epoch.0,
            row.head.map(|head| head.term.0),
            row.head.map(|head| head.seq.0),
            row.head.map(|head| head.hash.0),
            row.proposals,
            row.delivered.0,
            row.read_seq.0,
        ])?;
    Ok(())
}

pub(crate) type MlsRows = Vec<(Vec<u8>, Vec<u8>)>;

pub(crate) fn mls_rows(connection: &Connection, room: i64) -> Result<MlsRows, VaultError> {
    let mut statement =
        connection.prepare_cached("SELECT key, value FROM mls_state WHERE room = ?1")?;
    let rows = statement.query_map([room], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn delete_mls_rows(connection: &Connection, room: i64) -> Result<(), VaultError> {
    connection
        .prepare_cached("DELETE FROM mls_state WHERE room = ?1")?
        .execute([room])?;
    Ok(())
}

pub(crate) fn apply_delta(
    connection: &Connection,
    room: i64,
    delta: &StateDelta,
) -> Result<(), VaultError> {
    let mut delete =
        connection.prepare_cached("DELETE FROM mls_state WHERE room = ?1 AND key = ?2")?;
    for key in &delta.deletes {
        delete.execute(params![room, key])?;
    }
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO mls_state (room, key, value) VALUES (?1, ?2, ?3)",
    )?;
    for (key, value) in &delta.puts {
        put.execute(params![room, key, value])?;
    }
    Ok(())
}

/// Keeps the hash of an entry, and forgets old ones now and then.
pub(crate) fn keep_hash(connection: &Connection, room: i64, head: &Head) -> Result<(), VaultError> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO entry_hash (room, seq, hash) VALUES (?1, ?2, ?3)")?
        .execute(params![room, head.seq.0, head.hash.0])?;
    if head.seq.0.is_multiple_of(64) {
        connection
            .prepare_cached("DELETE FROM entry_hash WHERE room = ?1 AND seq < ?2")?
            .execute(params![room, head.seq.0.saturating_sub(KEPT_HASHES)])?;
    }
    Ok(())
}

/// The hash of an entry, if it is still kept.
pub(crate) fn hash_at(
    connection: &Connection,
    room: i64,
    seq: u64,
) -> Result<Option<EntryHash>, VaultError> {
    let mut statement =
        connection.prepare_cached("SELECT hash FROM entry_hash WHERE room = ?1 AND seq = ?2")?;
    optional(statement.query_row(params![room, seq], |row| Ok(EntryHash(row.get(0)?))))
}

pub(crate) fn roster(connection: &Connection, room: i64) -> Result<Vec<RosterRow>, VaultError> {
    let mut statement = connection.prepare_cached(
        "SELECT r.leaf, a.root, a.handle, r.device, r.leaving
         FROM roster r JOIN account a ON a.id = r.account WHERE r.room = ?1 ORDER BY r.leaf",
    )?;
    let rows = statement.query_map([room], |row| {
        Ok(RosterRow {
            leaf: LeafIndex(row.get(0)?),
            account: row.get::<_, Root>(1)?.0,
            handle: row.get::<_, Text<Handle>>(2)?.0,
            device: DeviceId(row.get(3)?),
            leaving: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn put_in_roster(
    connection: &Connection,
    room: i64,
    account: i64,
    member: &MemberInfo,
) -> Result<(), VaultError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO roster (room, leaf, account, device, leaving)
             VALUES (?1, ?2, ?3, ?4, 0)",
        )?
        .execute(params![room, member.leaf.0, account, member.device.0])?;
    Ok(())
}

/// Takes a leaf out of the roster; says whether it had asked to leave, if it was there.
pub(crate) fn take_from_roster(
    connection: &Connection,
    room: i64,
    leaf: LeafIndex,
) -> Result<Option<bool>, VaultError> {
    let mut statement = connection
        .prepare_cached("DELETE FROM roster WHERE room = ?1 AND leaf = ?2 RETURNING leaving")?;
    optional(statement.query_row(params![room, leaf.0], |row| row.get(0)))
}

pub(crate) fn mark_leaving(
    connection: &Connection,
    room: i64,
    leaf: LeafIndex,
) -> Result<(), VaultError> {
    connection
        .prepare_cached("UPDATE roster SET leaving = 1 WHERE room = ?1 AND leaf = ?2")?
        .execute(params![room, leaf.0])?;
    Ok(())
}

pub(crate) fn clear_roster(connection: &Connection, room: i64) -> Result<(), VaultError> {
    connection
        .prepare_cached("DELETE FROM roster WHERE room = ?1")?
        .execute([room])?;
    Ok(())
}
