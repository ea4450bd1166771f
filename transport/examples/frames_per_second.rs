//! Measures one submit flow over loopback: `cargo run --release -p entente-transport --example
//! frames_per_second -- [messages] [bytes] [outstanding]`.
//!
//! Both ends run in this process; a message is encoded, sent, decoded, answered with *ordered*, and
//! its answer decoded.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use entente_groups::{Epoch, MessageId, RoomId};
use entente_identity::SigningKey;
use entente_protocol::entry::{Seq, Term};
use entente_protocol::flow::{Submission, SubmitFrame, SubmitOutcome, SubmitReply};
use entente_transport::{
    AdmissionLimits, Endpoint, FlowReceiver, FlowSender, Incoming, ServerIdentity, StreamFault,
};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>());
    let messages = arguments.next().transpose()?.unwrap_or(100_000);
    let bytes = arguments.next().transpose()?.unwrap_or(1024);
    let outstanding = arguments.next().transpose()?.unwrap_or(64);

    let key = SigningKey::from_seed(&[1; 32]);
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let identity = ServerIdentity::new(&key)?;
    let server = Endpoint::bind(loopback, identity, AdmissionLimits::default())?;
    let address = server.local_address()?;
    tokio::spawn(serve(server));

    let device = Endpoint::dial_only(loopback)?;
    let pins = [key.public()];
    let connection = device
        .connect_client(address, "org-a.example", &pins)
        .await?;
    let (mut frames, mut replies) = connection.open_submit().await?;
    let frame = SubmitFrame {
        hub: "did:web:org-a.example".parse()?,
        submission: Submission {
            room: RoomId([1; 32]),
            message_id: MessageId([2; 16]),
            epoch: Epoch(3),
            ciphertext: vec![4; bytes].into(),
        },
    };
    let began = Instant::now();
    pump(&mut frames, &mut replies, &frame, (messages, outstanding)).await?;
    let elapsed = began.elapsed();
    let rate = messages as f64 / elapsed.as_secs_f64();
    println!("{messages} messages of {bytes} bytes, {outstanding} outstanding: {rate:.0}/s");
    println!("key exchange {}", connection.key_exchange_group());
    Ok(())
}

/// Keeps so many messages under way until all are answered.
async fn pump(
    frames: &mut FlowSender<SubmitFrame>,
    replies: &mut FlowReceiver<SubmitReply>,
    frame: &SubmitFrame,
    (messages, outstanding): (usize, usize),
) -> Result<(), StreamFault> {
    let (mut sent, mut answered) = (0, 0);
    while answered < messages {
        while sent < messages && sent - answered < outstanding {
            frames.queue(frame).await?;
            sent += 1;
        }
        frames.flush().await?;
        let mut next = replies.next().await?;
        while next.is_some() {
            answered += 1;
            next = replies.ready()?;
        }
    }
    Ok(())
}

async fn serve(server: Endpoint) -> Result<(), StreamFault> {
    while let Some(connection) = server.accept().await {
        connection.trust();
        while let Ok(stream) = connection.accept().await {
            if let Incoming::Submit(replies, frames) = stream.open().await? {
                tokio::spawn(order(replies, frames));
            }
        }
    }
    Ok(())
}

async fn order(
    mut replies: FlowSender<SubmitReply>,
    mut frames: FlowReceiver<SubmitFrame>,
) -> Result<(), StreamFault> {
    let mut seq = 0;
    while let Some(first) = frames.next().await? {
        let mut next = Some(first);
        while let Some(frame) = next {
            seq += 1;
            let (term, seq) = (Term::FIRST, Seq(seq));
            let reply = SubmitReply {
                room: frame.submission.room,
                message_id: frame.submission.message_id,
                outcome: SubmitOutcome::Ordered { term, seq },
            };
            replies.queue(&reply).await?;
            next = frames.ready()?;
        }
        replies.flush().await?;
    }
    Ok(())
}
