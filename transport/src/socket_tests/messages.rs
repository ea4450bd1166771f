//! Cap'n Proto messages that nobody honest writes, over a real connection.

use entente_protocol::call::ClientRequest;
use entente_protocol::fault::{Fault, FaultCode};
use tokio::time::timeout;

use super::*;
use crate::call::RawAnswer;
use crate::frame::FrameFault;
use crate::opening::Opening;
use crate::stream::FrameReader;
use crate::wire::Method;
use crate::{Incoming, StreamCode};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A message of one segment with the given words.
fn segment(words: &[u64]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(u32::try_from(words.len()).unwrap().to_le_bytes());
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

fn struct_pointer(offset: i32, data_words: u16, pointers: u16) -> u64 {
    u64::from((offset << 2) as u32) | u64::from(data_words) << 32 | u64::from(pointers) << 48
}

fn list_pointer(offset: i32, size: u64, count: u64) -> u64 {
    u64::from((offset << 2) as u32) | 1 | size << 32 | count << 35
}

/// What the line E1 names, each as the request of a call.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let far = |segment: u64, word: u64| 2 | word << 3 | segment << 32;
    let lists_of_nothing = segment(&[
        struct_pointer(0, 0, 4),
        list_pointer(3, 0, (1 << 29) - 1),
        list_pointer(2, 7, 0),
        list_pointer(1, 6, (1 << 29) - 1),
        struct_pointer(-1, 0, 0),
        (1 << 29) - 1,
    ]);
    let points_to_itself = segment(&[struct_pointer(0, 0, 2), struct_pointer(-1, 0, 2), 0]);
    let deep: Vec<u64> = (0..1_000).map(|_| struct_pointer(0, 0, 1)).collect();
    let composite = |elements: u64| {
        segment(&[
            struct_pointer(0, 0, 1),
            list_pointer(0, 7, 0),
            elements << 2,
        ])
    };
    vec![
        (
            "segments without end",
            [vec![0xff; 4], vec![0; 60]].concat(),
        ),
        (
            "a segment longer than the frame",
            [vec![0; 4], vec![0xff; 4], vec![0; 24]].concat(),
        ),
        ("lists of nothing", lists_of_nothing),
        ("2^29 structs without size", composite((1 << 29) - 1)),
        ("a pointer to itself", points_to_itself),
        ("a depth of 1,000", segment(&deep)),
        ("a far pointer to itself", segment(&[far(0, 0)])),
        ("far pointers in a circle", segment(&[far(0, 1), far(0, 0)])),
        ("a far pointer to another segment", segment(&[far(7, 0)])),
        (
            "a pointer before the beginning",
            segment(&[struct_pointer(-9, 1, 1)]),
        ),
        (
            "a pointer beyond the end",
            segment(&[struct_pointer(1 << 20, 1, 1)]),
        ),
        ("no message at all", vec![0xaa; 64]),
    ]
}

async fn raw_call(connection: &Connection, method: u16, frame: &[u8]) -> FrameReader {
    let (mut writer, reader) = connection.open().await.unwrap();
    writer.queue_bytes(&Opening::Call { method }.bytes());
    writer.queue_bytes(&u32::try_from(frame.len()).unwrap().to_le_bytes());
    writer.queue_bytes(frame);
    writer.flush().await.unwrap();
    writer.finish();
    reader
}

async fn answer(mut reader: FrameReader) -> RawAnswer {
    let [tag] = reader.bytes().await.unwrap();
    let frame = reader.only_frame().await.unwrap();
    match tag {
        0 => RawAnswer::Reply(frame),
        _ => RawAnswer::Fault(frame),
    }
}

/// Serves every call with a refusal that no parser gives.
fn serve_refusals(connection: Connection) {
    tokio::spawn(async move {
        while let Ok(stream) = connection.accept().await {
            tokio::spawn(async move {
                if let Ok(Incoming::ClientCall(call)) = stream.open().await {
                    let refused = Fault::new(FaultCode::NotMember, "parsed");
                    let _ = call.responder.answer(Err(refused)).await;
                }
            });
        }
    });
}

#[tokio::test]
async fn e1_hostile_requests_are_answered_as_malformed_and_the_connection_goes_on() {
    let pair = Pair::client().await;
    serve_refusals(pair.accepted.clone());
    for (what, frame) in hostile() {
        for method in 0..12 {
            let reader = raw_call(&pair.dialled, method, &frame).await;
            let answered = timeout(PATIENCE, answer(reader)).await.expect(what);
            let RawAnswer::Fault(fault) = answered else {
                panic!("{what}: method {method} is done");
            };
            let fault: Fault = crate::wire::decode(&fault).unwrap();
            let refused = match fault.code {
                // A method without content does not look at any.
                FaultCode::NotMember => method == ClientRequest::Status.number(),
                FaultCode::BadRequest | FaultCode::Unsupported => true,
                _ => false,
            };
            assert!(refused, "{what}: method {method}: {fault}");
        }
    }
    let answered = pair.dialled.call(&ClientRequest::Status).await;
    assert!(answered.is_err_and(|fault| fault.to_string().contains("parsed")));
}

#[tokio::test]
async fn e1_hostile_frames_end_their_flow_only() {
    let pair = Pair::client().await;
    for (what, frame) in hostile() {
        let (mut writer, _reader) = pair.dialled.open().await.unwrap();
        let kind = entente_schemas::flows_capnp::FlowKind::Sync as u16;
        writer.queue_bytes(&Opening::Flow { kind }.bytes());
        writer.queue_bytes(&u32::try_from(frame.len()).unwrap().to_le_bytes());
        writer.queue_bytes(&frame);
        writer.flush().await.unwrap();
        let flow = pair.accepted.accept().await.unwrap().open().await.unwrap();
        let Incoming::Sync(_events, mut requests) = flow else {
            panic!("{what}: {flow:?}");
        };
        let fault = timeout(PATIENCE, requests.next()).await.expect(what);
        let fault = fault.expect_err(what);
        let of_the_message = matches!(
            fault,
            StreamFault::Message(_) | StreamFault::Frame(FrameFault::Malformed { .. })
        );
        assert!(of_the_message, "{what}: {fault}");
        let stopped = timeout(PATIENCE, writer.settled()).await.expect(what);
        assert_eq!(
            stopped,
            Err(StreamFault::Stopped(StreamCode::BROKEN)),
            "{what}"
        );
    }
    assert_eq!(pair.accepted.close_reason(), None);
}
