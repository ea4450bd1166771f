//! A process that is killed in the middle of its transactions leaves whole ones only, and every one of
//! which it had been told that it is on disk.
//!
//! The test starts itself again as the process to be killed.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use entente_homeserver_ops::conformance::crash;
use entente_store_sqlite::SqliteStore;
use futures::executor::block_on;
use tempfile::TempDir;

/// Tells the process to be killed where its database is.
const DATABASE: &str = "ENTENTE_TEST_DATABASE_OF_THE_KILLED";

fn start(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["the_process_to_be_killed", "--exact", "--nocapture"])
        .env(DATABASE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Does nothing unless it was started by the test below.
#[test]
fn the_process_to_be_killed() {
    if let Some(path) = std::env::var_os(DATABASE) {
        let store = SqliteStore::open(Path::new(&path)).unwrap();
        let fault = crash::write_until_killed(&store, |line| {
            println!("{line}");
            std::io::stdout().flush().unwrap();
        });
        panic!("{fault}");
    }
}

#[test]
fn a_killed_process_leaves_whole_transactions() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("homeserver.sqlite");
    let mut before = 0;
    for commits in [1, 7, 40, 3, 90, 25] {
        let kill = |child: &mut Child| {
            child.kill().unwrap();
            let status = child.wait().unwrap();
            assert!(status.code().is_none(), "killed by a signal, not ended");
        };
        let look = || {
            block_on(crash::whole_transactions(
                &SqliteStore::open(&path).unwrap(),
            ))
        };
        before = crash::round(start(&path), (commits, before), kill, look);
    }
}
