//! A store in memory: the readable specification of every other one.
//!
//! Purpose: says in maps and loops what a read answers and what a change does; the conformance suite
//! and the differential harness hold the databases to it, and a simulator runs servers on it.
//!
//! Invariants
//! - A view is a value: persistent maps, so that taking one costs nothing and nothing changes it.
//! - One transaction at a time; what it wrote becomes the committed rows in one assignment.
//! - No clock, no randomness, no runtime: the same calls give the same answers.
//!
//! Absent: durability. [`MemoryStore::crash`] is what a crash of the process does to a database.

mod read;
mod rows;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use entente_homeserver_core::Change;
use futures::lock::{Mutex as Turn, OwnedMutexGuard};

use crate::store::{Read, Store, StoreFault, Tx, Writers};
use rows::Rows;

/// A database that lives as long as the last handle on it; clones are handles on the same rows.
#[derive(Clone, Default)]
pub struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
}

/// What is committed, and whose turn it is to write.
#[derive(Default)]
struct Disk {
    rows: Rows,
    turn: Arc<Turn<()>>,
    crashes: u64,
}

/// Rows as somebody sees them: `()` only reads, a [`Transaction`] also writes.
struct View<T> {
    rows: Rows,
    transaction: T,
}

/// The turn to write, until it is dropped.
struct Transaction {
    disk: Arc<Mutex<Disk>>,
    crashes: u64,
    failed: bool,
    _turn: OwnedMutexGuard<()>,
}

impl MemoryStore {
    /// An empty database.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Drops what is not committed, as the end of a process does: transactions that are open now can
    /// never be committed, and new ones do not wait for them.
    pub fn crash(&self) {
        let mut disk = lock(&self.disk);
        disk.crashes += 1;
        disk.turn = Arc::default();
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn writers(&self) -> Writers {
        Writers::One
    }

    async fn read(&self) -> Result<Box<dyn Read>, StoreFault> {
        let rows = lock(&self.disk).rows.clone();
        Ok(Box::new(View {
            rows,
            transaction: (),
        }))
    }

    async fn begin(&self) -> Result<Box<dyn Tx>, StoreFault> {
        let (turn, crashes) = {
            let disk = lock(&self.disk);
            (disk.turn.clone(), disk.crashes)
        };
        let turn = turn.lock_owned().await;
        let rows = lock(&self.disk).rows.clone();
        Ok(Box::new(View {
            rows,
            transaction: Transaction {
                disk: self.disk.clone(),
                crashes,
                failed: false,
                _turn: turn,
            },
        }))
    }
}

#[async_trait]
impl Tx for View<Transaction> {
    async fn apply(&mut self, changes: Vec<Change>) -> Result<(), StoreFault> {
        for change in changes {
            let applied = self.rows.apply(change);
            self.transaction.failed |= applied.is_err();
            applied?;
        }
        Ok(())
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreFault> {
        let mut disk = lock(&self.transaction.disk);
        if self.transaction.failed {
            let reason = "a transaction cannot be committed after a change that failed";
            return Err(StoreFault::Broken(reason.to_owned()));
        }
        if self.transaction.crashes != disk.crashes {
            let reason = "the process crashed since the transaction began";
            return Err(StoreFault::Unavailable(reason.to_owned()));
        }
        disk.rows = self.rows.clone();
        Ok(())
    }
}

/// Nobody panics while holding the lock in the middle of a change: rows are exchanged whole.
fn lock(disk: &Mutex<Disk>) -> MutexGuard<'_, Disk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
