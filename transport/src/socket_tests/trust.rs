//! What a peer may do before it is trusted.

use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::frame::FrameFault;
use crate::limits::{FLOWS_MAX, LARGE_FRAMES_MAX, STRANGER_FRAME_MAX_BYTES, STRANGER_STREAMS_MAX};
use crate::opening::Opening;
use crate::{CloseCode, CloseReason, ConnectError, StreamCode};

async fn stranger(server: &Endpoint) -> (Endpoint, Connection, Connection) {
    let device = device();
    let address = server.local_address().unwrap();
    let dialled = device.connect_client(address, NAME, &[public(1)]).await;
    let accepted = server.accept().await.expect("the endpoint is open");
    (device, dialled.unwrap(), accepted)
}

#[tokio::test]
async fn a_stranger_gets_short_frames_and_few_streams_until_it_is_trusted() {
    let server = server(1);
    let (_device, dialled, accepted) = stranger(&server).await;
    assert!(dialled.is_trusted() && !accepted.is_trusted());
    serve_echo(accepted.clone());
    let short = message(&vec![1; STRANGER_FRAME_MAX_BYTES - 16]);
    assert!(exchange(&dialled, 1, short).await.is_ok());
    let long = || message(&vec![1; STRANGER_FRAME_MAX_BYTES]);
    assert_eq!(
        exchange(&dialled, 1, long()).await,
        Err(StreamFault::Reset(StreamCode::BROKEN))
    );
    let mut open = Vec::new();
    for _ in 0..STRANGER_STREAMS_MAX {
        open.push(dialled.open().await.unwrap());
    }
    let waiting = timeout(Duration::from_millis(200), dialled.open());
    assert!(waiting.await.is_err(), "one more stream than allowed");

    accepted.trust();
    assert!(exchange(&dialled, 1, long()).await.is_ok());
    let big = message(&vec![1; 3 << 20]);
    assert!(exchange(&dialled, 1, big).await.is_ok());
}

#[tokio::test]
async fn a_stranger_has_to_earn_trust_in_time() {
    let limits = AdmissionLimits {
        trust_within: Duration::from_millis(100),
        ..AdmissionLimits::default()
    };
    let server = server_with(1, limits);
    let (_first_device, idle, _accepted) = stranger(&server).await;
    let (_second_device, trusted, accepted) = stranger(&server).await;
    accepted.trust();
    let reason = idle.closed().await;
    assert!(
        matches!(&reason, CloseReason::Peer { code, .. } if *code == CloseCode::UNAUTHENTICATED),
        "{reason}"
    );
    let longer = timeout(Duration::from_millis(300), trusted.closed());
    assert!(longer.await.is_err(), "a trusted peer stays");
}

#[tokio::test]
async fn strangers_are_few_at_a_time() {
    let limits = AdmissionLimits {
        strangers: 1,
        ..AdmissionLimits::default()
    };
    let server = server_with(1, limits);
    let (_device, _dialled, accepted) = stranger(&server).await;
    let other = device();
    let address = server.local_address().unwrap();
    let pins = [public(1)];
    let refused = other.connect_client(address, NAME, &pins).await;
    assert!(matches!(refused, Err(ConnectError::Ended(_))));
    accepted.trust();
    assert!(other.connect_client(address, NAME, &pins).await.is_ok());
}

/// Many streams that each announce a large frame and send half of it.
#[tokio::test]
async fn half_sent_large_frames_are_rationed() {
    let pair = Pair::client().await;
    let mut streams = Vec::new();
    for _ in 0..LARGE_FRAMES_MAX + 3 {
        let (mut writer, reader) = pair.dialled.open().await.unwrap();
        writer.queue_bytes(&Opening::Call { method: 1 }.bytes());
        writer.queue_bytes(&(4_u32 << 20).to_le_bytes());
        writer.queue_bytes(&[0; 1000]);
        writer.flush().await.unwrap();
        streams.push((writer, reader));
    }
    let mut readings = tokio::task::JoinSet::new();
    for _ in &streams {
        readings.spawn(pair.accepted.accept().await.unwrap().read());
    }
    for _ in 0..3 {
        let refused = readings.join_next().await.unwrap().unwrap();
        assert_eq!(refused.err(), Some(StreamFault::Crowded));
    }
    let rest = timeout(Duration::from_millis(200), readings.join_next());
    assert!(rest.await.is_err(), "the others go on waiting for the rest");
    drop(streams);
    while let Some(ended) = readings.join_next().await {
        let fault = ended.unwrap().expect_err("cut off");
        assert_eq!(fault, FrameFault::Truncated.into());
    }
    // Their places are free again.
    serve_echo(pair.accepted.clone());
    let big = message(&vec![1; 3 << 20]);
    assert!(exchange(&pair.dialled, 1, big).await.is_ok());
}

#[tokio::test]
async fn flows_are_few_per_connection() {
    let pair = Pair::client().await;
    let mut open = Vec::new();
    for _ in 0..FLOWS_MAX {
        let here = pair.dialled.open_sync().await.unwrap();
        let there = pair.accepted.accept().await.unwrap().open().await.unwrap();
        open.push((here, there));
    }
    let (_sender, mut receiver) = pair.dialled.open_sync().await.unwrap();
    let refused = pair.accepted.accept().await.unwrap().open().await;
    assert_eq!(refused.err(), Some(StreamFault::Crowded));
    let expected = StreamFault::Reset(StreamCode::CROWDED);
    assert_eq!(receiver.next().await, Err(expected));
    open.pop();
    pair.dialled.open_sync().await.unwrap();
    let again = pair.accepted.accept().await.unwrap().open().await;
    assert!(again.is_ok());
}
