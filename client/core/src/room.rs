//! A room as one of its members keeps it.

use entente_groups::{Epoch, InviteRight, Role, RoomId, Suite};
use entente_identity::{AccountDid, DeviceId, Handle, ServerDid, UnixMillis};
use entente_protocol::entry::Seq;

use crate::message::HandleTrust;

/// Where a room stands for this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RoomState {
    /// Founded here; the hub has not answered yet.
    Creating = 1,
    /// Joining or coming back; the hub has not answered yet.
    Joining = 2,
    /// A member.
    Active = 3,
    /// Asked to leave; the hub has not answered yet.
    Leaving = 4,
    /// Left.
    Left = 5,
    /// Removed by somebody else.
    Removed = 6,
    /// This device lost track of the group and has to come back by a resync.
    Broken = 7,
    /// The hub showed two histories; nothing goes on before the person decides to resync.
    Frozen = 8,
}

/// What to know about a room at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomSummary {
    /// The room.
    pub id: RoomId,
    /// Its name; empty if not known yet.
    pub name: String,
    /// Its topic; empty if it has none.
    pub topic: String,
    /// Its cipher suite.
    pub suite: Suite,
    /// The homeserver that orders its log.
    pub hub: ServerDid,
    /// Where it stands for this device.
    pub state: RoomState,
    /// Its MLS epoch.
    pub epoch: Epoch,
    /// How many accounts are in it.
    pub members: usize,
    /// What this account may do.
    pub role: Role,
    /// Who may invite.
    pub invite: InviteRight,
    /// The last position of the log that this vault holds.
    pub cursor: Seq,
    /// The position up to which every homeserver has the log.
    pub delivered: Seq,
    /// When the last message came.
    pub last_message: Option<UnixMillis>,
    /// Messages of others after the last one marked as read.
    pub unread: u32,
    /// Own messages that the hub has not ordered yet.
    pub waiting: u32,
}

/// An account in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The account.
    pub account: AccountDid,
    /// The handle that its home record names.
    pub handle: Handle,
    /// How far that handle can be believed.
    pub trust: HandleTrust,
    /// What it may do.
    pub role: Role,
    /// Its homeserver.
    pub home: ServerDid,
    /// Its devices in the room.
    pub devices: Vec<DeviceId>,
    /// Whether it is this account.
    pub own: bool,
}

impl RoomState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Creating,
        Self::Joining,
        Self::Active,
        Self::Leaving,
        Self::Left,
        Self::Removed,
        Self::Broken,
        Self::Frozen,
    ];

    /// The state of a stored number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as u8 == number)
    }

    /// The state's stable name, as scripts see it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Joining => "joining",
            Self::Active => "active",
            Self::Leaving => "leaving",
            Self::Left => "left",
            Self::Removed => "removed",
            Self::Broken => "broken",
            Self::Frozen => "frozen",
        }
    }

    /// Whether entries of the room's log are processed.
    #[must_use]
    pub fn follows_log(self) -> bool {
        match self {
            Self::Active | Self::Leaving | Self::Joining | Self::Creating => true,
            Self::Left | Self::Removed | Self::Broken | Self::Frozen => false,
        }
    }

    /// Whether messages can be encrypted for the room.
    #[must_use]
    pub fn can_send(self) -> bool {
        self == Self::Active
    }

    /// Whether the device has no part in the room any more, so that it may join again.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Left | Self::Removed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_read_back() {
        for state in RoomState::ALL {
            assert_eq!(RoomState::from_number(state as u8), Some(state));
        }
        assert_eq!(RoomState::from_number(0), None);
    }
}
