//! One peer's worker: takes the link when that is wanted and nobody has it, and drives it then; while
//! another node drives it, dials for calls alone.

use std::sync::Arc;
use std::time::Duration;

use entente_homeserver_core::links::{Taken, may_take};
use entente_homeserver_core::rows::NodeId;
use entente_homeserver_ops::{Answer, Command, StoreFault};
use entente_identity::ServerDid;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::Outward;
use super::dial::{Purpose, dial};
use super::drive::Drive;
use super::link::{Link, LinkState, Signal, Wanted, live, note_failure, note_success};
use crate::clock::now;

/// How long to wait before the database is asked again.
pub(super) const STORE_RETRY: Duration = Duration::from_millis(500);
/// How long a link that another node drives is not looked at again.
const HELD_PAUSE: Duration = Duration::from_millis(200);
/// How often it is looked for the first beat of the node that drives a link.
const BEAT_PAUSE: Duration = Duration::from_secs(1);
/// A connection for calls that nobody used for this long is let go.
const CALLS_IDLE: Duration = Duration::from_secs(120);

struct Worker {
    outward: Arc<Outward>,
    peer: ServerDid,
    state: watch::Sender<LinkState>,
    signal: Arc<Signal>,
}

/// What is known of a link that this node does not drive.
enum Look {
    /// It may be taken, and something is owed.
    Owing,
    /// It may be taken; nothing is owed.
    Free,
    /// Another node drives it. The stream's epoch, if that node was seen to beat: otherwise its row, and
    /// the epoch, may be those of a backup.
    Held { living_epoch: Option<u64> },
}

/// Starts the worker of a peer.
pub(super) fn start(outward: Arc<Outward>, peer: ServerDid) -> Arc<Link> {
    let (state, seen) = watch::channel(LinkState::default());
    let signal = Arc::new(Signal::default());
    let link = Arc::new(Link::new(seen, Arc::clone(&signal)));
    let worker = Worker {
        outward,
        peer,
        state,
        signal,
    };
    tokio::spawn(worker.run());
    link
}

/// Writes, and tries again until it is done.
pub(super) async fn write(outward: &Outward, command: impl Fn() -> Command) -> Answer {
    loop {
        match outward.writer.execute(command()).await {
            Ok(answer) => return answer,
            Err(fault) => {
                tracing::warn!(code = %fault.code, "not written; trying again");
                sleep(STORE_RETRY).await;
            }
        }
    }
}

impl Worker {
    async fn run(self) {
        let mut wanted = Wanted::default();
        loop {
            let mut seen_epoch = None;
            let taken = self.follow(&mut wanted, &mut seen_epoch).await;
            let (peer, fence) = (&self.peer, taken.tenure.fence);
            tracing::debug!(%peer, fence, "this node drives the link");
            self.state.send_modify(|state| state.connection = None);
            let drive = Drive::new(
                &self.outward,
                (taken, seen_epoch),
                &self.state,
                &self.signal,
            );
            drive.run(&mut wanted).await;
            tracing::info!(%peer, fence, "this node does not drive the link any more");
        }
    }

    /// Waits until there is a reason to take the link, and takes it. What is wanted stays so until then;
    /// `seen_epoch` is the stream epoch in which another node was seen to drive it, on the rows that are there.
    async fn follow(&self, wanted: &mut Wanted, seen_epoch: &mut Option<u64>) -> Taken {
        let mut used = self.signal.used();
        let mut idle = Instant::now() + CALLS_IDLE;
        loop {
            self.outward.nodes.may_drive().await;
            let look = self.look().await;
            if let Look::Held { living_epoch } = look {
                *seen_epoch = living_epoch;
            }
            let unseen = matches!(look, Look::Held { living_epoch: None });
            if matches!(look, Look::Owing) || (wanted.any() && matches!(look, Look::Free)) {
                match self.take().await {
                    Some(taken) => return taken,
                    None => sleep(HELD_PAUSE).await,
                }
                continue;
            }
            if std::mem::take(&mut wanted.call) {
                self.dial_for_calls().await;
            }
            if matches!(look, Look::Held { .. }) {
                sleep(HELD_PAUSE).await;
            }
            tokio::select! {
                more = self.signal.wait() => wanted.add(more),
                () = sleep(BEAT_PAUSE), if unseen => {}
                () = sleep_until(idle) => {
                    if used == self.signal.used() {
                        // Calls under way keep it until they end.
                        self.state.send_modify(|state| state.connection = None);
                    }
                    used = self.signal.used();
                    idle = Instant::now() + CALLS_IDLE;
                }
            }
        }
    }

    /// Looks at the rows, until the database answers.
    async fn look(&self) -> Look {
        loop {
            match self.rows().await {
                Ok(look) => return look,
                Err(fault) => {
                    tracing::warn!(%fault, peer = %self.peer, "the database did not answer");
                    sleep(STORE_RETRY).await;
                }
            }
        }
    }

    async fn rows(&self) -> Result<Look, StoreFault> {
        let mut read = self.outward.store.read().await?;
        let link = read.link(&self.peer).await?;
        let holder = match &link {
            Some(link) => read.node(&link.holder).await?,
            None => None,
        };
        let me = self.outward.nodes.driver().unwrap_or(NodeId([0; 16]));
        let row = read.peer(&self.peer).await?;
        if !may_take(link.as_ref(), me, holder.is_some()) {
            let lives = holder.is_some_and(|holder| self.outward.nodes.vouches_for(&holder));
            let living_epoch = row.filter(|_| lives).map(|row| row.stream_epoch);
            return Ok(Look::Held { living_epoch });
        }
        Ok(match row {
            Some(row) if row.last_out > row.acked => Look::Owing,
            Some(_) | None => Look::Free,
        })
    }

    /// Takes the link, if it may still be taken.
    async fn take(&self) -> Option<Taken> {
        let node = self.outward.nodes.driver()?;
        let take = || Command::TakeLink {
            peer: self.peer.clone(),
            node,
            stream_epoch: now().0,
        };
        match write(&self.outward, take).await {
            Answer::Taken(taken) => Some(taken),
            _ => None,
        }
    }

    /// Dials beside the node that drives the link.
    async fn dial_for_calls(&self) {
        if live(&self.state.borrow()).is_some() {
            return;
        }
        match dial(&self.outward, &self.peer, Purpose::Calls).await {
            Ok(greeted) => note_success(&self.state, &self.peer, greeted.connection),
            Err(fault) => note_failure(&self.state, &self.peer, fault),
        }
    }
}
