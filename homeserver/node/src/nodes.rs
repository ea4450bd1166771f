//! This node among the other nodes of its server.
//!
//! Nodes meet in the database only. Each beats; whoever is silent for too long is buried by the others
//! (`entente_homeserver_core::links` has the rules). A node that learns that it was buried comes back as
//! another one, under a new id, and has no links until it takes them. A server whose database is a file
//! of its own is one node that nobody can bury.
//!
//! Time here is that of this process alone, counted from its start; no two clocks are compared.

mod follow;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use entente_homeserver_core::links::{BEAT_EVERY, Living, SILENCE, may_drive};
use entente_homeserver_core::rows::{NodeId, NodeRow};
use entente_homeserver_ops::{Answer, Command, Others, Writers};
use entente_protocol::fault::{Fault, FaultCode};
use rand::RngCore;
use rand::rngs::OsRng;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::writer::Writer;

pub(crate) use follow::links;
pub use follow::{Interests, follow};

/// How long a beat for which there was no room waits until it is handed in again.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// How long a node that leaves tries to tell so: after that time the others need not be told.
const LEAVE_LIMIT: Duration = SILENCE;

/// A node, and whether it lives as far as it knows.
pub struct Nodes {
    name: String,
    writers: Writers,
    began: Instant,
    state: watch::Sender<State>,
    living: Mutex<Living>,
}

/// How far a node has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// It has not entered.
    #[default]
    Outside,
    /// It has, and does not know that it was buried.
    Inside(Life),
    /// It has left, and does not come back.
    Left,
}

/// What a node is between entering and being buried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Life {
    node: NodeId,
    /// When its last beat that is on disk was handed in.
    beaten: Duration,
}

impl Nodes {
    /// A node that has not entered yet.
    #[must_use]
    pub fn new(name: String, writers: Writers) -> Self {
        Self {
            name,
            writers,
            began: Instant::now(),
            state: watch::Sender::default(),
            living: Mutex::default(),
        }
    }

    /// Whether others may write to the database.
    #[must_use]
    pub fn writers(&self) -> Writers {
        self.writers
    }

    /// The time since this process began to count.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The node's id, once it has entered.
    #[must_use]
    pub fn id(&self) -> Option<NodeId> {
        self.life().map(|life| life.node)
    }

    /// The node's id, and when its last beat that is on disk was handed in, once it has entered.
    #[must_use]
    pub fn last_beat(&self) -> Option<(NodeId, Duration)> {
        self.life().map(|life| (life.node, life.beaten))
    }

    /// Looks at the rows of all nodes.
    pub fn note(&self, rows: &[NodeRow]) {
        self.living().look(rows);
    }

    /// Whether a node, whose row is now this one, has been seen to beat.
    #[must_use]
    pub fn vouches_for(&self, row: &NodeRow) -> bool {
        self.living().vouches_for(row)
    }

    fn living(&self) -> MutexGuard<'_, Living> {
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn life(&self) -> Option<Life> {
        match *self.state.borrow() {
            State::Inside(life) => Some(life),
            State::Outside | State::Left => None,
        }
    }

    /// The node's id, if it may drive links now.
    #[must_use]
    pub fn driver(&self) -> Option<NodeId> {
        let life = self.life()?;
        let drives = match self.writers {
            Writers::One => true,
            Writers::Several => may_drive(life.beaten, self.elapsed()),
        };
        drives.then_some(life.node)
    }

    /// Waits until the node may drive links.
    pub async fn may_drive(&self) {
        let mut state = self.state.subscribe();
        while self.driver().is_none() {
            // The sender lives as long as `self`.
            let _ = state.changed().await;
        }
    }

    /// Enters, as a new node, unless it has left.
    ///
    /// # Errors
    /// The database does not take it.
    pub async fn enter(&self, writer: &Writer) -> Result<(), Fault> {
        let mut id = [0; 16];
        OsRng.fill_bytes(&mut id);
        let node = NodeId(id);
        let beaten = self.elapsed();
        let enter = Command::Enter {
            node,
            name: self.name.clone(),
            others: match self.writers {
                Writers::One => Others::Gone,
                Writers::Several => Others::MayLive,
            },
        };
        writer.execute(enter).await?;
        tracing::info!(%node, name = %self.name, "this node has entered");
        let entered = self.state.send_if_modified(|state| match state {
            State::Outside | State::Inside(_) => {
                *state = State::Inside(Life { node, beaten });
                true
            }
            State::Left => false,
        });
        if !entered {
            // It left while it came back.
            let bury = Command::Bury { node, beat: None };
            writer.execute(bury).await?;
        }
        Ok(())
    }

    /// Beats for as long as the process lives, if there may be others.
    pub async fn beat(&self, writer: &Writer) {
        if self.writers == Writers::One {
            return;
        }
        let mut beats = interval(BEAT_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(node) = self.id() {
            beats.tick().await;
            if let Err(fault) = self.beat_once(node, writer).await {
                tracing::warn!(code = %fault.code, "this node cannot beat; trying again");
            }
        }
    }

    /// Beats as this node, and comes back as another one if it was buried.
    async fn beat_once(&self, node: NodeId, writer: &Writer) -> Result<(), Fault> {
        let (handed_in, answer) = loop {
            let handed_in = self.elapsed();
            match writer.execute(Command::Beat(node)).await {
                // Each second counts, and a place in the queue is soon free.
                Err(fault) if fault.code == FaultCode::Busy => sleep(BUSY_PAUSE).await,
                answer => break (handed_in, answer?),
            }
        };
        if answer != Answer::Buried {
            self.note_beat(node, handed_in);
            return Ok(());
        }
        if self.id() == Some(node) {
            tracing::warn!(%node, "this node was silent for so long that others took its links");
            self.enter(writer).await?;
        }
        Ok(())
    }

    /// A beat is on disk. That of a node that left meanwhile, or came back as another, says nothing.
    fn note_beat(&self, of: NodeId, beaten: Duration) {
        self.state.send_if_modified(|state| match state {
            State::Inside(life) if life.node == of => {
                life.beaten = beaten;
                true
            }
            State::Outside | State::Inside(_) | State::Left => false,
        });
    }

    /// Leaves, so that others need not wait to take the links; tries to for as long as they would wait.
    pub async fn leave(&self, writer: &Writer) {
        let State::Inside(Life { node, .. }) = self.state.send_replace(State::Left) else {
            return;
        };
        let leave = writer.execute(Command::Bury { node, beat: None });
        match timeout(LEAVE_LIMIT, leave).await {
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => {
                tracing::warn!(code = %fault.code, "this node leaves without telling the others");
            }
            Err(_) => tracing::warn!("this node leaves without telling the others in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId([1; 16]);

    fn inside(node: NodeId, beaten: Duration) -> Nodes {
        let nodes = Nodes::new("a1".to_owned(), Writers::Several);
        let life = Life { node, beaten };
        nodes.state.send_replace(State::Inside(life));
        nodes
    }

    #[test]
    fn a_beat_that_was_under_way_brings_nobody_back() {
        let beaten = Duration::from_secs(2);
        let nodes = inside(ME, Duration::from_secs(1));
        nodes.note_beat(ME, beaten);
        assert_eq!(nodes.last_beat(), Some((ME, beaten)));
        nodes.state.send_replace(State::Left);
        nodes.note_beat(ME, Duration::from_secs(3));
        assert_eq!((nodes.id(), nodes.driver()), (None, None));
        let another = NodeId([2; 16]);
        let nodes = inside(another, beaten);
        nodes.note_beat(ME, Duration::from_secs(3));
        assert_eq!(nodes.last_beat(), Some((another, beaten)));
    }
}
