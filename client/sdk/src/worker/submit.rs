//! Handing messages over, and noting what became of them.

use std::sync::Arc;
use std::time::Duration;

use entente_protocol::flow::{SubmitFrame, SubmitReply};
use entente_transport::{Connection, FlowReceiver, FlowSender};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{OTHERS_INTERVAL, Shared, broken};
use crate::clock::now;
use crate::error::{Error, Result};

/// Most messages that are taken from the vault at once.
const PAGE: usize = 64;
/// Messages that may be on their way at once.
const WINDOW: usize = 256;

/// Hands messages over until the connection breaks.
pub(super) async fn run(shared: &Arc<Shared>, connection: &Connection) -> Result<()> {
    let opened = connection
        .open_submit()
        .await
        .map_err(|fault| broken(&fault))?;
    let (mut frames, mut replies) = opened;
    // What is encrypted before the news are in could not be read by whoever came in meanwhile.
    let mut caught_up = shared.caught_up.subscribe();
    if caught_up.wait_for(|done| *done).await.is_err() {
        return Err(Error::Stopped);
    }
    let mut ticks = shared.vault.ticks();
    let (mut place, mut under_way) = (0, 0usize);
    loop {
        ticks.mark_unchanged();
        if under_way < WINDOW {
            let sent = hand_over(shared, &mut frames, &mut place).await?;
            under_way += sent;
            if sent > 0 {
                continue;
            }
        }
        let due = shared.vault.look(|vault| vault.next_due(now())).await?;
        let wait = due.map_or(OTHERS_INTERVAL, |due| {
            Duration::from_millis(due.since(now()) + 1)
        });
        let first = tokio::select! {
            first = replies.next() => first.map_err(|fault| broken(&fault))?,
            () = something(&mut ticks) => continue,
            () = sleep(wait.min(OTHERS_INTERVAL)) => continue,
        };
        let first = first.ok_or_else(|| {
            Error::Unreachable("the homeserver ended the flow of messages".to_owned())
        })?;
        // Outside of the race: what was taken from the flow is also noted and counted.
        let answered = note_replies(shared, first, &mut replies).await?;
        under_way = under_way.saturating_sub(answered);
    }
}

async fn hand_over(
    shared: &Shared,
    frames: &mut FlowSender<SubmitFrame>,
    place: &mut u64,
) -> Result<usize> {
    let after = *place;
    let outgoing = shared
        .vault
        .look(move |vault| {
            let moment = entente_vault::Moment {
                now: now(),
                rng: &mut rand::rngs::OsRng,
            };
            vault.submissions(after, PAGE, moment)
        })
        .await?;
    for message in &outgoing {
        let queued = frames.queue(&message.frame).await;
        queued.map_err(|fault| broken(&fault))?;
        *place = message.place;
    }
    frames.flush().await.map_err(|fault| broken(&fault))?;
    Ok(outgoing.len())
}

/// Notes a reply and those that have arrived with it; says how many they are.
async fn note_replies(
    shared: &Shared,
    first: SubmitReply,
    replies: &mut FlowReceiver<SubmitReply>,
) -> Result<usize> {
    let mut taken = vec![first];
    while let Some(reply) = replies.ready().map_err(|fault| broken(&fault))? {
        taken.push(reply);
    }
    let count = taken.len();
    shared
        .vault
        .run(move |vault, moment| vault.submit_replies(&taken, moment))
        .await?;
    Ok(count)
}

/// Waits for the next change of the vault.
pub(super) async fn something(ticks: &mut watch::Receiver<u64>) {
    if ticks.changed().await.is_err() {
        std::future::pending().await
    }
}
