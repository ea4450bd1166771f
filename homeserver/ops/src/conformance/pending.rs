//! Messages that wait for their hubs.

use entente_homeserver_core::Change;
use entente_homeserver_core::rows::PendingRow;

use super::sample::{account, device, message, pending_row, room};
use super::{view, write};
use crate::store::Store;

fn drop(of: u8, n: u8) -> Change {
    Change::DropPending {
        room: room(of),
        message_id: message(n),
    }
}

pub(super) async fn a_waiting_message_is_replaced_and_dropped(store: &dyn Store) {
    let rows = [(0, 1, 0), (0, 2, 0), (1, 1, 0)].map(|(of, n, by)| pending_row(of, n, by));
    write(store, rows.map(Change::PutPending).into()).await;
    let again = PendingRow {
        device: device(2),
        ..pending_row(0, 1, 1)
    };
    write(store, vec![Change::PutPending(again.clone())]).await;
    let mut read = view(store).await;
    let found = read.pending(&room(0), &message(1)).await;
    assert_eq!(found, Ok(Some(again)));
    let found = read.pending(&room(1), &message(1)).await;
    assert_eq!(found, Ok(Some(pending_row(1, 1, 0))));
    assert_eq!(read.pending(&room(1), &message(2)).await, Ok(None));
    std::mem::drop(read);
    write(store, vec![drop(0, 1), drop(2, 2)]).await;
    let mut read = view(store).await;
    assert_eq!(read.pending(&room(0), &message(1)).await, Ok(None));
    let other = read.pending(&room(0), &message(2)).await;
    assert_eq!(other, Ok(Some(pending_row(0, 2, 0))));
}

pub(super) async fn waiting_messages_are_counted_by_account(store: &dyn Store) {
    let rows = [(0, 1, 0), (0, 2, 0), (1, 1, 0), (1, 2, 1)];
    let rows = rows.map(|(of, n, by)| pending_row(of, n, by));
    write(store, rows.map(Change::PutPending).into()).await;
    write(store, vec![Change::PutPending(pending_row(0, 1, 0))]).await;
    let counts = async || {
        let mut counts = [0; 3];
        let mut read = view(store).await;
        for (count, n) in counts.iter_mut().zip(0..) {
            *count = read.pending_count(&account(n)).await.expect("answered");
        }
        counts
    };
    assert_eq!(counts().await, [3, 1, 0]);
    write(store, vec![drop(0, 1)]).await;
    assert_eq!(counts().await, [2, 1, 0]);
}
