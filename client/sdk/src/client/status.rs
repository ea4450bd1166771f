//! How everything is.

use std::time::Duration;

use entente_client_core::event::{ConnectionState, Event, EventRecord};
use entente_client_core::message::Message;
use entente_client_core::room::RoomSummary;
use entente_protocol::call::{ClientRequest, ClientResponse, ServerStatus};

use super::Client;
use crate::error::Result;
use crate::home::call;

/// How long the homeserver is waited for.
const SERVER_LIMIT: Duration = Duration::from_secs(5);
/// Most recent events that are looked through for problems.
const RECENT_EVENTS: u64 = 200;

/// How a profile is.
#[derive(Clone, Debug)]
pub struct Status {
    /// The connection.
    pub connection: ConnectionState,
    /// How the homeserver and its peers are, if it answers.
    pub server: Option<ServerStatus>,
    /// Own messages that are not ordered yet.
    pub outbox: Vec<Message>,
    /// Rooms in which something is not settled.
    pub pending_rooms: Vec<RoomSummary>,
    /// Recent problems.
    pub problems: Vec<EventRecord>,
}

impl Client {
    /// How everything is; without a connection, as far as the vault knows.
    ///
    /// # Errors
    /// The vault cannot be read.
    pub async fn status(&self) -> Result<Status> {
        let server = if *self.shared().stop.borrow() || !self.is_connecting() {
            None
        } else {
            self.server_status().await
        };
        let (outbox, pending_rooms, problems) = self
            .vault()
            .look(|vault| {
                let from = vault.last_event()?.saturating_sub(RECENT_EVENTS);
                let limit = usize::try_from(RECENT_EVENTS).unwrap_or(usize::MAX);
                let mut problems = vault.events_after(from, limit)?;
                problems.retain(|record| matches!(record.event, Event::Problem(_)));
                Ok((vault.outbox()?, vault.unsettled_rooms()?, problems))
            })
            .await?;
        Ok(Status {
            connection: self.connection(),
            server,
            outbox,
            pending_rooms,
            problems,
        })
    }

    fn is_connecting(&self) -> bool {
        self.inner
            .connecting
            .load(std::sync::atomic::Ordering::Acquire)
    }

    async fn server_status(&self) -> Option<ServerStatus> {
        let connection = self.live_connection(SERVER_LIMIT).await.ok()?;
        match call(&connection, &ClientRequest::Status).await {
            Ok(ClientResponse::Status(status)) => Some(status),
            _ => None,
        }
    }
}
