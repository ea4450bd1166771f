//! It runs, survives a crash with what it confirmed, and leaves nothing behind.

use std::process::{Command, Stdio};
use std::sync::Arc;

use entente_testnet_postgres::Postgres;

/// Tells the process to be killed that it is the one.
const MARK: &str = "ENTENTE_TEST_POSTGRES_OF_THE_KILLED";

#[test]
fn it_is_gone_when_the_last_one_lets_go() {
    let first = Postgres::shared().unwrap();
    let second = Postgres::shared().unwrap();
    assert!(Arc::ptr_eq(&first, &second), "one for all tests");
    let folder = first.folder().to_owned();
    drop(first);
    let database = second.database().unwrap();
    assert_eq!(second.ask(&database, "SELECT 1 + 1").unwrap(), "2");
    assert_eq!(second.ask(&database, "SHOW fsync").unwrap(), "on");
    drop(second);
    assert!(!folder.exists(), "{} is left", folder.display());
}

#[test]
fn a_crash_keeps_what_was_confirmed() {
    let postgres = Postgres::start(&[]).unwrap();
    let database = postgres.database().unwrap();
    let ask = |sql: &str| postgres.ask(&database, sql);
    ask("CREATE TABLE t (n INTEGER)").unwrap();
    ask("INSERT INTO t VALUES (7)").unwrap();
    postgres.crash().unwrap();
    ask("SELECT n FROM t").expect_err("it does not run");
    postgres.start_again().unwrap();
    assert_eq!(ask("SELECT n FROM t").unwrap(), "7");
    ask("SELECT n FROM nowhere").expect_err("there is no such table");
}

#[test]
fn a_backup_is_of_when_it_was_made() {
    let postgres = Postgres::start(&[]).unwrap();
    let database = postgres.database().unwrap();
    let ask = |database: &str, sql: &str| postgres.ask(database, sql);
    ask(&database, "CREATE TABLE t (n INTEGER)").unwrap();
    ask(&database, "INSERT INTO t VALUES (7)").unwrap();
    let restored = postgres.restored_from(&database).unwrap();
    ask(&database, "UPDATE t SET n = 8").unwrap();
    assert_eq!(ask(&restored, "SELECT n FROM t").unwrap(), "7");
}

/// Does nothing unless it was started by the test below.
#[test]
fn the_process_to_be_killed() {
    if std::env::var_os(MARK).is_some() {
        let postgres = Postgres::start(&[]).unwrap();
        println!("folder {}", postgres.folder().display());
        Command::new("kill")
            .args(["-KILL", &std::process::id().to_string()])
            .status()
            .unwrap();
    }
}

#[test]
fn it_ends_with_a_process_that_is_killed() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["the_process_to_be_killed", "--exact", "--nocapture"])
        .env(MARK, "1")
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    let folder = said.lines().find_map(|line| line.split("folder ").nth(1));
    let folder = std::path::Path::new(folder.expect("it started"));
    // The guard needs a moment; to ask again is all that can be done from outside.
    let gone = (0..600).any(|_| {
        let wait = Command::new("sleep").arg("0.1").status().unwrap();
        wait.success() && !folder.exists()
    });
    assert!(gone, "{} is left", folder.display());
}
