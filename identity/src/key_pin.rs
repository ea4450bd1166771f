//! What is remembered of another server's chain of key documents.
//!
//! At first contact the web is trusted once; from then on a key document counts only if it continues
//! the pinned chain: a renewal of the same link, or a rotation to the key that was committed to.
//!
//! Invariants
//! - A pin only moves forward: its seq never falls, its time of issue never goes back.
//! - A key that has ended never lives again; when it was in use is kept for old log entries.
//!
//! Absent: where pins are stored, and the administrator's way to drop one.

mod fault;

use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::did::ServerDid;
use crate::document::ServerDocument;
use crate::key_document::{
    FederationKey, KEY_DOCUMENT_LIFETIME_MS, KeyDocument, verify_key_document,
    verify_past_key_document,
};
use crate::keys::PublicKey;
use crate::signed::{CLOCK_TOLERANCE_MS, Signed};
use crate::time::UnixMillis;

pub use fault::KeyPinFault;

/// Most ended keys that are remembered beside those of the newest document; the oldest are forgotten.
const MAX_HISTORY: usize = 256;

/// The pinned chain of one server.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct KeyPin {
    /// Whose chain.
    pub did: ServerDid,
    /// [`KeyDocument::chain_hash`] of document 0, as `did.json` publishes it.
    pub first_hash: [u8; 32],
    /// The number of the newest document seen.
    pub seq: u64,
    /// Its [`KeyDocument::chain_hash`]: the same for every issue of it.
    pub hash: [u8; 32],
    /// Its keys, the one in use first.
    pub keys: Vec<FederationKey>,
    /// SHA-256 of the key to which it commits.
    pub next_key_hash: [u8; 32],
    /// When its newest issue seen was made.
    pub issued: UnixMillis,
    /// Keys of earlier documents that the newest does not list, the latest first.
    pub history: Vec<FederationKey>,
}

/// What a key document is to a pin that it does not contradict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// The pinned issue.
    Same,
    /// The pinned document, issued anew: to be pinned instead.
    Renewed(KeyPin),
    /// The next document of the chain: to be pinned instead.
    Rotated(KeyPin),
}

/// What (seq, hash) in a greeting are to a pin that they do not contradict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The pinned document.
    Pinned,
    /// One that is not known yet and has to be fetched and judged.
    Newer,
}

impl KeyPin {
    /// Pins a chain at first contact, where the web is trusted once. Document 0 must be the one whose
    /// hash `did.json` publishes; of a later one the published hash is taken on trust with it.
    ///
    /// # Errors
    /// The document does not hold or is not current, or is document 0 of another chain.
    pub fn first_contact(
        did: &ServerDid,
        first_key_document_hash: &[u8; 32],
        signed: &Signed<KeyDocument>,
        now: UnixMillis,
    ) -> Result<Self, KeyPinFault> {
        let document = verify_key_document(did, signed, now)?.into_body();
        let hash = document.chain_hash();
        if document.seq == 0 && hash != *first_key_document_hash {
            return Err(KeyPinFault::OtherChain);
        }
        Ok(Self {
            did: document.did,
            first_hash: *first_key_document_hash,
            seq: document.seq,
            hash,
            keys: document.keys,
            next_key_hash: document.next_key_hash,
            issued: document.issued,
            history: Vec::new(),
        })
    }

    /// Judges the server's current key document.
    ///
    /// # Errors
    /// The document does not hold, is not current, or contradicts the pinned chain.
    pub fn judge(
        &self,
        signed: &Signed<KeyDocument>,
        now: UnixMillis,
    ) -> Result<Judged, KeyPinFault> {
        let document = verify_key_document(&self.did, signed, now)?.into_body();
        match self.judge_id(document.seq, &document.chain_hash())? {
            Named::Pinned => self.reissued(document.issued),
            Named::Newer => self.rotated(document).map(Judged::Rotated),
        }
    }

    /// Judges the server's current key document after the documents between it and the pinned one,
    /// which need not be current any more.
    ///
    /// # Errors
    /// As [`KeyPin::judge`], for any of the documents.
    pub fn catch_up(
        &self,
        between: &[Signed<KeyDocument>],
        newest: &Signed<KeyDocument>,
        now: UnixMillis,
    ) -> Result<Judged, KeyPinFault> {
        let mut pin = self.clone();
        for signed in between {
            let document = verify_past_key_document(&self.did, signed)?.into_body();
            match pin.judge_id(document.seq, &document.chain_hash())? {
                Named::Pinned => {}
                Named::Newer => pin = pin.rotated(document)?,
            }
        }
        let judged = pin.judge(newest, now)?;
        Ok(match judged {
            Judged::Same if pin == *self => Judged::Same,
            Judged::Same => Judged::Rotated(pin),
            Judged::Renewed(newer) if newer.seq > self.seq => Judged::Rotated(newer),
            other => other,
        })
    }

    /// Judges the mention of a key document, as in a greeting.
    ///
    /// # Errors
    /// It is from before the pinned one, or another one of the same number.
    pub fn judge_id(&self, seq: u64, chain_hash: &[u8; 32]) -> Result<Named, KeyPinFault> {
        if seq > self.seq {
            return Ok(Named::Newer);
        }
        if seq < self.seq {
            return Err(KeyPinFault::RolledBack {
                pinned: self.seq,
                shown: seq,
            });
        }
        if *chain_hash == self.hash {
            Ok(Named::Pinned)
        } else {
            Err(KeyPinFault::Forked { seq })
        }
    }

    /// Judges what the server publishes as `did.json`, after its key document was judged.
    ///
    /// # Errors
    /// It is another server's, names another chain, or lists a key that is not in use in the chain.
    pub fn judge_published(&self, document: &ServerDocument) -> Result<(), KeyPinFault> {
        if document.did != self.did {
            return Err(KeyPinFault::OtherServer {
                expected: self.did.clone(),
                got: document.did.clone(),
            });
        }
        if document.first_key_document_hash != self.first_hash {
            return Err(KeyPinFault::OtherChain);
        }
        match document.keys.iter().find(|key| !self.uses(key)) {
            Some(key) => Err(KeyPinFault::UnknownKey(*key)),
            None => Ok(()),
        }
    }

    /// Whether the pinned issue still counts; if not, the key document has to be fetched anew.
    #[must_use]
    pub fn is_current(&self, now: UnixMillis) -> bool {
        now <= self
            .issued
            .after(KEY_DOCUMENT_LIFETIME_MS + CLOCK_TOLERANCE_MS)
    }

    /// Whether the server signs with this key now: never true of a key that has ended, nor of a pin
    /// that is no longer current.
    #[must_use]
    pub fn live_key(&self, key: &PublicKey, now: UnixMillis) -> bool {
        self.uses(key) && self.is_current(now)
    }

    /// Whether the server signed with this key at that time, as old log entries are checked; clocks
    /// may be off by the tolerance.
    #[must_use]
    pub fn key_at(&self, key: &PublicKey, time: UnixMillis) -> bool {
        let known = self.keys.iter().chain(&self.history);
        known.filter(|known| known.public == *key).any(|known| {
            let begun = known.from <= time.after(CLOCK_TOLERANCE_MS);
            let over = |until: UnixMillis| until.after(CLOCK_TOLERANCE_MS) < time;
            begun && !known.until.is_some_and(over)
        })
    }

    fn uses(&self, key: &PublicKey) -> bool {
        self.keys
            .iter()
            .any(|known| known.public == *key && known.until.is_none())
    }

    fn reissued(&self, issued: UnixMillis) -> Result<Judged, KeyPinFault> {
        if issued < self.issued {
            return Err(KeyPinFault::OlderIssue {
                pinned: self.issued,
                shown: issued,
            });
        }
        if issued == self.issued {
            return Ok(Judged::Same);
        }
        let issued_anew = Self {
            issued,
            ..self.clone()
        };
        Ok(Judged::Renewed(issued_anew))
    }

    /// The pin after the next document, which must follow the pinned one exactly.
    fn rotated(&self, next: KeyDocument) -> Result<Self, KeyPinFault> {
        let seq = next.seq;
        if seq - self.seq > 1 {
            return Err(KeyPinFault::Gap {
                pinned: self.seq,
                shown: seq,
            });
        }
        if next.prev_hash != self.hash {
            return Err(KeyPinFault::Forked { seq });
        }
        let not_committed = KeyPinFault::NotCommitted { seq };
        let (first, ended) = next.keys.split_first().ok_or(not_committed.clone())?;
        let mut known = self.keys.iter().chain(&self.history);
        let is_new = known.all(|key| key.public != first.public && key.from <= first.from);
        if first.public.fingerprint() != self.next_key_hash
            || !is_new
            || !ended.iter().all(|key| self.may_end_as(key))
        {
            return Err(not_committed);
        }
        Ok(Self {
            did: self.did.clone(),
            first_hash: self.first_hash,
            seq,
            hash: next.chain_hash(),
            history: self.history_before(&next.keys),
            next_key_hash: next.next_key_hash,
            issued: next.issued,
            keys: next.keys,
        })
    }

    /// Whether an ended key of the next document is one of the chain: the one in use, whose end is
    /// news, or one that ended before, exactly as it is known.
    fn may_end_as(&self, ended: &FederationKey) -> bool {
        self.keys.iter().chain(&self.history).any(|known| {
            let same = known.public == ended.public && known.from == ended.from;
            same && (known.until.is_none() || known.until == ended.until)
        })
    }

    fn history_before(&self, listed: &[FederationKey]) -> Vec<FederationKey> {
        let begun = listed.first().map(|key| key.from);
        let known = self.keys.iter().chain(&self.history);
        known
            .filter(|key| listed.iter().all(|other| other.public != key.public))
            .map(|key| FederationKey {
                until: key.until.or(begun),
                ..key.clone()
            })
            .take(MAX_HISTORY)
            .collect()
    }
}

#[cfg(test)]
mod tests;
