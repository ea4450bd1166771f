//! The messages of flows, faults, and signed batches.

use std::fmt::Debug;

use entente_identity::{ServerDid, encode as tls_encode};
use entente_protocol::fault::Fault;
use entente_protocol::flow::{SubmitFrame, SubmitReply, SyncEvent, SyncRequest};
use entente_protocol::limits::{MAX_BATCH_ITEMS, MAX_ITEM_BYTES};
use entente_protocol::relay::{Batch, Item, RelayReply};

use super::calls::message_bytes;
use crate::fixture::{genuine, signer};
use crate::limits::FRAME_MAX_BYTES;
use crate::target::{Target, Verdict};
use crate::wire::{Root, decode, encode, encode_entries};

const CHECKS: &str = "What is read is written and read again as the same value.";

pub(super) const SUBMIT_FLOW: Target = Target {
    name: "submit_flow",
    run: |input| either(input, root::<SubmitFrame>, root::<SubmitReply>),
    checks: CHECKS,
    smoke_runs: 50_000,
};

pub(super) const SYNC_FLOW: Target = Target {
    name: "sync_flow",
    run: |input| either(input, root::<SyncRequest>, sync_event),
    checks: "What is read is written and read again as the same value; entries that are passed on as \
             they are stored make the same message.",
    smoke_runs: 40_000,
};

pub(super) const RELAY_FLOW: Target = Target {
    name: "relay_flow",
    run: |input| either(input, root::<Batch>, root::<RelayReply>),
    checks: CHECKS,
    smoke_runs: 50_000,
};

pub(super) const FAULTS: Target = Target {
    name: "faults",
    run: root::<Fault>,
    checks: CHECKS,
    smoke_runs: 50_000,
};

pub(super) const BATCHES: Target = Target {
    name: "batches",
    run: batches,
    checks: "A batch that verifies is one that was signed, to the byte; its bounds hold; each of its \
             items is read or refused alone.",
    smoke_runs: 10_000,
};

/// The first byte says which of two messages follows.
fn either(input: &[u8], even: fn(&[u8]) -> Verdict, odd: fn(&[u8]) -> Verdict) -> Verdict {
    match input.split_first() {
        Some((which, frame)) if which % 2 == 0 => even(frame),
        Some((_, frame)) => odd(frame),
        None => Verdict::Refused,
    }
}

fn root<T: Root + PartialEq + Debug>(frame: &[u8]) -> Verdict {
    if frame.len() > FRAME_MAX_BYTES {
        return Verdict::Refused;
    }
    let read = decode::<T>(frame);
    if let Ok(value) = &read
        && let Some(written) = message_bytes(&encode(value))
    {
        assert_eq!(decode::<T>(&written).as_ref(), Ok(value));
    }
    Verdict::of(&read)
}

fn sync_event(frame: &[u8]) -> Verdict {
    if let Ok(event) = decode::<SyncEvent>(frame)
        && let SyncEvent::Entries { room, hub, entries } = &event
    {
        let stored: Vec<Vec<u8>> = entries.iter().map(tls_encode).collect();
        let written = message_bytes(&encode_entries(*room, hub, &stored));
        assert_eq!(written, message_bytes(&encode(&event)), "as it is stored");
    }
    root::<SyncEvent>(frame)
}

fn batches(frame: &[u8]) -> Verdict {
    let Ok(batch) = decode::<Batch>(frame) else {
        return Verdict::Refused;
    };
    for item in &batch.items {
        let _ = Item::from_bytes(item);
    }
    let server = |text: &str| text.parse::<ServerDid>().expect("a constant");
    let (origin, destination) = (
        server("did:web:org-b.example"),
        server("did:web:org-a.example"),
    );
    let verified = batch
        .clone()
        .verify(&origin, &destination, &signer().public());
    if let Ok(verified) = &verified {
        assert!(verified.items.len() <= MAX_BATCH_ITEMS);
        assert!(verified.items.iter().map(Vec::len).sum::<usize>() <= MAX_ITEM_BYTES);
        let known = genuine("batches").iter();
        let known = known.filter_map(|frame| decode::<Batch>(frame).ok());
        assert!(
            known.into_iter().any(|known| known == batch),
            "nobody signed this"
        );
    }
    Verdict::of(&verified)
}

/// A message with its value at the root, as targets of flows take it behind their first byte.
///
/// # Panics
/// The message is too long for a frame.
#[must_use]
pub fn root_input<T: Root>(value: &T) -> Vec<u8> {
    message_bytes(&encode(value)).expect("seeds fit a frame")
}
