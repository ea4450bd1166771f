//! The door: retries, refusals, roaming, farewell.

use super::*;
use crate::{CloseCode, CloseReason, ConnectError};

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
