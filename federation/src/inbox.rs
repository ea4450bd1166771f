//! The receiver's side of a relay stream: which items of a batch are new.
//!
//! The receiver writes the cursor in the same transaction as the effects, so whatever is sent twice
//! has its effect once.

use entente_protocol::relay::VerifiedBatch;

/// What this server knows of a peer's stream of items to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InStream {
    /// The stream's epoch; zero before first contact.
    pub epoch: u64,
    /// The last number that is owned here.
    pub last: u64,
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intake {
    /// Take the items from this one on; those before are owned already. May be all of them.
    Take {
        /// How many items of the batch to pass over.
        skip: usize,
    },
    /// Items are missing before it, since a batch before it was not taken: answer *busy*, upon which
    /// the sender goes back to what is owned.
    Gap {
        /// The number that should come next.
        expected: u64,
    },
    /// Of another stream epoch than the one that was greeted with.
    OtherEpoch,
}

impl InStream {
    /// Takes note of the stream epoch in a greeting.
    ///
    /// A higher epoch begins after the number that it names; a lower one is a sender whose clock went
    /// back, which learns from the answer that it must begin a higher one.
    #[must_use]
    pub fn greeted(self, stream_epoch: u64, begins_after: u64) -> Self {
        if stream_epoch > self.epoch {
            Self {
                epoch: stream_epoch,
                last: begins_after,
            }
        } else {
            self
        }
    }

    /// Judges a batch.
    #[must_use]
    pub fn intake(&self, batch: &VerifiedBatch) -> Intake {
        if batch.stream_epoch != self.epoch {
            return Intake::OtherEpoch;
        }
        let expected = self.last.saturating_add(1);
        if batch.first > expected || batch.first == 0 {
            return Intake::Gap { expected };
        }
        let owned = usize::try_from(expected - batch.first).unwrap_or(usize::MAX);
        Intake::Take {
            skip: owned.min(batch.items.len()),
        }
    }

    /// The stream after `count` more items.
    #[must_use]
    pub fn advanced(self, count: usize) -> Self {
        Self {
            last: self.last.saturating_add(count as u64),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use entente_identity::SigningKey;

    use super::*;

    fn check(first: u64, count: usize, expect: Intake) {
        let stream = InStream { epoch: 2, last: 10 };
        let batch = VerifiedBatch {
            origin: "did:web:org-a.example".parse().expect("a DID"),
            key: SigningKey::from_seed(&[1; 32]).public(),
            stream_epoch: 2,
            first,
            items: vec![Vec::new(); count],
        };
        assert_eq!(stream.intake(&batch), expect, "{first}+{count}");
    }

    #[test]
    fn overlaps_are_passed_over_and_gaps_refused() {
        check(11, 5, Intake::Take { skip: 0 });
        check(9, 5, Intake::Take { skip: 2 });
        check(1, 5, Intake::Take { skip: 5 });
        check(12, 1, Intake::Gap { expected: 11 });
        check(0, 1, Intake::Gap { expected: 11 });
    }

    #[test]
    fn only_a_higher_epoch_begins_anew() {
        let stream = InStream { epoch: 2, last: 10 };
        assert_eq!(stream.greeted(2, 4), stream);
        assert_eq!(stream.greeted(1, 4), stream);
        assert_eq!(stream.greeted(3, 4), InStream { epoch: 3, last: 4 });
        assert_eq!(stream.advanced(2).last, 12);
    }
}
