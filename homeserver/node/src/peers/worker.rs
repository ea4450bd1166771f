//! Drives one peer's outbox: the machine says what to do, this does it.

use std::sync::Arc;
use std::time::Duration;

use entente_federation::outbox::{Action, Outbox};
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
use super::dial::dial;
use super::link::{Link, LinkState, Signal};
use crate::clock::now;

/// Longest time for a batch to be taken by the connection; beyond it the peer does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);
/// A dial that takes longer than this begins anew when the peer shows that it is there.
const STALE_DIAL: Duration = Duration::from_millis(300);
/// How long to wait before the database is asked again.
const STORE_RETRY: Duration = Duration::from_millis(500);

/// A greeted connection and its relay flow.
struct Live {
    connection: Connection,
    batches: FlowSender<Batch>,
    replies: FlowReceiver<RelayReply>,
}

struct Worker {
    outward: Arc<Outward>,
    peer: ServerDid,
    outbox: Outbox,
    state: watch::Sender<LinkState>,
    signal: Arc<Signal>,
    live: Option<Live>,
}

/// What happened while the worker waited.
enum Event {
    Signal { poked: bool },
    Reply(Result<Option<RelayReply>, StreamFault>),
    Timeout,
}

/// Starts the worker of a peer.
pub(super) fn start(outward: Arc<Outward>, peer: ServerDid) -> Arc<Link> {
    let (state, seen) = watch::channel(LinkState::default());
    let signal = Arc::new(Signal::default());
    let link = Arc::new(Link::new(seen, Arc::clone(&signal)));
    tokio::spawn(async move {
        let row = load(&outward, &peer).await;
        let worker = Worker {
            outbox: Outbox::new(row.stream_epoch, row.acked, row.last_out, now()),
            outward,
            peer,
            state,
            signal,
            live: None,
        };
        worker.run().await;
    });
    link
}

/// The peer's row, asked for until the database answers.
async fn load(outward: &Outward, peer: &ServerDid) -> PeerRow {
    loop {
        match row(outward, peer).await {
            Ok(row) => return row.unwrap_or_else(|| PeerRow::new(peer.clone())),
            Err(fault) => {
                tracing::warn!(%fault, %peer, "the database did not answer");
                sleep(STORE_RETRY).await;
            }
        }
    }
}

async fn row(outward: &Outward, peer: &ServerDid) -> Result<Option<PeerRow>, StoreFault> {
    outward.store.read().await?.peer(peer).await
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

/// Writes, and tries again until it is done: the machine waits for it.
async fn write(outward: &Outward, command: impl Fn() -> Command) -> Answer {
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
    async fn run(mut self) {
        self.outbox.handle_timeout(now());
        loop {
            while let Some(action) = self.outbox.poll_action() {
                self.act(action).await;
            }
            match self.wait().await {
                Event::Signal { poked } => {
                    let row = load(&self.outward, &self.peer).await;
                    self.outbox.handle_owed(row.last_out, now());
                    if poked {
                        self.outbox.handle_poke(now());
                    }
                }
                Event::Reply(Ok(Some(reply))) => self.outbox.handle_reply(&reply, now()),
                Event::Reply(Ok(None)) => self.lose("the peer ended the flow"),
                Event::Reply(Err(fault)) => self.lose(&fault.to_string()),
                Event::Timeout => self.outbox.handle_timeout(now()),
            }
        }
    }

    async fn wait(&mut self) -> Event {
        let due = self.outbox.poll_timeout();
        let replies = self.live.as_mut().map(|live| &mut live.replies);
        tokio::select! {
            reply = next_reply(replies) => Event::Reply(reply),
            poked = self.signal.wait() => Event::Signal { poked },
            () = until(due) => Event::Timeout,
        }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::BeginEpoch { stream_epoch } => {
                let peer = self.peer.clone();
                let begin = || Command::BeginEpoch {
                    peer: peer.clone(),
                    stream_epoch,
                };
                if let Answer::Peer(row) = write(&self.outward, begin).await {
                    self.outbox.handle_epoch(row.stream_epoch, now());
                }
            }
            Action::Dial => self.dial().await,
            Action::Send { after, limit } => self.send(after, limit).await,
            Action::Forget { up_to } => {
                // Beside the loop: batches and replies do not wait for this commit, and nothing waits
                // for its order.
                let (outward, peer) = (Arc::clone(&self.outward), self.peer.clone());
                tokio::spawn(async move {
                    let acknowledge = || Command::Acknowledge {
                        peer: peer.clone(),
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
    }

    async fn dial(&mut self) {
        let place = (self.outbox.stream_epoch(), self.outbox.begins_after());
        let greeted = loop {
            // A dial that began before the peer did waits for packets that nobody will answer.
            let seen_late = async {
                sleep(STALE_DIAL).await;
                self.signal.seen().await;
            };
            tokio::select! {
                greeted = dial(&self.outward, &self.peer, place) => break greeted,
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
        if self.state.borrow().failing_since.is_some() {
            tracing::info!(peer = %self.peer, "reachable again");
        }
        self.outbox
            .handle_greeted(greeted.stream_epoch, greeted.last_in, now());
        self.state.send_modify(|state| {
            state.connection = Some(connection);
            state.attempts += 1;
            state.failing_since = None;
            state.reason = None;
        });
    }

    async fn send(&mut self, after: u64, limit: usize) {
        let run = match owed(&self.outward, &self.peer, after, limit).await {
            Ok(Some(run)) => run,
            Ok(None) => return self.lose("what is owed is not in the log any more"),
            Err(fault) => {
                tracing::warn!(%fault, peer = %self.peer, "the database did not answer");
                sleep(STORE_RETRY).await;
                return self.lose("the own database does not answer");
            }
        };
        let here = &self.outward.here;
        let last = run.first + run.items.len() as u64 - 1;
        let numbers = (self.outbox.stream_epoch(), run.first);
        let signer = (here.key_id.as_str(), &here.key, now());
        let batch = Batch::sign(&here.me, &self.peer, numbers, run.items, signer);
        let Some(live) = &mut self.live else {
            return self.lose("not connected");
        };
        match timeout(SEND_TIMEOUT, live.batches.send(&batch)).await {
            Ok(Ok(())) => self.outbox.handle_sent(last, now()),
            Ok(Err(fault)) => self.lose(&fault.to_string()),
            Err(_) => self.lose("the peer does not read"),
        }
    }

    /// A greeted connection is gone.
    fn lose(&mut self, reason: &str) {
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
        // The machine forgets its failures when it is poked; the link does not.
        let since = self.state.borrow().failing_since;
        if since.is_none() {
            tracing::warn!(peer = %self.peer, reason = %fault.detail, "not reachable; trying again");
        }
        self.outbox.handle_lost(now(), OsRng.next_u64());
        let failing_since = since.or(Some(now()));
        self.state.send_modify(|state| {
            state.connection = None;
            state.attempts += 1;
            state.failing_since = failing_since;
            state.reason = Some(fault);
        });
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
