//! Fills gaps in logs: asks a room's hub for the entries that are missing here.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use entente_groups::RoomId;
use entente_homeserver_core::rows::RoomRow;
use entente_homeserver_ops::read::heads;
use entente_homeserver_ops::{Answer, Command, Page, Read, StoreFault};
use entente_identity::ServerDid;
use entente_protocol::call::{PeerRequest, PeerResponse, Pull};
use entente_protocol::entry::{Entry, Seq};
use entente_protocol::fault::Fault;
use futures::stream::{FuturesUnordered, StreamExt};

use super::heads::keys_of;
use crate::hub::{misbehaved, wrong_answer};
use crate::server::{Server, explain};

/// Rooms that are repaired at once.
const AT_ONCE: usize = 8;
/// How long to wait before a room is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// How many parked items are looked at when the server starts.
const RESUMED: Page = Page {
    items: 100_000,
    bytes: 64 * 1024 * 1024,
};

/// Takes up the repairs that were under way when the server stopped.
pub(super) async fn resume(server: &Server, read: &mut dyn Read) -> Result<(), StoreFault> {
    for parked in read.parked(RESUMED).await? {
        if let Some((room, _)) = parked.entry {
            server.wakes.repairs.insert(room);
        }
    }
    Ok(())
}

/// Repairs rooms as they are found to have gaps.
pub(super) async fn run(server: Arc<Server>) {
    let mut rooms: HashSet<RoomId> = HashSet::new();
    let mut under_way = FuturesUnordered::new();
    let mut busy: HashSet<RoomId> = HashSet::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(room) = rooms.extract_if(|room| !busy.contains(room)).next()
        {
            busy.insert(room);
            under_way.push(repair_or_retry(&server, room));
        }
        // A hub that does not answer holds up its own rooms only.
        tokio::select! {
            woken = server.wakes.repairs.take() => rooms.extend(woken),
            Some(room) = under_way.next(), if !under_way.is_empty() => {
                busy.remove(&room);
            }
        }
    }
}

async fn repair_or_retry(server: &Arc<Server>, room: RoomId) -> RoomId {
    let Err(fault) = repair(server, room).await else {
        return room;
    };
    tracing::warn!(%room, code = %fault.code, reason = %fault.detail, "a gap is not filled yet");
    let server = Arc::clone(server);
    tokio::spawn(async move {
        tokio::time::sleep(RETRY).await;
        server.wakes.repairs.insert(room);
    });
    room
}

/// What is missing: from the hub, else from any other server that has members in the room. What others
/// give counts only up to a head that the hub signed.
async fn pull(server: &Server, row: &RoomRow, request: &PeerRequest) -> Result<Vec<Entry>, Fault> {
    let keys = keys_of(server, BTreeSet::from([row.hub.clone()])).await;
    let from_hub = ask(server, &row.hub, request).await.and_then(|entries| {
        if heads::attestations_hold(row, &entries, &keys) {
            Ok(entries)
        } else {
            Err(misbehaved(&row.hub))
        }
    });
    if matches!(&from_hub, Ok(entries) if !entries.is_empty()) {
        return from_hub;
    }
    let mut read = server.read().await?;
    let others = heads::others(&mut *read, server.me(), row).await;
    drop(read);
    for other in others.map_err(|fault| explain(&fault))? {
        let Ok(entries) = ask(server, &other, request).await else {
            continue;
        };
        let signed = heads::signed_part(row, entries, &keys);
        if !signed.is_empty() {
            let (room, hub) = (row.room, &row.hub);
            tracing::warn!(%room, %hub, from = %other, "entries that the hub leaves out came from another server");
            return Ok(signed);
        }
    }
    from_hub
}

async fn ask(
    server: &Server,
    peer: &ServerDid,
    request: &PeerRequest,
) -> Result<Vec<Entry>, Fault> {
    match server.peers.call(peer, request).await? {
        PeerResponse::Entries(entries) => Ok(entries),
        _ => Err(misbehaved(peer)),
    }
}

async fn repair(server: &Server, room: RoomId) -> Result<(), Fault> {
    loop {
        let mut read = server.read().await?;
        let row = read.room(&room).await;
        drop(read);
        let Some(row) = row.map_err(|fault| explain(&fault))? else {
            return Ok(());
        };
        if row.hub == *server.me() {
            return Ok(());
        }
        let request = PeerRequest::Pull(Pull {
            room,
            after: row.head,
            until: Seq(u64::MAX),
        });
        let entries = pull(server, &row, &request).await?;
        if entries.is_empty() {
            return Ok(());
        }
        tracing::info!(%room, count = entries.len(), "entries that were missing were pulled");
        let from = row.hub;
        let repaired = Command::Repair {
            room,
            from,
            entries,
        };
        match server.writer.execute(repaired).await? {
            Answer::Repaired(_) => {}
            other => return Err(wrong_answer(&other)),
        }
    }
}
