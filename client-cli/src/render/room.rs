//! Rooms, their members, invitations, and what changes them.

use entente_sdk::{Invite, InviteRight, Member, Role, RoomId, RoomSummary, UnixMillis};
use serde::Serialize;

use super::person::trust_name;
use super::screen::{FAINT, Fact, GOOD, Row, STRONG};
use super::{inert, moment};

/// How many digits of a room's id people get to see.
const SHOWN_ID_DIGITS: usize = 8;

/// A room.
#[derive(Debug, Serialize)]
pub struct RoomFact {
    room_id: String,
    name: String,
    topic: String,
    state: &'static str,
    suite: &'static str,
    mls_suite: &'static str,
    hub: String,
    epoch: u64,
    members: usize,
    role: &'static str,
    invite: &'static str,
    seq: u64,
    delivered_seq: u64,
    last_message_ms: Option<u64>,
    unread: u32,
    waiting: u32,
}

/// An account in a room.
#[derive(Debug, Serialize)]
pub struct MemberFact {
    handle: String,
    account: String,
    trust: &'static str,
    role: &'static str,
    home: String,
    device_ids: Vec<String>,
    own: bool,
}

/// An invitation.
#[derive(Debug, Serialize)]
pub struct InviteFact {
    invite_id: u32,
    room_id: String,
    name: String,
    topic: String,
    hub: String,
    inviter: String,
    inviter_account: String,
    inviter_trust: &'static str,
    received_ms: u64,
    expires_ms: u64,
}

/// Something that was done to a room.
#[derive(Debug, Serialize)]
pub struct RoomDeed {
    room_id: String,
    name: String,
    #[serde(flatten)]
    what: Deed,
}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(tag = "done", rename_all = "snake_case")]
pub enum Deed {
    /// The room was founded.
    Created,
    /// Somebody was invited.
    Invited {
        /// Whom.
        handle: String,
        /// Whom, lastingly.
        account: String,
    },
    /// Somebody was added.
    Added {
        /// Whom.
        handle: String,
        /// Whom, lastingly.
        account: String,
    },
    /// The person joined.
    Joined,
    /// The person left.
    Left,
    /// Somebody was removed.
    Removed {
        /// Whom.
        handle: String,
    },
    /// The device came back.
    Resynced,
}

impl From<RoomSummary> for RoomFact {
    fn from(room: RoomSummary) -> Self {
        Self {
            room_id: room.id.to_string(),
            name: room.name,
            topic: room.topic,
            state: room.state.name(),
            suite: room.suite.name(),
            mls_suite: room.suite.mls_name(),
            hub: room.hub.domain().to_string(),
            epoch: room.epoch.0,
            members: room.members,
            role: role_name(room.role),
            invite: match room.invite {
                InviteRight::Members => "members",
                InviteRight::Admins => "admins",
            },
            seq: room.cursor.0,
            delivered_seq: room.delivered.0,
            last_message_ms: room.last_message.map(|time| time.0),
            unread: room.unread,
            waiting: room.waiting,
        }
    }
}

impl From<Member> for MemberFact {
    fn from(member: Member) -> Self {
        Self {
            handle: member.handle.to_string(),
            account: member.account.to_string(),
            trust: trust_name(member.trust),
            role: role_name(member.role),
            home: member.home.domain().to_string(),
            device_ids: member.devices.iter().map(ToString::to_string).collect(),
            own: member.own,
        }
    }
}

impl From<&Invite> for InviteFact {
    fn from(invite: &Invite) -> Self {
        Self {
            invite_id: invite.id.0,
            room_id: invite.room.to_string(),
            name: invite.name.clone(),
            topic: invite.topic.clone(),
            hub: invite.hub.domain().to_string(),
            inviter: invite.inviter_handle.to_string(),
            inviter_account: invite.inviter.to_string(),
            inviter_trust: trust_name(invite.inviter_trust),
            received_ms: invite.received.0,
            expires_ms: invite.expires.0,
        }
    }
}

impl RoomDeed {
    /// Something that was done to the room of this id and name.
    #[must_use]
    pub fn new(room: RoomId, name: &str, what: Deed) -> Self {
        Self {
            room_id: room.to_string(),
            name: name.to_owned(),
            what,
        }
    }
}

impl Row for RoomFact {
    const HEADER: &'static [&'static str] = &[
        "ROOM",
        "ID",
        "STATE",
        "MEMBERS",
        "UNREAD",
        "LAST MESSAGE",
        "HUB",
        "SUITE",
    ];

    fn cells(&self, now: UnixMillis) -> Vec<String> {
        let last = self.last_message_ms;
        vec![
            room_name(&self.name),
            short_id(&self.room_id).to_owned(),
            self.state.to_owned(),
            self.members.to_string(),
            self.unread.to_string(),
            last.map_or_else(|| "-".to_owned(), |ms| moment::ago(UnixMillis(ms), now)),
            self.hub.clone(),
            self.suite.to_owned(),
        ]
    }
}

impl Row for MemberFact {
    const HEADER: &'static [&'static str] = &["MEMBER", "ROLE", "VERIFIED", "DEVICES", "ACCOUNT"];

    fn cells(&self, _: UnixMillis) -> Vec<String> {
        let own = if self.own { " (you)" } else { "" };
        let verified = match self.trust {
            "confirmed" => "✓",
            "contradicted" => "✗ another account's name",
            _ => "not yet",
        };
        vec![
            format!("{}{own}", self.handle),
            self.role.to_owned(),
            verified.to_owned(),
            self.device_ids.len().to_string(),
            self.account.clone(),
        ]
    }
}

impl Row for InviteFact {
    const HEADER: &'static [&'static str] = &["INVITE", "ROOM", "FROM", "RECEIVED", "EXPIRES"];

    fn cells(&self, now: UnixMillis) -> Vec<String> {
        let doubt = match self.inviter_trust {
            "confirmed" => "",
            "contradicted" => " ✗ another account's name",
            _ => " (not verified)",
        };
        vec![
            self.invite_id.to_string(),
            room_name(&self.name),
            format!("{}{doubt}", self.inviter),
            moment::ago(UnixMillis(self.received_ms), now),
            moment::until(UnixMillis(self.expires_ms), now),
        ]
    }
}

impl Fact for RoomDeed {
    fn text(&self, _: UnixMillis) -> String {
        let id = short_id(&self.room_id);
        let room = format!("{STRONG}{}{STRONG:#}", room_name(&self.name));
        let told = match &self.what {
            Deed::Created => format!("founded {room} {FAINT}{id}{FAINT:#}"),
            Deed::Invited { handle, .. } => format!("invited {handle} to {room}"),
            Deed::Added { handle, .. } => format!("added {handle} to {room}"),
            Deed::Joined => format!("joined {room} {FAINT}{id}{FAINT:#}"),
            Deed::Left => format!("left {room}"),
            Deed::Removed { handle } => format!("removed {handle} from {room}"),
            Deed::Resynced => format!("came back into {room}"),
        };
        format!("{GOOD}✓{GOOD:#} {told}")
    }
}

/// A room's name as people read it.
#[must_use]
pub fn room_name(name: &str) -> String {
    if name.is_empty() {
        return "(not named yet)".to_owned();
    }
    inert::name(name)
}

/// The beginning of an id, enough to tell rooms apart.
#[must_use]
pub fn short_id(id: &str) -> &str {
    id.get(..SHOWN_ID_DIGITS).unwrap_or(id)
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Member => "member",
    }
}
