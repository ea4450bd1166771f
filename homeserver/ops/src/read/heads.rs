//! Comparing logs with another server: what to show it, and what its signed heads say.

use std::collections::{BTreeMap, BTreeSet};

use entente_federation::heads::{self, Comparison};
use entente_groups::RoomId;
use entente_homeserver_core::rows::RoomRow;
use entente_identity::{PublicKey, ServerDid};
use entente_protocol::entry::{Entry, EntryHeader, Seq};
use entente_protocol::equivocation::{
    Equivocation, HeadsReply, History, MAX_HISTORY_HEADERS, Shown, ShownHead,
};
use entente_protocol::limits::{
    MAX_PAGE_BYTES, MAX_PAGE_ENTRIES, MAX_SHOWN_HEADS, MAX_SHOWN_PROOFS,
};

use crate::store::{Page, Read, StoreFault};

/// The keys with which hubs have signed, as this server has them pinned.
pub type HubKeys = BTreeMap<ServerDid, Vec<PublicKey>>;

/// What a comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// What the other server is told.
    pub reply: HeadsReply,
    /// Rooms whose log goes on elsewhere and not here.
    pub behind: Vec<RoomId>,
    /// Two histories of one hub, proved.
    pub proofs: Vec<Equivocation>,
}

/// What to show other servers of rooms whose logs grew: for each server with members in them, other
/// than this one and the hub, the newest signed heads.
///
/// # Errors
/// The store does not answer.
pub async fn to_show(
    read: &mut dyn Read,
    me: &ServerDid,
    rooms: impl IntoIterator<Item = RoomId> + Send,
) -> Result<BTreeMap<ServerDid, Vec<ShownHead>>, StoreFault> {
    let mut shown: BTreeMap<ServerDid, Vec<ShownHead>> = BTreeMap::new();
    let rooms: Vec<RoomId> = rooms.into_iter().collect();
    for id in rooms {
        let Some(room) = read.room(&id).await? else {
            continue;
        };
        if room.hub == *me {
            continue;
        }
        let others = others(read, me, &room).await?;
        if others.is_empty() {
            continue;
        }
        if let Some(head) = read.last_attested(&id).await? {
            for other in others {
                shown.entry(other).or_default().push(head.clone());
            }
        }
    }
    Ok(shown)
}

/// How much of the end of a log its hub has not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsignedEnd {
    /// The last entry.
    pub last: Seq,
    /// The last one that is signed as a head, 0 if none is.
    pub signed: Seq,
}

/// The end of a room's log here, and the room's hub, if that is another server and has signed no head at or
/// after it.
///
/// # Errors
/// The store does not answer.
pub async fn unsigned_end(
    read: &mut dyn Read,
    me: &ServerDid,
    id: &RoomId,
) -> Result<Option<(ServerDid, UnsignedEnd)>, StoreFault> {
    let Some(room) = read.room(id).await?.filter(|room| room.hub != *me) else {
        return Ok(None);
    };
    let signed = read.last_attested(id).await?;
    let signed = signed.map_or(Seq(0), |head| head.header.seq);
    let last = room.head.seq;
    Ok((signed < last).then_some((room.hub, UnsignedEnd { last, signed })))
}

/// The hubs whose keys it takes to judge the heads that `peer` shows, as the rooms here have them. None is
/// looked up for a room in which the peer has no members: the time that takes would tell of it.
///
/// # Errors
/// The store does not answer.
pub async fn hubs(
    read: &mut dyn Read,
    (me, peer): (&ServerDid, &ServerDid),
    shown: &[ShownHead],
) -> Result<BTreeSet<ServerDid>, StoreFault> {
    let mut hubs = BTreeSet::new();
    for head in shown.iter().take(MAX_SHOWN_HEADS) {
        if let Some(room) = shared(read, (me, peer), &head.header.room).await? {
            hubs.insert(room.hub);
        }
    }
    Ok(hubs)
}

/// A room that this server follows, if `peer` is its hub or has members in it.
async fn shared(
    read: &mut dyn Read,
    (me, peer): (&ServerDid, &ServerDid),
    id: &RoomId,
) -> Result<Option<RoomRow>, StoreFault> {
    let Some(room) = read.room(id).await?.filter(|room| room.hub != *me) else {
        return Ok(None);
    };
    let has_part = room.hub == *peer || homes(read, id).await?.contains(peer);
    Ok(has_part.then_some(room))
}

/// Compares the heads that `peer` shows with the logs here. Of a room in which the peer has no members
/// nothing is said.
///
/// # Errors
/// The store does not answer.
pub async fn compare(
    read: &mut dyn Read,
    (me, peer): (&ServerDid, &ServerDid),
    shown: &[ShownHead],
    keys: &HubKeys,
) -> Result<Compared, StoreFault> {
    let mut compared = Compared::default();
    for head in shown.iter().take(MAX_SHOWN_HEADS) {
        if let Some(room) = shared(read, (me, peer), &head.header.room).await? {
            compare_one(read, &room, head, keys, &mut compared).await?;
        }
    }
    Ok(compared)
}

async fn compare_one(
    read: &mut dyn Read,
    room: &RoomRow,
    shown: &ShownHead,
    keys: &HubKeys,
    compared: &mut Compared,
) -> Result<(), StoreFault> {
    if let Some(row) = read.equivocation(&room.room).await? {
        if compared.reply.proofs.len() < MAX_SHOWN_PROOFS {
            compared.reply.proofs.push(row.proof);
        }
        return Ok(());
    }
    let Some(key) = signer(shown, &room.hub, keys) else {
        return Ok(());
    };
    let seq = shown.header.seq;
    let here = header_at(read, &room.room, seq).await?;
    match heads::compare(&room.head, here.as_ref(), shown) {
        Comparison::Same | Comparison::Unknown => {}
        Comparison::Behind => compared.behind.push(room.room),
        Comparison::Differs => {
            if let Some((proof, _)) = prove(read, room, shown, key).await? {
                if compared.reply.proofs.len() < MAX_SHOWN_PROOFS {
                    compared.reply.proofs.push(proof.clone());
                }
                compared.proofs.push(proof);
                return Ok(());
            }
        }
    }
    compared
        .reply
        .heads
        .extend(read.last_attested(&room.room).await?);
    Ok(())
}

/// The key of the hub with which a head is truly signed.
fn signer(shown: &ShownHead, hub: &ServerDid, keys: &HubKeys) -> Option<PublicKey> {
    let mut keys = keys.get(hub)?.iter();
    keys.find(|key| shown.verify(hub, key).is_ok()).copied()
}

/// Puts the history here beside the one that was shown; `None` while the hub has not signed the end of
/// the one here with the same key.
pub(crate) async fn prove(
    read: &mut dyn Read,
    room: &RoomRow,
    shown: &ShownHead,
    key: PublicKey,
) -> Result<Option<(Equivocation, Shown)>, StoreFault> {
    let Some(here) = history_from(read, &room.room, shown.header.seq).await? else {
        return Ok(None);
    };
    let proof = Equivocation {
        hub: room.hub.clone(),
        key,
        one: here,
        other: shown.clone().into(),
    };
    let shows = proof.verify().ok();
    Ok(shows.map(|shown| (proof, shown)))
}

/// The headers from a position to the first head at or after it that the hub signed.
async fn history_from(
    read: &mut dyn Read,
    room: &RoomId,
    first: Seq,
) -> Result<Option<History>, StoreFault> {
    let page = Page {
        items: MAX_PAGE_ENTRIES,
        bytes: MAX_PAGE_BYTES,
    };
    let mut headers = Vec::new();
    let mut after = Seq(first.0.saturating_sub(1));
    while headers.len() < MAX_HISTORY_HEADERS {
        let entries = read.entries(room, after, Seq(u64::MAX), page).await?;
        if entries.is_empty() {
            return Ok(None);
        }
        for entry in entries {
            after = entry.header.seq;
            headers.push(entry.header);
            if let Some(attestation) = entry.attestation {
                return Ok(Some(History {
                    headers,
                    attestation,
                }));
            }
        }
    }
    Ok(None)
}

pub(crate) async fn header_at(
    read: &mut dyn Read,
    room: &RoomId,
    seq: Seq,
) -> Result<Option<EntryHeader>, StoreFault> {
    let page = Page {
        items: 1,
        bytes: usize::MAX,
    };
    let before = Seq(seq.0.saturating_sub(1));
    let found = read.entries(room, before, seq, page).await?;
    Ok(found.into_iter().next().map(|entry| entry.header))
}

/// The servers beside this one and the hub that hold a room's log.
///
/// # Errors
/// The store does not answer.
pub async fn others(
    read: &mut dyn Read,
    me: &ServerDid,
    room: &RoomRow,
) -> Result<Vec<ServerDid>, StoreFault> {
    let homes = homes(read, &room.room).await?;
    let other = |home: &ServerDid| home != me && *home != room.hub;
    Ok(homes.into_iter().filter(other).collect())
}

/// Of entries that another server gave: those that extend the log here, up to the last head that the
/// hub signed.
#[must_use]
pub fn signed_part(room: &RoomRow, mut entries: Vec<Entry>, keys: &HubKeys) -> Vec<Entry> {
    let (mut head, mut signed) = (room.head, 0);
    for (index, entry) in entries.iter().enumerate() {
        if entry.header.room != room.room || entry.extends(&head).is_err() {
            break;
        }
        head = entry.header.head();
        let shown = entry.shown_head();
        if shown.is_some_and(|shown| signer(&shown, &room.hub, keys).is_some()) {
            signed = index + 1;
        }
    }
    entries.truncate(signed);
    entries
}

/// Whether the hub's signatures on these entries hold, as far as it signed any of them.
#[must_use]
pub fn attestations_hold(room: &RoomRow, entries: &[Entry], keys: &HubKeys) -> bool {
    entries.iter().all(|entry| {
        let shown = entry.shown_head();
        shown.is_none_or(|shown| signer(&shown, &room.hub, keys).is_some())
    })
}

/// The servers that have members in a room.
async fn homes(read: &mut dyn Read, room: &RoomId) -> Result<BTreeSet<ServerDid>, StoreFault> {
    let members = read.members(room).await?;
    Ok(members.into_iter().map(|member| member.home).collect())
}
