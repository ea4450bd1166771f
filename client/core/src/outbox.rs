//! What becomes of own messages: encrypt, hand over, encrypt again, give up.

use entente_groups::Epoch;
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::SubmitOutcome;
use rand::{CryptoRng, RngCore};

use crate::message::{LogPosition, MessageState};
use crate::retry::delay_ms;

/// What to do with a message after its server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Note the state; nothing else.
    Note(MessageState),
    /// The room has moved on: encrypt again under the same id, once the log has been read further.
    EncryptAgain,
    /// The same ciphertext again, after a while.
    Resubmit {
        /// How long to wait, in milliseconds.
        delay_ms: u64,
    },
    /// Nobody will read it.
    Fail(FaultCode),
}

/// Decides after an answer. `failures` counts the refusals so far that were worth a retry.
pub fn after_outcome(
    before: MessageState,
    outcome: &SubmitOutcome,
    failures: u32,
    rng: &mut (impl CryptoRng + RngCore),
) -> Next {
    match outcome {
        SubmitOutcome::Stored => Next::Note(advance(before, MessageState::Stored)),
        SubmitOutcome::Ordered { term, seq } => {
            let at = LogPosition {
                term: *term,
                seq: *seq,
            };
            Next::Note(advance(before, MessageState::Ordered(at)))
        }
        SubmitOutcome::Refused(fault) => after_refusal(before, fault, failures, rng),
    }
}

/// Decides after a refusal, direct or by way of the device's queue.
pub fn after_refusal(
    before: MessageState,
    fault: &Fault,
    failures: u32,
    rng: &mut (impl CryptoRng + RngCore),
) -> Next {
    // What is in the log is read by others: a late refusal of an earlier copy changes nothing.
    if before.position().is_some() {
        return Next::Note(before);
    }
    match fault.code {
        FaultCode::WrongEpoch => Next::EncryptAgain,
        // A connection that lost its login is closed and opened again; the message is still good.
        FaultCode::NotAuthenticated | FaultCode::AuthenticationFailed => Next::Resubmit {
            delay_ms: delay_ms(failures, fault.retry_after_ms, rng),
        },
        code if code.retry_helps() => Next::Resubmit {
            delay_ms: delay_ms(failures, fault.retry_after_ms, rng),
        },
        code => Next::Fail(code),
    }
}

/// A state never goes back.
fn advance(before: MessageState, now: MessageState) -> MessageState {
    let back = match before {
        MessageState::Waiting | MessageState::Stored => false,
        MessageState::Ordered(_) | MessageState::Failed(_) => now == MessageState::Stored,
        MessageState::Delivered(_) => true,
    };
    if back { before } else { now }
}

/// Whether a ciphertext is to be made anew before it is handed over: the room has moved on. The hub
/// would still take it for some epochs, but whoever came in since could not read it. Both ciphertexts
/// have the same message id, so that only one of them is ever ordered.
#[must_use]
pub fn is_stale(encrypted: Epoch, current: Epoch) -> bool {
    encrypted != current
}

#[cfg(test)]
mod tests {
    use entente_protocol::entry::{Seq, Term};
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn next(before: MessageState, outcome: SubmitOutcome) -> Next {
        after_outcome(before, &outcome, 0, &mut StdRng::seed_from_u64(1))
    }

    fn refused(code: FaultCode) -> SubmitOutcome {
        SubmitOutcome::Refused(Fault::new(code, ""))
    }

    const AT: LogPosition = LogPosition {
        term: Term::FIRST,
        seq: Seq(7),
    };
    const ORDERED: SubmitOutcome = SubmitOutcome::Ordered {
        term: Term::FIRST,
        seq: Seq(7),
    };

    #[test]
    fn a_message_goes_forward_only() {
        let waiting = MessageState::Waiting;
        let ordered = MessageState::Ordered(AT);
        assert_eq!(
            next(waiting, SubmitOutcome::Stored),
            Next::Note(MessageState::Stored)
        );
        assert_eq!(next(waiting, ORDERED), Next::Note(ordered));
        assert_eq!(next(ordered, SubmitOutcome::Stored), Next::Note(ordered));
        let delivered = MessageState::Delivered(AT);
        assert_eq!(next(delivered, ORDERED), Next::Note(delivered));
        for code in [FaultCode::WrongEpoch, FaultCode::NotMember] {
            assert_eq!(next(ordered, refused(code)), Next::Note(ordered));
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        let of = |code| next(MessageState::Stored, refused(code));
        assert_eq!(of(FaultCode::WrongEpoch), Next::EncryptAgain);
        assert_eq!(of(FaultCode::NotMember), Next::Fail(FaultCode::NotMember));
        for code in [
            FaultCode::Busy,
            FaultCode::NotAuthenticated,
            FaultCode::Timeout,
        ] {
            assert!(matches!(of(code), Next::Resubmit { .. }), "{code}");
        }
    }

    proptest! {
        #[test]
        fn every_code_has_a_next_step(index in 0..FaultCode::ALL.len(), failures: u32) {
            let fault = Fault::new(FaultCode::ALL[index], "");
            let mut rng = StdRng::seed_from_u64(1);
            let next = after_refusal(MessageState::Waiting, &fault, failures, &mut rng);
            if let Next::Resubmit { delay_ms } = next {
                prop_assert!(delay_ms <= crate::retry::MAX_DELAY_MS);
            }
        }
    }
}
