//! Why a step of the vault cannot be done, and whose fault that is.

use entente_client_core::goal::GoalId;
use entente_client_core::invite::InviteId;
use entente_client_core::person::PinFault;
use entente_client_core::room::RoomState;
use entente_groups::{KeyPackageFault, MemberFault, MessageId, RoomId, RuleFault, StateFault};
use entente_identity::{AccountDid, AccountFault};
use rusqlite::ErrorCode;

use crate::profile::ProfileFault;

/// Why a step cannot be done. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The profile's folder.
    #[error(transparent)]
    Profile(#[from] ProfileFault),
    /// The key does not open the database.
    #[error("the passphrase or key does not open this vault")]
    WrongKey,
    /// Made by a newer client.
    #[error(
        "the vault was made by a newer client (version {found}, this one knows {known}); update it"
    )]
    Newer {
        /// The vault's version.
        found: u32,
        /// The newest version that is known here.
        known: u32,
    },
    /// Another process has held the vault for too long.
    #[error("another process is using the vault; try again")]
    Busy,
    /// The disk.
    #[error("the vault cannot be written: the disk is full")]
    DiskFull,
    /// The database says no.
    #[error("the vault's database failed: {0}")]
    Database(String),
    /// A row cannot be what was stored.
    #[error("the vault is damaged: {0}; restore it from a backup")]
    Damaged(&'static str),
    /// No account yet.
    #[error("this profile has no account; run `register` first")]
    NotRegistered,
    /// There is an account already.
    #[error("this profile is {0}'s already; use another profile folder for another account")]
    AlreadyRegistered(String),
    /// No such room.
    #[error("there is no room {0} in this profile")]
    NoSuchRoom(RoomId),
    /// No such message.
    #[error("there is no message {0} in this room")]
    NoSuchMessage(MessageId),
    /// No such invitation, or not an open one.
    #[error("there is no open invitation {}", .0.0)]
    NoSuchInvite(InviteId),
    /// No such goal.
    #[error("there is no goal {}", .0.0)]
    NoSuchGoal(GoalId),
    /// The room is not in a state in which this can be done.
    #[error("{}", room_state_sentence(*.0))]
    RoomState(RoomState),
    /// The account is in the room already.
    #[error("{0} is in the room already")]
    AlreadyMember(AccountDid),
    /// None of the account's devices can be sealed to.
    #[error("{0} has no device to which an invitation can be sealed")]
    NoUsableDevice(AccountDid),
    /// The account is not in the room.
    #[error("{0} is not in the room")]
    NotInRoom(AccountDid),
    /// The room's policy does not let this account do it.
    #[error("the room does not let you do this: {0}")]
    NotAllowed(RuleFault),
    /// The content is too long.
    #[error("a message has at most {limit} bytes, this has {got}")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
        /// Its length, in bytes.
        got: usize,
    },
    /// A handle or account is not what it was.
    #[error(transparent)]
    Pin(#[from] PinFault),
    /// An account's statements do not hold together.
    #[error(transparent)]
    Account(#[from] AccountFault),
    /// A KeyPackage that must not be used.
    #[error(transparent)]
    KeyPackage(#[from] KeyPackageFault),
    /// A KeyPackage of somebody else, or of a device that its account does not list.
    #[error("the server gave a KeyPackage that is not one of {0}'s devices'")]
    ForeignKeyPackage(AccountDid),
    /// MLS says no.
    #[error("{0}")]
    Member(MemberFault),
    /// The stored MLS state is damaged.
    #[error(transparent)]
    State(#[from] StateFault),
}

fn room_state_sentence(state: RoomState) -> &'static str {
    match state {
        RoomState::Creating => "the room's hub has not confirmed the room yet; try again shortly",
        RoomState::Joining => "the room's hub has not let this device in yet; try again shortly",
        RoomState::Active => "you are in this room already",
        RoomState::Leaving => "you are leaving this room",
        RoomState::Left => "you have left this room; it takes a new invitation to come back",
        RoomState::Removed => "you are no longer a member of this room",
        RoomState::Broken => "this device has lost track of the room; run `resync` for it",
        RoomState::Frozen => {
            "the room's hub showed contradictory histories, so the room is frozen; ask the other \
             members, then run `resync` to accept what the hub shows now"
        }
    }
}

impl From<MemberFault> for VaultError {
    fn from(fault: MemberFault) -> Self {
        match fault {
            MemberFault::Rule(rule) => rule.into(),
            MemberFault::Removed => Self::RoomState(RoomState::Removed),
            MemberFault::Leaving => Self::RoomState(RoomState::Leaving),
            MemberFault::NoSuchMember(account) => Self::NotInRoom(account),
            MemberFault::KeyPackage(fault) => Self::KeyPackage(fault),
            MemberFault::State(fault) => Self::State(fault),
            other => Self::Member(other),
        }
    }
}

impl From<RuleFault> for VaultError {
    fn from(fault: RuleFault) -> Self {
        Self::NotAllowed(fault)
    }
}

impl From<rusqlite::Error> for VaultError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => Self::WrongKey,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::DiskFull,
            _ => Self::Database(error.to_string()),
        }
    }
}
