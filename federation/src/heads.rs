//! What another server's signed head of a room says about this server's log.

use entente_protocol::entry::{EntryHeader, Head};
use entente_protocol::equivocation::ShownHead;

/// What a head that was shown is to the log here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The same entry stands here.
    Same,
    /// The log here does not reach so far: something may be withheld from this server.
    Behind,
    /// Another entry of the same term stands at that position: the hub signed two histories.
    Differs,
    /// Nothing can be said: the log here begins later, or the terms differ.
    Unknown,
}

/// Compares a signed head with the log here, whose end is `head` and which has `here` at the shown
/// position.
#[must_use]
pub fn compare(head: &Head, here: Option<&EntryHeader>, shown: &ShownHead) -> Comparison {
    if shown.header.seq > head.seq {
        return Comparison::Behind;
    }
    match here {
        None => Comparison::Unknown,
        Some(here) if here.hash() == shown.header.hash() => Comparison::Same,
        Some(here) if here.term == shown.header.term => Comparison::Differs,
        Some(_) => Comparison::Unknown,
    }
}
