//! The hub's signature on the heads of rooms: one per committed batch, over a Merkle root.
//!
//! A head that was current when a batch was committed carries an attestation: the signed checkpoint
//! and the path from its leaf to the root. Everything before that head is held by the hash chain.
//! Leaves and inner nodes are hashed with different prefixes (RFC 6962 §2.1).

use std::collections::HashSet;

use entente_groups::RoomId;
use entente_identity::{
    Audience, Kind, PublicKey, ServerDid, Signed, SignedBody, SignedFault, SigningContext,
    SigningKey, UnixMillis, encode,
};
use sha2::{Digest, Sha256};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::entry::Head;

/// Deepest path accepted: a batch has at most 512 commands, so at most 2^9 rooms.
const MAX_PATH: usize = 16;

/// What the hub signs.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Checkpoint {
    /// The hub.
    pub hub: ServerDid,
    /// Merkle root over the heads of the rooms touched.
    pub root: [u8; 32],
    /// When.
    pub time: UnixMillis,
}

impl SignedBody for Checkpoint {
    const KIND: Kind = Kind::Checkpoint;
    const NAME: &'static str = "checkpoint";
}

/// Shows that a hub signed a room's head.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Attestation {
    /// The signed root.
    pub checkpoint: Signed<Checkpoint>,
    /// The leaf's number among the leaves.
    pub index: u32,
    /// Sibling hashes from the leaf upwards.
    pub path: Vec<[u8; 32]>,
}

/// Checkpoints whose signatures were found to hold: the heads of one batch share one.
#[derive(Clone, Debug, Default)]
pub struct SeenCheckpoints(HashSet<([u8; 32], PublicKey)>);

/// Why an attestation shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestationFault {
    /// The signature does not verify.
    #[error(transparent)]
    Signed(#[from] SignedFault),
    /// The checkpoint is another server's.
    #[error("the checkpoint is {0}'s, which is not the room's hub")]
    OtherHub(ServerDid),
    /// The path does not lead from the head to the signed root.
    #[error("the head is not under the signed root")]
    Path,
}

/// Signs the heads of one batch; the attestations are in the order of `heads`.
#[must_use]
pub fn attest(
    heads: &[(RoomId, Head)],
    hub: &ServerDid,
    key_id: &str,
    key: &SigningKey,
    now: UnixMillis,
) -> Vec<Attestation> {
    let leaves: Vec<[u8; 32]> = heads.iter().map(|(room, head)| leaf(room, head)).collect();
    let levels = levels(leaves);
    let Some(root) = levels.last().and_then(|level| level.first()) else {
        return Vec::new();
    };
    let context = SigningContext {
        key_id: key_id.to_owned(),
        origin: hub.to_string(),
        audience: Audience::Public,
        created: now,
        expires: None,
    };
    let checkpoint = Checkpoint {
        hub: hub.clone(),
        root: *root,
        time: now,
    };
    let checkpoint = Signed::sign(&checkpoint, &context, key);
    (0..heads.len())
        .map(|index| Attestation {
            checkpoint: checkpoint.clone(),
            index: u32::try_from(index).expect("a batch has far fewer than 2^32 rooms"),
            path: path(&levels, index),
        })
        .collect()
}

impl Attestation {
    /// Verifies that `hub`, with `key`, signed this head of this room.
    ///
    /// # Errors
    /// See [`AttestationFault`].
    pub fn verify(
        &self,
        room: &RoomId,
        head: &Head,
        hub: &ServerDid,
        key: &PublicKey,
    ) -> Result<(), AttestationFault> {
        self.verify_among((room, head), hub, key, &mut SeenCheckpoints::default())
    }

    /// The same, but a checkpoint whose signature was seen to hold is not verified again.
    ///
    /// # Errors
    /// See [`AttestationFault`].
    pub fn verify_among(
        &self,
        (room, head): (&RoomId, &Head),
        hub: &ServerDid,
        key: &PublicKey,
        seen: &mut SeenCheckpoints,
    ) -> Result<(), AttestationFault> {
        let seen_as = (self.checkpoint.hash(), *key);
        let checkpoint = if seen.0.contains(&seen_as) {
            self.checkpoint.claimed_body().map_err(SignedFault::from)?
        } else {
            let verified = self.checkpoint.verify(key, &Audience::Public)?;
            seen.0.insert(seen_as);
            verified.into_body()
        };
        if checkpoint.hub != *hub {
            return Err(AttestationFault::OtherHub(checkpoint.hub.clone()));
        }
        // One way to write each path: no bits beyond it.
        let one_way = self.path.len() <= MAX_PATH && self.index >> self.path.len() == 0;
        if !one_way || self.root_of(leaf(room, head)) != checkpoint.root {
            return Err(AttestationFault::Path);
        }
        Ok(())
    }

    fn root_of(&self, leaf: [u8; 32]) -> [u8; 32] {
        let mut index = self.index;
        self.path.iter().fold(leaf, |hash, sibling| {
            let right = index & 1 == 1;
            index >>= 1;
            if right {
                node(sibling, &hash)
            } else {
                node(&hash, sibling)
            }
        })
    }
}

fn leaf(room: &RoomId, head: &Head) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix([0]);
    hasher.update(encode(room));
    hasher.update(encode(head));
    hasher.finalize().into()
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// All levels of the tree, leaves first. An odd last node is paired with itself.
fn levels(leaves: Vec<[u8; 32]>) -> Vec<Vec<[u8; 32]>> {
    let mut levels = vec![leaves];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        let next = level
            .chunks(2)
            .map(|pair| node(&pair[0], pair.get(1).unwrap_or(&pair[0])))
            .collect();
        levels.push(next);
    }
    levels
}

fn path(levels: &[Vec<[u8; 32]>], mut index: usize) -> Vec<[u8; 32]> {
    let inner = &levels[..levels.len() - 1];
    inner
        .iter()
        .map(|level| {
            let sibling = level.get(index ^ 1).unwrap_or(&level[index]);
            index >>= 1;
            *sibling
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entry::{EntryHash, Seq, Term};

    fn heads(count: usize) -> Vec<(RoomId, Head)> {
        (0..count)
            .map(|n| {
                let byte = u8::try_from(n % 256).expect("below 256");
                let head = Head {
                    term: Term::FIRST,
                    seq: Seq(n as u64 + 1),
                    hash: EntryHash([byte; 32]),
                };
                (RoomId([byte; 32]), head)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn every_head_is_shown_and_no_other(count in 1usize..70, other in 0usize..70) {
            let key = SigningKey::from_seed(&[4; 32]);
            let hub: ServerDid = "did:web:org-a.example".parse().expect("a DID");
            let heads = heads(count);
            let shown = attest(&heads, &hub, "fed-1", &key, UnixMillis(5));
            prop_assert_eq!(shown.len(), count);
            for ((room, head), attestation) in heads.iter().zip(&shown) {
                prop_assert_eq!(attestation.verify(room, head, &hub, &key.public()), Ok(()));
            }
            let (room, mut head) = heads[other % count];
            head.seq = Seq(1_000_000);
            let attestation = &shown[other % count];
            prop_assert_eq!(
                attestation.verify(&room, &head, &hub, &key.public()),
                Err(AttestationFault::Path)
            );
        }
    }
}
