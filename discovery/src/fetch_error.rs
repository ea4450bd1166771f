//! What can go wrong on the way to a document, and whose fault it was.

use entente_identity::{CodecFault, DocumentFault, Domain};

use crate::client::MAX_FETCH_MS;
use crate::exchange::MAX_BODY_BYTES;
use crate::host_table::HostTableError;
use crate::json_depth::MAX_JSON_DEPTH;
use crate::trust::ExtraCaError;

/// Why a name gives no address to dial. No socket was opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// The name does not resolve, or the resolver does not answer.
    #[error("{} does not resolve: {reason}", domain.as_str())]
    Unknown {
        /// The name.
        domain: Domain,
        /// What the resolver says.
        reason: String,
    },
    /// The name exists without any address.
    #[error("{} has no address", domain.as_str())]
    None {
        /// The name.
        domain: Domain,
    },
    /// The name leads only to addresses that are not on the public internet.
    #[error(
        "{} resolves only to addresses inside of a network; such a name needs a line in the host table",
        domain.as_str()
    )]
    NotPublic {
        /// The name.
        domain: Domain,
    },
}

/// Why a document was not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// There is nothing to dial.
    #[error(transparent)]
    Address(#[from] AddressFault),
    /// Too many fetches are under way here; try again.
    #[error("too many fetches are under way")]
    Busy,
    /// The other side could not be reached, or its certificate is not trusted.
    #[error("cannot reach {}: {reason}", domain.as_str())]
    Unreachable {
        /// The organization.
        domain: Domain,
        /// The innermost cause.
        reason: String,
    },
    /// The other side answered with something else than a document; redirects are not followed.
    #[error("answered with status {0}, where a document is expected")]
    Status(u16),
    /// The body is compressed, although that was not asked for.
    #[error("the answer is encoded; only a plain body is accepted")]
    Encoded,
    /// The body is larger than any document, or so is all that comes with it.
    #[error("the answer is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// Not all was there in time.
    #[error("the answer was not complete after {MAX_FETCH_MS} ms")]
    Slow,
    /// The body is nested deeper than any document.
    #[error("the answer is JSON nested deeper than {MAX_JSON_DEPTH}")]
    TooDeep,
}

/// Why a document is not there or not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It does not say what it has to say.
    #[error(transparent)]
    Document(#[from] DocumentFault),
}

/// Why a key document is not there. One that came is still a claim, to be judged by whoever pins it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyDocumentError {
    /// It was not fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What came is no signed key document.
    #[error("the server answers with something else than its key document: {0}")]
    Malformed(#[from] CodecFault),
}

/// Why there is no client: the caller's configuration is at fault.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The host table is wrong.
    #[error(transparent)]
    HostTable(#[from] HostTableError),
    /// The additional certificate authority is wrong.
    #[error(transparent)]
    ExtraCa(#[from] ExtraCaError),
    /// Nobody could be trusted.
    #[error(
        "no certificate authority to trust: install the system's (package ca-certificates) or name one"
    )]
    NoRoots,
    /// TLS or the HTTP client do not start.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}
