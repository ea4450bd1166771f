//! Connections: how each is set up, and what the database has to promise.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts,
};
use entente_homeserver_ops::StoreFault;
use tokio_postgres::Client;

use crate::fault::fault;
use crate::reactor::Reactor;
use crate::settings::{CONNECT_TIMEOUT, Settings};
use crate::statements::{DURABILITY, KEEP_DURABILITY, SET_UP};
use crate::tls::Tls;

/// How long a caller waits for a connection that others hold.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a session, by name; an engine that does not know one leaves it out.
pub(crate) type SessionSettings = &'static [(&'static str, &'static str)];

/// For views.
pub(crate) const READER: SessionSettings = &[
    ("statement_timeout", "30s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("jit", "off"),
];

/// For the writer. A row that another node holds is not worth a long wait: the wait usually ends with
/// the news that everything has to be done again. A scan of a whole table, or of a whole index, which is
/// what the other ways to join want, would count as having read all of it, so that every other writer
/// would be in conflict with it. Plans do not depend on the parameters. And a node that vanished does not
/// hold its rows for long.
pub(crate) const WRITER: SessionSettings = &[
    ("statement_timeout", "30s"),
    ("lock_timeout", "1s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_material", "off"),
    ("plan_cache_mode", "force_generic_plan"),
    ("jit", "off"),
];

/// For who migrates: it may take long, and others wait for it.
const MIGRATOR: SessionSettings = &[
    ("statement_timeout", "0"),
    ("lock_timeout", "10min"),
    ("idle_in_transaction_session_timeout", "60s"),
];

/// A pool of connections, none of which is opened yet.
///
/// # Errors
/// TLS cannot be set up.
pub(crate) fn pool(
    settings: &Settings,
    connections: usize,
    session: SessionSettings,
) -> Result<Pool, StoreFault> {
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let tls = Tls::trusting(&settings.roots)?;
    let manager = Manager::from_config(settings.config.clone(), tls, recycling);
    let built = Pool::builder(manager)
        .max_size(connections)
        .runtime(Runtime::Tokio1)
        .timeouts(Timeouts {
            wait: Some(TURN_TIMEOUT),
            create: Some(2 * CONNECT_TIMEOUT),
            recycle: Some(CONNECT_TIMEOUT),
        })
        .post_create(Hook::async_fn(move |client, _| {
            Box::pin(async move {
                set_up(client, session).await.map_err(HookError::Backend)?;
                // It may have been configured anew since the last one was opened.
                let durable = require_durability(client).await;
                durable.map_err(|fault| HookError::message(fault.to_string()))
            })
        }))
        .build();
    built.map_err(|error| StoreFault::Unavailable(error.to_string()))
}

/// A connection of its own, for a migration.
///
/// # Errors
/// The database cannot be reached, or refuses.
pub(crate) async fn migrator(
    settings: &Settings,
    reactor: &Arc<Reactor>,
) -> Result<Client, StoreFault> {
    let tls = Tls::trusting(&settings.roots)?;
    let connected = reactor.within(settings.config.connect(tls)).await;
    let (client, connection) = connected.map_err(|error| fault(&error))?;
    reactor.spawn(async move {
        // Whoever uses the connection is told why it ended.
        let _ended = connection.await;
    });
    let set = set_up(&client, MIGRATOR).await;
    set.map_err(|error| fault(&error))?;
    Ok(client)
}

async fn set_up(client: &Client, session: SessionSettings) -> Result<(), tokio_postgres::Error> {
    let (names, values): (Vec<&str>, Vec<&str>) = session.iter().copied().unzip();
    client.query(SET_UP, &[&names, &values]).await.map(|_| ())
}

/// Checks that what is committed is on disk, and lets the session keep to it whatever the database is
/// configured to do later.
///
/// # Errors
/// The database is set to forget what it confirmed.
pub(crate) async fn require_durability(client: &Client) -> Result<(), StoreFault> {
    let kept = client.query(KEEP_DURABILITY, &[]).await;
    kept.map_err(|error| fault(&error))?;
    let row = client.query_one(DURABILITY, &[]).await;
    let row = row.map_err(|error| fault(&error))?;
    for (index, setting) in [(0, "fsync"), (1, "synchronous_commit")] {
        let value: Option<&str> = row.try_get(index).map_err(|error| fault(&error))?;
        if value == Some("off") {
            return Err(StoreFault::Unavailable(format!(
                "it runs with {setting} = off: what it confirms can be lost in a crash, so that this \
                 server would acknowledge what is not on disk; set {setting} = on in \
                 postgresql.conf (or for this database or user) and start again"
            )));
        }
    }
    Ok(())
}
