//! A follower asks for entries that it lacks.

use entente_groups::RoomId;
use entente_homeserver_core::rows::MemberRow;
use entente_identity::ServerDid;
use entente_protocol::call::Pull;
use entente_protocol::entry::{Entry, EntryHash, Seq};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::limits::{MAX_PAGE_BYTES, MAX_PAGE_ENTRIES};

use crate::execute::store_fault;
use crate::store::{Page, Read, StoreFault};

/// The entries that `peer` asks for, as far as it may have them: a page, in order. Only a server that
/// has members in the room gets entries, and only from where the first of them came in.
///
/// # Errors
/// The peer has no part in the room, its log is another history, or the store does not answer.
pub async fn pull(
    read: &mut dyn Read,
    peer: &ServerDid,
    request: &Pull,
) -> Result<Vec<Entry>, Fault> {
    let no_room = || Fault::new(FaultCode::NoSuchRoom, FaultCode::NoSuchRoom.meaning());
    let failed = |fault: StoreFault| store_fault(&fault);
    let room = read.room(&request.room).await.map_err(failed)?;
    let room = room.ok_or_else(no_room)?;
    // A follower serves it too, so that nobody depends on what the hub leaves out.
    let times = read.member_times(&request.room, peer).await;
    let came_in = came_in(&times.map_err(failed)?).ok_or_else(no_room)?;
    // Nobody gets what is before its first member's time, whatever it knows of it.
    let after = request.after.seq.max(Seq(came_in.0.saturating_sub(1)));
    let retention = read.retention(&request.room).await.map_err(failed)?;
    let kept_from = retention.map_or(Seq(0), |row| row.kept_from);
    if after.0.saturating_add(1) < kept_from.0 {
        let detail = format!("the log is kept from position {} on", kept_from.0);
        return Err(Fault::new(FaultCode::Gone, &detail));
    }
    let named = request.after;
    if named.seq > Seq(0) {
        let known = hash_at(read, &request.room, named.seq).await;
        if known.map_err(failed)? != Some(named.hash) {
            let detail = "the entry that you have at that position is not this log's";
            return Err(Fault::new(FaultCode::PeerMisbehaved, detail));
        }
    }
    let page = Page {
        items: MAX_PAGE_ENTRIES,
        bytes: MAX_PAGE_BYTES,
    };
    let until = request.until.min(room.head.seq);
    read.entries(&request.room, after, until, page)
        .await
        .map_err(failed)
}

/// Where the time began in which a server has had members without a gap until now, from the times of its
/// devices; nothing if it has none now. A member that has left since counts: what was ordered while it was
/// there is its server's, even if that has not got it yet.
fn came_in(times: &[MemberRow]) -> Option<Seq> {
    let now = times.iter().filter(|time| time.left.is_none());
    let mut began = now.map(|time| time.joined).min()?;
    let ended = |time: &MemberRow| time.left.map(|left| (left, time.joined));
    let mut ended: Vec<(Seq, Seq)> = times.iter().filter_map(ended).collect();
    // The last to leave first: whoever left before the time began that is known so far ends the search.
    ended.sort_unstable_by(|one, other| other.cmp(one));
    for (left, joined) in ended {
        if left.0.saturating_add(1) < began.0 {
            break;
        }
        began = began.min(joined);
    }
    Some(began)
}

/// The hash of the entry at a position, also if it is the last before those that are kept.
async fn hash_at(
    read: &mut dyn Read,
    room: &RoomId,
    seq: Seq,
) -> Result<Option<EntryHash>, StoreFault> {
    let page = Page {
        items: 1,
        bytes: usize::MAX,
    };
    let (before, next) = (Seq(seq.0 - 1), Seq(seq.0.saturating_add(1)));
    let found = read.entries(room, before, next, page).await?;
    let header = found.first().map(|entry| &entry.header);
    Ok(header.map(|header| match header.seq == seq {
        true => header.hash(),
        false => header.prev_hash,
    }))
}

#[cfg(test)]
mod tests {
    use entente_identity::{DeviceId, SigningKey};

    use super::*;

    fn time(joined: u64, left: impl Into<Option<u64>>) -> MemberRow {
        let key = SigningKey::from_seed(&[1; 32]).public();
        MemberRow {
            room: entente_groups::RoomId([0; 32]),
            account: entente_identity::AccountDid::new(key),
            device: DeviceId([0; 16]),
            leaf: entente_groups::LeafIndex(0),
            home: "did:web:org-b.example".parse().expect("a DID"),
            joined: Seq(joined),
            left: left.into().map(Seq),
        }
    }

    #[test]
    fn a_servers_time_goes_back_over_members_that_left_but_over_no_gap() {
        let now = |joined| time(joined, None);
        for (times, expected) in [
            (vec![], None),
            (vec![time(3, 20)], None),
            (vec![now(10), now(7)], Some(7)),
            (vec![time(3, 20), now(10)], Some(3)),
            (vec![time(3, 9), now(10)], Some(3)),
            (vec![time(3, 8), now(10)], Some(10)),
            (vec![time(3, 6), time(5, 12), now(10)], Some(3)),
            (vec![time(3, 6), time(8, 12), now(10)], Some(8)),
            (vec![time(2, 30), time(3, 6), time(8, 12), now(10)], Some(2)),
        ] {
            assert_eq!(came_in(&times), expected.map(Seq), "{times:?}");
        }
    }
}
