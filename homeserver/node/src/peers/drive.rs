//! Drives one peer's outbox while this node holds the link: the machine says what to do, this does it.
//!
//! Invariants: nothing is sent once the node may not drive any more; what is written carries the tenure,
//! so that it has no effect once another node took the link.

use std::sync::Arc;
use std::time::Duration;

use entente_federation::outbox::{Action, Outbox};
use entente_homeserver_core::links::{Taken, Tenure, holds};
use entente_homeserver_core::rows::PeerRow;
use entente_homeserver_ops::read::outbox::{Run, next_run};
use entente_homeserver_ops::{Answer, Command, StoreFault};
use entente_identity::{ServerDid, UnixMillis};
use entente_protocol::fault::Fault;
use entente_protocol::relay::{Batch, RelayReply};
use entente_transport::{CloseCode, Connection, FlowReceiver, FlowSender, StreamFault};
use rand::RngCore;
use rand::rngs::OsRng;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Outward;
use super::dial::{Purpose, dial};
use super::link::{LinkState, Signal, Wanted, note_failure, note_success};
use super::worker::{STORE_RETRY, write};
use crate::clock::now;

/// Longest time for a batch to be taken by the connection; beyond it the peer does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// A dial that takes longer than this begins anew when the peer shows that it is there.
const STALE_DIAL: Duration = Duration::from_millis(300);

/// A greeted connection and its relay flow.
struct Live {
    connection: Connection,
    batches: FlowSender<Batch>,
    replies: FlowReceiver<RelayReply>,
}

/// One tenure of a link.
pub(super) struct Drive<'a> {
    outward: &'a Arc<Outward>,
    peer: ServerDid,
    tenure: Tenure,
    outbox: Outbox,
    /// The stream epoch of the holder before, until it is known how far the peer owns it.
    unknown: Option<u64>,
    state: &'a watch::Sender<LinkState>,
    signal: &'a Signal,
    live: Option<Live>,
}

/// What happened while the driver waited.
enum Event {
    Signal(Wanted),
    Reply(Result<Option<RelayReply>, StreamFault>),
    Timeout,
}

/// Whether the link is this node's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    Kept,
    Lost,
}

async fn owed(
    outward: &Outward,
    peer: &ServerDid,
    after: u64,
    limit: usize,
) -> Result<Option<Run>, StoreFault> {
    let mut read = outward.store.read().await?;
    next_run(&mut *read, peer, after, limit).await
}

impl<'a> Drive<'a> {
    pub(super) fn new(
        outward: &'a Arc<Outward>,
        (taken, seen_epoch): (Taken, Option<u64>),
        state: &'a watch::Sender<LinkState>,
        signal: &'a Signal,
    ) -> Self {
        let row = taken.peer;
        Self {
            outward,
            tenure: taken.tenure,
            unknown: seen_epoch.filter(|epoch| *epoch == taken.epoch_before),
            outbox: Outbox::begun(row.stream_epoch, row.acked, row.last_out, now()),
            peer: row.server,
            state,
            signal,
            live: None,
        }
    }

    /// Drives until the link is not this node's any more. `wanted` is what it was taken for, and in the end
    /// what did not come to a dial.
    pub(super) async fn run(mut self, wanted: &mut Wanted) {
        self.poke(wanted);
        self.outbox.handle_timeout(now());
        while self.step(wanted).await == Hold::Kept {}
        if let Some(live) = self.live.take() {
            live.connection
                .close(CloseCode::DONE, "another node drives the link");
        }
        self.state.send_modify(|state| state.connection = None);
    }

    /// Has a dial made for what is wanted, unless there is a connection.
    fn poke(&mut self, wanted: &mut Wanted) {
        if wanted.any() {
            self.outbox.handle_poke(now());
        }
        let is_live = |live: &Live| live.connection.close_reason().is_none();
        if self.live.as_ref().is_some_and(is_live) {
            *wanted = Wanted::default();
        }
    }

    async fn step(&mut self, wanted: &mut Wanted) -> Hold {
        while let Some(action) = self.outbox.poll_action() {
            let dials = action == Action::Dial;
            if self.act(action).await == Hold::Lost {
                return Hold::Lost;
            }
            if dials {
                *wanted = Wanted::default();
            }
        }
        match self.wait().await {
            Event::Signal(more) => {
                wanted.add(more);
                let Some(row) = self.look().await else {
                    return Hold::Lost;
                };
                self.outbox.handle_owed(row.last_out, now());
                self.poke(wanted);
            }
            Event::Reply(Ok(Some(reply))) => self.outbox.handle_reply(&reply, now()),
            Event::Reply(Ok(None)) => self.lose("the peer ended the flow"),
            Event::Reply(Err(fault)) => self.lose(&fault.to_string()),
            Event::Timeout => self.outbox.handle_timeout(now()),
        }
        if self.live.is_none() {
            // Who came while a connection was taken for live waits for the next one.
            self.poke(wanted);
        }
        Hold::Kept
    }

    /// The peer's row, if the link is still this node's; asked for until the database answers.
    async fn look(&self) -> Option<PeerRow> {
        loop {
            match self.rows().await {
                Ok(row) => return row,
                Err(fault) => {
                    tracing::warn!(%fault, peer = %self.peer, "the database did not answer");
                    sleep(STORE_RETRY).await;
                }
            }
        }
    }

    async fn rows(&self) -> Result<Option<PeerRow>, StoreFault> {
        let mut read = self.outward.store.read().await?;
        let link = read.link(&self.peer).await?;
        if !holds(link.as_ref(), self.tenure) {
            return Ok(None);
        }
        let row = read.peer(&self.peer).await?;
        Ok(Some(row.unwrap_or_else(|| PeerRow::new(self.peer.clone()))))
    }

    /// Whether the node lives, as far as it knows, as the one that took the link.
    fn may_drive(&self) -> bool {
        self.outward.nodes.driver() == Some(self.tenure.holder)
    }

    async fn wait(&mut self) -> Event {
        let due = self.outbox.poll_timeout();
        let replies = self.live.as_mut().map(|live| &mut live.replies);
        tokio::select! {
            reply = next_reply(replies) => Event::Reply(reply),
            wanted = self.signal.wait() => Event::Signal(wanted),
            () = until(due) => Event::Timeout,
        }
    }

    async fn act(&mut self, action: Action) -> Hold {
        match action {
            Action::BeginEpoch { stream_epoch } => {
                let peer = self.peer.clone();
                let begin = || Command::BeginEpoch {
                    peer: peer.clone(),
                    tenure: self.tenure,
                    stream_epoch,
                };
                match write(self.outward, begin).await {
                    Answer::Peer(row) => self.outbox.handle_epoch(row.stream_epoch, now()),
                    _ => return Hold::Lost,
                }
            }
            Action::Dial | Action::Send { .. } if !self.may_drive() => return Hold::Lost,
            Action::Dial => self.dial().await,
            Action::Send { after, limit } => self.send(after, limit).await,
            Action::Forget { up_to } => {
                // Beside the loop: batches and replies do not wait for this commit, and nothing waits
                // for its order.
                let (outward, peer) = (Arc::clone(self.outward), self.peer.clone());
                let tenure = self.tenure;
                tokio::spawn(async move {
                    let acknowledge = || Command::Acknowledge {
                        peer: peer.clone(),
                        tenure,
                        up_to,
                    };
                    write(&outward, acknowledge).await;
                });
            }
            Action::Close => {
                if let Some(live) = self.live.take() {
                    live.connection.close(CloseCode::DONE, "nothing is owed");
                }
                self.state.send_modify(|state| state.connection = None);
            }
        }
        Hold::Kept
    }

    /// Asks the peer how far it owns what the holder before handed over, so that none of that goes out
    /// once more. Only if this node saw that stream epoch while another one held the link and beat: it goes on
    /// with the same rows then, and they are not those of a backup.
    async fn catch_up(&mut self) -> Result<(), Fault> {
        let Some(epoch) = self.unknown else {
            return Ok(());
        };
        let greeted = dial(self.outward, &self.peer, Purpose::Calls).await?;
        greeted
            .connection
            .close(CloseCode::DONE, "the stream is greeted for next");
        if greeted.stream_epoch == epoch {
            self.outbox.handle_owned(greeted.last_in);
        }
        self.unknown = None;
        Ok(())
    }

    async fn dial(&mut self) {
        if let Err(fault) = self.catch_up().await {
            return self.fail(fault);
        }
        let purpose = Purpose::Stream {
            stream_epoch: self.outbox.stream_epoch(),
            begins_after: self.outbox.begins_after(),
        };
        let greeted = loop {
            // A dial that began before the peer did waits for packets that nobody will answer.
            let seen_late = async {
                sleep(STALE_DIAL).await;
                self.signal.seen().await;
            };
            tokio::select! {
                greeted = dial(self.outward, &self.peer, purpose) => break greeted,
                () = seen_late => {}
            }
        };
        let greeted = match greeted {
            Ok(greeted) => greeted,
            Err(fault) => return self.fail(fault),
        };
        let connection = greeted.connection;
        match connection.open_relay().await {
            Ok((batches, replies)) => {
                self.live = Some(Live {
                    connection: connection.clone(),
                    batches,
                    replies,
                });
            }
            Err(fault) => return self.lose(&fault.to_string()),
        }
        self.outbox
            .handle_greeted(greeted.stream_epoch, greeted.last_in, now());
        note_success(self.state, &self.peer, connection);
    }

    async fn send(&mut self, after: u64, limit: usize) {
        let run = match owed(self.outward, &self.peer, after, limit).await {
            Ok(Some(run)) => run,
            Ok(None) => return self.close("what is owed is not in the log any more"),
            Err(fault) => {
                tracing::warn!(%fault, peer = %self.peer, "the database did not answer");
                sleep(STORE_RETRY).await;
                return self.close("the own database does not answer");
            }
        };
        let here = &self.outward.here;
        let last = run.first + run.items.len() as u64 - 1;
        let numbers = (self.outbox.stream_epoch(), run.first);
        let signer = (here.key_id.as_str(), &here.key, now());
        let batch = Batch::sign(&here.me, &self.peer, numbers, run.items, signer);
        let Some(live) = &mut self.live else {
            return self.close("not connected");
        };
        // Before it goes out: the peer may own it though it is not known to have been sent.
        self.outbox.handle_owed(last, now());
        match timeout(SEND_TIMEOUT, live.batches.send(&batch)).await {
            Ok(Ok(())) => self.outbox.handle_sent(last, now()),
            Ok(Err(fault)) => self.lose(&fault.to_string()),
            Err(_) => self.lose("the peer does not read"),
        }
    }

    /// A greeted connection is gone: another of the peer's addresses is tried first.
    fn lose(&mut self, reason: &str) {
        if let Some(live) = &self.live {
            let address = live.connection.remote_address();
            self.outward.directory.fell_silent(&self.peer, address);
        }
        self.close(reason);
    }

    /// A connection is given up; its peer need not be the cause.
    fn close(&mut self, reason: &str) {
        tracing::debug!(peer = %self.peer, reason, "the link is gone");
        if let Some(live) = self.live.take() {
            live.connection
                .close(CloseCode::DONE, "the relay flow ended");
        }
        self.outbox.handle_lost(now(), OsRng.next_u64());
        self.state.send_modify(|state| state.connection = None);
    }

    /// A dial did not lead to a connection.
    fn fail(&mut self, fault: Fault) {
        self.outbox.handle_lost(now(), OsRng.next_u64());
        note_failure(self.state, &self.peer, fault);
    }
}

async fn next_reply(
    replies: Option<&mut FlowReceiver<RelayReply>>,
) -> Result<Option<RelayReply>, StreamFault> {
    match replies {
        Some(replies) => replies.next().await,
        None => std::future::pending().await,
    }
}

async fn until(due: Option<UnixMillis>) {
    match due {
        Some(due) => sleep(Duration::from_millis(due.since(now()))).await,
        None => std::future::pending().await,
    }
}
