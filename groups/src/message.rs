//! MLS messages, parsed once: what everyone may read of them, and no more than that.
//!
//! Handshakes travel as PublicMessage, application data as PrivateMessage; the other two combinations
//! are refused, as are trailing bytes and anything over its limit, before any cryptography.

use entente_identity::{Signed, decode_exact, encode};
use openmls::prelude::tls_codec::Deserialize as _;
use openmls::prelude::{
    ContentType, KeyPackageIn, MlsMessageBodyIn, MlsMessageIn, ProtocolMessage, RatchetTreeIn,
    Sender, Welcome, group_info::VerifiableGroupInfo,
};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::ids::{Epoch, LeafIndex, MessageId, RoomId};
use crate::ticket::Ticket;

/// Longest application message, in bytes, encrypted.
pub const MAX_APPLICATION_BYTES: usize = 1 << 20;
/// Longest commit, in bytes: one over 1,000 blank nodes of a post-quantum tree.
pub const MAX_HANDSHAKE_BYTES: usize = 3 << 20;
/// Longest proposal, in bytes: all that wait are handed to every joiner.
pub const MAX_PROPOSAL_BYTES: usize = 4 << 10;
/// Longest Welcome, in bytes.
pub const MAX_WELCOME_BYTES: usize = 1 << 20;
/// Longest GroupInfo, in bytes; it never holds the tree.
pub const MAX_GROUP_INFO_BYTES: usize = 64 << 10;
/// Longest KeyPackage, in bytes.
pub const MAX_KEY_PACKAGE_BYTES: usize = 32 << 10;
/// Longest ratchet tree, in bytes.
pub const MAX_TREE_BYTES: usize = 32 << 20;

/// The only version of [`Aad`] and [`JoinAad`].
const AAD_VERSION: u8 = 1;

/// What a sender binds to an application message, readable by servers (RFC 9420 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Aad {
    version: u8,
    /// The message's id: a ciphertext under another id does not decrypt.
    pub message_id: MessageId,
    /// Sequence number of the last entry that the sender had seen.
    pub seen_seq: u64,
    /// Hash of that entry, zero before the first.
    pub seen_hash: [u8; 32],
}

/// What a joiner binds to its external commit.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub(crate) struct JoinAad {
    version: u8,
    /// The ticket by which it joins; none when a device returns to its own leaf.
    pub(crate) ticket: Option<Signed<Ticket>>,
}

/// A message of a group.
#[derive(Debug, Clone)]
pub enum GroupMessage {
    /// Encrypted content.
    Application(ApplicationMessage),
    /// A proposal, in the open.
    Proposal(HandshakeMessage),
    /// A commit, in the open.
    Commit(HandshakeMessage),
}

/// An application message as servers see it.
#[derive(Debug, Clone)]
pub struct ApplicationMessage {
    /// The room.
    pub room: RoomId,
    /// The epoch in which it was encrypted.
    pub epoch: Epoch,
    /// What the sender bound to it; not authenticated before it is decrypted.
    pub aad: Aad,
    pub(crate) mls: ProtocolMessage,
}

/// A commit or proposal, not verified.
#[derive(Debug, Clone)]
pub struct HandshakeMessage {
    /// The room.
    pub room: RoomId,
    /// The epoch in which it was made.
    pub epoch: Epoch,
    /// Who claims to have made it.
    pub sender: HandshakeSender,
    /// The ticket that a joiner shows, not verified.
    pub ticket: Option<Signed<Ticket>>,
    pub(crate) mls: ProtocolMessage,
}

/// Who claims to have made a handshake message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeSender {
    /// A member, by its leaf.
    Member(LeafIndex),
    /// Somebody who joins, or comes back, by this very commit.
    Joiner,
}

/// Why bytes are no message of a room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageFault {
    /// Too long.
    #[error("a {what} has at most {limit} bytes, this has {got}")]
    TooLong {
        /// What it should have been.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
        /// Its length, in bytes.
        got: usize,
    },
    /// The bytes cannot be read, or more follow.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// What it should have been.
        what: &'static str,
        /// The codec's words.
        reason: String,
    },
    /// Another kind of message than belongs here.
    #[error("expected {expected}")]
    WrongKind {
        /// What was expected.
        expected: &'static str,
    },
    /// The group id is no room id.
    #[error("the MLS group id is no room id")]
    NotARoom,
    /// A sender that rooms do not have.
    #[error("handshakes come from members and joiners only")]
    Sender,
    /// The authenticated data is not ours.
    #[error("the authenticated data is malformed or of an unknown version")]
    Aad,
}

impl Aad {
    /// Binds a message id and the last entry seen.
    #[must_use]
    pub fn new(message_id: MessageId, seen_seq: u64, seen_hash: [u8; 32]) -> Self {
        Self {
            version: AAD_VERSION,
            message_id,
            seen_seq,
            seen_hash,
        }
    }

    /// The bytes that MLS authenticates.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        encode(&self)
    }

    /// Reads the bytes that MLS authenticated.
    ///
    /// # Errors
    /// Any other length or version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MessageFault> {
        decode_exact("authenticated data", bytes)
            .ok()
            .filter(|aad: &Self| aad.version == AAD_VERSION)
            .ok_or(MessageFault::Aad)
    }
}

impl JoinAad {
    pub(crate) fn new(ticket: Option<Signed<Ticket>>) -> Self {
        Self {
            version: AAD_VERSION,
            ticket,
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, MessageFault> {
        decode_exact("authenticated data", bytes)
            .ok()
            .filter(|aad: &Self| aad.version == AAD_VERSION)
            .ok_or(MessageFault::Aad)
    }
}

/// The beginning of a PrivateMessage, after version and wire format (RFC 9420 §6.3).
#[derive(TlsSize, TlsSerialize, TlsDeserialize)]
struct PrivateHead {
    group_id: VLBytes,
    epoch: u64,
    content_type: u8,
    authenticated_data: VLBytes,
}

/// The beginning of a joiner's PublicMessage, after version and wire format (RFC 9420 §6, §6.2).
#[derive(TlsSize, TlsSerialize, TlsDeserialize)]
struct JoinerHead {
    group_id: VLBytes,
    epoch: u64,
    /// `new_member_commit`, which says nothing more about the sender.
    sender: u8,
    authenticated_data: VLBytes,
}

impl GroupMessage {
    /// Parses a message that fills `bytes` exactly.
    ///
    /// # Errors
    /// Over the limit, malformed, another wire format than its content wants, not a room's.
    pub fn parse(bytes: &[u8]) -> Result<Self, MessageFault> {
        const WHAT: &str = "group message";
        limit(WHAT, bytes, MAX_HANDSHAKE_BYTES)?;
        match mls_message(WHAT, bytes)? {
            MlsMessageBodyIn::PrivateMessage(message) => {
                limit("application message", bytes, MAX_APPLICATION_BYTES)?;
                let message = ProtocolMessage::from(message);
                if message.content_type() != ContentType::Application {
                    return Err(MessageFault::WrongKind {
                        expected: "handshakes as PublicMessage, not encrypted",
                    });
                }
                let head = PrivateHead::tls_deserialize(&mut &bytes[4..])
                    .map_err(|error| malformed(WHAT, error))?;
                Ok(Self::Application(ApplicationMessage {
                    room: room_of(&message)?,
                    epoch: Epoch(head.epoch),
                    aad: Aad::from_bytes(head.authenticated_data.as_slice())?,
                    mls: message,
                }))
            }
            MlsMessageBodyIn::PublicMessage(message) => {
                let sender = match message.sender() {
                    Sender::Member(leaf) => HandshakeSender::Member((*leaf).into()),
                    Sender::NewMemberCommit => HandshakeSender::Joiner,
                    Sender::External(_) | Sender::NewMemberProposal => {
                        return Err(MessageFault::Sender);
                    }
                };
                let ticket = match sender {
                    HandshakeSender::Member(_) => None,
                    HandshakeSender::Joiner => shown_ticket(bytes),
                };
                let message = Self::handshake(message.into(), sender, ticket)?;
                if matches!(message, Self::Proposal(_)) {
                    limit("proposal", bytes, MAX_PROPOSAL_BYTES)?;
                }
                Ok(message)
            }
            MlsMessageBodyIn::Welcome(_)
            | MlsMessageBodyIn::GroupInfo(_)
            | MlsMessageBodyIn::KeyPackage(_) => Err(MessageFault::WrongKind {
                expected: "a message within a group",
            }),
        }
    }

    fn handshake(
        mls: ProtocolMessage,
        sender: HandshakeSender,
        ticket: Option<Signed<Ticket>>,
    ) -> Result<Self, MessageFault> {
        let message = HandshakeMessage {
            room: room_of(&mls)?,
            epoch: Epoch(mls.epoch().as_u64()),
            sender,
            ticket,
            mls,
        };
        match message.mls.content_type() {
            ContentType::Commit => Ok(Self::Commit(message)),
            ContentType::Proposal if sender != HandshakeSender::Joiner => {
                Ok(Self::Proposal(message))
            }
            ContentType::Proposal => Err(MessageFault::Sender),
            ContentType::Application => Err(MessageFault::WrongKind {
                expected: "application data as PrivateMessage, encrypted",
            }),
        }
    }

    /// The message's room.
    #[must_use]
    pub fn room(&self) -> RoomId {
        match self {
            Self::Application(message) => message.room,
            Self::Proposal(message) | Self::Commit(message) => message.room,
        }
    }

    /// The message's epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Application(message) => message.epoch,
            Self::Proposal(message) | Self::Commit(message) => message.epoch,
        }
    }
}

/// The ticket in a joiner's authenticated data. What cannot be read is none: the commit is refused for it
/// when it is judged.
fn shown_ticket(message: &[u8]) -> Option<Signed<Ticket>> {
    let head = JoinerHead::tls_deserialize(&mut message.get(4..)?).ok()?;
    JoinAad::from_bytes(head.authenticated_data.as_slice())
        .ok()?
        .ticket
}

fn room_of(message: &ProtocolMessage) -> Result<RoomId, MessageFault> {
    RoomId::from_group_id(message.group_id().as_slice()).ok_or(MessageFault::NotARoom)
}

fn malformed(what: &'static str, error: impl ToString) -> MessageFault {
    MessageFault::Malformed {
        what,
        reason: error.to_string(),
    }
}

fn limit(what: &'static str, bytes: &[u8], limit: usize) -> Result<(), MessageFault> {
    if bytes.len() > limit {
        return Err(MessageFault::TooLong {
            what,
            limit,
            got: bytes.len(),
        });
    }
    Ok(())
}

fn mls_message(what: &'static str, bytes: &[u8]) -> Result<MlsMessageBodyIn, MessageFault> {
    MlsMessageIn::tls_deserialize_exact(bytes)
        .map(MlsMessageIn::extract)
        .map_err(|error| malformed(what, error))
}

pub(crate) fn parse_group_info(bytes: &[u8]) -> Result<VerifiableGroupInfo, MessageFault> {
    limit("GroupInfo", bytes, MAX_GROUP_INFO_BYTES)?;
    match mls_message("GroupInfo", bytes)? {
        MlsMessageBodyIn::GroupInfo(group_info) => Ok(group_info),
        _ => Err(MessageFault::WrongKind {
            expected: "a GroupInfo",
        }),
    }
}

pub(crate) fn parse_welcome(bytes: &[u8]) -> Result<Welcome, MessageFault> {
    limit("Welcome", bytes, MAX_WELCOME_BYTES)?;
    match mls_message("Welcome", bytes)? {
        MlsMessageBodyIn::Welcome(welcome) => Ok(welcome),
        _ => Err(MessageFault::WrongKind {
            expected: "a Welcome",
        }),
    }
}

pub(crate) fn parse_key_package(bytes: &[u8]) -> Result<KeyPackageIn, MessageFault> {
    limit("KeyPackage", bytes, MAX_KEY_PACKAGE_BYTES)?;
    match mls_message("KeyPackage", bytes)? {
        MlsMessageBodyIn::KeyPackage(key_package) => Ok(key_package),
        _ => Err(MessageFault::WrongKind {
            expected: "a KeyPackage",
        }),
    }
}

pub(crate) fn parse_tree(bytes: &[u8]) -> Result<RatchetTreeIn, MessageFault> {
    limit("ratchet tree", bytes, MAX_TREE_BYTES)?;
    RatchetTreeIn::tls_deserialize_exact(bytes).map_err(|error| malformed("ratchet tree", error))
}

/// The bytes of something that openmls made.
pub(crate) fn mls_bytes(value: &impl openmls::prelude::tls_codec::Serialize) -> Vec<u8> {
    value
        .tls_serialize_detached()
        .expect("what openmls made has an encoding below 2^30 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn authenticated_data_has_one_form(id: [u8; 16], seq: u64, hash: [u8; 32], byte: u8) {
            let aad = Aad::new(MessageId(id), seq, hash);
            let bytes = aad.to_bytes();
            prop_assert_eq!(bytes.len(), 57);
            prop_assert_eq!(Aad::from_bytes(&bytes), Ok(aad));
            prop_assert!(Aad::from_bytes(&[&bytes[..], &[byte]].concat()).is_err());
            prop_assert!(Aad::from_bytes(&bytes[1..]).is_err());
        }

        #[test]
        fn any_bytes_are_a_message_or_a_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = GroupMessage::parse(&bytes);
            let framed = [&[0, 1, 0, 2][..], &bytes].concat();
            let _ = GroupMessage::parse(&framed);
        }
    }

    #[test]
    fn limits_come_before_parsing() {
        let fault = GroupMessage::parse(&vec![0; MAX_HANDSHAKE_BYTES + 1]);
        assert!(matches!(fault, Err(MessageFault::TooLong { .. })));
    }
}
