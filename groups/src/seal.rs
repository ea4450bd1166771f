//! Sealing small payloads to a device's X25519 key, by HPKE (RFC 9180, base mode).
//!
//! DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. The info names what is sealed, so that
//! a payload of one kind never opens as another.

use std::fmt;

use entente_identity::HpkePublicKey;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType};
use rand::{CryptoRng, RngCore};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};
use zeroize::Zeroizing;

use crate::crypto::Crypto;

/// Longest payload, in bytes.
pub const MAX_SEALED_BYTES: usize = 32 << 10;

/// What is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedKind {
    /// An invitation with its ticket.
    Invite,
}

/// A sealed payload.
#[derive(Clone, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Sealed {
    kem_output: VLBytes,
    ciphertext: VLBytes,
}

/// A device's X25519 private key; wiped on drop, never printed.
#[derive(Clone)]
pub struct HpkeSecretKey(Zeroizing<[u8; 32]>);

/// Why something cannot be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    /// Too long.
    #[error("at most {MAX_SEALED_BYTES} bytes are sealed at once")]
    TooLong,
    /// The recipient's key is unusable.
    #[error("the recipient's HPKE key is unusable")]
    Recipient,
    /// Not sealed to this key, of another kind, or changed on the way.
    #[error("the payload does not open: meant for another device, or changed on the way")]
    Opening,
}

fn config() -> HpkeConfig {
    HpkeConfig(
        HpkeKemType::DhKem25519,
        HpkeKdfType::HkdfSha256,
        HpkeAeadType::ChaCha20Poly1305,
    )
}

impl SealedKind {
    fn info(self) -> &'static [u8] {
        match self {
            Self::Invite => b"entente sealed invite 1",
        }
    }
}

impl HpkeSecretKey {
    /// Makes a key pair.
    pub fn generate(rng: &mut (impl CryptoRng + RngCore)) -> (Self, HpkePublicKey) {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(seed.as_mut());
        let pair = Crypto::default()
            .derive_hpke_keypair(config(), seed.as_ref())
            .expect("32 bytes are enough for DeriveKeyPair of X25519 (RFC 9180 §7.1.3)");
        let secret = <[u8; 32]>::try_from(pair.private.as_ref());
        let public = <[u8; 32]>::try_from(pair.public.as_slice());
        (
            Self(Zeroizing::new(secret.expect("X25519 has 32-byte keys"))),
            HpkePublicKey(public.expect("X25519 has 32-byte keys")),
        )
    }

    /// A key from its bytes, as they were stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key's bytes, for storage in an encrypted place.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// Opens a payload that was sealed to this key.
    ///
    /// # Errors
    /// [`SealFault::Opening`], whatever the reason.
    pub fn open(
        &self,
        kind: SealedKind,
        aad: &[u8],
        sealed: &Sealed,
    ) -> Result<Zeroizing<Vec<u8>>, SealFault> {
        let input = HpkeCiphertext {
            kem_output: sealed.kem_output.as_slice().into(),
            ciphertext: sealed.ciphertext.as_slice().into(),
        };
        Crypto::default()
            .hpke_open(config(), &input, self.0.as_ref(), kind.info(), aad)
            .map(Zeroizing::new)
            .map_err(|_| SealFault::Opening)
    }
}

/// Seals a payload to a device.
///
/// # Errors
/// Too long, or an unusable key.
pub fn seal(
    recipient: &HpkePublicKey,
    kind: SealedKind,
    aad: &[u8],
    payload: &[u8],
) -> Result<Sealed, SealFault> {
    if payload.len() > MAX_SEALED_BYTES {
        return Err(SealFault::TooLong);
    }
    Crypto::default()
        .hpke_seal(config(), &recipient.0, kind.info(), aad, payload)
        .map(|output| Sealed {
            kem_output: output.kem_output.as_slice().into(),
            ciphertext: output.ciphertext.as_slice().into(),
        })
        .map_err(|_| SealFault::Recipient)
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.ciphertext.as_slice().len())
    }
}

impl fmt::Debug for HpkeSecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HpkeSecretKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    #[test]
    fn only_the_recipient_opens_and_only_unchanged() {
        let mut rng = StdRng::seed_from_u64(1);
        let (secret, public) = HpkeSecretKey::generate(&mut rng);
        let (other, _) = HpkeSecretKey::generate(&mut rng);
        let sealed = seal(&public, SealedKind::Invite, b"aad", b"a ticket").expect("sealed");
        let open = |key: &HpkeSecretKey, aad: &[u8]| key.open(SealedKind::Invite, aad, &sealed);
        assert_eq!(
            open(&secret, b"aad").expect("opens").as_slice(),
            b"a ticket"
        );
        assert_eq!(open(&secret, b"AAD"), Err(SealFault::Opening));
        assert_eq!(open(&other, b"aad"), Err(SealFault::Opening));
        let again = HpkeSecretKey::from_bytes(*secret.to_bytes());
        assert!(open(&again, b"aad").is_ok());
        let long = vec![0; MAX_SEALED_BYTES + 1];
        assert_eq!(
            seal(&public, SealedKind::Invite, b"", &long),
            Err(SealFault::TooLong)
        );
    }
}
