//! Typed calls and flows over real sockets.

use entente_groups::{Epoch, MessageId, RoomId};
use entente_identity::{DeviceId, ServerDid, UnixMillis};
use entente_protocol::call::{
    ClientRequest, ClientResponse, HubCall, PeerRequest, PeerResponse, Proposal, Pull,
    ServerStatus, Vouched,
};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::{
    Submission, SubmitFrame, SubmitOutcome, SubmitReply, SyncEvent, SyncRequest,
};
use entente_protocol::relay::{Batch, RelayReply};

use super::*;
use crate::opening::Opening;
use crate::wire::Method;
use crate::{CallError, FlowReceiver, FlowSender, Incoming, Link, StreamCode, WireFault};

fn hub() -> ServerDid {
    "did:web:org-a.example".parse().expect("a DID")
}

fn head(seq: u64) -> Head {
    Head {
        term: Term::FIRST,
        seq: Seq(seq),
        hash: EntryHash([9; 32]),
    }
}

fn status() -> ClientResponse {
    ClientResponse::Status(ServerStatus {
        server: hub(),
        version: "0.1.0".into(),
        time: UnixMillis(2),
        started: UnixMillis(1),
        waiting: 3,
        peers: vec![],
    })
}

fn proposal() -> ClientRequest {
    ClientRequest::Propose(HubCall {
        hub: hub(),
        request: Proposal {
            room: RoomId([1; 32]),
            message_id: MessageId([2; 16]),
            proposal: vec![3; 100],
        },
    })
}

/// Serves status and refuses everything else, as a homeserver would.
fn serve_clients(connection: Connection) {
    tokio::spawn(async move {
        while let Ok(stream) = connection.accept().await {
            tokio::spawn(async move {
                let Ok(Incoming::ClientCall(call)) = stream.open().await else {
                    return;
                };
                let answer = match call.request {
                    ClientRequest::Status => Ok(status()),
                    other => Err(Fault::new(FaultCode::NotMember, format!("{other:?}"))),
                };
                call.responder
                    .answer(answer)
                    .await
                    .expect("the caller waits");
            });
        }
    });
}

#[tokio::test]
async fn calls_bring_replies_and_faults() {
    let pair = Pair::client().await;
    serve_clients(pair.accepted.clone());
    assert_eq!(
        pair.dialled.call(&ClientRequest::Status).await,
        Ok(status())
    );
    let error = pair.dialled.call(&proposal()).await.expect_err("refused");
    let CallError::Refused(fault) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(fault.code, FaultCode::NotMember);
    assert_eq!(fault.detail, format!("{:?}", proposal()));
    assert_eq!(Fault::from(error.clone()), *fault);
}

#[tokio::test]
async fn a_call_of_the_other_link_is_not_made() {
    let pair = Pair::federation().await;
    let error = pair.dialled.call(&ClientRequest::Status).await;
    assert_eq!(error, Err(CallError::WrongLink(Link::Federation)));
}

#[tokio::test]
async fn peers_call_each_other() {
    let pair = Pair::federation().await;
    let accepted = pair.accepted.clone();
    let pull = PeerRequest::Pull(Pull {
        room: RoomId([1; 32]),
        after: head(4),
        until: Seq(9),
    });
    let expected = pull.clone();
    let serving = tokio::spawn(async move {
        let stream = accepted.accept().await.unwrap().open().await.unwrap();
        let Incoming::PeerCall(call) = stream else {
            panic!("{stream:?}");
        };
        assert_eq!(call.request, expected);
        let reply = PeerResponse::Entries(vec![]);
        call.responder.answer(Ok(reply)).await.unwrap();
    });
    let reply = pair.dialled.call(&pull).await;
    assert_eq!(reply, Ok(PeerResponse::Entries(vec![])));
    serving.await.unwrap();
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_answered() {
    let pair = Pair::client().await;
    let accepted = pair.accepted.clone();
    let serving = tokio::spawn(async move {
        let mut faults = Vec::new();
        for _ in 0..3 {
            let opened = accepted.accept().await.unwrap().open().await;
            faults.push(opened.expect_err("nonsense"));
        }
        faults
    });
    let raw = |method| exchange(&pair.dialled, method, message(b"nonsense"));
    for (method, code) in [
        (999, FaultCode::Unsupported),
        (ClientRequest::Status.number() - 1, FaultCode::BadRequest),
    ] {
        let answer = raw(method).await.unwrap();
        let crate::call::RawAnswer::Fault(frame) = answer else {
            panic!("{answer:?}");
        };
        let fault: Fault = crate::wire::decode(&frame).unwrap();
        assert_eq!(fault.code, code, "{fault}");
    }
    // A flow of the other link is refused without words.
    let (mut writer, mut reader) = pair.dialled.open().await.unwrap();
    writer.queue_bytes(&Opening::Flow { kind: 2 }.bytes());
    writer.flush().await.unwrap();
    let reset = StreamFault::Reset(StreamCode::REFUSED);
    assert_eq!(reader.next().await, Err(reset));
    let faults = serving.await.unwrap();
    assert!(
        matches!(
            faults[..],
            [
                StreamFault::Message(WireFault::Unknown { value: 999, .. }),
                StreamFault::Message(_),
                StreamFault::Message(WireFault::Unknown { value: 2, .. }),
            ]
        ),
        "{faults:?}"
    );
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_the_peers_fault() {
    let pair = Pair::client().await;
    let accepted = pair.accepted.clone();
    tokio::spawn(async move {
        let stream = accepted.accept().await.unwrap().read().await.unwrap();
        let RawStream::Call { writer, .. } = stream else {
            panic!("not a call");
        };
        reply(writer, b"nonsense").await.unwrap();
    });
    let error = pair.dialled.call(&proposal()).await.expect_err("nonsense");
    assert!(matches!(error, CallError::Answer(_)), "{error:?}");
    assert_eq!(Fault::from(error).code, FaultCode::PeerMisbehaved);
}

#[tokio::test]
async fn an_unanswered_call_is_told() {
    let pair = Pair::client().await;
    let accepted = pair.accepted.clone();
    tokio::spawn(async move {
        let stream = accepted.accept().await.unwrap().open().await;
        drop(stream);
        accepted.closed().await;
    });
    let error = pair.dialled.call(&ClientRequest::Status).await;
    assert!(matches!(error, Err(CallError::Stream(_))), "{error:?}");
}

fn submission(number: u32) -> SubmitFrame {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&number.to_le_bytes());
    SubmitFrame {
        hub: hub(),
        submission: Submission {
            room: RoomId([1; 32]),
            message_id: MessageId(id),
            epoch: Epoch(5),
            ciphertext: vec![7; 100 + number as usize % 900].into(),
        },
    }
}

/// Orders messages in the order of their coming.
async fn serve_submit(
    mut replies: FlowSender<SubmitReply>,
    mut frames: FlowReceiver<SubmitFrame>,
) -> Result<u64, StreamFault> {
    let mut seq = 0;
    while let Some(first) = frames.next().await? {
        let mut next = Some(first);
        while let Some(frame) = next {
            seq += 1;
            let reply = SubmitReply {
                room: frame.submission.room,
                message_id: frame.submission.message_id,
                outcome: SubmitOutcome::Ordered {
                    term: Term::FIRST,
                    seq: Seq(seq),
                },
            };
            replies.queue(&reply).await?;
            next = frames.ready()?;
        }
        replies.flush().await?;
    }
    replies.finish().await?;
    Ok(seq)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_messages_are_submitted_and_answered_in_order() {
    const COUNT: u32 = 10_000;
    let pair = Pair::client().await;
    let accepted = pair.accepted.clone();
    let serving = tokio::spawn(async move {
        let stream = accepted.accept().await.unwrap().open().await.unwrap();
        let Incoming::Submit(replies, frames) = stream else {
            panic!("{stream:?}");
        };
        serve_submit(replies, frames).await.unwrap()
    });
    let (mut frames, mut replies) = pair.dialled.open_submit().await.unwrap();
    let sending = tokio::spawn(async move {
        for number in 0..COUNT {
            frames.queue(&submission(number)).await.unwrap();
            if number % 64 == 0 {
                frames.flush().await.unwrap();
            }
        }
        frames.finish().await.unwrap();
    });
    for number in 0..COUNT {
        let reply = replies.next().await.unwrap().expect("a reply");
        assert_eq!(reply.message_id, submission(number).submission.message_id);
        let (term, seq) = (Term::FIRST, Seq(u64::from(number) + 1));
        assert_eq!(reply.outcome, SubmitOutcome::Ordered { term, seq });
    }
    assert_eq!(replies.next().await, Ok(None));
    sending.await.unwrap();
    assert_eq!(serving.await.unwrap(), u64::from(COUNT));
}

#[tokio::test]
async fn a_device_syncs() {
    let pair = Pair::client().await;
    let (mut requests, mut events) = pair.dialled.open_sync().await.unwrap();
    let open = SyncRequest::Open {
        cursors: vec![(RoomId([1; 32]), Seq(7)); 10_000],
        queue_after: 3,
    };
    requests.send(&open).await.unwrap();
    let stream = pair.accepted.accept().await.unwrap().open().await.unwrap();
    let Incoming::Sync(mut out, mut asked) = stream else {
        panic!("{stream:?}");
    };
    assert_eq!(asked.next().await, Ok(Some(open)));
    let none: [&[u8]; 0] = [];
    out.queue_entries(RoomId([1; 32]), &hub(), &none)
        .await
        .unwrap();
    out.send(&SyncEvent::CaughtUp).await.unwrap();
    let entries = SyncEvent::Entries {
        room: RoomId([1; 32]),
        hub: hub(),
        entries: vec![],
    };
    assert_eq!(events.next().await, Ok(Some(entries)));
    assert_eq!(events.next().await, Ok(Some(SyncEvent::CaughtUp)));
}

#[tokio::test]
async fn a_frame_that_makes_no_sense_ends_its_flow_only() {
    let pair = Pair::client().await;
    let (mut requests, mut events) = pair.dialled.open_sync().await.unwrap();
    let stream = pair.accepted.accept().await.unwrap().open().await.unwrap();
    let Incoming::Sync(mut out, mut asked) = stream else {
        panic!("{stream:?}");
    };
    let entries = [[0xff; 40]];
    out.queue_entries(RoomId([1; 32]), &hub(), &entries)
        .await
        .unwrap();
    out.flush().await.unwrap();
    let fault = events.next().await.expect_err("no entry");
    assert!(matches!(fault, StreamFault::Message(_)), "{fault:?}");
    let stopped = loop {
        if let Err(fault) = out.send(&SyncEvent::CaughtUp).await {
            break fault;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(stopped, StreamFault::Stopped(StreamCode::BROKEN));
    // The other direction and the connection go on.
    let ack = SyncRequest::Ack {
        cursors: vec![],
        queue: 1,
    };
    requests.send(&ack).await.unwrap();
    assert_eq!(asked.next().await, Ok(Some(ack)));
}

#[tokio::test]
async fn batches_are_relayed_and_acknowledged() {
    let pair = Pair::federation().await;
    let (mut batches, mut replies) = pair.dialled.open_relay().await.unwrap();
    let key = SigningKey::from_seed(&[2; 32]);
    let (from, to): (ServerDid, ServerDid) = (hub(), "did:web:org-b.example".parse().unwrap());
    let items = vec![vec![5; 2000]; 512];
    let batch = Batch::sign(&from, &to, (1, 10), items, ("k", &key, UnixMillis(5)));
    batches.send(&batch).await.unwrap();
    let stream = pair.accepted.accept().await.unwrap().open().await.unwrap();
    let Incoming::Relay(mut acks, mut received) = stream else {
        panic!("{stream:?}");
    };
    let got = received.next().await.unwrap().expect("a batch");
    assert_eq!(got, batch);
    assert!(got.verify(&from, &to, &key.public()).is_ok());
    let ack = RelayReply::Ack {
        stream_epoch: 1,
        up_to: 521,
    };
    acks.send(&ack).await.unwrap();
    assert_eq!(replies.next().await, Ok(Some(ack)));
}

#[tokio::test]
async fn vouched_requests_keep_who_asks() {
    let pair = Pair::federation().await;
    let request = PeerRequest::Propose(Vouched {
        account: entente_identity::AccountDid::new(public(9)),
        device: DeviceId([4; 16]),
        request: Proposal {
            room: RoomId([1; 32]),
            message_id: MessageId([2; 16]),
            proposal: vec![],
        },
    });
    let dialled = pair.dialled.clone();
    let sent = request.clone();
    let calling = tokio::spawn(async move { dialled.call(&sent).await });
    let stream = pair.accepted.accept().await.unwrap().open().await.unwrap();
    let Incoming::PeerCall(call) = stream else {
        panic!("{stream:?}");
    };
    assert_eq!(call.request, request);
    let busy = Fault::new(FaultCode::Busy, "later").retry_after(500);
    call.responder.answer(Err(busy.clone())).await.unwrap();
    assert_eq!(calling.await.unwrap(), Err(CallError::Refused(busy)));
}
