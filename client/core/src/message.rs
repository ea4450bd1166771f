//! A message as its sender or reader keeps it, and how far it has come.

use entente_groups::{MessageId, RoomId};
use entente_identity::{AccountDid, Handle, UnixMillis};
use entente_protocol::content::{Content, ContentId, Meaning};
use entente_protocol::entry::{Seq, Term};
use entente_protocol::fault::FaultCode;

/// A position in a room's log, with the hub's term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition {
    /// The hub's term.
    pub term: Term,
    /// The position.
    pub seq: Seq,
}

/// How far a message has come. Its own device sees all of them, readers only the last two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// In this vault only.
    Waiting,
    /// On disk at the own homeserver, which owes it to the hub.
    Stored,
    /// In the room's log.
    Ordered(LogPosition),
    /// In the room's log at every homeserver with a member in the room.
    Delivered(LogPosition),
    /// Refused for good; nobody will read it.
    Failed(FaultCode),
}

/// The order of the states that a sender may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Milestone {
    /// In this vault.
    Waiting,
    /// On disk at the own homeserver.
    Stored,
    /// In the room's log.
    Ordered,
    /// At every homeserver with a member in the room.
    Delivered,
}

/// How far a handle can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandleTrust {
    /// The account says so; its server was not asked.
    Claimed,
    /// The account says so, and the handle's document names the account.
    Confirmed,
    /// The handle is known to be another account's.
    Contradicted,
}

/// Who sent a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The account.
    pub account: AccountDid,
    /// The handle that its home record named when the message came.
    pub handle: Handle,
    /// How far that handle can be believed.
    pub trust: HandleTrust,
}

/// A message in a room's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its number in this vault; never reused. Later messages of a room need not have higher ones.
    pub row: u64,
    /// The room.
    pub room: RoomId,
    /// The sender's id for it.
    pub id: MessageId,
    /// Its name for replies, edits and reactions.
    pub content_id: ContentId,
    /// Who sent it.
    pub sender: Sender,
    /// Whether this account sent it.
    pub own: bool,
    /// How far it has come.
    pub state: MessageState,
    /// When the hub ordered it; for one that is not ordered yet, when it was written.
    pub time: UnixMillis,
    /// What it says.
    pub content: Content,
}

impl MessageState {
    /// Where it stands in the log, if it does.
    #[must_use]
    pub fn position(&self) -> Option<LogPosition> {
        match self {
            Self::Ordered(at) | Self::Delivered(at) => Some(*at),
            Self::Waiting | Self::Stored | Self::Failed(_) => None,
        }
    }

    /// Whether it has come at least as far as `milestone`; a failed message has not come anywhere.
    #[must_use]
    pub fn has_reached(&self, milestone: Milestone) -> bool {
        let reached = match self {
            Self::Waiting => Milestone::Waiting,
            Self::Stored => Milestone::Stored,
            Self::Ordered(_) => Milestone::Ordered,
            Self::Delivered(_) => Milestone::Delivered,
            Self::Failed(_) => return false,
        };
        reached >= milestone
    }

    /// The state's stable name, as scripts see it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Stored => "stored",
            Self::Ordered(_) => "ordered",
            Self::Delivered(_) => "delivered",
            Self::Failed(_) => "failed",
        }
    }
}

impl Message {
    /// What it means to its reader.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        self.content.meaning()
    }
}

/// The name of a message's content within its room (draft-ietf-mimi-content §3.3).
#[must_use]
pub fn content_id(content: &Content, sender: &AccountDid, room: &RoomId) -> ContentId {
    content.id(&sender.to_string(), &room_uri(room))
}

/// A room's URI, as it stands in content ids.
fn room_uri(room: &RoomId) -> String {
    format!("entente://room/{room}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_reach_what_lies_behind_them() {
        let at = LogPosition {
            term: Term::FIRST,
            seq: Seq(3),
        };
        let reached = |state: MessageState| {
            let all = [
                Milestone::Waiting,
                Milestone::Stored,
                Milestone::Ordered,
                Milestone::Delivered,
            ];
            all.into_iter().filter(|m| state.has_reached(*m)).count()
        };
        assert_eq!(reached(MessageState::Failed(FaultCode::NotMember)), 0);
        assert_eq!(reached(MessageState::Waiting), 1);
        assert_eq!(reached(MessageState::Stored), 2);
        assert_eq!(reached(MessageState::Ordered(at)), 3);
        assert_eq!(reached(MessageState::Delivered(at)), 4);
    }
}
