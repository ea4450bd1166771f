//! The suite that every store passes, and what only this one does.

use entente_homeserver_core::Change;
use futures::executor::block_on;

use super::MemoryStore;
use crate::conformance::{self, History, change, observe};
use crate::store::{Store, StoreFault};

async fn write(store: &MemoryStore, changes: Vec<Change>) {
    let mut tx = store.begin().await.unwrap();
    tx.apply(changes).await.unwrap();
    tx.commit().await.unwrap();
}

#[test]
fn every_behaviour() {
    conformance::check_all(|| Box::new(MemoryStore::new()));
}

/// The harness itself: equal stores are found equal, and others are not.
#[test]
fn the_same_history_gives_the_same_rows() {
    conformance::differential(32, || {
        (Box::new(MemoryStore::new()), Box::new(MemoryStore::new()))
    });
}

#[test]
#[should_panic(expected = "assertion `left == right` failed")]
fn stores_that_differ_are_found_out() {
    let (left, right) = (MemoryStore::new(), MemoryStore::new());
    let history: History = vec![(vec![(7, [1; 4])], true)];
    block_on(async {
        write(&right, vec![change((21, [2; 4]))]).await;
        conformance::compare(&left, &right, &history).await;
    });
}

#[test]
fn a_crash_ends_open_transactions_and_keeps_what_is_committed() {
    block_on(async {
        let store = MemoryStore::new();
        write(&store, vec![change((7, [1; 4]))]).await;
        let before = observe(&mut *store.read().await.unwrap()).await;
        let mut open = store.begin().await.unwrap();
        open.apply(vec![change((7, [2; 4]))]).await.unwrap();
        store.crash();
        let next = store.begin().await.unwrap();
        let fault = open.commit().await.expect_err("it began before the crash");
        assert!(matches!(fault, StoreFault::Unavailable(_)));
        drop(next);
        let after = observe(&mut *store.read().await.unwrap()).await;
        assert_eq!(before, after);
    });
}
