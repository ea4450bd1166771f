//! A peer owns what was owed to it: the debt ends, and watermarks advance.
//!
//! A room's log is delivered as far as nobody is owed an earlier entry; that is read from what is
//! still owed, so no row per peer and room is written.

use entente_identity::ServerDid;
use entente_protocol::entry::Seq;
use entente_protocol::relay::{Item, Watermark};

use crate::change::{Change, Decision, Effect, Owed};
use crate::rows::{PeerRow, RoomRow};

/// The peer owns everything up to a number. The rows are to be deleted before watermarks are read.
#[must_use]
pub fn forget(peer: &PeerRow, up_to: u64) -> Decision<()> {
    let up_to = up_to.min(peer.last_out);
    let mut decision = Decision::reply(());
    if up_to > peer.acked {
        decision.changes.push(Change::DropOwed {
            peer: peer.server.clone(),
            up_to,
        });
        decision.changes.push(Change::PutPeer(PeerRow {
            acked: up_to,
            ..peer.clone()
        }));
    }
    decision
}

/// A room's watermark after debts ended. `oldest_owed` is the first entry that is still owed to
/// anybody; `origins` are the servers whose entries stand after the old watermark, up to the new one.
#[must_use]
pub fn watermark(
    me: &ServerDid,
    room: &RoomRow,
    oldest_owed: Option<Seq>,
    origins: &[ServerDid],
) -> Decision<()> {
    let seq = reached(room, oldest_owed);
    let mut decision = Decision::reply(());
    if seq <= room.delivered {
        return decision;
    }
    decision.changes.push(Change::PutRoom(RoomRow {
        delivered: seq,
        ..room.clone()
    }));
    decision.effects.push(Effect::WakeRoom(room.room));
    let item = Item::Delivered(Watermark {
        room: room.room,
        seq,
    });
    for origin in origins {
        if origin != me && room.followers.contains(origin) {
            decision
                .owed
                .push((origin.clone(), Owed::Item(item.to_bytes())));
            decision.effects.push(Effect::WakePeer(origin.clone()));
        }
    }
    decision
}

/// How far a room's log is delivered.
#[must_use]
pub fn reached(room: &RoomRow, oldest_owed: Option<Seq>) -> Seq {
    oldest_owed.map_or(room.head.seq, |owed| Seq(owed.0.saturating_sub(1)))
}

/// A new stream epoch towards a peer begins.
#[must_use]
pub fn begin_epoch(peer: &PeerRow, stream_epoch: u64) -> Decision<PeerRow> {
    let next = PeerRow {
        stream_epoch: stream_epoch.max(peer.stream_epoch),
        ..peer.clone()
    };
    let mut decision = Decision::reply(next.clone());
    decision.changes.push(Change::PutPeer(next));
    decision
}
