//! Rows that are wanted together, in one round trip.

use entente_homeserver_ops::{Found, StoreFault, Wanted};
use entente_protocol::call::Ordered;

use super::root;
use crate::rows::{Columns, header, member_row, pending_row, room_row};
use crate::session::{Parameters, Session};
use crate::statements as sql;

/// A column of keys.
type Ids<'a> = Vec<&'a [u8]>;

/// Reads what is there.
pub(super) async fn read(session: &mut Session, wanted: &Wanted) -> Result<Found, StoreFault> {
    let rooms: Ids<'_> = wanted.rooms.iter().map(|room| &room.0[..]).collect();
    let [mut member_rooms, mut accounts, mut devices] = [const { Ids::new() }; 3];
    for (room, account, device) in &wanted.members {
        member_rooms.push(&room.0);
        accounts.push(root(account));
        devices.push(&device.0);
    }
    let [mut log_rooms, mut messages] = [const { Ids::new() }; 2];
    let mut origins = Vec::with_capacity(wanted.messages.len());
    for (room, origin, message) in &wanted.messages {
        log_rooms.push(&room.0);
        origins.push(origin.to_string());
        messages.push(&message.0);
    }
    let [mut pending_rooms, mut pending] = [const { Ids::new() }; 2];
    for (room, message) in &wanted.pending {
        pending_rooms.push(&room.0);
        pending.push(&message.0);
    }
    let by_room: Parameters<'_> = &[&rooms];
    let by_member: Parameters<'_> = &[&member_rooms, &accounts, &devices];
    let by_message: Parameters<'_> = &[&log_rooms, &origins, &messages];
    let by_pending: Parameters<'_> = &[&pending_rooms, &pending];
    let queries = [
        (!rooms.is_empty()).then_some((sql::ROOMS, by_room)),
        (!rooms.is_empty()).then_some((sql::FROZEN, by_room)),
        (!devices.is_empty()).then_some((sql::TIMES, by_member)),
        (!messages.is_empty()).then_some((sql::PLACES, by_message)),
        (!pending.is_empty()).then_some((sql::WAITING, by_pending)),
    ];
    let [rooms, frozen, members, places, pending] = session.rows_of(queries).await?;
    let mut found = Found::default();
    for row in rooms.iter().map(|row| room_row(&Columns(row))) {
        let row = row?;
        found.rooms.insert(row.room, row);
    }
    for row in &frozen {
        found.frozen.insert(Columns(row).room(0)?);
    }
    for row in members.iter().map(|row| member_row(&Columns(row))) {
        let row = row?;
        let key = (row.room, row.account, row.device);
        found.members.insert(key, row);
    }
    for row in places.iter().map(|row| header(&Columns(row))) {
        let header = row?;
        let ordered = Ordered {
            at: header.head(),
            sender: header.sender,
            time: header.time,
        };
        let key = (header.room, header.origin, header.message_id);
        found.ordered.insert(key, ordered);
    }
    for row in pending.iter().map(|row| pending_row(&Columns(row))) {
        let row = row?;
        found.pending.insert(row.key(), row);
    }
    Ok(found)
}
