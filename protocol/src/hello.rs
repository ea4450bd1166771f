//! Greetings between servers and logins of devices, bound to one TLS connection.
//!
//! Each is signed over the connection's exporter (RFC 8446 §7.5), so that it proves nothing on any
//! other connection: no replay, no relay.

use entente_identity::{
    AccountDid, Audience, DeviceId, Kind, PublicKey, ServerDid, Signed, SignedBody, SignedFault,
    SigningContext, SigningKey, UnixMillis, Verified,
};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::limits::HELLO_LIFETIME_MS;

/// Exporter label of logins.
pub const LOGIN_EXPORTER_LABEL: &[u8] = b"EXPORTER-entente-login";
/// Exporter label of greetings and their replies.
pub const HELLO_EXPORTER_LABEL: &[u8] = b"EXPORTER-entente-hello";
/// The protocol version that this software speaks within the ALPN's major version.
pub const PROTOCOL_VERSION: u16 = 1;

/// A device proves that it holds its key, on this connection.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct LoginProof {
    /// The account.
    pub account: AccountDid,
    /// Its device.
    pub device: DeviceId,
    /// The connection's exporter value under [`LOGIN_EXPORTER_LABEL`].
    pub exporter: [u8; 32],
}

impl SignedBody for LoginProof {
    const KIND: Kind = Kind::Login;
    const NAME: &'static str = "login proof";
}

/// Names the key document that a server stands by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct KeyDocumentId {
    /// Its number in the chain.
    pub seq: u64,
    /// SHA-256 of the signed document.
    pub hash: [u8; 32],
}

/// An optional ability of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Feature {
    /// Its number.
    pub id: u16,
    /// 1 if a peer that does not know it must not go on, else 0.
    pub critical: u8,
}

/// The stream epoch of a greeting whose connection is for calls only: no stream has it.
pub const CALLS_ONLY: u64 = 0;

/// The dialling server greets.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Hello {
    /// Who greets.
    pub server: ServerDid,
    /// Oldest protocol version it speaks.
    pub min_version: u16,
    /// Newest protocol version it speaks.
    pub max_version: u16,
    /// Its features.
    pub features: Vec<Feature>,
    /// The epoch of its stream of items to the greeted server, or [`CALLS_ONLY`].
    pub stream_epoch: u64,
    /// The number after which that epoch's items begin.
    pub begins_after: u64,
    /// Its key document.
    pub key_document: KeyDocumentId,
    /// The connection's exporter value under [`HELLO_EXPORTER_LABEL`].
    pub exporter: [u8; 32],
}

impl SignedBody for Hello {
    const KIND: Kind = Kind::Hello;
    const NAME: &'static str = "hello";
}

/// The greeted server answers.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct HelloReply {
    /// Who answers.
    pub server: ServerDid,
    /// The version to speak.
    pub version: u16,
    /// Its features.
    pub features: Vec<Feature>,
    /// The epoch of the greeting server's stream as it knows it; zero if it knows none.
    pub stream_epoch: u64,
    /// The last number of that stream that it owns.
    pub last_in: u64,
    /// Its key document.
    pub key_document: KeyDocumentId,
    /// The connection's exporter value under [`HELLO_EXPORTER_LABEL`].
    pub exporter: [u8; 32],
}

impl SignedBody for HelloReply {
    const KIND: Kind = Kind::Hello;
    const NAME: &'static str = "hello reply";
}

/// Why a greeting or login proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The signature does not hold, is not current, or is for somebody else.
    #[error(transparent)]
    Signed(#[from] SignedFault),
    /// Made for another connection.
    #[error("made for another connection: the TLS exporter differs")]
    OtherConnection,
}

/// A statement that is bound to a connection.
pub trait ConnectionBound: SignedBody {
    /// The exporter value inside.
    fn exporter(&self) -> &[u8; 32];
}

impl ConnectionBound for LoginProof {
    fn exporter(&self) -> &[u8; 32] {
        &self.exporter
    }
}

impl ConnectionBound for Hello {
    fn exporter(&self) -> &[u8; 32] {
        &self.exporter
    }
}

impl ConnectionBound for HelloReply {
    fn exporter(&self) -> &[u8; 32] {
        &self.exporter
    }
}

/// Signs a connection-bound statement for one server.
#[must_use]
pub fn prove<T: ConnectionBound>(
    statement: &T,
    origin: String,
    for_server: &ServerDid,
    key: &SigningKey,
    now: UnixMillis,
) -> Signed<T> {
    let context = SigningContext {
        key_id: key.public().to_string(),
        origin,
        audience: Audience::Server(for_server.clone()),
        created: now,
        expires: Some(now.after(HELLO_LIFETIME_MS)),
    };
    Signed::sign(statement, &context, key)
}

/// Checks a connection-bound statement: signer, audience, time and connection.
///
/// # Errors
/// See [`ProofFault`].
pub fn check_proof<T: ConnectionBound>(
    proof: &Signed<T>,
    key: &PublicKey,
    for_server: &ServerDid,
    exporter: &[u8; 32],
    now: UnixMillis,
) -> Result<Verified<T>, ProofFault> {
    let verified = proof
        .verify(key, &Audience::Server(for_server.clone()))?
        .current_at(now)?;
    if verified.body().exporter() != exporter {
        return Err(ProofFault::OtherConnection);
    }
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_counts_on_its_connection_at_its_server_in_its_time() {
        let key = SigningKey::from_seed(&[1; 32]);
        let here: ServerDid = "did:web:org-a.example".parse().expect("a DID");
        let there: ServerDid = "did:web:org-b.example".parse().expect("a DID");
        let now = UnixMillis(1_000_000_000);
        let proof = LoginProof {
            account: AccountDid::new(SigningKey::from_seed(&[2; 32]).public()),
            device: DeviceId([3; 16]),
            exporter: [4; 32],
        };
        let signed = prove(&proof, "device".to_owned(), &here, &key, now);
        let check = |server: &ServerDid, exporter: u8, now| {
            check_proof(&signed, &key.public(), server, &[exporter; 32], now).map(|_| ())
        };
        assert_eq!(check(&here, 4, now), Ok(()));
        assert_eq!(check(&here, 5, now), Err(ProofFault::OtherConnection));
        assert!(check(&there, 4, now).is_err());
        assert!(check(&here, 4, now.after(3_600_000)).is_err());
        assert!(check(&here, 4, now.before(3_600_000)).is_err());
    }
}
