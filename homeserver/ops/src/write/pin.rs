//! What is pinned of other servers' chains of keys.

use entente_homeserver_core::rows::PinRow;
use entente_homeserver_core::{Change, Decision};
use entente_identity::{KeyPin, ServerDid};

use super::Outcome;
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn put(work: &mut Work<'_>, pin: KeyPin) -> Outcome {
    let before = work.tx().await?.pin(&pin.did).await?;
    let since = before.map_or(work.now, |row| row.since);
    let mut decision = Decision::reply(());
    let change = Change::PutPin(PinRow { pin, since });
    decision.changes.push(change);
    work.record(decision).await?;
    Ok(Ok(Answer::Done))
}

pub(crate) async fn drop(work: &mut Work<'_>, server: ServerDid) -> Outcome {
    let mut decision = Decision::reply(());
    decision.changes.push(Change::DropPin(server));
    work.record(decision).await?;
    Ok(Ok(Answer::Done))
}
