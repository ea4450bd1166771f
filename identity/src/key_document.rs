//! A server's key document: which federation keys are its, in a chain that pins the future.
//!
//! After first contact the pinned chain decides, not the web. Version 0 exists from a server's first
//! start; rotation (seq + 1, to the key committed to before) is a later feature whose place is kept.

use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::did::ServerDid;
use crate::domain::Domain;
use crate::keys::{PublicKey, SigningKey};
use crate::signed::{
    Audience, CLOCK_TOLERANCE_MS, Kind, Signed, SignedBody, SignedFault, SigningContext, Verified,
};
use crate::time::UnixMillis;

/// Longest time for which one issue of a key document counts, in milliseconds: 7 days.
pub const KEY_DOCUMENT_LIFETIME_MS: u64 = 7 * 24 * 3600 * 1000;

/// One federation key.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct FederationKey {
    /// The key; its id in documents is `#fed-<first 16 hex digits of its fingerprint>`.
    pub public: PublicKey,
    /// From when it signs.
    pub from: UnixMillis,
    /// Until when it signs; `None` while it is in use.
    pub until: Option<UnixMillis>,
}

/// Where a service of the server listens.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Endpoint {
    /// The host to resolve.
    pub host: Domain,
    /// The UDP port.
    pub port: u16,
}

/// The keys and endpoints of a server, one link of its chain.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct KeyDocument {
    /// Whose.
    pub did: ServerDid,
    /// Counts from 0; only a rotation raises it.
    pub seq: u64,
    /// Hash of the signed document before; zero for seq 0.
    pub prev_hash: [u8; 32],
    /// The keys, the signing one first.
    pub keys: Vec<FederationKey>,
    /// SHA-256 of the key to which the next rotation goes.
    pub next_key_hash: [u8; 32],
    /// Where federation and clients connect.
    pub endpoints: Vec<Endpoint>,
    /// Ids of optional features the server has.
    pub features: Vec<u16>,
    /// When this issue was made; it counts for 7 days.
    pub issued: UnixMillis,
}

impl SignedBody for KeyDocument {
    const KIND: Kind = Kind::KeyDocument;
    const NAME: &'static str = "key document";
}

/// Why a key document does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyDocumentFault {
    /// The signature does not verify.
    #[error(transparent)]
    Signed(#[from] SignedFault),
    /// Another server's document.
    #[error("the key document is {got}'s, not {expected}'s")]
    OtherServer {
        /// Whose was wanted.
        expected: ServerDid,
        /// Whose it is.
        got: ServerDid,
    },
    /// It lists no key, or not the one that signed it.
    #[error("the key document is not signed by the first key that it lists")]
    Signer,
    /// Issued more than 7 days ago, or in the future.
    #[error("the key document was issued at {0}, which is not within the last 7 days")]
    NotCurrent(UnixMillis),
}

impl FederationKey {
    /// The key's id in documents and signatures, without the `#`.
    #[must_use]
    pub fn id(&self) -> String {
        key_id(&self.public)
    }
}

/// The id of a federation key: derived from the key, so that ids cannot be mixed up.
fn key_id(key: &PublicKey) -> String {
    let hex: String = key.fingerprint()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("fed-{hex}")
}

impl KeyDocument {
    /// Signs this document with the key that it lists first.
    #[must_use]
    pub fn sign(&self, key: &SigningKey) -> Signed<Self> {
        let context = SigningContext {
            key_id: key_id(&key.public()),
            origin: self.did.to_string(),
            audience: Audience::Public,
            created: self.issued,
            expires: Some(self.issued.after(KEY_DOCUMENT_LIFETIME_MS)),
        };
        Signed::sign(self, &context, key)
    }
}

/// Verifies a key document on its own: signed by the first key it lists, current, the right server's.
///
/// # Errors
/// Any of these not being so.
pub fn verify_key_document(
    did: &ServerDid,
    document: &Signed<KeyDocument>,
    now: UnixMillis,
) -> Result<Verified<KeyDocument>, KeyDocumentFault> {
    let claimed = document.claimed_body().map_err(SignedFault::from)?;
    let first = claimed.keys.first().ok_or(KeyDocumentFault::Signer)?;
    if !document.names_key(&first.public) {
        return Err(KeyDocumentFault::Signer);
    }
    let verified = document.verify(&first.public, &Audience::Public)?;
    let body = verified.body();
    if body.did != *did {
        return Err(KeyDocumentFault::OtherServer {
            expected: did.clone(),
            got: body.did.clone(),
        });
    }
    let from_future = body.issued > now.after(CLOCK_TOLERANCE_MS);
    if from_future || now.since(body.issued) > KEY_DOCUMENT_LIFETIME_MS + CLOCK_TOLERANCE_MS {
        return Err(KeyDocumentFault::NotCurrent(body.issued));
    }
    Ok(verified)
}
