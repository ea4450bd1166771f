//! A peer greeted: takes note of the epoch of its stream.

use entente_homeserver_core::rows::PeerRow;
use entente_homeserver_core::{Change, Decision};
use entente_identity::ServerDid;

use super::Outcome;
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    peer: ServerDid,
    stream_epoch: u64,
    begins_after: u64,
) -> Outcome {
    let row = work.peer(&peer).await?;
    let incoming = row.incoming.greeted(stream_epoch, begins_after);
    let next = PeerRow { incoming, ..row };
    let mut decision = Decision::reply(());
    decision.changes.push(Change::PutPeer(next.clone()));
    work.record(decision).await?;
    Ok(Ok(Answer::Peer(next)))
}
