//! Signatures of one key under the name of another, and things offered for signing.

use anyhow::{Context, Result, ensure};
use entente_identity::{Audience, Signature, Signed, SigningKey};
use entente_protocol::fault::FaultCode;
use entente_protocol::hello::{HELLO_EXPORTER_LABEL, Hello, LOGIN_EXPORTER_LABEL};
use entente_protocol::limits::HELLO_LIFETIME_MS;

use super::{Attack, attack};
use crate::arena::Arena;
use crate::clock::now;
use crate::device::log_in_with;
use crate::dice::Dice;
use crate::expect::refused;
use crate::patience::soon;
use crate::peer::greet;
use crate::wire::frame::{hello_frame, number};
use crate::wire::link::{RawAnswer, RawLink};
use crate::wire::statement::Statement;

pub(super) const ATTACKS: &[Attack] = &[
    attack!("login-of-another-key", Devices,
        "One device's signature under another device's key, in every combination of named and used keys."
        => "authentication-failed, each",
        login),
    attack!("hello-of-another-key", Peers,
        "A greeting signed by another key than the connection's, in every combination of named and used keys."
        => "authentication-failed, each",
        hello),
    attack!("offered-for-signing", Peers,
        "Every method and flow that is not in the schemas is called with statements to be signed, and a greeting names values to be repeated."
        => "nobody knows such a method; a reply is signed over the connection's own values",
        offered),
];

const SIGNATURE_BYTES: usize = 64;

async fn login(arena: &Arena, mut dice: Dice) -> Result<()> {
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await?;
    let eve = arena.newcomer(&arena.a, "eve", &mut dice).await?;
    let (theirs, own) = (alice.person.key(), eve.person.key());
    // Who is claimed, whose key is named, whose key signs.
    let tries: [(_, &SigningKey, &SigningKey); 3] = [
        (&alice.person, theirs, own),
        (&alice.person, own, own),
        (&eve.person, own, theirs),
    ];
    for (index, (claimed, named, signing)) in tries.into_iter().enumerate() {
        let link = arena.a.connect().await?;
        let exporter = link.channel_binding(LOGIN_EXPORTER_LABEL, b"");
        let statement = Statement::of(
            &claimed.login(exporter),
            &named.public(),
            &claimed.account.to_string(),
            &Audience::Server(arena.a.did.clone()),
            (now(), Some(now().after(HELLO_LIFETIME_MS))),
        );
        let answer = log_in_with(&link, statement.signed(signing)).await;
        let fault = refused(answer, &[FaultCode::AuthenticationFailed]);
        fault.with_context(|| format!("combination {index}"))?;
    }
    let link = arena.a.connect().await?;
    let exporter = link.channel_binding(LOGIN_EXPORTER_LABEL, b"");
    let good = alice.person.signed_login(exporter, &arena.a.did).to_bytes();
    for signature in [[0; SIGNATURE_BYTES], [0xff; SIGNATURE_BYTES], dice.bytes()] {
        let mut forged = good.clone();
        let end = forged.len() - SIGNATURE_BYTES;
        forged[end..].copy_from_slice(Signature::from_bytes(signature).as_bytes());
        let answer = log_in_with(&link, Signed::from_bytes(&forged)?).await;
        refused(answer, &[FaultCode::AuthenticationFailed]).context("no signature")?;
    }
    Ok(())
}

async fn hello(arena: &Arena, mut dice: Dice) -> Result<()> {
    let (mallory, trudy) = (arena.mallory()?, arena.trudy()?);
    let fresh = SigningKey::generate(dice.rng());
    // Whose key is named, whose key signs; the connection is always mallory's.
    let tries: [(&SigningKey, &SigningKey); 5] = [
        (mallory.key(), trudy.key()),
        (trudy.key(), mallory.key()),
        (trudy.key(), trudy.key()),
        (mallory.key(), &fresh),
        (&fresh, &fresh),
    ];
    for (index, (named, signing)) in tries.into_iter().enumerate() {
        let connection = mallory.dial(&arena.a).await?;
        let hello = mallory.hello(&connection, mallory.fresh_epoch(), 0);
        let signed = statement(&hello, named, arena).signed(signing);
        let fault = refused(
            greet(&connection, signed).await,
            &[FaultCode::AuthenticationFailed],
        );
        fault.with_context(|| format!("combination {index}"))?;
    }
    let connection = mallory.dial(&arena.a).await?;
    let good = mallory.hello(&connection, mallory.fresh_epoch(), 0);
    let good = statement(&good, mallory.key(), arena).signed(mallory.key());
    greet(&connection, good)
        .await
        .context("named and used as it should be")?;
    // A key of one's own on the connection, and another organization's name in the greeting.
    let connection = mallory.dial(&arena.a).await?;
    let mut hello = mallory.hello(&connection, mallory.fresh_epoch(), 0);
    hello.server = trudy.did.clone();
    let signed = statement(&hello, mallory.key(), arena).signed(mallory.key());
    let answer = greet(&connection, signed).await;
    refused(answer, &[FaultCode::AuthenticationFailed]).context("another's name")?;
    Ok(())
}

fn statement(hello: &Hello, named: &SigningKey, arena: &Arena) -> Statement {
    Statement::of(
        hello,
        &named.public(),
        &hello.server.to_string(),
        &Audience::Server(arena.a.did.clone()),
        (now(), Some(now().after(HELLO_LIFETIME_MS))),
    )
}

/// What a peer or a device can make a server sign: nothing but what the server says itself.
async fn offered(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let link = mallory.link(&arena.a).await?;
    let template = mallory.sign_hello(&mallory.hello(&link, 1, 1), &arena.a.did);
    let frame = hello_frame(&template.to_bytes());
    let raw = RawLink::federation(&arena.a, mallory.key()).await?;
    let mut hello = mallory.hello(&link, mallory.fresh_epoch(), 0);
    hello.exporter = raw.exporter(HELLO_EXPORTER_LABEL);
    let greeting = mallory.sign_hello(&hello, &arena.a.did);
    let greeted = raw
        .call(number::HELLO, &hello_frame(&greeting.to_bytes()))
        .await?;
    ensure!(greeted.is_reply(), "not greeted: {greeted:?}");
    unknown_methods(&raw, number::LAST_PEER, &frame, &mut dice).await?;
    let alice = RawLink::client(&arena.a).await?;
    unknown_methods(&alice, number::LAST_CLIENT, &frame, &mut dice).await?;
    // The greeted server repeats none of the values that the greeting chose for it.
    let connection = mallory.dial(&arena.a).await?;
    let mut hello = mallory.hello(&connection, mallory.fresh_epoch(), 0);
    let own = hello.exporter;
    let reply = greet(&connection, mallory.sign_hello(&hello, &arena.a.did)).await?;
    let audience = Audience::Server(mallory.did.clone());
    let reply = reply.verify(&arena.a.key, &audience)?;
    ensure!(
        reply.body().exporter == own && reply.body().server == arena.a.did,
        "the reply is not about its own connection: {reply:?}"
    );
    hello.exporter = dice.bytes();
    let answer = greet(&connection, mallory.sign_hello(&hello, &arena.a.did)).await;
    refused(answer, &[FaultCode::AuthenticationFailed])?;
    Ok(())
}

/// Calls methods and opens flows beyond the schemas; none may be served.
async fn unknown_methods(link: &RawLink, last: u16, frame: &[u8], dice: &mut Dice) -> Result<()> {
    let near = last + 1..last + 24;
    let far = (0..24).map(|_| u16::from_le_bytes(dice.bytes()).max(last + 1));
    for method in near.chain(far).chain([u16::MAX]) {
        let answer = link.call(method, frame).await?;
        let code = answer.code();
        ensure!(
            code == Some(FaultCode::Unsupported),
            "method {method}: {answer:?}"
        );
    }
    for kind in (3..16).chain([u16::MAX]) {
        let [low, high] = kind.to_le_bytes();
        let bytes = [&[2, 0, low, high], frame].concat();
        let answer = soon("the end of an unknown flow", link.throw(&bytes)).await??;
        ensure!(
            matches!(answer, RawAnswer::GivenUp(_)),
            "flow {kind}: {answer:?}"
        );
    }
    Ok(())
}
