//! The door: retries, refusals, roaming, farewell.

use std::net::IpAddr;

use tokio::time::timeout;

use super::bare_peer::BarePeer;
use super::*;
use crate::{CloseCode, CloseReason, ConnectError, HandshakeRate};

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A device at another address of the loopback network.
fn device_at(last: u8) -> Endpoint {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    Endpoint::dial_only(SocketAddr::new(address, 0)).expect("loopback can be bound")
}

/// Packets from addresses that nobody has proven get a Retry, keep nothing here, and do not keep a
/// device out that proves its address.
#[tokio::test]
async fn d6_a_crowd_of_unproven_newcomers_is_sent_back_and_keeps_nobody_out() {
    const CROWD: usize = 300;
    let server = server(1);
    let address = server.local_address().unwrap();
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        let mut peer = BarePeer::new(address, |_| {}).await;
        peer.hello().await;
        crowd.push(peer);
    }
    let device = device();
    let pins = [public(1)];
    let dialling = device.connect_client(address, NAME, &pins);
    let dialled = timeout(PATIENCE, dialling).await.expect("in time");
    assert!(dialled.is_ok(), "{dialled:?}");
    let counts = server.admission_counts();
    let let_in = CROWD + 1 - usize::try_from(counts.retried).unwrap();
    assert!(let_in <= 16, "{let_in} began a handshake, {counts:?}");
    assert_eq!(counts.refused, 0);
}

/// Strangers of one address that stay find no more places than their share; others get in at once.
#[tokio::test]
async fn e2_one_address_cannot_fill_the_door() {
    let limits = AdmissionLimits {
        strangers: 8,
        strangers_per_address: 3,
        ..AdmissionLimits::default()
    };
    let server = server_with(1, limits);
    let address = server.local_address().unwrap();
    let accepting = tokio::spawn({
        let server = server.clone();
        async move {
            let mut kept = Vec::new();
            while let Some(connection) = server.accept().await {
                kept.push(connection);
            }
        }
    });
    let greedy = device_at(2);
    let mut dialling = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let greedy = greedy.clone();
        dialling.spawn(async move { greedy.connect_client(address, NAME, &[public(1)]).await });
    }
    let mut inside = Vec::new();
    while inside.len() < 3 {
        let dialled = timeout(PATIENCE, dialling.join_next())
            .await
            .expect("in time");
        inside.push(dialled.unwrap().unwrap().expect("a place"));
    }
    for last in [3, 4] {
        let other = device_at(last)
            .connect_client(address, NAME, &[public(1)])
            .await;
        assert!(other.is_ok(), "{other:?}");
    }
    while let Some(refused) = dialling.join_next().await {
        let error = refused
            .unwrap()
            .expect_err("no place of that address is left");
        assert!(matches!(error, ConnectError::Ended(_)), "{error}");
    }
    assert_eq!(server.admission_counts().refused, 5);
    accepting.abort();
}

#[tokio::test]
async fn d6_an_address_in_a_hurry_is_refused_and_others_are_not() {
    let limits = AdmissionLimits {
        handshakes_per_address: HandshakeRate {
            interval: std::time::Duration::from_secs(1),
            burst: 3,
        },
        ..AdmissionLimits::default()
    };
    let server = server_with(1, limits);
    let address = server.local_address().unwrap();
    let hasty = device_at(2);
    let pins = [public(1)];
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(hasty.connect_client(address, NAME, &pins).await.is_err());
    }
    assert!((10..=17).contains(&refused), "{refused} of 20 were refused");
    let other = device_at(3).connect_client(address, NAME, &pins).await;
    assert!(other.is_ok(), "{other:?}");
}

#[tokio::test]
async fn a_crowded_door_asks_newcomers_to_prove_their_address() {
    let limits = AdmissionLimits {
        retry_above: 0,
        ..AdmissionLimits::default()
    };
    let (device, server) = (device(), server_with(1, limits));
    let address = server.local_address().unwrap();
    device
        .connect_client(address, NAME, &[public(1)])
        .await
        .unwrap();
    let counts = server.admission_counts();
    assert_eq!((counts.retried, counts.refused), (1, 0));
}

#[tokio::test]
async fn a_full_endpoint_refuses_and_recovers() {
    let limits = AdmissionLimits {
        connections: 1,
        ..AdmissionLimits::default()
    };
    let (device, server) = (device(), server_with(1, limits));
    let address = server.local_address().unwrap();
    let pins = [public(1)];
    let dial = || device.connect_client(address, NAME, &pins);
    let first = dial().await.unwrap();
    let accepted = server.accept().await.unwrap();
    let error = dial().await.expect_err("full");
    assert!(matches!(error, ConnectError::Ended(_)), "{error}");
    assert_eq!(server.admission_counts().refused, 1);

    first.close(CloseCode::DONE, "make room");
    accepted.closed().await;
    drop(accepted);
    let again = async {
        loop {
            // The place is free once the closed connection has drained.
            if let Ok(connection) = dial().await {
                return connection;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), again)
        .await
        .expect("the place becomes free");
}

#[tokio::test]
async fn nobody_at_the_address_is_a_timeout() {
    let silent = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let address = silent.local_addr().unwrap();
    let error = device().connect_client(address, NAME, &[public(1)]).await;
    assert_eq!(error.err(), Some(ConnectError::TimedOut));
}

#[tokio::test]
async fn a_close_reaches_the_peer_with_its_code() {
    let pair = Pair::client().await;
    pair.accepted.close(CloseCode::SUPERSEDED, "elsewhere");
    let reason = pair.dialled.closed().await;
    assert_eq!(
        reason,
        CloseReason::Peer {
            code: CloseCode::SUPERSEDED,
            reason: "elsewhere".into()
        }
    );
    assert_eq!(pair.dialled.close_reason(), Some(reason.clone()));
    assert_eq!(pair.accepted.close_reason(), Some(CloseReason::Here));
    let fault = exchange(&pair.dialled, 1, message(b"x")).await;
    assert_eq!(fault, Err(StreamFault::ConnectionLost(reason)));
}

#[tokio::test]
async fn a_closed_endpoint_says_so_to_everybody() {
    let (device, server) = (device(), server(1));
    let address = server.local_address().unwrap();
    let dialled = device
        .connect_client(address, NAME, &[public(1)])
        .await
        .unwrap();
    let accepted = server.accept().await.unwrap();
    server.close(CloseCode::SHUTDOWN, "restart").await;
    let reason = dialled.closed().await;
    assert!(matches!(
        reason,
        CloseReason::Peer {
            code: CloseCode::SHUTDOWN,
            ..
        }
    ));
    assert_eq!(accepted.close_reason(), Some(CloseReason::Here));
    assert!(server.accept().await.is_none());
    let error = server.connect_client(address, NAME, &[public(1)]).await;
    assert_eq!(error.err(), Some(ConnectError::Closed));
}

/// Moves the dialling end to another port, as roaming or an attacker on the path would.
async fn roam(pair: &Pair) -> Result<(), StreamFault> {
    serve_echo(pair.accepted.clone());
    exchange(&pair.dialled, 1, message(b"before")).await?;
    pair._endpoints[0].rebind(std::net::UdpSocket::bind(LOOPBACK).unwrap());
    exchange(&pair.dialled, 1, message(b"after")).await?;
    Ok(())
}

#[tokio::test]
async fn clients_roam_and_federation_links_do_not() {
    let client = Pair::client().await;
    let before = client.accepted.remote_address();
    assert_eq!(roam(&client).await, Ok(()));
    assert_ne!(client.accepted.remote_address(), before);

    let federation = Pair::federation().await;
    let fault = roam(&federation).await.expect_err("closed");
    assert!(
        matches!(
            &fault,
            StreamFault::ConnectionLost(CloseReason::Peer { code, .. })
                if *code == CloseCode::ADDRESS_CHANGED
        ),
        "{fault}"
    );
}
