//! Learns what other nodes wrote: looks at the rows again and again, and performs what changed as wakes.
//!
//! Wakes between nodes are hints, as those within one: what is looked at is how far logs, queues and
//! streams go, and not what was done. What this node wrote itself is woken for a second time, which finds
//! nothing.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use entente_groups::RoomId;
use entente_homeserver_core::Effect;
use entente_homeserver_core::links::{Watch, held_by};
use entente_homeserver_core::rows::{LinkRow, LogEnd, NodeId, NodeRow, PeerRow};
use entente_homeserver_ops::{Answer, Command, Read, StoreFault};
use entente_identity::ServerDid;
use entente_protocol::entry::Seq;
use tokio::time::{MissedTickBehavior, interval};

use crate::server::Server;
use crate::wakes::DeviceKey;

/// Most rows that one question asks for.
const PAGE: usize = 1_000;
/// Most devices and rooms that are asked for by one question.
const ASKED: usize = 500;

/// What flows here wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interests {
    /// The rooms.
    pub rooms: Vec<RoomId>,
    /// The devices.
    pub devices: Vec<DeviceKey>,
}

/// What was seen last.
#[derive(Default)]
struct Seen {
    rooms: HashMap<RoomId, (Seq, Seq)>,
    devices: HashMap<DeviceKey, u64>,
    peers: HashMap<ServerDid, (u64, u64)>,
    links: HashMap<ServerDid, LinkRow>,
    nodes: HashSet<NodeId>,
    watch: Watch,
    /// A node is gone, and what it was doing is not taken up yet.
    left_behind: bool,
}

/// What is there now.
struct Rows {
    rooms: Vec<LogEnd>,
    devices: Vec<(DeviceKey, u64)>,
    peers: Vec<PeerRow>,
    links: Vec<LinkRow>,
    nodes: Vec<NodeRow>,
}

/// Looks every `poll` for as long as the process lives.
pub async fn follow(server: Arc<Server>, poll: Duration) {
    let mut seen = Seen::default();
    let mut looks = interval(poll);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        match load(&server).await {
            Ok(rows) => seen.note(&server, rows).await,
            Err(fault) => tracing::warn!(%fault, "what other nodes wrote is not known"),
        }
    }
}

async fn load(server: &Server) -> Result<Rows, StoreFault> {
    let interests = server.wakes.interests();
    let mut read = server.store.read().await?;
    let mut rooms = Vec::new();
    for asked in interests.rooms.chunks(ASKED) {
        rooms.extend(read.log_ends(asked).await?);
    }
    let mut devices = Vec::new();
    for asked in interests.devices.chunks(ASKED) {
        let ends = read.queue_ends(asked).await?.into_iter();
        devices.extend(ends.map(|row| ((row.account, row.device), row.last_queued)));
    }
    Ok(Rows {
        rooms,
        devices,
        peers: peers(&mut *read).await?,
        links: links(&mut *read).await?,
        nodes: read.nodes().await?,
    })
}

async fn peers(read: &mut dyn Read) -> Result<Vec<PeerRow>, StoreFault> {
    let mut found: Vec<PeerRow> = Vec::new();
    loop {
        let after = found.last().map(|row| row.server.clone());
        let page = read.peers_after(after.as_ref(), PAGE).await?;
        let more = page.len() == PAGE;
        found.extend(page);
        if !more {
            return Ok(found);
        }
    }
}

/// All links, page by page.
pub(crate) async fn links(read: &mut dyn Read) -> Result<Vec<LinkRow>, StoreFault> {
    let mut found: Vec<LinkRow> = Vec::new();
    loop {
        let after = found.last().map(|row| row.peer.clone());
        let page = read.links_after(after.as_ref(), PAGE).await?;
        let more = page.len() == PAGE;
        found.extend(page);
        if !more {
            return Ok(found);
        }
    }
}

impl Seen {
    async fn note(&mut self, server: &Arc<Server>, rows: Rows) {
        let rooms = rows
            .rooms
            .into_iter()
            .map(|end| (end.room, (end.head, end.delivered)));
        // A room that was not asked for before is woken too: its tail may be from an earlier time.
        for room in renew(&mut self.rooms, rooms) {
            server.tails.mark(room);
            server.wakes.wake_room(room);
        }
        for device in renew(&mut self.devices, rows.devices.into_iter()) {
            server.wakes.wake_device(device);
        }
        self.note_peers(server, &rows.peers);
        let links = rows.links.iter();
        for peer in renew(&mut self.links, links.map(|l| (l.peer.clone(), l.clone()))) {
            server.wakes.perform(vec![Effect::WakePeer(peer)]);
        }
        server.nodes.note(&rows.nodes);
        self.take_up(server, &rows.nodes).await;
        if let Some(me) = server.nodes.last_beat() {
            for silent in self.watch.look(me, &rows.nodes, server.nodes.elapsed()) {
                bury(server, silent, &rows.links).await;
            }
        }
        self.wake_the_orphaned(server, &rows.nodes, &rows.peers);
    }

    /// Takes up what a node was doing that is gone: it was buried, by whomever, or left.
    async fn take_up(&mut self, server: &Server, nodes: &[NodeRow]) {
        let now: HashSet<NodeId> = nodes.iter().map(|row| row.node).collect();
        self.left_behind |= !self.nodes.is_subset(&now);
        self.nodes = now;
        if self.left_behind {
            match crate::workers::resume(server).await {
                Ok(()) => self.left_behind = false,
                Err(fault) => {
                    tracing::warn!(%fault, "the repairs of another node are not taken up yet");
                }
            }
        }
    }

    fn note_peers(&mut self, server: &Server, peers: &[PeerRow]) {
        for row in peers {
            let known = self.peers.get(&row.server);
            if known.is_some_and(|(_, epoch)| *epoch != row.incoming.epoch) {
                // It greeted another node: it is there.
                server.peers.seen(&row.server);
            }
        }
        let ends = peers
            .iter()
            .map(|row| (row.server.clone(), (row.last_out, row.incoming.epoch)));
        for peer in renew(&mut self.peers, ends) {
            server.wakes.perform(vec![Effect::WakePeer(peer)]);
        }
    }

    /// Peers to which something is owed and whose link nobody drives.
    fn wake_the_orphaned(&self, server: &Server, nodes: &[NodeRow], peers: &[PeerRow]) {
        for row in peers.iter().filter(|row| row.last_out > row.acked) {
            let holder = self.links.get(&row.server).map(|link| link.holder);
            let driven = holder.is_some_and(|holder| nodes.iter().any(|n| n.node == holder));
            if !driven {
                let wake = Effect::WakePeer(row.server.clone());
                server.wakes.perform(vec![wake]);
            }
        }
    }
}

/// Takes what is there now; gives the keys of what is new or has changed.
fn renew<K: Eq + Hash + Clone, V: PartialEq>(
    known: &mut HashMap<K, V>,
    rows: impl Iterator<Item = (K, V)>,
) -> Vec<K> {
    let before = std::mem::take(known);
    let mut changed = Vec::new();
    for (key, value) in rows {
        if before.get(&key) != Some(&value) {
            changed.push(key.clone());
        }
        known.insert(key, value);
    }
    changed
}

/// Gives a node up that has been silent.
async fn bury(server: &Arc<Server>, silent: NodeRow, links: &[LinkRow]) {
    let bury = Command::Bury {
        node: silent.node,
        beat: Some(silent.beat),
    };
    match server.writer.execute(bury).await {
        Ok(Answer::Buried) => {
            let orphaned = held_by(links, silent.node);
            let (node, name, links) = (silent.node, silent.name, orphaned.len());
            tracing::warn!(%node, %name, links, "another node is silent; its links are free");
            for peer in orphaned {
                server.wakes.perform(vec![Effect::WakePeer(peer)]);
            }
        }
        Ok(_) => {}
        Err(fault) => tracing::warn!(code = %fault.code, "a silent node is not given up yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_or_changed_is_told_once() {
        let mut known = HashMap::new();
        assert_eq!(renew(&mut known, [(1, 'a')].into_iter()), [1]);
        assert_eq!(renew(&mut known, [(1, 'a')].into_iter()), [0; 0]);
        assert_eq!(renew(&mut known, [(1, 'b'), (2, 'a')].into_iter()), [1, 2]);
        assert_eq!(renew(&mut known, [(2, 'a')].into_iter()), [0; 0]);
        // What was not asked for is forgotten.
        assert_eq!(renew(&mut known, [(1, 'b'), (2, 'a')].into_iter()), [1]);
    }
}
