//! Being added by a Welcome: kept until its tree has come, then joined.

use entente_client_core::event::ProblemKind;
use entente_client_core::retry::delay_ms;
use entente_client_core::room::RoomState;
use entente_groups::{Member, MemberFault, RoomId, WelcomeOffer};
use entente_identity::{UnixMillis, encode};
use entente_protocol::call::TreeRef;
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::WelcomeItem;
use rusqlite::{Connection, params};

use crate::columns::{Tls, optional};
use crate::error::VaultError;
use crate::ops::arrive::{Arrived, activate, want_resync};
use crate::ops::goal_work::TreeWanted;
use crate::ops::invites::unknown_room;
use crate::ops::key_packages;
use crate::step::Step;
use crate::vault::{Moment, Vault};
use crate::{goals, rooms};

/// Names a Welcome whose tree has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WelcomeId(pub u64);

impl Vault {
    /// Joins with a Welcome whose tree has come.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn tree_came(
        &mut self,
        welcome: WelcomeId,
        tree: &[u8],
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        self.step(moment, |step| {
            let Some(item) = find(step, welcome)? else {
                return Ok(());
            };
            forget(step, welcome)?;
            let mut store = key_packages::load(step)?;
            let offer = WelcomeOffer {
                room: item.room,
                welcome: item.welcome.as_slice().to_vec(),
                tree: tree.to_vec(),
            };
            match Member::join_by_welcome(&offer, &mut store) {
                Ok(member) => {
                    key_packages::save(step, &mut store)?;
                    welcomed(step, &item, member)
                }
                Err(fault) => unusable(step, &item.room, &fault.to_string()),
            }
        })
    }

    /// How many Welcomes wait for their tree.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn welcomes_waiting(&mut self) -> Result<u32, VaultError> {
        let count = self
            .connection
            .query_row("SELECT count(*) FROM welcome", [], |row| row.get(0))?;
        Ok(count)
    }

    /// The tree of a Welcome is not to be had.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn tree_refused(
        &mut self,
        welcome: WelcomeId,
        fault: &Fault,
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        self.step(moment, |step| {
            let Some(item) = find(step, welcome)? else {
                return Ok(());
            };
            if fault.code == FaultCode::Gone {
                // The room has moved on too far: the device is in it, and comes back as if lost.
                forget(step, welcome)?;
                return come_back(step, &item);
            }
            if fault.code.retry_helps() || fault.code == FaultCode::NotAuthenticated {
                return postpone(step, welcome, fault.retry_after_ms);
            }
            forget(step, welcome)?;
            unusable(step, &item.room, &fault.to_string())
        })
    }
}

/// A Welcome came by way of the device's queue.
pub(crate) fn received(step: &Step<'_>, item: &WelcomeItem) -> Result<(), VaultError> {
    step.connection.execute(
        "INSERT INTO welcome (room, item, failures, not_before) VALUES (?1, ?2, 0, 0)",
        params![item.room.0, encode(item)],
    )?;
    Ok(())
}

fn find(step: &Step<'_>, welcome: WelcomeId) -> Result<Option<WelcomeItem>, VaultError> {
    let sql = "SELECT item FROM welcome WHERE id = ?1";
    optional(step.connection.query_row(sql, [welcome.0], |row| {
        Ok(row.get::<_, Tls<WelcomeItem>>(0)?.0)
    }))
}

fn forget(step: &Step<'_>, welcome: WelcomeId) -> Result<(), VaultError> {
    step.connection
        .execute("DELETE FROM welcome WHERE id = ?1", [welcome.0])?;
    Ok(())
}

fn postpone(
    step: &mut Step<'_>,
    welcome: WelcomeId,
    asked_for_ms: Option<u32>,
) -> Result<(), VaultError> {
    let sql = "SELECT failures FROM welcome WHERE id = ?1";
    let failures = step
        .connection
        .query_row(sql, [welcome.0], |row| row.get(0))?;
    let not_before = step
        .now
        .after(delay_ms(failures, asked_for_ms, &mut step.rng));
    step.connection.execute(
        "UPDATE welcome SET failures = failures + 1, not_before = ?2 WHERE id = ?1",
        params![welcome.0, not_before.0],
    )?;
    Ok(())
}

fn unusable(step: &Step<'_>, room: &RoomId, why: &str) -> Result<(), VaultError> {
    let text = format!("this device was added to a room, but cannot come in: {why}");
    step.problem(Some(*room), ProblemKind::Unusable, &text)
}

fn welcomed(step: &mut Step<'_>, item: &WelcomeItem, member: Member) -> Result<(), VaultError> {
    let room = &item.room;
    match step.find_room(room)? {
        // A second Welcome for a room in which this device is.
        Some(row) if matches!(row.state, RoomState::Active | RoomState::Leaving) => {
            return Ok(());
        }
        Some(row) => {
            row.hub = item.hub.clone();
            let id = row.id;
            for open in goals::open(step.connection, Some(id))? {
                if open.goal.needs_offer() {
                    goals::done(step.connection, open.id, step.now)?;
                }
            }
        }
        None => {
            let own = step.own.account;
            let row = unknown_room(*room, &item.hub, &own, RoomState::Joining);
            let row = rooms::insert(step.connection, row)?;
            step.adopt_room(row);
        }
    }
    if member.epoch() != item.epoch {
        let fault = MemberFault::OtherRoom.to_string();
        return unusable(step, room, &fault);
    }
    step.replace_member(member)?;
    activate(step, room, item.at, Arrived::New)
}

fn come_back(step: &mut Step<'_>, item: &WelcomeItem) -> Result<(), VaultError> {
    if step.find_room(&item.room)?.is_none() {
        let own = step.own.account;
        let row = unknown_room(item.room, &item.hub, &own, RoomState::Broken);
        let row = rooms::insert(step.connection, row)?;
        step.adopt_room(row);
    }
    let row = step.room(&item.room)?;
    if matches!(row.state, RoomState::Active | RoomState::Leaving) {
        return Ok(());
    }
    row.state = RoomState::Broken;
    let id = row.id;
    want_resync(step, id)
}

/// The trees that are to be fetched now.
pub(crate) fn due(step: &Step<'_>) -> Result<Vec<TreeWanted>, VaultError> {
    let mut statement = step
        .connection
        .prepare_cached("SELECT id, item FROM welcome WHERE not_before <= ?1 ORDER BY id")?;
    let rows = statement.query_map([step.now.0], |row| {
        let item = row.get::<_, Tls<WelcomeItem>>(1)?.0;
        Ok(TreeWanted {
            welcome: WelcomeId(row.get(0)?),
            room: item.room,
            hub: item.hub,
            tree: TreeRef {
                epoch: item.epoch,
                hash: item.tree_hash,
                size: item.tree_bytes,
                inline: None,
            },
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(crate) fn any_due(connection: &Connection, now: UnixMillis) -> Result<bool, VaultError> {
    let found = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM welcome WHERE not_before <= ?1)")?
        .query_row([now.0], |row| row.get(0))?;
    Ok(found)
}

pub(crate) fn next_due(
    connection: &Connection,
    now: UnixMillis,
) -> Result<Option<UnixMillis>, VaultError> {
    let due: Option<u64> = connection.query_row(
        "SELECT min(not_before) FROM welcome WHERE not_before > ?1",
        [now.0],
        |row| row.get(0),
    )?;
    Ok(due.map(UnixMillis))
}
