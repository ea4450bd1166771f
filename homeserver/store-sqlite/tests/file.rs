//! The file: who may read it, and which ones are refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use entente_homeserver_ops::conformance::{change, observe};
use entente_homeserver_ops::{Store, StoreFault};
use entente_store_sqlite::SqliteStore;
use futures::executor::block_on;
use rusqlite::Connection;
use tempfile::TempDir;

/// A change that any fresh store takes.
fn write(store: &SqliteStore) {
    block_on(async {
        let mut tx = store.begin().await.unwrap();
        tx.apply(vec![change((7, [1; 4]))]).await.unwrap();
        tx.commit().await.unwrap();
    });
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn only_its_owner_may_read_the_file_and_what_lies_beside_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("homeserver.sqlite");
    let store = SqliteStore::open(&path).unwrap();
    write(&store);
    let files: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    assert!(files.len() > 1, "a write-ahead log lies beside the file");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_database_is_opened_again_with_its_rows() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("homeserver.sqlite");
    let rows =
        |store: &SqliteStore| block_on(async { observe(&mut *store.read().await.unwrap()).await });
    let store = SqliteStore::open(&path).unwrap();
    write(&store);
    let before = rows(&store);
    drop(store);
    before.assert_same(&rows(&SqliteStore::open(&path).unwrap()));
}

#[test]
fn a_newer_database_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("homeserver.sqlite");
    write(&SqliteStore::open(&path).unwrap());
    let set = |version: i32| {
        let connection = Connection::open(&path).unwrap();
        let before: i32 = connection
            .pragma_query_value(None, "user_version", |row| row.get(0))
            .unwrap();
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
        before
    };
    let known = set(1_000);
    let Err(StoreFault::Broken(reason)) = SqliteStore::open(&path) else {
        panic!("a newer database was opened");
    };
    assert!(reason.contains("1000"), "{reason}");
    assert!(reason.contains("newer"), "{reason}");
    assert_eq!(set(known), 1_000, "the refused file was changed");
    SqliteStore::open(&path).expect("it is of a known version again");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("homeserver.sqlite");
    let text = b"this is no database, but long enough to have had a header\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    assert!(SqliteStore::open(&path).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), text);
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("nowhere/homeserver.sqlite");
    let Err(StoreFault::Unavailable(reason)) = SqliteStore::open(&path) else {
        panic!("a file was opened where no folder is");
    };
    assert!(reason.contains("nowhere"), "{reason}");
}
