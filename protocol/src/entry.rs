//! One item of a room's log, and the hash chain that holds the log together.
//!
//! An entry's header is hashed; the header holds the hash of the body and the hash of the header
//! before. The hub writes headers, the origin server vouches for the sender's leaf, and members
//! compare it with the MLS sender.

use entente_groups::{CreateRecord, Departure, Epoch, LeafIndex, MessageId, RoomId, RosterDelta};
use entente_identity::{ServerDid, Signed, UnixMillis, encode};
use sha2::{Digest, Sha256};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::checkpoint::Attestation;
use crate::equivocation::ShownHead;

/// Separates entry hashes from every other hash.
const LABEL: &[u8] = b"entente entry 1";

/// A position in a room's log; the create entry is 1.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    TlsSize,
    TlsSerialize,
    TlsDeserialize,
)]
pub struct Seq(pub u64);

/// Which reign of a hub ordered an entry; counts from 1.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct Term(pub u32);

/// The hash of an entry's header.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserialize,
)]
pub struct EntryHash(pub [u8; 32]);

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum EntryKind {
    /// The room's first entry: [`CreateBody`].
    Create = 1,
    /// An MLS PrivateMessage.
    Application = 2,
    /// A commit that changed the group: [`CommitBody`].
    Commit = 3,
    /// A member's SelfRemove, to be covered by the next commit: [`ProposalBody`].
    Proposal = 4,
}

/// The part of an entry that is hashed and chained.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct EntryHeader {
    /// The room.
    pub room: RoomId,
    /// The hub's term.
    pub term: Term,
    /// The position.
    pub seq: Seq,
    /// The epoch in which the body was made (for a commit: the epoch it ends).
    pub epoch: Epoch,
    /// What the body is.
    pub kind: EntryKind,
    /// The homeserver that handed it in.
    pub origin: ServerDid,
    /// The sender's leaf, as the origin vouches; for a joiner the leaf that it got.
    pub sender: LeafIndex,
    /// The sender's id for it, unique per room and origin.
    pub message_id: MessageId,
    /// The hash of the entry before; zero for the first.
    pub prev_hash: EntryHash,
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
    /// When the hub ordered it.
    pub time: UnixMillis,
}

/// An entry as it is stored and passed on.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Entry {
    /// The chained header.
    pub header: EntryHeader,
    /// What the kind says.
    pub body: VLBytes,
    /// The hub's signature on this entry as a head, if it was one when a batch was committed.
    pub attestation: Option<Attestation>,
}

/// Body of a [`EntryKind::Create`] entry.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct CreateBody {
    /// The record that names the room.
    pub record: Signed<CreateRecord>,
    /// The founding device, as the only one that joined.
    pub roster: RosterDelta,
}

/// Body of a [`EntryKind::Commit`] entry.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct CommitBody {
    /// The MLS PublicMessage.
    pub commit: VLBytes,
    /// Who came and went, as the hub computed it; clients compare it with what MLS says.
    pub roster: RosterDelta,
}

/// Body of a [`EntryKind::Proposal`] entry.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct ProposalBody {
    /// The MLS PublicMessage.
    pub proposal: VLBytes,
    /// The device that goes; the hub cuts it off at once.
    pub leaver: Departure,
}

/// The end of a room's log as somebody knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Head {
    /// The term of the last entry.
    pub term: Term,
    /// Its position.
    pub seq: Seq,
    /// Its hash.
    pub hash: EntryHash,
}

/// Why an entry does not extend a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// The body is not the one that the header names.
    #[error("entry {0:?}: the body does not match its hash")]
    Body(Seq),
    /// Entries are missing before it.
    #[error("entry {got:?} came, {expected:?} was expected")]
    Gap {
        /// The position that was expected.
        expected: Seq,
        /// The position that came.
        got: Seq,
    },
    /// It continues another history.
    #[error("entry {0:?} does not follow the entry before it: the hub shows two histories")]
    Fork(Seq),
    /// Its term is older than the log's.
    #[error("entry {seq:?} is of term {got:?}, the log is at term {known:?}")]
    OldTerm {
        /// The entry's position.
        seq: Seq,
        /// The entry's term.
        got: Term,
        /// The log's term.
        known: Term,
    },
}

impl Seq {
    /// The position after this one. The last one of all has none after it: a log cannot go on there.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl Term {
    /// The first term of every room.
    pub const FIRST: Self = Self(1);
}

impl EntryHeader {
    /// The entry's identity in the chain.
    #[must_use]
    pub fn hash(&self) -> EntryHash {
        let mut hasher = Sha256::new_with_prefix(LABEL);
        hasher.update(encode(self));
        EntryHash(hasher.finalize().into())
    }

    /// The head that a log has after this entry.
    #[must_use]
    pub fn head(&self) -> Head {
        Head {
            term: self.term,
            seq: self.seq,
            hash: self.hash(),
        }
    }
}

impl Entry {
    /// SHA-256 of a body, as headers hold it.
    #[must_use]
    pub fn body_hash(body: &[u8]) -> [u8; 32] {
        Sha256::digest(body).into()
    }

    /// The entry as a head that the hub signed, if it did.
    #[must_use]
    pub fn shown_head(&self) -> Option<ShownHead> {
        let attestation = self.attestation.clone()?;
        let header = self.header.clone();
        Some(ShownHead {
            header,
            attestation,
        })
    }

    /// Checks that this entry extends the log that ends in `head`.
    ///
    /// # Errors
    /// See [`ChainFault`].
    pub fn extends(&self, head: &Head) -> Result<(), ChainFault> {
        let header = &self.header;
        if header.seq <= head.seq || header.seq != head.seq.next() {
            return Err(ChainFault::Gap {
                expected: head.seq.next(),
                got: header.seq,
            });
        }
        if header.term < head.term {
            return Err(ChainFault::OldTerm {
                seq: header.seq,
                got: header.term,
                known: head.term,
            });
        }
        if header.prev_hash != head.hash {
            return Err(ChainFault::Fork(header.seq));
        }
        self.body_matches()
    }

    /// Checks that the body is the one that the header names.
    ///
    /// # Errors
    /// [`ChainFault::Body`].
    pub fn body_matches(&self) -> Result<(), ChainFault> {
        if Self::body_hash(self.body.as_slice()) == self.header.body_hash {
            Ok(())
        } else {
            Err(ChainFault::Body(self.header.seq))
        }
    }
}
