//! What a member or an invitee may see of a room's group, at its hub.

use entente_groups::{Joiner, PublicRoom};
use entente_identity::{AccountDid, ServerDid, UnixMillis};
use entente_protocol::call::{GroupInfoReply, RoomAccess, TreeChunkRequest, TreeRef};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::limits::{CHUNK_BYTES, MAX_INLINE_TREE_BYTES};

use crate::rows::{EpochRow, MemberRow, RoomRow};

/// Checks that somebody may see the room's group: a current member at home on the server that vouches
/// for it, or the holder of a ticket that would let it join now.
///
/// # Errors
/// [`FaultCode::NotMember`] or [`FaultCode::TicketRefused`].
pub fn may_see(
    group: &PublicRoom,
    (account, origin): (AccountDid, &ServerDid),
    member: Option<&MemberRow>,
    access: &RoomAccess,
    now: UnixMillis,
) -> Result<(), Fault> {
    match access {
        RoomAccess::Member => member
            .filter(|member| member.left.is_none() && member.home == *origin)
            .map(|_| ())
            .ok_or_else(|| Fault::new(FaultCode::NotMember, "only members see the room's group")),
        RoomAccess::Ticket(ticket) => {
            // Which device will join is not known yet, nor how new its list is.
            let joiner = Joiner {
                account,
                list_version: u32::MAX,
            };
            group
                .judge_ticket(ticket, joiner, now)
                .map_err(|fault| Fault::new(FaultCode::TicketRefused, fault.to_string()))
        }
    }
}

/// Puts together what joining or resyncing takes.
#[must_use]
pub fn reply(
    room: &RoomRow,
    epoch: &EpochRow,
    group: &PublicRoom,
    pending: Vec<Vec<u8>>,
) -> GroupInfoReply {
    let tree = group.ratchet_tree();
    GroupInfoReply {
        group_info: epoch.group_info.clone(),
        tree: TreeRef {
            epoch: epoch.epoch,
            hash: epoch.tree_hash,
            size: epoch.tree_bytes,
            inline: Some(tree).filter(|tree| tree.len() <= MAX_INLINE_TREE_BYTES),
        },
        pending,
        head: room.head,
    }
}

/// Cuts the chunk that was asked for out of a tree.
///
/// # Errors
/// [`FaultCode::Gone`] when the epoch's tree is not the one that was asked for,
/// [`FaultCode::BadRequest`] beyond its end.
pub fn chunk(
    epoch: &EpochRow,
    group: &PublicRoom,
    request: &TreeChunkRequest,
) -> Result<Vec<u8>, Fault> {
    if epoch.tree_hash != request.hash {
        let detail = "no tree of that hash is kept; ask for a fresh GroupInfo";
        return Err(Fault::new(FaultCode::Gone, detail));
    }
    let tree = group.ratchet_tree();
    let from = usize::try_from(request.offset).unwrap_or(usize::MAX);
    let rest = tree
        .get(from..)
        .filter(|rest| !rest.is_empty())
        .ok_or_else(|| Fault::new(FaultCode::BadRequest, "the tree ends before that offset"))?;
    Ok(rest[..rest.len().min(CHUNK_BYTES)].to_vec())
}
