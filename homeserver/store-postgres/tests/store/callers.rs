//! Callers that go away in the middle, and a database that is configured anew while it is used.

use std::thread;

use entente_homeserver_ops::conformance::{change, observe};
use entente_homeserver_ops::{Store, StoreFault};
use entente_homeserver_store_postgres::{PostgresStore, Settings};
use entente_testnet_postgres::Postgres;
use futures::executor::block_on;
use futures::poll;

use crate::databases::{Databases, open};

fn write(store: &PostgresStore, number: u8) -> Result<(), StoreFault> {
    block_on(async {
        let mut tx = store.begin().await?;
        tx.apply(vec![change((7, [number; 4]))]).await?;
        tx.commit().await
    })
}

/// Whoever gets the connection next sees what is committed by then.
#[test]
fn a_view_whose_caller_went_away_leaves_no_old_snapshot() {
    let databases = Databases::new();
    let settings = Settings::parse(&databases.fresh()).unwrap().with_readers(1);
    let store = PostgresStore::open(&settings).unwrap();
    write(&store, 1).unwrap();
    // The connection is there; the next view's first word is sent, and its caller does not wait.
    drop(block_on(store.read()).unwrap());
    while !block_on(goes_away(&store)) {}
    write(&store, 2).unwrap();
    let after = block_on(async { observe(&mut *store.read().await.unwrap()).await });
    let other = PostgresStore::open(&settings).unwrap();
    let expect = block_on(async { observe(&mut *other.read().await.unwrap()).await });
    expect.assert_same(&after);
}

/// Begins a view and goes away once its first word is sent; `false` if the view was there at once.
async fn goes_away(store: &PostgresStore) -> bool {
    let before = store.statements();
    let mut view = Box::pin(store.read());
    while store.statements() == before {
        if poll!(&mut view).is_ready() {
            return false;
        }
        thread::yield_now();
    }
    true
}

/// What nobody waited for may have failed: it is not committed.
#[test]
fn a_transaction_whose_caller_did_not_wait_for_a_statement_is_not_committed() {
    let databases = Databases::new();
    let store = databases.store();
    let empty = block_on(async { observe(&mut *store.read().await.unwrap()).await });
    let mut tx = block_on(store.begin()).unwrap();
    block_on(async {
        let mut applied = Box::pin(tx.apply(vec![change((7, [1; 4]))]));
        assert!(poll!(&mut applied).is_pending());
    });
    let fault = block_on(tx.commit()).expect_err("a part of it was not waited for");
    assert!(matches!(fault, StoreFault::Broken(_)), "{fault}");
    let after = block_on(async { observe(&mut *store.read().await.unwrap()).await });
    empty.assert_same(&after);
    write(&store, 2).expect("the next one is another one");
}

/// Configured not to wait for the disk: an open connection keeps to what it was opened with, and no new
/// one is used.
#[test]
fn a_server_that_begins_to_forget_is_not_written_to() {
    let postgres = Postgres::start(&[]).unwrap();
    let database = postgres.database().unwrap();
    let store = open(&postgres.url(&database));
    write(&store, 1).unwrap();
    let lazy = ["synchronous_commit = off".to_owned()];
    postgres.configure(&lazy).unwrap();
    postgres.ask("postgres", "SELECT pg_reload_conf()").unwrap();
    write(&store, 2).expect("the session keeps what it was opened with");
    postgres.reconfigure(&[]).unwrap();
    let refused = write(&store, 3).expect_err("a new one would forget");
    assert!(matches!(refused, StoreFault::Unavailable(_)), "{refused}");
    let told = refused.to_string();
    assert!(told.contains("synchronous_commit = off"), "{told}");
    let eager = ["synchronous_commit = on".to_owned()];
    postgres.reconfigure(&eager).unwrap();
    write(&store, 4).expect("it keeps what it confirms again");
}
