//! A homeserver's rows in Postgres: for organizations that run a database server, or several nodes.
//!
//! Transactions that write are SERIALIZABLE: whatever a command read is still so when its batch is
//! committed, also when other nodes write to the same database; else nothing is written and the fault
//! is a [`StoreFault::Conflict`]. A batch is folded into one statement for each kind of row, all of them
//! on their way before the first is answered, and one commit. A database that confirms commits before
//! they are on disk is refused.
//!
//! The file names are those of every store: `read` answers, `apply` writes, `rows` turns columns into
//! domain words, `migrate` brings a database up to date, `fault` says what went wrong. Beside them:
//! `statements` holds all SQL, `fold` makes few statements of many rows, `session` is a transaction, `pace`
//! says how long to wait after a conflict, `connect` and `tls` open connections, which `reactor` drives.

mod apply;
mod connect;
mod fault;
mod fold;
mod migrate;
mod pace;
mod reactor;
mod read;
mod rows;
mod session;
mod settings;
mod statements;
mod tls;

use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::Pool;
use entente_homeserver_core::Change;
use entente_homeserver_ops::{Read, Store, StoreFault, Tx, Writers};
use futures::lock::Mutex as Turn;

pub use settings::{Migrations, Settings, SettingsFault};

use fold::Writes;
use pace::Pace;
use reactor::Reactor;
use session::Session;
use statements::{BEGIN_READ, BEGIN_WRITE};

/// A homeserver's database on a server of its own; several stores may share it.
pub struct PostgresStore {
    writer: Pool,
    readers: Pool,
    turn: Arc<Turn<Pace>>,
    // Dropped last: it drives the connections.
    reactor: Arc<Reactor>,
}

/// Rows as somebody sees them; `may write` is told by the type.
struct View<T> {
    session: Session,
    _access: T,
}

/// Only reads.
struct Reading;

/// Reads and writes.
struct Writing;

impl PostgresStore {
    /// Connects to a database, checks that it keeps what it confirms, and brings it up to date unless
    /// that is not wanted. Waits for the answers.
    ///
    /// # Errors
    /// It cannot be reached, does not keep what it confirms, was written by a newer version of this
    /// software, or is older and not to be migrated.
    pub fn open(settings: &Settings) -> Result<Self, StoreFault> {
        let reactor = Arc::new(Reactor::start()?);
        let store = Self {
            writer: connect::pool(settings, 1, connect::WRITER)?,
            readers: connect::pool(settings, settings.readers, connect::READER)?,
            turn: Arc::default(),
            reactor,
        };
        let prepared = prepare(settings.clone(), Arc::clone(&store.reactor));
        store.reactor.wait(prepared)?;
        Ok(store)
    }

    /// How many statements were sent so far in transactions and views, their beginnings and ends
    /// included.
    #[must_use]
    pub fn statements(&self) -> u64 {
        self.reactor.statements()
    }

    /// Looks whether [`PostgresStore::open`] would go well, and changes nothing. Waits for the answers.
    ///
    /// # Errors
    /// Those of [`PostgresStore::open`], but for a migration that fails.
    pub fn check(settings: &Settings) -> Result<(), StoreFault> {
        let reactor = Arc::new(Reactor::start()?);
        reactor.wait(look(settings.clone(), Arc::clone(&reactor)))
    }
}

async fn look(settings: Settings, reactor: Arc<Reactor>) -> Result<(), StoreFault> {
    let client = connect::migrator(&settings, &reactor).await?;
    connect::require_durability(&client).await?;
    migrate::check(&client, settings.migrations)
        .await
        .map(|_| ())
}

async fn prepare(settings: Settings, reactor: Arc<Reactor>) -> Result<(), StoreFault> {
    let migrator = connect::migrator(&settings, &reactor).await?;
    connect::require_durability(&migrator).await?;
    migrate::migrate(&migrator, settings.migrations).await
}

#[async_trait]
impl Store for PostgresStore {
    fn writers(&self) -> Writers {
        Writers::Several
    }

    async fn read(&self) -> Result<Box<dyn Read>, StoreFault> {
        let session = Session::begin(&self.readers, &self.reactor, BEGIN_READ, None).await?;
        Ok(Box::new(View {
            session,
            _access: Reading,
        }))
    }

    async fn begin(&self) -> Result<Box<dyn Tx>, StoreFault> {
        let turn = self.turn.clone().lock_owned().await;
        if let Some(wait) = turn.wait() {
            self.reactor.sleep(wait).await;
        }
        let turn = Some(turn);
        let session = Session::begin(&self.writer, &self.reactor, BEGIN_WRITE, turn).await?;
        Ok(Box::new(View {
            session,
            _access: Writing,
        }))
    }
}

#[async_trait]
impl Tx for View<Writing> {
    async fn apply(&mut self, changes: Vec<Change>) -> Result<(), StoreFault> {
        let mut writes = Writes::default();
        for change in changes {
            let folded = apply::fold(&mut writes, change);
            if folded.is_err() {
                self.session.fail();
            }
            folded?;
        }
        self.session.write(&writes.into_groups()).await
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreFault> {
        self.session.commit().await
    }
}
