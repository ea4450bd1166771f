//! How a server that is not a room's hub takes the hub's log over.

use entente_identity::ServerDid;
use entente_protocol::entry::{ChainFault, Entry, Head, Seq};

/// What to do with an entry that a peer handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// It extends the log: append it.
    Append,
    /// It is in the log already.
    Known,
    /// It cannot be applied now: park it with its bytes and pull what is missing.
    Park(ChainFault),
    /// It can never be applied: refuse it alone.
    Refuse(RefuseReason),
}

/// Why an entry can never be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefuseReason {
    /// Handed over by a server that is not the room's hub.
    #[error("{from} handed over an entry of a room whose hub is {hub}")]
    NotHub {
        /// Who handed it over.
        from: ServerDid,
        /// The room's hub.
        hub: ServerDid,
    },
    /// The body is not the one that the header names.
    #[error(transparent)]
    Chain(ChainFault),
    /// The room is not known here and the entry brings nobody of this server in.
    #[error("an entry of a room in which this server has no part")]
    NoPart,
}

/// What this server knows of a room that it follows.
#[derive(Clone, Copy, Debug)]
pub struct Followed<'a> {
    /// The room's hub.
    pub hub: &'a ServerDid,
    /// The end of the log here.
    pub head: &'a Head,
}

/// Judges an entry that `from` handed over. `known` is the room, if it is followed already;
/// `brings_us_in` says whether the entry adds an account of this server.
#[must_use]
pub fn follow(
    known: Option<Followed<'_>>,
    entry: &Entry,
    from: &ServerDid,
    brings_us_in: bool,
) -> Follow {
    if let Err(fault) = entry.body_matches() {
        return Follow::Refuse(RefuseReason::Chain(fault));
    }
    let Some(room) = known else {
        return if brings_us_in && entry.header.seq > Seq(0) {
            Follow::Append
        } else {
            Follow::Refuse(RefuseReason::NoPart)
        };
    };
    if room.hub != from {
        return Follow::Refuse(RefuseReason::NotHub {
            from: from.clone(),
            hub: room.hub.clone(),
        });
    }
    if entry.header.seq <= room.head.seq {
        return Follow::Known;
    }
    match entry.extends(room.head) {
        Ok(()) => Follow::Append,
        Err(fault) => Follow::Park(fault),
    }
}

/// Checks a page of pulled entries: each extends the one before, from `head` on.
///
/// # Errors
/// The first entry that does not.
pub fn follow_page(head: &Head, entries: &[Entry]) -> Result<Head, ChainFault> {
    let mut head = *head;
    for entry in entries {
        entry.extends(&head)?;
        head = entry.header.head();
    }
    Ok(head)
}
