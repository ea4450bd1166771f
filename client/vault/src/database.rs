//! Opening the database: key, settings, migrations.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::VaultError;
use crate::profile::VaultKey;

/// The migrations, in order; the database's `user_version` counts those that were run.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/vault/0001_vault.sql"),
    include_str!("../../../migrations/vault/0002_proofs.sql"),
];
/// How long to wait for another process of the profile, in milliseconds.
const BUSY_TIMEOUT_MS: u64 = 10_000;
/// Events beyond this many are forgotten when the vault is opened.
const KEPT_EVENTS: u32 = 20_000;

/// Opens the database in a file that exists.
pub(crate) fn open_file(path: &Path, key: &VaultKey) -> Result<Connection, VaultError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // A raw key: it has 256 bits already, so SQLCipher has nothing to stretch.
    let pragma = zeroize::Zeroizing::new(format!("PRAGMA key = \"x'{}'\"", key.hex().as_str()));
    connection.execute_batch(&pragma)?;
    prepare(connection)
}

/// Opens a database that lives as long as the connection.
pub(crate) fn open_in_memory() -> Result<Connection, VaultError> {
    prepare(Connection::open_in_memory()?)
}

fn prepare(mut connection: Connection) -> Result<Connection, VaultError> {
    connection.busy_timeout(Duration::from_millis(BUSY_TIMEOUT_MS))?;
    // The first read tells whether the key is right.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = FAST;",
    )?;
    connection.set_prepared_statement_cache_capacity(128);
    migrate(&mut connection)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), VaultError> {
    let known = u32::try_from(MIGRATIONS.len()).expect("a handful of migrations");
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(VaultError::Newer { found, known });
    }
    for migration in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(migration)?;
    }
    if found < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    transaction.execute(
        "DELETE FROM event WHERE id <= (SELECT max(id) FROM event) - ?1",
        [KEPT_EVENTS],
    )?;
    Ok(transaction.commit()?)
}
