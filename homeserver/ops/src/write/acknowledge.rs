//! A peer owns what was owed to it: the debt ends, and watermarks advance.

use entente_homeserver_core::acknowledge::{forget, reached, watermark};
use entente_homeserver_core::links::{Tenure, holds};
use entente_identity::ServerDid;

use super::Outcome;
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    peer: ServerDid,
    tenure: Tenure,
    up_to: u64,
) -> Outcome {
    if !holds(work.link(&peer).await?.as_ref(), tenure) {
        return Ok(Ok(Answer::Lost));
    }
    let me = work.here.me.clone();
    let row = work.peer(&peer).await?;
    let rooms = work.tx().await?.owed_rooms(&peer, up_to).await?;
    work.record(forget(&row, up_to)).await?;
    for id in rooms {
        let Some(room) = work.room(&id).await?.filter(|room| room.hub == me) else {
            continue;
        };
        let tx = work.tx().await?;
        let oldest = tx.oldest_owed(&id).await?;
        let reached = reached(&room, oldest);
        if reached > room.delivered {
            let origins = tx.origins(&id, room.delivered, reached).await?;
            let decision = watermark(&me, &room, oldest, &origins);
            work.record(decision).await?;
        }
    }
    Ok(Ok(Answer::Done))
}
