//! What each change writes.

use entente_groups::KeyPackageUse;
use entente_homeserver_core::rows::{
    AccountRow, ClaimRow, EpochRow, KeyPackageRow, MemberRow, ParkedRow, PeerRow, PendingRow,
    QueuedRow, RetentionRow, RoomRow,
};
use entente_homeserver_core::{Change, Owed};
use entente_homeserver_ops::StoreFault;
use entente_identity::{AccountDid, DeviceId, ServerDid, encode};
use entente_protocol::entry::Entry;

use crate::fold::{Cell, Kind, Table, Writes};
use crate::rows::{bound, signed, suite_number};
use crate::statements as sql;

macro_rules! kinds {
    ($($name:ident = $table:ident, $sql:ident, key $key:literal $(, else $otherwise:literal)?;)+) => {
        $(static $name: Kind = Kind {
            table: Table::$table,
            sql: sql::$sql,
            key_columns: $key,
            otherwise: kinds!(@ $($otherwise)?),
        };)+
    };
    (@) => { None };
    (@ $otherwise:literal) => { Some($otherwise) };
}

kinds! {
    ACCOUNT = Account, PUT_ACCOUNT, key 1;
    DEVICE = Device, PUT_DEVICE, key 2;
    KEY_PACKAGE = KeyPackage, PUT_KEY_PACKAGE, key 1;
    NO_KEY_PACKAGE = KeyPackage, DROP_KEY_PACKAGE, key 0;
    NO_LAST_RESORT = KeyPackage, DROP_LAST_RESORT, key 0;
    CLAIM = Claim, PUT_CLAIM, key 2;
    ROOM = Room, PUT_ROOM, key 1;
    ENTRY = RoomLog, APPEND_ENTRY, key 0, else "an entry at an occupied position, or a second time";
    ATTESTATION = RoomLog, ATTEST, key 2, else "no entry at the head that was signed";
    NO_ENTRIES = RoomLog, DROP_ENTRIES, key 0;
    RETENTION = Retention, PUT_RETENTION, key 1;
    MEMBER = Member, PUT_MEMBER, key 3;
    END = Member, END_MEMBER, key 3;
    GROUP_ROW = GroupRow, PUT_GROUP_ROW, key 2;
    NO_GROUP_ROW = GroupRow, DROP_GROUP_ROW, key 0;
    EPOCH = Epoch, PUT_EPOCH, key 2;
    NO_EPOCHS = Epoch, DROP_EPOCHS, key 0;
    PEER = Peer, PUT_PEER, key 1;
    NODE = Node, PUT_NODE, key 1;
    NO_NODE = Node, DROP_NODE, key 0;
    LINK = Link, PUT_LINK, key 1;
    PIN = Pin, PUT_PIN, key 1;
    NO_PIN = Pin, DROP_PIN, key 0;
    EQUIVOCATION = Equivocation, PUT_EQUIVOCATION, key 0;
    OWED = Outbox, OWE, key 0, else "an owed item under an occupied number";
    NOT_OWED = Outbox, DROP_OWED, key 0;
    PENDING = Pending, PUT_PENDING, key 2;
    NOT_PENDING = Pending, DROP_PENDING, key 0;
    QUEUED = Queue, ENQUEUE, key 0, else "a queue item under an occupied number";
    NOT_QUEUED = Queue, DROP_QUEUED, key 0;
    PARKED = Parked, PARK, key 3;
    NOT_PARKED = Parked, DROP_PARKED, key 0;
}

fn bytes(bytes: impl Into<Vec<u8>>) -> Cell {
    Cell::Bytes(bytes.into())
}

fn text(text: impl ToString) -> Cell {
    Cell::Text(text.to_string())
}

fn number(number: u64) -> Cell {
    Cell::Number(signed(number))
}

/// A number that is compared, not stored.
fn up_to(number: u64) -> Cell {
    Cell::Number(bound(number))
}

fn account(account: &AccountDid) -> Cell {
    bytes(*account.root_key().as_bytes())
}

fn device(device: &DeviceId) -> Cell {
    bytes(device.0)
}

/// Adds what a change writes.
pub(crate) fn fold(writes: &mut Writes, change: Change) -> Result<(), StoreFault> {
    match change {
        Change::PutAccount(row) => put_account(writes, &row),
        Change::PutDevice(row) => {
            let last = number(row.last_queued);
            writes.push(&DEVICE, [account(&row.account), device(&row.device), last]);
        }
        Change::PutKeyPackage(row) => put_key_package(writes, row),
        Change::PutClaim(row) => put_claim(writes, &row),
        Change::PutRoom(row) => put_room(writes, &row),
        Change::AppendEntry(entry) => append_entry(writes, entry),
        Change::Attest {
            room,
            seq,
            attestation,
        } => {
            let attestation = bytes(encode(&attestation));
            writes.push(&ATTESTATION, [bytes(room.0), number(seq.0), attestation]);
        }
        Change::PutMember(row) => put_member(writes, &row),
        Change::PatchGroup {
            room,
            puts,
            deletes,
        } => {
            for key in deletes {
                writes.push(&NO_GROUP_ROW, [bytes(room.0), bytes(key)]);
            }
            for (key, value) in puts {
                writes.push(&GROUP_ROW, [bytes(room.0), bytes(key), bytes(value)]);
            }
        }
        Change::PutEpoch(row) => put_epoch(writes, row),
        Change::PutPeer(row) => put_peer(writes, &row),
        Change::PutNode(row) => {
            let (name, beat) = (text(row.name), number(row.beat));
            writes.push(&NODE, [bytes(row.node.0), name, beat]);
        }
        Change::PutLink(row) => {
            let (peer, fence) = (text(&row.peer), number(row.fence));
            writes.push(&LINK, [peer, bytes(row.holder.0), fence]);
        }
        Change::PutPin(row) => {
            let (server, pin) = (text(&row.pin.did), bytes(encode(&row.pin)));
            writes.push(&PIN, [server, pin, number(row.since.0)]);
        }
        Change::PutEquivocation(row) => {
            let (time, proof) = (number(row.time.0), bytes(encode(&row.proof)));
            writes.push(&EQUIVOCATION, [bytes(row.room.0), time, proof]);
        }
        Change::Owe { peer, number, item } => owe(writes, &peer, number, item),
        Change::PutRetention(row) => put_retention(writes, &row),
        Change::PutPending(row) => put_pending(writes, &row),
        Change::Enqueue(row) => enqueue(writes, &row),
        Change::Park(row) => park(writes, row),
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
        | Change::DropParked { .. } => return end(writes, change),
    }
    Ok(())
}

/// Adds a change that ends or deletes something.
fn end(writes: &mut Writes, change: Change) -> Result<(), StoreFault> {
    match change {
        Change::EndMember {
            room,
            account: of,
            device: its,
            left,
        } => {
            let row = [bytes(room.0), account(&of), device(&its), number(left.0)];
            writes.push(&END, row);
        }
        Change::DropKeyPackage(reference) => {
            writes.push(&NO_KEY_PACKAGE, [bytes(reference.as_slice())]);
        }
        Change::DropNode(node) => writes.push(&NO_NODE, [bytes(node.0)]),
        Change::DropPin(server) => writes.push(&NO_PIN, [text(server)]),
        Change::DropLastResort {
            account: of,
            device: its,
            suite,
        } => {
            let suite = Cell::Number(suite_number(suite));
            writes.push(&NO_LAST_RESORT, [account(&of), device(&its), suite]);
        }
        Change::DropEpochs { room, before } => {
            writes.push(&NO_EPOCHS, [bytes(room.0), up_to(before.0)]);
        }
        Change::DropOwed { peer, up_to: last } => {
            writes.push(&NOT_OWED, [text(peer), up_to(last)]);
        }
        Change::DropPending { room, message_id } => {
            writes.push(&NOT_PENDING, [bytes(room.0), bytes(message_id.0)]);
        }
        Change::DropQueued {
            account: of,
            device: its,
            up_to: last,
        } => writes.push(&NOT_QUEUED, [account(&of), device(&its), up_to(last)]),
        Change::DropEntries { room, up_to: last } => {
            writes.push(&NO_ENTRIES, [bytes(room.0), up_to(last.0)]);
        }
        Change::DropParked { room, up_to: last } => {
            writes.push(&NOT_PARKED, [bytes(room.0), up_to(last.0)]);
        }
        other => return Err(StoreFault::Broken(format!("{other:?} ends nothing"))),
    }
    Ok(())
}

fn put_account(writes: &mut Writes, row: &AccountRow) {
    let (claim, created) = (bytes(encode(&row.claim)), number(row.created.0));
    let local = text(row.local.as_str());
    writes.push(&ACCOUNT, [account(&row.account), local, claim, created]);
}

fn put_key_package(writes: &mut Writes, row: KeyPackageRow) {
    let (claimed, by) = match row.claimed {
        Some(claimant) => (
            Some(claimant.room.0.to_vec()),
            Some(claimant.hub.to_string()),
        ),
        None => (None, None),
    };
    let cells = [
        bytes(row.reference.as_slice()),
        account(&row.account),
        device(&row.device),
        bytes(row.key_package),
        Cell::Number(suite_number(row.suite)),
        Cell::Flag(row.usage == KeyPackageUse::LastResort),
        number(row.expires.0),
        Cell::MaybeBytes(claimed),
        Cell::MaybeText(by),
    ];
    writes.push(&KEY_PACKAGE, cells);
}

fn put_claim(writes: &mut Writes, row: &ClaimRow) {
    let (room, reference) = (bytes(row.room.0), bytes(row.reference.as_slice()));
    let (home, time) = (text(&row.home), number(row.time.0));
    writes.push(&CLAIM, [room, reference, home, time]);
}

fn put_room(writes: &mut Writes, row: &RoomRow) {
    let cells = [
        bytes(row.room.0),
        text(&row.hub),
        number(row.head.term.0.into()),
        number(row.head.seq.0),
        bytes(row.head.hash.0),
        number(row.epoch.0),
        number(row.delivered.0),
        bytes(encode(&row.pending)),
        bytes(encode(&row.followers)),
    ];
    writes.push(&ROOM, cells);
}

fn append_entry(writes: &mut Writes, entry: Entry) {
    let header = &entry.header;
    let cells = [
        bytes(header.room.0),
        number(header.seq.0),
        text(&header.origin),
        bytes(header.message_id.0),
        bytes(encode(header)),
        bytes(entry.body.as_slice()),
        Cell::MaybeBytes(entry.attestation.as_ref().map(encode)),
    ];
    writes.push(&ENTRY, cells);
}

fn put_retention(writes: &mut Writes, row: &RetentionRow) {
    let (kept_from, marks) = (number(row.kept_from.0), bytes(encode(&row.marks)));
    writes.push(&RETENTION, [bytes(row.room.0), kept_from, marks]);
}

fn put_member(writes: &mut Writes, row: &MemberRow) {
    let cells = [
        bytes(row.room.0),
        account(&row.account),
        device(&row.device),
        number(row.leaf.0.into()),
        text(&row.home),
        number(row.joined.0),
        Cell::MaybeNumber(row.left.map(|seq| signed(seq.0))),
    ];
    writes.push(&MEMBER, cells);
}

fn put_epoch(writes: &mut Writes, row: EpochRow) {
    let cells = [
        bytes(row.room.0),
        number(row.epoch.0),
        bytes(row.group_info),
        bytes(row.undo),
        bytes(row.tree_hash),
        number(row.tree_bytes.into()),
    ];
    writes.push(&EPOCH, cells);
}

fn put_peer(writes: &mut Writes, row: &PeerRow) {
    let cells = [
        text(&row.server),
        number(row.stream_epoch),
        number(row.last_out),
        number(row.acked),
        number(row.incoming.epoch),
        number(row.incoming.last),
    ];
    writes.push(&PEER, cells);
}

fn owe(writes: &mut Writes, peer: &ServerDid, n: u64, item: Owed) {
    let (room, seq, item) = match item {
        Owed::Entry { room, seq } => (Some(room.0.to_vec()), Some(signed(seq.0)), None),
        Owed::Item(item) => (None, None, Some(item)),
    };
    let (room, item) = (Cell::MaybeBytes(room), Cell::MaybeBytes(item));
    let seq = Cell::MaybeNumber(seq);
    writes.push(&OWED, [text(peer), number(n), room, seq, item]);
}

fn put_pending(writes: &mut Writes, row: &PendingRow) {
    let (room, message_id) = row.key();
    let cells = [
        bytes(room.0),
        bytes(message_id.0),
        account(&row.account),
        device(&row.device),
        bytes(encode(&row.submission)),
        number(row.stored.0),
    ];
    writes.push(&PENDING, cells);
}

fn enqueue(writes: &mut Writes, row: &QueuedRow) {
    let cells = [
        account(&row.account),
        device(&row.device),
        number(row.number),
        number(row.time.0),
        bytes(encode(&row.item)),
        Cell::MaybeText(row.invited_by.as_ref().map(ToString::to_string)),
    ];
    writes.push(&QUEUED, cells);
}

fn park(writes: &mut Writes, row: ParkedRow) {
    let (room, seq) = (row.entry.map(|e| e.0), row.entry.map(|e| e.1));
    let cells = [
        text(&row.peer),
        number(row.stream_epoch),
        number(row.number),
        Cell::MaybeBytes(room.map(|room| room.0.to_vec())),
        Cell::MaybeNumber(seq.map(|seq| signed(seq.0))),
        bytes(row.bytes),
        bytes(row.reason),
        number(row.time.0),
    ];
    writes.push(&PARKED, cells);
}
