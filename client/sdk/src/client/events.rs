//! What happened, one after the other.

use std::collections::VecDeque;

use entente_client_core::event::{ConnectionState, Event, EventRecord};
use tokio::sync::watch;
use tokio::time::sleep;

use super::Client;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::worker::OTHERS_INTERVAL;

/// Most events that are read at once.
const PAGE: usize = 64;

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With what happens from now on.
    Now,
    /// After the last one that was marked as seen.
    Unseen,
    /// After this position.
    Position(u64),
}

/// What happens, whichever process of the profile made it happen.
pub struct Events {
    client: Client,
    position: u64,
    ready: VecDeque<EventRecord>,
    ticks: watch::Receiver<u64>,
    connection: watch::Receiver<ConnectionState>,
    stop: watch::Receiver<bool>,
}

impl Client {
    /// Begins to tell what happens.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub async fn events(&self, from: From) -> Result<Events> {
        let position = match from {
            From::Now => self.vault().look(|vault| vault.last_event()).await?,
            From::Unseen => self.vault().look(|vault| vault.seen_event()).await?,
            From::Position(position) => position,
        };
        Ok(Events {
            client: self.clone(),
            position,
            ready: VecDeque::new(),
            ticks: self.vault().ticks(),
            connection: self.shared().state.subscribe(),
            stop: self.shared().stop.subscribe(),
        })
    }

    /// Everything up to a position has been shown to the person.
    ///
    /// # Errors
    /// The vault cannot be written.
    pub async fn mark_seen(&self, position: u64) -> Result<()> {
        self.vault()
            .look(move |vault| vault.mark_seen(position))
            .await
    }
}

impl Events {
    /// The next thing that happened; `None` after [`Client::shutdown`], or when the vault cannot be
    /// read any more.
    pub async fn next(&mut self) -> Option<EventRecord> {
        loop {
            if let Some(record) = self.ready.pop_front() {
                return Some(record);
            }
            if *self.stop.borrow() {
                return None;
            }
            self.ticks.mark_unchanged();
            match self.read().await {
                Ok(()) if !self.ready.is_empty() => continue,
                Ok(()) => {}
                Err(_) => return None,
            }
            tokio::select! {
                _ = self.ticks.changed() => {}
                () = sleep(OTHERS_INTERVAL) => {}
                _ = self.stop.changed() => {}
                changed = self.connection.changed() => {
                    if changed.is_ok() {
                        let state = self.connection.borrow_and_update().clone();
                        return Some(EventRecord {
                            position: 0,
                            time: now(),
                            event: Event::Connection(state),
                        });
                    }
                }
            }
        }
    }

    async fn read(&mut self) -> std::result::Result<(), Error> {
        let after = self.position;
        let page = self
            .client
            .vault()
            .look(move |vault| vault.events_after(after, PAGE))
            .await?;
        if let Some(last) = page.last() {
            self.position = last.position;
        }
        self.ready.extend(page);
        Ok(())
    }
}
