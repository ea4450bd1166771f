//! What a person sees: rooms, members, history, events. No step, no lock: plain reads.

use entente_client_core::event::{Event, EventRecord, Occurrence, Problem, Told};
use entente_client_core::message::Message;
use entente_client_core::room::{Member, RoomState, RoomSummary};
use entente_groups::{MessageId, RoomId};
use entente_identity::{UnixMillis, decode_exact};
use entente_protocol::entry::Seq;
use rusqlite::params;

use crate::error::VaultError;
use crate::ops::invites;
use crate::rooms::RoomRow;
use crate::vault::{Moment, Vault};
use crate::{accounts, messages, outbox, rooms};

/// Where the client's copies end, for opening a sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursors {
    /// For each room, the last position processed.
    pub rooms: Vec<(RoomId, Seq)>,
    /// The last item of the device's queue processed.
    pub queue: u64,
}

impl Vault {
    /// Where the client's copies end. A room in which nothing was read yet is not named.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn cursors(&mut self) -> Result<Cursors, VaultError> {
        let rooms = rooms::all(&self.connection)?;
        let rooms = rooms.iter().filter(|row| row.head.is_some());
        let queue = self
            .connection
            .query_row("SELECT queue_cursor FROM own", [], |row| row.get(0))?;
        Ok(Cursors {
            rooms: rooms.map(|row| (row.room, row.cursor())).collect(),
            queue,
        })
    }

    /// All rooms, in the order in which they were met.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn rooms(&mut self) -> Result<Vec<RoomSummary>, VaultError> {
        let rows = rooms::all(&self.connection)?;
        rows.into_iter().map(|row| self.summary(row)).collect()
    }

    /// One room.
    ///
    /// # Errors
    /// No such room.
    pub fn room(&mut self, room: &RoomId) -> Result<RoomSummary, VaultError> {
        let row = self.room_row(room)?;
        self.summary(row)
    }

    fn room_row(&self, room: &RoomId) -> Result<RoomRow, VaultError> {
        rooms::find(&self.connection, room)?.ok_or(VaultError::NoSuchRoom(*room))
    }

    fn summary(&mut self, row: RoomRow) -> Result<RoomSummary, VaultError> {
        let own = self.own()?.account;
        let roster = rooms::roster(&self.connection, row.id)?;
        let mut accounts: Vec<_> = roster
            .iter()
            .filter(|member| !member.leaving)
            .map(|member| member.account)
            .collect();
        accounts.sort_unstable();
        accounts.dedup();
        let (last_message, unread) = messages::glance(&self.connection, row.id, row.read_seq)?;
        Ok(RoomSummary {
            id: row.room,
            cursor: row.cursor(),
            members: accounts.len(),
            role: row.policy.role_of(&own),
            invite: row.policy.invite(),
            last_message,
            unread,
            waiting: outbox::waiting(&self.connection, row.id)?,
            name: row.name,
            topic: row.topic,
            suite: row.suite,
            hub: row.hub,
            state: row.state,
            epoch: row.epoch,
            delivered: row.delivered,
        })
    }

    /// Who is in a room, by account, in the order in which they came.
    ///
    /// # Errors
    /// No such room.
    pub fn members(&mut self, room: &RoomId) -> Result<Vec<Member>, VaultError> {
        let own = self.own()?.account;
        let row = self.room_row(room)?;
        let mut members: Vec<Member> = Vec::new();
        for device in rooms::roster(&self.connection, row.id)? {
            if device.leaving {
                continue;
            }
            let known = members.iter_mut().find(|m| m.account == device.account);
            if let Some(member) = known {
                member.devices.push(device.device);
                continue;
            }
            let home = entente_identity::ServerDid::new(device.handle.domain().clone());
            members.push(Member {
                account: device.account,
                trust: accounts::trust(&self.connection, &device.account, &device.handle)?,
                handle: device.handle,
                role: row.policy.role_of(&device.account),
                home,
                devices: vec![device.device],
                own: device.account == own,
            });
        }
        Ok(members)
    }

    /// A message of a room by its id.
    ///
    /// # Errors
    /// No such room or message.
    pub fn message(&mut self, room: &RoomId, id: &MessageId) -> Result<Message, VaultError> {
        let row = self.room_row(room)?;
        messages::by_id(&self.connection, row.id, id)?.ok_or(VaultError::NoSuchMessage(*id))
    }

    /// The last messages of a room, or the last before a position, in ascending order; own ones that
    /// are not ordered yet come last.
    ///
    /// # Errors
    /// No such room.
    pub fn history(
        &mut self,
        room: &RoomId,
        limit: usize,
        before: Option<Seq>,
    ) -> Result<Vec<Message>, VaultError> {
        let row = self.room_row(room)?;
        let mut page = messages::page(&self.connection, row.id, before, limit)?;
        if before.is_none() {
            page.extend(messages::not_ordered(&self.connection, Some(row.id))?);
            let surplus = page.len().saturating_sub(limit);
            page.drain(..surplus);
        }
        Ok(page)
    }

    /// Own messages of all rooms that are in no log yet, failed ones left out.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn outbox(&mut self) -> Result<Vec<Message>, VaultError> {
        let mut waiting = messages::not_ordered(&self.connection, None)?;
        waiting.retain(|message| {
            !matches!(
                message.state,
                entente_client_core::message::MessageState::Failed(_)
            )
        });
        Ok(waiting)
    }

    /// Marks everything in a room as read.
    ///
    /// # Errors
    /// No such room.
    pub fn mark_read(&mut self, room: &RoomId, moment: Moment<'_>) -> Result<(), VaultError> {
        self.step(moment, |step| {
            let row = step.room(room)?;
            row.read_seq = row.cursor();
            Ok(())
        })
    }

    /// Marks a room as read up to a position of its log, never backwards.
    ///
    /// # Errors
    /// No such room.
    pub fn mark_read_to(
        &mut self,
        room: &RoomId,
        seq: Seq,
        moment: Moment<'_>,
    ) -> Result<(), VaultError> {
        self.step(moment, |step| {
            let row = step.room(room)?;
            row.read_seq = row.read_seq.max(seq.min(row.cursor()));
            Ok(())
        })
    }

    /// The events after a position, in order.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn events_after(
        &mut self,
        position: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>, VaultError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<(u64, u64, Vec<u8>)> = {
            let mut statement = self.connection.prepare_cached(
                "SELECT id, time, body FROM event WHERE id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let rows = statement.query_map(params![position, limit], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            rows.collect::<Result<_, _>>()?
        };
        let mut events = Vec::with_capacity(rows.len());
        for (position, time, body) in rows {
            let event = self.event(&body)?.unwrap_or(Event::Problem(Problem {
                room: None,
                kind: entente_client_core::event::ProblemKind::Unreadable,
                text: "an event that this client does not know; a newer one wrote it".to_owned(),
            }));
            events.push(EventRecord {
                position,
                time: UnixMillis(time),
                event,
            });
        }
        Ok(events)
    }

    fn event(&self, body: &[u8]) -> Result<Option<Event>, VaultError> {
        let Ok(occurrence): Result<Occurrence, _> = decode_exact("event", body) else {
            return Ok(None);
        };
        Ok(match occurrence.told() {
            Told::Event(event) => Some(*event),
            Told::Message(row) => messages::at_row(&self.connection, row)?.map(Event::Message),
            Told::State(row, state) => {
                let message = messages::at_row(&self.connection, row)?;
                message
                    .zip(state.state())
                    .map(|(message, state)| Event::MessageState {
                        room: message.room,
                        id: message.id,
                        state,
                    })
            }
            Told::Invite(id) => invites::at(&self.connection, id)?.map(Event::Invite),
            Told::Nothing => None,
        })
    }

    /// The position of the last event.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn last_event(&mut self) -> Result<u64, VaultError> {
        let last: Option<u64> = self
            .connection
            .prepare_cached("SELECT max(id) FROM event")?
            .query_row([], |row| row.get(0))?;
        Ok(last.unwrap_or(0))
    }

    /// The position up to which events were marked as seen.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn seen_event(&mut self) -> Result<u64, VaultError> {
        let seen = self
            .connection
            .query_row("SELECT seen_event FROM own", [], |row| row.get(0))?;
        Ok(seen)
    }

    /// Marks events as seen.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub fn mark_seen(&mut self, position: u64) -> Result<(), VaultError> {
        self.connection.execute(
            "UPDATE own SET seen_event = ?1 WHERE seen_event < ?1",
            [position],
        )?;
        Ok(())
    }

    /// Rooms in which something is under way or wrong.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub fn unsettled_rooms(&mut self) -> Result<Vec<RoomSummary>, VaultError> {
        let mut rooms = self.rooms()?;
        rooms.retain(|room| match room.state {
            RoomState::Active => room.waiting > 0,
            RoomState::Left | RoomState::Removed => false,
            RoomState::Creating
            | RoomState::Joining
            | RoomState::Leaving
            | RoomState::Broken
            | RoomState::Frozen => true,
        });
        Ok(rooms)
    }
}
