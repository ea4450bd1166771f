//! Deletes what logs have kept for long enough, a part at a time, so that nobody waits long for it.
//!
//! Every node of a server does: whoever comes second finds nothing to do. Rooms are taken in order, and what a
//! stop interrupts the next round does.

use std::sync::Arc;
use std::time::Duration;

use entente_groups::RoomId;
use entente_homeserver_ops::{Answer, Command};
use entente_protocol::fault::{Fault, FaultCode};

use crate::server::{Server, explain};

/// How long a server runs before it begins.
const FIRST: Duration = Duration::from_secs(60);
/// From the end of one round to the next.
const EVERY: Duration = Duration::from_secs(6 * 3600);
/// Between two parts: others write then.
const PAUSE: Duration = Duration::from_millis(20);
/// Before a part that the database did not take is tried again.
const RETRY: Duration = Duration::from_secs(5);
/// Rooms that are listed at once.
const ROOMS: usize = 256;

/// Deletes again and again what is older than this.
pub(super) async fn run(server: Arc<Server>, keep: Duration) {
    let keep_ms = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
    let mut wait = FIRST;
    loop {
        tokio::time::sleep(wait).await;
        if let Err(fault) = round(&server, keep_ms).await {
            tracing::warn!(code = %fault.code, reason = %fault.detail, "old entries are not deleted");
        }
        wait = EVERY;
    }
}

async fn round(server: &Server, keep_ms: u64) -> Result<(), Fault> {
    let mut after: Option<RoomId> = None;
    loop {
        let mut read = server.read().await?;
        let rooms = read.rooms_after(after.as_ref(), ROOMS).await;
        drop(read);
        let rooms = rooms.map_err(|fault| explain(&fault))?;
        let Some(last) = rooms.last() else {
            return Ok(());
        };
        after = Some(*last);
        for room in rooms {
            while part(server, room, keep_ms).await? == Answer::More {
                tokio::time::sleep(PAUSE).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn part(server: &Server, room: RoomId, keep_ms: u64) -> Result<Answer, Fault> {
    loop {
        let part = Command::Retain { room, keep_ms };
        match server.writer.execute(part).await {
            Err(fault) if matches!(fault.code, FaultCode::Busy | FaultCode::Timeout) => {
                tokio::time::sleep(RETRY).await;
            }
            answer => return answer,
        }
    }
}
