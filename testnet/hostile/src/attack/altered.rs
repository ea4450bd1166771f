//! One byte changed or appended: in a statement, in a frame, in a batch.

use anyhow::{Context, Result, ensure};
use entente_identity::Signed;
use entente_protocol::fault::FaultCode;
use entente_protocol::hello::{HELLO_EXPORTER_LABEL, LOGIN_EXPORTER_LABEL};
use entente_protocol::relay::{Batch, RelayReply};

use super::replay::invite;
use super::{Attack, attack};
use crate::arena::Arena;
use crate::dice::Dice;
use crate::wire::frame::{hello_frame, login_frame, number};
use crate::wire::link::{RawAnswer, RawLink};

pub(super) const ATTACKS: &[Attack] = &[
    attack!("altered-login", Devices,
        "A good login with one bit changed, at many places of its frame, and with bytes appended."
        => "refused, or given up",
        login),
    attack!("altered-hello", Peers,
        "A good greeting with one bit changed, at many places of its frame, and with bytes appended."
        => "refused, or given up",
        hello),
    attack!("altered-batch", Peers,
        "A good batch with one bit changed in its head or its items."
        => "the flow is given up, without effect",
        batch),
];

/// How many places are changed, one at a time.
const PLACES: usize = 48;

async fn login(arena: &Arena, mut dice: Dice) -> Result<()> {
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await?;
    let link = RawLink::client(&arena.a).await?;
    let proof = alice
        .person
        .signed_login(link.exporter(LOGIN_EXPORTER_LABEL), &arena.a.did);
    let statement = proof.to_bytes();
    let frame = login_frame(&statement);
    frames(&link, number::LOGIN, &statement, &frame, &mut dice).await?;
    let good = link.call(number::LOGIN, &frame).await?;
    ensure!(good.is_reply(), "the unchanged login is refused: {good:?}");
    Ok(())
}

async fn hello(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let link = RawLink::federation(&arena.a, mallory.key()).await?;
    let mut hello = mallory.hello(&mallory.dial(&arena.a).await?, mallory.fresh_epoch(), 0);
    hello.exporter = link.exporter(HELLO_EXPORTER_LABEL);
    let statement = mallory.sign_hello(&hello, &arena.a.did).to_bytes();
    let frame = hello_frame(&statement);
    frames(&link, number::HELLO, &statement, &frame, &mut dice).await?;
    let good = link.call(number::HELLO, &frame).await?;
    ensure!(
        good.is_reply(),
        "the unchanged greeting is refused: {good:?}"
    );
    Ok(())
}

/// Sends the frame of a statement with changes that must not pass.
async fn frames(
    link: &RawLink,
    method: u16,
    statement: &[u8],
    frame: &[u8],
    dice: &mut Dice,
) -> Result<()> {
    let at = frame.windows(statement.len()).position(|w| w == statement);
    let at = at.context("the statement stands in its frame")?;
    for _ in 0..PLACES {
        let mut changed = frame.to_vec();
        let place = at + dice.below(statement.len());
        changed[place] ^= 1 << dice.below(8);
        let answer = link.call(method, &changed).await?;
        ensure!(!answer.is_reply(), "byte {place} changed, and taken");
        ensure!(
            !matches!(answer, RawAnswer::Closed(_)),
            "byte {place} changed: the whole connection is closed: {answer:?}"
        );
    }
    for tail in [&[0_u8][..], &[0; 8], frame] {
        let answer = link.call(method, &[frame, tail].concat()).await?;
        ensure!(
            !answer.is_reply(),
            "{} bytes appended, and taken",
            tail.len()
        );
    }
    // What stands inside of the statement's length is changed too: one more byte, signed by nobody.
    let longer = match method {
        number::LOGIN => login_frame(&[statement, &[0]].concat()),
        _ => hello_frame(&[statement, &[0]].concat()),
    };
    let answer = link.call(method, &longer).await?;
    let code = answer.code();
    ensure!(
        code == Some(FaultCode::BadRequest) || code == Some(FaultCode::AuthenticationFailed),
        "a longer statement: {answer:?}"
    );
    Ok(())
}

async fn batch(arena: &Arena, mut dice: Dice) -> Result<()> {
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let mallory = arena.mallory()?;
    for round in 0..PLACES / 4 {
        let mut stream = mallory.stream(&arena.b).await?;
        let items = vec![invite(&bob.person, &mut dice).to_bytes(); 2];
        let batch = stream.sign(stream.next, items);
        let changed = change(&batch, round, &mut dice)?;
        let reply = stream.exchange(&changed).await?;
        ensure!(
            !matches!(reply, Some(RelayReply::Ack { .. })),
            "round {round}: taken: {reply:?}"
        );
        ensure!(
            reply.is_none(),
            "round {round}: the flow goes on: {reply:?}"
        );
    }
    let items = bob
        .inbox(Vec::new(), 0)
        .await?
        .items_until_caught_up()
        .await?;
    ensure!(items.is_empty(), "it had an effect: {items:?}");
    Ok(())
}

/// The batch with one bit of its head or of an item changed, an item taken off, or one put twice.
fn change(batch: &Batch, round: usize, dice: &mut Dice) -> Result<Batch> {
    let mut changed = batch.clone();
    match round % 4 {
        0 => loop {
            let mut head = batch.head.to_bytes();
            let place = dice.below(head.len());
            head[place] ^= 1 << dice.below(8);
            // Lengths that no longer add up never get past the frame.
            if let Ok(head) = Signed::from_bytes(&head) {
                changed.head = head;
                break;
            }
        },
        1 => {
            let item = changed.items.last_mut().context("two items")?;
            let place = dice.below(item.len());
            item[place] ^= 1 << dice.below(8);
        }
        2 => changed.items.truncate(1),
        _ => changed.items.push(changed.items[0].clone()),
    }
    Ok(changed)
}
