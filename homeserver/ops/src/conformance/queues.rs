//! Devices' own queues.

use entente_homeserver_core::Change;
use entente_homeserver_core::rows::QueuedRow;

use super::sample::{account, device, queued_row, server};
use super::{ALL, refuse, view, write};
use crate::store::Store;

async fn put(store: &dyn Store, rows: impl IntoIterator<Item = QueuedRow>) {
    write(store, rows.into_iter().map(Change::Enqueue).collect()).await;
}

/// What a device's queue holds after a number.
async fn check(store: &dyn Store, (of, n): (u8, u8), after: u64, expect: Vec<QueuedRow>) {
    let mut read = view(store).await;
    let queued = read.queued(&account(of), &device(n), after, ALL).await;
    assert_eq!(queued, Ok(expect), "of {of} and {n} after {after}");
}

fn drop(of: u8, n: u8, up_to: u64) -> Change {
    Change::DropQueued {
        account: account(of),
        device: device(n),
        up_to,
    }
}

pub(super) async fn a_queue_comes_in_order_after_a_number(store: &dyn Store) {
    let rows = [(3, 0), (1, 1), (2, 2), (9, 6)].map(|(number, n)| queued_row(0, 0, number, n));
    put(store, rows.clone()).await;
    put(store, [queued_row(0, 1, 1, 4), queued_row(1, 0, 2, 5)]).await;
    let [third, first, second, ninth] = rows;
    let all = vec![first, second, third.clone(), ninth.clone()];
    check(store, (0, 0), 0, all).await;
    check(store, (0, 0), 2, vec![third, ninth]).await;
    check(store, (0, 0), u64::MAX, Vec::new()).await;
    check(store, (0, 1), 0, vec![queued_row(0, 1, 1, 4)]).await;
    check(store, (1, 1), 0, Vec::new()).await;
}

pub(super) async fn invitations_are_counted_by_who_handed_them_over(store: &dyn Store) {
    let by = |number, n| QueuedRow {
        invited_by: Some(server(n)),
        ..queued_row(0, 0, number, 1)
    };
    put(
        store,
        [
            by(1, 2),
            by(2, 1),
            queued_row(0, 0, 3, 0),
            by(4, 2),
            by(5, 2),
        ],
    )
    .await;
    put(store, [queued_row(0, 1, 1, 0)]).await;
    let count = async |n| {
        let mut read = view(store).await;
        read.waiting_invites(&account(0), &device(n)).await
    };
    assert_eq!(count(0).await, Ok(vec![(server(1), 1), (server(2), 3)]));
    assert_eq!(count(1).await, Ok(Vec::new()));
    write(store, vec![drop(0, 0, 2)]).await;
    assert_eq!(count(0).await, Ok(vec![(server(2), 2)]));
}

pub(super) async fn a_number_is_queued_once(store: &dyn Store) {
    put(store, [queued_row(0, 0, 1, 0)]).await;
    refuse(store, vec![Change::Enqueue(queued_row(0, 0, 1, 1))]).await;
    put(store, [queued_row(0, 1, 1, 0)]).await;
}

pub(super) async fn what_is_dropped_is_queued_no_more(store: &dyn Store) {
    let rows = (1..=4).flat_map(|number| [0, 1].map(|d| queued_row(0, d, number, 2)));
    put(store, rows).await;
    write(store, vec![drop(0, 0, 3), drop(1, 1, 9)]).await;
    check(store, (0, 0), 0, vec![queued_row(0, 0, 4, 2)]).await;
    write(store, vec![drop(0, 0, 2), drop(0, 1, u64::MAX)]).await;
    check(store, (0, 0), 0, vec![queued_row(0, 0, 4, 2)]).await;
    check(store, (0, 1), 0, Vec::new()).await;
}
