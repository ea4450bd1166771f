//! The tables, and what each change does to them.

use std::sync::Arc;

use entente_groups::{Epoch, KeyPackageRef, KeyPackageUse, MessageId, RoomId};
use entente_homeserver_core::rows::{
    AccountRow, ClaimRow, DeviceRow, EpochRow, EquivocationRow, KeyPackageRow, LinkRow, MemberRow,
    NodeId, NodeRow, ParkedRow, PeerRow, PendingRow, PinRow, QueuedRow, RetentionRow, RoomRow,
};
use entente_homeserver_core::{Change, Owed};
use entente_identity::{AccountDid, DeviceId, ServerDid};
use entente_protocol::entry::{Entry, Seq};
use imbl::OrdMap;

use crate::store::StoreFault;

pub(super) type DeviceKey = (AccountDid, DeviceId);

/// Every table, by key. Large rows are shared between views.
#[derive(Clone, Default)]
pub(super) struct Rows {
    pub(super) accounts: OrdMap<AccountDid, Arc<AccountRow>>,
    pub(super) devices: OrdMap<DeviceKey, DeviceRow>,
    pub(super) key_packages: OrdMap<KeyPackageRef, Arc<KeyPackageRow>>,
    pub(super) claims: OrdMap<(RoomId, KeyPackageRef), ClaimRow>,
    pub(super) rooms: OrdMap<RoomId, RoomRow>,
    pub(super) logs: OrdMap<RoomId, OrdMap<Seq, Arc<Entry>>>,
    /// Where each message stands in its room's log.
    pub(super) messages: OrdMap<(RoomId, ServerDid, MessageId), Seq>,
    pub(super) retention: OrdMap<RoomId, RetentionRow>,
    pub(super) members: OrdMap<RoomId, OrdMap<DeviceKey, MemberRow>>,
    pub(super) groups: OrdMap<RoomId, OrdMap<Vec<u8>, Arc<Vec<u8>>>>,
    pub(super) epochs: OrdMap<(RoomId, Epoch), Arc<EpochRow>>,
    pub(super) peers: OrdMap<ServerDid, PeerRow>,
    pub(super) nodes: OrdMap<NodeId, NodeRow>,
    pub(super) links: OrdMap<ServerDid, LinkRow>,
    pub(super) pins: OrdMap<ServerDid, Arc<PinRow>>,
    pub(super) equivocations: OrdMap<RoomId, Arc<EquivocationRow>>,
    pub(super) outboxes: OrdMap<ServerDid, OrdMap<u64, Arc<Owed>>>,
    pub(super) pending: OrdMap<(RoomId, MessageId), Arc<PendingRow>>,
    pub(super) queues: OrdMap<DeviceKey, OrdMap<u64, Arc<QueuedRow>>>,
    pub(super) parked: OrdMap<(ServerDid, u64, u64), Arc<ParkedRow>>,
}

impl Rows {
    pub(super) fn apply(&mut self, change: Change) -> Result<(), StoreFault> {
        match change {
            Change::PutAccount(row) => self.put_account(row)?,
            Change::PutDevice(row) => put(&mut self.devices, (row.account, row.device), row),
            Change::PutKeyPackage(row) => {
                put(&mut self.key_packages, row.reference.clone(), Arc::new(row));
            }
            Change::DropKeyPackage(reference) => _ = self.key_packages.remove(&reference),
            Change::DropLastResort {
                account,
                device,
                suite,
            } => keep(&mut self.key_packages, |_, row| {
                row.usage != KeyPackageUse::LastResort
                    || (row.account, row.device, row.suite) != (account, device, suite)
            }),
            Change::PutClaim(row) => put(&mut self.claims, (row.room, row.reference.clone()), row),
            Change::PutRoom(row) => put(&mut self.rooms, row.room, row),
            Change::AppendEntry(entry) => self.append_entry(entry)?,
            Change::DropEntries { room, up_to } => self.drop_entries(room, up_to),
            Change::PutRetention(row) => put(&mut self.retention, row.room, row),
            Change::Attest {
                room,
                seq,
                attestation,
            } => self.entry_mut(room, seq)?.attestation = Some(attestation),
            Change::PutMember(row) => self.put_member(row),
            Change::EndMember {
                room,
                account,
                device,
                left,
            } => self.end_member(room, (account, device), left),
            Change::PatchGroup {
                room,
                puts,
                deletes,
            } => self.patch_group(room, puts, &deletes),
            Change::PutEpoch(row) => put(&mut self.epochs, (row.room, row.epoch), Arc::new(row)),
            Change::DropEpochs { room, before } => {
                keep(&mut self.epochs, |key, _| key.0 != room || key.1 >= before);
            }
            Change::PutPeer(row) => put(&mut self.peers, row.server.clone(), row),
            Change::PutNode(row) => put(&mut self.nodes, row.node, row),
            Change::DropNode(node) => _ = self.nodes.remove(&node),
            Change::PutLink(row) => put(&mut self.links, row.peer.clone(), row),
            Change::PutPin(row) => put(&mut self.pins, row.pin.did.clone(), Arc::new(row)),
            Change::DropPin(server) => _ = self.pins.remove(&server),
            Change::PutEquivocation(row) => self.put_equivocation(*row),
            Change::Owe { peer, number, item } => self.owe(peer, number, item)?,
            Change::DropOwed { peer, up_to } => drop_up_to(&mut self.outboxes, &peer, up_to),
            Change::PutPending(row) => put(&mut self.pending, row.key(), Arc::new(row)),
            Change::DropPending { room, message_id } => {
                self.pending.remove(&(room, message_id));
            }
            Change::Enqueue(row) => self.enqueue(row)?,
            Change::DropQueued {
                account,
                device,
                up_to,
            } => drop_up_to(&mut self.queues, &(account, device), up_to),
            Change::Park(row) => {
                let key = (row.peer.clone(), row.stream_epoch, row.number);
                put(&mut self.parked, key, Arc::new(row));
            }
            Change::DropParked { room, up_to } => self.drop_parked(room, up_to),
        }
        Ok(())
    }

    fn drop_parked(&mut self, room: RoomId, up_to: Seq) {
        keep(&mut self.parked, |_, row| {
            row.entry.is_none_or(|(r, seq)| r != room || seq > up_to)
        });
    }

    fn put_member(&mut self, row: MemberRow) {
        let room = self.members.entry(row.room).or_default();
        put(room, (row.account, row.device), row);
    }

    fn put_equivocation(&mut self, row: EquivocationRow) {
        let known = self.equivocations.entry(row.room);
        known.or_insert_with(|| Arc::new(row));
    }

    fn put_account(&mut self, row: AccountRow) -> Result<(), StoreFault> {
        let taken = self
            .accounts
            .values()
            .any(|other| other.local == row.local && other.account != row.account);
        if taken {
            return broken("the name of another account");
        }
        self.accounts.insert(row.account, Arc::new(row));
        Ok(())
    }

    fn append_entry(&mut self, entry: Entry) -> Result<(), StoreFault> {
        let header = &entry.header;
        let message = (header.room, header.origin.clone(), header.message_id);
        let log = self.logs.entry(header.room).or_default();
        if log.contains_key(&header.seq) {
            return broken("an entry at an occupied position");
        }
        if self.messages.contains_key(&message) {
            return broken("a message that is in the log already");
        }
        self.messages.insert(message, header.seq);
        log.insert(header.seq, Arc::new(entry));
        Ok(())
    }

    fn drop_entries(&mut self, room: RoomId, up_to: Seq) {
        let Some(log) = self.logs.get_mut(&room) else {
            return;
        };
        while let Some((seq, entry)) = log.get_min().filter(|(seq, _)| *seq <= up_to) {
            let (seq, header) = (*seq, entry.header.clone());
            log.remove(&seq);
            let message = (room, header.origin, header.message_id);
            self.messages.remove(&message);
        }
    }

    fn entry_mut(&mut self, room: RoomId, seq: Seq) -> Result<&mut Entry, StoreFault> {
        match self.logs.get_mut(&room).and_then(|log| log.get_mut(&seq)) {
            Some(entry) => Ok(Arc::make_mut(entry)),
            None => broken("an attestation of an entry that is not there"),
        }
    }

    fn end_member(&mut self, room: RoomId, member: DeviceKey, left: Seq) {
        let room = self.members.get_mut(&room);
        if let Some(row) = room.and_then(|room| room.get_mut(&member)) {
            row.left = row.left.or(Some(left));
        }
    }

    fn patch_group(&mut self, room: RoomId, puts: Vec<(Vec<u8>, Vec<u8>)>, deletes: &[Vec<u8>]) {
        let rows = self.groups.entry(room).or_default();
        for key in deletes {
            rows.remove(key);
        }
        rows.extend(puts.into_iter().map(|(key, value)| (key, Arc::new(value))));
    }

    fn owe(&mut self, peer: ServerDid, number: u64, item: Owed) -> Result<(), StoreFault> {
        let outbox = self.outboxes.entry(peer).or_default();
        if outbox.insert(number, Arc::new(item)).is_some() {
            return broken("an owed item under an occupied number");
        }
        Ok(())
    }

    fn enqueue(&mut self, row: QueuedRow) -> Result<(), StoreFault> {
        let queue = self.queues.entry((row.account, row.device)).or_default();
        if queue.insert(row.number, Arc::new(row)).is_some() {
            return broken("a queue item under an occupied number");
        }
        Ok(())
    }
}

fn broken<T>(what: &str) -> Result<T, StoreFault> {
    Err(StoreFault::Broken(what.to_owned()))
}

fn put<K: Ord + Clone, V: Clone>(table: &mut OrdMap<K, V>, key: K, row: V) {
    table.insert(key, row);
}

fn keep<K: Ord + Clone, V: Clone>(table: &mut OrdMap<K, V>, kept: impl Fn(&K, &V) -> bool) {
    let gone: Vec<K> = table
        .iter()
        .filter(|(key, row)| !kept(key, row))
        .map(|(key, _)| key.clone())
        .collect();
    for key in gone {
        table.remove(&key);
    }
}

/// Deletes from one of several numbered lists, up to a number.
fn drop_up_to<K: Ord + Clone, V: Clone>(
    lists: &mut OrdMap<K, OrdMap<u64, V>>,
    key: &K,
    up_to: u64,
) {
    if let Some(list) = lists.get_mut(key) {
        while let Some((number, _)) = list.get_min().filter(|(number, _)| *number <= up_to) {
            let number = *number;
            list.remove(&number);
        }
    }
}
