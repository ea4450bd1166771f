//! What the client prints for scripts, as far as the plays need it.

use serde::Deserialize;

/// A message in somebody's history.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// The room.
    pub room_id: String,
    /// The message's id.
    pub message_id: String,
    /// How far it has come.
    pub state: String,
    /// Its position in the room's log, once it has one.
    pub seq: Option<u64>,
    /// The sender's handle.
    pub sender: String,
    /// Whether the reader sent it.
    pub own: bool,
    /// What kind of message.
    pub kind: String,
    /// What it says.
    pub text: Option<String>,
}

/// What became of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Sent {
    /// The message's id.
    pub message_id: String,
    /// How far it came.
    pub state: String,
    /// Its position in the room's log, once it has one.
    pub seq: Option<u64>,
}

/// A room in somebody's list.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Room {
    /// Its id.
    pub room_id: String,
    /// Its name.
    pub name: String,
    /// Where it stands for this person.
    pub state: String,
    /// Its cipher suite, as MLS names it.
    pub mls_suite: String,
    /// How many accounts are in it.
    pub members: usize,
    /// Its epoch.
    pub epoch: u64,
    /// Messages of others that this person was not shown yet.
    pub unread: u32,
}

impl Line {
    /// Whether somebody said something, in contrast to naming the room and the like.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.kind == "text"
    }
}
