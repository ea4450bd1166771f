//! What a room's log has kept for long enough is deleted.

use entente_groups::RoomId;
use entente_homeserver_core::retain::{Needed, Retained, retain};
use entente_homeserver_core::rows::RetentionRow;
use entente_protocol::entry::Seq;
use entente_protocol::fault::FaultCode;

use super::{Outcome, refuse};
use crate::command::Answer;
use crate::store::Page;
use crate::work::Work;

pub(crate) async fn run(work: &mut Work<'_>, id: RoomId, keep_ms: u64) -> Outcome {
    let Some(room) = work.room(&id).await? else {
        return refuse(FaultCode::NoSuchRoom);
    };
    let tx = work.tx().await?;
    let row = match tx.retention(&id).await? {
        Some(row) => row,
        None => {
            let page = Page {
                items: 1,
                bytes: usize::MAX,
            };
            let first = tx.entries(&id, Seq(0), room.head.seq, page).await?;
            RetentionRow {
                room: id,
                kept_from: first
                    .first()
                    .map_or(room.head.seq, |entry| entry.header.seq),
                marks: Vec::new(),
            }
        }
    };
    let signed = tx.last_attested(&id).await?;
    let needed = Needed {
        owed: tx.oldest_owed(&id).await?,
        signed: signed.map(|shown| shown.header.seq),
    };
    let decision = retain(&room, row, needed, keep_ms, work.now);
    Ok(Ok(match work.record(decision).await? {
        Retained::All => Answer::Done,
        Retained::More => Answer::More,
    }))
}
