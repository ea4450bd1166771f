//! Peers.

use entente_federation::inbox::InStream;
use entente_homeserver_core::Change;
use entente_homeserver_core::rows::PeerRow;

use super::sample::{entry, peer_row, server};
use super::{view, write};
use crate::store::Store;

pub(super) async fn a_peer_that_is_put_again_is_replaced(store: &dyn Store) {
    write(store, vec![Change::PutPeer(peer_row(1, 4))]).await;
    let changed = PeerRow {
        stream_epoch: 2,
        incoming: InStream {
            epoch: u64::MAX,
            last: u64::MAX - 1,
        },
        ..peer_row(1, 9)
    };
    write(store, vec![Change::PutPeer(changed.clone())]).await;
    let mut read = view(store).await;
    assert_eq!(read.peer(&server(1)).await, Ok(Some(changed)));
    assert_eq!(read.peer(&server(2)).await, Ok(None));
}

/// A server that only appears as an origin is no peer.
pub(super) async fn peers_are_listed_in_order(store: &dyn Store) {
    write(store, vec![Change::AppendEntry(entry(0, 1, 0, 1))]).await;
    let rows = [2, 10, 1].map(|n| peer_row(n, u64::from(n)));
    write(store, rows.map(Change::PutPeer).into()).await;
    let mut read = view(store).await;
    let expect = [1, 10, 2].map(|n| peer_row(n, u64::from(n)));
    assert_eq!(read.peers().await, Ok(expect.into()));
    assert_eq!(read.peer(&server(0)).await, Ok(None));
}

pub(super) async fn peers_come_in_pages(store: &dyn Store) {
    let rows = [2, 10, 1].map(|n| peer_row(n, u64::from(n)));
    write(store, rows.map(Change::PutPeer).into()).await;
    let mut read = view(store).await;
    let row = |n: u8| peer_row(n, u64::from(n));
    let first = read.peers_after(None, 2).await;
    assert_eq!(first, Ok(vec![row(1), row(10)]));
    let second = read.peers_after(Some(&server(10)), 2).await;
    assert_eq!(second, Ok(vec![row(2)]));
    assert_eq!(read.peers_after(Some(&server(2)), 2).await, Ok(vec![]));
    assert_eq!(read.peers_after(None, 0).await, Ok(vec![]));
    // Also after one that is no peer.
    let after = read.peers_after(Some(&server(11)), 9).await;
    assert_eq!(after, Ok(vec![row(2)]));
}
