//! Invitations of a peer beyond what is taken from it.
//!
//! A batch is one signed unit whose numbers have no gaps, and messages ride in it too: neither the batch
//! nor the flow is refused because of invitations. Each that is too much keeps its number and is
//! replaced by an item without effect.

use entente_groups::RoomId;
use entente_protocol::entry::Seq;
use entente_protocol::relay::{Item, VerifiedBatch, Watermark};

use crate::quotas::Quotas;

/// An invitation's first byte (see [`Item`]): what is not one is not read here.
const INVITE: u8 = 4;

/// Takes the effect from the invitations of a batch that are too many.
pub(super) fn drop_beyond(quotas: &Quotas, batch: &mut VerifiedBatch) {
    let nothing = Item::Delivered(of_no_room()).to_bytes();
    let mut dropped = 0_u32;
    for bytes in &mut batch.items {
        if bytes.first() != Some(&INVITE) {
            continue;
        }
        let Ok(Item::Invite(invite)) = Item::from_bytes(bytes) else {
            continue;
        };
        if quotas
            .invite_relayed(&batch.origin, &invite.account)
            .is_err()
        {
            *bytes = nothing.clone();
            dropped += 1;
        }
    }
    if dropped > 0 && quotas.complain(&batch.origin) {
        tracing::warn!(peer = %batch.origin, dropped, "too many invitations; those beyond are dropped");
    }
}

/// An item without effect, cheaper to pass over than what it stands for.
fn of_no_room() -> Watermark {
    Watermark {
        room: RoomId([0; 32]),
        seq: Seq(0),
    }
}

#[cfg(test)]
mod tests {
    use entente_groups::MessageId;
    use entente_identity::{AccountDid, DeviceId, SigningKey};
    use entente_protocol::flow::InviteItem;

    use super::*;

    #[test]
    fn an_invitation_is_known_by_its_first_byte() {
        let nobody = AccountDid::new(SigningKey::from_seed(&[1; 32]).public());
        let invite = Item::Invite(InviteItem {
            account: nobody,
            device: DeviceId([0; 16]),
            inviter: nobody,
            message_id: MessageId([0; 16]),
            sealed: Vec::new().into(),
        });
        assert_eq!(invite.to_bytes().first(), Some(&INVITE));
        let other = Item::Delivered(of_no_room());
        assert_ne!(other.to_bytes().first(), Some(&INVITE));
    }
}
