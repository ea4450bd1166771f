//! Tickets: an invitation that works while the inviter is away.
//!
//! A ticket is signed by a member's device for one account and one room, and rides in the
//! authenticated data of the external commit by which that account joins. Hub and members judge it by
//! one function, with the time at which the commit was ordered.

use entente_identity::{
    AccountDid, Audience, Kind, Signed, SignedBody, SignedFault, SigningContext, SigningKey,
    UnixMillis,
};
use tls_codec::{TlsDeserialize, TlsSerialize, TlsSize};

use crate::ids::{LeafIndex, RoomId};
use crate::policy::{Role, RoomPolicy};
use crate::roster::MemberInfo;

/// Longest time for which a ticket is valid, in milliseconds: 30 days.
pub const MAX_TICKET_LIFETIME_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// An invitation of one account into one room.
#[derive(Clone, Debug, PartialEq, Eq, TlsSize, TlsSerialize, TlsDeserialize)]
pub struct Ticket {
    /// The room.
    pub room: RoomId,
    /// Who may join.
    pub invitee: AccountDid,
    /// What the invitee will be; the policy decides, a ticket cannot promise more.
    pub role: Role,
    /// The lowest version of the invitee's device list that its leaf may show, so that a device that
    /// the account has revoked does not come in.
    pub min_list_version: u32,
    /// Who invites.
    pub inviter: AccountDid,
    /// The leaf of the inviting device.
    pub inviter_leaf: LeafIndex,
}

impl SignedBody for Ticket {
    const KIND: Kind = Kind::Ticket;
    const NAME: &'static str = "ticket";
}

/// Why a ticket lets nobody in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketFault {
    /// No ticket came with the commit.
    #[error("joining needs a ticket")]
    Missing,
    /// For another room.
    #[error("the ticket is for another room")]
    OtherRoom,
    /// For another account.
    #[error("the ticket is for another account")]
    OtherInvitee,
    /// The joiner's device list is older than the ticket wants.
    #[error("the joiner shows device list version {got}, the ticket wants {wanted} or later")]
    OldDeviceList {
        /// The lowest version that the ticket accepts.
        wanted: u32,
        /// The version that the joiner's leaf shows.
        got: u32,
    },
    /// Signed before a device of the invitee left the room or was removed.
    #[error("the ticket is from before the invitee left or was removed; ask for a new invitation")]
    InviteeLeft,
    /// The inviting device is no longer in the room.
    #[error("the device that signed the ticket is not in the room")]
    InviterGone,
    /// The inviter may not invite.
    #[error("the ticket's signer may not invite")]
    MayNotInvite,
    /// Promises a role that the policy does not give.
    #[error("the ticket promises a role that the room's policy does not give")]
    Role,
    /// Valid for longer than tickets are.
    #[error("a ticket is valid for at most 30 days")]
    Lifetime,
    /// Not signed as it should be, or not current.
    #[error(transparent)]
    Signed(#[from] SignedFault),
}

impl Ticket {
    /// Signs the ticket with the inviting device's key.
    #[must_use]
    pub fn sign(&self, key: &SigningKey, now: UnixMillis, lifetime_ms: u64) -> Signed<Self> {
        let context = SigningContext {
            key_id: key.public().to_string(),
            origin: self.inviter.to_string(),
            audience: Audience::Room(self.room.0),
            created: now,
            expires: Some(now.after(lifetime_ms.min(MAX_TICKET_LIFETIME_MS))),
        };
        Signed::sign(self, &context, key)
    }
}

/// Who shows a ticket, as its leaf says.
#[derive(Clone, Copy, Debug)]
pub struct Joiner {
    /// The account.
    pub account: AccountDid,
    /// The version of the device list in its certificate.
    pub list_version: u32,
}

/// Checks that a ticket was signed since a device of its invitee last went.
pub(crate) fn judge_since(
    ticket: &Signed<Ticket>,
    departed: Option<UnixMillis>,
) -> Result<(), TicketFault> {
    let created = ticket.claimed_context()?.created;
    if departed.is_some_and(|departed| created < departed) {
        return Err(TicketFault::InviteeLeft);
    }
    Ok(())
}

/// Judges a ticket: `inviter` is the member at the leaf that it names, `now` the time at which the
/// commit was ordered.
///
/// # Errors
/// Whatever makes the ticket void.
pub fn judge_ticket(
    ticket: &Signed<Ticket>,
    room: RoomId,
    joiner: Joiner,
    inviter: Option<&MemberInfo>,
    policy: &RoomPolicy,
    now: UnixMillis,
) -> Result<(), TicketFault> {
    let inviter = inviter.ok_or(TicketFault::InviterGone)?;
    if !ticket.names_key(&inviter.device_key) {
        return Err(TicketFault::InviterGone);
    }
    let verified = ticket
        .verify(&inviter.device_key, &Audience::Room(room.0))?
        .current_at(now)?;
    let context = verified.context();
    let expires = context.expires.unwrap_or(UnixMillis(u64::MAX));
    if expires.since(context.created) > MAX_TICKET_LIFETIME_MS {
        return Err(TicketFault::Lifetime);
    }
    let body = verified.body();
    if body.room != room {
        return Err(TicketFault::OtherRoom);
    }
    if body.inviter != inviter.account || body.inviter_leaf != inviter.leaf {
        return Err(TicketFault::InviterGone);
    }
    if body.invitee != joiner.account {
        return Err(TicketFault::OtherInvitee);
    }
    if joiner.list_version < body.min_list_version {
        return Err(TicketFault::OldDeviceList {
            wanted: body.min_list_version,
            got: joiner.list_version,
        });
    }
    if !policy.may_invite(&body.inviter, &body.invitee) {
        return Err(TicketFault::MayNotInvite);
    }
    if body.role > policy.role_of(&body.invitee) {
        return Err(TicketFault::Role);
    }
    Ok(())
}
