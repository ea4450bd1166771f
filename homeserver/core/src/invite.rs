//! A device hands over a sealed invitation.

use std::collections::BTreeMap;

use entente_identity::{AccountDid, ServerDid};
use entente_protocol::call::SealedInvite;
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::InviteItem;
use entente_protocol::limits::MAX_INVITE_BYTES;
use entente_protocol::relay::Item;

use crate::change::{Decision, Effect, Owed};
use crate::receive;
use crate::rows::DeviceRow;

/// Most devices to which one invitation is sealed.
const MAX_SEALED: usize = 64;

/// Judges an invitation: it is queued for the invitee's devices here, or owed to the invitee's server.
/// `devices` are those of the invitee that exist here, each with how many invitations of each server wait
/// for it.
///
/// # Errors
/// Empty or too large. Whether the invitee exists is never told.
pub fn invite(
    me: &ServerDid,
    inviter: AccountDid,
    request: &SealedInvite,
    devices: &[(DeviceRow, BTreeMap<ServerDid, u32>)],
) -> Result<Decision<()>, FaultCode> {
    let large = |sealed: &Vec<u8>| sealed.len() > MAX_INVITE_BYTES;
    if request.sealed.is_empty() {
        return Err(FaultCode::BadRequest);
    }
    if request.sealed.len() > MAX_SEALED || request.sealed.iter().any(|(_, s)| large(s)) {
        return Err(FaultCode::TooLarge);
    }
    let none = BTreeMap::new();
    let mut decision = Decision::reply(());
    for (device, sealed) in &request.sealed {
        let item = InviteItem {
            account: request.account,
            device: *device,
            inviter,
            message_id: request.message_id,
            sealed: sealed.clone().into(),
        };
        if request.home == *me {
            let found = devices.iter().find(|(row, _)| row.device == *device);
            let (row, waiting) = found.map_or((None, &none), |(row, waiting)| (Some(row), waiting));
            let here = receive::invite(me, row, waiting, item);
            decision.queued.extend(here.queued);
            decision.effects.extend(here.effects);
        } else {
            let bytes = Item::Invite(item).to_bytes();
            decision
                .owed
                .push((request.home.clone(), Owed::Item(bytes)));
        }
    }
    if request.home != *me {
        decision
            .effects
            .push(Effect::WakePeer(request.home.clone()));
    }
    Ok(decision)
}
