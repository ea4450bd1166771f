//! Brings a database up to date: plain numbered SQL, in one transaction.

use entente_homeserver_ops::StoreFault;
use rusqlite::{Connection, TransactionBehavior};

use crate::fault::fault;

/// All migrations, oldest first; a database's `user_version` says how many it has had.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/sqlite/0001_homeserver.sql"),
    include_str!("../../../migrations/sqlite/0002_pins_and_proofs.sql"),
    include_str!("../../../migrations/sqlite/0003_claimants.sql"),
    include_str!("../../../migrations/sqlite/0004_links.sql"),
    include_str!("../../../migrations/sqlite/0005_retention.sql"),
];

/// Applies what is missing.
///
/// # Errors
/// The database is newer than this software, or a migration fails; then nothing was changed.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreFault> {
    let tx = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(fault)?;
    let version = refuse_newer(&tx)?;
    for migration in &MIGRATIONS[version..] {
        tx.execute_batch(migration).map_err(fault)?;
    }
    tx.pragma_update(None, "user_version", MIGRATIONS.len())
        .map_err(fault)?;
    tx.commit().map_err(fault)
}

/// The database's version, before anything is written to it.
///
/// # Errors
/// It is newer than this software.
pub(crate) fn refuse_newer(connection: &Connection) -> Result<usize, StoreFault> {
    let version: usize = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(fault)?;
    if version > MIGRATIONS.len() {
        return Err(StoreFault::Broken(format!(
            "the database is of version {version}, this software knows versions up to {}; install \
             the newer software again",
            MIGRATIONS.len()
        )));
    }
    Ok(version)
}
