//! Taking news in: entries, the device's queue, watermarks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use entente_groups::RoomId;
use entente_protocol::entry::Seq;
use entente_protocol::flow::{SyncEvent, SyncRequest};
use entente_transport::{Connection, FlowReceiver, FlowSender};
use entente_vault::{Cursors, PageOutcome};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{Shared, broken};
use crate::error::Result;

/// How long to wait before a flow is opened again for what was missing in it.
const REOPEN_DELAY: Duration = Duration::from_millis(300);

/// The longest such wait, for a gap that lasts.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// What a flow has brought so far.
#[derive(Default)]
struct Progress {
    cursors: HashMap<RoomId, Seq>,
    queue: u64,
    /// Rooms whose entries came before the vault knew them.
    unknown: HashSet<RoomId>,
    /// Whether entries were missing.
    gap: bool,
}

/// Why a flow is to be opened again.
enum Reopen {
    Known,
    Gap,
}

/// Takes news in until the connection breaks.
pub(super) async fn run(shared: &Arc<Shared>, connection: &Connection) -> Result<()> {
    let mut delay = REOPEN_DELAY;
    loop {
        match flow(shared, connection).await? {
            Reopen::Known => delay = REOPEN_DELAY,
            Reopen::Gap => {
                sleep(delay).await;
                delay = (delay * 2).min(LONGEST_DELAY);
            }
        }
    }
}

async fn flow(shared: &Arc<Shared>, connection: &Connection) -> Result<Reopen> {
    let Cursors { rooms, queue } = shared.vault.look(|vault| vault.cursors()).await?;
    let opened = connection
        .open_sync()
        .await
        .map_err(|fault| broken(&fault))?;
    let (mut requests, mut events) = opened;
    let open = SyncRequest::Open {
        cursors: rooms,
        queue_after: queue,
    };
    let sent = requests.send(&open).await;
    sent.map_err(|fault| broken(&fault))?;
    let mut ticks = shared.vault.ticks();
    let mut progress = Progress::default();
    loop {
        let unknown = progress.unknown.clone();
        tokio::select! {
            taken = take(shared, &mut events, &mut requests, &mut progress) => taken?,
            known = becomes_known(shared, &mut ticks, &unknown) => {
                known?;
                return Ok(Reopen::Known);
            }
        }
        if progress.gap {
            return Ok(Reopen::Gap);
        }
    }
}

/// Takes what has arrived, and acknowledges it.
async fn take(
    shared: &Arc<Shared>,
    events: &mut FlowReceiver<SyncEvent>,
    requests: &mut FlowSender<SyncRequest>,
    progress: &mut Progress,
) -> Result<()> {
    let mut next = events.next().await.map_err(|fault| broken(&fault))?;
    if next.is_none() {
        return Err(crate::error::Error::Unreachable(
            "the homeserver ended the flow of news".to_owned(),
        ));
    }
    while let Some(event) = next {
        process(shared, event, progress).await?;
        next = events.ready().map_err(|fault| broken(&fault))?;
    }
    if progress.cursors.is_empty() && progress.queue == 0 {
        return Ok(());
    }
    let acknowledge = SyncRequest::Ack {
        cursors: progress.cursors.drain().collect(),
        queue: std::mem::take(&mut progress.queue),
    };
    let sent = requests.send(&acknowledge).await;
    sent.map_err(|fault| broken(&fault))
}

async fn process(shared: &Shared, event: SyncEvent, progress: &mut Progress) -> Result<()> {
    match event {
        SyncEvent::Entries { room, hub, entries } => {
            let last = entries.last().map(|entry| entry.header.seq);
            let outcome = shared
                .vault
                .run(move |vault, moment| vault.read_entries(&room, &hub, &entries, moment))
                .await?;
            match (outcome, last) {
                (PageOutcome::Read, Some(seq)) => {
                    progress.cursors.insert(room, seq);
                }
                (PageOutcome::Read | PageOutcome::NotFollowed, _) => {}
                (PageOutcome::UnknownRoom, _) => {
                    progress.unknown.insert(room);
                }
                (PageOutcome::Gap, _) => progress.gap = true,
            }
        }
        SyncEvent::Queued { number, time, item } => {
            shared
                .vault
                .run(move |vault, moment| vault.read_queued(number, time, &item, moment))
                .await?;
            progress.queue = number;
        }
        SyncEvent::Delivered { room, seq } => {
            shared
                .vault
                .run(move |vault, moment| vault.delivered(&room, seq, moment))
                .await?;
        }
        SyncEvent::CaughtUp => {
            shared
                .vault
                .run(|vault, moment| vault.caught_up(moment))
                .await?;
            shared.caught_up.send_replace(true);
        }
    }
    Ok(())
}

/// Waits until the vault follows a room whose entries came too early.
async fn becomes_known(
    shared: &Shared,
    ticks: &mut watch::Receiver<u64>,
    unknown: &HashSet<RoomId>,
) -> Result<()> {
    if unknown.is_empty() {
        std::future::pending::<()>().await;
    }
    loop {
        ticks.mark_unchanged();
        let rooms = shared.vault.look(|vault| vault.cursors()).await?.rooms;
        if rooms.iter().any(|(room, _)| unknown.contains(room)) {
            return Ok(());
        }
        if ticks.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
