//! One step of the vault: a transaction, and what is loaded and changed in it.
//!
//! Rooms and MLS states that a step touches are loaded once, changed as values, and written back when
//! the step ends, in the one transaction of the step. MLS states stay in memory between steps; a
//! room's `version` tells whether another process has changed them since.

use std::collections::BTreeMap;

use entente_client_core::event::{Occurrence, ProblemKind};
use entente_groups::{Member, MessageId, RoomId};
use entente_identity::{UnixMillis, encode};
use rusqlite::{Connection, params};

use crate::error::VaultError;
use crate::own::Own;
use crate::rooms::{self, RoomRow};
use crate::vault::{Moment, Randomness};

/// Most MLS states kept in memory.
const MAX_CACHED: usize = 64;

/// MLS states between steps.
#[derive(Default)]
pub(crate) struct MemberCache {
    members: BTreeMap<RoomId, Cached>,
}

struct Cached {
    version: u64,
    touched: bool,
    member: Member,
}

/// A transaction with what was loaded in it.
pub(crate) struct Step<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) own: &'a Own,
    pub(crate) now: UnixMillis,
    pub(crate) rng: &'a mut dyn Randomness,
    members: &'a mut MemberCache,
    rooms: BTreeMap<RoomId, Loaded>,
}

struct Loaded {
    row: RoomRow,
    stored: RoomRow,
}

impl MemberCache {
    /// Drops what a failed step may have changed.
    pub(crate) fn forget_touched(&mut self) {
        self.members.retain(|_, cached| !cached.touched);
    }

    pub(crate) fn forget(&mut self, room: &RoomId) {
        self.members.remove(room);
    }

    /// Takes note that the transaction of a step was committed.
    pub(crate) fn committed(&mut self, versions: BTreeMap<RoomId, u64>) {
        for (room, cached) in &mut self.members {
            if let Some(version) = versions.get(room).filter(|_| cached.touched) {
                cached.version = *version;
            }
            cached.touched = false;
        }
    }

    fn make_room(&mut self) {
        if self.members.len() < MAX_CACHED {
            return;
        }
        let idle = self.members.iter().find(|(_, cached)| !cached.touched);
        if let Some(room) = idle.map(|(room, _)| *room) {
            self.members.remove(&room);
        }
    }
}

impl<'a> Step<'a> {
    pub(crate) fn new(
        connection: &'a Connection,
        own: &'a Own,
        moment: Moment<'a>,
        members: &'a mut MemberCache,
    ) -> Self {
        Self {
            connection,
            own,
            now: moment.now,
            rng: moment.rng,
            members,
            rooms: BTreeMap::new(),
        }
    }

    /// The room, to be read or changed, if this vault has it.
    pub(crate) fn find_room(&mut self, room: &RoomId) -> Result<Option<&mut RoomRow>, VaultError> {
        if !self.rooms.contains_key(room) {
            let Some(row) = rooms::find(self.connection, room)? else {
                return Ok(None);
            };
            let stored = row.clone();
            self.rooms.insert(*room, Loaded { row, stored });
        }
        Ok(self.rooms.get_mut(room).map(|loaded| &mut loaded.row))
    }

    /// The room, to be read or changed.
    pub(crate) fn room(&mut self, room: &RoomId) -> Result<&mut RoomRow, VaultError> {
        self.find_room(room)?.ok_or(VaultError::NoSuchRoom(*room))
    }

    /// A room that was just inserted.
    pub(crate) fn adopt_room(&mut self, row: RoomRow) {
        let stored = row.clone();
        self.rooms.insert(row.room, Loaded { row, stored });
    }

    /// The device's membership of a room.
    pub(crate) fn member(&mut self, room: &RoomId) -> Result<&mut Member, VaultError> {
        let (id, version) = {
            let row = self.room(room)?;
            (row.id, row.version)
        };
        let current = |cached: &Cached| cached.version == version || cached.touched;
        if !self.members.members.get(room).is_some_and(current) {
            let rows = rooms::mls_rows(self.connection, id)?;
            let member = Member::load(*room, rows)?;
            self.members.make_room();
            self.put_cached(version, member);
        }
        let cached = self.members.members.get_mut(room);
        let cached = cached.expect("it was there or has just been put there");
        cached.touched = true;
        Ok(&mut cached.member)
    }

    /// Puts a new membership in the place of what the room had.
    pub(crate) fn replace_member(&mut self, mut member: Member) -> Result<(), VaultError> {
        let room = member.room();
        let (id, version) = {
            let row = self.room(&room)?;
            row.version += 1;
            (row.id, row.version)
        };
        rooms::delete_mls_rows(self.connection, id)?;
        rooms::apply_delta(self.connection, id, &member.take_delta())?;
        self.members.make_room();
        self.put_cached(version, member);
        let cached = self.members.members.get_mut(&room);
        cached.expect("it has just been put there").touched = true;
        Ok(())
    }

    /// Drops the membership of a room, and with it the room's secrets.
    pub(crate) fn drop_member(&mut self, room: &RoomId) -> Result<(), VaultError> {
        let id = {
            let row = self.room(room)?;
            row.version += 1;
            row.id
        };
        rooms::delete_mls_rows(self.connection, id)?;
        self.connection
            .prepare_cached("DELETE FROM epoch_snapshot WHERE room = ?1")?
            .execute([id])?;
        self.members.forget(room);
        Ok(())
    }

    /// Forgets the value in memory, with whatever was done to it in this step and not stored.
    pub(crate) fn reload_member(&mut self, room: &RoomId) {
        self.members.forget(room);
    }

    fn put_cached(&mut self, version: u64, member: Member) {
        let cached = Cached {
            version,
            touched: false,
            member,
        };
        self.members.members.insert(cached.member.room(), cached);
    }

    /// Notes that something happened.
    pub(crate) fn note(&self, occurrence: &Occurrence) -> Result<(), VaultError> {
        self.connection
            .prepare_cached("INSERT INTO event (time, body) VALUES (?1, ?2)")?
            .execute(params![self.now.0, encode(occurrence)])?;
        Ok(())
    }

    /// Notes that something is wrong.
    pub(crate) fn problem(
        &self,
        room: Option<RoomId>,
        kind: ProblemKind,
        text: &str,
    ) -> Result<(), VaultError> {
        self.note(&Occurrence::problem(room, kind, text))
    }

    /// Writes back what was changed in memory; the last thing before the transaction is committed.
    pub(crate) fn write_back(&mut self) -> Result<(), VaultError> {
        for (room, cached) in &mut self.members.members {
            if !cached.touched {
                continue;
            }
            let delta = cached.member.take_delta();
            if delta.is_empty() {
                continue;
            }
            let loaded = self.rooms.get_mut(room);
            let row = &mut loaded.expect("a member is loaded through its room").row;
            row.version += 1;
            rooms::apply_delta(self.connection, row.id, &delta)?;
        }
        for loaded in self.rooms.values() {
            if loaded.row != loaded.stored {
                rooms::update(self.connection, &loaded.row)?;
            }
        }
        Ok(())
    }

    /// Ends the step; gives the versions that rooms have once the transaction is committed.
    pub(crate) fn finish(self) -> BTreeMap<RoomId, u64> {
        let version = |(room, loaded): (RoomId, Loaded)| (room, loaded.row.version);
        self.rooms.into_iter().map(version).collect()
    }

    /// A random id for a message of this device.
    pub(crate) fn message_id(&mut self) -> MessageId {
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        MessageId(id)
    }
}
