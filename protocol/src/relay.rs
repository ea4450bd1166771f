//! The *relay* flow between two servers: items in signed batches one way, acknowledgements the other.
//!
//! Items of one direction are numbered without gaps per (stream epoch). A batch is signed once, bound
//! to origin, destination, stream epoch and range; the items' bytes are what is hashed and what is
//! stored, never a second encoding of them. An acknowledgement means that the receiver owns the range.

use entente_groups::{MessageId, RoomId};
use entente_identity::{
    AccountDid, Audience, CodecFault, DeviceId, Kind, PublicKey, ServerDid, Signed, SignedBody,
    SignedFault, SigningContext, SigningKey, UnixMillis, decode_exact, encode,
};
use sha2::{Digest, Sha256};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::entry::{Entry, Seq};
use crate::flow::{InviteItem, Submission, WelcomeItem};
use crate::limits::{MAX_BATCH_BYTES, MAX_BATCH_ITEMS, MAX_ITEM_BYTES};

/// One thing that a server owes another.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum Item {
    /// Follower → hub: a member's message, to be ordered.
    #[tls_codec(discriminant = 1)]
    Submission(RelayedSubmission),
    /// Hub → follower: the next entry of a room's log.
    #[tls_codec(discriminant = 2)]
    Entry(Entry),
    /// Hub → home server: a Welcome for one of its devices.
    #[tls_codec(discriminant = 3)]
    Welcome(WelcomeItem),
    /// Home server → home server: a sealed invitation.
    #[tls_codec(discriminant = 4)]
    Invite(InviteItem),
    /// Hub → origin: a submission that was not ordered.
    #[tls_codec(discriminant = 5)]
    Refusal(SubmissionRefusal),
    /// Hub → follower: every member server has the log up to here.
    #[tls_codec(discriminant = 6)]
    Delivered(Watermark),
}

/// A member's message, with the device for which its home server vouches.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct RelayedSubmission {
    /// The message.
    pub submission: Submission,
    /// Whose device sent it, as the handing server vouches.
    pub account: AccountDid,
    /// Which device.
    pub device: DeviceId,
}

/// Why a submission was not ordered.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct SubmissionRefusal {
    /// The room.
    pub room: RoomId,
    /// Which message.
    pub message_id: MessageId,
    /// Why, as a [`crate::fault::FaultCode`]'s number.
    pub code: u16,
}

/// How far a room's log has been delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Watermark {
    /// The room.
    pub room: RoomId,
    /// The position.
    pub seq: Seq,
}

/// The signed part of a batch.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct BatchHead {
    /// The sender's stream epoch towards the receiver.
    pub stream_epoch: u64,
    /// The number of the first item.
    pub first: u64,
    /// How many items.
    pub count: u16,
    /// SHA-256 over the items, each prefixed with its length (u32, big endian).
    pub items_hash: [u8; 32],
}

impl SignedBody for BatchHead {
    const KIND: Kind = Kind::Batch;
    const NAME: &'static str = "batch";
}

/// A batch as it travels: not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The signed part.
    pub head: Signed<BatchHead>,
    /// The items' bytes.
    pub items: Vec<Vec<u8>>,
}

/// A batch that its sender signed for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBatch {
    /// The sender.
    pub origin: ServerDid,
    /// The key with which it signed.
    pub key: PublicKey,
    /// The sender's stream epoch.
    pub stream_epoch: u64,
    /// The number of the first item.
    pub first: u64,
    /// The items' bytes.
    pub items: Vec<Vec<u8>>,
}

/// Receiver → sender on the *relay* flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayReply {
    /// The receiver owns everything up to here.
    Ack {
        /// Of this stream epoch.
        stream_epoch: u64,
        /// The last number owned.
        up_to: u64,
    },
    /// The receiver owns later items than the sender has ever sent: the sender was restored from a
    /// backup and must begin a new stream epoch.
    FutureCursor {
        /// The stream epoch the receiver knows.
        stream_epoch: u64,
        /// The last number it owns.
        last_in: u64,
    },
    /// The receiver did not take a batch; the sender goes back to what is owned and sends it again.
    Busy {
        /// When to try again, in milliseconds.
        retry_after_ms: u32,
    },
}

/// Why a batch is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchFault {
    /// The signature does not hold.
    #[error(transparent)]
    Signed(#[from] SignedFault),
    /// No items, too many, too large, or not as many as signed.
    #[error("a batch has 1 to {MAX_BATCH_ITEMS} items and {MAX_BATCH_BYTES} bytes, or one item")]
    Size,
    /// The items are not the ones that were signed.
    #[error("the items are not the ones that were signed")]
    Items,
}

impl Item {
    /// The item's bytes, as stored, hashed and sent.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads an item.
    ///
    /// # Errors
    /// Malformed bytes, or a kind that is not known here.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecFault> {
        decode_exact("relay item", bytes)
    }
}

impl Batch {
    /// Signs a run of items.
    #[must_use]
    pub fn sign(
        origin: &ServerDid,
        destination: &ServerDid,
        numbers: (u64, u64),
        items: Vec<Vec<u8>>,
        signer: (&str, &SigningKey, UnixMillis),
    ) -> Self {
        let (stream_epoch, first) = numbers;
        let (key_id, key, now) = signer;
        let head = BatchHead {
            stream_epoch,
            first,
            count: u16::try_from(items.len()).expect("a batch has at most 512 items"),
            items_hash: items_hash(&items),
        };
        let context = SigningContext {
            key_id: key_id.to_owned(),
            origin: origin.to_string(),
            audience: Audience::Server(destination.clone()),
            created: now,
            expires: None,
        };
        Self {
            head: Signed::sign(&head, &context, key),
            items,
        }
    }

    /// Verifies a batch: cheap bounds first, then the signature, then the items' hash.
    ///
    /// # Errors
    /// See [`BatchFault`].
    pub fn verify(
        self,
        origin: &ServerDid,
        destination: &ServerDid,
        key: &PublicKey,
    ) -> Result<VerifiedBatch, BatchFault> {
        let bytes: usize = self.items.iter().map(Vec::len).sum();
        let count = self.items.len();
        let oversize = count > 1 && bytes > MAX_BATCH_BYTES;
        if count == 0 || count > MAX_BATCH_ITEMS || oversize || bytes > MAX_ITEM_BYTES {
            return Err(BatchFault::Size);
        }
        let audience = Audience::Server(destination.clone());
        let verified = self.head.verify(key, &audience)?;
        if verified.context().origin != origin.to_string() {
            return Err(SignedFault::WrongAudience(BatchHead::NAME).into());
        }
        let head = verified.into_body();
        if usize::from(head.count) != count || head.items_hash != items_hash(&self.items) {
            return Err(BatchFault::Items);
        }
        Ok(VerifiedBatch {
            origin: origin.clone(),
            key: *key,
            stream_epoch: head.stream_epoch,
            first: head.first,
            items: self.items,
        })
    }
}

fn items_hash(items: &[Vec<u8>]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for item in items {
        let length = u32::try_from(item.len()).expect("an item has at most 2 MiB");
        hasher.update(length.to_be_bytes());
        hasher.update(item);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn server(name: &str) -> ServerDid {
        format!("did:web:{name}.example").parse().expect("a DID")
    }

    fn signed(items: Vec<Vec<u8>>) -> (Batch, SigningKey) {
        let key = SigningKey::from_seed(&[1; 32]);
        let signer = ("fed-1", &key, UnixMillis(7));
        let batch = Batch::sign(&server("org-a"), &server("org-b"), (3, 10), items, signer);
        (batch, key)
    }

    proptest! {
        #[test]
        fn any_changed_byte_or_moved_border_is_refused(
            items in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..6),
            which in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let (batch, key) = signed(items.clone());
            let check = |batch: Batch| {
                batch.verify(&server("org-a"), &server("org-b"), &key.public())
            };
            let verified = check(batch.clone()).expect("as signed");
            prop_assert_eq!((verified.stream_epoch, verified.first), (3, 10));
            let mut changed = batch.clone();
            let item = which.index(items.len());
            changed.items[item][0] ^= flip;
            prop_assert_eq!(check(changed), Err(BatchFault::Items));
            let mut joined = batch;
            if let Some(last) = joined.items.pop().filter(|_| items.len() > 1) {
                joined.items.last_mut().expect("another item").extend(last);
                prop_assert_eq!(check(joined), Err(BatchFault::Items));
            }
        }
    }

    #[test]
    fn a_batch_counts_for_its_destination_and_origin_only() {
        let (batch, key) = signed(vec![vec![1]]);
        let verify = |from: &str, to: &str| {
            let (from, to) = (server(from), server(to));
            batch.clone().verify(&from, &to, &key.public()).is_ok()
        };
        assert!(verify("org-a", "org-b"));
        assert!(!verify("org-a", "org-c"));
        assert!(!verify("org-c", "org-b"));
    }
}
