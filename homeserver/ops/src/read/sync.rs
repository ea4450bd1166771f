//! What a device's *sync* flow sends: pages of the rooms it is in and of its own queue.

use entente_groups::RoomId;
use entente_homeserver_core::rows::QueuedRow;
use entente_identity::{AccountDid, DeviceId, ServerDid};
use entente_protocol::entry::{Entry, Seq};
use entente_protocol::limits::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};

use crate::store::{Page, Read, StoreFault};

/// A page of a room's log for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomPage {
    /// The room's hub.
    pub hub: ServerDid,
    /// The entries, in order; empty when there is nothing new.
    pub entries: Vec<Entry>,
    /// Where the device's copy ends after them.
    pub at: Seq,
    /// Whether more entries follow now.
    pub more: bool,
    /// Every member server has the log up to here.
    pub delivered: Seq,
}

/// The rooms of a device, with the position before the first entry that it may read.
///
/// # Errors
/// The store does not answer.
pub async fn rooms(
    read: &mut dyn Read,
    (account, device): (AccountDid, DeviceId),
) -> Result<Vec<(RoomId, Seq)>, StoreFault> {
    let memberships = read.memberships(&account, &device).await?;
    let place = |joined: Seq| Seq(joined.0.saturating_sub(1));
    Ok(memberships
        .into_iter()
        .map(|member| (member.room, place(member.joined)))
        .collect())
}

/// The next page of a room for a device that has it up to `after`; `None` if it was never in it.
/// Nothing before its time in the room and nothing after is ever shown.
///
/// # Errors
/// The store does not answer.
pub async fn room_page(
    read: &mut dyn Read,
    (account, device): (AccountDid, DeviceId),
    room: RoomId,
    after: Seq,
) -> Result<Option<RoomPage>, StoreFault> {
    let Some(member) = read.member(&room, &account, &device).await? else {
        return Ok(None);
    };
    let Some(row) = read.room(&room).await? else {
        return Ok(None);
    };
    let after = after.max(Seq(member.joined.0.saturating_sub(1)));
    let until = member.left.unwrap_or(row.head.seq).min(row.head.seq);
    let page = Page {
        items: MAX_PAGE_ENTRIES,
        bytes: MAX_PAGE_BYTES,
    };
    let entries = if after < until {
        read.entries(&room, after, until, page).await?
    } else {
        Vec::new()
    };
    let at = entries.last().map_or(after, |entry| entry.header.seq);
    Ok(Some(RoomPage {
        hub: row.hub,
        more: at < until && !entries.is_empty(),
        at,
        entries,
        delivered: row.delivered.min(until),
    }))
}

/// The next page of a device's queue.
///
/// # Errors
/// The store does not answer.
pub async fn queue_page(
    read: &mut dyn Read,
    (account, device): (AccountDid, DeviceId),
    after: u64,
) -> Result<Vec<QueuedRow>, StoreFault> {
    let page = Page {
        items: MAX_PAGE_ENTRIES,
        bytes: MAX_PAGE_BYTES,
    };
    read.queued(&account, &device, after, page).await
}
