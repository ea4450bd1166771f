//! Nodes of one server, the links that they drive, and what they ask to learn of each other's writes.

use entente_homeserver_core::Change;
use entente_homeserver_core::rows::{LinkRow, LogEnd, NodeRow};
use entente_protocol::entry::Seq;

use super::sample::{
    account, device, device_row, link_row, node, node_row, room, room_row, server,
};
use super::{view, write};
use crate::store::Store;

pub(super) async fn a_node_is_replaced_and_forgotten(store: &dyn Store) {
    write(store, vec![Change::PutNode(node_row(1, 4))]).await;
    let changed = NodeRow {
        name: "another".to_owned(),
        beat: u64::MAX,
        ..node_row(1, 0)
    };
    write(store, vec![Change::PutNode(changed.clone())]).await;
    assert_eq!(view(store).await.node(&node(1)).await, Ok(Some(changed)));
    let gone = [1, 2].map(|n| Change::DropNode(node(n)));
    write(store, gone.into()).await;
    assert_eq!(view(store).await.node(&node(1)).await, Ok(None));
}

pub(super) async fn nodes_are_listed_in_order(store: &dyn Store) {
    let rows = [200, 10, 1].map(|n| node_row(n, u64::from(n)));
    write(store, rows.map(Change::PutNode).into()).await;
    let expect = [1, 10, 200].map(|n| node_row(n, u64::from(n)));
    assert_eq!(view(store).await.nodes().await, Ok(expect.into()));
}

pub(super) async fn a_link_is_replaced_and_comes_in_pages(store: &dyn Store) {
    let rows = [2, 10, 1].map(|n| link_row(n, 7, 3));
    write(store, rows.map(Change::PutLink).into()).await;
    let changed = LinkRow {
        fence: u64::MAX,
        ..link_row(2, 8, 0)
    };
    write(store, vec![Change::PutLink(changed.clone())]).await;
    let mut read = view(store).await;
    assert_eq!(read.link(&server(2)).await, Ok(Some(changed.clone())));
    assert_eq!(read.link(&server(3)).await, Ok(None));
    let first = read.links_after(None, 2).await;
    assert_eq!(first, Ok(vec![link_row(1, 7, 3), link_row(10, 7, 3)]));
    let second = read.links_after(Some(&server(10)), 2).await;
    assert_eq!(second, Ok(vec![changed]));
    assert_eq!(read.links_after(Some(&server(2)), 2).await, Ok(vec![]));
}

pub(super) async fn log_ends_are_those_of_rooms_that_are_held(store: &dyn Store) {
    let rows = [2, 1, 3].map(|n| room_row(n, u64::from(n) + 4));
    write(store, rows.map(Change::PutRoom).into()).await;
    let mut read = view(store).await;
    let end = |n: u8| LogEnd {
        room: room(n),
        head: Seq(u64::from(n) + 4),
        delivered: Seq(u64::from(n) + 3),
    };
    let ends = read.log_ends(&[room(3), room(9), room(1), room(3)]).await;
    assert_eq!(ends, Ok(vec![end(1), end(3)]));
    assert_eq!(read.log_ends(&[]).await, Ok(vec![]));
}

pub(super) async fn queue_ends_are_those_of_devices_at_home(store: &dyn Store) {
    let rows = [(2, 1), (1, 2), (1, 1)].map(|(of, n)| device_row(of, n, u64::from(n) + 3));
    write(store, rows.clone().map(Change::PutDevice).into()).await;
    let key = |of: u8, n: u8| (account(of), device(n));
    let mut expect = vec![rows[0].clone(), rows[1].clone()];
    expect.sort_unstable_by_key(|row| (row.account, row.device));
    let mut read = view(store).await;
    // A device of another account does not count, though both parts of the key are there.
    let asked = [key(2, 1), key(1, 2), key(2, 2), key(2, 1)];
    assert_eq!(read.queue_ends(&asked).await, Ok(expect));
    assert_eq!(read.queue_ends(&[]).await, Ok(vec![]));
}
