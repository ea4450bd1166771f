//! Appending to a log at its hub: the part that every kind of entry shares.

use entente_federation::hub::{self, Draft};
use entente_groups::Epoch;
use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::call::Ordered;
use entente_protocol::limits::KEPT_EPOCHS;

use crate::change::{Change, Decision, Effect, Owed};
use crate::rows::RoomRow;

/// Appends a draft to the room's log: the entry, the room's new head, and a pointer for each of the
/// room's followers. The room row is the last change, so that callers can still adjust it.
pub(crate) fn append(
    room: &RoomRow,
    draft: Draft,
    now: UnixMillis,
) -> (Decision<Ordered>, RoomRow) {
    let entry = hub::order(room.room, &room.head, draft, now);
    let ordered = Ordered {
        at: entry.header.head(),
        sender: entry.header.sender,
        time: now,
    };
    let next = RoomRow {
        head: ordered.at,
        delivered: if room.followers.is_empty() {
            ordered.at.seq
        } else {
            room.delivered
        },
        ..room.clone()
    };
    let mut decision = Decision::reply(ordered);
    decision.owed = owe_entry(room, &room.followers, &ordered);
    let peers = room.followers.iter().cloned().map(Effect::WakePeer);
    decision.effects = peers.chain([Effect::WakeRoom(room.room)]).collect();
    decision.changes.push(Change::AppendEntry(entry));
    (decision, next)
}

/// A pointer to the entry for each of these servers.
pub(crate) fn owe_entry(
    room: &RoomRow,
    servers: &[ServerDid],
    ordered: &Ordered,
) -> Vec<(ServerDid, Owed)> {
    let pointer = Owed::Entry {
        room: room.room,
        seq: ordered.at.seq,
    };
    servers
        .iter()
        .map(|server| (server.clone(), pointer.clone()))
        .collect()
}

/// The distinct servers of a room's members, without this one, in ascending order.
pub(crate) fn followers<'a>(
    me: &ServerDid,
    homes: impl Iterator<Item = &'a ServerDid>,
) -> Vec<ServerDid> {
    let mut servers: Vec<ServerDid> = homes.filter(|home| *home != me).cloned().collect();
    servers.sort_unstable();
    servers.dedup();
    servers
}

/// The oldest epoch whose group the hub keeps when `epoch` is the current one.
pub(crate) fn oldest_kept(epoch: Epoch) -> Epoch {
    Epoch((epoch.0 + 1).saturating_sub(KEPT_EPOCHS))
}
