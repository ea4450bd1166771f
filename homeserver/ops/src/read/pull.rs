//! A follower asks for entries that it lacks.

use entente_identity::ServerDid;
use entente_protocol::call::Pull;
use entente_protocol::entry::{Entry, Seq};
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
    let members = read.members(&request.room).await.map_err(failed)?;
    let of_peer = members.iter().filter(|member| member.home == *peer);
    let came_in = of_peer.map(|member| member.joined).min();
    let came_in = came_in.ok_or_else(no_room)?;
    // Nobody gets what is before its first member's time, whatever it knows of it.
    let after = request.after.seq.max(Seq(came_in.0.saturating_sub(1)));
    if request.after.seq > Seq(0) {
        let page = Page {
            items: 1,
            bytes: usize::MAX,
        };
        let named = request.after.seq;
        let before = Seq(named.0 - 1);
        let known = read.entries(&request.room, before, named, page).await;
        let known = known.map_err(failed)?;
        let same = known
            .first()
            .is_some_and(|entry| entry.header.hash() == request.after.hash);
        if !same {
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
