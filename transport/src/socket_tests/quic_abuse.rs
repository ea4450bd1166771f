//! Peers that break QUIC itself: each is shut out alone, and the server serves the others.

use std::time::Duration;

use super::bare_peer::BarePeer;
use super::bare_peer::packet::{Kind, Said, varint};
use super::*;
use crate::StreamLimits;
use crate::limits::{EndpointLimits, STRANGER_STREAMS_MAX, STRANGER_WINDOW_BYTES};

// RFC 9000 §20.1.
const INTERNAL_ERROR: u64 = 0x01;
const FLOW_CONTROL_ERROR: u64 = 0x03;
const STREAM_LIMIT_ERROR: u64 = 0x04;
const STREAM_STATE_ERROR: u64 = 0x05;
const FINAL_SIZE_ERROR: u64 = 0x06;
const FRAME_ENCODING_ERROR: u64 = 0x07;
const TRANSPORT_PARAMETER_ERROR: u64 = 0x08;
const PROTOCOL_VIOLATION: u64 = 0x0a;
const CRYPTO_BUFFER_EXCEEDED: u64 = 0x0d;

/// Sees that a well-behaved device is served as if nothing had happened.
async fn is_served(server: &Endpoint) {
    let device = device();
    let address = server.local_address().unwrap();
    let dialled = device.connect_client(address, NAME, &[public(1)]).await;
    let dialled = dialled.expect("others get in");
    loop {
        // Those that are still to be taken were left by the hostile ones.
        let accepted = server.accept().await.expect("the endpoint is open");
        if accepted.remote_address() == device.local_address().unwrap() {
            serve_echo(accepted);
            break;
        }
    }
    assert!(exchange(&dialled, 1, message(b"hello")).await.is_ok());
}

fn stream(id: u64, offset: u64, data: &[u8]) -> Vec<u8> {
    let length = varint(data.len() as u64);
    [&[0x0e][..], &varint(id), &varint(offset), &length, data].concat()
}

#[tokio::test]
async fn a_peer_made_by_hand_is_served_while_it_behaves() {
    let server = server(1);
    let mut peer = BarePeer::connected(server.local_address().unwrap()).await;
    let accepted = server.accept().await.unwrap();
    peer.send(Kind::Short, &stream(0, 0, &[1, 0, 1, 0])).await;
    accepted.accept().await.unwrap().refuse();
    let refused = Said::GivenUp { id: 0, code: 3 };
    while !peer.hear().await.contains(&refused) {}
}

/// Sends frames on a fresh connection, and sees with which error the server closes it.
async fn check_frames(server: &Endpoint, what: &str, frames: &[u8], errors: &[u64]) {
    let mut peer = BarePeer::connected(server.local_address().unwrap()).await;
    peer.send(Kind::Short, frames).await;
    let error = peer.transport_error().await;
    let expected = error.is_some_and(|error| errors.contains(&error));
    assert!(expected, "{what}: {error:x?}");
}

#[tokio::test]
async fn e3_frames_that_nobody_knows_or_may_send_end_their_connection_only() {
    let server = server(1);
    let big = varint((1 << 60) + 1);
    let cases: Vec<(&str, Vec<u8>, &[u64])> = vec![
        ("an unknown frame", varint(0x21), &[FRAME_ENCODING_ERROR]),
        (
            "an unknown frame of a long type",
            varint(0x3fff_ffff),
            &[FRAME_ENCODING_ERROR],
        ),
        (
            "a datagram that was not agreed upon",
            [&[0x31, 4][..], b"data"].concat(),
            &[PROTOCOL_VIOLATION, FRAME_ENCODING_ERROR],
        ),
        (
            "a server's frame: HANDSHAKE_DONE",
            vec![0x1e],
            &[PROTOCOL_VIOLATION],
        ),
        (
            "a server's frame: NEW_TOKEN",
            [&[0x07, 4][..], b"data"].concat(),
            &[PROTOCOL_VIOLATION],
        ),
        (
            "an acknowledgement of what was never sent",
            [&[0x02][..], &varint(1 << 30), &[0, 0, 0]].concat(),
            &[PROTOCOL_VIOLATION],
        ),
        (
            "ranges of an acknowledgement below zero",
            vec![0x02, 0, 0, 0, 9],
            &[FRAME_ENCODING_ERROR],
        ),
        (
            "a limit of streams that does not exist",
            [&[0x12][..], &big].concat(),
            &[FRAME_ENCODING_ERROR],
        ),
        (
            "data on a stream of the server's",
            stream(1, 0, b"data"),
            &[STREAM_STATE_ERROR],
        ),
        (
            "a stream in one direction",
            stream(2, 0, b"data"),
            &[STREAM_LIMIT_ERROR],
        ),
        (
            "one stream too many",
            stream(u64::from(STRANGER_STREAMS_MAX) * 4, 0, b"data"),
            &[STREAM_LIMIT_ERROR],
        ),
        (
            "data beyond the window",
            stream(0, u64::from(STRANGER_WINDOW_BYTES), b"data"),
            &[FLOW_CONTROL_ERROR],
        ),
        (
            "two ends of one stream",
            [
                stream(0, 0, b"data"),
                [&[0x04][..], &varint(0), &varint(0), &varint(2)].concat(),
            ]
            .concat(),
            &[FINAL_SIZE_ERROR],
        ),
        (
            "handshake bytes far ahead",
            [&[0x06][..], &varint(1 << 20), &[4], b"data"].concat(),
            &[CRYPTO_BUFFER_EXCEEDED, PROTOCOL_VIOLATION],
        ),
        (
            "a connection id that was never given",
            [&[0x19][..], &varint(1 << 20)].concat(),
            &[PROTOCOL_VIOLATION, FRAME_ENCODING_ERROR],
        ),
        (
            "a frame that ends too early",
            [&[0x0e][..], &varint(0), &varint(0), &varint(60), &[0; 27]].concat(),
            &[FRAME_ENCODING_ERROR],
        ),
    ];
    for (what, frames, errors) in cases {
        check_frames(&server, what, &frames, errors).await;
    }
    is_served(&server).await;
}

#[tokio::test]
async fn e3_bad_transport_parameters_are_refused_in_the_handshake() {
    type Change = fn(&mut super::bare_peer::Parameters);
    let server = server(1);
    let cases: [(&str, Change); 9] = [
        ("none of them", |all| all.clear()),
        ("no source connection id", |all| {
            all.retain(|(id, _)| *id != 0x0f)
        }),
        ("another source connection id", |all| all[4].1 = vec![7; 8]),
        ("one twice", |all| all.push((0x04, varint(1)))),
        ("a server's: a reset token", |all| {
            all.push((0x02, vec![7; 16]))
        }),
        ("a server's: an original id", |all| {
            all.push((0x00, vec![7; 8]))
        }),
        ("too small a packet size", |all| {
            all.push((0x03, varint(1199)))
        }),
        ("too large an exponent", |all| all.push((0x0a, varint(21)))),
        ("more streams than there are", |all| {
            all[3].1 = varint((1 << 60) + 1)
        }),
    ];
    for (what, change) in cases {
        let mut peer = BarePeer::new(server.local_address().unwrap(), change).await;
        peer.hello().await;
        let error = peer.transport_error().await;
        // TLS itself refuses a handshake without the extension: missing_extension.
        let refused = [TRANSPORT_PARAMETER_ERROR, PROTOCOL_VIOLATION, 0x100 + 109];
        let expected = error.is_some_and(|error| refused.contains(&error));
        assert!(expected, "{what}: {error:x?}");
    }
    is_served(&server).await;
}

#[tokio::test]
async fn e3_gappy_streams_hold_no_more_than_the_window_and_end_in_time() {
    let limits = EndpointLimits {
        streams: StreamLimits {
            opening: Duration::from_millis(300),
            ..StreamLimits::default()
        },
        ..EndpointLimits::default()
    };
    let server = server_with(1, limits);
    let mut peer = BarePeer::connected(server.local_address().unwrap()).await;
    let accepted = server.accept().await.unwrap();
    let reading = tokio::spawn({
        let accepted = accepted.clone();
        async move { accepted.accept().await.unwrap().read().await }
    });
    // The first byte never comes, and every second one of the rest is missing too.
    send_gaps(&mut peer, 0, 100).await;
    let fault = reading.await.unwrap().expect_err("nothing whole came");
    assert_eq!(fault, StreamFault::TimedOut { limit_ms: 300 });
    let code = crate::StreamCode::TIMED_OUT.number();
    let given_up = Said::GivenUp { id: 0, code };
    while !peer.hear().await.contains(&given_up) {}
    // Not a byte beyond the window, gap or no gap.
    let beyond = stream(4, 2 * u64::from(STRANGER_WINDOW_BYTES), b"x");
    peer.send(Kind::Short, &beyond).await;
    assert_eq!(peer.transport_error().await, Some(FLOW_CONTROL_ERROR));
    is_served(&server).await;
}

/// Sends eight bytes with a gap before each, so many times.
async fn send_gaps(peer: &mut BarePeer, id: u64, times: u64) {
    for offset in (1..=times).map(|part| part * 64) {
        let bytes = (0..8).flat_map(|gap| stream(id, offset - 2 * gap, b"x"));
        peer.send(Kind::Short, &bytes.collect::<Vec<u8>>()).await;
    }
}

#[tokio::test]
async fn e3_a_stream_of_thousands_of_gaps_ends_its_connection() {
    let server = server(1);
    let mut peer = BarePeer::connected(server.local_address().unwrap()).await;
    send_gaps(&mut peer, 0, 600).await;
    assert_eq!(peer.transport_error().await, Some(INTERNAL_ERROR));
    is_served(&server).await;
}

#[tokio::test]
async fn e3_early_data_is_dropped_and_never_answered() {
    let server = server(1);
    let mut peer = BarePeer::new(server.local_address().unwrap(), |_| {}).await;
    for _ in 0..100 {
        peer.send(Kind::ZeroRtt, &stream(0, 0, &[1, 0, 1, 0])).await;
    }
    peer.hello().await;
    for _ in 0..100 {
        peer.send(Kind::ZeroRtt, &stream(0, 0, &[1, 0, 1, 0])).await;
    }
    while !peer.hear().await.contains(&Said::HandshakeDone) {}
    let accepted = server.accept().await.unwrap();
    let nothing = tokio::time::timeout(Duration::from_millis(200), accepted.accept()).await;
    assert!(nothing.is_err(), "early data opened a stream");
    is_served(&server).await;
}

#[tokio::test]
async fn e3_garbage_datagrams_cost_nothing_and_are_not_amplified() {
    let server = server(1);
    let address = server.local_address().unwrap();
    let socket = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
    socket.connect(address).await.unwrap();
    let mut sent = 0;
    for length in [1, 20, 21, 50, 1199, 1200, 1400, 60_000] {
        for first in [0x00, 0x40, 0x7f, 0x80, 0xc0, 0xd0, 0xe0, 0xf0, 0xff] {
            for version in [0, 1, 0x1a2a_3a4a, 0x6b33_43cf, u32::MAX] {
                let mut datagram = vec![0x5a; length];
                rand::RngCore::fill_bytes(&mut rand::rngs::OsRng, &mut datagram);
                datagram[0] = first;
                if let Some(bytes) = datagram.get_mut(1..5) {
                    bytes.copy_from_slice(&version.to_be_bytes());
                }
                sent += length;
                // The system may refuse what does not fit its buffers.
                let _ = socket.send(&datagram).await;
            }
        }
    }
    is_served(&server).await;
    let (mut answered, mut answer) = (0, vec![0; 65_536]);
    while let Ok(length) = socket.try_recv(&mut answer) {
        answered += length;
    }
    assert!(answered < sent / 10, "{answered} bytes for {sent}");
    let counts = server.admission_counts();
    assert_eq!((counts.refused, counts.failed), (0, 0), "{counts:?}");
}
