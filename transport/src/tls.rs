//! TLS as both protocols use it: version 1.3, one hybrid key exchange, no resumption, no early data.
//!
//! Resumption is off because a resumed session shows no certificate: a key that was rotated away
//! would go on opening doors.

use std::sync::{Arc, OnceLock};

use entente_identity::PublicKey;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::crypto::{CryptoProvider, aws_lc_rs};

use crate::certificate::ServerIdentity;
use crate::connection::Link;
use crate::verifier::{AnyKeyClient, PinnedServer};

/// The provider: aws-lc-rs with X25519MLKEM768 as its only group.
///
/// With a single group on either side, a handshake that completes has used it
/// (RFC 8446 §4.2.8: the server picks from the client's list, the client checks the pick).
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    }
}

/// The name of the only group that a handshake can have used.
pub(crate) fn key_exchange_group() -> String {
    let groups = provider().kx_groups;
    let names: Vec<String> = groups
        .iter()
        .map(|group| format!("{:?}", group.name()))
        .collect();
    names.join(",")
}

/// What a listening server shows and asks for.
pub(crate) fn server_config(identity: &ServerIdentity) -> Result<QuicServerConfig, TlsFault> {
    Ok(QuicServerConfig::try_from(rustls_server(identity)?)?)
}

pub(crate) fn rustls_server(identity: &ServerIdentity) -> Result<rustls::ServerConfig, TlsFault> {
    let provider = Arc::new(provider());
    let verifier = Arc::new(AnyKeyClient::new(Arc::clone(&provider)));
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain(), identity.private())?;
    config.alpn_protocols = [Link::Client, Link::Federation]
        .map(|link| link.alpn().to_vec())
        .to_vec();
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// What a dialling side shows and believes; the second value is the key that the server showed.
pub(crate) fn client_config(
    link: Link,
    pins: Vec<PublicKey>,
    identity: Option<&ServerIdentity>,
) -> Result<(QuicClientConfig, Arc<OnceLock<PublicKey>>), TlsFault> {
    let (config, shown) = rustls_client(link, pins, identity)?;
    Ok((QuicClientConfig::try_from(config)?, shown))
}

pub(crate) fn rustls_client(
    link: Link,
    pins: Vec<PublicKey>,
    identity: Option<&ServerIdentity>,
) -> Result<(rustls::ClientConfig, Arc<OnceLock<PublicKey>>), TlsFault> {
    let provider = Arc::new(provider());
    let verifier = PinnedServer::new(pins, Arc::clone(&provider));
    let shown = verifier.shown();
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain(), identity.private())?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![link.alpn().to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config.enable_early_data = false;
    Ok((config, shown))
}

/// The TLS library refuses our own configuration: a fault of this program, not of a peer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsFault {
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

#[cfg(test)]
mod tests {
    use entente_identity::SigningKey;
    use rustls::quic::{ClientConnection, Connection, ServerConnection, Version};

    use super::*;

    fn identity(seed: u8) -> ServerIdentity {
        ServerIdentity::new(&SigningKey::from_seed(&[seed; 32])).expect("a key is a key")
    }

    /// Runs a whole handshake in memory over the very configurations that sockets use.
    fn handshake(
        client: rustls::ClientConfig,
        server: rustls::ServerConfig,
    ) -> Result<[Connection; 2], rustls::Error> {
        let name = "b.example".try_into().expect("a DNS name");
        let client = ClientConnection::new(Arc::new(client), Version::V1, name, vec![])?;
        let server = ServerConnection::new(Arc::new(server), Version::V1, vec![])?;
        let mut ends = [Connection::from(client), Connection::from(server)];
        for turn in 0..8 {
            // Each encryption level travels apart, as in QUIC's CRYPTO frames.
            let mut more = true;
            while more {
                let mut flight = Vec::new();
                more = ends[turn % 2].write_hs(&mut flight).is_some();
                ends[(turn + 1) % 2].read_hs(&flight)?;
            }
        }
        Ok(ends)
    }

    #[test]
    fn a_handshake_of_ours_negotiates_the_hybrid_group_on_both_sides() {
        let server = identity(1);
        let (client, shown) = rustls_client(Link::Client, vec![server.public()], None).unwrap();
        let ends = handshake(client, rustls_server(&server).unwrap()).unwrap();
        for end in &ends {
            assert!(!end.is_handshaking());
            let group = end.negotiated_key_exchange_group().expect("negotiated");
            assert_eq!(group.name(), rustls::NamedGroup::X25519MLKEM768);
            assert_eq!(format!("{:?}", group.name()), key_exchange_group());
            assert_eq!(
                end.protocol_version(),
                Some(rustls::ProtocolVersion::TLSv1_3)
            );
        }
        assert_eq!(shown.get(), Some(&server.public()));
    }

    #[test]
    fn a_classical_server_is_refused() {
        let server = identity(1);
        let (client, _) = rustls_client(Link::Client, vec![server.public()], None).unwrap();
        let classical = CryptoProvider {
            kx_groups: vec![aws_lc_rs::kx_group::X25519],
            ..aws_lc_rs::default_provider()
        };
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(classical))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(server.chain(), server.private())
            .unwrap();
        config.alpn_protocols = vec![Link::Client.alpn().to_vec()];
        assert!(handshake(client, config).is_err());
    }

    /// The server shows a pinned certificate but signs with another key.
    #[test]
    fn a_copied_certificate_without_its_key_is_refused() {
        #[derive(Debug)]
        struct Forged(Arc<rustls::sign::CertifiedKey>);
        impl rustls::server::ResolvesServerCert for Forged {
            fn resolve(
                &self,
                _hello: rustls::server::ClientHello<'_>,
            ) -> Option<Arc<rustls::sign::CertifiedKey>> {
                Some(Arc::clone(&self.0))
            }
        }

        let (victim, thief) = (identity(1), identity(2));
        let (client, _) = rustls_client(Link::Client, vec![victim.public()], None).unwrap();
        let key = provider()
            .key_provider
            .load_private_key(thief.private())
            .unwrap();
        let forged = rustls::sign::CertifiedKey::new(victim.chain(), key);
        let mut config = rustls_server(&victim).unwrap();
        config.cert_resolver = Arc::new(Forged(Arc::new(forged)));
        let error = handshake(client, config).expect_err("the signature is the thief's");
        assert!(
            matches!(
                error,
                rustls::Error::InvalidCertificate(rustls::CertificateError::BadSignature)
            ),
            "{error:?}"
        );
    }
}
