//! Entries that were pulled from a room's hub fill a gap.

use entente_groups::RoomId;
use entente_homeserver_core::receive::Received;
use entente_identity::ServerDid;
use entente_protocol::entry::Entry;
use entente_protocol::fault::FaultCode;

use super::{Outcome, receive, refuse};
use crate::command::Answer;
use crate::wanted::Wanted;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    room: RoomId,
    from: ServerDid,
    entries: Vec<Entry>,
) -> Outcome {
    let mut wanted = Wanted::default();
    for entry in &entries {
        receive::want_entry(&mut wanted, &work.here.me, &entry.header);
    }
    work.load(wanted).await?;
    for entry in entries {
        if entry.header.room != room {
            return refuse(FaultCode::PeerMisbehaved);
        }
        match receive::take_entry(work, &from, entry).await? {
            Received::Applied => {}
            Received::Parked(_) | Received::Dropped(_) => {
                return refuse(FaultCode::PeerMisbehaved);
            }
        }
    }
    match work.room(&room).await? {
        Some(row) => Ok(Ok(Answer::Repaired(row.head))),
        None => refuse(FaultCode::NoSuchRoom),
    }
}
