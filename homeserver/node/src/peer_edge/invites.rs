//! Invitations of a peer beyond what is taken from it.
//!
//! A batch is one signed unit whose numbers have no gaps, and messages ride in it too: neither the batch
//! nor the flow is refused because of invitations. Each that is too much keeps its number and is made
//! out to nobody, so that it has no effect and takes no row.

use entente_groups::MessageId;
use entente_homeserver_ops::Here;
use entente_identity::{AccountDid, DeviceId};
use entente_protocol::flow::InviteItem;
use entente_protocol::relay::{Item, VerifiedBatch};

use crate::quotas::Quotas;

/// An invitation's first byte (see [`Item`]): what is not one is not read here.
const INVITE: u8 = 4;

/// Makes the invitations of a batch that are too many out to nobody.
pub(super) fn drop_beyond(quotas: &Quotas, here: &Here, batch: &mut VerifiedBatch) {
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
            *bytes = Item::Invite(for_nobody(here)).to_bytes();
            dropped += 1;
        }
    }
    if dropped > 0 && quotas.complain(&batch.origin) {
        tracing::warn!(peer = %batch.origin, dropped, "too many invitations; those beyond are dropped");
    }
}

/// An invitation for the key of the server itself, which is nobody's account.
fn for_nobody(here: &Here) -> InviteItem {
    let nobody = AccountDid::new(here.key.public());
    InviteItem {
        account: nobody,
        device: DeviceId([0; 16]),
        inviter: nobody,
        message_id: MessageId([0; 16]),
        sealed: Vec::new().into(),
    }
}

#[cfg(test)]
mod tests {
    use entente_identity::SigningKey;
    use entente_protocol::relay::Watermark;

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
        let other = Item::Delivered(Watermark {
            room: entente_groups::RoomId([0; 32]),
            seq: entente_protocol::entry::Seq(0),
        });
        assert_ne!(other.to_bytes().first(), Some(&INVITE));
    }
}
