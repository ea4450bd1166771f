//! The *relay* flow of a peer: batches in, acknowledgements out, in the same order.
//!
//! Several batches may be on their way to disk at once; each is answered after its commit.

use std::sync::Arc;

use entente_homeserver_ops::{Answer, Command};
use entente_protocol::fault::{Blame, Fault, FaultCode};
use entente_protocol::relay::{Batch, RelayReply};
use entente_transport::{FlowReceiver, FlowSender, StreamFault};
use tokio::sync::mpsc;

use super::greeting::Greeter;
use crate::hub::wrong_answer;
use crate::server::Server;
use crate::writer::Pending;

/// Batches that wait for the writer at once.
const IN_FLIGHT: usize = 8;
/// What a peer is told to wait when the fault does not say, in milliseconds.
const RETRY_MS: u32 = 500;

/// Serves the flow until the peer ends it.
///
/// # Errors
/// The flow broke, or the peer sent something that makes no sense; the connection is then closed, and
/// the peer resumes after a new greeting.
pub(super) async fn serve(
    server: &Arc<Server>,
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
    server: &Arc<Server>,
    peer: &Greeter,
    mut batches: FlowReceiver<Batch>,
    queue: mpsc::Sender<Pending>,
) -> Result<(), Fault> {
    while let Some(batch) = batches.next().await.map_err(|fault| broken(&fault))? {
        let verified = batch
            .verify(&peer.server, server.me(), &peer.key)
            .map_err(|fault| Fault::new(FaultCode::PeerMisbehaved, fault.to_string()))?;
        let pending = server.writer.submit(Command::Receive(verified)).await?;
        if queue.send(pending).await.is_err() {
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
    mut waiting: mpsc::Receiver<Pending>,
) -> Result<(), Fault> {
    let mut next = None;
    while let Some(pending) = next_pending(&mut next, &mut waiting).await {
        let mut reply = to_reply(pending.answer().await)?;
        while let Ok(mut pending) = waiting.try_recv() {
            let Some(answer) = pending.try_answer() else {
                next = Some(pending);
                break;
            };
            let following = to_reply(answer)?;
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

async fn next_pending(
    next: &mut Option<Pending>,
    waiting: &mut mpsc::Receiver<Pending>,
) -> Option<Pending> {
    match next.take() {
        Some(pending) => Some(pending),
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
        Err(fault) if matches!(fault.code.blame(), Blame::Busy | Blame::Bug) => {
            let retry_after_ms = fault.retry_after_ms.unwrap_or(RETRY_MS);
            Ok(RelayReply::Busy { retry_after_ms })
        }
        Err(fault) => Err(fault),
    }
}

fn broken(fault: &StreamFault) -> Fault {
    Fault::new(FaultCode::PeerUnreachable, fault.to_string())
}
