//! Ed25519 keys and signatures, verified strictly (RFC 8032 §5.1.7 with ZIP-215's leniency refused).

use std::fmt;

use ed25519_dalek::pkcs8::EncodePrivateKey;
use rand::{CryptoRng, RngCore};
use sha2::{Digest, Sha256};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};
use zeroize::Zeroizing;

/// An Ed25519 public key: a canonical encoding of a point that is not of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// An Ed25519 signature, not yet verified.
#[derive(Clone, Copy, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Signature([u8; 64]);

/// An Ed25519 private key; wiped on drop, never printed.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// Why a key or signature is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// Not 32 bytes.
    #[error("an Ed25519 public key has 32 bytes, this has {0}")]
    Length(usize),
    /// Not the canonical encoding of a curve point.
    #[error("not a canonical Ed25519 public key")]
    NotCanonical,
    /// A point of small order, under which everything verifies.
    #[error("an Ed25519 public key of small order is never accepted")]
    SmallOrder,
    /// The signature does not verify.
    #[error("the signature does not verify")]
    BadSignature,
}

impl PublicKey {
    /// Parses 32 bytes.
    ///
    /// # Errors
    /// Wrong length, a non-canonical encoding, or a point of small order.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, KeyFault> {
        let raw: [u8; 32] = bytes
            .try_into()
            .map_err(|_| KeyFault::Length(bytes.len()))?;
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(&raw).map_err(|_| KeyFault::NotCanonical)?;
        // Decompression accepts y ≥ p; compressing the point again does not give those bytes back.
        if key.to_edwards().compress().to_bytes() != raw {
            return Err(KeyFault::NotCanonical);
        }
        if key.is_weak() {
            return Err(KeyFault::SmallOrder);
        }
        Ok(Self(raw))
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// SHA-256 of the key, as bound into signed bytes.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Verifies a signature strictly: the only place of the project's own code that does.
    ///
    /// # Errors
    /// [`KeyFault::BadSignature`], whatever the reason: callers learn one verdict.
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), KeyFault> {
        let key =
            ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| KeyFault::NotCanonical)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(message, &signature)
            .map_err(|_| KeyFault::BadSignature)
    }
}

impl Signature {
    /// Wraps 64 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The signature's 64 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl SigningKey {
    /// Makes a key.
    pub fn generate(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        Self(ed25519_dalek::SigningKey::generate(rng))
    }

    /// The key of a 32-byte seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The 32-byte seed, for storage in an encrypted or owner-only place.
    #[must_use]
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs bytes that this program composed itself; bytes chosen by a peer are never signed as given.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        use ed25519_dalek::Signer;
        Signature(self.0.sign(message).to_bytes())
    }

    /// The key as PKCS#8 DER (RFC 8410), for making a TLS certificate.
    #[must_use]
    pub fn pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        let document = self
            .0
            .to_pkcs8_der()
            .expect("an Ed25519 key always has a PKCS#8 form");
        Zeroizing::new(document.as_bytes().to_vec())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(of {})", self.public())
    }
}

impl tls_codec::Size for PublicKey {
    fn tls_serialized_len(&self) -> usize {
        32
    }
}

impl tls_codec::Serialize for PublicKey {
    fn tls_serialize<W: std::io::Write>(&self, writer: &mut W) -> Result<usize, tls_codec::Error> {
        self.0.tls_serialize(writer)
    }
}

impl tls_codec::Deserialize for PublicKey {
    fn tls_deserialize<R: std::io::Read>(bytes: &mut R) -> Result<Self, tls_codec::Error> {
        let raw = <[u8; 32]>::tls_deserialize(bytes)?;
        Self::from_slice(&raw).map_err(|fault| tls_codec::Error::DecodingError(fault.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        message: String,
        pub_key: String,
        signature: String,
    }

    /// Source: novifinancial/ed25519-speccheck, cases.json. Strict verification with canonical keys
    /// refuses all of its edge cases but the one whose key and signature are of mixed order in a way
    /// that the cofactorless equation accepts (case 3).
    #[test]
    fn a5_speccheck_cases_have_one_verdict() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../testdata/ed25519/speccheck-cases.json"
        );
        let text = std::fs::read_to_string(path).expect("test vectors are in testdata/");
        let cases: Vec<Case> = serde_json::from_str(&text).expect("cases are JSON");
        let accepted: Vec<usize> = cases
            .iter()
            .enumerate()
            .filter(|(_, case)| {
                let key = hex::decode(&case.pub_key).expect("hex");
                let message = hex::decode(&case.message).expect("hex");
                let raw = hex::decode(&case.signature).expect("hex");
                let signature = Signature::from_bytes(raw.try_into().expect("64 bytes"));
                PublicKey::from_slice(&key).is_ok_and(|k| k.verify(&message, &signature).is_ok())
            })
            .map(|(index, _)| index)
            .collect();
        assert_eq!(cases.len(), 12);
        assert_eq!(accepted, [3]);
    }

    #[test]
    fn debug_never_shows_the_private_half() {
        let key = SigningKey::from_seed(&[7; 32]);
        let shown = format!("{key:?}");
        assert!(!shown.contains("0707"), "{shown}");
    }
}
