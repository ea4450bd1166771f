//! Items that wait parked.

use entente_homeserver_core::Change;
use entente_homeserver_core::rows::ParkedRow;
use entente_identity::UnixMillis;
use entente_protocol::entry::Seq;

use super::sample::{parked_row, room, server};
use super::{ALL, view, write};
use crate::store::Store;

fn at(time: u64, row: ParkedRow) -> ParkedRow {
    ParkedRow {
        time: UnixMillis(time),
        ..row
    }
}

async fn park(store: &dyn Store, rows: impl IntoIterator<Item = ParkedRow>) {
    write(store, rows.into_iter().map(Change::Park).collect()).await;
}

async fn check(store: &dyn Store, expect: Vec<ParkedRow>) {
    assert_eq!(view(store).await.parked(ALL).await, Ok(expect));
}

pub(super) async fn parked_items_come_oldest_first(store: &dyn Store) {
    let of_a_later_epoch = ParkedRow {
        stream_epoch: 2,
        ..parked_row(1, 1, None)
    };
    let of_a_strange_peer = ParkedRow {
        stream_epoch: u64::MAX,
        number: u64::MAX,
        ..parked_row(2, 0, Some((0, u64::MAX)))
    };
    let expect = vec![
        at(5, parked_row(2, 9, Some((0, 3)))),
        at(6, parked_row(1, 4, None)),
        at(6, parked_row(1, 7, Some((1, 1)))),
        at(6, of_a_later_epoch),
        at(6, parked_row(10, 1, None)),
        at(6, of_a_strange_peer),
        at(7, parked_row(0, 1, None)),
    ];
    let mixed = [6, 2, 0, 4, 1, 5, 3].map(|index: usize| expect[index].clone());
    park(store, mixed).await;
    check(store, expect).await;
}

pub(super) async fn an_item_that_is_parked_again_is_replaced(store: &dyn Store) {
    park(store, [at(5, parked_row(0, 1, Some((0, 1))))]).await;
    park(store, [at(6, parked_row(0, 2, None))]).await;
    let again = ParkedRow {
        bytes: vec![8; 3],
        ..at(7, parked_row(0, 1, None))
    };
    park(store, [again.clone()]).await;
    check(store, vec![at(6, parked_row(0, 2, None)), again]).await;
}

pub(super) async fn parked_items_are_counted_by_peer(store: &dyn Store) {
    let rows = [(0, 1), (0, 2), (1, 1), (0, 2)].map(|(peer, n)| parked_row(peer, n, None));
    park(store, rows).await;
    let mut read = view(store).await;
    for (peer, expect) in [(0, 2), (1, 1), (2, 0)] {
        assert_eq!(read.parked_count(&server(peer)).await, Ok(expect));
    }
}

pub(super) async fn a_room_forgets_parked_entries_up_to_a_position(store: &dyn Store) {
    let rows = [
        parked_row(0, 1, Some((0, 3))),
        parked_row(1, 1, Some((0, 4))),
        parked_row(0, 2, Some((0, 5))),
        parked_row(0, 3, Some((1, 3))),
        parked_row(0, 4, None),
    ];
    park(store, rows.clone()).await;
    let drop = |of: u8, up_to: u64| Change::DropParked {
        room: room(of),
        up_to: Seq(up_to),
    };
    write(store, vec![drop(0, 4), drop(2, u64::MAX)]).await;
    let [_, _, later, elsewhere, other] = rows;
    check(store, vec![later, elsewhere.clone(), other.clone()]).await;
    write(store, vec![drop(0, u64::MAX)]).await;
    check(store, vec![elsewhere, other]).await;
}
