//! Calls, flows and their limits.

use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::call::RawAnswer;
use crate::frame::FrameFault;
use crate::limits::{FRAME_MAX_BYTES, STREAMS_MAX};
use crate::opening::Opening;
use crate::stream::FrameReader;
use crate::{CloseReason, StreamCode};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_each_get_their_own_answer() {
    let pair = Pair::client().await;
    serve_echo(pair.accepted.clone());
    let calls: Vec<_> = (0..500_u32)
        .map(|number| {
            let connection = pair.dialled.clone();
            tokio::spawn(async move {
                let request = number.to_le_bytes().repeat(1 + number as usize);
                let answer = exchange(&connection, 7, message(&request)).await.unwrap();
                let RawAnswer::Reply(frame) = answer else {
                    panic!("a fault");
                };
                assert_eq!(content(&frame), request);
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_stream_says_so() {
    let pair = Pair::client().await;
    let accepted = pair.accepted.clone();
    tokio::spawn(async move { accepted.accept().await.unwrap().refuse() });
    let fault = exchange(&pair.dialled, 1, message(b"x")).await;
    assert_eq!(fault, Err(StreamFault::Reset(StreamCode::REFUSED)));
}

/// A flow between the ends of a pair.
async fn flow(pair: &Pair) -> [(FrameWriter, FrameReader); 2] {
    let (mut writer, reader) = pair.dialled.open().await.unwrap();
    writer.queue_bytes(&Opening::Flow { kind: 2 }.bytes());
    writer.flush().await.unwrap();
    let stream = pair.accepted.accept().await.unwrap().read().await.unwrap();
    let RawStream::Flow {
        kind,
        writer: back,
        reader: there,
    } = stream
    else {
        panic!("not a flow");
    };
    assert_eq!(kind, 2);
    [(writer, reader), (back, there)]
}

async fn send_numbers(mut writer: FrameWriter, count: u32) {
    for number in 0..count {
        let body = number
            .to_le_bytes()
            .repeat(1 + (number as usize * 37) % 400);
        writer.queue(&message(&body)).unwrap();
        if number % 50 == 0 || writer.is_full() {
            writer.flush().await.unwrap();
        }
    }
    writer.flush().await.unwrap();
    writer.finish();
    writer.settled().await.unwrap();
}

async fn expect_numbers(mut reader: FrameReader, count: u32) {
    for number in 0..count {
        let frame = reader.next().await.unwrap().expect("a frame");
        let body = number
            .to_le_bytes()
            .repeat(1 + (number as usize * 37) % 400);
        assert_eq!(content(&frame), body);
    }
    assert_eq!(reader.next().await, Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_frames_flow_in_both_directions() {
    for pair in [Pair::client().await, Pair::federation().await] {
        let [(up, down), (back, there)] = flow(&pair).await;
        let tasks = [
            tokio::spawn(send_numbers(up, 5_000)),
            tokio::spawn(send_numbers(back, 5_000)),
            tokio::spawn(expect_numbers(there, 5_000)),
            tokio::spawn(expect_numbers(down, 5_000)),
        ];
        for task in tasks {
            task.await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_reader_that_waits_holds_back_the_sender() {
    let pair = Pair::client().await;
    let [(mut up, _down), (_back, mut there)] = flow(&pair).await;
    let body = vec![7; 64 << 10];
    let filled = timeout(Duration::from_millis(500), async {
        for _ in 0..1_000 {
            up.queue(&message(&body)).unwrap();
            up.flush().await.unwrap();
        }
    });
    assert!(filled.await.is_err(), "64 MiB fit nowhere");
    // What was cut off in the middle of a write goes on where it stopped.
    let reading = tokio::spawn(async move {
        let mut count = 0;
        while let Some(frame) = there.next().await.unwrap() {
            assert_eq!(content(&frame).len(), 64 << 10);
            count += 1;
        }
        count
    });
    up.flush().await.unwrap();
    up.finish();
    assert!(reading.await.unwrap() > 10);
}

#[tokio::test]
async fn the_longest_frame_passes_and_a_longer_one_does_not() {
    let pair = Pair::client().await;
    serve_echo(pair.accepted.clone());
    // Segment table and root pointer take two words.
    let longest = vec![1; FRAME_MAX_BYTES - 16];
    let answer = exchange(&pair.dialled, 1, message(&longest)).await;
    assert!(matches!(answer, Ok(RawAnswer::Reply(frame)) if content(&frame) == longest));

    let longer = message(&vec![1; FRAME_MAX_BYTES - 15]);
    let fault = exchange(&pair.dialled, 1, longer).await;
    let length = u32::try_from(FRAME_MAX_BYTES).unwrap() + 8;
    assert_eq!(
        fault,
        Err(StreamFault::Frame(FrameFault::TooLong {
            length,
            limit: FRAME_MAX_BYTES
        }))
    );
}

/// What the server says to raw bytes on a stream.
async fn server_verdict(bytes: &[u8]) -> StreamFault {
    let pair = Pair::client().await;
    let (mut writer, _reader) = pair.dialled.open().await.unwrap();
    writer.queue_bytes(bytes);
    writer.flush().await.unwrap();
    writer.finish();
    let stream = pair.accepted.accept().await.unwrap();
    let fault = stream.read().await.expect_err("hostile");
    assert_eq!(pair.accepted.close_reason(), None);
    fault
}

#[tokio::test]
async fn hostile_openings_and_requests_end_their_stream_only() {
    let opening = Opening::Call { method: 1 }.bytes();
    let with = |rest: &[u8]| [&opening[..], rest].concat();
    let mut frame = bytes::BytesMut::new();
    crate::frame::append_message(&mut frame, &message(b"x")).unwrap();
    let cases = [
        (vec![9, 0, 0, 0], StreamFault::UnknownOpening([9, 0, 0, 0])),
        (vec![1, 0], FrameFault::Truncated.into()),
        (with(&[]), FrameFault::Truncated.into()),
        (with(&[8, 0]), FrameFault::Truncated.into()),
        (with(&[0; 4]), FrameFault::TooShort { length: 0 }.into()),
        (
            with(&[255; 4]),
            FrameFault::TooLong {
                length: u32::MAX,
                limit: FRAME_MAX_BYTES,
            }
            .into(),
        ),
        (with(&frame[..20]), FrameFault::Truncated.into()),
        (
            with(&[&frame[..], &[0]].concat()),
            FrameFault::Trailing.into(),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(server_verdict(&bytes).await, expected, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_peer_cannot_open_more_streams_than_the_limit() {
    let pair = Pair::client().await;
    let mut open = Vec::new();
    for _ in 0..STREAMS_MAX {
        let (mut writer, reader) = pair.dialled.open().await.unwrap();
        writer.queue_bytes(&Opening::Flow { kind: 1 }.bytes());
        writer.flush().await.unwrap();
        open.push((writer, reader));
    }
    let one_more = timeout(Duration::from_millis(200), pair.dialled.open());
    assert!(one_more.await.is_err(), "beyond the limit");

    // The QUIC stack renews its credit once an eighth of the streams are gone.
    for _ in 0..=STREAMS_MAX / 8 {
        pair.accepted.accept().await.unwrap().refuse();
        drop(open.remove(0));
    }
    let next = timeout(Duration::from_secs(5), pair.dialled.open());
    assert!(next.await.is_ok(), "there is room again");
}

#[tokio::test]
async fn a_reset_is_not_taken_for_an_end() {
    let pair = Pair::client().await;
    let [(mut up, _down), (_back, mut there)] = flow(&pair).await;
    up.queue(&message(b"one")).unwrap();
    up.flush().await.unwrap();
    assert!(there.next().await.unwrap().is_some());
    up.reset(StreamCode::CANCELLED);
    let expected = StreamFault::Reset(StreamCode::CANCELLED);
    assert_eq!(there.next().await, Err(expected));
}

#[tokio::test]
async fn a_stopped_reader_is_told_to_the_sender() {
    let pair = Pair::client().await;
    let [(mut up, _down), (_back, mut there)] = flow(&pair).await;
    there.stop(StreamCode::BROKEN);
    let expected = StreamFault::Stopped(StreamCode::BROKEN);
    assert_eq!(up.settled().await, Err(expected));
}

#[tokio::test]
async fn a_lost_connection_ends_its_flows() {
    let pair = Pair::client().await;
    let [(_up, _down), (_back, mut there)] = flow(&pair).await;
    pair.dialled.close(crate::CloseCode::DONE, "");
    let fault = there.next().await.expect_err("gone");
    assert!(matches!(
        fault,
        StreamFault::ConnectionLost(CloseReason::Peer { .. })
    ));
}
