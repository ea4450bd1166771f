//! Signed objects: a claim, and the fact it becomes once verified.
//!
//! What is signed: LABEL ‖ version ‖ alg ‖ key id ‖ SHA-256(public key) ‖ origin ‖ audience ‖ kind ‖
//! created ‖ expires ‖ SHA-256(body). The header's bytes and the body's bytes are kept as they were
//! received and are what is verified; nothing is ever serialised again for verification.

mod fault;

use std::fmt;
use std::marker::PhantomData;

use sha2::{Digest, Sha256};
use tls_codec::{Deserialize, Serialize, TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::codec::{CodecFault, decode_exact, encode};
use crate::keys::{PublicKey, Signature, SigningKey};
use crate::time::UnixMillis;

pub use fault::SignedFault;

/// Separates our signatures from every other protocol's.
const LABEL: &[u8] = b"entente signed object";
/// The only header version.
const VERSION: u8 = 1;
/// Ed25519 (RFC 8032), by its TLS SignatureScheme code point (RFC 8446 §4.2.3).
const ALG_ED25519: u16 = 0x0807;
/// How far a peer's clock may be off, in milliseconds.
pub const CLOCK_TOLERANCE_MS: u64 = 10 * 60 * 1000;

/// What kind of statement a signature is on; a signature on one kind never verifies as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u16)]
pub enum Kind {
    /// A [`crate::DeviceList`].
    DeviceList = 1,
    /// A [`crate::DeviceCertificate`].
    DeviceCertificate = 2,
    /// A [`crate::HomeRecord`].
    HomeRecord = 3,
    /// A [`crate::KeyDocument`].
    KeyDocument = 4,
    /// A room's create record.
    RoomCreate = 5,
    /// An invite ticket.
    Ticket = 6,
    /// The proof of a device at login, over the TLS exporter.
    Login = 7,
    /// A server's greeting to a peer, over the TLS exporter.
    Hello = 8,
    /// A batch of relayed items.
    Batch = 9,
    /// A hub's checkpoint over the rooms of one commit.
    Checkpoint = 10,
    /// A home server's receipt for a claimed KeyPackage.
    KeyPackageReceipt = 11,
    /// A peer's signed refusal of an item.
    Refusal = 12,
}

/// Whom a signed object is for; the receiver checks that it is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum Audience {
    /// Anyone: a public statement.
    #[tls_codec(discriminant = 0)]
    Public,
    /// One server, by its DID's text.
    #[tls_codec(discriminant = 1)]
    Server(crate::did::ServerDid),
    /// One room, by its id.
    #[tls_codec(discriminant = 2)]
    Room([u8; 32]),
}

/// A body that can be signed.
pub trait SignedBody: Serialize + Deserialize + Clone + fmt::Debug {
    /// The kind of statement.
    const KIND: Kind;
    /// The type's name in errors.
    const NAME: &'static str;
}

/// What the signer says about a signature beside the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningContext {
    /// Which of the signer's keys, as it is named in the document that lists it.
    pub key_id: String,
    /// Who speaks: the DID of an account or server.
    pub origin: String,
    /// Whom it is for.
    pub audience: Audience,
    /// When it was signed.
    pub created: UnixMillis,
    /// When it ends; `None` for history, which never expires.
    pub expires: Option<UnixMillis>,
}

#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
struct Header {
    version: u8,
    alg: u16,
    key_id: VLBytes,
    key_hash: [u8; 32],
    origin: VLBytes,
    audience: Audience,
    kind: Kind,
    created: UnixMillis,
    expires: Option<UnixMillis>,
    body_hash: [u8; 32],
}

/// A claim: header, body and signature as received, not verified.
pub struct Signed<T> {
    header: VLBytes,
    body: VLBytes,
    signature: Signature,
    body_type: PhantomData<fn() -> T>,
}

/// A fact: the body of a signature that verified, with what the signer said about it.
#[derive(Clone, Debug)]
pub struct Verified<T> {
    body: T,
    context: SigningContext,
    signer: PublicKey,
}

impl<T: SignedBody> Signed<T> {
    /// Signs a body.
    #[must_use]
    pub fn sign(body: &T, context: &SigningContext, key: &SigningKey) -> Self {
        let body = encode(body);
        let header = encode(&Header {
            version: VERSION,
            alg: ALG_ED25519,
            key_id: context.key_id.as_bytes().into(),
            key_hash: key.public().fingerprint(),
            origin: context.origin.as_bytes().into(),
            audience: context.audience.clone(),
            kind: T::KIND,
            created: context.created,
            expires: context.expires,
            body_hash: Sha256::digest(&body).into(),
        });
        let signature = key.sign(&signing_input(&header));
        Self {
            header: header.into(),
            body: body.into(),
            signature,
            body_type: PhantomData,
        }
    }

    /// Verifies against the one key that may have signed, for the one audience that is right.
    ///
    /// # Errors
    /// Any difference between the bytes and what was expected; see [`SignedFault`].
    pub fn verify(&self, key: &PublicKey, audience: &Audience) -> Result<Verified<T>, SignedFault> {
        let header = self.header()?;
        if header.key_hash != key.fingerprint() {
            return Err(SignedFault::WrongKey(T::NAME));
        }
        if header.audience != *audience {
            return Err(SignedFault::WrongAudience(T::NAME));
        }
        if header.body_hash != <[u8; 32]>::from(Sha256::digest(self.body.as_slice())) {
            return Err(SignedFault::BodyHash(T::NAME));
        }
        key.verify(&signing_input(self.header.as_slice()), &self.signature)
            .map_err(|fault| SignedFault::Signature {
                what: T::NAME,
                fault,
            })?;
        Ok(Verified {
            body: decode_exact(T::NAME, self.body.as_slice())?,
            context: header.context()?,
            signer: *key,
        })
    }

    /// The body as claimed, for choosing the key to verify with; a claim, not a fact.
    ///
    /// # Errors
    /// The body's bytes are malformed.
    pub fn claimed_body(&self) -> Result<T, CodecFault> {
        decode_exact(T::NAME, self.body.as_slice())
    }

    /// The signing context as claimed, for choosing the key to verify with; a claim, not a fact.
    ///
    /// # Errors
    /// The header is malformed or of another version, algorithm or kind.
    pub fn claimed_context(&self) -> Result<SigningContext, SignedFault> {
        self.header()?.context().map_err(SignedFault::from)
    }

    /// Whether the claim names this key as its signer.
    #[must_use]
    pub fn names_key(&self, key: &PublicKey) -> bool {
        self.header()
            .is_ok_and(|header| header.key_hash == key.fingerprint())
    }

    /// SHA-256 over the whole object as received: its identity in hash chains.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(encode(self)).into()
    }

    /// The object's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads an object that fills `bytes` exactly; still a claim.
    ///
    /// # Errors
    /// Truncated or trailing bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecFault> {
        decode_exact(T::NAME, bytes)
    }

    fn header(&self) -> Result<Header, SignedFault> {
        let header: Header = decode_exact(T::NAME, self.header.as_slice())?;
        if header.version != VERSION || header.alg != ALG_ED25519 {
            return Err(SignedFault::Algorithm {
                what: T::NAME,
                version: header.version,
                alg: header.alg,
            });
        }
        if header.kind != T::KIND {
            return Err(SignedFault::WrongKind {
                what: T::NAME,
                got: header.kind,
            });
        }
        Ok(header)
    }
}

fn signing_input(header: &[u8]) -> Vec<u8> {
    [LABEL, header].concat()
}

impl Header {
    fn context(&self) -> Result<SigningContext, CodecFault> {
        let text = |bytes: &VLBytes| {
            String::from_utf8(bytes.as_slice().to_vec()).map_err(|_| CodecFault {
                what: "signed object's header",
                reason: "text is not UTF-8".to_owned(),
            })
        };
        Ok(SigningContext {
            key_id: text(&self.key_id)?,
            origin: text(&self.origin)?,
            audience: self.audience.clone(),
            created: self.created,
            expires: self.expires,
        })
    }
}

impl<T: SignedBody> Verified<T> {
    /// The body.
    #[must_use]
    pub fn body(&self) -> &T {
        &self.body
    }

    /// The body, by value.
    #[must_use]
    pub fn into_body(self) -> T {
        self.body
    }

    /// What the signer said about it.
    #[must_use]
    pub fn context(&self) -> &SigningContext {
        &self.context
    }

    /// The key that signed.
    #[must_use]
    pub fn signer(&self) -> &PublicKey {
        &self.signer
    }

    /// Checks that the header names the signer by its own names, so that nobody who goes by names
    /// alone takes the statement for another's.
    ///
    /// # Errors
    /// [`SignedFault::Misnamed`] if origin or key id are others.
    pub fn named(self, origin: &str, key_id: &str) -> Result<Self, SignedFault> {
        let misnamed = |name| SignedFault::Misnamed {
            what: T::NAME,
            name,
        };
        if self.context.origin != origin {
            return Err(misnamed("origin"));
        }
        if self.context.key_id != key_id {
            return Err(misnamed("key id"));
        }
        Ok(self)
    }

    /// Checks that the statement is current: for calls, greetings and tickets, not for history.
    ///
    /// # Errors
    /// [`SignedFault::NotCurrent`] when it has no end, is past it, or comes from the future.
    pub fn current_at(self, now: UnixMillis) -> Result<Self, SignedFault> {
        let created = self.context.created;
        let begun = created <= now.after(CLOCK_TOLERANCE_MS);
        let ends = self.context.expires.unwrap_or(UnixMillis(0));
        if begun && ends.after(CLOCK_TOLERANCE_MS) > now && ends > created {
            Ok(self)
        } else {
            Err(SignedFault::NotCurrent(T::NAME))
        }
    }
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self {
            header: self.header.clone(),
            body: self.body.clone(),
            signature: self.signature,
            body_type: PhantomData,
        }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.header == other.header && self.body == other.body && self.signature == other.signature
    }
}

impl<T> Eq for Signed<T> {}

impl<T: SignedBody> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Signed<{}>({} bytes)",
            T::NAME,
            self.body.as_slice().len()
        )
    }
}

impl<T> tls_codec::Size for Signed<T> {
    fn tls_serialized_len(&self) -> usize {
        self.header.tls_serialized_len()
            + self.body.tls_serialized_len()
            + self.signature.tls_serialized_len()
    }
}

impl<T> Serialize for Signed<T> {
    fn tls_serialize<W: std::io::Write>(&self, writer: &mut W) -> Result<usize, tls_codec::Error> {
        Ok(self.header.tls_serialize(writer)?
            + self.body.tls_serialize(writer)?
            + self.signature.tls_serialize(writer)?)
    }
}

impl<T> Deserialize for Signed<T> {
    fn tls_deserialize<R: std::io::Read>(bytes: &mut R) -> Result<Self, tls_codec::Error> {
        Ok(Self {
            header: VLBytes::tls_deserialize(bytes)?,
            body: VLBytes::tls_deserialize(bytes)?,
            signature: Signature::tls_deserialize(bytes)?,
            body_type: PhantomData,
        })
    }
}

#[cfg(test)]
mod tests;
