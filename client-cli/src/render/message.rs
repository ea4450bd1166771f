//! Messages: one line of conversation, and how far an own message has come.

use entente_sdk::{ContentId, FaultCode, Meaning, Message, MessageState, UnixMillis};
use serde::Serialize;

use super::person::{named, trust_name};
use super::screen::{BAD, FAINT, Fact, GOOD, WARNING};
use super::{inert, moment};

/// What stands before the further lines of a message.
const MARGIN: &str = "  │ ";

/// A message.
#[derive(Debug, Serialize)]
pub struct MessageFact {
    /// Always `message`.
    event: &'static str,
    /// Where it stands among this device's events, when it came as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    room_id: String,
    message_id: String,
    content_id: String,
    #[serde(flatten)]
    state: StateFact,
    sender: String,
    sender_account: String,
    sender_trust: &'static str,
    own: bool,
    time_ms: u64,
    #[serde(flatten)]
    says: Says,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_reply_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
    /// Whether the line says when, as in a history, or goes without, as it happens now.
    #[serde(skip)]
    dated: bool,
}

/// How far an own message has come.
#[derive(Debug, Serialize)]
pub struct SentFact {
    room_id: String,
    message_id: String,
    #[serde(flatten)]
    state: StateFact,
}

/// A message's state and position in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StateFact {
    state: &'static str,
    term: Option<u32>,
    seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'static str>,
}

/// What a message says.
#[derive(Debug, Serialize)]
struct Says {
    kind: &'static str,
    text: Option<String>,
}

impl MessageFact {
    /// A message of a history.
    #[must_use]
    pub fn dated(message: &Message) -> Self {
        Self::of(message, None, true)
    }

    /// A message as it comes in, with its position among this device's events.
    #[must_use]
    pub fn live(message: &Message, position: Option<u64>) -> Self {
        Self::of(message, position, false)
    }

    /// Whether people want to read it: members' devices tell newcomers the room's name again and
    /// again.
    #[must_use]
    pub fn is_for_people(&self) -> bool {
        self.says.kind != "room-profile"
    }

    fn of(message: &Message, position: Option<u64>, dated: bool) -> Self {
        let hex_id = |id: &ContentId| {
            use std::fmt::Write as _;
            id.0.iter().fold(String::new(), |mut out, byte| {
                write!(out, "{byte:02x}").expect("a String takes all text");
                out
            })
        };
        Self {
            event: "message",
            position,
            room_id: message.room.to_string(),
            message_id: message.id.to_string(),
            content_id: hex_id(&message.content_id),
            state: StateFact::from(&message.state),
            sender: message.sender.handle.to_string(),
            sender_account: message.sender.account.to_string(),
            sender_trust: trust_name(message.sender.trust),
            own: message.own,
            time_ms: message.time.0,
            says: Says::from(message.meaning()),
            in_reply_to: message.content.in_reply_to.as_ref().map(hex_id),
            replaces: message.content.replaces.as_ref().map(hex_id),
            dated,
        }
    }

    fn said(&self) -> String {
        let text = self.says.text.as_deref().unwrap_or_default();
        let edits = self.replaces.is_some();
        match self.says.kind {
            "text" if edits => format!("{FAINT}(edited){FAINT:#} {}", inert::block(text, MARGIN)),
            "text" => inert::block(text, MARGIN),
            "reaction" => format!("{FAINT}reacts{FAINT:#} {}", inert::name(text)),
            "deleted" => format!("{FAINT}deleted a message{FAINT:#}"),
            "room-profile" => format!("{FAINT}named the room{FAINT:#} {}", inert::name(text)),
            _ => format!("{FAINT}[{}]{FAINT:#}", inert::name(text)),
        }
    }
}

impl SentFact {
    /// What became of `message` so far.
    #[must_use]
    pub fn new(message: &Message) -> Self {
        Self {
            room_id: message.room.to_string(),
            message_id: message.id.to_string(),
            state: StateFact::from(&message.state),
        }
    }
}

impl Fact for MessageFact {
    fn text(&self, now: UnixMillis) -> String {
        let sender = named(&self.sender, self.sender_trust);
        let when = if self.dated {
            let ago = moment::ago(UnixMillis(self.time_ms), now);
            format!("{FAINT}{ago:<10}{FAINT:#} ")
        } else {
            String::new()
        };
        let mark = if self.own {
            format!(" {}", self.state.mark())
        } else {
            String::new()
        };
        format!("{when}{sender}: {}{mark}", self.said())
    }
}

impl Fact for SentFact {
    fn text(&self, _: UnixMillis) -> String {
        let position = match self.state.seq {
            Some(seq) => format!(" {FAINT}as number {seq}{FAINT:#}"),
            None => String::new(),
        };
        format!("{} {}{position}", self.state.mark(), self.state.state)
    }
}

impl StateFact {
    /// The state as a mark behind a message.
    #[must_use]
    pub fn mark(&self) -> String {
        match self.state {
            "waiting" => format!("{WARNING}…{WARNING:#}"),
            "stored" => format!("{GOOD}✓{GOOD:#}"),
            "ordered" => format!("{GOOD}✓✓{GOOD:#}"),
            "delivered" => format!("{GOOD}✓✓✓{GOOD:#}"),
            _ => format!("{BAD}✗ {}{BAD:#}", self.refused.unwrap_or("failed")),
        }
    }
}

impl From<&MessageState> for StateFact {
    fn from(state: &MessageState) -> Self {
        let at = state.position();
        let refused = match state {
            MessageState::Failed(code) => Some(FaultCode::as_str(*code)),
            MessageState::Waiting
            | MessageState::Stored
            | MessageState::Ordered(_)
            | MessageState::Delivered(_) => None,
        };
        Self {
            state: state.name(),
            term: at.map(|at| at.term.0),
            seq: at.map(|at| at.seq.0),
            refused,
        }
    }
}

impl From<Meaning> for Says {
    fn from(meaning: Meaning) -> Self {
        let (kind, text) = match meaning {
            Meaning::Text(text) => ("text", Some(text)),
            Meaning::Reaction(text) => ("reaction", Some(text)),
            Meaning::Deleted => ("deleted", None),
            Meaning::RoomProfile { name, .. } => ("room-profile", Some(name)),
            Meaning::Unknown { kind } => ("unknown", Some(kind)),
        };
        Self { kind, text }
    }
}
