//! What a homeserver holds of the rooms on it: ciphertext.
//!
//! The database is opened read-only beside the running server, or without it. This is for showing and
//! for waiting; nothing is judged by it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use entente_identity::Domain;
use rusqlite::{Connection, OpenFlags};
use tokio::time::{Instant, sleep};

use crate::network::Folder;

/// How often a server's log is looked at.
const POLL: Duration = Duration::from_millis(5);
/// How long entries may take to come.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(60);
/// How much of an entry is shown.
const PREVIEW_BYTES: usize = 16;

/// What a server holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Entries of all rooms' logs.
    pub entries: u64,
    /// Their bodies' bytes.
    pub bytes: u64,
    /// The beginning of the newest one, in hexadecimal.
    pub preview: String,
}

/// Looks into a server's database.
///
/// # Errors
/// When it cannot be read.
pub fn of(folder: &Folder, domain: &Domain) -> Result<Holding> {
    let path = folder.server_database(domain);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(&path, flags)
        .with_context(|| format!("cannot open {}", path.display()))?;
    database.busy_timeout(ARRIVAL_LIMIT)?;
    let (entries, bytes) = database.query_row(
        "SELECT count(*), coalesce(sum(length(body)), 0) FROM room_log",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let newest: Vec<u8> = database
        .query_row(
            "SELECT body FROM room_log ORDER BY seq DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .unwrap_or_default();
    let shown = &newest[..newest.len().min(PREVIEW_BYTES)];
    Ok(Holding {
        entries,
        bytes,
        preview: hex::encode(shown),
    })
}

/// Waits until a server holds at least so many entries.
///
/// # Errors
/// When they do not come in time.
pub async fn wait_for_entries(folder: &Folder, domain: &Domain, entries: u64) -> Result<()> {
    let deadline = Instant::now() + ARRIVAL_LIMIT;
    while of(folder, domain)?.entries < entries {
        if Instant::now() >= deadline {
            bail!("{domain} does not get {entries} entries");
        }
        sleep(POLL).await;
    }
    Ok(())
}
