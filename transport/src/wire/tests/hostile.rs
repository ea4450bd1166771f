//! Messages that nobody honest writes: every one is an error, none a panic, none costs memory.

use entente_protocol::call::{ClientRequest, PeerRequest};
use entente_protocol::flow::{SubmitFrame, SyncEvent, SyncRequest};
use entente_protocol::relay::{Batch, RelayReply};
use entente_schemas::{calls_capnp, flows_capnp, words_capnp};
use proptest::prelude::*;

use super::{arbitrary, frame};
use crate::frame::FrameFault;
use crate::wire::{Method, Root, WireFault, decode, encode};

/// A message of one segment with the given words.
fn segment(words: &[u64]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 0, 0];
    bytes.extend(u32::try_from(words.len()).expect("few").to_le_bytes());
    for word in words {
        bytes.extend(word.to_le_bytes());
    }
    bytes
}

fn struct_pointer(offset: i32, data_words: u16, pointers: u16) -> u64 {
    let offset = u64::from((offset << 2) as u32);
    offset | u64::from(data_words) << 32 | u64::from(pointers) << 48
}

/// `size`: 0 void, 2 byte, 6 pointer, 7 composite.
fn list_pointer(offset: i32, size: u64, count: u64) -> u64 {
    u64::from((offset << 2) as u32) | 1 | size << 32 | count << 35
}

/// Reads bytes as everything that a peer can send, and sees that nobody panics.
fn read_as_everything(bytes: &[u8]) {
    for method in 0..16 {
        let _ = ClientRequest::decode(method, bytes);
        let _ = ClientRequest::decode_reply(method, bytes);
        let _ = PeerRequest::decode(method, bytes);
        let _ = PeerRequest::decode_reply(method, bytes);
    }
    let _ = decode::<SubmitFrame>(bytes);
    let _ = decode::<entente_protocol::flow::SubmitReply>(bytes);
    let _ = decode::<SyncRequest>(bytes);
    let _ = decode::<SyncEvent>(bytes);
    let _ = decode::<Batch>(bytes);
    let _ = decode::<RelayReply>(bytes);
    let _ = decode::<entente_protocol::fault::Fault>(bytes);
}

fn malformed<T: Root + std::fmt::Debug>(bytes: &[u8]) {
    let fault = decode::<T>(bytes).expect_err("malformed");
    assert!(matches!(fault, WireFault::Frame(_)), "{fault:?}");
    read_as_everything(bytes);
}

#[test]
fn segment_tables_that_lie() {
    let huge_count = [&[0xff; 4][..], &[0; 28]].concat();
    malformed::<SubmitFrame>(&huge_count);
    let many = [&511_u32.to_le_bytes()[..], &[0; 2048]].concat();
    malformed::<SubmitFrame>(&many);
    let too_long = [&[0, 0, 0, 0][..], &[0xff; 4], &[0; 8]].concat();
    malformed::<SubmitFrame>(&too_long);
    let none = [0; 16];
    malformed::<SubmitFrame>(&none);
    for length in 0..16 {
        malformed::<SubmitFrame>(&[0; 16][..length]);
    }
    // Two segments whose lengths overflow when added.
    let mut overflow = 1_u32.to_le_bytes().to_vec();
    overflow.extend([0xff; 8]);
    overflow.extend([0; 4]);
    malformed::<SubmitFrame>(&overflow);
}

#[test]
fn bytes_behind_the_message() {
    let mut bytes = segment(&[struct_pointer(0, 0, 0)]);
    bytes.extend([0; 8]);
    let fault = decode::<SubmitFrame>(&bytes).expect_err("trailing");
    assert_eq!(fault, WireFault::Frame(FrameFault::Trailing));
}

#[test]
fn pointers_that_lead_nowhere() {
    for root in [
        struct_pointer(1, 1, 5),
        struct_pointer(-2, 1, 5),
        struct_pointer(i32::MAX >> 2, 1, 1),
        struct_pointer(0, u16::MAX, u16::MAX),
        list_pointer(0, 2, 8),
        // Far pointer to a segment that is not there, and one of an unknown kind.
        2 | 7 << 32,
        3,
        u64::MAX,
    ] {
        malformed::<SubmitFrame>(&segment(&[root, 0]));
    }
    // A far pointer whose landing pad is a far pointer to itself.
    malformed::<SubmitFrame>(&segment(&[2 | 1 << 3, 2 | 1 << 3]));
    malformed::<SubmitFrame>(&segment(&[2 | 4 | 1 << 3, 2 | 1 << 3, 2 | 1 << 3]));
}

#[test]
fn lists_that_claim_more_than_there_is() {
    // SyncRequest.open.cursors: one data word and two pointers at the root.
    let root = struct_pointer(0, 2, 2);
    let with = |pointer: u64, rest: &[u64]| {
        let words = [&[root, 0, 0, pointer, 0], rest].concat();
        segment(&words)
    };
    // 2^29 - 1 elements of no size: refused by the limit on the length or by the reader.
    for pointer in [
        list_pointer(1, 0, (1 << 29) - 1),
        list_pointer(1, 2, (1 << 29) - 1),
        list_pointer(1, 6, (1 << 29) - 1),
    ] {
        assert!(decode::<SyncRequest>(&with(pointer, &[0])).is_err());
    }
    // A composite list of 2^29 - 1 structs without words: its tag says so, its body is empty.
    let tag = struct_pointer((1 << 29) - 1, 0, 0);
    let bytes = with(list_pointer(1, 7, 0), &[tag]);
    assert!(decode::<SyncRequest>(&bytes).is_err());
    read_as_everything(&bytes);
    // A tag that claims more words than the list has.
    let tag = struct_pointer(100, 1, 1);
    assert!(decode::<SyncRequest>(&with(list_pointer(1, 7, 2), &[tag, 0, 0])).is_err());
}

#[test]
fn pointers_that_go_in_circles() {
    // A room access inside a request points back to the request.
    let root = struct_pointer(0, 0, 2);
    let bytes = segment(&[root, 0, struct_pointer(-2, 0, 2)]);
    for method in [4, 5] {
        assert!(ClientRequest::decode(method, &bytes).is_err());
    }
    read_as_everything(&bytes);
}

#[test]
fn nesting_beyond_the_limit() {
    // Each struct points to the next one; the reader follows only as far as the schema knows, and
    // the limit holds when a copy is asked to follow all.
    let mut words = vec![struct_pointer(0, 0, 1); 1000];
    words.push(0);
    let bytes = segment(&words);
    read_as_everything(&bytes);
    let message = crate::frame::open_message(&bytes).expect("a well-formed table");
    let root: capnp::any_pointer::Reader<'_> = message.get_root().expect("a pointer");
    let mut copy = capnp::message::Builder::new_default();
    let copied = copy.set_root::<capnp::any_pointer::Owned>(root);
    assert!(copied.is_err(), "1,000 deep");
}

#[test]
fn one_text_pointed_to_by_all_costs_traversal() {
    // 512 items that all point to the same 1 MiB: the traversal limit ends it.
    let mut items = vec![vec![]; 512];
    items[0] = vec![1; 1 << 20];
    let (from, to) = ("did:web:a.example", "did:web:b.example");
    let server = |did: &str| did.parse().expect("a DID");
    let key = entente_identity::SigningKey::from_seed(&[1; 32]);
    let signer = ("k", &key, entente_identity::UnixMillis(1));
    let batch = Batch::sign(&server(from), &server(to), (1, 1), items, signer);
    let mut bytes = frame(&encode(&batch));
    let word = |bytes: &[u8], at| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8"));
    let is_first = |at: &usize| word(&bytes, *at) >> 32 == 2 | 1 << 23;
    let first_at = (8..bytes.len() - 8)
        .step_by(8)
        .find(is_first)
        .expect("the pointer of the first item");
    let first = word(&bytes, first_at);
    for index in 1..512 {
        let at = first_at + 8 * index;
        let pointer = first - ((index as u64) << 2);
        bytes[at..at + 8].copy_from_slice(&pointer.to_le_bytes());
    }
    malformed::<Batch>(&bytes);
}

#[test]
fn sizes_texts_and_values_are_named() {
    let mut message = capnp::message::Builder::new_default();
    let mut submit = message.init_root::<flows_capnp::submit_frame::Builder<'_>>();
    submit.set_room(&[0; 31]);
    let fault = decode::<SubmitFrame>(&frame(&message)).expect_err("31 bytes");
    assert_eq!(fault.to_string(), "room id has 31 bytes instead of 32");

    let mut submit = message.init_root::<flows_capnp::submit_frame::Builder<'_>>();
    submit.set_room(&[0; 32]);
    submit.set_message_id(&[0; 16]);
    submit.set_hub("did:web:ORG.example");
    let fault = decode::<SubmitFrame>(&frame(&message)).expect_err("upper case");
    assert!(fault.to_string().starts_with("hub: "), "{fault}");

    let mut fault = message.init_root::<words_capnp::fault::Builder<'_>>();
    fault.set_code(999);
    let fault = decode::<entente_protocol::fault::Fault>(&frame(&message)).expect_err("999");
    assert_eq!(fault.to_string(), "fault code 999 is not known here");

    let unknown = ClientRequest::decode(77, &frame(&message)).expect_err("77");
    assert_eq!(unknown.to_string(), "method 77 is not known here");
    let code = entente_protocol::fault::FaultCode::Unsupported;
    assert_eq!(unknown.to_refusal().code, code);

    let claim = message
        .init_root::<calls_capnp::hub_call::Builder<'_, calls_capnp::claim_key_package::Owned>>();
    let mut claim = claim.init_request();
    claim.set_account(&[0; 32]);
    let refused = ClientRequest::decode(6, &frame(&message)).expect_err("small order, no hub");
    assert!(refused.to_string().starts_with("hub: "), "{refused}");
}

#[test]
fn lists_beyond_their_limits_are_refused_before_they_are_read() {
    let mut message = capnp::message::Builder::new_default();
    let batch = message.init_root::<entente_schemas::federation_capnp::batch::Builder<'_>>();
    batch.init_items(513);
    let bytes = frame(&message);
    // The head is read first and is no signed object; the list alone shows its own limit.
    assert!(decode::<Batch>(&bytes).is_err());
    let open = message.init_root::<flows_capnp::sync_request::Builder<'_>>();
    open.init_open().init_cursors(10_001);
    let fault = decode::<SyncRequest>(&frame(&message)).expect_err("10,001");
    assert_eq!(
        fault.to_string(),
        "cursors is 10001 long, 10000 are allowed"
    );
}

#[test]
fn an_unknown_union_member_is_named() {
    let event = SyncEvent::CaughtUp;
    let mut bytes = frame(&encode(&event));
    let at = bytes
        .chunks(2)
        .rposition(|pair| pair == [3, 0])
        .expect("the union's tag");
    bytes[2 * at] = 9;
    let fault = decode::<SyncEvent>(&bytes).expect_err("member 9");
    let unknown = WireFault::Unknown {
        field: "sync event",
        value: 9,
    };
    assert_eq!(fault, unknown);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_as_everything(&bytes);
    }

    #[test]
    fn any_words_are_read_without_panic(words in prop::collection::vec(any::<u64>(), 1..60)) {
        read_as_everything(&segment(&words));
    }

    #[test]
    fn small_pointers_are_read_without_panic(
        words in prop::collection::vec((0..4_u64, 0..40_u64, 0..8_u64, 0..40_u64), 1..60),
    ) {
        let words: Vec<u64> = words
            .iter()
            .map(|(kind, offset, size, count)| kind | offset << 2 | size << 32 | count << 35)
            .collect();
        read_as_everything(&segment(&words));
    }

    #[test]
    fn damaged_messages_are_read_without_panic(
        event in arbitrary::sync_event(),
        batch in arbitrary::batch(),
        request in arbitrary::client_request(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        for mut bytes in [frame(&encode(&event)), frame(&encode(&batch)), frame(&request.encode())] {
            for (index, value) in &flips {
                let at = index.index(bytes.len());
                bytes[at] = *value;
            }
            read_as_everything(&bytes);
            read_as_everything(&bytes[..cut.index(bytes.len())]);
        }
    }
}
