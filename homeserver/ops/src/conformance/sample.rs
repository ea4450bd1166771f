//! Rows to store: every one of them made from a few small numbers, and never from chance.

use entente_federation::inbox::InStream;
use entente_groups::{Epoch, KeyPackageRef, KeyPackageUse, LeafIndex, MessageId, RoomId, Suite};
use entente_homeserver_core::rows::{
    AccountRow, ClaimRow, DeviceRow, EpochRow, EquivocationRow, KeyPackageRow, LinkRow, MemberRow,
    NodeId, NodeRow, ParkedRow, PeerRow, PendingRow, PinRow, QueuedRow, RetentionRow, RoomRow,
};
use entente_identity::{
    AccountClaim, AccountDid, Device, DeviceId, DeviceRole, Handle, HomeRecord, HpkePublicKey,
    KeyPin, LocalPart, ServerDid, SigningKey, UnixMillis, first_device_list,
};
use entente_protocol::checkpoint::{Attestation, attest};
use entente_protocol::entry::{Entry, EntryHash, EntryHeader, EntryKind, Head, Seq, Term};
use entente_protocol::equivocation::{Equivocation, ShownHead};
use entente_protocol::flow::{DeviceItem, InviteItem, RefusedItem, Submission, WelcomeItem};

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

pub(super) fn account(n: u8) -> AccountDid {
    AccountDid::new(key(n).public())
}

pub(super) fn device(n: u8) -> DeviceId {
    DeviceId([n; 16])
}

pub(super) fn local(n: u8) -> LocalPart {
    format!("name-{n}").parse().expect("a local part")
}

pub(super) fn server(n: u8) -> ServerDid {
    format!("did:web:org-{n}.example")
        .parse()
        .expect("a server's DID")
}

pub(super) fn room(n: u8) -> RoomId {
    RoomId([n; 32])
}

pub(super) fn message(n: u8) -> MessageId {
    MessageId([n; 16])
}

pub(super) fn reference(n: u8) -> KeyPackageRef {
    KeyPackageRef::new(&[n; 32])
}

pub(super) fn account_row(n: u8, name: u8) -> AccountRow {
    let handle = Handle::new(local(name), server(0).domain().clone());
    let its_device = Device {
        id: device(n),
        signature_key: key(n.wrapping_add(100)).public(),
        hpke_key: HpkePublicKey([n; 32]),
        role: DeviceRole::Manager,
    };
    let created = UnixMillis(1_000 + u64::from(name));
    AccountRow {
        account: account(n),
        local: local(name),
        claim: AccountClaim {
            account: account(n),
            device_list: first_device_list(&key(n), vec![its_device], created),
            signer_chain: Vec::new(),
            home_record: HomeRecord::first(&key(n), handle, created),
        },
        created,
    }
}

pub(super) fn device_row(of: u8, n: u8, last_queued: u64) -> DeviceRow {
    DeviceRow {
        account: account(of),
        device: device(n),
        last_queued,
    }
}

/// A KeyPackage of single use, of the account's device of the same number, that ends at `expires`.
pub(super) fn key_package_row(n: u8, of: u8, expires: u64) -> KeyPackageRow {
    KeyPackageRow {
        reference: reference(n),
        account: account(of),
        device: device(of),
        key_package: vec![n; 40],
        suite: Suite::PostQuantum,
        usage: KeyPackageUse::Once,
        expires: UnixMillis(expires),
        claimed: None,
    }
}

pub(super) fn claim_row(of: u8, n: u8, home: u8) -> ClaimRow {
    ClaimRow {
        room: room(of),
        reference: reference(n),
        home: server(home),
        time: UnixMillis(u64::from(home) + 7),
    }
}

pub(super) fn head(seq: u64, n: u8) -> Head {
    Head {
        term: Term(u32::from(n) + 1),
        seq: Seq(seq),
        hash: EntryHash([n; 32]),
    }
}

pub(super) fn room_row(n: u8, seq: u64) -> RoomRow {
    RoomRow {
        room: room(n),
        hub: server(n),
        head: head(seq, n),
        epoch: Epoch(seq + 5),
        delivered: Seq(seq.saturating_sub(1)),
        pending: (1..=seq).map(Seq).collect(),
        followers: (0..n).map(server).collect(),
    }
}

pub(super) fn member_row(of: u8, account_n: u8, device_n: u8, joined: u64) -> MemberRow {
    MemberRow {
        room: room(of),
        account: account(account_n),
        device: device(device_n),
        leaf: LeafIndex(u32::from(device_n) + 3),
        home: server(account_n),
        joined: Seq(joined),
        left: None,
    }
}

pub(super) fn epoch_row(of: u8, epoch: u64, n: u8) -> EpochRow {
    EpochRow {
        room: room(of),
        epoch: Epoch(epoch),
        group_info: vec![n; 50],
        undo: vec![n; usize::from(n)],
        tree_hash: [n; 32],
        tree_bytes: u32::from(n) * 1_000,
    }
}

/// An entry whose message and body are told by `n`; nothing of it is checked by a store.
pub(super) fn entry(of: u8, seq: u64, origin: u8, n: u8) -> Entry {
    let body = vec![n; usize::from(n) * 3];
    Entry {
        header: EntryHeader {
            room: room(of),
            term: Term::FIRST,
            seq: Seq(seq),
            epoch: Epoch(u64::from(n)),
            kind: EntryKind::Application,
            origin: server(origin),
            sender: LeafIndex(u32::from(origin)),
            message_id: message(n),
            prev_hash: EntryHash([n; 32]),
            body_hash: Entry::body_hash(&body),
            time: UnixMillis(10_000 + seq),
        },
        body: body.into(),
        attestation: None,
    }
}

/// What a hub signs for an entry, among some other heads.
pub(super) fn attestation(entry: &Entry, among: u8) -> Attestation {
    let others = (0..among).map(|n| (room(n.wrapping_add(200)), head(1, n)));
    let mut heads = vec![(entry.header.room, entry.header.head())];
    heads.extend(others);
    let now = UnixMillis(20_000);
    let signed = attest(&heads, &server(0), "fed-1", &key(50), now);
    signed.into_iter().next().expect("one for each head")
}

pub(super) fn node(n: u8) -> NodeId {
    NodeId([n; 16])
}

pub(super) fn node_row(n: u8, beat: u64) -> NodeRow {
    NodeRow {
        node: node(n),
        name: format!("node-{n}"),
        beat,
    }
}

pub(super) fn retention_row(of: u8, kept_from: u64, marks: u8) -> RetentionRow {
    let marks = (0..marks).map(u64::from);
    RetentionRow {
        room: room(of),
        kept_from: Seq(kept_from),
        marks: marks.map(|n| (Seq(n), UnixMillis(n * 7))).collect(),
    }
}

pub(super) fn link_row(peer: u8, holder: u8, fence: u64) -> LinkRow {
    LinkRow {
        peer: server(peer),
        holder: node(holder),
        fence,
    }
}

pub(super) fn peer_row(n: u8, last_out: u64) -> PeerRow {
    PeerRow {
        server: server(n),
        stream_epoch: 1_000 + last_out,
        last_out,
        acked: last_out / 2,
        incoming: InStream {
            epoch: u64::from(n),
            last: last_out * 3,
        },
    }
}

pub(super) fn pin_row(n: u8, seq: u64) -> PinRow {
    PinRow {
        pin: KeyPin {
            did: server(n),
            first_hash: [n; 32],
            seq,
            hash: [n.wrapping_add(1); 32],
            keys: Vec::new(),
            next_key_hash: [n.wrapping_add(2); 32],
            issued: UnixMillis(seq),
            history: Vec::new(),
        },
        since: UnixMillis(60_000 + seq),
    }
}

/// Not a proof of anything: a store does not look.
pub(super) fn equivocation_row(of: u8, n: u8) -> EquivocationRow {
    let history = |n: u8| {
        let entry = entry(of, 3, 0, n);
        ShownHead {
            attestation: attestation(&entry, 1),
            header: entry.header,
        }
        .into()
    };
    EquivocationRow {
        room: room(of),
        time: UnixMillis(u64::from(n)),
        proof: Equivocation {
            hub: server(0),
            key: key(50).public(),
            one: history(n),
            other: history(n.wrapping_add(1)),
        },
    }
}

pub(super) fn pending_row(of: u8, n: u8, account_n: u8) -> PendingRow {
    PendingRow {
        account: account(account_n),
        device: device(account_n),
        submission: Submission {
            room: room(of),
            message_id: message(n),
            epoch: Epoch(u64::from(n)),
            ciphertext: vec![n; usize::from(account_n) + 20].into(),
        },
        stored: UnixMillis(30_000 + u64::from(n)),
    }
}

pub(super) fn queued_row(of: u8, device_n: u8, number: u64, n: u8) -> QueuedRow {
    QueuedRow {
        account: account(of),
        device: device(device_n),
        number,
        time: UnixMillis(40_000 + u64::from(n)),
        item: device_item(n),
        invited_by: (n % 3 == 1).then(|| server(n / 3)),
    }
}

fn device_item(n: u8) -> DeviceItem {
    match n % 3 {
        0 => DeviceItem::Welcome(WelcomeItem {
            room: room(n),
            hub: server(n),
            reference: reference(n),
            welcome: vec![n; 60].into(),
            epoch: Epoch(u64::from(n)),
            tree_hash: [n; 32],
            tree_bytes: u32::from(n),
            at: head(u64::from(n), n),
        }),
        1 => DeviceItem::Invite(InviteItem {
            account: account(n),
            device: device(n),
            inviter: account(n.wrapping_add(1)),
            message_id: message(n),
            sealed: vec![n; 70].into(),
        }),
        _ => DeviceItem::Refused(RefusedItem {
            room: room(n),
            message_id: message(n),
            code: u16::from(n),
        }),
    }
}

pub(super) fn parked_row(peer: u8, number: u64, entry: Option<(u8, u64)>) -> ParkedRow {
    ParkedRow {
        peer: server(peer),
        stream_epoch: 1,
        number,
        entry: entry.map(|(of, seq)| (room(of), Seq(seq))),
        bytes: vec![peer; 30],
        reason: format!("item {number} came too early"),
        time: UnixMillis(50_000),
    }
}
