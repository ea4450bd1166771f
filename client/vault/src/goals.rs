//! Rows of goals: what is wanted in a room, and the call that is in flight for it.

use entente_client_core::goal::{Goal, GoalId, GoalState};
use entente_groups::{CommitBundle, Epoch, MessageId, RoomId};
use entente_identity::{UnixMillis, encode};
use entente_protocol::fault::FaultCode;
use rusqlite::{Connection, Row, params};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::columns::{Tls, of_number, optional};
use crate::error::VaultError;

/// A goal, as stored.
#[derive(Clone, Debug)]
pub(crate) struct GoalRow {
    pub(crate) id: GoalId,
    pub(crate) room: RoomId,
    pub(crate) state: GoalState,
    pub(crate) goal: Goal,
    pub(crate) message_id: Option<MessageId>,
    pub(crate) call: Option<StoredCall>,
    pub(crate) remade: u32,
    pub(crate) failures: u32,
    pub(crate) not_before: UnixMillis,
}

/// What is in flight, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub(crate) enum StoredCall {
    /// The founding of a room, all of which stands in the goal.
    #[tls_codec(discriminant = 1)]
    Create,
    /// A commit bundle.
    #[tls_codec(discriminant = 2)]
    Commit(StoredBundle),
    /// A proposal.
    #[tls_codec(discriminant = 3)]
    Propose(VLBytes),
}

/// A commit bundle.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub(crate) struct StoredBundle {
    pub(crate) commit: VLBytes,
    pub(crate) welcome: Option<VLBytes>,
    pub(crate) group_info: VLBytes,
}

/// How a goal ended, or that it has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GoalFate {
    /// It is worked on.
    Open(GoalState),
    /// Reached.
    Done,
    /// Refused for good.
    Failed {
        /// Why, as a fault's code; `None` if it failed on this device.
        code: Option<FaultCode>,
        /// Why, for a person.
        detail: String,
    },
}

impl From<&CommitBundle> for StoredBundle {
    fn from(bundle: &CommitBundle) -> Self {
        Self {
            commit: bundle.commit.as_slice().into(),
            welcome: bundle.welcome.as_deref().map(Into::into),
            group_info: bundle.group_info.as_slice().into(),
        }
    }
}

impl From<&StoredBundle> for CommitBundle {
    fn from(bundle: &StoredBundle) -> Self {
        Self {
            commit: bundle.commit.as_slice().to_vec(),
            welcome: bundle.welcome.as_ref().map(|w| w.as_slice().to_vec()),
            group_info: bundle.group_info.as_slice().to_vec(),
        }
    }
}

const SELECT: &str = "SELECT g.id, r.room, g.state, g.goal, g.message_id, g.call, g.remade,
                             g.failures, g.not_before
                      FROM goal g JOIN room r ON r.id = g.room";

fn read(row: &Row<'_>) -> rusqlite::Result<GoalRow> {
    Ok(GoalRow {
        id: GoalId(row.get(0)?),
        room: RoomId(row.get(1)?),
        state: of_number(row, 2, GoalState::from_number)?,
        goal: row.get::<_, Tls<Goal>>(3)?.0,
        message_id: row.get::<_, Option<[u8; 16]>>(4)?.map(MessageId),
        call: row.get::<_, Option<Tls<StoredCall>>>(5)?.map(|call| call.0),
        remade: row.get(6)?,
        failures: row.get(7)?,
        not_before: UnixMillis(row.get(8)?),
    })
}

/// Wants something, not before a time.
pub(crate) fn insert(
    connection: &Connection,
    room: i64,
    goal: &Goal,
    not_before: UnixMillis,
    now: UnixMillis,
) -> Result<GoalId, VaultError> {
    connection.execute(
        "INSERT INTO goal (room, state, goal, remade, failures, not_before, fault, detail, changed)
         VALUES (?1, ?2, ?3, 0, 0, ?4, 0, '', ?5)",
        params![
            room,
            GoalState::Wanted.number(),
            encode(goal),
            not_before.0,
            now.0
        ],
    )?;
    let id = u64::try_from(connection.last_insert_rowid());
    Ok(GoalId(id.expect("SQLite counts rows from 1")))
}

pub(crate) fn find(connection: &Connection, id: GoalId) -> Result<Option<GoalRow>, VaultError> {
    let sql = format!("{SELECT} WHERE g.id = ?1");
    optional(connection.prepare_cached(&sql)?.query_row([id.0], read))
}

/// Goals that are not over, in the order in which they were wanted; of one room, or of all.
pub(crate) fn open(connection: &Connection, room: Option<i64>) -> Result<Vec<GoalRow>, VaultError> {
    let sql = format!("{SELECT} WHERE g.state < 3 AND (?1 IS NULL OR g.room = ?1) ORDER BY g.id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([room], read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The goal of a room for which a call was sent, if there is one.
pub(crate) fn sent(connection: &Connection, room: i64) -> Result<Option<GoalRow>, VaultError> {
    let sql = format!("{SELECT} WHERE g.room = ?1 AND g.state IN (1, 2) ORDER BY g.id LIMIT 1");
    optional(connection.prepare_cached(&sql)?.query_row([room], read))
}

/// Stores the call that is made for a goal.
pub(crate) fn call(
    connection: &Connection,
    id: GoalId,
    message_id: MessageId,
    epoch: Epoch,
    call: &StoredCall,
    now: UnixMillis,
) -> Result<(), VaultError> {
    connection.execute(
        "UPDATE goal SET state = ?2, message_id = ?3, epoch = ?4, call = ?5, failures = 0,
                         not_before = 0, changed = ?6
         WHERE id = ?1",
        params![
            id.0,
            GoalState::InFlight.number(),
            message_id.0,
            epoch.0,
            encode(call),
            now.0
        ],
    )?;
    Ok(())
}

/// The hub says that it is ordered.
pub(crate) fn ordered(
    connection: &Connection,
    id: GoalId,
    now: UnixMillis,
) -> Result<(), VaultError> {
    connection.execute(
        "UPDATE goal SET state = ?2, changed = ?3 WHERE id = ?1 AND state < 2",
        params![id.0, GoalState::Ordered.number(), now.0],
    )?;
    Ok(())
}

/// Asks again for the same, after a time.
pub(crate) fn repeat(
    connection: &Connection,
    id: GoalId,
    not_before: UnixMillis,
) -> Result<(), VaultError> {
    connection.execute(
        "UPDATE goal SET failures = failures + 1, not_before = ?2 WHERE id = ?1",
        params![id.0, not_before.0],
    )?;
    Ok(())
}

/// Forgets what was sent: the goal is made anew after a time.
pub(crate) fn anew(
    connection: &Connection,
    id: GoalId,
    not_before: UnixMillis,
    now: UnixMillis,
) -> Result<(), VaultError> {
    connection.execute(
        "UPDATE goal SET state = ?2, message_id = NULL, epoch = NULL, call = NULL,
                         remade = remade + 1, failures = 0, not_before = ?3, changed = ?4
         WHERE id = ?1",
        params![id.0, GoalState::Wanted.number(), not_before.0, now.0],
    )?;
    Ok(())
}

/// Brings a goal that has not been begun forward.
pub(crate) fn hurry(
    connection: &Connection,
    id: GoalId,
    not_before: UnixMillis,
) -> Result<(), VaultError> {
    connection.execute(
        "UPDATE goal SET not_before = min(not_before, ?2) WHERE id = ?1 AND state = 0 AND remade = 0",
        params![id.0, not_before.0],
    )?;
    Ok(())
}

pub(crate) fn done(connection: &Connection, id: GoalId, now: UnixMillis) -> Result<(), VaultError> {
    end(connection, id, (GoalState::Done, 0, ""), now)
}

pub(crate) fn failed(
    connection: &Connection,
    id: GoalId,
    code: Option<FaultCode>,
    detail: &str,
    now: UnixMillis,
) -> Result<(), VaultError> {
    let number = code.map_or(0, |code| code as u16);
    end(connection, id, (GoalState::Failed, number, detail), now)
}

/// How long an ended goal is kept for whoever waits for its end: a day.
const KEPT_MS: u64 = 24 * 3600 * 1000;

fn end(
    connection: &Connection,
    id: GoalId,
    (state, fault, detail): (GoalState, u16, &str),
    now: UnixMillis,
) -> Result<(), VaultError> {
    connection.execute(
        "UPDATE goal SET state = ?2, call = NULL, fault = ?3, detail = ?4, changed = ?5
         WHERE id = ?1",
        params![id.0, state.number(), fault, detail, now.0],
    )?;
    connection.execute(
        "DELETE FROM goal WHERE state >= 3 AND changed < ?1",
        [now.before(KEPT_MS).0],
    )?;
    Ok(())
}

/// How a goal ended, or that it has not.
pub(crate) fn fate(connection: &Connection, id: GoalId) -> Result<Option<GoalFate>, VaultError> {
    let sql = "SELECT state, fault, detail FROM goal WHERE id = ?1";
    optional(connection.prepare_cached(sql)?.query_row([id.0], |row| {
        let state = of_number(row, 0, GoalState::from_number)?;
        Ok(match state {
            GoalState::Done => GoalFate::Done,
            GoalState::Failed => GoalFate::Failed {
                code: FaultCode::from_number(row.get(1)?),
                detail: row.get(2)?,
            },
            open => GoalFate::Open(open),
        })
    }))
}

/// Whether something is to be asked now.
pub(crate) fn any_due(connection: &Connection, now: UnixMillis) -> Result<bool, VaultError> {
    let found = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM goal WHERE state < 2 AND not_before <= ?1)")?
        .query_row([now.0], |row| row.get(0))?;
    Ok(found)
}

/// When the next goal is due that is not due now.
pub(crate) fn next_due(
    connection: &Connection,
    now: UnixMillis,
) -> Result<Option<UnixMillis>, VaultError> {
    let due: Option<u64> = connection.query_row(
        "SELECT min(not_before) FROM goal WHERE state < 2 AND not_before > ?1",
        [now.0],
        |row| row.get(0),
    )?;
    Ok(due.map(UnixMillis))
}
