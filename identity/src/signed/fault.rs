//! Why a claim is not a fact.

use super::Kind;
use crate::codec::CodecFault;
use crate::keys::KeyFault;

/// Why a claim is not a fact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignedFault {
    /// The bytes are no signed object.
    #[error(transparent)]
    Codec(#[from] CodecFault),
    /// Another version or algorithm than is accepted.
    #[error("{what}: version {version}, algorithm {alg:#06x} is not accepted")]
    Algorithm {
        /// The type that was being verified.
        what: &'static str,
        /// The version that came.
        version: u8,
        /// The algorithm that came.
        alg: u16,
    },
    /// A signature on another kind of statement.
    #[error("{what}: the signature is on a {got:?}")]
    WrongKind {
        /// The type that was being verified.
        what: &'static str,
        /// The kind that the header names.
        got: Kind,
    },
    /// Signed by another key than the expected one.
    #[error("{0}: signed by another key than the expected one")]
    WrongKey(&'static str),
    /// The body is not the one that was signed.
    #[error("{0}: the body is not the one that was signed")]
    BodyHash(&'static str),
    /// Meant for somebody else.
    #[error("{0}: meant for another audience")]
    WrongAudience(&'static str),
    /// The header names another origin or key id than the signer's.
    #[error("{what}: the header names another {name} than the signer's")]
    Misnamed {
        /// The type that was being verified.
        what: &'static str,
        /// What is another's.
        name: &'static str,
    },
    /// Past its end, or from a future beyond the clock tolerance.
    #[error("{0}: expired, or from the future; check both clocks")]
    NotCurrent(&'static str),
    /// The signature does not verify.
    #[error("{what}: {fault}")]
    Signature {
        /// The type that was being verified.
        what: &'static str,
        /// Why.
        fault: KeyFault,
    },
}
