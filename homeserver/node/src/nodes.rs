//! This node among the other nodes of its server.
//!
//! Nodes meet in the database only. Each beats; whoever is silent for too long is buried by the others
//! (`entente_homeserver_core::links` has the rules). A node that learns that it was buried comes back as
//! another one, under a new id, and has no links until it takes them. A server whose database is a file
//! of its own is one node that nobody can bury.
//!
//! Time here is that of this process alone, counted from its start; no two clocks are compared.

mod follow;

use std::time::{Duration, Instant};

use entente_homeserver_core::links::{BEAT_EVERY, may_drive};
use entente_homeserver_core::rows::NodeId;
use entente_homeserver_ops::{Answer, Command, Others, Writers};
use entente_protocol::fault::Fault;
use rand::RngCore;
use rand::rngs::OsRng;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::writer::Writer;

pub(crate) use follow::links;
pub use follow::{Interests, follow};

/// A node, and whether it lives as far as it knows.
pub struct Nodes {
    name: String,
    writers: Writers,
    began: Instant,
    life: watch::Sender<Option<Life>>,
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
            life: watch::Sender::default(),
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
        self.life.borrow().map(|life| life.node)
    }

    /// The node's id, if it may drive links now.
    #[must_use]
    pub fn driver(&self) -> Option<NodeId> {
        let life = (*self.life.borrow())?;
        let drives = match self.writers {
            Writers::One => true,
            Writers::Several => may_drive(life.beaten, self.elapsed()),
        };
        drives.then_some(life.node)
    }

    /// Waits until the node may drive links.
    pub async fn may_drive(&self) {
        let mut life = self.life.subscribe();
        while self.driver().is_none() {
            // The sender lives as long as `self`.
            let _ = life.changed().await;
        }
    }

    /// Enters, as a new node.
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
        self.life.send_replace(Some(Life { node, beaten }));
        Ok(())
    }

    /// Beats for as long as the process lives, if there may be others.
    pub async fn beat(&self, writer: &Writer) {
        if self.writers == Writers::One {
            return;
        }
        let mut beats = interval(BEAT_EVERY);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            let Some(node) = self.id() else {
                return;
            };
            let handed_in = self.elapsed();
            match writer.execute(Command::Beat(node)).await {
                Ok(Answer::Buried) => {
                    tracing::warn!(%node, "this node was silent for so long that others took its links");
                    if let Err(fault) = self.enter(writer).await {
                        tracing::warn!(code = %fault.code, "this node cannot enter; trying again");
                    }
                }
                Ok(_) => {
                    _ = self.life.send_replace(Some(Life {
                        node,
                        beaten: handed_in,
                    }))
                }
                Err(fault) => tracing::warn!(code = %fault.code, "this node cannot beat"),
            }
        }
    }

    /// Leaves, so that others need not wait to take the links.
    pub async fn leave(&self, writer: &Writer) {
        let Some(Life { node, .. }) = self.life.send_replace(None) else {
            return;
        };
        let leave = Command::Bury { node, beat: None };
        if let Err(fault) = writer.execute(leave).await {
            tracing::warn!(code = %fault.code, "this node leaves without telling the others");
        }
    }
}
