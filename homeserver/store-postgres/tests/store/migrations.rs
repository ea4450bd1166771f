//! Bringing a database up to date: once, by one node, and never backwards.

use std::sync::Barrier;
use std::thread;

use crate::databases::open;
use entente_homeserver_ops::StoreFault;
use entente_homeserver_store_postgres::{Migrations, PostgresStore, Settings};
use entente_testnet_postgres::Postgres;

const VERSIONS: &str = "SELECT string_agg(version::text, ',' ORDER BY version) \
                        FROM refinery_schema_history";
const TABLES: &str = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";

/// Opens a database, which is refused as one that makes no sense; gives the reason.
fn refuse(url: &str, migrations: Migrations) -> String {
    let settings = Settings::parse(url).unwrap().with_migrations(migrations);
    match PostgresStore::open(&settings) {
        Err(StoreFault::Broken(reason)) => reason,
        Err(fault) => panic!("{fault}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[test]
fn an_empty_database_is_brought_up_to_date() {
    let postgres = Postgres::shared().unwrap();
    let database = postgres.database().unwrap();
    let url = postgres.url(&database);
    drop(open(&url));
    assert_eq!(postgres.ask(&database, VERSIONS).unwrap(), "1,2,3,4");
    drop(open(&url));
    assert_eq!(postgres.ask(&database, VERSIONS).unwrap(), "1,2,3,4");
}

#[test]
fn a_newer_database_is_refused_and_left_as_it_is() {
    let postgres = Postgres::shared().unwrap();
    let database = postgres.database().unwrap();
    let url = postgres.url(&database);
    drop(open(&url));
    let newer = "INSERT INTO refinery_schema_history
        VALUES (1000, 'later', '2026-01-01T00:00:00Z', '1')";
    postgres.ask(&database, newer).unwrap();
    for migrations in [Migrations::Apply, Migrations::Refuse] {
        let reason = refuse(&url, migrations);
        assert!(reason.contains("1000"), "{reason}");
        assert!(reason.contains("newer"), "{reason}");
    }
    assert_eq!(postgres.ask(&database, VERSIONS).unwrap(), "1,2,3,4,1000");
    let back = "DELETE FROM refinery_schema_history WHERE version = 1000";
    postgres.ask(&database, back).unwrap();
    open(&url);
}

#[test]
fn an_older_database_is_not_touched_when_that_is_not_wanted() {
    let postgres = Postgres::shared().unwrap();
    let database = postgres.database().unwrap();
    let url = postgres.url(&database);
    let settings = Settings::parse(&url).unwrap();
    assert_eq!(
        PostgresStore::check(&settings),
        Ok(()),
        "it may be migrated"
    );
    let settings = settings.with_migrations(Migrations::Refuse);
    assert!(PostgresStore::check(&settings).is_err());
    let reason = refuse(&url, Migrations::Refuse);
    assert!(reason.contains("version 0"), "{reason}");
    assert!(reason.contains("needs version 4"), "{reason}");
    assert!(reason.contains("start one node"), "{reason}");
    assert_eq!(postgres.ask(&database, TABLES).unwrap(), "0");
    drop(open(&url));
    let settings = Settings::parse(&url).unwrap();
    let settings = settings.with_migrations(Migrations::Refuse);
    assert!(PostgresStore::open(&settings).is_ok(), "it is up to date");
}

#[test]
fn of_nodes_that_start_together_one_migrates() {
    const NODES: usize = 8;
    let postgres = Postgres::shared().unwrap();
    for _ in 0..3 {
        let database = postgres.database().unwrap();
        let url = postgres.url(&database);
        let together = Barrier::new(NODES);
        thread::scope(|scope| {
            for _ in 0..NODES {
                scope.spawn(|| {
                    together.wait();
                    open(&url)
                });
            }
        });
        assert_eq!(postgres.ask(&database, VERSIONS).unwrap(), "1,2,3,4");
    }
}

#[test]
fn a_migration_that_fails_leaves_nothing() {
    let postgres = Postgres::shared().unwrap();
    let database = postgres.database().unwrap();
    let another = "CREATE TABLE parked (something BIGINT)";
    postgres.ask(&database, another).unwrap();
    let reason = refuse(&postgres.url(&database), Migrations::Apply);
    assert!(reason.contains("parked"), "{reason}");
    // The other program's table, and the lock's, which is made before.
    assert_eq!(postgres.ask(&database, TABLES).unwrap(), "2");
}

#[test]
fn a_history_that_is_another_one_is_not_continued() {
    let postgres = Postgres::shared().unwrap();
    let database = postgres.database().unwrap();
    let url = postgres.url(&database);
    drop(open(&url));
    let rewrite = "DELETE FROM refinery_schema_history WHERE version > 1;
        UPDATE refinery_schema_history SET checksum = '1' WHERE version = 1;
        DROP TABLE pin, equivocation, node, link";
    postgres.ask(&database, rewrite).unwrap();
    let reason = refuse(&url, Migrations::Apply);
    assert!(reason.contains("V1__homeserver"), "{reason}");
    assert_eq!(postgres.ask(&database, VERSIONS).unwrap(), "1");
}
