//! Why a key document is not of the pinned chain, and what an operator does about it.

use crate::did::ServerDid;
use crate::key_document::KeyDocumentFault;
use crate::keys::PublicKey;
use crate::signed::SignedFault;
use crate::time::UnixMillis;

/// Why a key document, or the mention of one, is not that of the pinned chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyPinFault {
    /// A document from before the pinned one.
    #[error(
        "key document {shown} is older than the known {pinned}: the server was restored from an old \
         backup, or somebody uses its old key; ask its administrator, and only if they confirm it, \
         run `entente-homeserver admin peer trust reset <domain>`"
    )]
    RolledBack {
        /// The number of the pinned document.
        pinned: u64,
        /// The number of what came.
        shown: u64,
    },
    /// The pinned document, in an issue from before the pinned one.
    #[error(
        "the key document issued at {shown} is older than the known issue of {pinned}: a cache may be \
         stale or the server's clock was set back; ask again later, and ask its administrator if it \
         stays so (`entente-homeserver admin peer trust reset <domain>` forgets what is known)"
    )]
    OlderIssue {
        /// When the pinned issue was made.
        pinned: UnixMillis,
        /// When the one that came was made.
        shown: UnixMillis,
    },
    /// A document of the same number with other keys, or a successor of another document.
    #[error(
        "key document {seq} is not of the known chain: somebody has signed two histories with this \
         server's key; do not trust it, ask its administrator by another way, and only if they confirm \
         it, run `entente-homeserver admin peer trust reset <domain>`"
    )]
    Forked {
        /// The number at which the histories part.
        seq: u64,
    },
    /// `did.json` names another first document than the chain has.
    #[error(
        "the server publishes another first key document than is known: it was set up anew, or \
         somebody else answers for its domain; ask its administrator, and only if they confirm it, run \
         `entente-homeserver admin peer trust reset <domain>`"
    )]
    OtherChain,
    /// `did.json` lists a key that the chain does not have in use.
    #[error(
        "the server publishes the key {0}, which is not in use in its chain of key documents: its web \
         server may be in other hands; ask its administrator, and only if they confirm it, run \
         `entente-homeserver admin peer trust reset <domain>`"
    )]
    UnknownKey(PublicKey),
    /// Issued in the future.
    #[error(
        "the key document was issued at {0}, in the future: set the clocks of both servers; nothing \
         has to be reset (`entente-homeserver admin peer trust reset <domain>` does not help)"
    )]
    FromTheFuture(UnixMillis),
    /// It claims to count for longer than 7 days.
    #[error(
        "the key document claims to count for longer than 7 days: the server's software is not right; \
         tell its administrator (`entente-homeserver admin peer trust reset <domain>` does not help)"
    )]
    TooLong,
    /// It has ended.
    #[error(
        "the key document was issued at {0}, more than 7 days ago: its server no longer issues it; \
         check this server's clock and tell its administrator (`entente-homeserver admin peer trust \
         reset <domain>` does not help)"
    )]
    NotCurrent(UnixMillis),
    /// A rotation to a key that was not committed to, or that changes what is known of earlier keys.
    #[error(
        "key document {seq} goes over to keys that the server had not committed to: somebody may have \
         its old key; do not trust it, ask its administrator by another way, and only if they confirm \
         it, run `entente-homeserver admin peer trust reset <domain>`"
    )]
    NotCommitted {
        /// The number of the refused document.
        seq: u64,
    },
    /// Documents between the pinned one and this are needed.
    #[error(
        "key document {shown} does not follow the known {pinned}: the documents between are needed; if \
         the server no longer has them, ask its administrator to confirm its keys and run \
         `entente-homeserver admin peer trust reset <domain>`"
    )]
    Gap {
        /// The number of the pinned document.
        pinned: u64,
        /// The number of what came.
        shown: u64,
    },
    /// Another server's document.
    #[error(
        "the key document is {got}'s, not {expected}'s: a web server answers for the wrong domain; tell \
         its administrator (`entente-homeserver admin peer trust reset <domain>` does not help)"
    )]
    OtherServer {
        /// Whose was wanted.
        expected: ServerDid,
        /// Whose it is.
        got: ServerDid,
    },
    /// The document does not hold by itself.
    #[error(
        "{0}; tell the server's administrator (`entente-homeserver admin peer trust reset <domain>` \
         does not help)"
    )]
    Document(KeyDocumentFault),
    /// The signature does not verify.
    #[error(
        "{0}; tell the server's administrator (`entente-homeserver admin peer trust reset <domain>` \
         does not help)"
    )]
    Signed(SignedFault),
}

impl From<KeyDocumentFault> for KeyPinFault {
    fn from(fault: KeyDocumentFault) -> Self {
        match fault {
            KeyDocumentFault::Signed(fault) => Self::Signed(fault),
            KeyDocumentFault::OtherServer { expected, got } => Self::OtherServer { expected, got },
            KeyDocumentFault::FromTheFuture(issued) => Self::FromTheFuture(issued),
            KeyDocumentFault::TooLong(_) => Self::TooLong,
            KeyDocumentFault::NotCurrent(issued) => Self::NotCurrent(issued),
            KeyDocumentFault::Signer | KeyDocumentFault::Header(_) | KeyDocumentFault::Keys(_) => {
                Self::Document(fault)
            }
        }
    }
}
