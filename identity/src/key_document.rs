//! A server's key document: which federation keys are its, in a chain that pins the future.
//!
//! After first contact the pinned chain decides, not the web (see [`crate::KeyPin`]). Document 0 exists
//! from a server's first start; a rotation is seq + 1, to the key committed to before; a renewal is the
//! same link of the chain, issued anew.
//!
//! Invariant: one key is in use at a time, and stands first; the others have ended before it began.

use sha2::{Digest, Sha256};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::codec::encode;
use crate::did::ServerDid;
use crate::domain::Domain;
use crate::keys::{PublicKey, SigningKey};
use crate::signed::{
    Audience, CLOCK_TOLERANCE_MS, Kind, Signed, SignedBody, SignedFault, SigningContext, Verified,
};
use crate::time::UnixMillis;

/// Longest time for which one issue of a key document counts, in milliseconds: 7 days.
pub const KEY_DOCUMENT_LIFETIME_MS: u64 = 7 * 24 * 3600 * 1000;
/// Most federation keys in one key document.
const MAX_KEYS: usize = 8;
/// Most endpoints in one key document.
const MAX_ENDPOINTS: usize = 16;
/// Most features in one key document.
const MAX_FEATURES: usize = 256;
/// Separates the hashes of the chain from every other hash.
const CHAIN_LABEL: &[u8] = b"entente key chain";

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
    /// [`KeyDocument::chain_hash`] of the document before; zero for seq 0.
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
    /// The signature's header says otherwise than the document: origin, key id or time.
    #[error("the key document's signature names another {0} than the document")]
    Header(&'static str),
    /// Its keys cannot be a link of a chain.
    #[error("the key document is no link of a chain: {0}")]
    Keys(&'static str),
    /// Issued in the future, beyond the clock tolerance.
    #[error("the key document was issued at {0}, which is in the future; check both clocks")]
    FromTheFuture(UnixMillis),
    /// It claims to count for more than 7 days, or for ever.
    #[error("the key document claims to count until {0:?}, more than 7 days after its issue")]
    TooLong(Option<UnixMillis>),
    /// Issued more than 7 days ago, or past the end that it gives itself.
    #[error(
        "the key document was issued at {0} and has ended; its server issues it anew every day"
    )]
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
pub(crate) fn key_id(key: &PublicKey) -> String {
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

    /// The document's identity in the chain: SHA-256 over server, seq, previous hash, keys and the
    /// commitment to the next key. Every issue of one link has the same, whatever its endpoints,
    /// features and time of issue are.
    #[must_use]
    pub fn chain_hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(CHAIN_LABEL);
        hash.update(encode(&self.did));
        hash.update(encode(&self.seq));
        hash.update(self.prev_hash);
        hash.update(encode(&self.keys));
        hash.update(self.next_key_hash);
        hash.finalize().into()
    }

    /// The next document of the chain, to be signed by `to`: this one's key ends, `to` begins.
    #[must_use]
    pub fn rotated(&self, to: &PublicKey, next_key_hash: [u8; 32], now: UnixMillis) -> Self {
        let end = |key: &FederationKey| FederationKey {
            until: Some(key.until.unwrap_or(now)),
            ..key.clone()
        };
        let begun = FederationKey {
            public: *to,
            from: now,
            until: None,
        };
        Self {
            seq: self.seq + 1,
            prev_hash: self.chain_hash(),
            keys: std::iter::once(begun)
                .chain(self.keys.iter().take(MAX_KEYS - 1).map(end))
                .collect(),
            next_key_hash,
            issued: now,
            ..self.clone()
        }
    }

    fn check_shape(&self) -> Result<(), KeyDocumentFault> {
        let wrong = |what| Err(KeyDocumentFault::Keys(what));
        let ids: Vec<String> = self.keys.iter().map(FederationKey::id).collect();
        let twice = ids.iter().enumerate().any(|(i, id)| ids[..i].contains(id));
        let Some((first, ended)) = self.keys.split_first() else {
            return Err(KeyDocumentFault::Signer);
        };
        let over = |key: &FederationKey| {
            let within = |until| key.from <= until && until <= first.from;
            key.until.is_some_and(within)
        };
        let commits_to_itself = self
            .keys
            .iter()
            .any(|key| key.public.fingerprint() == self.next_key_hash);
        if self.keys.len() > MAX_KEYS {
            return wrong("it lists more than 8 keys");
        }
        if self.endpoints.len() > MAX_ENDPOINTS || self.features.len() > MAX_FEATURES {
            return wrong("it lists more than 16 endpoints or 256 features");
        }
        if twice {
            return wrong("it lists a key twice");
        }
        if first.until.is_some() || first.from > self.issued.after(CLOCK_TOLERANCE_MS) {
            return wrong("its first key is not the one in use");
        }
        if !ended.iter().all(over) {
            return wrong("a key beside the first has not ended before that began");
        }
        if commits_to_itself {
            return wrong("the next key is one that it lists");
        }
        if (self.seq == 0) != (self.prev_hash == [0; 32]) {
            return wrong("document 0 alone has nothing before it");
        }
        Ok(())
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
    let verified = verify_past_key_document(did, document)?;
    let issued = verified.body().issued;
    if issued > now.after(CLOCK_TOLERANCE_MS) {
        return Err(KeyDocumentFault::FromTheFuture(issued));
    }
    let end = verified.context().expires.unwrap_or(issued);
    if now > end.after(CLOCK_TOLERANCE_MS) {
        return Err(KeyDocumentFault::NotCurrent(issued));
    }
    Ok(verified)
}

/// Verifies a key document as a link of the chain that need not be current any more.
///
/// # Errors
/// Signature, server, header or shape do not hold.
pub(crate) fn verify_past_key_document(
    did: &ServerDid,
    document: &Signed<KeyDocument>,
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
    check_header(body, verified.context())?;
    body.check_shape()?;
    Ok(verified)
}

fn check_header(body: &KeyDocument, context: &SigningContext) -> Result<(), KeyDocumentFault> {
    if context.origin != body.did.to_string() {
        return Err(KeyDocumentFault::Header("origin"));
    }
    if body.keys.first().map(FederationKey::id).as_ref() != Some(&context.key_id) {
        return Err(KeyDocumentFault::Header("key id"));
    }
    if context.created != body.issued {
        return Err(KeyDocumentFault::Header("time of issue"));
    }
    let latest = body.issued.after(KEY_DOCUMENT_LIFETIME_MS);
    if context.expires.is_none_or(|end| end > latest) {
        return Err(KeyDocumentFault::TooLong(context.expires));
    }
    Ok(())
}
