//! Transactions and views.

use entente_homeserver_core::{Change, Owed};
use entente_protocol::entry::Seq;
use futures::poll;

use super::chance::change;
use super::observation::{Observation, everything_together, observe};
use super::sample::{account_row, entry, member_row, room, room_row, server};
use super::{ALL, view, write};
use crate::store::{Store, StoreFault};
use crate::wanted::{Found, Wanted, one_by_one};

/// Changes of every variant of which none is refused.
fn everything() -> Vec<Change> {
    (0..32)
        .map(|variant| change((variant, [1, 1, variant, variant])))
        .collect()
}

async fn committed(store: &dyn Store) -> Observation {
    observe(&mut *view(store).await).await
}

pub(super) async fn an_empty_store_answers_with_nothing(store: &dyn Store) {
    let empty = committed(store).await;
    let mut tx = store.begin().await.expect("the store can be written");
    assert_eq!(observe(&mut *tx).await, empty);
    tx.commit().await.expect("committed");
    assert_eq!(committed(store).await, empty);
    let mut read = view(store).await;
    assert_eq!(read.peers().await, Ok(Vec::new()));
    assert_eq!(read.parked(ALL).await, Ok(Vec::new()));
}

pub(super) async fn reads_within_a_transaction_see_what_it_wrote(store: &dyn Store) {
    let before = committed(store).await;
    let mut tx = store.begin().await.expect("the store can be written");
    tx.apply(everything()).await.expect("applied");
    let within = observe(&mut *tx).await;
    assert_ne!(within, before);
    tx.commit().await.expect("committed");
    assert_eq!(committed(store).await, within);
}

pub(super) async fn what_is_read_together_is_what_is_read_one_by_one(store: &dyn Store) {
    let wanted = everything_together();
    let mut tx = store.begin().await.expect("the store can be written");
    assert_eq!(tx.together(&wanted).await, Ok(Found::default()));
    let frozen = change((34, [1; 4]));
    let changes = everything().into_iter().chain([frozen]);
    tx.apply(changes.collect()).await.expect("applied");
    let found = tx.together(&wanted).await;
    assert_eq!(found, one_by_one(&mut *tx, &wanted).await);
    let found = found.expect("the read is answered");
    let nothing = Found::default();
    assert_ne!(found.rooms, nothing.rooms);
    assert_ne!(found.frozen, nothing.frozen);
    assert_ne!(found.members, nothing.members);
    assert_ne!(found.ordered, nothing.ordered);
    assert_ne!(found.pending, nothing.pending);
    assert_eq!(tx.together(&Wanted::default()).await, Ok(nothing));
}

pub(super) async fn a_dropped_transaction_leaves_nothing(store: &dyn Store) {
    write(store, vec![Change::PutRoom(room_row(0, 1))]).await;
    let before = committed(store).await;
    let mut tx = store.begin().await.expect("the store can be written");
    tx.apply(everything()).await.expect("applied");
    drop(tx);
    assert_eq!(committed(store).await, before);
    write(store, everything()).await;
    assert_ne!(committed(store).await, before);
}

pub(super) async fn a_view_stays_as_it_was(store: &dyn Store) {
    write(store, vec![Change::PutRoom(room_row(0, 1))]).await;
    let mut earlier = view(store).await;
    write(store, vec![Change::PutRoom(room_row(0, 2))]).await;
    write(store, everything()).await;
    let found = earlier.room(&room(0)).await;
    assert_eq!(found, Ok(Some(room_row(0, 1))));
    assert_eq!(earlier.peers().await, Ok(Vec::new()));
}

pub(super) async fn nobody_sees_a_transaction_before_its_commit(store: &dyn Store) {
    let before = committed(store).await;
    let mut tx = store.begin().await.expect("the store can be written");
    tx.apply(everything()).await.expect("applied");
    assert_eq!(committed(store).await, before);
    tx.commit().await.expect("committed");
}

pub(super) async fn writers_wait_for_each_other(store: &dyn Store) {
    let mut first = store.begin().await.expect("the store can be written");
    let mut second = store.begin();
    assert!(poll!(&mut second).is_pending(), "two write at one time");
    let row = room_row(0, 1);
    let put = vec![Change::PutRoom(row.clone())];
    first.apply(put).await.expect("applied");
    first.commit().await.expect("committed");
    let mut second = second.await.expect("its turn has come");
    assert_eq!(second.room(&room(0)).await, Ok(Some(row)));
    let mut third = store.begin();
    assert!(poll!(&mut third).is_pending(), "two write at one time");
    drop(second);
    third.await.expect("a dropped transaction ends its turn");
}

pub(super) async fn a_transaction_that_failed_is_not_committed(store: &dyn Store) {
    write(store, vec![Change::AppendEntry(entry(0, 1, 0, 1))]).await;
    let before = committed(store).await;
    let mut tx = store.begin().await.expect("the store can be written");
    let changes = vec![
        Change::PutAccount(account_row(0, 0)),
        Change::AppendEntry(entry(0, 1, 0, 2)),
    ];
    let fault = tx.apply(changes).await.expect_err("occupied");
    assert!(matches!(fault, StoreFault::Broken(_)), "{fault:?}");
    tx.commit().await.expect_err("a change failed");
    assert_eq!(committed(store).await, before);
}

pub(super) async fn changes_are_made_in_order(store: &dyn Store) {
    let member = member_row(0, 0, 0, 1);
    let left = Change::EndMember {
        room: room(0),
        account: member.account,
        device: member.device,
        left: Seq(2),
    };
    let owe = |n: u8| Change::Owe {
        peer: server(0),
        number: 1,
        item: Owed::Item(vec![n]),
    };
    let forget = Change::DropOwed {
        peer: server(0),
        up_to: 1,
    };
    let changes = vec![
        Change::PutRoom(room_row(0, 1)),
        left.clone(),
        Change::PutMember(member.clone()),
        owe(1),
        forget,
        owe(2),
        Change::PutRoom(room_row(0, 2)),
    ];
    write(store, changes).await;
    let mut read = view(store).await;
    assert_eq!(read.room(&room(0)).await, Ok(Some(room_row(0, 2))));
    assert_eq!(read.members(&room(0)).await, Ok(vec![member]));
    let owed = read.owed(&server(0), 0, ALL).await;
    assert_eq!(owed, Ok(vec![(1, vec![2])]));
}
