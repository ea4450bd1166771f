//! Why something could not be done, and whose turn it is.

use entente_client_core::message::MessageState;
use entente_discovery::{DocumentError, FetchError, SetupError};
use entente_protocol::fault::{Fault, FaultCode};
use entente_vault::VaultError;

/// What the operations of this crate come to.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The vault, or a rule that it holds, says no.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A server says no.
    #[error("{}", .0.detail)]
    Refused(Fault),
    /// A server cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// It took too long; it goes on in the background, and is taken up again later.
    #[error("{what} is not done yet; it goes on whenever this profile is online")]
    TimedOut {
        /// What.
        what: String,
    },
    /// A message did not get as far as was waited for.
    #[error("the message is {} so far; it goes on whenever this profile is online", .state.name())]
    MessageTimedOut {
        /// How far it got.
        state: MessageState,
    },
    /// A message was given up.
    #[error("the message was not delivered: {}", .0.meaning())]
    MessageFailed(FaultCode),
    /// No room of that name or id.
    #[error("there is no room `{0}`; `room list` shows the rooms")]
    NoSuchRoom(String),
    /// Several rooms of that name or prefix.
    #[error("`{0}` may be several rooms; use more digits of the id that `room list` shows")]
    AmbiguousRoom(String),
    /// Nobody publishes that handle.
    #[error("{0}")]
    NoSuchPerson(String),
    /// A room's rules do not allow it.
    #[error("{0}")]
    NotAllowed(String),
    /// The homeserver does not let this device in, or is not the one that it was.
    #[error("{0}")]
    Rejected(String),
    /// Something does not add up.
    #[error("{0}")]
    Integrity(String),
    /// The network settings cannot be used.
    #[error("{0}")]
    Setup(String),
    /// The client's own thread is gone.
    #[error("the client has stopped")]
    Stopped,
}

/// Whose turn it is after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// A bug or a broken disk.
    Internal,
    /// A bad argument.
    Usage,
    /// No profile, the wrong key, permissions.
    Profile,
    /// The network, or a server that is away.
    Unreachable,
    /// A server said no.
    Refused,
    /// No such room or person, or not a member.
    NotMember,
    /// Something does not add up.
    Integrity,
}

impl ErrorClass {
    /// The exit code of a program that fails so.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Profile => 3,
            Self::Unreachable => 4,
            Self::Refused => 5,
            Self::NotMember => 6,
            Self::Integrity => 7,
        }
    }
}

impl Error {
    /// Whose turn it is.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Vault(error) => vault_class(error),
            Self::Refused(fault) => fault_class(fault.code),
            Self::MessageFailed(code) => fault_class(*code),
            Self::Unreachable(_) | Self::TimedOut { .. } | Self::MessageTimedOut { .. } => {
                ErrorClass::Unreachable
            }
            Self::NoSuchRoom(_) | Self::NoSuchPerson(_) => ErrorClass::NotMember,
            Self::AmbiguousRoom(_) | Self::Setup(_) => ErrorClass::Usage,
            Self::NotAllowed(_) => ErrorClass::Refused,
            Self::Integrity(_) | Self::Rejected(_) => ErrorClass::Integrity,
            Self::Stopped => ErrorClass::Internal,
        }
    }

    /// Whether it says something about the node of the homeserver that was asked, and not about the
    /// homeserver: another of its addresses may fare better.
    pub(crate) fn is_of_one_node(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(fault) => fault.code.is_of_one_node(),
            _ => false,
        }
    }

    /// The refusal of a server, if it was one.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Refused(fault) => Some(fault),
            _ => None,
        }
    }
}

fn fault_class(code: FaultCode) -> ErrorClass {
    match code {
        FaultCode::PeerUnreachable | FaultCode::Busy | FaultCode::Timeout => {
            ErrorClass::Unreachable
        }
        FaultCode::NoSuchRoom | FaultCode::NotMember | FaultCode::NoSuchAccount => {
            ErrorClass::NotMember
        }
        FaultCode::PeerMisbehaved => ErrorClass::Integrity,
        _ => ErrorClass::Refused,
    }
}

fn vault_class(error: &VaultError) -> ErrorClass {
    match error {
        VaultError::Profile(_)
        | VaultError::WrongKey
        | VaultError::Newer { .. }
        | VaultError::NotRegistered
        | VaultError::AlreadyRegistered(_) => ErrorClass::Profile,
        VaultError::Busy | VaultError::DiskFull | VaultError::Database(_) => ErrorClass::Internal,
        VaultError::Damaged(_) | VaultError::State(_) => ErrorClass::Internal,
        VaultError::NoSuchRoom(_)
        | VaultError::NoSuchMessage(_)
        | VaultError::NoSuchInvite(_)
        | VaultError::NotInRoom(_)
        | VaultError::RoomState(_) => ErrorClass::NotMember,
        VaultError::Pin(_) | VaultError::Account(_) | VaultError::ForeignKeyPackage(_) => {
            ErrorClass::Integrity
        }
        VaultError::NotAllowed(_) => ErrorClass::Refused,
        VaultError::NoSuchGoal(_)
        | VaultError::AlreadyMember(_)
        | VaultError::NoUsableDevice(_)
        | VaultError::TooLarge { .. }
        | VaultError::KeyPackage(_)
        | VaultError::Member(_) => ErrorClass::Usage,
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

impl From<SetupError> for Error {
    fn from(error: SetupError) -> Self {
        Self::Setup(error.to_string())
    }
}

impl From<DocumentError> for Error {
    fn from(error: DocumentError) -> Self {
        let text = error.to_string();
        match error {
            DocumentError::Fetch(FetchError::Status(404 | 410)) => {
                let text = "nobody publishes that handle; check its spelling";
                Self::NoSuchPerson(text.to_owned())
            }
            DocumentError::Fetch(_) => Self::Unreachable(text),
            DocumentError::Document(_) => Self::Integrity(text),
        }
    }
}
