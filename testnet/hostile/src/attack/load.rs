//! Too much of what is right: calls, batches, invitations, and peers that take nothing.

use std::collections::HashSet;

use anyhow::{Context, Result, bail, ensure};
use entente_groups::{MessageId, RoomId};
use entente_identity::{AccountDid, ServerDid, SigningKey};
use entente_protocol::call::{
    ClientRequest, ClientResponse, PeerRequest, PeerStatus, Pull, SealedInvite,
};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::flow::{DeviceItem, InviteItem};
use entente_protocol::limits::MAX_WAITING_INVITES_OF_SERVER;
use entente_protocol::relay::{Item, RelayReply};
use entente_transport::CallError;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{Duration, sleep};

use super::stream::invitations;
use super::{Attack, attack};
use crate::arena::Arena;
use crate::device::{Device, nonsense_invite};
use crate::dice::Dice;
use crate::patience::until;
use crate::peer::{Manners, Peer};
use crate::person::Person;

pub(super) const ATTACKS: &[Attack] = &[
    attack!("calls-beyond-the-rate", Peers,
        "A server calls as fast as it can, ten times as often as it may."
        => "rate-limited with a time, after which it is served; others are served all along",
        calls),
    attack!("batches-beyond-the-rate", Peers,
        "A server relays 200 batches of 64 invitations, each as soon as the one before is answered."
        => "acknowledged or told when to come again; others' invitations arrive all along",
        batches),
    attack!("ten-thousand-invites", Peers,
        "A server relays 10,000 invitations of 1,000 of its accounts to one device."
        => "bounded rows; the device's sync works and others' invitations arrive",
        invites),
    attack!("black-hole-mute", Peers,
        "A server takes connections and never says a word, while much is owed to it."
        => "only its own queue grows, on disk; it gets everything when it comes back",
        mute),
    attack!("black-hole-hoarding", Peers,
        "A server greets and takes batches, and never acknowledges one."
        => "only its own queue grows, on disk; it gets everything when it comes back",
        hoarding),
];

/// More calls than a server may make at once and in the time that they take.
const CALLS: usize = 7_500;
/// Calls under way at once.
const AT_ONCE: usize = 48;
/// The longest time that a server may be told to wait, in milliseconds.
const LONGEST_WAIT_MS: u32 = 60_000;
/// Batches, and items of each.
const BATCHES: usize = 200;
const BATCH_ITEMS: usize = 64;
/// Invitations and the accounts that they are from.
const INVITES: usize = 10_000;
const INVITERS: usize = 1_000;
/// Invitations that are owed to a black hole, and the bytes of each.
const OWED: usize = 1_600;
const OWED_BYTES: usize = 30_000;
/// Invitations that are handed over at once.
const HANDED_OVER: usize = 64;
/// By how much the sender may grow meanwhile, in KiB: half of the 48 megabytes that are owed.
const BLACK_HOLE_GROWTH_KIB: u64 = 24 * 1024;

fn pull_of_nothing() -> PeerRequest {
    PeerRequest::Pull(Pull {
        room: RoomId([0; 32]),
        after: Head {
            term: Term::FIRST,
            seq: Seq(0),
            hash: EntryHash([0; 32]),
        },
        until: Seq(1),
    })
}

async fn calls(arena: &Arena, mut dice: Dice) -> Result<()> {
    let link = arena.mallory()?.link(&arena.a).await?;
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await?;
    let request = pull_of_nothing();
    // Answered at once: a refusal that must not tell what exists takes its time.
    let quick = PeerRequest::Heads(Vec::new());
    let faults: Vec<Result<Option<Fault>>> = stream::iter(0..CALLS)
        .map(|_| async {
            match link.call(&quick).await {
                Ok(_) => Ok(None),
                refused => told(refused).map(Some),
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let faults: Vec<Option<Fault>> = faults.into_iter().collect::<Result<_>>()?;
    let limited = faults
        .iter()
        .flatten()
        .filter(|fault| fault.code == FaultCode::RateLimited);
    let waits: Vec<Option<u32>> = limited.map(|fault| fault.retry_after_ms).collect();
    ensure!(!waits.is_empty(), "{CALLS} calls at once and no limit");
    ensure!(
        waits
            .iter()
            .all(|wait| wait.is_some_and(|wait| (1..=LONGEST_WAIT_MS).contains(&wait))),
        "a limit does not say when to come again"
    );
    let status = alice.link.call(&ClientRequest::Status).await;
    ensure!(status.is_ok(), "others are not served: {status:?}");
    let other = arena.trudy()?.link(&arena.a).await?;
    let fault = told(other.call(&request).await)?;
    ensure!(
        fault.code == FaultCode::NoSuchRoom,
        "another server is limited too: {fault:?}"
    );
    let wait = told(link.call(&request).await)?.retry_after_ms.unwrap_or(0);
    sleep(Duration::from_millis(u64::from(wait) + 5)).await;
    let fault = told(link.call(&request).await)?;
    ensure!(
        fault.code == FaultCode::NoSuchRoom,
        "not served after the time that was told: {fault:?}"
    );
    Ok(())
}

fn told<T: std::fmt::Debug>(answer: Result<T, CallError>) -> Result<Fault> {
    match answer {
        Err(CallError::Refused(fault)) => Ok(fault),
        other => bail!("no refusal but {other:?}"),
    }
}

/// An invitation of one of many strangers, of many bytes.
fn strange_invite(to: &Person, inviter: AccountDid, bytes: usize, dice: &mut Dice) -> Item {
    Item::Invite(InviteItem {
        account: to.account,
        device: to.device,
        inviter,
        message_id: MessageId(dice.bytes()),
        sealed: vec![7; bytes].into(),
    })
}

fn strangers(count: usize, dice: &mut Dice) -> Vec<AccountDid> {
    let stranger = |_| AccountDid::new(SigningKey::generate(dice.rng()).public());
    (0..count).map(stranger).collect()
}

async fn batches(arena: &Arena, mut dice: Dice) -> Result<()> {
    let (mallory, trudy) = (arena.mallory()?, arena.trudy()?);
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let carol = arena.newcomer(&arena.b, "carol", &mut dice).await?;
    let inviter = strangers(1, &mut dice)[0];
    let items: Vec<Item> = (0..BATCHES * BATCH_ITEMS)
        .map(|_| strange_invite(&bob.person, inviter, 64, &mut dice))
        .collect();
    let mut flood = mallory.stream(&arena.b).await?;
    let mut honest = trudy.stream(&arena.b).await?;
    let invite = strange_invite(&carol.person, inviter, 64, &mut dice);
    let flooding = async {
        for (replies, chunk) in items.chunks(BATCH_ITEMS).enumerate() {
            let bytes = chunk.iter().map(Item::to_bytes).collect();
            let batch = flood.sign(flood.next, bytes);
            match flood.exchange(&batch).await? {
                Some(RelayReply::Ack { up_to, .. }) => flood.next = up_to + 1,
                Some(RelayReply::Busy { retry_after_ms }) => {
                    ensure!(
                        (1..=LONGEST_WAIT_MS).contains(&retry_after_ms),
                        "busy for {retry_after_ms} ms"
                    );
                }
                other => bail!("after {replies} batches: {other:?}"),
            }
        }
        Ok(())
    };
    let beside = async {
        honest.deliver(&[invite]).await?;
        let came = invitations(&carol).await?;
        ensure!(came.len() == 1, "{} of 1 invitation of others", came.len());
        Ok(())
    };
    futures::future::try_join(flooding, beside).await?;
    Ok(())
}

async fn invites(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await?;
    let inviters = strangers(INVITERS, &mut dice);
    let items: Vec<Item> = (0..INVITES)
        .map(|index| {
            let inviter = inviters[index % INVITERS];
            strange_invite(&bob.person, inviter, 200, &mut dice)
        })
        .collect();
    let mut stream = mallory.stream(&arena.b).await?;
    let before = bob
        .inbox(Vec::new(), 0)
        .await?
        .items_until_caught_up()
        .await?;
    ensure!(before.is_empty(), "bob begins with {}", before.len());
    stream.deliver(&items).await?;
    let marker = MessageId(dice.bytes());
    alice
        .link
        .call(&nonsense_invite(&bob.person, marker))
        .await?;
    until("the invitation of somebody else", async || {
        Ok(invitations(&bob).await?.contains(&marker).then_some(()))
    })
    .await?;
    let items = bob
        .inbox(Vec::new(), 0)
        .await?
        .items_until_caught_up()
        .await?;
    let waiting = items
        .iter()
        .filter(
            |item| matches!(item, DeviceItem::Invite(invite) if inviters.contains(&invite.inviter)),
        )
        .count();
    ensure!(
        waiting <= MAX_WAITING_INVITES_OF_SERVER as usize,
        "{waiting} invitations of one server wait for one device"
    );
    Ok(())
}

async fn mute(arena: &Arena, dice: Dice) -> Result<()> {
    black_hole(arena, Manners::Mute, dice).await
}

async fn hoarding(arena: &Arena, dice: Dice) -> Result<()> {
    black_hole(arena, Manners::Hoarding, dice).await
}

async fn black_hole(arena: &Arena, manners: Manners, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let alice = arena.newcomer(&arena.a, "alice", &mut dice).await?;
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    mallory.reception.set_manners(manners);
    let owed = owe_much(arena, mallory, &alice, &bob, &mut dice).await;
    mallory.reception.set_manners(Manners::Polite);
    let ids = owed?;
    until("everything that was owed", async || {
        let items = mallory.reception.items_from(&arena.a.did);
        let invites = items.iter().filter_map(|item| match item {
            Item::Invite(invite) => Some(invite.message_id),
            _ => None,
        });
        let came: HashSet<MessageId> = invites.collect();
        Ok(ids.iter().all(|id| came.contains(id)).then_some(()))
    })
    .await
}

/// Much is owed to a server that takes nothing, and others go on.
async fn owe_much(
    arena: &Arena,
    mallory: &Peer,
    alice: &Device,
    bob: &Device,
    dice: &mut Dice,
) -> Result<Vec<MessageId>> {
    let before = arena.memory().await?[0];
    let handle = format!("{}@{}", arena.fresh("nobody"), mallory.did.domain());
    let nobody = Person::new(handle.parse()?, dice);
    let ids: Vec<MessageId> = (0..OWED).map(|_| MessageId(dice.bytes())).collect();
    let handing_over = ids.iter().map(|id| {
        let request = ClientRequest::Invite(SealedInvite {
            account: nobody.account,
            home: mallory.did.clone(),
            message_id: *id,
            sealed: vec![(nobody.device, vec![7; OWED_BYTES])],
        });
        async move { invite_patiently(alice, &request).await }
    });
    stream::iter(handing_over)
        .buffer_unordered(HANDED_OVER)
        .try_collect::<Vec<()>>()
        .await?;
    let marker = MessageId(dice.bytes());
    alice
        .link
        .call(&nonsense_invite(&bob.person, marker))
        .await?;
    until("an invitation for somebody else", async || {
        Ok(invitations(bob).await?.contains(&marker).then_some(()))
    })
    .await?;
    let hole = owed_to(alice, &mallory.did).await?;
    ensure!(
        hole >= OWED as u64,
        "{hole} of {OWED} items are owed to the black hole"
    );
    let other = until("nothing owed to others", async || {
        let owed = owed_to(alice, &arena.b.did).await?;
        Ok((owed == 0).then_some(owed))
    });
    other.await?;
    let grown = arena.memory().await?[0].growth_kib(before);
    ensure!(
        grown < BLACK_HOLE_GROWTH_KIB,
        "the sender grew by {grown} KiB"
    );
    Ok(ids)
}

/// Hands an invitation over, as often as the server lets this account do so.
async fn invite_patiently(alice: &Device, request: &ClientRequest) -> Result<()> {
    loop {
        match alice.link.call(request).await {
            Ok(_) => return Ok(()),
            Err(CallError::Refused(fault)) if fault.retry_after_ms.is_some() => {
                let wait = fault.retry_after_ms.unwrap_or(0).min(2_000);
                sleep(Duration::from_millis(wait.into())).await;
            }
            Err(error) => return Err(error).context("an invitation is not taken"),
        }
    }
}

async fn owed_to(alice: &Device, server: &ServerDid) -> Result<u64> {
    let ClientResponse::Status(status) = alice.link.call(&ClientRequest::Status).await? else {
        bail!("no status");
    };
    let of_server = |peer: &&PeerStatus| peer.server == *server;
    Ok(status
        .peers
        .iter()
        .find(of_server)
        .map_or(0, |peer| peer.owed))
}
