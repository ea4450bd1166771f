//! Certificates: a self-signed envelope around an Ed25519 key, nothing more.
//!
//! Names and dates in a certificate mean nothing here. Whose a key is and how long it is good for is
//! decided by key documents; a certificate only carries the key into TLS, whose handshake signature
//! proves that the peer holds it.

use entente_identity::{PublicKey, SigningKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

/// DER of a SubjectPublicKeyInfo of Ed25519 up to the key itself (RFC 8410 §4).
const ED25519_SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// Separates the reset key from everything else that is derived from a server's key.
const RESET_LABEL: &[u8] = b"entente stateless reset key";

/// The key with which a server proves who it is, wrapped for TLS.
pub struct ServerIdentity {
    public: PublicKey,
    certificate: CertificateDer<'static>,
    private: PrivatePkcs8KeyDer<'static>,
    reset_key: [u8; 32],
}

impl ServerIdentity {
    /// Wraps a server's federation key.
    ///
    /// # Errors
    /// The cryptographic library refuses the key.
    pub fn new(key: &SigningKey) -> Result<Self, IdentityFault> {
        let pkcs8 = key.pkcs8_der();
        let private = PrivatePkcs8KeyDer::from(pkcs8.to_vec());
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&private, &rcgen::PKCS_ED25519)
            .map_err(|error| IdentityFault(error.to_string()))?;
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new())
            .map_err(|error| IdentityFault(error.to_string()))?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "entente server key");
        let certificate = params
            .self_signed(&pair)
            .map_err(|error| IdentityFault(error.to_string()))?;
        Ok(Self {
            public: key.public(),
            certificate: certificate.der().clone(),
            private,
            reset_key: Sha256::new_with_prefix(RESET_LABEL)
                .chain_update(key.seed().as_slice())
                .finalize()
                .into(),
        })
    }

    /// The key that peers have to pin.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// The key of stateless resets (RFC 9000 §10.3.2): the same after every start, so that a server
    /// that was killed can tell its peers that their connections are gone.
    pub(crate) fn reset_key(&self) -> [u8; 32] {
        self.reset_key
    }

    pub(crate) fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }

    pub(crate) fn private(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(self.private.clone_key())
    }
}

impl std::fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ServerIdentity({})", self.public)
    }
}

/// A key could not be wrapped in a certificate: a fault of this program, not of a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot make a certificate: {0}")]
pub struct IdentityFault(String);

/// Why a certificate carries no key that could be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateFault {
    #[error("not an X.509 certificate: {0}")]
    Encoding(String),
    #[error("a certificate chain instead of one self-signed certificate")]
    Chain,
    #[error("the key is not Ed25519")]
    NotEd25519,
    #[error(transparent)]
    Key(#[from] entente_identity::KeyFault),
}

/// The Ed25519 key in a certificate.
///
/// # Errors
/// The bytes are no certificate, or its key is of another kind or degenerate.
pub(crate) fn certified_key(
    certificate: &CertificateDer<'_>,
) -> Result<PublicKey, CertificateFault> {
    let parsed = rustls::server::ParsedCertificate::try_from(certificate)
        .map_err(|error| CertificateFault::Encoding(error.to_string()))?;
    let spki = parsed.subject_public_key_info();
    let key = spki
        .as_ref()
        .strip_prefix(&ED25519_SPKI_PREFIX)
        .ok_or(CertificateFault::NotEd25519)?;
    Ok(PublicKey::from_slice(key)?)
}
