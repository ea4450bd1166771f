//! Streams, calls and connections that are opened and left open.

use anyhow::{Context, Result, ensure};
use futures::future::join_all;
use quinn::{RecvStream, SendStream};
use tokio::time::{Duration, timeout};

use super::parsers::{greeted, logged_in};
use super::{Attack, attack};
use crate::arena::Arena;
use crate::dice::Dice;
use crate::patience::PATIENCE;
use crate::wire::frame::{flow, number, status_frame};
use crate::wire::link::{RawAnswer, RawLink};

pub(super) const ATTACKS: &[Attack] = &[
    attack!("streams-of-a-stranger", Devices,
        "A stranger opens as many streams as it can, says nothing, and stays."
        => "two are open at a time; silent ones are given up, then the connection",
        of_a_stranger),
    attack!("streams-without-end", Peers,
        "Devices and a server try to open 100,000 streams and leave them open: without a word, with half a call, with flows."
        => "64 are open at a time, 4 of them flows; silent ones are given up; others are served",
        without_end),
    attack!("connections-without-end", Devices,
        "One address opens connections without a login for as long as it is let."
        => "a bounded number is open at a time; a device that is logged in is served",
        connections),
];

/// Streams that a peer may have open, and flows among them.
const STREAMS: usize = 64;
const FLOWS: usize = 4;
/// Streams that a stranger may have open.
const STRANGER_STREAMS: usize = 2;
/// How long the server has for granting what it grants.
const GRANT: Duration = Duration::from_millis(500);
/// Attempts on each connection, and connections: 100,000 attempts in all.
const ATTEMPTS: usize = 12_500;
const CONNECTIONS: usize = 8;
/// Connections without a login that one address may have open, and some that are on their way out.
const STRANGERS: usize = 96;
/// Attempts to connect.
const NEWCOMERS: usize = 300;

type Open = Vec<(SendStream, RecvStream)>;

/// Opens streams, each beginning with `bytes`, until no more are granted.
async fn open_all(link: &RawLink, bytes: &[u8], attempts: usize) -> Result<Open> {
    let mut open = Vec::new();
    for _ in 0..attempts {
        match timeout(GRANT, link.quic.open_bi()).await {
            Ok(stream) => {
                let (mut send, recv) = stream?;
                send.write_all(bytes).await?;
                open.push((send, recv));
            }
            Err(_) => break,
        }
    }
    Ok(open)
}

/// Waits until the server has ended every stream.
async fn all_ended(open: Open, what: &str) -> Result<()> {
    let ends = open.into_iter().map(|(send, mut recv)| async move {
        let mut byte = [0];
        while let Ok(Some(_)) = recv.read(&mut byte).await {}
        drop(send);
    });
    let ended = timeout(PATIENCE, join_all(ends)).await;
    ended.with_context(|| format!("{what} are left open"))?;
    Ok(())
}

async fn of_a_stranger(arena: &Arena, _dice: Dice) -> Result<()> {
    let link = RawLink::client(&arena.a).await?;
    let open = open_all(&link, b"", STREAMS).await?;
    ensure!(
        open.len() <= STRANGER_STREAMS,
        "a stranger has {} streams",
        open.len()
    );
    ensure!(!open.is_empty(), "a stranger has no stream to log in on");
    let halves = open_all(&link, &[1], STREAMS).await?;
    ensure!(halves.is_empty(), "and {} more", halves.len());
    let closed = timeout(PATIENCE, link.quic.closed()).await;
    closed.context("a stranger that says nothing stays")?;
    drop(open);
    Ok(())
}

async fn without_end(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mut links = vec![greeted(arena.mallory()?, &arena.a).await?];
    while links.len() < CONNECTIONS {
        links.push(logged_in(arena, &arena.a, &mut dice).await?);
    }
    // Half of a call: the length of its frame and no more.
    let half_call = [&[1, 0, 0, 0][..], &100_u32.to_le_bytes()].concat();
    let mut granted = 0;
    let mut open = Vec::new();
    for (index, link) in links.iter().enumerate() {
        let bytes: &[u8] = if index % 2 == 0 { &[1] } else { &half_call };
        let streams = open_all(link, bytes, STREAMS + 1).await?;
        ensure!(
            streams.len() <= STREAMS,
            "connection {index}: {} streams",
            streams.len()
        );
        granted += streams.len();
        open.push(streams);
    }
    ensure!(
        granted >= STREAMS,
        "only {granted} streams were granted at all"
    );
    let waiting = links.iter().map(|link| {
        let attempts = (0..ATTEMPTS).map(|_| link.quic.open_bi());
        timeout(GRANT, join_all(attempts.collect::<Vec<_>>()))
    });
    let more = join_all(waiting).await;
    ensure!(
        more.iter().all(Result::is_err),
        "all of {ATTEMPTS} more streams were granted"
    );
    let silent: Open = open.drain(..).step_by(2).flatten().collect();
    all_ended(silent, "streams that do not say what they are").await?;
    drop(open);
    flows(arena, &mut dice).await
}

/// Flows beyond the few that a connection may have are refused, the connection goes on.
async fn flows(arena: &Arena, dice: &mut Dice) -> Result<()> {
    let link = logged_in(arena, &arena.a, dice).await?;
    let mut open = Vec::new();
    for _ in 0..FLOWS {
        open.push(link.begin(&flow(number::SUBMIT)).await?);
    }
    // A call is answered after the flows were taken: streams are read in the order of their opening.
    let answer = link.call(number::STATUS, &status_frame()).await?;
    ensure!(answer.is_reply(), "not served beside flows: {answer:?}");
    let mut refused = 0;
    for _ in 0..FLOWS {
        let more = link.throw(&flow(number::SUBMIT)).await?;
        refused += usize::from(matches!(&more, RawAnswer::GivenUp(why) if why != "ended"));
    }
    ensure!(refused > 0, "flows beyond {FLOWS} are taken");
    let answer = link.call(number::STATUS, &status_frame()).await?;
    ensure!(
        answer.is_reply(),
        "the connection does not go on: {answer:?}"
    );
    Ok(())
}

async fn connections(arena: &Arena, mut dice: Dice) -> Result<()> {
    let device = logged_in(arena, &arena.a, &mut dice).await?;
    let mut open = Vec::new();
    for _ in 0..NEWCOMERS {
        match timeout(GRANT, RawLink::client(&arena.a)).await {
            Ok(Ok(link)) => open.push(link),
            Ok(Err(_)) | Err(_) => break,
        }
    }
    ensure!(open.len() > 1, "not even {} connections", open.len());
    let alive = open
        .iter()
        .filter(|link| link.quic.close_reason().is_none())
        .count();
    ensure!(
        alive <= STRANGERS,
        "one address has {alive} connections without a login"
    );
    let answer = device.call(number::STATUS, &status_frame()).await?;
    ensure!(answer.is_reply(), "a device is not served: {answer:?}");
    let closed = open.iter().map(|link| link.quic.closed());
    let closed = timeout(PATIENCE, join_all(closed)).await;
    closed.context("connections without a login stay")?;
    Ok(())
}
