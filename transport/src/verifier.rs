//! Who may complete a TLS handshake with us.
//!
//! A server is believed if its certificate's key is one of the pinned keys. A client certificate is
//! asked for and may be absent; if present, its key is learned, not judged: whose it is comes out at
//! Hello. In both directions the handshake signature is verified by the cryptographic provider, so a
//! certificate that was copied from elsewhere is worth nothing.

use std::sync::{Arc, OnceLock};

use entente_identity::PublicKey;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::{CertificateFault, certified_key};

/// Accepts a server whose key is pinned.
#[derive(Debug)]
pub(crate) struct PinnedServer {
    pins: Vec<PublicKey>,
    /// The key that the server showed, pinned or not.
    shown: Arc<OnceLock<PublicKey>>,
    provider: Arc<CryptoProvider>,
}

impl PinnedServer {
    pub(crate) fn new(pins: Vec<PublicKey>, provider: Arc<CryptoProvider>) -> Self {
        Self {
            pins,
            shown: Arc::default(),
            provider,
        }
    }

    /// Where the server's key appears during the handshake.
    pub(crate) fn shown(&self) -> Arc<OnceLock<PublicKey>> {
        Arc::clone(&self.shown)
    }
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = only_key(end_entity, intermediates)?;
        let shown = self.shown.get_or_init(|| key);
        if *shown == key && self.pins.contains(&key) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls13_only())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// Accepts a client without certificate, or with one self-signed Ed25519 certificate.
#[derive(Debug)]
pub(crate) struct AnyKeyClient {
    provider: Arc<CryptoProvider>,
}

impl AnyKeyClient {
    pub(crate) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider }
    }
}

impl ClientCertVerifier for AnyKeyClient {
    fn client_auth_mandatory(&self) -> bool {
        // Which protocol is spoken is not known here; a federation link without a certificate is
        // closed as soon as its handshake is done.
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        only_key(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(tls13_only())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

fn only_key(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<PublicKey, Error> {
    let key = if intermediates.is_empty() {
        certified_key(end_entity)
    } else {
        Err(CertificateFault::Chain)
    };
    key.map_err(|fault| CertificateError::Other(OtherError(Arc::new(fault))).into())
}

fn tls13_only() -> Error {
    Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered)
}
