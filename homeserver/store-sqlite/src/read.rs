//! What each read answers.

use std::collections::BTreeSet;
use std::ops::Deref;

use async_trait::async_trait;
use entente_groups::{Epoch, KeyPackageRef, MessageId, RoomId, Suite};
use entente_homeserver_core::rows::{
    AccountRow, ClaimRow, DeviceRow, EpochRow, EquivocationRow, KeyPackageRow, LinkRow, LogEnd,
    MemberRow, NodeId, NodeRow, ParkedRow, PeerRow, PendingRow, PinRow, QueuedRow, RetentionRow,
    RoomRow,
};
use entente_homeserver_ops::{
    Found, LAST_ATTESTED_WITHIN, Page, Read, StoreFault, Wanted, one_by_one,
};
use entente_identity::{AccountDid, DeviceId, LocalPart, ServerDid, UnixMillis, decode_exact};
use entente_protocol::call::Ordered;
use entente_protocol::entry::{Entry, EntryHeader, Seq};
use entente_protocol::equivocation::ShownHead;
use entente_protocol::relay::Item;
use rusqlite::{Connection, Params, params};
use tls_codec::Size;

use crate::View;
use crate::fault::{damaged, fault, unreadable};
use crate::rows::{
    Columns, account_row, bound, claim_row, device_key, device_row, entry_row, epoch_row,
    equivocation_row, key_package_row, link_row, log_end, member_row, message_key, node_row,
    parked_row, peer_row, pending_row, pin_row, queued_row, retention_row, room_row, shown_head,
    signed, suite_number,
};

const KEY_PACKAGE: &str = "SELECT reference, account, device, key_package, suite, last_resort, expires, claimed, claimed_by FROM key_package";
const MEMBER: &str = r#"SELECT room, account, device, leaf, home, joined, "left" FROM member"#;
const PEER: &str = "SELECT server, stream_epoch, last_out, acked, in_epoch, in_last FROM peer";

/// Rows up to a page's bounds; those that read as nothing are passed over.
fn rows<T>(
    connection: &Connection,
    (sql, bounds): (&str, Page),
    params: impl Params,
    read: impl Fn(&Columns<'_>) -> Result<Option<T>, StoreFault>,
    size: impl Fn(&T) -> usize,
) -> Result<Vec<T>, StoreFault> {
    let mut statement = connection.prepare_cached(sql).map_err(fault)?;
    let mut rows = statement.query(params).map_err(fault)?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next().map_err(fault)? {
        let Some(item) = read(&Columns(row))? else {
            continue;
        };
        let next = size(&item);
        if !bounds.admits(found.len(), bytes, next) {
            break;
        }
        bytes += next;
        found.push(item);
    }
    Ok(found)
}

const UNBOUNDED: Page = Page {
    items: usize::MAX,
    bytes: usize::MAX,
};

fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Columns<'_>) -> Result<T, StoreFault>,
) -> Result<Vec<T>, StoreFault> {
    let read = |columns: &Columns<'_>| read(columns).map(Some);
    rows(connection, (sql, UNBOUNDED), params, read, |_| 0)
}

fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl Fn(&Columns<'_>) -> Result<T, StoreFault>,
) -> Result<Option<T>, StoreFault> {
    Ok(all(connection, sql, params, read)?.into_iter().next())
}

fn count(connection: &Connection, sql: &str, params: impl Params) -> Result<u64, StoreFault> {
    let found = one(connection, sql, params, |columns| columns.number(0))?;
    Ok(found.unwrap_or(0))
}

fn entry_at(connection: &Connection, room: &[u8], seq: i64) -> Result<Option<Entry>, StoreFault> {
    let sql = "SELECT header, body, attestation FROM room_log WHERE room = ?1 AND seq = ?2";
    one(connection, sql, params![room, seq], entry_row)
}

#[async_trait]
impl<C: Deref<Target = Connection> + Send> Read for View<C> {
    async fn account(&mut self, account: &AccountDid) -> Result<Option<AccountRow>, StoreFault> {
        let sql = "SELECT account, local, claim, created FROM account WHERE account = ?1";
        let key = account.root_key().as_bytes();
        one(&self.connection, sql, params![key], account_row)
    }

    async fn account_named(&mut self, local: &LocalPart) -> Result<Option<AccountRow>, StoreFault> {
        let sql = "SELECT account, local, claim, created FROM account WHERE local = ?1";
        one(&self.connection, sql, params![local.as_str()], account_row)
    }

    async fn devices(&mut self, account: &AccountDid) -> Result<Vec<DeviceRow>, StoreFault> {
        let sql =
            "SELECT account, device, last_queued FROM device WHERE account = ?1 ORDER BY device";
        let key = account.root_key().as_bytes();
        all(&self.connection, sql, params![key], device_row)
    }

    async fn key_package(
        &mut self,
        reference: &KeyPackageRef,
    ) -> Result<Option<KeyPackageRow>, StoreFault> {
        let sql = format!("{KEY_PACKAGE} WHERE reference = ?1");
        let key = params![reference.as_slice()];
        one(&self.connection, &sql, key, key_package_row)
    }

    async fn key_package_count(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<u32, StoreFault> {
        let sql = "SELECT count(*) FROM key_package
             WHERE account = ?1 AND device = ?2 AND last_resort = 0 AND claimed IS NULL";
        let (account, device) = device_key(account, device);
        let found = count(&self.connection, sql, params![account, device])?;
        u32::try_from(found).map_err(|_| unreadable("count"))
    }

    async fn claimable(
        &mut self,
        account: &AccountDid,
        suite: Suite,
        now: UnixMillis,
    ) -> Result<Option<KeyPackageRow>, StoreFault> {
        let sql = format!(
            "{KEY_PACKAGE} WHERE account = ?1 AND suite = ?2 AND expires > ?3
             AND (last_resort = 1 OR claimed IS NULL)
             ORDER BY last_resort, expires, reference LIMIT 1"
        );
        let key = account.root_key().as_bytes();
        let params = params![key, suite_number(suite), bound(now.0)];
        one(&self.connection, &sql, params, key_package_row)
    }

    async fn claim(
        &mut self,
        room: &RoomId,
        reference: &KeyPackageRef,
    ) -> Result<Option<ClaimRow>, StoreFault> {
        let sql =
            "SELECT room, reference, home, time FROM claim WHERE room = ?1 AND reference = ?2";
        let params = params![room.0, reference.as_slice()];
        one(&self.connection, sql, params, claim_row)
    }

    async fn room(&mut self, room: &RoomId) -> Result<Option<RoomRow>, StoreFault> {
        let sql = "SELECT room, hub, term, seq, hash, epoch, delivered, pending, followers
             FROM room WHERE room = ?1";
        one(&self.connection, sql, params![room.0], room_row)
    }

    async fn member(
        &mut self,
        room: &RoomId,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Option<MemberRow>, StoreFault> {
        let sql = format!("{MEMBER} WHERE room = ?1 AND account = ?2 AND device = ?3");
        let (account, device) = device_key(account, device);
        let params = params![room.0, account, device];
        one(&self.connection, &sql, params, member_row)
    }

    async fn members(&mut self, room: &RoomId) -> Result<Vec<MemberRow>, StoreFault> {
        let sql =
            format!(r#"{MEMBER} WHERE room = ?1 AND "left" IS NULL ORDER BY account, device"#);
        all(&self.connection, &sql, params![room.0], member_row)
    }

    async fn member_times(
        &mut self,
        room: &RoomId,
        home: &ServerDid,
    ) -> Result<Vec<MemberRow>, StoreFault> {
        let sql = format!("{MEMBER} WHERE room = ?1 AND home = ?2 ORDER BY account, device");
        let params = params![room.0, home.to_string()];
        all(&self.connection, &sql, params, member_row)
    }

    async fn memberships(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Vec<MemberRow>, StoreFault> {
        let sql = format!("{MEMBER} WHERE account = ?1 AND device = ?2 ORDER BY room");
        let (account, device) = device_key(account, device);
        all(&self.connection, &sql, params![account, device], member_row)
    }

    async fn entries(
        &mut self,
        room: &RoomId,
        after: Seq,
        until: Seq,
        bounds: Page,
    ) -> Result<Vec<Entry>, StoreFault> {
        let sql = "SELECT header, body, attestation FROM room_log
             WHERE room = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq";
        let params = params![room.0, bound(after.0), bound(until.0)];
        let read = |columns: &Columns<'_>| entry_row(columns).map(Some);
        rows(
            &self.connection,
            (sql, bounds),
            params,
            read,
            Size::tls_serialized_len,
        )
    }

    async fn retention(&mut self, room: &RoomId) -> Result<Option<RetentionRow>, StoreFault> {
        let sql = "SELECT room, kept_from, marks FROM retention WHERE room = ?1";
        one(&self.connection, sql, params![room.0], retention_row)
    }

    async fn rooms_after(
        &mut self,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<Vec<RoomId>, StoreFault> {
        let sql = "SELECT room FROM room WHERE room > ?1 ORDER BY room LIMIT ?2";
        let after: &[u8] = after.map_or(&[], |room| &room.0);
        let params = params![after, bound(limit as u64)];
        all(&self.connection, sql, params, |columns| columns.room(0))
    }

    async fn ordered(
        &mut self,
        room: &RoomId,
        origin: &ServerDid,
        message_id: &MessageId,
    ) -> Result<Option<Ordered>, StoreFault> {
        let sql = "SELECT header FROM room_log WHERE message_id = ?1 AND room = ?2 AND origin = ?3";
        let params = params![message_id.0, room.0, origin.to_string()];
        one(&self.connection, sql, params, |columns| {
            let header: EntryHeader =
                decode_exact("entry header", &columns.bytes(0)?).map_err(damaged)?;
            Ok(Ordered {
                at: header.head(),
                sender: header.sender,
                time: header.time,
            })
        })
    }

    async fn origins(
        &mut self,
        room: &RoomId,
        after: Seq,
        until: Seq,
    ) -> Result<Vec<ServerDid>, StoreFault> {
        let sql = "SELECT DISTINCT origin FROM room_log
             WHERE room = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY origin";
        let params = params![room.0, bound(after.0), bound(until.0)];
        all(&self.connection, sql, params, |columns| columns.server(0))
    }

    async fn group(&mut self, room: &RoomId) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreFault> {
        let sql = "SELECT key, value FROM group_row WHERE room = ?1 ORDER BY key";
        all(&self.connection, sql, params![room.0], |columns| {
            Ok((columns.bytes(0)?, columns.bytes(1)?))
        })
    }

    async fn epoch(&mut self, room: &RoomId, epoch: Epoch) -> Result<Option<EpochRow>, StoreFault> {
        let sql = "SELECT room, epoch, group_info, undo, tree_hash, tree_bytes
             FROM epoch WHERE room = ?1 AND epoch = ?2";
        one(
            &self.connection,
            sql,
            params![room.0, signed(epoch.0)],
            epoch_row,
        )
    }

    async fn peer(&mut self, server: &ServerDid) -> Result<Option<PeerRow>, StoreFault> {
        let sql = format!("{PEER} WHERE server = ?1");
        one(
            &self.connection,
            &sql,
            params![server.to_string()],
            peer_row,
        )
    }

    async fn pin(&mut self, server: &ServerDid) -> Result<Option<PinRow>, StoreFault> {
        let sql = "SELECT pin, since FROM pin WHERE server = ?1";
        one(&self.connection, sql, params![server.to_string()], pin_row)
    }

    async fn equivocation(&mut self, room: &RoomId) -> Result<Option<EquivocationRow>, StoreFault> {
        let sql = "SELECT room, time, proof FROM equivocation WHERE room = ?1";
        one(&self.connection, sql, params![room.0], equivocation_row)
    }

    async fn last_attested(&mut self, room: &RoomId) -> Result<Option<ShownHead>, StoreFault> {
        let sql = "SELECT header, attestation FROM room_log
             WHERE room = ?1 AND attestation IS NOT NULL
               AND seq > (SELECT max(seq) FROM room_log WHERE room = ?1) - ?2
             ORDER BY seq DESC LIMIT 1";
        let params = params![room.0, bound(LAST_ATTESTED_WITHIN)];
        one(&self.connection, sql, params, shown_head)
    }

    async fn peers(&mut self) -> Result<Vec<PeerRow>, StoreFault> {
        let sql = format!("{PEER} ORDER BY server");
        all(&self.connection, &sql, params![], peer_row)
    }

    async fn peers_after(
        &mut self,
        after: Option<&ServerDid>,
        limit: usize,
    ) -> Result<Vec<PeerRow>, StoreFault> {
        let sql = format!("{PEER} WHERE server > ?1 ORDER BY server LIMIT ?2");
        let after = after.map(ToString::to_string).unwrap_or_default();
        let limit = bound(limit as u64);
        all(&self.connection, &sql, params![after, limit], peer_row)
    }

    async fn node(&mut self, node: &NodeId) -> Result<Option<NodeRow>, StoreFault> {
        let sql = "SELECT node, name, beat FROM node WHERE node = ?1";
        one(&self.connection, sql, params![node.0], node_row)
    }

    async fn nodes(&mut self) -> Result<Vec<NodeRow>, StoreFault> {
        let sql = "SELECT node, name, beat FROM node ORDER BY node";
        all(&self.connection, sql, params![], node_row)
    }

    async fn link(&mut self, peer: &ServerDid) -> Result<Option<LinkRow>, StoreFault> {
        let sql = "SELECT peer, holder, fence FROM link WHERE peer = ?1";
        one(&self.connection, sql, params![peer.to_string()], link_row)
    }

    async fn links_after(
        &mut self,
        after: Option<&ServerDid>,
        limit: usize,
    ) -> Result<Vec<LinkRow>, StoreFault> {
        let sql = "SELECT peer, holder, fence FROM link WHERE peer > ?1 ORDER BY peer LIMIT ?2";
        let after = after.map(ToString::to_string).unwrap_or_default();
        let limit = bound(limit as u64);
        all(&self.connection, sql, params![after, limit], link_row)
    }

    async fn log_ends(&mut self, rooms: &[RoomId]) -> Result<Vec<LogEnd>, StoreFault> {
        let sql = "SELECT room, seq, delivered FROM room WHERE room = ?1";
        let wanted: BTreeSet<&RoomId> = rooms.iter().collect();
        let mut ends = Vec::new();
        for room in wanted {
            ends.extend(one(&self.connection, sql, params![room.0], log_end)?);
        }
        Ok(ends)
    }

    async fn queue_ends(
        &mut self,
        devices: &[(AccountDid, DeviceId)],
    ) -> Result<Vec<DeviceRow>, StoreFault> {
        let sql = "SELECT account, device, last_queued FROM device
             WHERE account = ?1 AND device = ?2";
        let wanted: BTreeSet<&(AccountDid, DeviceId)> = devices.iter().collect();
        let mut ends = Vec::new();
        for (account, device) in wanted {
            let (account, device) = device_key(account, device);
            let found = one(&self.connection, sql, params![account, device], device_row)?;
            ends.extend(found);
        }
        Ok(ends)
    }

    async fn owed(
        &mut self,
        peer: &ServerDid,
        after: u64,
        bounds: Page,
    ) -> Result<Vec<(u64, Vec<u8>)>, StoreFault> {
        let sql = "SELECT number, room, seq, item FROM outbox
             WHERE peer = ?1 AND number > ?2 ORDER BY number";
        let connection: &Connection = &self.connection;
        let read = |columns: &Columns<'_>| {
            let number = columns.number(0)?;
            let bytes = match columns.maybe_seq(2)? {
                None => Some(columns.bytes(3)?),
                Some(seq) => entry_at(connection, &columns.room(1)?.0, signed(seq.0))?
                    .map(|entry| Item::Entry(entry).to_bytes()),
            };
            Ok(bytes.map(|bytes| (number, bytes)))
        };
        let size = |row: &(u64, Vec<u8>)| row.1.len();
        let params = params![peer.to_string(), bound(after)];
        rows(connection, (sql, bounds), params, read, size)
    }

    async fn owed_rooms(
        &mut self,
        peer: &ServerDid,
        up_to: u64,
    ) -> Result<Vec<RoomId>, StoreFault> {
        let sql = "SELECT DISTINCT room FROM outbox
             WHERE peer = ?1 AND number <= ?2 AND room IS NOT NULL ORDER BY room";
        let params = params![peer.to_string(), bound(up_to)];
        all(&self.connection, sql, params, |columns| columns.room(0))
    }

    async fn oldest_owed(&mut self, room: &RoomId) -> Result<Option<Seq>, StoreFault> {
        let sql = "SELECT min(seq) FROM outbox WHERE room = ?1";
        let found = one(&self.connection, sql, params![room.0], |columns| {
            columns.maybe_seq(0)
        })?;
        Ok(found.flatten())
    }

    async fn pending(
        &mut self,
        room: &RoomId,
        message_id: &MessageId,
    ) -> Result<Option<PendingRow>, StoreFault> {
        let sql = "SELECT account, device, submission, stored FROM pending
             WHERE room = ?1 AND message_id = ?2";
        let (room, message) = message_key(room, message_id);
        one(&self.connection, sql, params![room, message], pending_row)
    }

    async fn pending_count(&mut self, account: &AccountDid) -> Result<u32, StoreFault> {
        let sql = "SELECT count(*) FROM pending WHERE account = ?1";
        let found = count(
            &self.connection,
            sql,
            params![account.root_key().as_bytes()],
        )?;
        u32::try_from(found).map_err(|_| unreadable("count"))
    }

    async fn queued(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
        after: u64,
        bounds: Page,
    ) -> Result<Vec<QueuedRow>, StoreFault> {
        let sql = "SELECT account, device, number, time, item, invited_by FROM queue
             WHERE account = ?1 AND device = ?2 AND number > ?3 ORDER BY number";
        let (account, device) = device_key(account, device);
        let params = params![account, device, bound(after)];
        let read = |columns: &Columns<'_>| queued_row(columns).map(Some);
        let size = |row: &QueuedRow| row.item.tls_serialized_len();
        rows(&self.connection, (sql, bounds), params, read, size)
    }

    async fn waiting_invites(
        &mut self,
        account: &AccountDid,
        device: &DeviceId,
    ) -> Result<Vec<(ServerDid, u32)>, StoreFault> {
        let sql = "SELECT invited_by, count(*) FROM queue
             WHERE account = ?1 AND device = ?2 AND invited_by IS NOT NULL
             GROUP BY invited_by ORDER BY invited_by";
        let (account, device) = device_key(account, device);
        all(&self.connection, sql, params![account, device], |columns| {
            Ok((columns.server(0)?, columns.small(1)?))
        })
    }

    async fn parked(&mut self, bounds: Page) -> Result<Vec<ParkedRow>, StoreFault> {
        let sql = "SELECT peer, stream_epoch, number, room, seq, bytes, reason, time
             FROM parked ORDER BY time, peer, stream_epoch, number";
        let read = |columns: &Columns<'_>| parked_row(columns).map(Some);
        let size = |row: &ParkedRow| row.bytes.len();
        rows(&self.connection, (sql, bounds), params![], read, size)
    }

    async fn parked_count(&mut self, peer: &ServerDid) -> Result<u64, StoreFault> {
        let sql = "SELECT count(*) FROM parked WHERE peer = ?1";
        count(&self.connection, sql, params![peer.to_string()])
    }

    async fn together(&mut self, wanted: &Wanted) -> Result<Found, StoreFault> {
        one_by_one(self, wanted).await
    }
}
