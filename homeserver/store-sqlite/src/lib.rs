//! A homeserver's rows in SQLite: the embedded default.
//!
//! Write-ahead log with `synchronous=FULL`: when a commit returns, a power cut does not undo it. One
//! connection writes, and [`Store::begin`] waits for it; readers have connections of their own, each
//! view a snapshot that writers do not disturb.
//!
//! The file names are those of every store: `read` answers, `apply` writes, `rows` turns columns into
//! domain words, `migrate` brings a database up to date, `fault` says what went wrong.

mod apply;
mod fault;
mod migrate;
mod read;
mod rows;

use std::fs::OpenOptions;
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use entente_homeserver_core::Change;
use entente_homeserver_ops::{Read, Store, StoreFault, Tx, Writers};
use futures::lock::{Mutex as Turn, OwnedMutexGuard};
use rusqlite::Connection;

use fault::fault;

/// Connections that are kept open for the next reader.
const KEPT_READERS: usize = 4;
/// How long a statement waits for another process that holds the database, in milliseconds.
const BUSY_TIMEOUT_MS: u32 = 5_000;
/// Statements that each connection keeps prepared.
const STATEMENTS: usize = 96;
/// Pages of write-ahead log after which it is copied back into the database.
const CHECKPOINT_PAGES: u32 = 4_000;

/// A homeserver's database in one file.
pub struct SqliteStore {
    path: PathBuf,
    writer: Arc<Turn<Connection>>,
    readers: Arc<Readers>,
}

/// Connections that wait for the next reader.
type Readers = Mutex<Vec<Connection>>;

/// Rows as somebody sees them, through a connection of its own or the writer's.
struct View<C> {
    connection: C,
}

/// A reader's connection; it goes back to the others when the view ends.
struct Reader {
    connection: Option<Connection>,
    readers: Arc<Readers>,
}

/// The writer's connection, for as long as a transaction lasts.
struct Writer {
    connection: OwnedMutexGuard<Connection>,
    open: bool,
    failed: bool,
}

impl SqliteStore {
    /// Opens a database and brings it up to date; a new one is made with mode 0600.
    ///
    /// # Errors
    /// The file cannot be used, or it was written by a newer version of this software.
    pub fn open(path: &Path) -> Result<Self, StoreFault> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| StoreFault::Unavailable(format!("{}: {error}", path.display())))?;
        migrate::refuse_newer(&Connection::open(path).map_err(fault)?)?;
        let mut writer = connect(path, -8_000)?;
        migrate::migrate(&mut writer)?;
        Ok(Self {
            path: path.to_owned(),
            writer: Arc::new(Turn::new(writer)),
            readers: Arc::default(),
        })
    }
}

/// Opens a connection with this much page cache (negative: KiB).
fn connect(path: &Path, cache: i32) -> Result<Connection, StoreFault> {
    let connection = Connection::open(path).map_err(fault)?;
    let set = |name: &str, value: &dyn rusqlite::ToSql| {
        connection.pragma_update(None, name, value).map_err(fault)
    };
    set("busy_timeout", &BUSY_TIMEOUT_MS)?;
    set("journal_mode", &"WAL")?;
    set("synchronous", &"FULL")?;
    set("wal_autocheckpoint", &CHECKPOINT_PAGES)?;
    set("cache_size", &cache)?;
    set("temp_store", &"MEMORY")?;
    set("foreign_keys", &"ON")?;
    set("trusted_schema", &"OFF")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

#[async_trait]
impl Store for SqliteStore {
    fn writers(&self) -> Writers {
        Writers::One
    }

    async fn read(&self) -> Result<Box<dyn Read>, StoreFault> {
        let waiting = lock(&self.readers).pop();
        let connection = match waiting {
            Some(connection) => connection,
            None => connect(&self.path, -2_000)?,
        };
        // The first statement takes the snapshot.
        connection
            .execute_batch("BEGIN; SELECT 1 FROM peer LIMIT 1;")
            .map_err(fault)?;
        let reader = Reader {
            connection: Some(connection),
            readers: self.readers.clone(),
        };
        Ok(Box::new(View { connection: reader }))
    }

    async fn begin(&self) -> Result<Box<dyn Tx>, StoreFault> {
        let connection = self.writer.clone().lock_owned().await;
        connection.execute_batch("BEGIN IMMEDIATE").map_err(fault)?;
        let writer = Writer {
            connection,
            open: true,
            failed: false,
        };
        Ok(Box::new(View { connection: writer }))
    }
}

#[async_trait]
impl Tx for View<Writer> {
    async fn apply(&mut self, changes: Vec<Change>) -> Result<(), StoreFault> {
        for change in changes {
            let applied = apply::apply(&self.connection, change);
            self.connection.failed |= applied.is_err();
            applied?;
        }
        Ok(())
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreFault> {
        if self.connection.failed {
            let reason = "a transaction of which a part failed is not committed";
            return Err(StoreFault::Broken(reason.to_owned()));
        }
        self.connection.execute_batch("COMMIT").map_err(fault)?;
        self.connection.open = false;
        Ok(())
    }
}

fn lock(readers: &Readers) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    readers.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Deref for Reader {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
            .as_ref()
            .expect("a reader has its connection until it is dropped")
    }
}

impl Deref for Writer {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        // A connection that cannot end its view is not used again.
        if connection.execute_batch("ROLLBACK").is_ok() {
            let mut waiting = lock(&self.readers);
            if waiting.len() < KEPT_READERS {
                waiting.push(connection);
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // After a failed commit SQLite may have ended the transaction itself; then there is nothing to undo.
        if self.open && !self.connection.is_autocommit() {
            let _undone = self.connection.execute_batch("ROLLBACK");
        }
    }
}
