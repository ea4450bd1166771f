//! Signed statements with any part of their header wrong, and a signature that holds all the same.

use entente_identity::{
    Audience, PublicKey, Signature, Signed, SignedBody, SigningKey, UnixMillis, encode,
};
use sha2::{Digest, Sha256};
use tls_codec::VLBytes;

/// What separates signatures of the protocol from every other protocol's.
const LABEL: &[u8] = b"entente signed object";

/// A statement before it is signed; every field of the header may be set.
#[derive(Clone, Debug)]
pub struct Statement {
    /// 1 in a good one.
    pub version: u8,
    /// 0x0807, Ed25519, in a good one.
    pub alg: u16,
    /// Which of the signer's keys.
    pub key_id: Vec<u8>,
    /// SHA-256 of the public key.
    pub key_hash: [u8; 32],
    /// Who speaks.
    pub origin: Vec<u8>,
    /// For whom, encoded.
    pub audience: Vec<u8>,
    /// What kind of statement.
    pub kind: u16,
    /// When it was signed.
    pub created: UnixMillis,
    /// When it ends.
    pub expires: Option<UnixMillis>,
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
    /// The body.
    pub body: Vec<u8>,
}

impl Statement {
    /// A good statement of `body`, by the holder of `key`.
    #[must_use]
    pub fn of<T: SignedBody>(
        body: &T,
        key: &PublicKey,
        origin: &str,
        audience: &Audience,
        (created, expires): (UnixMillis, Option<UnixMillis>),
    ) -> Self {
        let body = encode(body);
        Self {
            version: 1,
            alg: 0x0807,
            key_id: key.to_string().into_bytes(),
            key_hash: key.fingerprint(),
            origin: origin.as_bytes().to_vec(),
            audience: encode(audience),
            kind: T::KIND as u16,
            created,
            expires,
            body_hash: sha256(&body),
            body,
        }
    }

    /// The header as it is signed.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        let text = |bytes: &[u8]| encode(&VLBytes::from(bytes.to_vec()));
        [
            vec![self.version],
            self.alg.to_be_bytes().to_vec(),
            text(&self.key_id),
            self.key_hash.to_vec(),
            text(&self.origin),
            self.audience.clone(),
            self.kind.to_be_bytes().to_vec(),
            encode(&self.created),
            encode(&self.expires),
            self.body_hash.to_vec(),
        ]
        .concat()
    }

    /// Signs the header as it is.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let signature = key.sign(&[LABEL, &self.header()].concat());
        self.with_signature(&signature)
    }

    /// The statement with any signature.
    #[must_use]
    pub fn with_signature(&self, signature: &Signature) -> Vec<u8> {
        [
            encode(&VLBytes::from(self.header())),
            encode(&VLBytes::from(self.body.clone())),
            signature.as_bytes().to_vec(),
        ]
        .concat()
    }

    /// Signs, and takes it for what the typed transport sends.
    ///
    /// # Panics
    /// Never: header and body are there, whatever is in them.
    #[must_use]
    pub fn signed<T: SignedBody>(&self, key: &SigningKey) -> Signed<T> {
        Signed::from_bytes(&self.sign(key)).expect("a header, a body and a signature")
    }
}

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use entente_identity::{AccountDid, DeviceId};
    use entente_protocol::hello::{LoginProof, check_proof, prove};

    use super::*;

    #[test]
    fn a_good_statement_is_what_honest_parties_sign() {
        let key = SigningKey::from_seed(&[3; 32]);
        let server = "did:web:org-a.test".parse().unwrap();
        let time = UnixMillis(5_000_000);
        let proof = LoginProof {
            account: AccountDid::new(key.public()),
            device: DeviceId([1; 16]),
            exporter: [2; 32],
        };
        let audience = Audience::Server(server);
        let ends = Some(time.after(60_000));
        let statement = Statement::of(&proof, &key.public(), "me", &audience, (time, ends));
        let Audience::Server(server) = audience else {
            panic!("it was a server");
        };
        let honest = prove(&proof, "me".to_owned(), &server, &key, time);
        assert_eq!(statement.sign(&key), honest.to_bytes());
        let signed = statement.signed::<LoginProof>(&key);
        assert!(check_proof(&signed, &key.public(), &server, &[2; 32], time).is_ok());
    }
}
