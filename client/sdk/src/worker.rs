//! What runs while a profile is connected: one session after the other, with a pause between them.
//!
//! A session is a logged-in connection with three tasks: taking news in, handing messages over, and
//! pursuing what is wanted in rooms. When one ends, the session ends, and the next resumes from what
//! the vault holds.

mod pursue;
mod submit;
mod sync;

use std::sync::Arc;
use std::time::Duration;

use entente_client_core::event::ConnectionState;
use entente_client_core::retry::Backoff;
use entente_discovery::SafeClient;
use entente_protocol::call::{ClientRequest, ClientResponse, PublishKeyPackages};
use entente_protocol::fault::FaultCode;
use entente_protocol::limits::MAX_KEY_PACKAGES_PER_CALL;
use entente_transport::{CloseCode, Connection, Endpoint};
use rand::rngs::OsRng;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::home::{self, Device, misbehaved};
use crate::vault_thread::VaultThread;

/// How often a task looks for what another process has written.
pub(crate) const OTHERS_INTERVAL: Duration = Duration::from_millis(500);
/// Longest pause between two sessions: somebody waits at this end.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A session that held this long starts the pauses anew.
const STABLE: Duration = Duration::from_secs(20);

/// What a worker works with, and what it tells.
pub(crate) struct Shared {
    pub(crate) vault: VaultThread,
    pub(crate) documents: SafeClient,
    pub(crate) endpoint: Endpoint,
    /// How the connection is.
    pub(crate) state: watch::Sender<ConnectionState>,
    /// The logged-in connection.
    pub(crate) session: watch::Sender<Option<Connection>>,
    /// Whether all that the server had at the last login is taken in.
    pub(crate) caught_up: watch::Sender<bool>,
    /// Raised to end the worker.
    pub(crate) stop: watch::Sender<bool>,
}

/// Runs sessions until told to stop.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut backoff = Backoff::new();
    let mut stop = shared.stop.subscribe();
    while !*stop.borrow() {
        shared.state.send_replace(ConnectionState::Connecting);
        let begun = tokio::time::Instant::now();
        let ended = tokio::select! {
            ended = session(&shared) => ended,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        shared.session.send_replace(None);
        shared.caught_up.send_replace(false);
        if begun.elapsed() > STABLE {
            backoff.reset();
        }
        let reason = ended.map_or_else(|error| error, |()| Error::Stopped);
        let pause = Duration::from_millis(backoff.next_delay_ms(&mut OsRng)).min(LONGEST_PAUSE);
        tracing::debug!(%reason, ?pause, "the session ended");
        shared.state.send_replace(describe(&reason, pause));
        tokio::select! {
            () = sleep(pause) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    if let Some(connection) = shared.session.send_replace(None) {
        connection.close(CloseCode::DONE, "the client stops");
    }
    shared.state.send_replace(ConnectionState::Offline);
}

fn describe(error: &Error, retry_in: Duration) -> ConnectionState {
    let reason = error.to_string();
    match error {
        Error::Refused(fault) if fault.code == FaultCode::AuthenticationFailed => {
            ConnectionState::Rejected { reason }
        }
        Error::Integrity(_) => ConnectionState::Rejected { reason },
        _ => ConnectionState::Waiting { reason, retry_in },
    }
}

async fn session(shared: &Arc<Shared>) -> Result<()> {
    let device = shared
        .vault
        .look(|vault| {
            let own = vault.own()?;
            Ok(Device {
                home: own.home(),
                account: own.account,
                device: own.device,
                key: own.signing.clone(),
            })
        })
        .await?;
    let pin = home::pin(&shared.vault, &shared.documents, &device.home).await?;
    let connected = home::connect(&shared.endpoint, &shared.documents, &pin).await;
    let connection = match connected {
        Ok(connection) => connection,
        Err(error) => {
            if matches!(error, Error::Unreachable(_)) {
                // Perhaps it has moved; what its document says counts from the next session on.
                let _ = home::look_again(&shared.vault, &shared.documents, &pin).await;
            }
            return Err(error);
        }
    };
    let ended = logged_in(shared, &connection, &device).await;
    if let Err(error) = &ended
        && error.is_of_one_node()
    {
        home::broke(&shared.documents, &device.home, &connection);
    }
    connection.close(CloseCode::DONE, "the session ended");
    ended
}

/// Logs in, and works with that connection until it ends.
async fn logged_in(shared: &Arc<Shared>, connection: &Connection, device: &Device) -> Result<()> {
    let logged_in = home::login(connection, device).await?;
    if let Err(error) = publish(shared, connection, logged_in.key_packages).await {
        // Others can still reach this device by invitation; the next session tries again.
        tracing::warn!(%error, "the KeyPackages could not be published");
    }
    shared.state.send_replace(ConnectionState::Online {
        address: connection.remote_address(),
        key_exchange: connection.key_exchange_group().to_string(),
        round_trip: connection.round_trip(),
    });
    shared.session.send_replace(Some(connection.clone()));
    tokio::select! {
        ended = sync::run(shared, connection) => ended,
        ended = submit::run(shared, connection) => ended,
        ended = pursue::run(shared, connection) => ended,
        reason = connection.closed() => Err(Error::Unreachable(format!("the connection ended: {reason}"))),
    }
}

/// Fills up the KeyPackages at the server.
async fn publish(shared: &Shared, connection: &Connection, unclaimed: u32) -> Result<()> {
    let unpublished = shared
        .vault
        .run(move |vault, moment| vault.key_packages_to_publish(unclaimed, moment))
        .await?;
    let pages = unpublished.packages.chunks(MAX_KEY_PACKAGES_PER_CALL);
    let names = unpublished.references.chunks(MAX_KEY_PACKAGES_PER_CALL);
    for (packages, references) in pages.zip(names) {
        let request = ClientRequest::PublishKeyPackages(PublishKeyPackages {
            packages: packages.to_vec(),
        });
        match home::call(connection, &request).await? {
            ClientResponse::KeyPackages(_) => {}
            _ => return Err(misbehaved()),
        }
        let references = references.to_vec();
        shared
            .vault
            .run(move |vault, moment| vault.key_packages_published(&references, moment))
            .await?;
    }
    Ok(())
}

/// What broke a flow.
pub(crate) fn broken(fault: &entente_transport::StreamFault) -> Error {
    Error::Unreachable(format!("the connection to the homeserver broke: {fault}"))
}
