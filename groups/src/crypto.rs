//! The primitives that openmls is given: RustCrypto's, with Ed25519 judged by the project's one verdict.
//!
//! RustCrypto takes public keys whose encoding is not canonical; the `identity` crate does not. Every
//! signature that openmls checks is therefore checked there, as all others are. Suites and signature
//! schemes that rooms do not use are refused before anything is computed with them.

use entente_identity::{PublicKey, Signature};
use openmls_rust_crypto::RustCrypto;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::random::OpenMlsRand;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig,
    HpkeKeyPair, KemOutput, SignatureScheme,
};
use tls_codec::SecretVLBytes;

use crate::suite::Suite;

/// Primitives and randomness of one group or device.
#[derive(Default, Debug)]
pub(crate) struct Crypto {
    rust: RustCrypto,
}

impl Crypto {
    fn rust(&self) -> &RustCrypto {
        #[cfg(test)]
        count::one();
        &self.rust
    }

    /// Whether something can be encrypted to a key in rooms of a suite. openmls asks that when a key is
    /// used: one bad leaf would keep everybody else from committing.
    pub(crate) fn can_encrypt_to(&self, suite: Suite, public: &[u8]) -> bool {
        const NOTHING: &[u8] = &[];
        let config = suite.mls().hpke_config();
        self.hpke_seal(config, public, NOTHING, NOTHING, NOTHING)
            .is_ok()
    }
}

/// Verifies an Ed25519 signature as the `identity` crate does everywhere else.
fn verify_ed25519(data: &[u8], public: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
    let key = PublicKey::from_slice(public).map_err(|_| CryptoError::InvalidPublicKey)?;
    let signature = signature
        .try_into()
        .map_err(|_| CryptoError::InvalidSignature)?;
    key.verify(data, &Signature::from_bytes(signature))
        .map_err(|_| CryptoError::InvalidSignature)
}

impl OpenMlsCrypto for Crypto {
    fn supports(&self, suite: Ciphersuite) -> Result<(), CryptoError> {
        Suite::from_mls(suite).map_err(|_| CryptoError::UnsupportedCiphersuite)?;
        self.rust.supports(suite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        Suite::ALL.map(Suite::mls).to_vec()
    }

    fn hkdf_extract(
        &self,
        hash: HashType,
        salt: &[u8],
        ikm: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.rust().hkdf_extract(hash, salt, ikm)
    }

    fn hmac(
        &self,
        hash: HashType,
        key: &[u8],
        message: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.rust().hmac(hash, key, message)
    }

    fn hkdf_expand(
        &self,
        hash: HashType,
        prk: &[u8],
        info: &[u8],
        length: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        self.rust().hkdf_expand(hash, prk, info, length)
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.rust().hash(hash, data)
    }

    fn aead_encrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.rust().aead_encrypt(aead, key, data, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        aead: AeadType,
        key: &[u8],
        ciphertext: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.rust().aead_decrypt(aead, key, ciphertext, nonce, aad)
    }

    /// Never: keys are made by the `identity` crate.
    fn signature_key_gen(&self, _: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        Err(CryptoError::UnsupportedSignatureScheme)
    }

    fn verify_signature(
        &self,
        scheme: SignatureScheme,
        data: &[u8],
        public: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        if scheme != SignatureScheme::ED25519 {
            return Err(CryptoError::UnsupportedSignatureScheme);
        }
        #[cfg(test)]
        count::one();
        verify_ed25519(data, public, signature)
    }

    /// Never: devices sign by [`entente_identity::SigningKey`].
    fn sign(&self, _: SignatureScheme, _: &[u8], _: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Err(CryptoError::UnsupportedSignatureScheme)
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        self.rust().hpke_seal(config, public, info, aad, plaintext)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        secret: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.rust().hpke_open(config, input, secret, info, aad)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        self.rust()
            .hpke_setup_sender_and_export(config, public, info, context, length)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        secret: &[u8],
        info: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        let rust = self.rust();
        rust.hpke_setup_receiver_and_export(config, enc, secret, info, context, length)
    }

    fn derive_hpke_keypair(
        &self,
        config: HpkeConfig,
        ikm: &[u8],
    ) -> Result<HpkeKeyPair, CryptoError> {
        self.rust().derive_hpke_keypair(config, ikm)
    }
}

impl OpenMlsRand for Crypto {
    type Error = <RustCrypto as OpenMlsRand>::Error;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Self::Error> {
        self.rust.random_array()
    }

    fn random_vec(&self, length: usize) -> Result<Vec<u8>, Self::Error> {
        self.rust.random_vec(length)
    }
}

/// Counts for tests, which show by it what is refused before any cryptography. Each thread has its own
/// count, so that tests that run beside each other do not disturb it.
#[cfg(test)]
#[expect(
    clippy::disallowed_types,
    reason = "openmls is handed the primitives, so a test can ask for their count only beside it"
)]
pub(crate) mod count {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex, PoisonError};
    use std::thread::{self, ThreadId};

    static CALLS: LazyLock<Mutex<HashMap<ThreadId, usize>>> = LazyLock::new(Mutex::default);

    fn add(more: usize) -> usize {
        let mut calls = CALLS.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(thread::current().id()).or_default();
        *count += more;
        *count
    }

    pub(super) fn one() {
        add(1);
    }

    /// How many primitives `step` asked for.
    pub(crate) fn calls<T>(step: impl FnOnce() -> T) -> (usize, T) {
        let before = add(0);
        let result = step();
        (add(0) - before, result)
    }
}
