//! The *relay* flow of a peer: batches in, acknowledgements out, in the same order.
//!
//! Several batches may be on their way to disk at once; each is answered after its commit. A peer that
//! sends too much is told when to go on, and until then nothing of its flow is taken, so that what it
//! sends stays in order.

use std::sync::Arc;
use std::time::Instant;

use entente_homeserver_ops::{Answer, Command};
use entente_protocol::fault::{Blame, Fault, FaultCode};
use entente_protocol::relay::{Batch, RelayReply};
use entente_transport::{FlowReceiver, FlowSender, StreamFault};
use tokio::sync::mpsc;

use super::greeting::Greeter;
use super::invites;
use crate::hub::wrong_answer;
use crate::quotas::{Pause, Quotas};
use crate::server::Server;
use crate::writer::Pending;

/// Batches that wait for the writer at once.
const IN_FLIGHT: usize = 8;
/// What a peer is told to wait when the fault does not say, in milliseconds.
const RETRY_MS: u32 = 500;

/// The answer to a batch.
enum Reply {
    /// It comes after the commit.
    Later(Pending),
    /// The batch is not taken.
    Now(RelayReply),
}

/// Serves the flow until the peer ends it.
///
/// # Errors
/// The flow broke, or the peer sent something that makes no sense; the connection is then closed, and
/// the peer resumes after a new greeting.
pub(super) async fn serve(
    server: (&Arc<Server>, &Quotas),
    peer: &Greeter,
    replies: FlowSender<RelayReply>,
    batches: FlowReceiver<Batch>,
) -> Result<(), Fault> {
    let (queue, waiting) = mpsc::channel(IN_FLIGHT);
    let (took, answered) =
        tokio::join!(take(server, peer, batches, queue), answer(replies, waiting));
    answered.and(took)
}

async fn take(
    (server, quotas): (&Arc<Server>, &Quotas),
    peer: &Greeter,
    mut batches: FlowReceiver<Batch>,
    queue: mpsc::Sender<Reply>,
) -> Result<(), Fault> {
    let mut pause = Pause::default();
    while let Some(batch) = batches.next().await.map_err(|fault| broken(&fault))? {
        let admitted = pause.judge("items", Instant::now(), || {
            quotas.batch(&peer.server, &batch.items)
        });
        let reply = match admitted {
            Ok(()) => {
                let mut verified = batch
                    .verify(&peer.server, server.me(), &peer.key)
                    .map_err(|fault| Fault::new(FaultCode::PeerMisbehaved, fault.to_string()))?;
                invites::drop_beyond(quotas, &mut verified);
                Reply::Later(server.writer.submit(Command::Receive(verified)).await?)
            }
            Err(fault) => Reply::Now(busy(&fault)),
        };
        if queue.send(reply).await.is_err() {
            // The answering side ended and says why.
            break;
        }
    }
    Ok(())
}

/// Answers batches in order. Acknowledgements that are ready together are sent as one: the last says
/// what those before it do.
async fn answer(
    mut replies: FlowSender<RelayReply>,
    mut waiting: mpsc::Receiver<Reply>,
) -> Result<(), Fault> {
    let mut next = None;
    while let Some(reply) = next_reply(&mut next, &mut waiting).await {
        let mut reply = match reply {
            Reply::Later(pending) => to_reply(pending.answer().await)?,
            Reply::Now(reply) => reply,
        };
        while let Ok(following) = waiting.try_recv() {
            let following = match following {
                Reply::Now(reply) => reply,
                Reply::Later(mut pending) => match pending.try_answer() {
                    Some(answer) => to_reply(answer)?,
                    None => {
                        next = Some(Reply::Later(pending));
                        break;
                    }
                },
            };
            if !is_ack(&reply) || !is_ack(&following) {
                replies
                    .queue(&reply)
                    .await
                    .map_err(|fault| broken(&fault))?;
            }
            reply = following;
        }
        replies.send(&reply).await.map_err(|fault| broken(&fault))?;
    }
    Ok(())
}

async fn next_reply(
    next: &mut Option<Reply>,
    waiting: &mut mpsc::Receiver<Reply>,
) -> Option<Reply> {
    match next.take() {
        Some(reply) => Some(reply),
        None => waiting.recv().await,
    }
}

fn is_ack(reply: &RelayReply) -> bool {
    matches!(reply, RelayReply::Ack { .. })
}

fn to_reply(answer: Result<Answer, Fault>) -> Result<RelayReply, Fault> {
    match answer {
        Ok(Answer::Received(reply)) => Ok(reply),
        Ok(other) => Err(wrong_answer(&other)),
        // Nothing of the batch is owned: it comes again.
        Err(fault) if matches!(fault.code.blame(), Blame::Busy | Blame::Bug) => Ok(busy(&fault)),
        Err(fault) => Err(fault),
    }
}

fn busy(fault: &Fault) -> RelayReply {
    let retry_after_ms = fault.retry_after_ms.unwrap_or(RETRY_MS);
    RelayReply::Busy { retry_after_ms }
}

fn broken(fault: &StreamFault) -> Fault {
    Fault::new(FaultCode::PeerUnreachable, fault.to_string())
}
