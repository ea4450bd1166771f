//! The suite that every store passes, on real files.

use entente_homeserver_ops::Store;
use entente_homeserver_ops::conformance;
use entente_homeserver_ops::memory::MemoryStore;
use entente_store_sqlite::SqliteStore;
use tempfile::TempDir;

/// A fresh database in `folder`, under a name of its own.
fn fresh(folder: &TempDir, n: &mut u32) -> Box<dyn Store> {
    *n += 1;
    let path = folder.path().join(format!("{n}.sqlite"));
    Box::new(SqliteStore::open(&path).unwrap())
}

#[test]
fn every_behaviour() {
    let folder = TempDir::new().unwrap();
    let mut n = 0;
    conformance::check_all(|| fresh(&folder, &mut n));
}

#[test]
fn any_history_gives_the_rows_of_the_store_in_memory() {
    let folder = TempDir::new().unwrap();
    let n = std::cell::Cell::new(0);
    conformance::differential(48, || {
        let mut number = n.get();
        let sqlite = fresh(&folder, &mut number);
        n.set(number);
        (Box::new(MemoryStore::new()), sqlite)
    });
}
