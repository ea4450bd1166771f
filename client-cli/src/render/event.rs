//! What happens while one listens.

use std::collections::HashMap;

use entente_sdk::{
    ConnectionState, Event, EventRecord, Meaning, MembershipChange, MessageState, Problem, RoomId,
    RoomSummary, UnixMillis,
};
use serde::Serialize;

use super::message::{MessageFact, StateFact};
use super::room::room_name;
use super::screen::{BAD, FAINT, Fact, GOOD, STRONG, WARNING};
use super::{inert, moment};

/// Names of rooms, by which people know them.
#[derive(Debug, Default)]
pub struct RoomNames(HashMap<RoomId, String>);

/// An event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum EventFact {
    /// A message.
    Message {
        /// The message.
        #[serde(flatten)]
        message: Box<MessageFact>,
        /// The room's name, where several are listened to.
        #[serde(skip_serializing_if = "Option::is_none")]
        room: Option<String>,
    },
    /// Anything else.
    Other(Other),
}

/// An event that is no message.
#[derive(Debug, Serialize)]
pub struct Other {
    position: u64,
    time_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    room_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<String>,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum What {
    MessageState {
        message_id: String,
        #[serde(flatten)]
        state: StateFact,
    },
    Delivered {
        seq: u64,
    },
    Membership {
        change: &'static str,
        handle: String,
        account: String,
        by_account: Option<String>,
    },
    RoomProfile {
        name: String,
        topic: String,
    },
    RoomPolicy,
    RoomState {
        state: &'static str,
    },
    Invite {
        invite_id: u32,
        name: String,
        inviter: String,
        inviter_account: String,
        expires_ms: u64,
    },
    Problem {
        text: String,
    },
    Connection {
        connection: &'static str,
        detail: Option<String>,
    },
}

impl RoomNames {
    /// The names as they are now.
    #[must_use]
    pub fn of(rooms: &[RoomSummary]) -> Self {
        Self(
            rooms
                .iter()
                .map(|room| (room.id, room.name.clone()))
                .collect(),
        )
    }

    /// Learns from an event what a room is called.
    pub fn learn(&mut self, event: &Event) {
        if let Event::RoomProfile { room, name, .. } = event {
            self.0.insert(*room, name.clone());
        }
    }

    fn name(&self, room: &RoomId) -> Option<String> {
        self.0.get(room).filter(|name| !name.is_empty()).cloned()
    }
}

impl EventFact {
    /// An event; rooms are named where `names` knows them.
    #[must_use]
    pub fn new(record: &EventRecord, names: &RoomNames) -> Self {
        if let Event::Message(message) = &record.event {
            return Self::Message {
                message: Box::new(MessageFact::live(message, Some(record.position))),
                room: names.name(&message.room),
            };
        }
        let room = room_of(&record.event);
        Self::Other(Other {
            position: record.position,
            time_ms: record.time.0,
            room_id: room.map(|room| room.to_string()),
            room: room.and_then(|room| names.name(&room)),
            what: What::from(&record.event),
        })
    }
}

/// The room that an event is about.
#[must_use]
pub fn room_of(event: &Event) -> Option<RoomId> {
    match event {
        Event::Message(message) => Some(message.room),
        Event::MessageState { room, .. }
        | Event::Delivered { room, .. }
        | Event::Membership { room, .. }
        | Event::RoomProfile { room, .. }
        | Event::RoomPolicy { room, .. }
        | Event::RoomState { room, .. } => Some(*room),
        Event::Invite(invite) => Some(invite.room),
        Event::Problem(problem) => problem.room,
        Event::Connection(_) => None,
    }
}

/// Picks what people want to read of; scripts get everything.
#[derive(Debug)]
pub struct Picker {
    everything: bool,
    was_lost: bool,
}

impl Picker {
    /// Picks for people or for scripts.
    #[must_use]
    pub fn new(everything: bool) -> Self {
        Self {
            everything,
            was_lost: false,
        }
    }

    /// Whether an event is to be shown.
    pub fn wants(&mut self, event: &Event) -> bool {
        let for_people = match event {
            Event::Message(message) => !matches!(message.meaning(), Meaning::RoomProfile { .. }),
            Event::Membership { .. }
            | Event::RoomProfile { .. }
            | Event::RoomState { .. }
            | Event::Invite(_)
            | Event::Problem(_) => true,
            Event::MessageState { state, .. } => matches!(state, MessageState::Failed(_)),
            Event::Connection(state) => self.is_news(state),
            Event::Delivered { .. } | Event::RoomPolicy { .. } => false,
        };
        for_people || self.everything
    }

    /// That the connection is there is news only after it was lost.
    fn is_news(&mut self, state: &ConnectionState) -> bool {
        match state {
            ConnectionState::Offline | ConnectionState::Connecting => false,
            ConnectionState::Online { .. } => std::mem::take(&mut self.was_lost),
            ConnectionState::Waiting { .. } | ConnectionState::Rejected { .. } => {
                self.was_lost = true;
                true
            }
        }
    }
}

/// The stable name of a connection's state, and what is to be said about it.
#[must_use]
pub fn connection_words(state: &ConnectionState) -> (&'static str, Option<String>) {
    match state {
        ConnectionState::Offline => ("offline", None),
        ConnectionState::Connecting => ("connecting", None),
        ConnectionState::Online { .. } => ("online", None),
        ConnectionState::Waiting { reason, retry_in } => {
            let span = moment::span(u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX));
            ("waiting", Some(format!("{reason}; next try in {span}")))
        }
        ConnectionState::Rejected { reason } => ("rejected", Some(reason.clone())),
    }
}

impl From<&Event> for What {
    fn from(event: &Event) -> Self {
        match event {
            Event::Message(message) => Self::MessageState {
                message_id: message.id.to_string(),
                state: StateFact::from(&message.state),
            },
            Event::MessageState { id, state, .. } => Self::MessageState {
                message_id: id.to_string(),
                state: StateFact::from(state),
            },
            Event::Delivered { seq, .. } => Self::Delivered { seq: seq.0 },
            Event::Membership {
                account,
                handle,
                change,
                by,
                ..
            } => Self::Membership {
                change: change_name(*change),
                handle: handle.to_string(),
                account: account.to_string(),
                by_account: by.map(|by| by.to_string()),
            },
            Event::RoomProfile { name, topic, .. } => Self::RoomProfile {
                name: name.clone(),
                topic: topic.clone(),
            },
            Event::RoomPolicy { .. } => Self::RoomPolicy,
            Event::RoomState { state, .. } => Self::RoomState {
                state: state.name(),
            },
            Event::Invite(invite) => Self::Invite {
                invite_id: invite.id.0,
                name: invite.name.clone(),
                inviter: invite.inviter_handle.to_string(),
                inviter_account: invite.inviter.to_string(),
                expires_ms: invite.expires.0,
            },
            Event::Problem(Problem { text, .. }) => Self::Problem { text: text.clone() },
            Event::Connection(state) => {
                let (connection, detail) = connection_words(state);
                Self::Connection { connection, detail }
            }
        }
    }
}

impl Fact for EventFact {
    fn text(&self, now: UnixMillis) -> String {
        match self {
            Self::Message { message, room } => match room {
                Some(room) => {
                    format!("{FAINT}{}{FAINT:#} {}", room_name(room), message.text(now))
                }
                None => message.text(now),
            },
            Self::Other(other) => other.text(now),
        }
    }
}

impl Fact for Other {
    fn text(&self, now: UnixMillis) -> String {
        let told = self.what.text(now);
        match &self.room {
            Some(_) if matches!(self.what, What::Invite { .. }) => told,
            Some(room) => format!("{FAINT}{}{FAINT:#} {told}", room_name(room)),
            None => told,
        }
    }
}

impl What {
    fn text(&self, now: UnixMillis) -> String {
        match self {
            Self::MessageState { state, .. } => format!("your message: {}", state.mark()),
            Self::Delivered { seq } => format!("{FAINT}delivered up to {seq}{FAINT:#}"),
            Self::Membership { change, handle, .. } => {
                format!(
                    "{FAINT}·{FAINT:#} {STRONG}{handle}{STRONG:#} {}",
                    change_words(change)
                )
            }
            Self::RoomProfile { name, topic } if topic.is_empty() => {
                format!("{FAINT}·{FAINT:#} the room is called {}", room_name(name))
            }
            Self::RoomProfile { name, topic } => {
                let topic = inert::line(topic);
                format!(
                    "{FAINT}·{FAINT:#} the room is called {}: {topic}",
                    room_name(name)
                )
            }
            Self::RoomPolicy => format!("{FAINT}· the room's rules changed{FAINT:#}"),
            Self::RoomState { state } => format!("{FAINT}·{FAINT:#} the room is now {state}"),
            Self::Invite {
                name,
                inviter,
                invite_id,
                expires_ms,
                ..
            } => {
                let until = moment::until(UnixMillis(*expires_ms), now);
                format!(
                    "{GOOD}✉{GOOD:#} {STRONG}{inviter}{STRONG:#} invites you to {}, expires {until}: \
                     `entente room join {invite_id}`",
                    room_name(name)
                )
            }
            Self::Problem { text } => format!("{BAD}! {}{BAD:#}", inert::line(text)),
            Self::Connection { connection, detail } => {
                let detail = detail.as_deref().map(inert::line);
                let detail = detail.map_or_else(String::new, |text| format!(": {text}"));
                format!("{WARNING}· {connection}{detail}{WARNING:#}")
            }
        }
    }
}

fn change_name(change: MembershipChange) -> &'static str {
    match change {
        MembershipChange::Joined => "joined",
        MembershipChange::Added => "added",
        MembershipChange::Left => "left",
        MembershipChange::Removed => "removed",
        MembershipChange::Returned => "returned",
    }
}

fn change_words(change: &str) -> &'static str {
    match change {
        "joined" => "joined",
        "added" => "was added",
        "left" => "left",
        "removed" => "was removed",
        _ => "came back",
    }
}
