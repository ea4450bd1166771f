//! What each read answers.

mod together;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use entente_groups::{Epoch, KeyPackageRef, MessageId, RoomId, Suite};
use entente_homeserver_core::rows::{
    AccountRow, ClaimRow, DeviceRow, EpochRow, EquivocationRow, KeyPackageRow, LinkRow, LogEnd,
    MemberRow, NodeId, NodeRow, ParkedRow, PeerRow, PendingRow, PinRow, QueuedRow, RetentionRow,
    RoomRow,
};
use entente_homeserver_ops::{Found, LAST_ATTESTED_WITHIN, Page, Read, StoreFault, Wanted};
use entente_identity::{AccountDid, DeviceId, LocalPart, ServerDid, UnixMillis};
use entente_protocol::call::Ordered;
use entente_protocol::entry::{Entry, Seq};
use entente_protocol::equivocation::ShownHead;
use entente_protocol::relay::Item;
use tls_codec::Size;
use tokio_postgres::Row;

use crate::View;
use crate::fault::unreadable;
use crate::rows::{
    Columns, account_row, bound, claim_row, device_row, entry_at, epoch_row, equivocation_row,
    header, key_package_row, link_row, log_end, member_row, node_row, parked_row, peer_row,
    pending_row, pin_row, queued_row, retention_row, room_row, shown_head, signed, suite_number,
};
use crate::session::{Parameters, Session};
use crate::statements as sql;

async fn all<T>(
    session: &mut Session,
    sql: &str,
    parameters: Parameters<'_>,
    read: impl Fn(&Columns<'_>) -> Result<T, StoreFault>,
) -> Result<Vec<T>, StoreFault> {
    let rows = session.rows(sql, parameters).await?;
    rows.iter().map(|row| read(&Columns(row))).collect()
}

async fn one<T>(
    session: &mut Session,
    sql: &str,
    parameters: Parameters<'_>,
    read: impl Fn(&Columns<'_>) -> Result<T, StoreFault>,
) -> Result<Option<T>, StoreFault> {
    let rows = session.rows(sql, parameters).await?;
    rows.first().map(|row| read(&Columns(row))).transpose()
}

async fn count(
    session: &mut Session,
    sql: &str,
    parameters: Parameters<'_>,
) -> Result<u64, StoreFault> {
    let found = one(session, sql, parameters, |columns| columns.number(0)).await?;
    Ok(found.unwrap_or(0))
}

/// The rows that a page admits, of those that the database thought might fit.
fn fill<T>(
    rows: &[Row],
    bounds: Page,
    read: impl Fn(&Columns<'_>) -> Result<T, StoreFault>,
    size: impl Fn(&T) -> usize,
) -> Result<Vec<T>, StoreFault> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    for row in rows {
        let item = read(&Columns(row))?;
        let next = size(&item);
        if !bounds.admits(found.len(), bytes, next) {
            break;
        }
        bytes += next;
        found.push(item);
    }
    Ok(found)
}

/// A page's bounds as the database cuts it: at most so many rows, and of those the ones before which
/// lie fewer bytes than this; the first one lies behind none.
fn cut(bounds: Page) -> (i64, i64) {
    let number = |bound: usize| i64::try_from(bound).unwrap_or(i64::MAX);
    (number(bounds.items), number(bounds.bytes).max(1))
}

/// Places in logs that are owed under a number.
#[derive(Default)]
struct Pointers {
    numbers: Vec<i64>,
    rooms: Vec<Vec<u8>>,
    seqs: Vec<i64>,
}

impl Pointers {
    /// Takes a row of the outbox, if it is a pointer; else gives the size of the item that it carries.
    fn note(&mut self, columns: &Columns<'_>) -> Result<i64, StoreFault> {
        if let Some(item) = columns.maybe_bytes(3)? {
            return Ok(signed(item.len() as u64));
        }
        self.numbers.push(signed(columns.number(0)?));
        self.rooms.push(columns.bytes(1)?.to_vec());
        self.seqs.push(signed(columns.number(2)?));
        Ok(0)
    }

    /// The entries that are there, by number, up to a size.
    async fn entries(
        &self,
        session: &mut Session,
        bytes: i64,
    ) -> Result<BTreeMap<u64, Entry>, StoreFault> {
        if self.numbers.is_empty() {
            return Ok(BTreeMap::new());
        }
        let parameters: Parameters<'_> = &[&self.numbers, &self.rooms, &self.seqs, &bytes];
        let read = |columns: &Columns<'_>| Ok((columns.number(0)?, entry_at(columns, 1)?));
        let found = all(session, sql::OWED_ENTRIES, parameters, read).await?;
        Ok(found.into_iter().collect())
    }
}

fn root(account: &AccountDid) -> &[u8] {
    account.root_key().as_bytes()
}

#[async_trait]
impl<T: Send> Read for View<T> {
    async fn account(&mut self, account: &AccountDid) -> Result<Option<AccountRow>, StoreFault> {
        let key = root(account);
        one(&mut self.session, sql::ACCOUNT, &[&key], account_row).await
    }

    async fn account_named(&mut self, local: &LocalPart) -> Result<Option<AccountRow>, StoreFault> {
        let name = local.as_str();
        one(&mut self.session, sql::ACCOUNT_NAMED, &[&name], account_row).await
    }

    async fn devices(&mut self, account: &AccountDid) -> Result<Vec<DeviceRow>, StoreFault> {
        all(
            &mut self.session,
            sql::DEVICES,
            &[&root(account)],
            device_row,
        )
        .await
    }

    async fn key_package(
        &mut self,
        reference: &KeyPackageRef,
    ) -> Result<Option<KeyPackageRow>, StoreFault> {
        let key = reference.as_slice();
        one(
            &mut self.session,
            sql::KEY_PACKAGE,
            &[&key],
            key_package_row,
        )
        .await
    }

    async fn key_package_count(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<u32, StoreFault> {
        let (account, device) = (root(account), &device.0[..]);
        let parameters: Parameters<'_> = &[&account, &device];
        let found = count(&mut self.session, sql::KEY_PACKAGE_COUNT, parameters).await?;
        u32::try_from(found).map_err(|_| unreadable("count"))
    }

    async fn claimable(
        &mut self,
        account: &AccountDid,
        suite: Suite,
        now: UnixMillis,
    ) -> Result<Option<KeyPackageRow>, StoreFault> {
        let (account, suite, now) = (root(account), suite_number(suite), bound(now.0));
        let parameters: Parameters<'_> = &[&account, &suite, &now];
        one(
            &mut self.session,
            sql::CLAIMABLE,
            parameters,
            key_package_row,
        )
        .await
    }

    async fn claim(
        &mut self,
        room: &RoomId,
        reference: &KeyPackageRef,
    ) -> Result<Option<ClaimRow>, StoreFault> {
        let (room, reference) = (&room.0[..], reference.as_slice());
        one(
            &mut self.session,
            sql::CLAIM,
            &[&room, &reference],
            claim_row,
        )
        .await
    }

    async fn room(&mut self, room: &RoomId) -> Result<Option<RoomRow>, StoreFault> {
        one(&mut self.session, sql::ROOM, &[&&room.0[..]], room_row).await
    }

    async fn member(
        &mut self,
        room: &RoomId,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Option<MemberRow>, StoreFault> {
        let (room, account, device) = (&room.0[..], root(account), &device.0[..]);
        let parameters: Parameters<'_> = &[&room, &account, &device];
        one(&mut self.session, sql::MEMBER, parameters, member_row).await
    }

    async fn members(&mut self, room: &RoomId) -> Result<Vec<MemberRow>, StoreFault> {
        all(&mut self.session, sql::MEMBERS, &[&&room.0[..]], member_row).await
    }

    async fn member_times(
        &mut self,
        room: &RoomId,
        home: &ServerDid,
    ) -> Result<Vec<MemberRow>, StoreFault> {
        let (room, home) = (&room.0[..], home.to_string());
        let parameters: Parameters<'_> = &[&room, &home];
        all(&mut self.session, sql::MEMBER_TIMES, parameters, member_row).await
    }

    async fn memberships(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Vec<MemberRow>, StoreFault> {
        let (account, device) = (root(account), &device.0[..]);
        let parameters: Parameters<'_> = &[&account, &device];
        all(&mut self.session, sql::MEMBERSHIPS, parameters, member_row).await
    }

    async fn entries(
        &mut self,
        room: &RoomId,
        after: Seq,
        until: Seq,
        bounds: Page,
    ) -> Result<Vec<Entry>, StoreFault> {
        let (room, (items, bytes)) = (&room.0[..], cut(bounds));
        let (after, until) = (bound(after.0), bound(until.0));
        let parameters: Parameters<'_> = &[&room, &after, &until, &items, &bytes];
        let rows = self.session.rows(sql::ENTRIES, parameters).await?;
        let read = |columns: &Columns<'_>| entry_at(columns, 0);
        fill(&rows, bounds, read, Size::tls_serialized_len)
    }

    async fn retention(&mut self, room: &RoomId) -> Result<Option<RetentionRow>, StoreFault> {
        let room = &room.0[..];
        one(&mut self.session, sql::RETENTION, &[&room], retention_row).await
    }

    async fn rooms_after(
        &mut self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreFault> {
        let after: &[u8] = after.map_or(&[], |room| &room.0);
        let parameters: Parameters<'_> = &[&after, &bound(limit as u64)];
        let read = |columns: &Columns<'_>| columns.room(0);
        all(&mut self.session, sql::ROOMS_AFTER, parameters, read).await
    }

    async fn ordered(
        &mut self,
        room: &RoomId,
        origin: &ServerDid,
        message_id: &MessageId,
    ) -> Result<Option<Ordered>, StoreFault> {
        let (message, room, origin) = (&message_id.0[..], &room.0[..], origin.to_string());
        let parameters: Parameters<'_> = &[&message, &room, &origin];
        let found = one(&mut self.session, sql::ORDERED, parameters, header).await?;
        Ok(found.map(|header| Ordered {
            at: header.head(),
            sender: header.sender,
            time: header.time,
        }))
    }

    async fn origins(
        &mut self,
        room: &RoomId,
        after: Seq,
        until: Seq,
    ) -> Result<Vec<ServerDid>, StoreFault> {
        let (room, after, until) = (&room.0[..], bound(after.0), bound(until.0));
        let parameters: Parameters<'_> = &[&room, &after, &until];
        let read = |columns: &Columns<'_>| columns.server(0);
        let mut found = all(&mut self.session, sql::ORIGINS, parameters, read).await?;
        found.sort_unstable();
        Ok(found)
    }

    async fn group(&mut self, room: &RoomId) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreFault> {
        let read = |columns: &Columns<'_>| {
            let (key, value) = (columns.bytes(0)?, columns.bytes(1)?);
            Ok((key.to_vec(), value.to_vec()))
        };
        all(&mut self.session, sql::GROUP, &[&&room.0[..]], read).await
    }

    async fn epoch(&mut self, room: &RoomId, epoch: Epoch) -> Result<Option<EpochRow>, StoreFault> {
        let (room, epoch) = (&room.0[..], signed(epoch.0));
        one(&mut self.session, sql::EPOCH, &[&room, &epoch], epoch_row).await
    }

    async fn peer(&mut self, server: &ServerDid) -> Result<Option<PeerRow>, StoreFault> {
        one(
            &mut self.session,
            sql::PEER,
            &[&server.to_string()],
            peer_row,
        )
        .await
    }

    async fn peers(&mut self) -> Result<Vec<PeerRow>, StoreFault> {
        all(&mut self.session, sql::PEERS, &[], peer_row).await
    }

    async fn pin(&mut self, server: &ServerDid) -> Result<Option<PinRow>, StoreFault> {
        one(&mut self.session, sql::PIN, &[&server.to_string()], pin_row).await
    }

    async fn equivocation(&mut self, room: &RoomId) -> Result<Option<EquivocationRow>, StoreFault> {
        let room = &room.0[..];
        one(
            &mut self.session,
            sql::EQUIVOCATION,
            &[&room],
            equivocation_row,
        )
        .await
    }

    async fn last_attested(&mut self, room: &RoomId) -> Result<Option<ShownHead>, StoreFault> {
        let (room, within) = (&room.0[..], bound(LAST_ATTESTED_WITHIN));
        let parameters: Parameters<'_> = &[&room, &within];
        one(
            &mut self.session,
            sql::LAST_ATTESTED,
            parameters,
            shown_head,
        )
        .await
    }

    async fn peers_after(
        &mut self,
        after: Option<&ServerDid>,
        limit: usize,
    ) -> Result<Vec<PeerRow>, StoreFault> {
        let after = after.map(ToString::to_string).unwrap_or_default();
        let parameters: Parameters<'_> = &[&after, &bound(limit as u64)];
        all(&mut self.session, sql::PEERS_AFTER, parameters, peer_row).await
    }

    async fn node(&mut self, node: &NodeId) -> Result<Option<NodeRow>, StoreFault> {
        one(&mut self.session, sql::NODE, &[&&node.0[..]], node_row).await
    }

    async fn nodes(&mut self) -> Result<Vec<NodeRow>, StoreFault> {
        all(&mut self.session, sql::NODES, &[], node_row).await
    }

    async fn link(&mut self, peer: &ServerDid) -> Result<Option<LinkRow>, StoreFault> {
        one(&mut self.session, sql::LINK, &[&peer.to_string()], link_row).await
    }

    async fn links_after(
        &mut self,
        after: Option<&ServerDid>,
        limit: usize,
    ) -> Result<Vec<LinkRow>, StoreFault> {
        let after = after.map(ToString::to_string).unwrap_or_default();
        let parameters: Parameters<'_> = &[&after, &bound(limit as u64)];
        all(&mut self.session, sql::LINKS_AFTER, parameters, link_row).await
    }

    async fn log_ends(&mut self, rooms: &[RoomId]) -> Result<Vec<LogEnd>, StoreFault> {
        let wanted: BTreeSet<&RoomId> = rooms.iter().collect();
        let wanted: Vec<&[u8]> = wanted.into_iter().map(|room| &room.0[..]).collect();
        let mut ends = all(&mut self.session, sql::LOG_ENDS, &[&wanted], log_end).await?;
        ends.sort_unstable_by_key(|end| end.room);
        Ok(ends)
    }

    async fn queue_ends(
        &mut self,
        devices: &[(AccountDid, DeviceId)],
    ) -> Result<Vec<DeviceRow>, StoreFault> {
        let wanted: BTreeSet<&(AccountDid, DeviceId)> = devices.iter().collect();
        let (accounts, ids): (Vec<&[u8]>, Vec<&[u8]>) = wanted
            .into_iter()
            .map(|(account, device)| (root(account), &device.0[..]))
            .unzip();
        let parameters: Parameters<'_> = &[&accounts, &ids];
        let mut ends = all(&mut self.session, sql::QUEUE_ENDS, parameters, device_row).await?;
        ends.sort_unstable_by_key(|row| (row.account, row.device));
        Ok(ends)
    }

    async fn owed(
        &mut self,
        peer: &ServerDid,
        after: u64,
        bounds: Page,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreFault> {
        let (peer, (items, _)) = (peer.to_string(), cut(bounds));
        let (mut owed, mut bytes, mut last) = (Vec::new(), 0, after);
        loop {
            let left = i64::try_from(bounds.bytes.saturating_sub(bytes)).unwrap_or(i64::MAX);
            let left = left.max(1);
            let parameters: Parameters<'_> = &[&peer, &bound(last), &items, &left];
            let rows = self.session.rows(sql::OWED, parameters).await?;
            let (mut pointers, mut carried) = (Pointers::default(), 0);
            for row in &rows {
                carried += pointers.note(&Columns(row))?;
            }
            let mut entries = pointers.entries(&mut self.session, left).await?;
            for row in &rows {
                let columns = Columns(row);
                last = columns.number(0)?;
                let item = match columns.maybe_bytes(3)? {
                    Some(item) => item.to_vec(),
                    None => match entries.remove(&last) {
                        Some(entry) => Item::Entry(entry).to_bytes(),
                        // It is not in the log any more, or behind what fits.
                        None => continue,
                    },
                };
                if !bounds.admits(owed.len(), bytes, item.len()) {
                    return Ok(owed);
                }
                bytes += item.len();
                owed.push((last, item));
            }
            // Fewer than were asked for, and none cut off: there are no more.
            if signed(rows.len() as u64) < items && carried < left || items == 0 {
                return Ok(owed);
            }
        }
    }

    async fn owed_rooms(
        &mut self,
        peer: &ServerDid,
        up_to: u64,
    ) -> Result<Vec<RoomId>, StoreFault> {
        let (peer, up_to) = (peer.to_string(), bound(up_to));
        let parameters: Parameters<'_> = &[&peer, &up_to];
        let read = |columns: &Columns<'_>| columns.room(0);
        let mut found = all(&mut self.session, sql::OWED_ROOMS, parameters, read).await?;
        found.sort_unstable();
        Ok(found)
    }

    async fn oldest_owed(&mut self, room: &RoomId) -> Result<Option<Seq>, StoreFault> {
        let read = |columns: &Columns<'_>| columns.number(0).map(Seq);
        one(&mut self.session, sql::OLDEST_OWED, &[&&room.0[..]], read).await
    }

    async fn pending(
        &mut self,
        room: &RoomId,
        message_id: &MessageId,
    ) -> Result<Option<PendingRow>, StoreFault> {
        let (room, message) = (&room.0[..], &message_id.0[..]);
        one(
            &mut self.session,
            sql::PENDING,
            &[&room, &message],
            pending_row,
        )
        .await
    }

    async fn pending_count(&mut self, account: &AccountDid) -> Result<u32, StoreFault> {
        let parameters: Parameters<'_> = &[&root(account)];
        let found = count(&mut self.session, sql::PENDING_COUNT, parameters).await?;
        u32::try_from(found).map_err(|_| unreadable("count"))
    }

    async fn queued(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
        after: u64,
        bounds: Page,
    ) -> Result<Vec<QueuedRow>, StoreFault> {
        let (account, device, after) = (root(account), &device.0[..], bound(after));
        let (items, bytes) = cut(bounds);
        let parameters: Parameters<'_> = &[&account, &device, &after, &items, &bytes];
        let rows = self.session.rows(sql::QUEUED, parameters).await?;
        fill(&rows, bounds, queued_row, |row| {
            row.item.tls_serialized_len()
        })
    }

    async fn waiting_invites(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Vec<(ServerDid, u32)>, StoreFault> {
        let (account, device) = (root(account), &device.0[..]);
        let parameters: Parameters<'_> = &[&account, &device];
        let read = |columns: &Columns<'_>| Ok((columns.server(0)?, columns.small(1)?));
        all(&mut self.session, sql::WAITING_INVITES, parameters, read).await
    }

    async fn parked(&mut self, bounds: Page) -> Result<Vec<ParkedRow>, StoreFault> {
        let (items, bytes) = cut(bounds);
        let rows = self.session.rows(sql::PARKED, &[&items, &bytes]).await?;
        fill(&rows, bounds, parked_row, |row| row.bytes.len())
    }

    async fn parked_count(&mut self, peer: &ServerDid) -> Result<u64, StoreFault> {
        count(&mut self.session, sql::PARKED_COUNT, &[&peer.to_string()]).await
    }

    async fn together(&mut self, wanted: &Wanted) -> Result<Found, StoreFault> {
        together::read(&mut self.session, wanted).await
    }
}
