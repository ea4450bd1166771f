//! A device has its queue on disk.

use entente_homeserver_core::{Change, Decision};
use entente_identity::{AccountDid, DeviceId};

use super::Outcome;
use crate::command::Answer;
use crate::work::Work;

pub(crate) async fn run(
    work: &mut Work<'_>,
    (account, device): (AccountDid, DeviceId),
    up_to: u64,
) -> Outcome {
    let mut decision = Decision::reply(());
    decision.changes.push(Change::DropQueued {
        account,
        device,
        up_to,
    });
    work.record(decision).await?;
    Ok(Ok(Answer::Done))
}
