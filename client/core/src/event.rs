//! What happened, as a person or a script wants to hear of it.
//!
//! An [`Occurrence`] is a row in the vault, written in the transaction of what it tells; an [`Event`]
//! is what a reader of those rows is shown. Messages are referred to by their row, not copied.

use std::net::SocketAddr;
use std::time::Duration;

use entente_groups::{MessageId, RoomId};
use entente_identity::{AccountDid, Handle, UnixMillis};
use entente_protocol::entry::{Seq, Term};
use entente_protocol::fault::FaultCode;
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::invite::{Invite, InviteId};
use crate::message::{LogPosition, Message, MessageState};
use crate::room::RoomState;

/// Something that happened, with its place in the order of this vault.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRecord {
    /// Counts up within a vault; 0 for what is not stored.
    pub position: u64,
    /// When this vault noted it.
    pub time: UnixMillis,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most events are messages, and none is kept for long"
)]
pub enum Event {
    /// A message came, or was written on this device.
    Message(Message),
    /// An own message went on.
    MessageState {
        /// The room.
        room: RoomId,
        /// The message.
        id: MessageId,
        /// How far it has come.
        state: MessageState,
    },
    /// Every homeserver has the room's log up to here.
    Delivered {
        /// The room.
        room: RoomId,
        /// The position.
        seq: Seq,
    },
    /// Somebody came or went.
    Membership {
        /// The room.
        room: RoomId,
        /// Who.
        account: AccountDid,
        /// The handle that the account's home record names.
        handle: Handle,
        /// How.
        change: MembershipChange,
        /// Who did it, where it was another one.
        by: Option<AccountDid>,
    },
    /// The room has a name and a topic, perhaps new ones.
    RoomProfile {
        /// The room.
        room: RoomId,
        /// The name.
        name: String,
        /// The topic.
        topic: String,
        /// Who posted them.
        by: AccountDid,
    },
    /// Roles or rights changed.
    RoomPolicy {
        /// The room.
        room: RoomId,
        /// Who changed them.
        by: AccountDid,
    },
    /// This device's part in a room changed.
    RoomState {
        /// The room.
        room: RoomId,
        /// Where it stands now.
        state: RoomState,
    },
    /// Somebody invites this account.
    Invite(Invite),
    /// Something is wrong.
    Problem(Problem),
    /// The connection to the own homeserver changed; this process only, not stored.
    Connection(ConnectionState),
}

/// Something that a person should know about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The room that it concerns, if one.
    pub room: Option<RoomId>,
    /// What kind.
    pub kind: ProblemKind,
    /// What happened and what to do, for a person.
    pub text: String,
}

/// How somebody came or went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum MembershipChange {
    /// Came with a ticket.
    Joined = 1,
    /// Was added.
    Added = 2,
    /// Asked to leave; the hub cuts it off at once.
    Left = 3,
    /// Was removed.
    Removed = 4,
    /// A device came back after it had lost its place.
    Returned = 5,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum ProblemKind {
    /// The hub showed two histories of a room.
    Forked = 1,
    /// Entries of a room's log are missing.
    Gap = 2,
    /// The origin server named another sender than the message's own signature.
    SenderMismatch = 3,
    /// The hub described a change of members differently from the change itself.
    RosterMismatch = 4,
    /// A message could not be read.
    Unreadable = 5,
    /// The hub ordered a commit that breaks the room's rules.
    RuleBroken = 6,
    /// This device lost track of the group.
    LostTrack = 7,
    /// A handle or an account is not what it was.
    IdentityChanged = 8,
    /// A Welcome or an invitation could not be used.
    Unusable = 9,
    /// A change that was wanted in a room was not made.
    ChangeFailed = 10,
    /// A member says that it saw another history.
    SeenElsewhere = 11,
    /// The own homeserver said something that cannot be.
    ServerMisbehaved = 12,
    /// Messages of a while could not be read by this device.
    Missed = 13,
}

/// How the own homeserver is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Not asked for.
    Offline,
    /// Looking it up, dialling, logging in.
    Connecting,
    /// Logged in.
    Online {
        /// The address.
        address: SocketAddr,
        /// The key exchange of the TLS connection.
        key_exchange: String,
        /// The round trip as QUIC estimates it.
        round_trip: Duration,
    },
    /// Not reachable; another try follows.
    Waiting {
        /// Why, for a person.
        reason: String,
        /// When the next try begins.
        retry_in: Duration,
    },
    /// The server or its identity is refused, or refuses this device; slow tries follow.
    Rejected {
        /// Why, for a person.
        reason: String,
    },
}

/// What happened, as stored.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
#[repr(u8)]
pub enum Occurrence {
    /// A message row.
    #[tls_codec(discriminant = 1)]
    Message(u64),
    /// An own message row went on.
    #[tls_codec(discriminant = 2)]
    State(StateChange),
    /// A watermark.
    #[tls_codec(discriminant = 3)]
    Delivered(DeliveredUpTo),
    /// Somebody came or went.
    #[tls_codec(discriminant = 4)]
    Membership(MembershipNote),
    /// A room's profile.
    #[tls_codec(discriminant = 5)]
    Profile(ProfileNote),
    /// A room's policy.
    #[tls_codec(discriminant = 6)]
    Policy(PolicyNote),
    /// This device's part in a room.
    #[tls_codec(discriminant = 7)]
    RoomState(RoomStateNote),
    /// An invitation row.
    #[tls_codec(discriminant = 8)]
    Invite(u32),
    /// Something is wrong.
    #[tls_codec(discriminant = 9)]
    Problem(ProblemNote),
}

/// An own message went on.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct StateChange {
    /// The message's row.
    pub row: u64,
    /// Its state.
    pub state: StoredState,
}

/// A [`MessageState`] in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct StoredState {
    /// 0 waiting, 1 stored, 2 ordered, 3 delivered, 4 failed.
    pub number: u8,
    /// Term and position, where it has them.
    pub at: Option<(Term, Seq)>,
    /// Why it failed, as a [`FaultCode`]'s number; else zero.
    pub fault: u16,
}

/// A watermark.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct DeliveredUpTo {
    /// The room.
    pub room: RoomId,
    /// The position.
    pub seq: Seq,
}

/// Somebody came or went.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct MembershipNote {
    /// The room.
    pub room: RoomId,
    /// Who.
    pub account: AccountDid,
    /// The account's handle.
    pub handle: Handle,
    /// How.
    pub change: MembershipChange,
    /// Who did it, where it was another one.
    pub by: Option<AccountDid>,
}

/// A room's profile.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct ProfileNote {
    /// The room.
    pub room: RoomId,
    /// The name, UTF-8.
    pub name: VLBytes,
    /// The topic, UTF-8.
    pub topic: VLBytes,
    /// Who posted it.
    pub by: AccountDid,
}

/// A room's policy changed.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct PolicyNote {
    /// The room.
    pub room: RoomId,
    /// Who changed it.
    pub by: AccountDid,
}

/// This device's part in a room changed.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct RoomStateNote {
    /// The room.
    pub room: RoomId,
    /// A [`RoomState`]'s number.
    pub state: u8,
}

/// Something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct ProblemNote {
    /// The room that it concerns, if one.
    pub room: Option<RoomId>,
    /// What kind.
    pub kind: ProblemKind,
    /// What happened and what to do, UTF-8.
    pub text: VLBytes,
}

impl From<MessageState> for StoredState {
    fn from(state: MessageState) -> Self {
        let (number, fault) = match state {
            MessageState::Waiting => (0, 0),
            MessageState::Stored => (1, 0),
            MessageState::Ordered(_) => (2, 0),
            MessageState::Delivered(_) => (3, 0),
            MessageState::Failed(code) => (4, code as u16),
        };
        Self {
            number,
            at: state.position().map(|at| (at.term, at.seq)),
            fault,
        }
    }
}

impl StoredState {
    /// The state, if the numbers are one.
    #[must_use]
    pub fn state(self) -> Option<MessageState> {
        let at = self.at.map(|(term, seq)| LogPosition { term, seq });
        match (self.number, at) {
            (0, None) => Some(MessageState::Waiting),
            (1, None) => Some(MessageState::Stored),
            (2, Some(at)) => Some(MessageState::Ordered(at)),
            (3, Some(at)) => Some(MessageState::Delivered(at)),
            (4, None) => FaultCode::from_number(self.fault).map(MessageState::Failed),
            _ => None,
        }
    }
}

impl Occurrence {
    /// A problem.
    #[must_use]
    pub fn problem(room: Option<RoomId>, kind: ProblemKind, text: &str) -> Self {
        Self::Problem(ProblemNote {
            room,
            kind,
            text: text.as_bytes().into(),
        })
    }

    /// What the occurrence tells, or which row has to be looked up for it.
    #[must_use]
    pub fn told(&self) -> Told {
        let event = match self {
            Self::Message(row) => return Told::Message(*row),
            Self::State(change) => return Told::State(change.row, change.state),
            Self::Invite(id) => return Told::Invite(InviteId(*id)),
            Self::Delivered(note) => Event::Delivered {
                room: note.room,
                seq: note.seq,
            },
            Self::Membership(note) => Event::Membership {
                room: note.room,
                account: note.account,
                handle: note.handle.clone(),
                change: note.change,
                by: note.by,
            },
            Self::Profile(note) => Event::RoomProfile {
                room: note.room,
                name: text(&note.name),
                topic: text(&note.topic),
                by: note.by,
            },
            Self::Policy(note) => Event::RoomPolicy {
                room: note.room,
                by: note.by,
            },
            Self::RoomState(note) => match RoomState::from_number(note.state) {
                Some(state) => Event::RoomState {
                    room: note.room,
                    state,
                },
                None => return Told::Nothing,
            },
            Self::Problem(note) => Event::Problem(Problem {
                room: note.room,
                kind: note.kind,
                text: text(&note.text),
            }),
        };
        Told::Event(Box::new(event))
    }
}

/// What an occurrence tells, or which row has to be looked up for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// All of it.
    Event(Box<Event>),
    /// A message row.
    Message(u64),
    /// A message row and the state that it got.
    State(u64, StoredState),
    /// An invitation row.
    Invite(InviteId),
    /// Nothing that this software understands.
    Nothing,
}

fn text(bytes: &VLBytes) -> String {
    String::from_utf8_lossy(bytes.as_slice()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_read_back() {
        let at = LogPosition {
            term: Term::FIRST,
            seq: Seq(9),
        };
        for state in [
            MessageState::Waiting,
            MessageState::Stored,
            MessageState::Ordered(at),
            MessageState::Delivered(at),
            MessageState::Failed(FaultCode::NotMember),
        ] {
            assert_eq!(StoredState::from(state).state(), Some(state));
        }
        let nonsense = StoredState {
            number: 2,
            at: None,
            fault: 0,
        };
        assert_eq!(nonsense.state(), None);
    }
}
