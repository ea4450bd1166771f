//! What servers pass on and store: batches, items, entries, attestations.

use entente_fuzz::inputs::root_input;
use entente_groups::{Epoch, LeafIndex, MessageId, RoomId};
use entente_identity::{DeviceId, encode};
use entente_protocol::checkpoint::{Attestation, attest};
use entente_protocol::entry::{Entry, EntryHash, EntryHeader, EntryKind, Head, Seq, Term};
use entente_protocol::flow::{DeviceItem, SyncEvent};
use entente_protocol::relay::{Batch, Item, RelayedSubmission, SubmissionRefusal, Watermark};

use crate::hostile::damaged;
use crate::samples;
use crate::statements::{NOW, ROOM, account, here, key, there};
use crate::store::Store;

/// Adds them.
pub fn seed(store: &mut Store) {
    store.genuine("batches", "every-item", root_input(&batch()));
    let mut other = batch();
    other.items.swap(0, 1);
    store.hostile("batches", "a4", "items-swapped", root_input(&other));
    let mut other = batch();
    other.items.pop();
    store.hostile("batches", "a4", "an-item-less", root_input(&other));
    let mut other = batch();
    other.items[0].push(0);
    store.hostile("batches", "a4", "an-item-longer", root_input(&other));
    let elsewhere = Batch::sign(&there(), &there(), (3, 1), vec![], ("fed-1", &key(), NOW));
    store.hostile(
        "batches",
        "a2",
        "for-another-server",
        root_input(&elsewhere),
    );
    let empty = Batch::sign(&there(), &here(), (3, 1), vec![], ("fed-1", &key(), NOW));
    store.hostile("batches", "d1", "without-items", root_input(&empty));
    for (index, item) in items().iter().enumerate() {
        store.accepted("items", &format!("{index:02}"), item.to_bytes());
    }
    damaged_ends(store, "items", &items()[0].to_bytes());
    for (index, entry) in entries().iter().enumerate() {
        let heads = [(entry.header.room, entry.header.head())];
        if entry.attestation.is_some() {
            shelve_heads(store, &heads);
        }
        store.genuine("entries", &format!("{index:02}"), encode(entry));
    }
    let mut first = entries()[0].clone();
    first.header.seq = Seq(0);
    first.attestation = None;
    store.odd("entries", "before-the-first", encode(&first));
    let attested = encode(&entries()[0]);
    store.hostile("entries", "a4", "longer", [&attested[..], &[0]].concat());
    store.hostile(
        "entries",
        "a4",
        "cut-off",
        attested[..attested.len() - 1].to_vec(),
    );
    let mut other = entries()[0].clone();
    other.body = b"other".as_slice().into();
    store.hostile("entries", "a4", "other-body", encode(&other));
    for (index, item) in device_items().iter().enumerate() {
        store.accepted("device_items", &format!("{index:02}"), encode(item));
    }
    damaged_ends(store, "device_items", &encode(&device_items()[0]));
    shelve_heads(store, &heads(5));
    for (index, attestation) in checkpoint(5).iter().enumerate() {
        store.genuine("checkpoints", &format!("{index:02}"), encode(attestation));
    }
    let genuine = checkpoint(5)[0].clone();
    damaged(store, "checkpoints", "a4", "first", &encode(&genuine));
    let mut long = genuine;
    long.path = vec![[0; 32]; 17];
    store.hostile("checkpoints", "c2", "path-of-17", encode(&long));
}

fn shelve_heads(store: &mut Store, heads: &[(RoomId, Head)]) {
    for (room, head) in heads {
        store.shelve("heads", room.0.to_vec());
        store.shelve("heads", encode(head));
    }
}

fn damaged_ends(store: &mut Store, target: &str, genuine: &[u8]) {
    store.hostile(target, "a4", "longer", [genuine, &[0]].concat());
    store.hostile(
        target,
        "a4",
        "cut-off",
        genuine[..genuine.len() - 1].to_vec(),
    );
    store.hostile(
        target,
        "a4",
        "unknown-kind",
        [&[0xff], &genuine[1..]].concat(),
    );
    // A length in the longest form, and one of all ones: more than could ever come.
    let huge = [&genuine[..1], &[0xbf, 0xff, 0xff, 0xff], &genuine[1..]].concat();
    store.hostile(target, "e5", "length-of-ones", huge);
}

pub fn batch() -> Batch {
    let items = items().iter().map(Item::to_bytes).collect();
    Batch::sign(&there(), &here(), (3, 400), items, ("fed-1", &key(), NOW))
}

fn items() -> Vec<Item> {
    let submissions = samples::submit_frames().into_iter().map(|frame| {
        Item::Submission(RelayedSubmission {
            submission: frame.submission,
            account: account(),
            device: DeviceId([1; 16]),
        })
    });
    let queued = device_items().into_iter().filter_map(|item| match item {
        DeviceItem::Welcome(welcome) => Some(Item::Welcome(welcome)),
        DeviceItem::Invite(invite) => Some(Item::Invite(invite)),
        _ => None,
    });
    let refusal = SubmissionRefusal {
        room: ROOM,
        message_id: MessageId([2; 16]),
        code: 22,
    };
    let delivered = Watermark {
        room: ROOM,
        seq: Seq(77),
    };
    let more = [Item::Refusal(refusal), Item::Delivered(delivered)];
    let entries = entries().into_iter().map(Item::Entry);
    submissions
        .chain(queued)
        .chain(more)
        .chain(entries)
        .collect()
}

fn device_items() -> Vec<DeviceItem> {
    let events = samples::sync_events().into_iter();
    let items = events.filter_map(|event| match event {
        SyncEvent::Queued { item, .. } => Some(item),
        _ => None,
    });
    items.collect()
}

fn heads(count: u8) -> Vec<(RoomId, Head)> {
    (0..count)
        .map(|number| {
            let head = Head {
                term: Term::FIRST,
                seq: Seq(u64::from(number) + 1),
                hash: EntryHash([number; 32]),
            };
            (RoomId([number; 32]), head)
        })
        .collect()
}

pub fn checkpoint(count: u8) -> Vec<Attestation> {
    attest(&heads(count), &here(), "fed-1", &key(), NOW)
}

/// One entry of every kind, the first of them attested.
fn entries() -> Vec<Entry> {
    let kinds = [
        (EntryKind::Application, b"message".to_vec()),
        (EntryKind::Commit, b"\x06commit\0\0".to_vec()),
        (EntryKind::Proposal, b"proposal".to_vec()),
        (EntryKind::Create, b"record".to_vec()),
    ];
    let entry = |(kind, body): (EntryKind, Vec<u8>)| {
        let header = EntryHeader {
            room: ROOM,
            term: Term(2),
            seq: Seq(77),
            epoch: Epoch(5),
            kind,
            origin: there(),
            sender: LeafIndex(3),
            message_id: MessageId([0x22; 16]),
            prev_hash: EntryHash([0x44; 32]),
            body_hash: Entry::body_hash(&body),
            time: NOW,
        };
        let attested = kind == EntryKind::Application;
        let heads = [(ROOM, header.head())];
        let made = attest(&heads, &here(), "fed-1", &key(), NOW).pop();
        Entry {
            header,
            body: body.into(),
            attestation: made.filter(|_| attested),
        }
    };
    kinds.into_iter().map(entry).collect()
}
