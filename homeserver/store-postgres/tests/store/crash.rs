//! A process that is killed in the middle of its transactions leaves whole ones only, and every one of
//! which it had been told that it is on disk; so does a database that is killed under it.
//!
//! The test starts itself again as the process to be killed.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use entente_homeserver_ops::conformance::crash;
use entente_testnet_postgres::Postgres;
use futures::executor::block_on;

use crate::databases::open;

/// Tells the process to be killed where its database is.
const DATABASE: &str = "ENTENTE_TEST_DATABASE_OF_THE_KILLED";

fn start(url: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["crash::the_process_to_be_killed", "--exact", "--nocapture"])
        .env(DATABASE, url)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Does nothing unless it was started by a test below.
#[test]
fn the_process_to_be_killed() {
    if let Ok(url) = std::env::var(DATABASE) {
        let fault = crash::write_until_killed(&open(&url), |line| {
            println!("{line}");
            std::io::stdout().flush().unwrap();
        });
        // The database is gone; what became of the last transaction is looked up later.
        println!("failed {fault}");
    }
}

/// Ends something in the middle of transactions, often, and looks what is left each time.
fn check(rounds: &[u32], end: impl Fn(&Postgres, &mut Child)) {
    let postgres = Postgres::start(&[]).unwrap();
    let url = postgres.url(&postgres.database().unwrap());
    let mut before = 0;
    for &commits in rounds {
        let look = || block_on(crash::whole_transactions(&open(&url)));
        let end = |child: &mut Child| end(&postgres, child);
        before = crash::round(start(&url), (commits, before), end, look);
    }
}

#[test]
fn a_killed_process_leaves_whole_transactions() {
    check(&[1, 7, 40, 3, 90, 25], |_, child| child.kill().unwrap());
}

#[test]
fn a_killed_database_leaves_whole_transactions() {
    check(&[1, 40, 7, 25], |postgres, _| {
        postgres.crash().unwrap();
        postgres.start_again().unwrap();
    });
}
