//! A new stream epoch towards a peer begins.

use entente_homeserver_core::acknowledge::begin_epoch;
use entente_homeserver_core::links::{Tenure, holds};
use entente_identity::ServerDid;

use super::Outcome;
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    peer: ServerDid,
    tenure: Tenure,
    stream_epoch: u64,
) -> Outcome {
    if !holds(work.link(&peer).await?.as_ref(), tenure) {
        return Ok(Ok(Answer::Lost));
    }
    let row = work.peer(&peer).await?;
    let decision = begin_epoch(&row, stream_epoch);
    Ok(Ok(Answer::Peer(work.record(decision).await?)))
}
