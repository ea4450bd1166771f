//! What is owed to peers.

use entente_homeserver_core::{Change, Owed};
use entente_protocol::entry::Seq;
use entente_protocol::relay::Item;

use super::sample::{attestation, entry, room, server};
use super::{ALL, refuse, view, write};
use crate::store::Store;

fn item(peer: u8, number: u64, n: u8) -> Change {
    Change::Owe {
        peer: server(peer),
        number,
        item: Owed::Item(vec![n; 5]),
    }
}

fn pointer(peer: u8, number: u64, of: u8, seq: u64) -> Change {
    Change::Owe {
        peer: server(peer),
        number,
        item: Owed::Entry {
            room: room(of),
            seq: Seq(seq),
        },
    }
}

fn drop(peer: u8, up_to: u64) -> Change {
    let peer = server(peer);
    Change::DropOwed { peer, up_to }
}

/// The numbers that are owed to a peer after one.
async fn check(store: &dyn Store, peer: u8, after: u64, expect: &[u64]) {
    let owed = view(store).await.owed(&server(peer), after, ALL).await;
    let owed = owed.expect("the read is answered");
    let numbers: Vec<u64> = owed.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, expect, "to {peer} after {after}");
}

pub(super) async fn what_is_owed_comes_in_order_after_a_number(store: &dyn Store) {
    let far = 1 << 39;
    let numbers = [3, 1, 2, far];
    write(store, numbers.map(|n| item(1, n, n as u8)).into()).await;
    write(store, vec![item(0, 2, 7), item(2, 2, 8)]).await;
    check(store, 1, 0, &[1, 2, 3, far]).await;
    check(store, 1, 2, &[3, far]).await;
    check(store, 1, far, &[]).await;
    check(store, 1, u64::MAX, &[]).await;
    check(store, 3, 0, &[]).await;
    let owed = view(store).await.owed(&server(0), 0, ALL).await;
    assert_eq!(owed, Ok(vec![(2, vec![7; 5])]));
}

pub(super) async fn a_pointer_gives_the_entry_as_it_is_stored(store: &dyn Store) {
    let bare = entry(0, 1, 1, 30);
    let mut signed = entry(0, 2, 1, 100);
    signed.attestation = Some(attestation(&signed, 4));
    let changes = vec![
        Change::AppendEntry(bare.clone()),
        pointer(0, 1, 0, 1),
        item(0, 2, 9),
        Change::AppendEntry(signed.clone()),
        pointer(0, 3, 0, 2),
        pointer(1, 1, 0, 2),
    ];
    write(store, changes).await;
    let signed = Item::Entry(signed).to_bytes();
    let mut read = view(store).await;
    let expect = vec![
        (1, Item::Entry(bare.clone()).to_bytes()),
        (2, vec![9; 5]),
        (3, signed.clone()),
    ];
    assert_eq!(read.owed(&server(0), 0, ALL).await, Ok(expect));
    let expect = vec![(1, signed)];
    assert_eq!(read.owed(&server(1), 0, ALL).await, Ok(expect));
    let attested = attestation(&bare, 2);
    let attest = Change::Attest {
        room: room(0),
        seq: Seq(1),
        attestation: attested.clone(),
    };
    write(store, vec![attest]).await;
    let owed = view(store).await.owed(&server(0), 0, ALL).await;
    let now_signed = Item::Entry(entente_protocol::entry::Entry {
        attestation: Some(attested),
        ..bare
    });
    assert_eq!(owed.expect("answered")[0].1, now_signed.to_bytes());
}

pub(super) async fn a_pointer_to_no_entry_is_left_out(store: &dyn Store) {
    let changes = vec![
        pointer(0, 1, 0, 1),
        pointer(0, 2, 0, 2),
        pointer(0, 3, 1, 2),
        Change::AppendEntry(entry(0, 2, 0, 1)),
    ];
    write(store, changes).await;
    check(store, 0, 0, &[2]).await;
}

pub(super) async fn a_number_is_owed_once(store: &dyn Store) {
    write(store, vec![item(0, 1, 1)]).await;
    refuse(store, vec![item(0, 2, 1), item(0, 1, 1)]).await;
    refuse(store, vec![pointer(0, 1, 0, 1)]).await;
    write(store, vec![item(1, 1, 1)]).await;
}

pub(super) async fn what_is_dropped_is_owed_no_more(store: &dyn Store) {
    let changes = (1..=4).flat_map(|number| [item(0, number, 1), item(1, number, 1)]);
    write(store, changes.collect()).await;
    write(store, vec![drop(0, 2), drop(2, 9)]).await;
    check(store, 0, 0, &[3, 4]).await;
    check(store, 1, 0, &[1, 2, 3, 4]).await;
    write(store, vec![drop(0, 1), drop(1, u64::MAX)]).await;
    check(store, 0, 0, &[3, 4]).await;
    check(store, 1, 0, &[]).await;
    write(store, vec![item(1, 4, 1)]).await;
    check(store, 1, 0, &[4]).await;
}

pub(super) async fn rooms_owed_are_distinct_and_in_order(store: &dyn Store) {
    let changes = vec![
        pointer(0, 1, 2, 1),
        item(0, 2, 1),
        pointer(0, 3, 2, 2),
        pointer(0, 4, 1, 1),
        pointer(0, 5, 0, 1),
        pointer(1, 1, 0, 1),
    ];
    write(store, changes).await;
    let mut read = view(store).await;
    for (peer, up_to, expect) in [
        (0, 0, vec![]),
        (0, 3, vec![2]),
        (0, 4, vec![1, 2]),
        (0, u64::MAX, vec![0, 1, 2]),
        (1, 1, vec![0]),
        (2, 9, vec![]),
    ] {
        let rooms = read.owed_rooms(&server(peer), up_to).await;
        let expect = expect.into_iter().map(room).collect();
        assert_eq!(rooms, Ok(expect), "to {peer} up to {up_to}");
    }
}

pub(super) async fn the_oldest_owed_entry_is_any_peers(store: &dyn Store) {
    let oldest = async |of: u8| view(store).await.oldest_owed(&room(of)).await;
    let changes = vec![
        pointer(0, 1, 0, 7),
        pointer(0, 2, 0, 6),
        pointer(1, 1, 0, 4),
        pointer(1, 2, 1, 2),
        item(1, 3, 1),
    ];
    write(store, changes).await;
    assert_eq!(oldest(0).await, Ok(Some(Seq(4))));
    assert_eq!(oldest(1).await, Ok(Some(Seq(2))));
    assert_eq!(oldest(2).await, Ok(None));
    write(store, vec![drop(1, 9)]).await;
    assert_eq!(oldest(0).await, Ok(Some(Seq(6))));
    assert_eq!(oldest(1).await, Ok(None));
}
