//! Frames: one value of every message, and the messages that nobody honest writes.

use entente_fuzz::inputs::{reply_input, request_input, root_input};
use entente_protocol::call::{ClientRequest, PeerRequest};

use crate::samples;
use crate::store::Store;

/// Targets of messages whose root has a field that must be there: what comes before the message, and
/// its root as it would be read.
const ROOTS: [(&str, &[u8]); 9] = [
    ("client_requests", &[4, 0]),
    ("client_replies", &[4, 0]),
    ("peer_requests", &[1, 0]),
    ("peer_replies", &[1, 0]),
    ("submit_flow", &[0]),
    ("sync_flow", &[1]),
    ("relay_flow", &[0]),
    ("faults", &[]),
    ("batches", &[]),
];

/// Adds them.
pub fn seed(store: &mut Store) {
    calls(store);
    flows(store);
    streams(store);
    for (target, before) in ROOTS {
        for (name, message) in hostile_messages() {
            let input = [before, &message].concat();
            store.hostile(target, "e1", name, input);
        }
        store.hostile(target, "a4", "byte-behind", {
            let message = segment(&[struct_pointer(0, 0, 0)]);
            [before, &message, &[0]].concat()
        });
    }
    for (name, message) in hostile_lists() {
        store.hostile("sync_flow", "e1", name, [&[0], &message[..]].concat());
    }
}

fn calls(store: &mut Store) {
    let mut number = 0;
    let mut name = |method: u16| {
        number += 1;
        format!("{number:02}-method-{method}")
    };
    for request in samples::client_requests() {
        let input = request_input::<ClientRequest>(&request);
        let method = u16::from_le_bytes([input[0], input[1]]);
        store.accepted("client_requests", &name(method), input);
    }
    for (method, reply) in samples::client_replies() {
        let input = reply_input::<ClientRequest>(method, &reply);
        store.accepted("client_replies", &name(method), input);
    }
    for request in samples::peer_requests() {
        let input = request_input::<PeerRequest>(&request);
        let method = u16::from_le_bytes([input[0], input[1]]);
        store.accepted("peer_requests", &name(method), input);
    }
    for (method, reply) in samples::peer_replies() {
        let input = reply_input::<PeerRequest>(method, &reply);
        store.accepted("peer_replies", &name(method), input);
    }
}

fn flows(store: &mut Store) {
    let mut add = |target: &str, before: &[u8], messages: Vec<Vec<u8>>| {
        for (index, message) in messages.iter().enumerate() {
            let kind = before.first().map_or(0, |kind| *kind);
            let name = format!("{kind}-{index:02}");
            store.accepted(target, &name, [before, message].concat());
        }
    };
    add(
        "submit_flow",
        &[0],
        samples::submit_frames().iter().map(root_input).collect(),
    );
    add(
        "submit_flow",
        &[1],
        samples::submit_replies().iter().map(root_input).collect(),
    );
    add(
        "sync_flow",
        &[0],
        samples::sync_requests().iter().map(root_input).collect(),
    );
    add(
        "sync_flow",
        &[1],
        samples::sync_events().iter().map(root_input).collect(),
    );
    add(
        "relay_flow",
        &[0],
        samples::batches().iter().map(root_input).collect(),
    );
    add(
        "relay_flow",
        &[1],
        samples::relay_replies().iter().map(root_input).collect(),
    );
    add(
        "faults",
        &[],
        samples::faults().iter().map(root_input).collect(),
    );
}

fn streams(store: &mut Store) {
    let frames: Vec<u8> = samples::submit_frames().iter().flat_map(framed).collect();
    let call = [&[1, 0, 4, 0, 0][..], &frames].concat();
    let flow = [&[2, 0, 1, 0, 7][..], &frames, &frames].concat();
    store.accepted("streams", "call", call.clone());
    store.accepted("streams", "flow", flow);
    store.hostile("streams", "e1", "cut-off", call[..call.len() - 1].to_vec());
    store.hostile("streams", "a4", "byte-behind", [&call[..], &[0]].concat());
    let opened = |rest: &[u8]| [&[2, 0, 0, 0, 1][..], rest].concat();
    let limit = u32::try_from(4 << 20).expect("4 MiB");
    for (name, length) in [
        ("huge", u32::MAX),
        ("too-long", limit + 1),
        ("too-short", 15),
    ] {
        store.hostile(
            "streams",
            "e1",
            &format!("length-{name}"),
            opened(&length.to_le_bytes()),
        );
    }
    let stranger = [&40_000_u32.to_le_bytes()[..], &[0; 64]].concat();
    store.hostile(
        "streams",
        "e1",
        "too-long-for-a-stranger",
        opened(&stranger),
    );
    for opening in [[0, 0, 0, 0], [3, 0, 0, 0], [1, 1, 0, 0]] {
        let name = format!("opening-{}-{}", opening[0], opening[1]);
        store.hostile(
            "streams",
            "a12",
            &name,
            [&opening[..], &[0], &frames].concat(),
        );
    }
    for (name, message) in hostile_messages().into_iter().filter(|(name, _)| {
        // A well-formed message of another shape is no fault of the stream.
        !name.starts_with("default") && *name != "list-at-the-root"
    }) {
        let length = u32::try_from(message.len()).expect("short").to_le_bytes();
        store.hostile(
            "streams",
            "e1",
            name,
            opened(&[&length[..], &message].concat()),
        );
    }
}

fn framed(frame: &entente_protocol::flow::SubmitFrame) -> Vec<u8> {
    let message = root_input(frame);
    let length = u32::try_from(message.len()).expect("short").to_le_bytes();
    [&length[..], &message].concat()
}

/// A message of one segment with the given words.
fn segment(words: &[u64]) -> Vec<u8> {
    let count = u32::try_from(words.len()).expect("few").to_le_bytes();
    let words = words.iter().flat_map(|word| word.to_le_bytes());
    [0, 0, 0, 0].into_iter().chain(count).chain(words).collect()
}

fn struct_pointer(offset: i32, data_words: u16, pointers: u16) -> u64 {
    let offset = u64::from((offset << 2).cast_unsigned());
    offset | u64::from(data_words) << 32 | u64::from(pointers) << 48
}

/// `size`: 0 void, 2 byte, 6 pointer, 7 composite.
fn list_pointer(offset: i32, size: u64, count: u64) -> u64 {
    u64::from((offset << 2).cast_unsigned()) | 1 | size << 32 | count << 35
}

/// Segment tables that lie, pointers that lead nowhere, in circles, or down for ever.
fn hostile_messages() -> Vec<(&'static str, Vec<u8>)> {
    let overflow = [&1_u32.to_le_bytes()[..], &[0xff; 8], &[0; 4]].concat();
    let mut deep = vec![struct_pointer(0, 0, 1); 1000];
    deep.push(0);
    let many = list_pointer(0, 6, (1 << 29) - 1);
    vec![
        ("segment-count-of-ones", [&[0xff; 4][..], &[0; 28]].concat()),
        (
            "511-segments",
            [&511_u32.to_le_bytes()[..], &[0; 2048]].concat(),
        ),
        (
            "segment-too-long",
            [&[0; 4][..], &[0xff; 4], &[0; 8]].concat(),
        ),
        ("segments-overflow", overflow),
        (
            "struct-beyond-the-end",
            segment(&[struct_pointer(1, 1, 5), 0]),
        ),
        (
            "struct-before-the-start",
            segment(&[struct_pointer(-2, 1, 5), 0]),
        ),
        (
            "struct-of-all-sizes",
            segment(&[struct_pointer(0, u16::MAX, u16::MAX), 0]),
        ),
        ("list-at-the-root", segment(&[list_pointer(0, 2, 8), 0])),
        ("pointers-to-nowhere", segment(&[many, 0])),
        ("far-pointer-to-no-segment", segment(&[2 | 7 << 32, 0])),
        ("pointer-of-ones", segment(&[u64::MAX, 0])),
        ("far-pointer-loop", segment(&[2 | 1 << 3, 2 | 1 << 3])),
        (
            "double-far-loop",
            segment(&[2 | 4 | 1 << 3, 2 | 1 << 3, 2 | 1 << 3]),
        ),
        (
            "default-loop",
            segment(&[struct_pointer(0, 0, 2), 0, struct_pointer(-2, 0, 2)]),
        ),
        ("default-depth-1000", segment(&deep)),
    ]
}

/// Lists that claim more than there is, where a sync's cursors stand: two words and two pointers.
fn hostile_lists() -> Vec<(&'static str, Vec<u8>)> {
    let with = |pointer: u64, rest: &[u64]| {
        let words = [&[struct_pointer(0, 2, 2), 0, 0, pointer, 0], rest].concat();
        segment(&words)
    };
    let most = (1 << 29) - 1;
    let empty_structs = struct_pointer(most, 0, 0);
    let most = most.unsigned_abs().into();
    vec![
        ("list-of-2e29-voids", with(list_pointer(1, 0, most), &[0])),
        ("list-of-2e29-bytes", with(list_pointer(1, 2, most), &[0])),
        (
            "list-of-2e29-pointers",
            with(list_pointer(1, 6, most), &[0]),
        ),
        (
            "list-of-2e29-empty-structs",
            with(list_pointer(1, 7, 0), &[empty_structs]),
        ),
        ("list-tag-too-large", {
            let tag = struct_pointer(100, 1, 1);
            with(list_pointer(1, 7, 2), &[tag, 0, 0])
        }),
    ]
}
