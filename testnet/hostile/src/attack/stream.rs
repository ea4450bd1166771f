//! What is wrong inside of batches, and with their numbers.

use anyhow::{Context, Result, ensure};
use entente_groups::{MessageId, RoomId};
use entente_protocol::entry::{Entry, EntryKind, Head};
use entente_protocol::flow::DeviceItem;
use entente_protocol::relay::{Item, RelayReply};

use super::replay::invite;
use super::{Attack, attack};
use crate::arena::Arena;
use crate::device::Device;
use crate::dice::Dice;
use crate::peer::{FakeLog, Stream};

pub(super) const ATTACKS: &[Attack] = &[
    attack!("garbage-items", Peers,
        "Items that nobody can read stand between good ones in a batch that is rightly signed."
        => "the batch is acknowledged, the good items have their effect",
        garbage),
    attack!("broken-entries", Peers,
        "A hostile hub leaves an entry out of one room's log, breaks a body, and goes on with another room."
        => "the broken room stands still, the other goes on, invitations arrive",
        broken_entries),
    attack!("shuffled-batches", Peers,
        "Batches come out of order, twice, overlapping, from number 0 and with numbers at the end of all numbers."
        => "gaps are busy, the rest is acknowledged, every item has its effect once and in order",
        shuffled),
    attack!("old-stream", Peers,
        "A sender comes back with an older stream epoch, as from a backup, then begins a higher one."
        => "it is told where the stream stands, nothing is lost or doubled",
        old_stream),
];

/// The message ids of a device's invitations so far, in order.
pub(super) async fn invitations(device: &Device) -> Result<Vec<MessageId>> {
    let mut inbox = device.inbox(Vec::new(), 0).await?;
    let items = inbox.items_until_caught_up().await?;
    let ids = items.into_iter().map(|item| match item {
        DeviceItem::Invite(invite) => Ok(invite.message_id),
        other => anyhow::bail!("no invitation but {other:?}"),
    });
    ids.collect()
}

fn id_of(item: &Item) -> MessageId {
    match item {
        Item::Invite(invite) => invite.message_id,
        other => unreachable!("only invitations are sent here: {other:?}"),
    }
}

fn is_ack(reply: &Option<RelayReply>, up_to: u64) -> bool {
    matches!(reply, Some(RelayReply::Ack { up_to: owned, .. }) if *owned == up_to)
}

async fn garbage(arena: &Arena, mut dice: Dice) -> Result<()> {
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let mut stream = arena.mallory()?.stream(&arena.b).await?;
    let good: Vec<Item> = (0..4).map(|_| invite(&bob.person, &mut dice)).collect();
    let bytes: Vec<Vec<u8>> = good.iter().map(Item::to_bytes).collect();
    let mut shorter = bytes[0].clone();
    shorter.pop();
    let items = vec![
        bytes[0].clone(),
        Vec::new(),
        vec![0],
        vec![0xff; 300],
        bytes[1].clone(),
        [vec![200], dice.many(90)].concat(),
        shorter,
        [bytes[0].clone(), vec![0]].concat(),
        bytes[2].clone(),
        // An enormous length in front of nothing.
        vec![1, 0xbf, 0xff, 0xff, 0xff],
        dice.many(2_000),
        bytes[3].clone(),
    ];
    let last = stream.next + items.len() as u64 - 1;
    let batch = stream.sign(stream.next, items);
    let reply = stream.exchange(&batch).await?;
    ensure!(is_ack(&reply, last), "the batch is not owned: {reply:?}");
    let came = invitations(&bob).await?;
    let wanted: Vec<MessageId> = good.iter().map(id_of).collect();
    ensure!(came == wanted, "{came:?} instead of {wanted:?}");
    Ok(())
}

async fn broken_entries(arena: &Arena, mut dice: Dice) -> Result<()> {
    let mallory = arena.mallory()?;
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let log = |dice: &mut Dice| FakeLog::new(RoomId(dice.bytes()), mallory.did.clone(), dice);
    let (mut broken, mut whole) = (log(&mut dice), log(&mut dice));
    let mut items = vec![
        Item::Entry(broken.commit(&[&bob.person], &[], &mut dice)),
        Item::Entry(whole.commit(&[&bob.person], &[], &mut dice)),
    ];
    let broken_at = broken.head.seq;
    let _left_out = broken.message(&mut dice);
    items.push(Item::Entry(broken.message(&mut dice)));
    items.push(Item::Entry(Entry {
        body: dice.many(64).into(),
        ..broken.message(&mut dice)
    }));
    items.push(Item::Entry(whole.next(
        EntryKind::Commit,
        dice.many(40),
        &mut dice,
    )));
    // That entry cannot be read by anybody: the log goes on without it, as if it had never been.
    let mut whole = FakeLog {
        head: last_head(&items[1])?,
        ..whole
    };
    items.extend((0..3).map(|_| Item::Entry(whole.message(&mut dice))));
    items.push(invite(&bob.person, &mut dice));
    let mut stream = mallory.stream(&arena.b).await?;
    stream.deliver(&items).await?;
    let mut inbox = bob.inbox(Vec::new(), 0).await?;
    let queue = inbox.items_until_caught_up().await?;
    ensure!(queue.len() == 1, "{} of 1 invitation", queue.len());
    let entries = inbox.entries_so_far();
    let end = |room| {
        let of_room = entries.iter().filter(|entry| entry.header.room == room);
        of_room.map(|entry| entry.header.seq).max()
    };
    ensure!(
        end(broken.room) == Some(broken_at),
        "the broken room stands at {:?} instead of {broken_at:?}",
        end(broken.room)
    );
    ensure!(
        end(whole.room) == Some(whole.head.seq),
        "the whole room stands at {:?} instead of {:?}",
        end(whole.room),
        whole.head.seq
    );
    Ok(())
}

fn last_head(item: &Item) -> Result<Head> {
    match item {
        Item::Entry(entry) => Ok(entry.header.head()),
        _ => None.context("an entry"),
    }
}

async fn shuffled(arena: &Arena, mut dice: Dice) -> Result<()> {
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let mut stream = arena.mallory()?.stream(&arena.b).await?;
    let items: Vec<Item> = (0..12).map(|_| invite(&bob.person, &mut dice)).collect();
    let run = |stream: &Stream, from: usize, to: usize| {
        let bytes = items[from..to].iter().map(Item::to_bytes).collect();
        stream.sign(stream.next + from as u64, bytes)
    };
    let first = stream.next;
    let number = |count: u64| first + count - 1;
    // From, to, and how many are owned afterwards; `None` where items before it are missing.
    let turns: [(usize, usize, Option<u64>); 10] = [
        (6, 9, None),
        (0, 3, Some(3)),
        (0, 3, Some(3)),
        (6, 9, None),
        (1, 6, Some(6)),
        (2, 4, Some(6)),
        (0, 9, Some(9)),
        (11, 12, None),
        (8, 12, Some(12)),
        (0, 12, Some(12)),
    ];
    for (index, (from, to, owned)) in turns.into_iter().enumerate() {
        let batch = run(&stream, from, to);
        let reply = stream.exchange(&batch).await?;
        let right = match owned {
            Some(count) => is_ack(&reply, number(count)),
            None => matches!(reply, Some(RelayReply::Busy { .. })),
        };
        ensure!(right, "turn {index} ({from}..{to}): {reply:?}");
    }
    for odd in [0, u64::MAX, u64::MAX - 1] {
        let batch = stream.sign(odd, vec![items[0].to_bytes(); 3]);
        let reply = stream.exchange(&batch).await?;
        ensure!(
            matches!(reply, Some(RelayReply::Busy { .. })),
            "from number {odd}: {reply:?}"
        );
    }
    let came = invitations(&bob).await?;
    let wanted: Vec<MessageId> = items.iter().map(id_of).collect();
    ensure!(
        came == wanted,
        "{} of {} in order",
        came.len(),
        wanted.len()
    );
    Ok(())
}

async fn old_stream(arena: &Arena, mut dice: Dice) -> Result<()> {
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    let mallory = arena.mallory()?;
    let old = mallory.fresh_epoch();
    let mut stream = mallory.stream(&arena.b).await?;
    let items: Vec<Item> = (0..6).map(|_| invite(&bob.person, &mut dice)).collect();
    stream.deliver(&items[..3]).await?;
    let (known, owned) = (stream.link.stream_epoch, stream.next - 1);
    drop(stream);
    // The backup knows an older epoch and fewer numbers.
    let link = mallory.link_at(&arena.b, old, 0).await?;
    ensure!(
        (link.reply.stream_epoch, link.reply.last_in) == (known, owned),
        "told {:?} instead of {:?}",
        (link.reply.stream_epoch, link.reply.last_in),
        (known, owned)
    );
    let mut stream = link.stream().await?;
    let batch = stream.sign(1, vec![items[3].to_bytes()]);
    let reply = stream.exchange(&batch).await?;
    let future = RelayReply::FutureCursor {
        stream_epoch: known,
        last_in: owned,
    };
    ensure!(reply == Some(future), "the old epoch: {reply:?}");
    drop(stream);
    // What the backup still owes is numbered anew; what the server has got already has no second effect.
    let mut stream = mallory.link_at(&arena.b, mallory.fresh_epoch(), 40).await?;
    ensure!(stream.reply.last_in == 40, "the new epoch begins elsewhere");
    stream.stream_epoch = stream.reply.stream_epoch;
    let mut stream = stream.stream().await?;
    stream.deliver(&items[3..]).await?;
    let came = invitations(&bob).await?;
    let wanted: Vec<MessageId> = items.iter().map(id_of).collect();
    ensure!(came == wanted, "{came:?} instead of {wanted:?}");
    Ok(())
}
