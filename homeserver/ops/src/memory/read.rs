//! What each read answers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included, Unbounded};

use async_trait::async_trait;
use entente_groups::{Epoch, KeyPackageRef, KeyPackageUse, MessageId, RoomId, Suite};
use entente_homeserver_core::Owed;
use entente_homeserver_core::rows::{
    AccountRow, ClaimRow, DeviceRow, EpochRow, EquivocationRow, KeyPackageRow, LinkRow, LogEnd,
    MemberRow, NodeId, NodeRow, ParkedRow, PeerRow, PendingRow, PinRow, QueuedRow, RetentionRow,
    RoomRow,
};
use entente_identity::{AccountDid, DeviceId, LocalPart, ServerDid, UnixMillis, encode};
use entente_protocol::call::Ordered;
use entente_protocol::entry::{Entry, Seq};
use entente_protocol::equivocation::ShownHead;
use entente_protocol::relay::Item;

use imbl::OrdMap;

use super::View;
use super::rows::Rows;
use crate::store::{LAST_ATTESTED_WITHIN, Page, Read, StoreFault};
use crate::wanted::{Found, Wanted, one_by_one};

#[async_trait]
impl<T: Send> Read for View<T> {
    async fn account(&mut self, account: &AccountDid) -> Result<Option<AccountRow>, StoreFault> {
        Ok(self.rows.accounts.get(account).map(|row| (**row).clone()))
    }

    async fn account_named(&mut self, local: &LocalPart) -> Result<Option<AccountRow>, StoreFault> {
        let mut accounts = self.rows.accounts.values();
        let named = accounts.find(|row| row.local == *local);
        Ok(named.map(|row| (**row).clone()))
    }

    async fn devices(&mut self, account: &AccountDid) -> Result<Vec<DeviceRow>, StoreFault> {
        let devices = self.rows.devices.values();
        let its_own = devices.filter(|row| row.account == *account);
        Ok(its_own.cloned().collect())
    }

    async fn key_package(
        &mut self,
        reference: &KeyPackageRef,
    ) -> Result<Option<KeyPackageRow>, StoreFault> {
        let row = self.rows.key_packages.get(reference);
        Ok(row.map(|row| (**row).clone()))
    }

    async fn key_package_count(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<u32, StoreFault> {
        let stock = self.rows.key_packages.values().filter(|row| {
            row.account == *account
                && row.device == *device
                && row.usage == KeyPackageUse::Once
                && row.claimed.is_none()
        });
        Ok(count(stock))
    }

    async fn claimable(
        &mut self,
        account: &AccountDid,
        suite: Suite,
        now: UnixMillis,
    ) -> Result<Option<KeyPackageRow>, StoreFault> {
        let usable = self.rows.key_packages.values().filter(|row| {
            row.account == *account
                && row.suite == suite
                && row.expires > now
                && (row.usage == KeyPackageUse::LastResort || row.claimed.is_none())
        });
        let first = usable.min_by_key(|row| {
            let last_resort = row.usage == KeyPackageUse::LastResort;
            (last_resort, row.expires, &row.reference)
        });
        Ok(first.map(|row| (**row).clone()))
    }

    async fn claim(
        &mut self,
        room: &RoomId,
        reference: &KeyPackageRef,
    ) -> Result<Option<ClaimRow>, StoreFault> {
        Ok(self.rows.claims.get(&(*room, reference.clone())).cloned())
    }

    async fn room(&mut self, room: &RoomId) -> Result<Option<RoomRow>, StoreFault> {
        Ok(self.rows.rooms.get(room).cloned())
    }

    async fn member(
        &mut self,
        room: &RoomId,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Option<MemberRow>, StoreFault> {
        let room = self.rows.members.get(room);
        Ok(room.and_then(|room| room.get(&(*account, *device)).cloned()))
    }

    async fn members(&mut self, room: &RoomId) -> Result<Vec<MemberRow>, StoreFault> {
        let room = self.rows.members.get(room).into_iter();
        let rows = room.flat_map(|room| room.values());
        Ok(rows.filter(|row| row.left.is_none()).cloned().collect())
    }

    async fn member_times(
        &mut self,
        room: &RoomId,
        home: &ServerDid,
    ) -> Result<Vec<MemberRow>, StoreFault> {
        let room = self.rows.members.get(room).into_iter();
        let rows = room.flat_map(|room| room.values());
        Ok(rows.filter(|row| row.home == *home).cloned().collect())
    }

    async fn memberships(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Vec<MemberRow>, StoreFault> {
        let rooms = self.rows.members.values();
        let times = rooms.filter_map(|room| room.get(&(*account, *device)));
        Ok(times.cloned().collect())
    }

    async fn entries(
        &mut self,
        room: &RoomId,
        after: Seq,
        until: Seq,
        page: Page,
    ) -> Result<Vec<Entry>, StoreFault> {
        let entries = span(&self.rows, room, after, until).cloned();
        Ok(fill(page, entries, |entry| encode(entry).len()))
    }

    async fn retention(&mut self, room: &RoomId) -> Result<Option<RetentionRow>, StoreFault> {
        Ok(self.rows.retention.get(room).cloned())
    }

    async fn rooms_after(
        &mut self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreFault> {
        let rooms = following(&self.rows.rooms, after, limit);
        Ok(rooms.into_iter().map(|row| row.room).collect())
    }

    async fn ordered(
        &mut self,
        room: &RoomId,
        origin: &ServerDid,
        message_id: &MessageId,
    ) -> Result<Option<Ordered>, StoreFault> {
        let message = (*room, origin.clone(), *message_id);
        let seq = self.rows.messages.get(&message);
        let entry = seq.and_then(|seq| entry(&self.rows, room, *seq));
        Ok(entry.map(|entry| Ordered {
            at: entry.header.head(),
            sender: entry.header.sender,
            time: entry.header.time,
        }))
    }

    async fn origins(
        &mut self,
        room: &RoomId,
        after: Seq,
        until: Seq,
    ) -> Result<Vec<ServerDid>, StoreFault> {
        let origins = span(&self.rows, room, after, until).map(|entry| &entry.header.origin);
        Ok(distinct(origins.cloned()))
    }

    async fn group(&mut self, room: &RoomId) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreFault> {
        let rows = self.rows.groups.get(room).into_iter().flatten();
        Ok(rows
            .map(|(key, value)| (key.clone(), value.to_vec()))
            .collect())
    }

    async fn epoch(&mut self, room: &RoomId, epoch: Epoch) -> Result<Option<EpochRow>, StoreFault> {
        let row = self.rows.epochs.get(&(*room, epoch));
        Ok(row.map(|row| (**row).clone()))
    }

    async fn peer(&mut self, server: &ServerDid) -> Result<Option<PeerRow>, StoreFault> {
        Ok(self.rows.peers.get(server).cloned())
    }

    async fn pin(&mut self, server: &ServerDid) -> Result<Option<PinRow>, StoreFault> {
        Ok(self.rows.pins.get(server).map(|row| (**row).clone()))
    }

    async fn equivocation(&mut self, room: &RoomId) -> Result<Option<EquivocationRow>, StoreFault> {
        let row = self.rows.equivocations.get(room);
        Ok(row.map(|row| (**row).clone()))
    }

    async fn last_attested(&mut self, room: &RoomId) -> Result<Option<ShownHead>, StoreFault> {
        let log = self.rows.logs.get(room);
        let last = log.and_then(OrdMap::get_max).map_or(0, |(seq, _)| seq.0);
        let mut newest = log.into_iter().flat_map(OrdMap::values).rev();
        let shown = newest.find_map(|entry| entry.shown_head());
        Ok(shown.filter(|shown| shown.header.seq.0 + LAST_ATTESTED_WITHIN > last))
    }

    async fn peers(&mut self) -> Result<Vec<PeerRow>, StoreFault> {
        Ok(self.rows.peers.values().cloned().collect())
    }

    async fn peers_after(
        &mut self,
        after: Option<&ServerDid>,
        limit: usize,
    ) -> Result<Vec<PeerRow>, StoreFault> {
        Ok(following(&self.rows.peers, after, limit))
    }

    async fn node(&mut self, node: &NodeId) -> Result<Option<NodeRow>, StoreFault> {
        Ok(self.rows.nodes.get(node).cloned())
    }

    async fn nodes(&mut self) -> Result<Vec<NodeRow>, StoreFault> {
        Ok(self.rows.nodes.values().cloned().collect())
    }

    async fn link(&mut self, peer: &ServerDid) -> Result<Option<LinkRow>, StoreFault> {
        Ok(self.rows.links.get(peer).cloned())
    }

    async fn links_after(
        &mut self,
        after: Option<&ServerDid>,
        limit: usize,
    ) -> Result<Vec<LinkRow>, StoreFault> {
        Ok(following(&self.rows.links, after, limit))
    }

    async fn log_ends(&mut self, rooms: &[RoomId]) -> Result<Vec<LogEnd>, StoreFault> {
        let held = distinct(rooms.iter())
            .into_iter()
            .filter_map(|room| self.rows.rooms.get(room));
        let ends = held.map(|row| LogEnd {
            room: row.room,
            head: row.head.seq,
            delivered: row.delivered,
        });
        Ok(ends.collect())
    }

    async fn queue_ends(
        &mut self,
        devices: &[(AccountDid, DeviceId)],
    ) -> Result<Vec<DeviceRow>, StoreFault> {
        let wanted = distinct(devices.iter()).into_iter();
        let here = wanted.filter_map(|key| self.rows.devices.get(key));
        Ok(here.cloned().collect())
    }

    async fn owed(
        &mut self,
        peer: &ServerDid,
        after: u64,
        page: Page,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreFault> {
        let outbox = self.rows.outboxes.get(peer).into_iter();
        let owed = outbox.flat_map(|outbox| outbox.range((Excluded(after), Unbounded)));
        let items = owed.filter_map(|(number, item)| Some((*number, bytes(&self.rows, item)?)));
        Ok(fill(page, items, |(_, bytes)| bytes.len()))
    }

    async fn owed_rooms(
        &mut self,
        peer: &ServerDid,
        up_to: u64,
    ) -> Result<Vec<RoomId>, StoreFault> {
        let outbox = self.rows.outboxes.get(peer).into_iter();
        let owed = outbox.flat_map(|outbox| outbox.range(..=up_to));
        let rooms = owed.filter_map(|(_, item)| match **item {
            Owed::Entry { room, .. } => Some(room),
            Owed::Item(_) => None,
        });
        Ok(distinct(rooms))
    }

    async fn oldest_owed(&mut self, room: &RoomId) -> Result<Option<Seq>, StoreFault> {
        let owed = self.rows.outboxes.values().flat_map(|o| o.values());
        let seqs = owed.filter_map(|item| match **item {
            Owed::Entry { room: r, seq } if r == *room => Some(seq),
            Owed::Entry { .. } | Owed::Item(_) => None,
        });
        Ok(seqs.min())
    }

    async fn pending(
        &mut self,
        room: &RoomId,
        message_id: &MessageId,
    ) -> Result<Option<PendingRow>, StoreFault> {
        let row = self.rows.pending.get(&(*room, *message_id));
        Ok(row.map(|row| (**row).clone()))
    }

    async fn pending_count(&mut self, account: &AccountDid) -> Result<u32, StoreFault> {
        let pending = self.rows.pending.values();
        Ok(count(pending.filter(|row| row.account == *account)))
    }

    async fn queued(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
        after: u64,
        page: Page,
    ) -> Result<Vec<QueuedRow>, StoreFault> {
        let queue = self.rows.queues.get(&(*account, *device)).into_iter();
        let rows = queue.flat_map(|queue| queue.range((Excluded(after), Unbounded)));
        let rows = rows.map(|(_, row)| (**row).clone());
        Ok(fill(page, rows, |row| encode(&row.item).len()))
    }

    async fn waiting_invites(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Vec<(ServerDid, u32)>, StoreFault> {
        let queue = self.rows.queues.get(&(*account, *device)).into_iter();
        let mut waiting = BTreeMap::new();
        for server in queue
            .flatten()
            .filter_map(|(_, row)| row.invited_by.clone())
        {
            *waiting.entry(server).or_default() += 1;
        }
        Ok(waiting.into_iter().collect())
    }

    async fn parked(&mut self, page: Page) -> Result<Vec<ParkedRow>, StoreFault> {
        let mut rows: Vec<_> = self.rows.parked.values().collect();
        rows.sort_by_key(|row| row.time);
        let rows = rows.into_iter().map(|row| (**row).clone());
        Ok(fill(page, rows, |row| row.bytes.len()))
    }

    async fn parked_count(&mut self, peer: &ServerDid) -> Result<u64, StoreFault> {
        let parked = self.rows.parked.values();
        Ok(u64::from(count(parked.filter(|row| row.peer == *peer))))
    }

    async fn together(&mut self, wanted: &Wanted) -> Result<Found, StoreFault> {
        one_by_one(self, wanted).await
    }
}

/// At most so many rows after a key.
fn following<K: Ord + Clone, T: Clone>(
    rows: &OrdMap<K, T>,
    after: Option<&K>,
    limit: usize,
) -> Vec<T> {
    let start = after.map_or(Unbounded, |after| Excluded(after.clone()));
    let found = rows.range((start, Unbounded)).take(limit);
    found.map(|(_, row)| row.clone()).collect()
}

fn entry<'a>(rows: &'a Rows, room: &RoomId, seq: Seq) -> Option<&'a Entry> {
    rows.logs.get(room)?.get(&seq).map(|entry| &**entry)
}

/// A room's entries after one position, up to another.
fn span<'a>(
    rows: &'a Rows,
    room: &RoomId,
    after: Seq,
    until: Seq,
) -> impl Iterator<Item = &'a Entry> {
    let log = rows.logs.get(room).filter(|_| after < until).into_iter();
    log.flat_map(move |log| log.range((Excluded(after), Included(until))))
        .map(|(_, entry)| &**entry)
}

/// The bytes that a peer is owed.
fn bytes(rows: &Rows, item: &Owed) -> Option<Vec<u8>> {
    match item {
        Owed::Entry { room, seq } => {
            let entry = entry(rows, room, *seq)?;
            Some(Item::Entry(entry.clone()).to_bytes())
        }
        Owed::Item(bytes) => Some(bytes.clone()),
    }
}

/// As many items as the page admits.
fn fill<T>(page: Page, items: impl Iterator<Item = T>, size: impl Fn(&T) -> usize) -> Vec<T> {
    let mut filled = Vec::new();
    let mut bytes = 0;
    for item in items {
        let next = size(&item);
        if !page.admits(filled.len(), bytes, next) {
            break;
        }
        bytes += next;
        filled.push(item);
    }
    filled
}

fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.collect::<BTreeSet<T>>().into_iter().collect()
}

fn count<T>(rows: impl Iterator<Item = T>) -> u32 {
    u32::try_from(rows.count()).expect("a table in memory has far fewer than 2^32 rows")
}
