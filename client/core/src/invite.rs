//! Invitations: what an inviter seals to each of the invitee's devices, and what the invitee keeps.

use entente_groups::{MessageId, RoomId, Ticket};
use entente_identity::{
    AccountDid, CodecFault, DeviceId, Handle, ServerDid, Signed, UnixMillis, decode_exact, encode,
};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize, VLBytes};

use crate::message::HandleTrust;

/// The only version of [`InvitePayload`].
const VERSION: u8 = 1;
/// Longest room name or topic, in bytes.
pub const MAX_PROFILE_TEXT_BYTES: usize = 1024;

/// What an invitation says, sealed: no server reads it.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct InvitePayload {
    version: u8,
    /// Lets the invitee in.
    pub ticket: Signed<Ticket>,
    /// The room's hub.
    pub hub: ServerDid,
    /// The inviter's handle, as the inviter says.
    pub inviter: Handle,
    name: VLBytes,
    topic: VLBytes,
}

/// Why an invitation is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InviteFault {
    /// Not readable.
    #[error(transparent)]
    Codec(#[from] CodecFault),
    /// A version that is not known here.
    #[error("the invitation is of version {0}; a newer client made it")]
    Version(u8),
    /// The ticket is for somebody else, or says another inviter than the server vouches for.
    #[error("the invitation's ticket names another {0} than the invitation")]
    Mismatch(&'static str),
    /// A text is too long or not UTF-8.
    #[error("the invitation's room name or topic is unreadable")]
    Text,
}

/// Names an invitation within this vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InviteId(pub u32);

/// An invitation that this account has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Its number in this vault.
    pub id: InviteId,
    /// The room.
    pub room: RoomId,
    /// The room's hub.
    pub hub: ServerDid,
    /// The room's name, as the inviter says; may be empty.
    pub name: String,
    /// The room's topic, as the inviter says; may be empty.
    pub topic: String,
    /// Who invites, as that person's homeserver vouches.
    pub inviter: AccountDid,
    /// The inviter's handle, as the inviter says.
    pub inviter_handle: Handle,
    /// How far that handle can be believed.
    pub inviter_trust: HandleTrust,
    /// When it came.
    pub received: UnixMillis,
    /// When it ends.
    pub expires: UnixMillis,
}

/// What the seal of an invitation is bound to.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct InviteBinding {
    /// Whom it is for.
    pub account: AccountDid,
    /// For which device.
    pub device: DeviceId,
    /// Who sends it.
    pub inviter: AccountDid,
    /// The sender's id for it.
    pub message_id: MessageId,
}

impl InvitePayload {
    /// Puts an invitation together; names and topics that are too long are cut at a character.
    #[must_use]
    pub fn new(
        ticket: Signed<Ticket>,
        hub: ServerDid,
        inviter: Handle,
        name: &str,
        topic: &str,
    ) -> Self {
        Self {
            version: VERSION,
            ticket,
            hub,
            inviter,
            name: cut(name).as_bytes().into(),
            topic: cut(topic).as_bytes().into(),
        }
    }

    /// The payload's bytes, to be sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads an opened payload and compares it with what the server said about it. The ticket's
    /// signature is judged with the room's tree, when the invitee joins.
    ///
    /// # Errors
    /// See [`InviteFault`].
    pub fn open(bytes: &[u8], binding: &InviteBinding) -> Result<Self, InviteFault> {
        let payload: Self = decode_exact("invitation", bytes)?;
        if payload.version != VERSION {
            return Err(InviteFault::Version(payload.version));
        }
        let ticket = payload.ticket.claimed_body()?;
        if ticket.invitee != binding.account {
            return Err(InviteFault::Mismatch("invitee"));
        }
        if ticket.inviter != binding.inviter {
            return Err(InviteFault::Mismatch("inviter"));
        }
        text(&payload.name)?;
        text(&payload.topic)?;
        Ok(payload)
    }

    /// The room's name, as the inviter says.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.name).unwrap_or_default()
    }

    /// The room's topic, as the inviter says.
    #[must_use]
    pub fn topic(&self) -> &str {
        text(&self.topic).unwrap_or_default()
    }
}

impl InviteBinding {
    /// The bytes that the seal authenticates.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }
}

fn text(bytes: &VLBytes) -> Result<&str, InviteFault> {
    std::str::from_utf8(bytes.as_slice())
        .ok()
        .filter(|text| text.len() <= MAX_PROFILE_TEXT_BYTES)
        .ok_or(InviteFault::Text)
}

/// The beginning of a text that fits a room's profile.
#[must_use]
pub fn cut(text: &str) -> &str {
    if text.len() <= MAX_PROFILE_TEXT_BYTES {
        return text;
    }
    let mut end = MAX_PROFILE_TEXT_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use entente_groups::{LeafIndex, Role};
    use entente_identity::SigningKey;

    use super::*;

    fn account(seed: u8) -> AccountDid {
        AccountDid::new(SigningKey::from_seed(&[seed; 32]).public())
    }

    fn payload(name: &str) -> InvitePayload {
        let ticket = Ticket {
            room: RoomId([9; 32]),
            invitee: account(2),
            role: Role::Member,
            min_list_version: 1,
            inviter: account(1),
            inviter_leaf: LeafIndex(0),
        };
        let signed = ticket.sign(&SigningKey::from_seed(&[3; 32]), UnixMillis(5), 1000);
        InvitePayload::new(
            signed,
            "did:web:org-a.example".parse().expect("a DID"),
            "alice@org-a.example".parse().expect("a handle"),
            name,
            "",
        )
    }

    fn binding() -> InviteBinding {
        InviteBinding {
            account: account(2),
            device: DeviceId([1; 16]),
            inviter: account(1),
            message_id: MessageId([2; 16]),
        }
    }

    #[test]
    fn a_payload_opens_for_its_invitee_from_its_inviter_only() {
        let sent = payload("Tea");
        let bytes = sent.to_bytes();
        let opened = InvitePayload::open(&bytes, &binding()).expect("a payload");
        assert_eq!((opened.name(), opened.topic()), ("Tea", ""));
        let check = |binding: InviteBinding| InvitePayload::open(&bytes, &binding).err();
        let other = InviteBinding {
            account: account(7),
            ..binding()
        };
        assert_eq!(check(other), Some(InviteFault::Mismatch("invitee")));
        let other = InviteBinding {
            inviter: account(7),
            ..binding()
        };
        assert_eq!(check(other), Some(InviteFault::Mismatch("inviter")));
        assert!(InvitePayload::open(&bytes[1..], &binding()).is_err());
    }

    #[test]
    fn long_names_are_cut_at_a_character() {
        let long = "ä".repeat(MAX_PROFILE_TEXT_BYTES);
        let sent = payload(&format!("x{long}"));
        let opened = InvitePayload::open(&sent.to_bytes(), &binding()).expect("a payload");
        assert_eq!(opened.name().len(), MAX_PROFILE_TEXT_BYTES - 1);
    }
}
