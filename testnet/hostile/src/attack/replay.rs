//! What was captured is sent again: on another connection it is worth nothing, on the same one it
//! brings the same answer.

use anyhow::{Result, ensure};
use entente_groups::MessageId;
use entente_protocol::call::ClientRequest;
use entente_protocol::fault::FaultCode;
use entente_protocol::flow::{InviteItem, SubmitOutcome};
use entente_protocol::hello::LOGIN_EXPORTER_LABEL;
use entente_protocol::relay::{Item, RelayReply};

use super::{Attack, attack};
use crate::arena::Arena;
use crate::device::{log_in_with, ordered};
use crate::dice::Dice;
use crate::expect::{quotes_none, refused};
use crate::peer::greet;
use crate::person::Person;
use crate::room::Founding;
use crate::wire::frame::{number, status_frame};
use crate::wire::link::RawLink;

pub(super) const ATTACKS: &[Attack] = &[
    attack!("replayed-login", Devices,
        "A login is captured and sent on another connection, then again on its own."
        => "authentication-failed there, the same answer here",
        login),
    attack!("replayed-hello", Peers,
        "A greeting is captured and sent on another connection, then again on its own."
        => "authentication-failed there, the same answer here",
        hello),
    attack!("replayed-call", Devices,
        "Calls and messages are sent again: the bytes on a connection without a login, the requests on their own."
        => "not-authenticated there, the first answer here",
        call),
    attack!("replayed-batch", Peers,
        "A batch that the server owns is sent again, on its own flow and on a later one."
        => "acknowledged again, without a second effect",
        batch),
];

async fn login(arena: &Arena, mut dice: Dice) -> Result<()> {
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await?;
    let exporter = alice.link.channel_binding(LOGIN_EXPORTER_LABEL, b"");
    let proof = alice.person.signed_login(exporter, &arena.a.did);
    let first = log_in_with(&alice.link, proof.clone()).await?;
    let elsewhere = arena.a.connect().await?;
    let answer = log_in_with(&elsewhere, proof.clone()).await;
    let fault = refused(answer, &[FaultCode::AuthenticationFailed])?;
    quotes_none(&fault, &[&exporter, &alice.person.key().seed()[..]])?;
    let again = log_in_with(&alice.link, proof).await?;
    ensure!(again.key_packages == first.key_packages, "another answer");
    Ok(())
}

async fn hello(arena: &Arena, _dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let connection = mallory.dial(&arena.a).await?;
    let epoch = mallory.fresh_epoch();
    let body = mallory.hello(&connection, epoch, 0);
    let hello = mallory.sign_hello(&body, &arena.a.did);
    let first = greet(&connection, hello.clone()).await?.claimed_body()?;
    let elsewhere = mallory.dial(&arena.a).await?;
    let answer = greet(&elsewhere, hello.clone()).await;
    let fault = refused(answer, &[FaultCode::AuthenticationFailed])?;
    quotes_none(&fault, &[&body.exporter])?;
    let again = greet(&connection, hello).await?.claimed_body()?;
    ensure!(again == first, "another answer: {again:?}");
    Ok(())
}

async fn call(arena: &Arena, mut dice: Dice) -> Result<()> {
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await?;
    let elsewhere = RawLink::client(&arena.a).await?;
    let answer = elsewhere.call(number::STATUS, &status_frame()).await?;
    ensure!(
        answer.code() == Some(FaultCode::NotAuthenticated),
        "without a login: {answer:?}"
    );
    let founding = Founding::make(&alice.person, &arena.a.did, &mut dice)?;
    let request = ClientRequest::CreateRoom(founding.request.clone());
    let first = ordered(alice.link.call(&request).await?)?;
    let again = ordered(alice.link.call(&request).await?)?;
    ensure!(first == again, "a room was founded twice: {again:?}");
    let mut seat = founding.seat(&arena.a.did, &first);
    let submission = seat.encrypt(&alice.person, b"once", &mut dice)?;
    let mut flow = alice.submitting().await?;
    let first = flow.submit(&arena.a.did, submission.clone()).await?;
    ensure!(
        matches!(first, SubmitOutcome::Ordered { .. }),
        "not ordered: {first:?}"
    );
    let mut other = alice.submitting().await?;
    for flow in [&mut flow, &mut other] {
        let again = flow.submit(&arena.a.did, submission.clone()).await?;
        ensure!(again == first, "{again:?} after {first:?}");
    }
    Ok(())
}

async fn batch(arena: &Arena, mut dice: Dice) -> Result<()> {
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let mallory = arena.mallory()?;
    let mut stream = mallory.stream(&arena.b).await?;
    let invites: Vec<Vec<u8>> = (0..3)
        .map(|_| invite(&bob.person, &mut dice).to_bytes())
        .collect();
    let batch = stream.sign(stream.next, invites);
    let first = stream.exchange(&batch).await?;
    ensure!(matches!(first, Some(RelayReply::Ack { .. })), "{first:?}");
    for _ in 0..3 {
        let again = stream.exchange(&batch).await?;
        ensure!(again == first, "{again:?} after {first:?}");
    }
    let (epoch, after) = (stream.link.stream_epoch, stream.next - 1);
    drop(stream);
    let mut later = mallory
        .link_at(&arena.b, epoch, after)
        .await?
        .stream()
        .await?;
    let again = later.exchange(&batch).await?;
    ensure!(again == first, "on a later flow: {again:?}");
    let items = bob
        .inbox(Vec::new(), 0)
        .await?
        .items_until_caught_up()
        .await?;
    ensure!(items.len() == 3, "{} of 3 invitations", items.len());
    Ok(())
}

/// An invitation of nonsense, as a server relays it.
pub(super) fn invite(to: &Person, dice: &mut Dice) -> Item {
    let stranger = entente_identity::SigningKey::generate(dice.rng());
    Item::Invite(InviteItem {
        account: to.account,
        device: to.device,
        inviter: entente_identity::AccountDid::new(stranger.public()),
        message_id: MessageId(dice.bytes()),
        sealed: vec![7; 64].into(),
    })
}
