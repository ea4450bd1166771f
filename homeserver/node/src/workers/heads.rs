//! Compares the ends of logs with the other followers, so that a hub that shows two histories, or
//! leaves entries out, is noticed.
//!
//! Rooms whose logs grew are gathered for a moment; then each server that has members in them is shown
//! the newest signed heads in one call, and answers with its own.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use entente_groups::RoomId;
use entente_homeserver_ops::Command;
use entente_homeserver_ops::read::heads::{self, Compared, HubKeys, UnsignedEnd};
use entente_identity::ServerDid;
use entente_protocol::call::{PeerRequest, PeerResponse};
use entente_protocol::entry::Seq;
use entente_protocol::equivocation::{Equivocation, HeadsReply, ShownHead};
use entente_protocol::fault::Fault;
use entente_protocol::limits::MAX_SHOWN_HEADS;
use futures::stream::{self, StreamExt};
use tokio::time::MissedTickBehavior;

use crate::hub::misbehaved;
use crate::server::{Server, explain};

/// How long rooms are gathered before they are compared.
const GATHER: Duration = Duration::from_secs(2);
/// How long to wait before a server that did not answer is shown them again.
const RETRY: Duration = Duration::from_secs(60);
/// Servers that are asked at once.
const AT_ONCE: usize = 8;

/// Compares as logs grow.
pub(super) async fn run(server: Arc<Server>) {
    let mut unsigned = Unsigned::default();
    let mut looks = tokio::time::interval(RETRY);
    // A round may last longer than that; two looks are as far apart as ever.
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut rooms = tokio::select! {
            rooms = server.wakes.heads.take() => rooms,
            _ = looks.tick() => {
                unsigned.look(&server).await;
                continue;
            }
        };
        tokio::time::sleep(GATHER).await;
        if let Some(more) = server.wakes.heads.take_now() {
            rooms.extend(more);
        }
        unsigned.note(&server, &rooms).await;
        if let Err(fault) = round(&server, rooms).await {
            tracing::warn!(code = %fault.code, reason = %fault.detail, "heads are not compared");
        }
    }
}

/// Ends of logs that their hubs have not signed, until it is sure that they do not: a hub that signs nothing
/// can show everybody another history, and leaves no proof.
#[derive(Default)]
struct Unsigned {
    /// Seen since the last look.
    young: HashMap<RoomId, Seq>,
    /// Seen before that.
    old: HashMap<RoomId, Seq>,
}

impl Unsigned {
    /// Notes those among rooms whose logs grew.
    async fn note(&mut self, server: &Server, rooms: &HashSet<RoomId>) {
        for room in rooms {
            if self.young.contains_key(room) || self.old.contains_key(room) {
                continue;
            }
            match unsigned_end(server, room).await {
                Ok(Some((_, end))) => _ = self.young.insert(*room, end.last),
                Ok(None) => {}
                // With the room's next entry it is noted.
                Err(fault) => tracing::debug!(%room, %fault, "the end of a log is not read"),
            }
        }
    }

    /// Names the hubs that have not signed since the look before.
    async fn look(&mut self, server: &Server) {
        let young = std::mem::take(&mut self.young);
        for (room, seen) in std::mem::replace(&mut self.old, young) {
            match unsigned_end(server, &room).await {
                Ok(Some((hub, end))) if end.signed < seen => {
                    let (end, signed) = (end.last.0, end.signed.0);
                    tracing::warn!(%room, %hub, end, signed, "the hub signs no heads");
                }
                Ok(_) => {}
                Err(fault) => {
                    tracing::debug!(%room, %fault, "the end of a log is not read");
                    self.old.entry(room).or_insert(seen);
                }
            }
        }
    }
}

async fn unsigned_end(
    server: &Server,
    room: &RoomId,
) -> Result<Option<(ServerDid, UnsignedEnd)>, Fault> {
    let mut read = server.read().await?;
    let end = heads::unsigned_end(&mut *read, server.me(), room).await;
    end.map_err(|fault| explain(&fault))
}

async fn round(server: &Arc<Server>, rooms: HashSet<RoomId>) -> Result<(), Fault> {
    let mut read = server.read().await?;
    let shown = heads::to_show(&mut *read, server.me(), rooms).await;
    drop(read);
    let shown = shown.map_err(|fault| explain(&fault))?;
    let pages = shown.into_iter().flat_map(|(peer, heads)| {
        let pages: Vec<Vec<ShownHead>> = heads
            .chunks(MAX_SHOWN_HEADS)
            .map(<[ShownHead]>::to_vec)
            .collect();
        pages.into_iter().map(move |page| (peer.clone(), page))
    });
    stream::iter(pages)
        .for_each_concurrent(AT_ONCE, |(peer, page)| async move {
            if let Err(fault) = show(server, &peer, &page).await {
                tracing::debug!(%peer, code = %fault.code, "heads are not compared with a peer");
                again_later(server, &page);
            }
        })
        .await;
    Ok(())
}

fn again_later(server: &Arc<Server>, page: &[ShownHead]) {
    let rooms: Vec<RoomId> = page.iter().map(|head| head.header.room).collect();
    let server = Arc::clone(server);
    tokio::spawn(async move {
        tokio::time::sleep(RETRY).await;
        for room in rooms {
            server.wakes.heads.insert(room);
        }
    });
}

async fn show(server: &Arc<Server>, peer: &ServerDid, page: &[ShownHead]) -> Result<(), Fault> {
    let request = PeerRequest::Heads(page.to_vec());
    let reply = match server.peers.call(peer, &request).await? {
        PeerResponse::Heads(reply) => reply,
        _ => return Err(misbehaved(peer)),
    };
    let HeadsReply { heads, proofs } = reply;
    take(server, peer, &heads).await?;
    for proof in proofs {
        freeze(server, proof).await?;
    }
    Ok(())
}

/// Compares heads that a peer shows with the logs here, acts on what is found, and says what to answer.
///
/// # Errors
/// The database does not answer.
pub async fn take(
    server: &Arc<Server>,
    peer: &ServerDid,
    shown: &[ShownHead],
) -> Result<HeadsReply, Fault> {
    let mut read = server.read().await?;
    let hubs = heads::hubs(&mut *read, (server.me(), peer), shown).await;
    drop(read);
    let keys = keys_of(server, hubs.map_err(|fault| explain(&fault))?).await;
    let mut read = server.read().await?;
    let compared = heads::compare(&mut *read, (server.me(), peer), shown, &keys).await;
    drop(read);
    let compared = compared.map_err(|fault| explain(&fault))?;
    let Compared {
        reply,
        behind,
        proofs,
    } = compared;
    for room in behind {
        server.wakes.repairs.insert(room);
    }
    for proof in proofs {
        freeze(server, proof).await?;
    }
    Ok(reply)
}

/// The keys of hubs; one that cannot be had is left out, and nothing is said about its rooms.
pub(super) async fn keys_of(server: &Server, hubs: BTreeSet<ServerDid>) -> HubKeys {
    let mut keys = HubKeys::new();
    for hub in hubs {
        if hub == *server.me() {
            continue;
        }
        match server.peers.outward().directory.known(&hub).await {
            Ok(known) => _ = keys.insert(hub, known.all_keys()),
            Err(fault) => tracing::debug!(%hub, code = %fault.code, "a hub's keys are not known"),
        }
    }
    keys
}

/// Freezes the room of a proof, if it is one and signed with the hub's own key.
async fn freeze(server: &Arc<Server>, proof: Equivocation) -> Result<(), Fault> {
    let Ok(shown) = proof.verify() else {
        tracing::warn!(hub = %proof.hub, "a proof of two histories that proves nothing");
        return Ok(());
    };
    let keys = keys_of(server, BTreeSet::from([proof.hub.clone()])).await;
    let its_key = keys
        .get(&proof.hub)
        .is_some_and(|keys| keys.contains(&proof.key));
    if !its_key {
        tracing::warn!(hub = %proof.hub, "a proof of two histories with another key than the hub's");
        return Ok(());
    }
    let room = shown.room;
    tracing::error!(%room, hub = %proof.hub, position = shown.seq.0, "the hub showed two histories: the room is frozen");
    let proof = Box::new(proof);
    let command = Command::Freeze { proof, shown };
    server.writer.execute(command).await?;
    Ok(())
}
