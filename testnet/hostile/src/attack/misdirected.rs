//! What was signed for one server is handed to another.

use anyhow::{Result, ensure};
use entente_groups::MessageId;
use entente_identity::ServerDid;
use entente_protocol::fault::FaultCode;
use entente_protocol::hello::LOGIN_EXPORTER_LABEL;
use entente_protocol::relay::{Batch, RelayReply};

use super::replay::invite;
use super::{Attack, attack};
use crate::arena::Arena;
use crate::device::{log_in_with, nonsense_invite};
use crate::dice::Dice;
use crate::expect::refused;
use crate::patience::until;
use crate::peer::greet;
use crate::person::Person;

pub(super) const ATTACKS: &[Attack] = &[
    attack!("login-for-another", Devices,
        "A login that is good in all but its audience: signed for org-a.test, sent to org-b.test."
        => "authentication-failed",
        login),
    attack!("hello-for-another", Peers,
        "A greeting that is good in all but its audience: signed for org-a.test, sent to org-b.test."
        => "authentication-failed",
        hello),
    attack!("batch-for-another", Peers,
        "A batch signed for org-a.test is sent to org-b.test, by the organization that signed it."
        => "the flow is given up, without effect",
        batch),
    attack!("forwarded-batch", Peers,
        "A batch that org-a.test signed for a hostile organization is forwarded to org-b.test."
        => "the flow is given up, without effect",
        forwarded),
];

async fn login(arena: &Arena, mut dice: Dice) -> Result<()> {
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let link = arena.b.connect().await?;
    let exporter = link.channel_binding(LOGIN_EXPORTER_LABEL, b"");
    let proof = bob.person.signed_login(exporter, &arena.a.did);
    let answer = log_in_with(&link, proof).await;
    refused(answer, &[FaultCode::AuthenticationFailed]).map(|_| ())
}

async fn hello(arena: &Arena, _dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let connection = mallory.dial(&arena.b).await?;
    let hello = mallory.hello(&connection, mallory.fresh_epoch(), 0);
    let answer = greet(&connection, mallory.sign_hello(&hello, &arena.a.did)).await;
    refused(answer, &[FaultCode::AuthenticationFailed]).map(|_| ())
}

async fn batch(arena: &Arena, mut dice: Dice) -> Result<()> {
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let mut stream = arena.mallory()?.stream(&arena.b).await?;
    let items = vec![invite(&bob.person, &mut dice).to_bytes()];
    let numbers = (stream.link.stream_epoch, stream.next);
    let batch = stream.sign_for(&arena.a.did, numbers, items);
    let reply = stream.exchange(&batch).await?;
    ensure!(reply.is_none(), "taken: {reply:?}");
    let items = bob
        .inbox(Vec::new(), 0)
        .await?
        .items_until_caught_up()
        .await?;
    ensure!(items.is_empty(), "it had an effect: {items:?}");
    Ok(())
}

async fn forwarded(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await?;
    let handle = format!("{}@{}", arena.fresh("accomplice"), mallory.did.domain());
    let accomplice = Person::new(handle.parse()?, &mut dice);
    let request = nonsense_invite(&accomplice, MessageId(dice.bytes()));
    alice.link.call(&request).await?;
    let batch = until("a batch of org-a.test", async || {
        Ok(captured(mallory.reception.batches(), &arena.a.did))
    })
    .await?;
    let mut stream = mallory.stream(&arena.b).await?;
    let reply = stream.exchange(&batch).await?;
    ensure!(
        !matches!(reply, Some(RelayReply::Ack { .. })),
        "taken: {reply:?}"
    );
    ensure!(reply.is_none(), "the flow goes on: {reply:?}");
    Ok(())
}

fn captured(batches: Vec<(ServerDid, Batch)>, from: &ServerDid) -> Option<Batch> {
    let mut batches = batches.into_iter().filter(|(server, _)| server == from);
    batches.next_back().map(|(_, batch)| batch)
}
