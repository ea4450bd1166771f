//! Welcomes that nobody asked for.

use anyhow::{Result, bail, ensure};
use entente_groups::{Epoch, KeyPackageRef, KeyPackageUse, RoomId, Suite};
use entente_protocol::call::{ClaimKeyPackage, PeerRequest, PeerResponse};
use entente_protocol::entry::{EntryHash, Head, Seq, Term};
use entente_protocol::flow::{DeviceItem, WelcomeItem};
use entente_protocol::relay::Item;

use super::replay::invite;
use super::{Attack, attack};
use crate::arena::Arena;
use crate::device::Device;
use crate::dice::Dice;
use crate::gathering::vouched;
use crate::peer::{Peer, PeerLink};
use crate::person::Person;

pub(super) const ATTACKS: &[Attack] = &[attack!("unasked-welcome", Peers,
        "Welcomes for an unknown KeyPackage, one that was not claimed, one that was claimed for another room, from a server that did not claim it, and a second time."
        => "dropped; only the first one of who claimed it arrives",
        unasked)];

fn welcome(from: &Peer, room: RoomId, reference: KeyPackageRef, dice: &mut Dice) -> Item {
    Item::Welcome(WelcomeItem {
        room,
        hub: from.did.clone(),
        reference,
        welcome: dice.many(200).into(),
        epoch: Epoch(1),
        tree_hash: dice.bytes(),
        tree_bytes: 1_000,
        at: Head {
            term: Term::FIRST,
            seq: Seq(2),
            hash: EntryHash(dice.bytes()),
        },
    })
}

async fn unasked(arena: &Arena, mut dice: Dice) -> Result<()> {
    let (mallory, trudy) = (arena.mallory()?, arena.trudy()?);
    let bob = arena.newcomer(&arena.b, "bob", &mut dice).await?;
    bob.publish(KeyPackageUse::Once, 2).await?;
    let handle = format!("{}@{}", arena.fresh("mole"), mallory.did.domain());
    let mole = Person::new(handle.parse()?, &mut dice);
    let [room, other] = [0, 1].map(|_| RoomId(dice.bytes()));
    let link = mallory.link(&arena.b).await?;
    let claimed = claim(&link, &mole, room, &bob).await?;
    let made = bob.publish(KeyPackageUse::Once, 1).await?;
    let unclaimed = made[0].reference.clone();
    let unknown = KeyPackageRef::new(&dice.bytes::<32>());
    let mut stream = link.stream().await?;
    let marker = invite(&bob.person, &mut dice);
    let unasked = [
        welcome(mallory, room, unknown, &mut dice),
        welcome(mallory, room, unclaimed, &mut dice),
        welcome(mallory, other, claimed.clone(), &mut dice),
        marker.clone(),
    ];
    stream.deliver(&unasked).await?;
    ensure!(kinds(&bob).await? == ["invite"], "{:?}", kinds(&bob).await?);
    // A server that did not claim the KeyPackage has learned its name and room.
    let mut strangers = trudy.stream(&arena.b).await?;
    let from_stranger = welcome(trudy, room, claimed.clone(), &mut dice);
    strangers.deliver(&[from_stranger]).await?;
    let after = kinds(&bob).await?;
    ensure!(
        after == ["invite"],
        "a Welcome of a server that did not claim the KeyPackage arrived: {after:?}"
    );
    let asked = welcome(mallory, room, claimed.clone(), &mut dice);
    let again = welcome(mallory, room, claimed, &mut dice);
    stream
        .deliver(&[asked.clone(), asked, again, marker])
        .await?;
    let after = kinds(&bob).await?;
    ensure!(after == ["invite", "welcome", "invite"], "{after:?}");
    Ok(())
}

async fn claim(
    link: &PeerLink,
    asker: &Person,
    room: RoomId,
    of: &Device,
) -> Result<KeyPackageRef> {
    let request = ClaimKeyPackage {
        room,
        account: of.person.account,
        home: of.door.did.clone(),
        suite: Suite::Classical,
    };
    match link
        .ask(&PeerRequest::ClaimKeyPackage(vouched(asker, request)))
        .await?
    {
        PeerResponse::KeyPackage(claimed) => Ok(claimed.reference),
        other => bail!("another reply: {other:?}"),
    }
}

/// What is in a device's queue.
async fn kinds(device: &Device) -> Result<Vec<&'static str>> {
    let mut inbox = device.inbox(Vec::new(), 0).await?;
    let items = inbox.items_until_caught_up().await?;
    let kind = |item: &DeviceItem| match item {
        DeviceItem::Welcome(_) => "welcome",
        DeviceItem::Invite(_) => "invite",
        DeviceItem::Refused(_) => "refused",
        DeviceItem::Equivocation(_) => "equivocation",
    };
    Ok(items.iter().map(kind).collect())
}
