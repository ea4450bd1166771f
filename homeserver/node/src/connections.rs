//! The connections of each of those who have some, by who it is.
//!
//! Each has only so many at once: when one more comes, the oldest is closed. The newest stays, because a
//! device or a server whose network broke off comes again before its old connection is known to be dead.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entente_transport::{CloseCode, Connection};

/// All of them.
#[derive(Debug)]
pub struct Connections<W: Eq + Hash> {
    most: usize,
    /// What the oldest is told when it is one too many.
    too_many: &'static str,
    open: Mutex<Open<W>>,
}

#[derive(Debug)]
struct Open<W> {
    next: u64,
    of: HashMap<W, BTreeMap<u64, Connection>>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place<W: Eq + Hash> {
    connections: Arc<Connections<W>>,
    who: W,
    number: u64,
}

impl<W: Clone + Display + Eq + Hash> Connections<W> {
    /// At most so many of one; the oldest beyond is closed with these words.
    #[must_use]
    pub fn new(most: usize, too_many: &'static str) -> Self {
        Self {
            most,
            too_many,
            open: Mutex::new(Open {
                next: 0,
                of: HashMap::new(),
            }),
        }
    }

    /// Takes a connection in, and closes the oldest if there are too many.
    pub(crate) fn enter(self: &Arc<Self>, who: W, connection: &Connection) -> Place<W> {
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        let connections = open.of.entry(who.clone()).or_default();
        connections.insert(number, connection.clone());
        let too_many = connections.len() > self.most;
        let oldest = too_many.then(|| connections.pop_first()).flatten();
        drop(open);
        if let Some((_, oldest)) = oldest {
            tracing::debug!(%who, reason = self.too_many, "the oldest connection is closed");
            oldest.close(CloseCode::SUPERSEDED, self.too_many);
        }
        Place {
            connections: Arc::clone(self),
            who,
            number,
        }
    }
}

impl<W: Eq + Hash> Connections<W> {
    fn lock(&self) -> MutexGuard<'_, Open<W>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Eq + Hash> Drop for Place<W> {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        if let Some(connections) = open.of.get_mut(&self.who) {
            connections.remove(&self.number);
            if connections.is_empty() {
                open.of.remove(&self.who);
            }
        }
    }
}
