//! One transaction over many commands: rows loaded once, changes buffered, numbers given out.
//!
//! Hot rows (rooms, members, peers, devices, waiting messages) are kept here after their first load
//! and updated as decisions are recorded, so that the commands of a batch see each other. Everything
//! else is read through the transaction, after what was buffered for that table has been applied.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use entente_groups::{MessageId, RoomId};
use entente_homeserver_core::equivocation::Standing;
use entente_homeserver_core::rows::{
    DeviceRow, LinkRow, MemberRow, PeerRow, PendingRow, QueuedRow, RoomRow,
};
use entente_homeserver_core::{Change, Decision, Effect, Owed, Queued};
use entente_identity::{AccountDid, DeviceId, PublicKey, ServerDid, UnixMillis};
use entente_protocol::call::Ordered;
use entente_protocol::checkpoint::{SeenCheckpoints, attest};
use entente_protocol::entry::{Entry, Head};

use crate::execute::Here;
use crate::store::{StoreFault, Tx};
use crate::wanted::{Found, MemberKey, MessageKey, Wanted};

type DeviceKey = (AccountDid, DeviceId);

/// The work of one transaction.
pub(crate) struct Work<'a> {
    pub(crate) here: &'a Here,
    pub(crate) now: UnixMillis,
    tx: Box<dyn Tx>,
    rooms: BTreeMap<RoomId, Option<RoomRow>>,
    standings: HashMap<RoomId, Standing>,
    checkpoints: SeenCheckpoints,
    peers: BTreeMap<ServerDid, PeerRow>,
    links: HashMap<ServerDid, Option<LinkRow>>,
    devices: HashMap<DeviceKey, Option<DeviceRow>>,
    members: HashMap<MemberKey, Option<MemberRow>>,
    pending: HashMap<(RoomId, MessageId), Option<PendingRow>>,
    ordered: HashMap<MessageKey, Option<Ordered>>,
    dirty_rooms: BTreeSet<RoomId>,
    dirty_peers: BTreeSet<ServerDid>,
    dirty_devices: BTreeSet<DeviceKey>,
    heads: BTreeMap<RoomId, Head>,
    buffer: Vec<Change>,
    invites: HashMap<DeviceKey, BTreeMap<ServerDid, u32>>,
    effects: HashSet<Effect>,
}

impl<'a> Work<'a> {
    pub(crate) fn new(here: &'a Here, tx: Box<dyn Tx>, now: UnixMillis) -> Self {
        Self {
            here,
            now,
            tx,
            rooms: BTreeMap::new(),
            standings: HashMap::new(),
            checkpoints: SeenCheckpoints::default(),
            peers: BTreeMap::new(),
            links: HashMap::new(),
            devices: HashMap::new(),
            members: HashMap::new(),
            pending: HashMap::new(),
            ordered: HashMap::new(),
            dirty_rooms: BTreeSet::new(),
            dirty_peers: BTreeSet::new(),
            dirty_devices: BTreeSet::new(),
            heads: BTreeMap::new(),
            buffer: Vec::new(),
            invites: HashMap::new(),
            effects: HashSet::new(),
        }
    }

    /// The transaction, with everything recorded so far applied to it.
    pub(crate) async fn tx(&mut self) -> Result<&mut dyn Tx, StoreFault> {
        self.flush().await?;
        Ok(&mut *self.tx)
    }

    /// Loads at once, with the rooms that they are in, what many commands will ask for one by one.
    pub(crate) async fn load(&mut self, mut wanted: Wanted) -> Result<(), StoreFault> {
        let Wanted {
            rooms,
            members,
            messages,
            pending,
        } = &mut wanted;
        rooms.retain(|room| !self.rooms.contains_key(room));
        members.retain(|key| !self.members.contains_key(key));
        messages.retain(|key| !self.ordered.contains_key(key));
        pending.retain(|key| !self.pending.contains_key(key));
        if wanted.is_empty() {
            return Ok(());
        }
        if !wanted.members.is_empty() && self.buffer.iter().any(ends_a_time) {
            self.flush().await?;
        }
        let mut found = self.tx.together(&wanted).await?;
        for room in wanted.rooms {
            self.rooms.insert(room, found.rooms.remove(&room));
            let standing = if found.frozen.contains(&room) {
                Standing::Frozen
            } else {
                Standing::Open
            };
            self.standings.entry(room).or_insert(standing);
        }
        let Found {
            mut members,
            mut ordered,
            mut pending,
            ..
        } = found;
        for key in wanted.members {
            self.members.insert(key, members.remove(&key));
        }
        for key in wanted.messages {
            let place = ordered.remove(&key);
            self.ordered.insert(key, place);
        }
        for key in wanted.pending {
            self.pending.insert(key, pending.remove(&key));
        }
        Ok(())
    }

    pub(crate) async fn room(&mut self, room: &RoomId) -> Result<Option<RoomRow>, StoreFault> {
        if let Some(known) = self.rooms.get(room) {
            return Ok(known.clone());
        }
        let loaded = self.tx.room(room).await?;
        self.rooms.insert(*room, loaded.clone());
        Ok(loaded)
    }

    /// Whether the hub's signature on an entry, if it has one, holds.
    pub(crate) fn attestation_holds(
        &mut self,
        entry: &Entry,
        hub: &ServerDid,
        key: &PublicKey,
    ) -> bool {
        let Some(attestation) = &entry.attestation else {
            return true;
        };
        let place = (&entry.header.room, &entry.header.head());
        let seen = &mut self.checkpoints;
        attestation.verify_among(place, hub, key, seen).is_ok()
    }

    /// Whether a room goes on.
    pub(crate) async fn standing(&mut self, room: &RoomId) -> Result<Standing, StoreFault> {
        if let Some(known) = self.standings.get(room) {
            return Ok(*known);
        }
        let standing = match self.tx.equivocation(room).await? {
            Some(_) => Standing::Frozen,
            None => Standing::Open,
        };
        self.standings.insert(*room, standing);
        Ok(standing)
    }

    pub(crate) async fn member(
        &mut self,
        room: RoomId,
        (account, device): DeviceKey,
    ) -> Result<Option<MemberRow>, StoreFault> {
        let key = (room, account, device);
        if let Some(known) = self.members.get(&key) {
            return Ok(known.clone());
        }
        let buffered =
            |change: &Change| matches!(change, Change::EndMember { room: r, .. } if *r == room);
        if self.buffer.iter().any(buffered) {
            self.flush().await?;
        }
        let loaded = self.tx.member(&room, &account, &device).await?;
        self.members.insert(key, loaded.clone());
        Ok(loaded)
    }

    /// Where a message stands in its room's log, if it was ordered before or in this batch.
    pub(crate) async fn ordered(
        &mut self,
        room: RoomId,
        origin: &ServerDid,
        message_id: MessageId,
    ) -> Result<Option<Ordered>, StoreFault> {
        let key = (room, origin.clone(), message_id);
        if let Some(known) = self.ordered.get(&key) {
            return Ok(*known);
        }
        let loaded = self.tx.ordered(&room, origin, &message_id).await?;
        self.ordered.insert(key, loaded);
        Ok(loaded)
    }

    pub(crate) async fn pending(
        &mut self,
        room: RoomId,
        message_id: MessageId,
    ) -> Result<Option<PendingRow>, StoreFault> {
        let key = (room, message_id);
        if let Some(known) = self.pending.get(&key) {
            return Ok(known.clone());
        }
        let loaded = self.tx.pending(&room, &message_id).await?;
        self.pending.insert(key, loaded.clone());
        Ok(loaded)
    }

    pub(crate) async fn peer(&mut self, server: &ServerDid) -> Result<PeerRow, StoreFault> {
        if let Some(known) = self.peers.get(server) {
            return Ok(known.clone());
        }
        let loaded = self.tx.peer(server).await?;
        let row = loaded.unwrap_or_else(|| PeerRow::new(server.clone()));
        self.peers.insert(server.clone(), row.clone());
        Ok(row)
    }

    /// Who drives the link to a peer.
    pub(crate) async fn link(&mut self, peer: &ServerDid) -> Result<Option<LinkRow>, StoreFault> {
        if let Some(known) = self.links.get(peer) {
            return Ok(known.clone());
        }
        let loaded = self.tx.link(peer).await?;
        self.links.insert(peer.clone(), loaded.clone());
        Ok(loaded)
    }

    /// A device at home here. Devices of one account are loaded together.
    pub(crate) async fn device(&mut self, key: DeviceKey) -> Result<Option<DeviceRow>, StoreFault> {
        if let Some(known) = self.devices.get(&key) {
            return Ok(known.clone());
        }
        let rows = self.tx.devices(&key.0).await?;
        for row in rows {
            self.devices
                .entry((row.account, row.device))
                .or_insert(Some(row));
        }
        Ok(self.devices.entry(key).or_insert(None).clone())
    }

    /// How many invitations of each server wait for a device here.
    pub(crate) async fn waiting_invites(
        &mut self,
        key: DeviceKey,
    ) -> Result<BTreeMap<ServerDid, u32>, StoreFault> {
        if let Some(known) = self.invites.get(&key) {
            return Ok(known.clone());
        }
        let loaded = self.tx().await?.waiting_invites(&key.0, &key.1).await?;
        let waiting: BTreeMap<ServerDid, u32> = loaded.into_iter().collect();
        self.invites.insert(key, waiting.clone());
        Ok(waiting)
    }

    /// Takes a decision over: its changes, debts, queue items and effects.
    pub(crate) async fn record<T>(&mut self, decision: Decision<T>) -> Result<T, StoreFault> {
        for change in decision.changes {
            self.note(change);
        }
        for (peer, item) in decision.owed {
            self.owe(peer, item).await?;
        }
        let has_item: HashSet<DeviceKey> = decision
            .queued
            .iter()
            .map(|queued| (queued.account, queued.device))
            .collect();
        for queued in decision.queued {
            self.enqueue(queued).await?;
        }
        for effect in &decision.effects {
            match effect {
                Effect::WakeDevice(account, device) if !has_item.contains(&(*account, *device)) => {
                    self.pass_number((*account, *device)).await?;
                }
                Effect::WakeDevice(..)
                | Effect::WakeRoom(_)
                | Effect::WakePeer(_)
                | Effect::RepairRoom(_) => {}
            }
        }
        self.effects.extend(decision.effects);
        Ok(decision.reply)
    }

    fn note(&mut self, change: Change) {
        match &change {
            Change::PutRoom(row) => {
                self.dirty_rooms.insert(row.room);
                self.rooms.insert(row.room, Some(row.clone()));
                return;
            }
            Change::PutPeer(row) => {
                self.dirty_peers.insert(row.server.clone());
                self.peers.insert(row.server.clone(), row.clone());
                return;
            }
            Change::PutDevice(row) => {
                let key = (row.account, row.device);
                self.dirty_devices.insert(key);
                self.devices.insert(key, Some(row.clone()));
                return;
            }
            Change::PutMember(row) => {
                let key = (row.room, row.account, row.device);
                self.members.insert(key, Some(row.clone()));
            }
            Change::EndMember {
                room,
                account,
                device,
                left,
            } => {
                let known = self.members.get_mut(&(*room, *account, *device));
                if let Some(Some(member)) = known {
                    member.left = member.left.or(Some(*left));
                }
            }
            Change::PutPending(row) => {
                self.pending.insert(row.key(), Some(row.clone()));
            }
            Change::DropPending { room, message_id } => {
                self.pending.insert((*room, *message_id), None);
            }
            Change::AppendEntry(entry) => self.note_entry(entry),
            Change::DropQueued {
                account, device, ..
            } => _ = self.invites.remove(&(*account, *device)),
            Change::PutLink(row) => _ = self.links.insert(row.peer.clone(), Some(row.clone())),
            Change::PutEquivocation(row) => _ = self.standings.insert(row.room, Standing::Frozen),
            Change::PutAccount(_)
            | Change::PutKeyPackage(_)
            | Change::DropKeyPackage(_)
            | Change::DropLastResort { .. }
            | Change::PutClaim(_)
            | Change::PutNode(_)
            | Change::DropNode(_)
            | Change::PutPin(_)
            | Change::DropPin(_)
            | Change::Attest { .. }
            | Change::PatchGroup { .. }
            | Change::PutEpoch(_)
            | Change::DropEpochs { .. }
            | Change::Owe { .. }
            | Change::DropOwed { .. }
            | Change::Enqueue(_)
            | Change::Park(_)
            | Change::DropEntries { .. }
            | Change::PutRetention(_)
            | Change::DropParked { .. } => {}
        }
        self.buffer.push(change);
    }

    fn note_entry(&mut self, entry: &Entry) {
        let header = &entry.header;
        let head = header.head();
        let ordered = Ordered {
            at: head,
            sender: header.sender,
            time: header.time,
        };
        let key = (header.room, header.origin.clone(), header.message_id);
        self.ordered.insert(key, Some(ordered));
        if entry.attestation.is_none() {
            self.heads.insert(header.room, head);
        }
    }

    async fn owe(&mut self, peer: ServerDid, item: Owed) -> Result<(), StoreFault> {
        let mut row = self.peer(&peer).await?;
        row.last_out += 1;
        self.buffer.push(Change::Owe {
            peer,
            number: row.last_out,
            item,
        });
        self.note(Change::PutPeer(row));
        Ok(())
    }

    async fn enqueue(&mut self, queued: Queued) -> Result<(), StoreFault> {
        let key = (queued.account, queued.device);
        let Some(mut row) = self.device(key).await? else {
            return Ok(());
        };
        row.last_queued += 1;
        if let (Some(server), Some(waiting)) = (&queued.invited_by, self.invites.get_mut(&key)) {
            *waiting.entry(server.clone()).or_default() += 1;
        }
        self.buffer.push(Change::Enqueue(QueuedRow {
            account: key.0,
            device: key.1,
            number: row.last_queued,
            time: self.now,
            item: queued.item,
            invited_by: queued.invited_by,
        }));
        self.note(Change::PutDevice(row));
        Ok(())
    }

    /// Gives out a number of a device's queue without an item: whoever serves the device at another node
    /// sees that it is to look again.
    async fn pass_number(&mut self, key: DeviceKey) -> Result<(), StoreFault> {
        if let Some(mut row) = self.device(key).await? {
            row.last_queued += 1;
            self.note(Change::PutDevice(row));
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), StoreFault> {
        let mut changes = std::mem::take(&mut self.buffer);
        for room in std::mem::take(&mut self.dirty_rooms) {
            if let Some(Some(row)) = self.rooms.get(&room) {
                changes.push(Change::PutRoom(row.clone()));
            }
        }
        for peer in std::mem::take(&mut self.dirty_peers) {
            if let Some(row) = self.peers.get(&peer) {
                changes.push(Change::PutPeer(row.clone()));
            }
        }
        for key in std::mem::take(&mut self.dirty_devices) {
            if let Some(Some(row)) = self.devices.get(&key) {
                changes.push(Change::PutDevice(row.clone()));
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        self.tx.apply(changes).await
    }

    /// Signs the heads of the rooms that this server ordered in, with one signature for all.
    fn attest_heads(&mut self) {
        let me = &self.here.me;
        let rooms = &self.rooms;
        let ours = |room: &RoomId| {
            let row = rooms.get(room).and_then(Option::as_ref);
            row.is_some_and(|row| row.hub == *me)
        };
        let heads: Vec<(RoomId, Head)> = std::mem::take(&mut self.heads)
            .into_iter()
            .filter(|(room, _)| ours(room))
            .collect();
        let attestations = attest(&heads, me, &self.here.key_id, &self.here.key, self.now);
        let mut by_place: HashMap<_, _> = heads
            .iter()
            .map(|(room, head)| (*room, head.seq))
            .zip(attestations)
            .collect();
        for change in &mut self.buffer {
            if let Change::AppendEntry(entry) = change {
                let place = (entry.header.room, entry.header.seq);
                if let Some(attestation) = by_place.remove(&place) {
                    entry.attestation = Some(attestation);
                }
            }
        }
        let applied = by_place
            .into_iter()
            .map(|((room, seq), attestation)| Change::Attest {
                room,
                seq,
                attestation,
            });
        self.buffer.extend(applied);
    }

    /// Commits everything and tells whom to wake, if it is written.
    pub(crate) async fn finish(mut self) -> (Vec<Effect>, Result<(), StoreFault>) {
        self.attest_heads();
        let finished = match self.flush().await {
            Ok(()) => self.tx.commit().await,
            Err(fault) => Err(fault),
        };
        (self.effects.into_iter().collect(), finished)
    }
}

fn ends_a_time(change: &Change) -> bool {
    matches!(change, Change::EndMember { .. })
}
