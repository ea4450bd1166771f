//! Frames whose messages make a careless reader work, recurse or allocate; frames that lie about their
//! length.

use anyhow::{Context, Result, ensure};
use entente_protocol::hello::{HELLO_EXPORTER_LABEL, LOGIN_EXPORTER_LABEL};
use tokio::time::{Duration, timeout};

use super::{Attack, attack};
use crate::arena::Arena;
use crate::dice::Dice;
use crate::door::Door;
use crate::peer::Peer;
use crate::wire::bomb;
use crate::wire::frame::{flow, framed, hello_frame, login_frame, number, status_frame};
use crate::wire::link::{RawAnswer, RawLink};

pub(super) const ATTACKS: &[Attack] = &[
    attack!("bombs-of-strangers", Devices,
        "Every message that makes a careless reader work is sent to every method, without a login."
        => "refused or given up, each; the connection goes on",
        of_strangers),
    attack!("bombs-of-devices", Devices,
        "The same from a device that is logged in, to every method and on every flow."
        => "refused or given up, each; the connection goes on",
        of_devices),
    attack!("bombs-of-peers", Peers,
        "The same from a server that has greeted, to every method and on the relay flow."
        => "refused or given up, each",
        of_peers),
    attack!("random-frames", Devices,
        "Frames of random bytes, random lengths and random openings."
        => "refused or given up, each; the connection goes on",
        random),
];

/// How long a server may take over one bomb; a careless one would take minutes.
const BOMB_LIMIT: Duration = Duration::from_secs(5);
/// Frames of random bytes.
const RANDOM_FRAMES: usize = 200;

async fn of_strangers(arena: &Arena, _dice: Dice) -> Result<()> {
    let link = RawLink::client(&arena.a).await?;
    calls(&link, number::LAST_CLIENT).await?;
    lying_lengths(&link).await?;
    let answer = link.call(number::STATUS, &status_frame()).await?;
    ensure!(
        matches!(answer, RawAnswer::Fault(_)),
        "the connection does not go on: {answer:?}"
    );
    Ok(())
}

/// A connection on which a new device is logged in.
pub(super) async fn logged_in(arena: &Arena, door: &Door, dice: &mut Dice) -> Result<RawLink> {
    let device = arena.newcomer(door, "eve", dice).await?;
    let link = RawLink::client(door).await?;
    let exporter = link.exporter(LOGIN_EXPORTER_LABEL);
    let proof = device.person.signed_login(exporter, &door.did).to_bytes();
    let answer = link.call(number::LOGIN, &login_frame(&proof)).await?;
    ensure!(answer.is_reply(), "not logged in: {answer:?}");
    Ok(link)
}

/// A connection on which a hostile organization has greeted.
pub(super) async fn greeted(peer: &Peer, door: &Door) -> Result<RawLink> {
    let link = RawLink::federation(door, peer.key()).await?;
    let typed = peer.dial(door).await?;
    let mut hello = peer.hello(&typed, peer.fresh_epoch(), 0);
    hello.exporter = link.exporter(HELLO_EXPORTER_LABEL);
    let statement = peer.sign_hello(&hello, &door.did).to_bytes();
    let answer = link.call(number::HELLO, &hello_frame(&statement)).await?;
    ensure!(answer.is_reply(), "not greeted: {answer:?}");
    Ok(link)
}

async fn of_devices(arena: &Arena, mut dice: Dice) -> Result<()> {
    let link = logged_in(arena, &arena.a, &mut dice).await?;
    calls(&link, number::LAST_CLIENT).await?;
    flows(&link, &[number::SUBMIT, number::SYNC]).await?;
    lying_lengths(&link).await?;
    let answer = link.call(number::STATUS, &status_frame()).await?;
    ensure!(
        answer.is_reply(),
        "the connection does not go on: {answer:?}"
    );
    Ok(())
}

async fn of_peers(arena: &Arena, _dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let link = greeted(mallory, &arena.a).await?;
    calls(&link, number::LAST_PEER).await?;
    for (name, bomb) in bomb::all() {
        // A relay flow that breaks ends the connection.
        let link = greeted(mallory, &arena.a).await?;
        let bytes = [&flow(number::RELAY)[..], &framed(&bomb)].concat();
        let answer = timeout(BOMB_LIMIT, link.throw(&bytes)).await;
        let answer =
            answer.with_context(|| format!("{name} on the relay flow takes too long"))??;
        ensure!(
            matches!(answer, RawAnswer::GivenUp(_) | RawAnswer::Closed(_)),
            "{name} on the relay flow: {answer:?}"
        );
    }
    Ok(())
}

async fn calls(link: &RawLink, last: u16) -> Result<()> {
    for method in 0..=last {
        for (name, bomb) in bomb::all() {
            let answer = timeout(BOMB_LIMIT, link.call(method, &framed(&bomb))).await;
            let answer =
                answer.with_context(|| format!("{name} to method {method} takes too long"))??;
            // A method without fields has nothing to stumble over.
            let harmless = method == number::STATUS && answer.is_reply();
            ensure!(
                harmless || matches!(answer, RawAnswer::Fault(_) | RawAnswer::GivenUp(_)),
                "{name} to method {method}: {answer:?}"
            );
        }
    }
    Ok(())
}

async fn flows(link: &RawLink, kinds: &[u16]) -> Result<()> {
    for kind in kinds {
        for (name, bomb) in bomb::all() {
            let bytes = [&flow(*kind)[..], &framed(&bomb)].concat();
            let answer = timeout(BOMB_LIMIT, link.throw(&bytes)).await;
            let answer =
                answer.with_context(|| format!("{name} on flow {kind} takes too long"))??;
            ensure!(
                matches!(answer, RawAnswer::GivenUp(_)),
                "{name} on flow {kind}: {answer:?}"
            );
        }
    }
    Ok(())
}

/// Frames whose length is nothing, too little, too much, or not what follows.
async fn lying_lengths(link: &RawLink) -> Result<()> {
    let good = status_frame();
    let body = &good[4..];
    let lengths: [u32; 7] = [0, 1, 15, 4 << 20, (4 << 20) + 1, 1 << 31, u32::MAX];
    for length in lengths {
        let frame = [&length.to_le_bytes()[..], body].concat();
        let answer = timeout(BOMB_LIMIT, link.call(number::STATUS, &frame)).await;
        let answer = answer.with_context(|| format!("a length of {length} takes too long"))??;
        ensure!(
            matches!(answer, RawAnswer::Fault(_) | RawAnswer::GivenUp(_)),
            "a length of {length}: {answer:?}"
        );
    }
    Ok(())
}

async fn random(arena: &Arena, mut dice: Dice) -> Result<()> {
    let link = logged_in(arena, &arena.a, &mut dice).await?;
    for round in 0..RANDOM_FRAMES {
        let most = 2 << dice.below(12);
        let length = dice.below(most);
        let mut bytes = dice.many(length);
        match round % 3 {
            // An opening that makes sense, in front of a frame that is as long as it says.
            0 => {
                let method = dice.below(usize::from(number::LAST_CLIENT) + 1);
                let method = u16::try_from(method)?.to_le_bytes();
                bytes = [&[1, 0][..], &method, &framed(&bytes)].concat();
            }
            1 => bytes = [&flow(u16::try_from(dice.below(3))?)[..], &framed(&bytes)].concat(),
            _ => {}
        }
        let answer = timeout(BOMB_LIMIT, link.throw(&bytes)).await;
        let answer = answer.with_context(|| format!("frame {round} takes too long"))??;
        ensure!(
            !answer.is_reply() && !matches!(answer, RawAnswer::Closed(_)),
            "frame {round}: {answer:?}"
        );
    }
    let answer = link.call(number::STATUS, &status_frame()).await?;
    ensure!(
        answer.is_reply(),
        "the connection does not go on: {answer:?}"
    );
    Ok(())
}
