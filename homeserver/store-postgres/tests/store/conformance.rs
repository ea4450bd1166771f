//! The suite that every store passes, on a real server.

use crate::databases::Databases;
use entente_homeserver_ops::conformance::{self, history};
use entente_homeserver_ops::memory::MemoryStore;
use entente_store_sqlite::SqliteStore;
use futures::executor::block_on;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

#[test]
fn every_behaviour() {
    let databases = Databases::new();
    conformance::check_all(|| Box::new(databases.store()));
}

/// The same random history on Postgres and on SQLite, each beside the store in memory.
#[test]
fn any_history_gives_the_same_rows_in_every_store() {
    let databases = Databases::new();
    let folder = TempDir::new().unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 16,
        failure_persistence: None,
        ..Config::default()
    });
    let n = std::cell::Cell::new(0);
    let outcome = runner.run(&history(), |history| {
        n.set(n.get() + 1);
        let (memory, postgres) = (MemoryStore::new(), databases.store());
        block_on(conformance::compare(&memory, &postgres, &history));
        let path = folder.path().join(format!("{}.sqlite", n.get()));
        let (memory, sqlite) = (MemoryStore::new(), SqliteStore::open(&path).unwrap());
        block_on(conformance::compare(&memory, &sqlite, &history));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
