//! Two histories from one hub: how servers show each other where a log ends, and the proof that a hub
//! signed two entries for one position.
//!
//! A proof convinces whoever knows the hub's key, without asking anybody: both sides are runs of
//! headers that begin at the same position and end in a head that the hub signed.

use entente_groups::RoomId;
use entente_identity::{CodecFault, PublicKey, ServerDid, decode_exact, encode};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::checkpoint::{Attestation, AttestationFault};
use crate::entry::{EntryHeader, Head, Seq};

/// Most headers on one side of a proof.
pub const MAX_HISTORY_HEADERS: usize = 2_048;

/// A signed head of a room's log.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct ShownHead {
    /// The entry's header.
    pub header: EntryHeader,
    /// The hub's signature on it as a head.
    pub attestation: Attestation,
}

/// What a server answers to the heads that it was shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadsReply {
    /// The newest signed heads here, of those rooms that both sides hold.
    pub heads: Vec<ShownHead>,
    /// Two histories that showed in the comparison.
    pub proofs: Vec<Equivocation>,
}

/// A run of headers that ends in a head which the hub signed.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct History {
    /// The headers, each extending the one before.
    pub headers: Vec<EntryHeader>,
    /// The hub's signature on the last one.
    pub attestation: Attestation,
}

/// A hub's two histories of one room.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Equivocation {
    /// The hub.
    pub hub: ServerDid,
    /// The key with which it signed both.
    pub key: PublicKey,
    /// One history, from the position where they differ.
    pub one: History,
    /// The other, from the same position.
    pub other: History,
}

/// What a proof shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The room.
    pub room: RoomId,
    /// The position at which the histories differ.
    pub seq: Seq,
    /// What one of them has there.
    pub one: Head,
    /// What the other has there.
    pub other: Head,
}

/// Why a proof shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EquivocationFault {
    /// A history without headers, or with too many.
    #[error("a history has 1 to {MAX_HISTORY_HEADERS} headers")]
    Size,
    /// The headers of a history do not follow each other.
    #[error("the headers of a history do not follow each other at position {0:?}")]
    Broken(Seq),
    /// The histories are not of one position of one room in one term.
    #[error("the histories do not begin at one position of one room in one term")]
    Apart,
    /// They begin with the same entry.
    #[error("the histories do not differ")]
    Same,
    /// The hub did not sign the end of a history.
    #[error("the hub's signature does not hold: {0}")]
    Unsigned(#[from] AttestationFault),
}

impl ShownHead {
    /// Verifies that `hub`, with `key`, signed this head.
    ///
    /// # Errors
    /// See [`AttestationFault`].
    pub fn verify(&self, hub: &ServerDid, key: &PublicKey) -> Result<(), AttestationFault> {
        let header = &self.header;
        self.attestation
            .verify(&header.room, &header.head(), hub, key)
    }
}

impl From<ShownHead> for History {
    fn from(shown: ShownHead) -> Self {
        Self {
            headers: vec![shown.header],
            attestation: shown.attestation,
        }
    }
}

impl History {
    fn verify(&self, hub: &ServerDid, key: &PublicKey) -> Result<&EntryHeader, EquivocationFault> {
        let (Some(first), Some(last)) = (self.headers.first(), self.headers.last()) else {
            return Err(EquivocationFault::Size);
        };
        if self.headers.len() > MAX_HISTORY_HEADERS {
            return Err(EquivocationFault::Size);
        }
        for pair in self.headers.windows(2) {
            let (before, after) = (&pair[0], &pair[1]);
            let follows = after.room == before.room
                && after.seq == before.seq.next()
                && after.prev_hash == before.hash();
            if !follows {
                return Err(EquivocationFault::Broken(after.seq));
            }
        }
        self.attestation
            .verify(&last.room, &last.head(), hub, key)?;
        Ok(first)
    }
}

impl Equivocation {
    /// Checks the whole proof. Whether [`Self::key`] is the hub's is for the caller to say.
    ///
    /// # Errors
    /// See [`EquivocationFault`].
    pub fn verify(&self) -> Result<Shown, EquivocationFault> {
        let one = self.one.verify(&self.hub, &self.key)?;
        let other = self.other.verify(&self.hub, &self.key)?;
        if (one.room, one.seq, one.term) != (other.room, other.seq, other.term) {
            return Err(EquivocationFault::Apart);
        }
        let shown = Shown {
            room: one.room,
            seq: one.seq,
            one: one.head(),
            other: other.head(),
        };
        if shown.one.hash == shown.other.hash {
            return Err(EquivocationFault::Same);
        }
        Ok(shown)
    }

    /// The proof as it is kept in files and queues.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads a proof; it is not checked.
    ///
    /// # Errors
    /// Malformed bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecFault> {
        decode_exact("equivocation", bytes)
    }

    /// The room of which it is, as it says itself.
    #[must_use]
    pub fn claimed_room(&self) -> Option<RoomId> {
        self.one.headers.first().map(|header| header.room)
    }
}

#[cfg(test)]
mod tests {
    use entente_groups::{Epoch, LeafIndex, MessageId};
    use entente_identity::{SigningKey, UnixMillis};

    use super::*;
    use crate::checkpoint::attest;
    use crate::entry::{EntryHash, EntryKind, Term};

    fn hub() -> ServerDid {
        "did:web:org-a.example".parse().expect("a DID")
    }

    fn key() -> SigningKey {
        SigningKey::from_seed(&[9; 32])
    }

    /// A run of headers from position 5 on, told apart by `n`, that ends in a signed head.
    fn history(n: u8, length: u64) -> History {
        let mut prev_hash = EntryHash([1; 32]);
        let headers: Vec<EntryHeader> = (5..5 + length)
            .map(|seq| {
                let header = EntryHeader {
                    room: RoomId([3; 32]),
                    term: Term::FIRST,
                    seq: Seq(seq),
                    epoch: Epoch(2),
                    kind: EntryKind::Application,
                    origin: hub(),
                    sender: LeafIndex(0),
                    message_id: MessageId([n; 16]),
                    prev_hash,
                    body_hash: [n; 32],
                    time: UnixMillis(seq),
                };
                prev_hash = header.hash();
                header
            })
            .collect();
        let last = headers.last().expect("not empty");
        let heads = [(last.room, last.head())];
        let signed = attest(&heads, &hub(), "fed-1", &key(), UnixMillis(9));
        History {
            attestation: signed.into_iter().next().expect("one"),
            headers,
        }
    }

    fn proof(one: History, other: History) -> Equivocation {
        Equivocation {
            hub: hub(),
            key: key().public(),
            one,
            other,
        }
    }

    #[test]
    fn c2_two_signed_entries_at_one_position_are_proof() {
        let shown = proof(history(1, 1), history(2, 4)).verify();
        let shown = shown.expect("a proof");
        assert_eq!((shown.room, shown.seq), (RoomId([3; 32]), Seq(5)));
        assert_ne!(shown.one, shown.other);
    }

    #[test]
    fn c2_nobody_can_make_a_proof_without_two_signatures_of_the_hub() {
        let check = |proof: Equivocation, expect: fn(&EquivocationFault) -> bool| {
            let fault = proof.verify().expect_err("no proof");
            assert!(expect(&fault), "{fault}");
        };
        check(proof(history(1, 2), history(1, 2)), |fault| {
            matches!(fault, EquivocationFault::Same)
        });
        let mut later = history(2, 3);
        later.headers.remove(0);
        check(proof(history(1, 1), later), |fault| {
            matches!(fault, EquivocationFault::Apart)
        });
        let mut gap = history(2, 3);
        gap.headers.remove(1);
        check(proof(history(1, 1), gap), |fault| {
            matches!(fault, EquivocationFault::Broken(_))
        });
        let mut unsigned = history(2, 3);
        unsigned.headers.pop();
        check(proof(history(1, 1), unsigned), |fault| {
            matches!(fault, EquivocationFault::Unsigned(_))
        });
        let mut nothing = history(2, 1);
        nothing.headers.clear();
        check(proof(history(1, 1), nothing), |fault| {
            matches!(fault, EquivocationFault::Size)
        });
        let mut another_hub = proof(history(1, 1), history(2, 1));
        another_hub.hub = "did:web:org-b.example".parse().expect("a DID");
        check(another_hub, |fault| {
            matches!(fault, EquivocationFault::Unsigned(_))
        });
        let mut another_key = proof(history(1, 1), history(2, 1));
        another_key.key = SigningKey::from_seed(&[8; 32]).public();
        check(another_key, |fault| {
            matches!(fault, EquivocationFault::Unsigned(_))
        });
    }
}
