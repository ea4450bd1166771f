//! A hub that puts two different entries at one position.

use anyhow::{Result, ensure};
use entente_groups::RoomId;
use entente_protocol::entry::{Entry, EntryKind, Seq};
use entente_protocol::flow::DeviceItem;
use entente_protocol::relay::{Item, RelayReply};

use super::replay::invite;
use super::{Attack, attack};
use crate::arena::Arena;
use crate::dice::Dice;
use crate::patience::until;
use crate::peer::{FakeLog, Peer, attested};

pub(super) const ATTACKS: &[Attack] = &[
    attack!("two-bodies", Peers,
        "Two different items come under one number of a stream, and a hub hands over two different entries for one position."
        => "the first one counts; nothing of the second is ever shown",
        two_bodies),
    attack!("two-signed-histories", Peers,
        "A hub hands over two different entries for one position and signs both as the head of the room."
        => "the room stands still, and its members get both signed entries as proof",
        two_signed_histories),
];

async fn two_bodies(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let mut stream = mallory.stream(&arena.b).await?;
    let [one, other] = [0, 1].map(|_| invite(&bob.person, &mut dice));
    for item in [&one, &other, &other] {
        let batch = stream.sign(stream.next, vec![item.to_bytes()]);
        let reply = stream.exchange(&batch).await?;
        ensure!(matches!(reply, Some(RelayReply::Ack { .. })), "{reply:?}");
    }
    stream.next += 1;
    let mut log = FakeLog::new(RoomId(dice.bytes()), mallory.did.clone(), &mut dice);
    let begin = log.commit(&[&bob.person], &[], &mut dice);
    let mut fork = log.clone();
    let (first, second) = (log.message(&mut dice), fork.message(&mut dice));
    // The second history goes on; the first one does so too.
    let (after_second, after_first) = (fork.message(&mut dice), log.message(&mut dice));
    let entries = [&begin, &first, &second, &after_second, &after_first];
    let items: Vec<Item> = entries.into_iter().cloned().map(Item::Entry).collect();
    stream.deliver(&items).await?;
    let mut inbox = bob.inbox(Vec::new(), 0).await?;
    let queue = inbox.items_until_caught_up().await?;
    ensure!(queue.len() == 1, "{} of 1 invitation", queue.len());
    let shown = inbox.entries_so_far();
    let of_second = |entry: &Entry| *entry == second || *entry == after_second;
    ensure!(!shown.iter().any(of_second), "the second history is shown");
    ensure!(
        shown.contains(&begin) && shown.contains(&first),
        "the first history is not shown: {} entries",
        shown.len()
    );
    Ok(())
}

async fn two_signed_histories(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let sign = |mallory: &Peer, entry: Entry| {
        attested(entry, &mallory.did, mallory.key_id(), mallory.key())
    };
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let mut log = FakeLog::new(RoomId(dice.bytes()), mallory.did.clone(), &mut dice);
    let begin = log.commit(&[&bob.person], &[], &mut dice);
    let mut fork = log.clone();
    let first = sign(mallory, log.message(&mut dice));
    let second = sign(mallory, fork.message(&mut dice));
    let place = first.header.seq;
    let mut stream = mallory.stream(&arena.b).await?;
    let items = [begin, first.clone(), second.clone()].map(Item::Entry);
    stream.deliver(&items).await?;
    let proof = until("the proof for the room's members", async || {
        let mut inbox = bob.inbox(Vec::new(), 0).await?;
        let items = inbox.items_until_caught_up().await?.into_iter();
        let mut proofs = items.filter_map(|item| match item {
            DeviceItem::Equivocation(proof) => Some(proof),
            _ => None,
        });
        Ok(proofs.next())
    })
    .await?;
    let shown = proof.verify()?;
    ensure!(
        (shown.room, shown.seq) == (log.room, place),
        "a proof of something else: {shown:?}"
    );
    let last = sign(
        mallory,
        log.next(EntryKind::Application, dice.many(40), &mut dice),
    );
    stream.deliver(&[Item::Entry(last)]).await?;
    let mut inbox = bob.inbox(vec![(log.room, Seq(0))], u64::MAX).await?;
    inbox.items_until_caught_up().await?;
    let end = inbox
        .entries_so_far()
        .iter()
        .map(|entry| entry.header.seq)
        .max();
    ensure!(end == Some(place), "the room ends at {end:?}");
    Ok(())
}
