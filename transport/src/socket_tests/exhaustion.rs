//! Peers that keep things open, read nothing or send a byte now and then: each ends at a limit.

use std::time::Duration;

use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;
use crate::call::RawAnswer;
use crate::frame::FrameFault;
use crate::limits::{HALF_RECEIVED_FREE_BYTES, STREAMS_MAX};
use crate::opening::Opening;
use crate::{Incoming, StreamCode, StreamLimits};

const SYNC: u16 = entente_schemas::flows_capnp::FlowKind::Sync as u16;
const PATIENCE: Duration = Duration::from_secs(10);

/// A pair whose accepting side has these limits for streams.
async fn strict_pair(streams: StreamLimits) -> Pair {
    let limits = EndpointLimits {
        streams,
        ..EndpointLimits::default()
    };
    let (device, server) = (device(), server_with(1, limits));
    let address = server.local_address().unwrap();
    let dialled = device.connect_client(address, NAME, &[public(1)]).await;
    let accepted = server.accept().await.expect("the endpoint is open");
    accepted.trust();
    Pair {
        dialled: dialled.unwrap(),
        accepted,
        _endpoints: [device, server],
    }
}

/// Takes streams as an edge does; the receiver gets what each came to.
fn take_streams(connection: Connection) -> Receiver<Option<StreamFault>> {
    let (sender, receiver) = channel(1024);
    tokio::spawn(async move {
        while let Ok(stream) = connection.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let read = stream.read().await;
                let _ = sender.send(read.err()).await;
            });
        }
    });
    receiver
}

async fn answers(pair: &Pair) -> bool {
    let answer = timeout(PATIENCE, exchange(&pair.dialled, 1, message(b"x"))).await;
    matches!(answer.expect("in time"), Ok(RawAnswer::Reply(_)))
}

/// A peer that leaves its streams open gets no further ones until each was given up in its time.
#[tokio::test]
async fn e2_streams_left_open_are_given_up_and_never_more_than_the_limit() {
    let pair = strict_pair(StreamLimits {
        opening: Duration::from_millis(100),
        ..StreamLimits::default()
    })
    .await;
    let mut ended = take_streams(pair.accepted.clone());
    for _ in 0..10 {
        let mut open = Vec::new();
        for _ in 0..STREAMS_MAX {
            let (mut writer, reader) = pair.dialled.open().await.unwrap();
            writer.queue_bytes(&[1]);
            writer.flush().await.unwrap();
            open.push((writer, reader));
        }
        let one_more = timeout(Duration::from_millis(20), pair.dialled.open());
        assert!(one_more.await.is_err(), "beyond the limit");
        for _ in 0..STREAMS_MAX {
            let fault = timeout(PATIENCE, ended.recv()).await.expect("in time");
            assert_eq!(fault, Some(Some(StreamFault::TimedOut { limit_ms: 100 })));
        }
        assert!(ended.try_recv().is_err());
    }
    assert_eq!(pair.accepted.close_reason(), None);
}

#[tokio::test]
async fn e2_calls_whose_request_never_ends_are_given_up() {
    let pair = strict_pair(StreamLimits {
        call: Duration::from_millis(200),
        ..StreamLimits::default()
    })
    .await;
    let mut ended = take_streams(pair.accepted.clone());
    let mut open = Vec::new();
    for _ in 0..STREAMS_MAX {
        let (mut writer, reader) = pair.dialled.open().await.unwrap();
        writer.queue_bytes(&Opening::Call { method: 1 }.bytes());
        writer.queue_bytes(&100_u32.to_le_bytes());
        writer.flush().await.unwrap();
        open.push((writer, reader));
    }
    for _ in 0..STREAMS_MAX {
        let fault = timeout(PATIENCE, ended.recv()).await.expect("in time");
        assert_eq!(fault, Some(Some(StreamFault::TimedOut { limit_ms: 200 })));
    }
    for (_, mut reader) in open {
        let reset = StreamFault::Reset(StreamCode::TIMED_OUT);
        assert_eq!(reader.next().await, Err(reset));
    }
}

/// Hundred thousand calls that are begun and thrown away at once hold nothing back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e2_a_hundred_thousand_streams_begun_and_dropped_leave_nothing_behind() {
    let pair = Pair::client().await;
    let mut ended = take_streams(pair.accepted.clone());
    let counting = tokio::spawn(async move {
        let mut seen = 0;
        while let Some(fault) = ended.recv().await {
            assert!(fault.is_some(), "none was a whole call");
            seen += 1;
        }
        seen
    });
    for _ in 0..100_000 {
        let (mut writer, _reader) = pair.dialled.open().await.unwrap();
        writer.reset(StreamCode::CANCELLED);
    }
    assert_eq!(pair.accepted.close_reason(), None);
    let streams = pair.dialled.open();
    assert!(timeout(PATIENCE, streams).await.is_ok(), "places are free");
    pair.dialled.close(crate::CloseCode::DONE, "");
    assert!(counting.await.unwrap() <= 100_001);
}

/// A frame that comes byte by byte ends when its time is over, however often a byte comes.
#[tokio::test]
async fn e2_a_slow_writer_of_a_frame_is_given_up() {
    let pair = strict_pair(StreamLimits {
        frame: Duration::from_millis(300),
        ..StreamLimits::default()
    })
    .await;
    let (mut writer, _reader) = pair.dialled.open().await.unwrap();
    writer.queue_bytes(&Opening::Flow { kind: SYNC }.bytes());
    writer.flush().await.unwrap();
    let flow = pair.accepted.accept().await.unwrap().open().await.unwrap();
    let Incoming::Sync(_events, mut frames) = flow else {
        panic!("{flow:?}");
    };
    // Between frames it may be silent for as long as it likes.
    assert!(
        timeout(Duration::from_millis(600), frames.next())
            .await
            .is_err()
    );
    writer.queue_bytes(&1_000_u32.to_le_bytes());
    let trickling = tokio::spawn(async move {
        loop {
            writer.queue_bytes(&[0]);
            if let Err(fault) = writer.flush().await {
                return fault;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    // A reader that is called away again and again still gets there.
    let given_up = timeout(PATIENCE, async {
        loop {
            if let Ok(fault) = timeout(Duration::from_millis(20), frames.next()).await {
                return fault.expect_err("no frame came");
            }
        }
    });
    let fault = given_up.await.expect("in time");
    // What did come earns a little more time.
    let StreamFault::TimedOut { limit_ms } = fault else {
        panic!("{fault}");
    };
    assert!((300..500).contains(&limit_ms), "{limit_ms} ms");
    let stopped = timeout(PATIENCE, trickling).await.expect("in time");
    assert_eq!(
        stopped.unwrap(),
        StreamFault::Stopped(StreamCode::TIMED_OUT)
    );
}

/// A peer that opens a flow and reads nothing: the sender holds a window's worth, then gives it up.
#[tokio::test]
async fn e2_a_reader_that_never_reads_holds_bounded_memory_and_is_given_up() {
    let pair = strict_pair(StreamLimits {
        stall: Duration::from_millis(500),
        ..StreamLimits::default()
    })
    .await;
    let (mut writer, mut reader) = pair.dialled.open().await.unwrap();
    writer.queue_bytes(&Opening::Flow { kind: SYNC }.bytes());
    writer.flush().await.unwrap();
    let flow = pair.accepted.accept().await.unwrap().open().await.unwrap();
    let Incoming::Sync(mut events, _requests) = flow else {
        panic!("{flow:?}");
    };
    let room = entente_groups::RoomId([1; 32]);
    let hub = "did:web:org-a.example".parse().unwrap();
    let entry = vec![7; 64 << 10];
    let mut taken = 0;
    let fault = loop {
        let one = std::slice::from_ref(&entry);
        let queued = timeout(PATIENCE, events.queue_entries(room, &hub, one)).await;
        match queued.expect("in time") {
            Ok(()) => taken += entry.len(),
            Err(fault) => break fault,
        }
    };
    assert_eq!(fault, StreamFault::TimedOut { limit_ms: 500 });
    // What the peer granted, what is kept until it acknowledges, and one batch.
    assert!(taken < 8 << 20, "{taken} bytes were taken");
    // What was sent before is still there; then the stream ends by a reset, not as if complete.
    let end = loop {
        match reader.next().await {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert_eq!(end, Err(StreamFault::Reset(StreamCode::TIMED_OUT)));
    assert_eq!(pair.dialled.close_reason(), None);
}

/// A caller that does not take its answer.
#[tokio::test]
async fn e2_an_answer_that_is_not_taken_is_given_up() {
    let pair = strict_pair(StreamLimits {
        stall: Duration::from_millis(300),
        ..StreamLimits::default()
    })
    .await;
    let mut unread = Vec::new();
    let mut replies = JoinSet::new();
    for _ in 0..8 {
        let (mut writer, reader) = pair.dialled.open().await.unwrap();
        writer.queue_bytes(&Opening::Call { method: 1 }.bytes());
        writer.queue(&message(b"x")).unwrap();
        writer.flush().await.unwrap();
        writer.finish();
        unread.push(reader);
        let stream = pair.accepted.accept().await.unwrap().read().await.unwrap();
        let RawStream::Call { writer, .. } = stream else {
            panic!("{stream:?}");
        };
        replies.spawn(async move { reply(writer, &vec![1; 3 << 20]).await });
    }
    let mut given_up = 0;
    while let Some(replied) = timeout(PATIENCE, replies.join_next())
        .await
        .expect("in time")
    {
        match replied.unwrap() {
            Ok(()) => {}
            Err(fault) => {
                assert_eq!(fault, StreamFault::TimedOut { limit_ms: 300 });
                given_up += 1;
            }
        }
    }
    assert!(given_up >= 5, "{given_up} of 8 did not fit the windows");
    drop(unread);
    serve_echo(pair.accepted.clone());
    assert!(answers(&pair).await, "the connection goes on");
}

/// All connections together hold no more halves of frames than the endpoint may; who is within its
/// share goes on.
#[tokio::test]
async fn e2_halves_of_frames_are_bounded_over_all_connections() {
    let limits = EndpointLimits {
        streams: StreamLimits {
            half_received_bytes: 1 << 20,
            ..StreamLimits::default()
        },
        ..EndpointLimits::default()
    };
    let server = server_with(1, limits);
    let address = server.local_address().unwrap();
    let mut readings = JoinSet::new();
    let (mut devices, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let device = device();
        let dialled = device.connect_client(address, NAME, &[public(1)]).await;
        let dialled = dialled.unwrap();
        let accepted = server.accept().await.unwrap();
        accepted.trust();
        for _ in 0..2 {
            let (mut writer, reader) = dialled.open().await.unwrap();
            writer.queue_bytes(&Opening::Call { method: 1 }.bytes());
            writer.queue_bytes(&(200_u32 << 10).to_le_bytes());
            writer.queue_bytes(&vec![0; 150 << 10]);
            writer.flush().await.unwrap();
            streams.push((writer, reader));
            readings.spawn(accepted.accept().await.unwrap().read());
        }
        devices.push((device, dialled, accepted));
    }
    // Ten times 146 KiB beside what is free do not fit 1 MiB.
    let mut crowded = 0;
    while let Ok(Some(ended)) = timeout(Duration::from_millis(300), readings.join_next()).await {
        assert_eq!(ended.unwrap().err(), Some(StreamFault::Crowded));
        crowded += 1;
    }
    assert!((3..=5).contains(&crowded), "{crowded} of 10");
    let (_, dialled, accepted) = &devices[0];
    serve_echo(accepted.clone());
    let small = message(&vec![1; HALF_RECEIVED_FREE_BYTES - 100]);
    assert!(exchange(dialled, 1, small).await.is_ok());
    drop(streams);
    while let Some(ended) = readings.join_next().await {
        let fault = ended.unwrap().expect_err("cut off");
        assert_eq!(fault, FrameFault::Truncated.into());
    }
    let large = message(&vec![1; 700 << 10]);
    assert!(
        exchange(dialled, 1, large).await.is_ok(),
        "all is given back"
    );
}
