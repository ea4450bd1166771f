//! The *submit* flow: messages up, their fate back, in the order of the messages.
//!
//! Many are under way at once; a reply says only what is on disk. When too much waits for the database
//! the message is refused as busy and nothing is stored. A device that sends too many is told when to go
//! on; until then everything of the flow is refused, so that no message overtakes another.

use std::sync::Arc;
use std::time::Instant;

use entente_homeserver_core::submit::Submitted;
use entente_homeserver_ops::{Answer, Command};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::{Submission, SubmitFrame, SubmitOutcome, SubmitReply};
use entente_protocol::limits::MAX_CIPHERTEXT_BYTES;
use entente_transport::{FlowReceiver, FlowSender, StreamFault};
use futures::future::{BoxFuture, FutureExt, ready};
use futures::stream::{FuturesOrdered, StreamExt};

use crate::quotas::{Pause, Quotas};
use crate::server::Server;
use crate::wakes::DeviceKey;

/// Most messages of one flow under way at once; beyond it the client's frames wait in the network.
const MAX_UNDER_WAY: usize = 256;

type Fate = BoxFuture<'static, SubmitReply>;

/// Serves a flow until it ends.
pub(super) async fn serve(
    (server, quotas): (&Arc<Server>, &Quotas),
    device: DeviceKey,
    mut replies: FlowSender<SubmitReply>,
    mut frames: FlowReceiver<SubmitFrame>,
) -> Result<(), StreamFault> {
    let mut under_way: FuturesOrdered<Fate> = FuturesOrdered::new();
    let mut pause = Pause::default();
    let mut submit = |frame: SubmitFrame| {
        let bytes = frame.submission.ciphertext.as_slice().len();
        let admitted = pause.judge("messages", Instant::now(), || {
            quotas.message(&device, bytes)
        });
        match admitted {
            Ok(()) => submit(server, device, frame),
            Err(fault) => ready(refused(&frame.submission, fault)).boxed(),
        }
    };
    let mut open = true;
    while open || !under_way.is_empty() {
        tokio::select! {
            frame = frames.next(), if open && under_way.len() < MAX_UNDER_WAY => {
                let Some(frame) = frame? else {
                    open = false;
                    continue;
                };
                under_way.push_back(submit(frame));
                while under_way.len() < MAX_UNDER_WAY {
                    let Some(frame) = frames.ready()? else { break };
                    under_way.push_back(submit(frame));
                }
            }
            Some(reply) = under_way.next(), if !under_way.is_empty() => {
                replies.queue(&reply).await?;
                while let Some(Some(reply)) = under_way.next().now_or_never() {
                    replies.queue(&reply).await?;
                }
                replies.flush().await?;
            }
        }
    }
    replies.finish().await
}

/// Queues a message now, so that messages keep their order, and waits for its fate later.
fn submit(server: &Server, device: DeviceKey, frame: SubmitFrame) -> Fate {
    let submission = frame.submission;
    let (room, message_id) = (submission.room, submission.message_id);
    if submission.ciphertext.as_slice().len() > MAX_CIPHERTEXT_BYTES {
        let fault = Fault::new(FaultCode::TooLarge, "the message is too large");
        return ready(refused(&submission, fault)).boxed();
    }
    let refuse = move |fault| SubmitReply {
        room,
        message_id,
        outcome: SubmitOutcome::Refused(fault),
    };
    let command = Command::Submit {
        sender: device,
        submission,
    };
    match server.writer.try_submit(command) {
        Err(fault) => ready(refuse(fault)).boxed(),
        Ok(pending) => async move {
            let outcome = match pending.answer().await {
                Ok(Answer::Submitted(Submitted::Stored)) => SubmitOutcome::Stored,
                Ok(Answer::Submitted(Submitted::Ordered(ordered))) => SubmitOutcome::Ordered {
                    term: ordered.at.term,
                    seq: ordered.at.seq,
                },
                Ok(other) => {
                    tracing::error!(?other, "a submission got another operation's answer");
                    let code = FaultCode::Internal;
                    SubmitOutcome::Refused(Fault::new(code, code.meaning()))
                }
                Err(fault) => SubmitOutcome::Refused(fault),
            };
            SubmitReply {
                room,
                message_id,
                outcome,
            }
        }
        .boxed(),
    }
}

fn refused(submission: &Submission, fault: Fault) -> SubmitReply {
    SubmitReply {
        room: submission.room,
        message_id: submission.message_id,
        outcome: SubmitOutcome::Refused(fault),
    }
}
