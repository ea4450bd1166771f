//! Who gets a connection, and what both ends know about it.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

use super::*;
use crate::certificate::ServerIdentity;
use crate::{CloseCode, CloseReason, ConnectError, Link, Side, quic_config, tls};

#[tokio::test]
async fn a_client_connection_knows_the_server_and_binds_both_ends() {
    let pair = Pair::client().await;
    assert_eq!(pair.dialled.link(), Link::Client);
    assert_eq!(pair.accepted.link(), Link::Client);
    assert_eq!(pair.dialled.side(), Side::Dialled);
    assert_eq!(pair.accepted.side(), Side::Accepted);
    assert_eq!(pair.dialled.peer_key(), Some(public(1)));
    assert_eq!(pair.accepted.peer_key(), None);
    assert_eq!(pair.dialled.key_exchange_group(), "X25519MLKEM768");

    let here = pair.dialled.channel_binding(b"entente test", b"context");
    assert_eq!(
        here,
        pair.accepted.channel_binding(b"entente test", b"context")
    );
    assert_ne!(
        here,
        pair.dialled.channel_binding(b"entente test", b"other")
    );
    assert_ne!(
        here,
        pair.dialled.channel_binding(b"entente else", b"context")
    );
    let other = Pair::client().await;
    assert_ne!(
        here,
        other.dialled.channel_binding(b"entente test", b"context")
    );
}

#[tokio::test]
async fn a_federation_link_knows_both_keys() {
    let pair = Pair::federation().await;
    assert_eq!(pair.dialled.link(), Link::Federation);
    assert_eq!(pair.dialled.peer_key(), Some(public(1)));
    assert_eq!(pair.accepted.peer_key(), Some(public(2)));
    assert_eq!(
        pair.dialled.channel_binding(b"hello", b""),
        pair.accepted.channel_binding(b"hello", b"")
    );
}

#[tokio::test]
async fn an_unpinned_key_is_refused_and_named() {
    let (device, server) = (device(), server(1));
    let address = server.local_address().unwrap();
    let refused = ConnectError::UnknownKey { shown: public(1) };
    for pins in [vec![public(3)], vec![]] {
        let error = device.connect_client(address, NAME, &pins).await;
        assert_eq!(error.err(), Some(refused.clone()));
    }
    let peer = super::server(2);
    let error = peer.connect_federation(address, NAME, &[public(3)]).await;
    assert_eq!(error.err(), Some(refused));
    assert!(
        device
            .connect_client(address, NAME, &[public(3), public(1)])
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_device_cannot_dial_a_peer() {
    let error = device()
        .connect_federation(LOOPBACK, NAME, &[public(1)])
        .await;
    assert_eq!(error.err(), Some(ConnectError::NoIdentity));
}

/// Dials with a TLS configuration that no code of ours would make.
async fn dial_raw(
    server: &Endpoint,
    config: rustls::ClientConfig,
) -> Result<quinn::Connection, CloseReason> {
    let socket = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let runtime = Arc::new(quinn::TokioRuntime);
    let quic = quinn::Endpoint::new(quic_config::endpoint(None), None, socket, runtime).unwrap();
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let address = server.local_address().unwrap();
    Ok(quic.connect_with(config, address, NAME).unwrap().await?)
}

#[tokio::test]
async fn a_federation_link_without_certificate_is_closed() {
    let server = server(1);
    let (config, _) = tls::rustls_client(Link::Federation, vec![public(1)], None).unwrap();
    let connection = dial_raw(&server, config).await.unwrap();
    let reason = CloseReason::from(connection.closed().await);
    assert!(
        matches!(&reason, CloseReason::Peer { code, .. } if *code == CloseCode::NO_CERTIFICATE),
        "{reason}"
    );
    assert_eq!(server.admission_counts().failed, 1);
}

#[tokio::test]
async fn a_certificate_of_another_kind_of_key_is_refused() {
    let server = server(1);
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let params = rcgen::CertificateParams::new(vec![]).unwrap();
    let certificate = params.self_signed(&pair).unwrap().der().clone();
    let (mut config, _) = tls::rustls_client(Link::Federation, vec![public(1)], None).unwrap();
    let key = aws_lc_rs::default_provider()
        .key_provider
        .load_private_key(pair.serialize_der().try_into().unwrap())
        .unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![certificate], key);
    let resolver = rustls::sign::SingleCertAndKey::from(certified);
    config.client_auth_cert_resolver = Arc::new(resolver);
    let connection = dial_raw(&server, config).await.unwrap();
    // The only signature scheme that the server asks for is Ed25519: the client library sees that
    // it has nothing to show, or the server sees the wrong key. Neither becomes a connection.
    let reason = CloseReason::from(connection.closed().await);
    assert!(
        !matches!(reason, CloseReason::TimedOut | CloseReason::Here),
        "{reason}"
    );
}

#[tokio::test]
async fn a_peer_without_the_hybrid_group_is_refused() {
    let server = server(1);
    let classical = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1],
        ..aws_lc_rs::default_provider()
    };
    let verifier = crate::verifier::PinnedServer::new(vec![public(1)], Arc::new(classical.clone()));
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(classical))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![Link::Client.alpn().to_vec()];
    let error = dial_raw(&server, config).await.expect_err("classical");
    // RFC 8446 §4.1.1: no common group is a handshake_failure.
    assert!(
        matches!(&error, CloseReason::Handshake { alert: 40, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_unknown_protocol_is_refused() {
    let server = server(1);
    let (mut config, _) = tls::rustls_client(Link::Client, vec![public(1)], None).unwrap();
    for alpn in [vec![b"entente-client/2".to_vec()], vec![]] {
        config.alpn_protocols = alpn;
        let outcome = dial_raw(&server, config.clone()).await;
        let reason = match outcome {
            Err(reason) => reason,
            Ok(connection) => connection.closed().await.into(),
        };
        assert!(
            matches!(
                &reason,
                CloseReason::Handshake { alert: 120, .. }
                    | CloseReason::Peer {
                        code: CloseCode::PROTOCOL,
                        ..
                    }
            ),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn e3_sessions_are_never_resumed_and_give_no_early_data() {
    let server = server(1);
    let (mut config, _) = tls::rustls_client(Link::Client, vec![public(1)], None).unwrap();
    config.resumption = rustls::client::Resumption::in_memory_sessions(8);
    config.enable_early_data = true;
    let socket = std::net::UdpSocket::bind(LOOPBACK).unwrap();
    let runtime = Arc::new(quinn::TokioRuntime);
    let quic = quinn::Endpoint::new(quic_config::endpoint(None), None, socket, runtime).unwrap();
    let crypto = quinn::crypto::rustls::QuicClientConfig::try_from(config).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(crypto));
    let address = server.local_address().unwrap();
    for _ in 0..3 {
        let connecting = quic.connect_with(config.clone(), address, NAME).unwrap();
        let Err(connecting) = connecting.into_0rtt() else {
            panic!("no ticket was ever given");
        };
        let connection = connecting.await.unwrap();
        // A round trip after which a ticket would have arrived.
        let accepted = server.accept().await.unwrap();
        serve_echo(accepted);
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&[9, 9, 9, 9]).await.unwrap();
        assert!(recv.read_to_end(1).await.is_err());
    }
}

#[tokio::test]
async fn a_replaced_identity_is_shown_in_new_connections_only() {
    let (device, server) = (device(), server(1));
    let address = server.local_address().unwrap();
    let old = device
        .connect_client(address, NAME, &[public(1)])
        .await
        .unwrap();
    server.replace_identity(identity(4)).unwrap();
    let error = device.connect_client(address, NAME, &[public(1)]).await;
    assert_eq!(
        error.err(),
        Some(ConnectError::UnknownKey { shown: public(4) })
    );
    device
        .connect_client(address, NAME, &[public(4)])
        .await
        .unwrap();
    assert_eq!(old.close_reason(), None);
}

#[test]
fn certificates_carry_the_key_and_say_nothing_secret() {
    let key = SigningKey::from_seed(&[7; 32]);
    let identity = ServerIdentity::new(&key).unwrap();
    let read = crate::certificate::certified_key(&identity.chain()[0]).unwrap();
    assert_eq!(read, key.public());
    assert_eq!(format!("{identity:?}"), format!("ServerIdentity({read})"));
}

/// A server that is killed sends no farewell: its runtime ends between two packets.
#[test]
fn peers_of_a_killed_server_learn_of_it_when_it_is_back() {
    let here = tokio::runtime::Runtime::new().expect("a runtime");
    let there = tokio::runtime::Runtime::new().expect("a runtime");
    let (address, accepted) = there.block_on(async {
        let server = server(1);
        let address = server.local_address().unwrap();
        let accepting = server.clone();
        (
            address,
            tokio::spawn(async move { (accepting.accept().await, server) }),
        )
    });
    let (_device, dialled) = here.block_on(async {
        let device = device();
        let dialled = device.connect_client(address, NAME, &[public(1)]).await;
        (device, dialled.expect("connected"))
    });
    let kept = there.block_on(accepted).expect("accepted");
    there.shutdown_timeout(std::time::Duration::from_secs(5));
    drop(kept);
    here.block_on(async {
        let again = Endpoint::bind(address, identity(1), AdmissionLimits::default());
        let _back = again.expect("the port is free again");
        let asked = tokio::spawn({
            let dialled = dialled.clone();
            async move { dialled.open_sync().await.map(|_| ()) }
        });
        let limit = std::time::Duration::from_secs(8);
        let closed = tokio::time::timeout(limit, dialled.closed()).await;
        let reason = closed.expect("far sooner than the idle limit of 30 s");
        assert_eq!(reason, CloseReason::Lost);
        let _ = asked.await;
    });
}
