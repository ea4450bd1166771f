//! Changes of every variant, made from numbers that chance or a test chooses.

use entente_groups::{Epoch, KeyPackageUse, Suite};
use entente_homeserver_core::rows::{Claimant, KeyPackageRow, ParkedRow, PendingRow};
use entente_homeserver_core::{Change, Owed};
use entente_identity::UnixMillis;
use entente_protocol::entry::Seq;

use super::observation::{FEW, MANY};
use super::sample::{
    account, account_row, attestation, claim_row, device, device_row, entry, epoch_row,
    equivocation_row, key_package_row, link_row, member_row, message, node, node_row, parked_row,
    peer_row, pending_row, pin_row, queued_row, reference, retention_row, room, room_row, server,
};

/// A change in numbers: which variant, and what it is about.
pub type Step = (u8, [u8; 4]);

/// The change that a step stands for. Small numbers on purpose: keys meet often.
#[must_use]
pub fn change((variant, numbers): Step) -> Change {
    let [a, b, c, d] = numbers;
    let [a, b] = [a % FEW, b % FEW];
    let (number, many) = (u64::from(c % MANY), d % MANY);
    match variant % 41 {
        0 => Change::PutAccount(account_row(a, b)),
        1 => Change::PutDevice(device_row(a, b, number)),
        2 | 3 => Change::PutKeyPackage(key_package(a, b, number, many)),
        4 => Change::DropKeyPackage(reference(many)),
        5 => Change::DropLastResort {
            account: account(a),
            device: device(a),
            suite: suite(d),
        },
        6 => Change::PutClaim(claim_row(a, many, b)),
        7 => Change::PutRoom(room_row(a, number)),
        8..=13 => Change::AppendEntry(attested(entry(a, number + 1, b, d % 40), c)),
        14 => Change::Attest {
            room: room(a),
            seq: Seq(number),
            attestation: attestation(&entry(a, number, b, many), b),
        },
        15 | 16 => Change::PutMember(member_row(a, b, d % FEW, number)),
        17 => Change::EndMember {
            room: room(a),
            account: account(b),
            device: device(d % FEW),
            left: Seq(number),
        },
        _ => later_change(variant % 41, [a, b, c, d]),
    }
}

fn later_change(variant: u8, [a, b, c, d]: [u8; 4]) -> Change {
    let (number, many) = (u64::from(c % MANY), d % MANY);
    match variant {
        18 => Change::PatchGroup {
            room: room(a),
            puts: (0..b).map(|n| (vec![n, many], vec![d; 9])).collect(),
            deletes: vec![vec![b, many], vec![c % FEW, many]],
        },
        19 => Change::PutEpoch(epoch_row(a, number, d)),
        20 => Change::DropEpochs {
            room: room(a),
            before: Epoch(number),
        },
        21 => Change::PutPeer(peer_row(a, number)),
        22..=24 => Change::Owe {
            peer: server(a),
            number: number + 1,
            item: owed(b, d),
        },
        25 => Change::DropOwed {
            peer: server(a),
            up_to: number / 2,
        },
        26 => Change::PutPending(pending(a, many, b, c)),
        27 => Change::DropPending {
            room: room(a),
            message_id: message(many),
        },
        28 => Change::Enqueue(queued_row(a, b, number + 1, d)),
        29 => Change::DropQueued {
            account: account(a),
            device: device(b),
            up_to: number / 2,
        },
        30 => Change::Park(parked(a, b, c, d)),
        31 | 32 => Change::PutPin(pin_row(a, number)),
        33 => Change::DropPin(server(a)),
        35 => Change::PutNode(node_row(a, number)),
        36 => Change::DropNode(node(a)),
        37 => Change::PutLink(link_row(a, b, number)),
        38 => Change::DropEntries {
            room: room(a),
            up_to: Seq(number / 2),
        },
        39 => Change::PutRetention(retention_row(a, number, many)),
        34 => Change::PutEquivocation(Box::new(equivocation_row(a, d))),
        _ => Change::DropParked {
            room: room(a),
            up_to: Seq(number),
        },
    }
}

fn suite(n: u8) -> Suite {
    Suite::ALL[usize::from(n % 2)]
}

fn key_package(a: u8, b: u8, expires: u64, n: u8) -> KeyPackageRow {
    KeyPackageRow {
        device: device(b),
        suite: suite(n / 2),
        usage: if n % 4 == 3 {
            KeyPackageUse::LastResort
        } else {
            KeyPackageUse::Once
        },
        claimed: (expires % 3 == 2).then(|| Claimant {
            room: room(b),
            hub: server(a),
        }),
        ..key_package_row(n, a, expires)
    }
}

fn attested(mut entry: entente_protocol::entry::Entry, n: u8) -> entente_protocol::entry::Entry {
    entry.attestation = n.is_multiple_of(3).then(|| attestation(&entry, n % 5));
    entry
}

fn owed(of: u8, n: u8) -> Owed {
    if n.is_multiple_of(3) {
        Owed::Item(vec![n; usize::from(n)])
    } else {
        Owed::Entry {
            room: room(of),
            seq: Seq(u64::from(n % MANY) + 1),
        }
    }
}

fn pending(a: u8, n: u8, of: u8, c: u8) -> PendingRow {
    PendingRow {
        stored: UnixMillis(u64::from(c)),
        ..pending_row(a, n, of)
    }
}

fn parked(peer: u8, of: u8, c: u8, d: u8) -> ParkedRow {
    let entry = (!d.is_multiple_of(4)).then(|| (of, u64::from(d % MANY)));
    ParkedRow {
        stream_epoch: u64::from(d % 2),
        time: UnixMillis(u64::from(d % 5)),
        ..parked_row(peer, u64::from(c % MANY), entry)
    }
}
