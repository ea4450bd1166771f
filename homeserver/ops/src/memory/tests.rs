//! The suite that every store passes, and what only this one does.

use futures::executor::block_on;

use super::MemoryStore;
use crate::conformance;
use crate::store::{Store, StoreFault};

#[test]
fn every_behaviour() {
    conformance::check_all(|| Box::new(MemoryStore::new()));
}

#[test]
fn a_crash_ends_open_transactions_and_keeps_what_is_committed() {
    block_on(async {
        let store = MemoryStore::new();
        conformance::write_sample(&store).await;
        let before = conformance::observe(&mut *store.read().await.unwrap()).await;
        let mut open = store.begin().await.unwrap();
        open.apply(conformance::changes(&[(5, [9; 4])]))
            .await
            .unwrap();
        store.crash();
        let next = store.begin().await.unwrap();
        assert!(matches!(
            open.commit().await,
            Err(StoreFault::Unavailable(_))
        ));
        drop(next);
        let after = conformance::observe(&mut *store.read().await.unwrap()).await;
        assert_eq!(before, after);
    });
}
