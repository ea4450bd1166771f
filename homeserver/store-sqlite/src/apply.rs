//! What each change writes.

use entente_groups::KeyPackageUse;
use entente_homeserver_core::rows::{
    AccountRow, ClaimRow, EpochRow, EquivocationRow, KeyPackageRow, MemberRow, ParkedRow, PeerRow,
    PendingRow, QueuedRow, RetentionRow, RoomRow,
};
use entente_homeserver_core::{Change, Owed};
use entente_homeserver_ops::StoreFault;
use entente_identity::encode;
use entente_protocol::entry::Entry;
use rusqlite::{Connection, Params, params};

use crate::fault::fault;
use crate::rows::{bound, device_key, message_key, signed, suite_number};

/// Runs a statement that the connection keeps prepared.
fn run(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, StoreFault> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(params))
        .map_err(fault)
}

/// Writes one change.
pub(crate) fn apply(to: &Connection, change: Change) -> Result<(), StoreFault> {
    match change {
        Change::PutAccount(row) => put_account(to, &row),
        Change::PutDevice(row) => {
            let (account, device) = device_key(&row.account, &row.device);
            let last = signed(row.last_queued);
            let sql = "INSERT INTO device VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET last_queued = ?3";
            run(to, sql, params![account, device, last])
        }
        Change::PutKeyPackage(row) => put_key_package(to, &row),
        Change::PutClaim(row) => put_claim(to, &row),
        Change::PutRoom(row) => put_room(to, &row),
        Change::AppendEntry(entry) => append_entry(to, &entry),
        Change::PutMember(row) => put_member(to, &row),
        Change::PatchGroup {
            room,
            puts,
            deletes,
        } => return patch_group(to, &room.0, &puts, &deletes),
        Change::PutEpoch(row) => put_epoch(to, &row),
        Change::PutPeer(row) => put_peer(to, &row),
        Change::PutPin(row) => {
            let sql = "INSERT OR REPLACE INTO pin VALUES (?1, ?2, ?3)";
            let (server, since) = (row.pin.did.to_string(), signed(row.since.0));
            run(to, sql, params![server, encode(&row.pin), since])
        }
        Change::PutEquivocation(row) => put_equivocation(to, &row),
        Change::PutPending(row) => put_pending(to, &row),
        Change::PutNode(row) => {
            let sql = "INSERT OR REPLACE INTO node VALUES (?1, ?2, ?3)";
            run(to, sql, params![row.node.0, row.name, signed(row.beat)])
        }
        Change::PutLink(row) => {
            let sql = "INSERT OR REPLACE INTO link VALUES (?1, ?2, ?3)";
            let (peer, fence) = (row.peer.to_string(), signed(row.fence));
            run(to, sql, params![peer, row.holder.0, fence])
        }
        Change::PutRetention(row) => put_retention(to, &row),
        Change::Enqueue(row) => enqueue(to, &row),
        Change::Park(row) => park(to, &row),
        Change::Owe { peer, number, item } => {
            let (place, item) = match &item {
                Owed::Entry { room, seq } => (Some((&room.0, signed(seq.0))), None),
                Owed::Item(bytes) => (None, Some(bytes)),
            };
            let (room, seq) = (place.map(|p| p.0), place.map(|p| p.1));
            let sql = "INSERT INTO outbox VALUES (?1, ?2, ?3, ?4, ?5)";
            let (peer, number) = (peer.to_string(), signed(number));
            run(to, sql, params![peer, number, room, seq, item])
        }
        Change::Attest {
            room,
            seq,
            attestation,
        } => return attest(to, &room.0, signed(seq.0), &encode(&attestation)),
        Change::EndMember { .. }
        | Change::DropKeyPackage(_)
        | Change::DropPin(_)
        | Change::DropNode(_)
        | Change::DropLastResort { .. }
        | Change::DropEpochs { .. }
        | Change::DropOwed { .. }
        | Change::DropPending { .. }
        | Change::DropQueued { .. }
        | Change::DropEntries { .. }
        | Change::DropParked { .. } => end(to, change),
    }
    .map(|_| ())
}

/// Writes a change that ends or deletes something.
fn end(to: &Connection, change: Change) -> Result<usize, StoreFault> {
    match change {
        Change::EndMember {
            room,
            account,
            device,
            left,
        } => {
            let (account, device) = device_key(&account, &device);
            let sql = r#"UPDATE member SET "left" = ?4
                 WHERE room = ?1 AND account = ?2 AND device = ?3 AND "left" IS NULL"#;
            run(to, sql, params![room.0, account, device, signed(left.0)])
        }
        Change::DropKeyPackage(reference) => {
            let sql = "DELETE FROM key_package WHERE reference = ?1";
            run(to, sql, params![reference.as_slice()])
        }
        Change::DropPin(server) => {
            let sql = "DELETE FROM pin WHERE server = ?1";
            run(to, sql, params![server.to_string()])
        }
        Change::DropNode(node) => {
            let sql = "DELETE FROM node WHERE node = ?1";
            run(to, sql, params![node.0])
        }
        Change::DropLastResort {
            account,
            device,
            suite,
        } => {
            let (account, device) = device_key(&account, &device);
            let sql = "DELETE FROM key_package
                 WHERE account = ?1 AND device = ?2 AND suite = ?3 AND last_resort = 1";
            run(to, sql, params![account, device, suite_number(suite)])
        }
        Change::DropEpochs { room, before } => {
            let sql = "DELETE FROM epoch WHERE room = ?1 AND epoch < ?2";
            run(to, sql, params![room.0, bound(before.0)])
        }
        Change::DropOwed { peer, up_to } => {
            let sql = "DELETE FROM outbox WHERE peer = ?1 AND number <= ?2";
            run(to, sql, params![peer.to_string(), bound(up_to)])
        }
        Change::DropPending { room, message_id } => {
            let (room, message) = message_key(&room, &message_id);
            let sql = "DELETE FROM pending WHERE room = ?1 AND message_id = ?2";
            run(to, sql, params![room, message])
        }
        Change::DropQueued {
            account,
            device,
            up_to,
        } => {
            let (account, device) = device_key(&account, &device);
            let sql = "DELETE FROM queue WHERE account = ?1 AND device = ?2 AND number <= ?3";
            run(to, sql, params![account, device, bound(up_to)])
        }
        Change::DropEntries { room, up_to } => {
            let sql = "DELETE FROM room_log WHERE room = ?1 AND seq <= ?2";
            run(to, sql, params![room.0, bound(up_to.0)])
        }
        Change::DropParked { room, up_to } => {
            let sql = "DELETE FROM parked WHERE room = ?1 AND seq <= ?2";
            run(to, sql, params![room.0, bound(up_to.0)])
        }
        other => Err(StoreFault::Broken(format!("{other:?} ends nothing"))),
    }
}

fn put_retention(to: &Connection, row: &RetentionRow) -> Result<usize, StoreFault> {
    let sql = "INSERT OR REPLACE INTO retention VALUES (?1, ?2, ?3)";
    let (kept_from, marks) = (signed(row.kept_from.0), encode(&row.marks));
    run(to, sql, params![row.room.0, kept_from, marks])
}

fn put_equivocation(to: &Connection, row: &EquivocationRow) -> Result<usize, StoreFault> {
    let sql = "INSERT OR IGNORE INTO equivocation VALUES (?1, ?2, ?3)";
    let proof = encode(&row.proof);
    run(to, sql, params![row.room.0, signed(row.time.0), proof])
}

fn put_account(to: &Connection, row: &AccountRow) -> Result<usize, StoreFault> {
    let sql = "INSERT INTO account VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account) DO UPDATE SET local = ?2, claim = ?3, created = ?4";
    let account = row.account.root_key().as_bytes();
    let (claim, created) = (encode(&row.claim), signed(row.created.0));
    run(
        to,
        sql,
        params![account, row.local.as_str(), claim, created],
    )
}

fn put_key_package(to: &Connection, row: &KeyPackageRow) -> Result<usize, StoreFault> {
    let sql = "INSERT OR REPLACE INTO key_package VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let (account, device) = device_key(&row.account, &row.device);
    let last_resort = u8::from(row.usage == KeyPackageUse::LastResort);
    let claimed = row.claimed.as_ref();
    let params = params![
        row.reference.as_slice(),
        account,
        device,
        row.key_package,
        suite_number(row.suite),
        last_resort,
        signed(row.expires.0),
        claimed.map(|claim| claim.room.0),
        claimed.map(|claim| claim.hub.to_string()),
    ];
    run(to, sql, params)
}

fn put_claim(to: &Connection, row: &ClaimRow) -> Result<usize, StoreFault> {
    let sql = "INSERT OR REPLACE INTO claim VALUES (?1, ?2, ?3, ?4)";
    let (reference, home) = (row.reference.as_slice(), row.home.to_string());
    let time = signed(row.time.0);
    run(to, sql, params![row.room.0, reference, home, time])
}

fn put_room(to: &Connection, row: &RoomRow) -> Result<usize, StoreFault> {
    let sql = "INSERT INTO room VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET hub = ?2, term = ?3, seq = ?4, hash = ?5, epoch = ?6,
            delivered = ?7, pending = ?8, followers = ?9";
    let params = params![
        row.room.0,
        row.hub.to_string(),
        row.head.term.0,
        signed(row.head.seq.0),
        row.head.hash.0,
        signed(row.epoch.0),
        signed(row.delivered.0),
        encode(&row.pending),
        encode(&row.followers),
    ];
    run(to, sql, params)
}

fn append_entry(to: &Connection, entry: &Entry) -> Result<usize, StoreFault> {
    let sql = "INSERT INTO room_log VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let header = &entry.header;
    let params = params![
        header.room.0,
        signed(header.seq.0),
        header.origin.to_string(),
        header.message_id.0,
        encode(header),
        entry.body.as_slice(),
        entry.attestation.as_ref().map(encode),
    ];
    run(to, sql, params)
}

fn attest(to: &Connection, room: &[u8], seq: i64, bytes: &[u8]) -> Result<(), StoreFault> {
    let sql = "UPDATE room_log SET attestation = ?3 WHERE room = ?1 AND seq = ?2";
    match run(to, sql, params![room, seq, bytes])? {
        1 => Ok(()),
        _ => Err(StoreFault::Broken(
            "no entry at the head that was signed".to_owned(),
        )),
    }
}

fn put_member(to: &Connection, row: &MemberRow) -> Result<usize, StoreFault> {
    let sql = "INSERT OR REPLACE INTO member VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let (account, device) = device_key(&row.account, &row.device);
    let params = params![
        row.room.0,
        account,
        device,
        row.leaf.0,
        row.home.to_string(),
        signed(row.joined.0),
        row.left.map(|seq| signed(seq.0)),
    ];
    run(to, sql, params)
}

fn patch_group(
    to: &Connection,
    room: &[u8],
    puts: &[(Vec<u8>, Vec<u8>)],
    deletes: &[Vec<u8>],
) -> Result<(), StoreFault> {
    for key in deletes {
        let sql = "DELETE FROM group_row WHERE room = ?1 AND key = ?2";
        run(to, sql, params![room, key])?;
    }
    for (key, value) in puts {
        let sql = "INSERT INTO group_row VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = ?3";
        run(to, sql, params![room, key, value])?;
    }
    Ok(())
}

fn put_epoch(to: &Connection, row: &EpochRow) -> Result<usize, StoreFault> {
    let sql = "INSERT OR REPLACE INTO epoch VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let params = params![
        row.room.0,
        signed(row.epoch.0),
        row.group_info,
        row.undo,
        row.tree_hash,
        row.tree_bytes,
    ];
    run(to, sql, params)
}

fn put_peer(to: &Connection, row: &PeerRow) -> Result<usize, StoreFault> {
    let sql = "INSERT INTO peer VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET stream_epoch = ?2, last_out = ?3, acked = ?4, in_epoch = ?5,
            in_last = ?6";
    let params = params![
        row.server.to_string(),
        signed(row.stream_epoch),
        signed(row.last_out),
        signed(row.acked),
        signed(row.incoming.epoch),
        signed(row.incoming.last),
    ];
    run(to, sql, params)
}

fn put_pending(to: &Connection, row: &PendingRow) -> Result<usize, StoreFault> {
    let sql = "INSERT OR REPLACE INTO pending VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let submission = &row.submission;
    let (room, message) = message_key(&submission.room, &submission.message_id);
    let (account, device) = device_key(&row.account, &row.device);
    let stored = signed(row.stored.0);
    let params = params![room, message, account, device, encode(submission), stored];
    run(to, sql, params)
}

fn enqueue(to: &Connection, row: &QueuedRow) -> Result<usize, StoreFault> {
    let sql = "INSERT INTO queue VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (account, device) = device_key(&row.account, &row.device);
    let (number, time) = (signed(row.number), signed(row.time.0));
    let invited_by = row.invited_by.as_ref().map(ToString::to_string);
    let item = encode(&row.item);
    run(
        to,
        sql,
        params![account, device, number, time, item, invited_by],
    )
}

fn park(to: &Connection, row: &ParkedRow) -> Result<usize, StoreFault> {
    let sql = "INSERT OR REPLACE INTO parked VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let params = params![
        row.peer.to_string(),
        signed(row.stream_epoch),
        signed(row.number),
        row.entry.map(|(room, _)| room.0),
        row.entry.map(|(_, seq)| signed(seq.0)),
        row.bytes,
        row.reason,
        signed(row.time.0),
    ];
    run(to, sql, params)
}
