//! UDP datagrams that are no QUIC, bad QUIC, or the beginning of connections that never come about.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use entente_transport::Link;
use quinn::crypto::rustls::QuicClientConfig;
use tokio::net::UdpSocket;
use tokio::time::{Duration, timeout};

use super::{Attack, attack};
use crate::arena::Arena;
use crate::dice::Dice;
use crate::door::Door;
use crate::wire::link::tls;
use crate::wire::packet::{Kind, Newcomer, crypto_frame, kind, long_header};

pub(super) const ATTACKS: &[Attack] = &[
    attack!("garbage-datagrams", Devices,
        "Datagrams of nonsense: random bytes, long headers of every type, unknown versions, short headers of unknown connections."
        => "version negotiation, stateless resets or silence; never more bytes than came",
        garbage),
    attack!("bad-initials", Devices,
        "Initial packets, rightly encrypted, with unknown frames, gaps, contradictions and bad transport parameters."
        => "handled or refused",
        bad_initials),
    attack!("early-data", Devices,
        "0-RTT: by a client that wants it and by packets of that type."
        => "no ticket is given out, no early data is taken",
        early_data),
    attack!("half-open-flood", Devices,
        "Hundreds of connections are begun from unproven addresses and never completed."
        => "newcomers have to prove their address (Retry); a connection with proof comes about",
        half_open),
];

/// How long answers to nonsense are waited for.
const QUIET: Duration = Duration::from_millis(300);
/// Datagrams of nonsense.
const GARBAGE: usize = 400;
/// Connections that are begun.
const HALF_OPEN: usize = 300;

/// A socket that remembers how much it sent and got.
struct Sender {
    socket: UdpSocket,
    sent: usize,
    received: usize,
    kinds: HashMap<Option<Kind>, usize>,
}

impl Sender {
    async fn new(door: &Door) -> Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(door.quic).await?;
        Ok(Self {
            socket,
            sent: 0,
            received: 0,
            kinds: HashMap::new(),
        })
    }

    async fn send(&mut self, datagram: &[u8]) -> Result<()> {
        self.sent += datagram.len();
        self.socket.send(datagram).await?;
        self.take();
        Ok(())
    }

    /// Takes what has arrived.
    fn take(&mut self) {
        let mut datagram = [0; 2048];
        while let Ok(length) = self.socket.try_recv(&mut datagram) {
            self.count(&datagram[..length]);
        }
    }

    fn count(&mut self, datagram: &[u8]) {
        self.received += datagram.len();
        *self.kinds.entry(kind(datagram)).or_default() += 1;
    }

    /// Waits until nothing comes any more.
    async fn settle(&mut self) -> Result<()> {
        let mut datagram = [0; 2048];
        while let Ok(length) = timeout(QUIET, self.socket.recv(&mut datagram)).await {
            self.count(&datagram[..length?]);
        }
        Ok(())
    }

    fn got(&self, kind: Kind) -> usize {
        self.kinds.get(&Some(kind)).copied().unwrap_or(0)
    }
}

async fn served(door: &Door) -> Result<()> {
    let link = door.connect().await.context("nobody is let in any more")?;
    drop(link);
    Ok(())
}

async fn garbage(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mut sender = Sender::new(&arena.a).await?;
    for round in 0..GARBAGE {
        let length = dice.below(1_400);
        let rest = dice.many(length);
        let first = 0x40 | u8::try_from(dice.below(64))?;
        let datagram = match round % 4 {
            0 => rest,
            1 => long_header(first, 1, &rest),
            2 => long_header(first, u32::from_be_bytes(dice.bytes()) | 2, &rest),
            _ => [&[first][..], &rest].concat(),
        };
        sender.send(&datagram).await?;
    }
    sender.send(&[]).await?;
    sender.settle().await?;
    ensure!(
        sender.received <= sender.sent,
        "{} bytes came back for {}",
        sender.received,
        sender.sent
    );
    ensure!(
        sender.got(Kind::VersionNegotiation) > 0,
        "unknown versions are not told which are known: {:?}",
        sender.kinds
    );
    served(&arena.a).await
}

/// Frames that no Initial packet may hold, or that contradict themselves (RFC 9000 §12.4, §19).
fn bad_frames(hello: &[u8], dice: &mut Dice) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let half = &hello[..hello.len().min(300)];
    let end = (1 << 30) - 1;
    let mut frames = vec![
        ("an unknown frame", vec![0x1f, 1, 2, 3]),
        (
            "an unknown frame of four bytes",
            vec![0xbf, 0xff, 0xff, 0xff],
        ),
        ("a frame type in too many bytes", vec![0x40, 0x01]),
        (
            "a stream in an Initial packet",
            vec![0x0a, 0, 4, 1, 2, 3, 4],
        ),
        ("an ACK of what was never sent", vec![0x02, 0x3f, 0, 0, 0]),
        ("an ACK below zero", vec![0x02, 1, 0, 0, 0x3f]),
        (
            "an ACK with ranges without end",
            vec![0x02, 0, 0, 0xbf, 0xff, 0xff, 0xff, 0],
        ),
        (
            "a CRYPTO frame beyond its packet",
            vec![0x06, 0, 0x7f, 0xff, 1],
        ),
        ("a CRYPTO frame at the end of all offsets", {
            let offset = [0xff; 8];
            [&[0x06][..], &offset, &[4, 1, 2, 3, 4]].concat()
        }),
        ("a gap of a gibibyte", crypto_frame(end, &[1; 8])?),
        ("a hello with a hole", crypto_frame(600, half)?),
        ("a close", vec![0x1c, 0, 0, 0]),
        ("a close of the application", vec![0x1d, 0, 0]),
        (
            "a path challenge",
            [&[0x1a][..], &dice.bytes::<8>()].concat(),
        ),
        ("a new token from a client", vec![0x07, 1, 1]),
        ("a handshake that is done", vec![0x1e]),
        ("nothing at all", Vec::new()),
        ("noise", dice.many(600)),
    ];
    let twice = [
        crypto_frame(0, half)?,
        crypto_frame(0, &vec![0xee; half.len()])?,
    ]
    .concat();
    frames.push(("two beginnings", twice));
    Ok(frames)
}

/// Transport parameters that a server must not take (RFC 9000 §7.4, §18.2).
fn bad_parameters(good: &[u8], dice: &mut Dice) -> Vec<Vec<u8>> {
    let with = |tail: &[u8]| [good, tail].concat();
    vec![
        Vec::new(),
        with(good),
        with(&[0x0f, 0]),
        with(&[0x03, 1, 0]),
        with(&[0x0a, 1, 21]),
        with(&[0x0b, 4, 0x80, 0, 0x40, 1]),
        with(&[0x08, 8, 0xd0, 0, 0, 0, 0, 0, 0, 1]),
        with(&[0x00, 8, 1, 2, 3, 4, 5, 6, 7, 8]),
        with(&[0x02, 16, 1, 2, 3]),
        with(&[0x0e, 1, 1]),
        with(&[0x01, 0x7f, 0xff]),
        with(&[0xff; 9]),
        with(&dice.bytes::<40>()),
        [&[0x0f, 8][..], &dice.bytes::<8>()].concat(),
    ]
}

async fn bad_initials(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mut sender = Sender::new(&arena.a).await?;
    let newcomer = |dice: &mut Dice| Newcomer::new(dice.bytes(), dice.bytes());
    let hello = {
        let first = newcomer(&mut dice)?;
        first.client_hello(&first.parameters())?
    };
    for (_, frames) in bad_frames(&hello, &mut dice)? {
        let mut one = newcomer(&mut dice)?;
        sender.send(&one.initial(&frames)?).await?;
        // And once more behind a good beginning.
        let mut other = newcomer(&mut dice)?;
        for datagram in other.hello(&other.parameters())? {
            sender.send(&datagram).await?;
        }
        sender.send(&other.initial(&frames)?).await?;
    }
    let good = newcomer(&mut dice)?.parameters();
    for parameters in bad_parameters(&good, &mut dice) {
        let mut one = newcomer(&mut dice)?;
        for datagram in one.hello(&parameters)? {
            sender.send(&datagram).await?;
        }
    }
    sender.settle().await?;
    // Unproven addresses get at most three times what they sent (RFC 9000 §8.1).
    ensure!(
        sender.received <= 3 * sender.sent,
        "{} bytes came back for {}",
        sender.received,
        sender.sent
    );
    // Or, where many newcomers of this address are waiting, they have to prove it.
    ensure!(
        sender.got(Kind::Initial) + sender.got(Kind::Retry) > 0,
        "good beginnings are not answered: {:?}",
        sender.kinds
    );
    served(&arena.a).await
}

async fn early_data(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mut tls = tls(Link::Client, None)?;
    tls.enable_early_data = true;
    tls.resumption = rustls::client::Resumption::in_memory_sessions(64);
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
    let socket = quinn::Endpoint::client(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let name = arena.a.did.domain().as_str();
    for round in 0..3 {
        let connecting = socket.connect_with(config.clone(), arena.a.quic, name)?;
        let connection = match connecting.into_0rtt() {
            Ok(_) => anyhow::bail!("round {round}: a ticket for early data was given out"),
            Err(connecting) => connecting.await?,
        };
        // A ticket would come right behind the handshake.
        let answered = timeout(QUIET, connection.closed()).await;
        ensure!(answered.is_err(), "the connection is closed: {answered:?}");
    }
    let mut sender = Sender::new(&arena.a).await?;
    for _ in 0..32 {
        let rest = dice.many(900);
        sender.send(&long_header(0x50, 1, &rest)).await?;
    }
    sender.settle().await?;
    ensure!(
        sender.received == 0,
        "early packets are answered: {:?}",
        sender.kinds
    );
    served(&arena.a).await
}

async fn half_open(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mut senders = Vec::new();
    let mut retries = 0;
    for _ in 0..HALF_OPEN {
        let mut sender = Sender::new(&arena.a).await?;
        let mut newcomer = Newcomer::new(dice.bytes(), dice.bytes())?;
        for datagram in newcomer.hello(&newcomer.parameters())? {
            sender.send(&datagram).await?;
        }
        senders.push(sender);
    }
    // In the middle of it somebody comes who proves its address and completes its handshake.
    served(&arena.a).await?;
    for sender in &mut senders {
        sender.take();
        retries += sender.got(Kind::Retry);
        ensure!(
            sender.received <= 3 * sender.sent,
            "an unproven address gets {} bytes for {}",
            sender.received,
            sender.sent
        );
    }
    ensure!(retries > 0, "nobody has to prove its address");
    Ok(())
}
