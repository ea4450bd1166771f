//! A node takes the link to a peer, and begins a new stream epoch.

use entente_homeserver_core::links::{may_take, take};
use entente_homeserver_core::rows::NodeId;
use entente_identity::ServerDid;

use super::Outcome;
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    peer: ServerDid,
    node: NodeId,
    stream_epoch: u64,
) -> Outcome {
    if work.tx().await?.node(&node).await?.is_none() {
        return Ok(Ok(Answer::Buried));
    }
    let link = work.link(&peer).await?;
    let holder_lives = match &link {
        Some(link) if link.holder != node => work.tx().await?.node(&link.holder).await?.is_some(),
        Some(_) | None => false,
    };
    match link {
        Some(link) if !may_take(Some(&link), node, holder_lives) => Ok(Ok(Answer::Held(link))),
        link => {
            let row = work.peer(&peer).await?;
            let decision = take(link.as_ref(), &row, node, stream_epoch);
            Ok(Ok(Answer::Taken(work.record(decision).await?)))
        }
    }
}
