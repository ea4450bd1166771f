//! Which keys and addresses other servers have: the web is asked where they are, the pinned chain of
//! key documents decides which keys are theirs.
//!
//! What a server publishes is kept for an hour. When a key is shown that is not known, it is asked for
//! anew, at most once a minute for each server, so that a stranger cannot make this server fetch. Pins
//! stand in the database and outlive this process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use entente_discovery::{FetchThrottle, SafeClient};
use entente_homeserver_core::rows::PinRow;
use entente_homeserver_ops::{Command, Store};
use entente_identity::{
    Judged, KeyDocument, KeyPin, KeyPinFault, Named, PublicKey, ServerDid, ServerDocument, Signed,
    UnixMillis,
};
use entente_protocol::fault::{Fault, FaultCode};
use entente_protocol::hello::KeyDocumentId;
use moka::sync::Cache;

use crate::clock::now;
use crate::server::explain;
use crate::writer::Writer;

/// Most servers whose documents are kept.
const MAX_DOCUMENTS: u64 = 10_000;
/// How long what a server publishes is kept.
const KEPT: Duration = Duration::from_secs(3600);
/// How long a failure is remembered: no longer, as a server that was just started answers then.
const FAILURE_KEPT: Duration = Duration::from_secs(1);

/// What is known of another server.
#[derive(Clone, Debug)]
pub struct Known {
    /// Where it is, as it publishes.
    pub document: ServerDocument,
    /// Its chain of keys, as pinned.
    pub pin: KeyPin,
}

impl Known {
    /// The keys that may sign for it now.
    #[must_use]
    pub fn live_keys(&self, now: UnixMillis) -> Vec<PublicKey> {
        let keys = self.pin.keys.iter().map(|key| key.public);
        keys.filter(|key| self.pin.live_key(key, now)).collect()
    }

    /// Every key that ever signed for it, for what was signed long ago.
    #[must_use]
    pub fn all_keys(&self) -> Vec<PublicKey> {
        let keys = self.pin.keys.iter().chain(&self.pin.history);
        keys.map(|key| key.public).collect()
    }
}

/// What is known of other servers.
pub struct Directory {
    client: SafeClient,
    store: Arc<dyn Store>,
    writer: Writer,
    known: Cache<ServerDid, Arc<Known>>,
    failures: Cache<ServerDid, Fault>,
    throttle: Mutex<FetchThrottle>,
}

impl Directory {
    /// Nothing fetched yet; pins are in the database.
    #[must_use]
    pub fn new(client: SafeClient, store: Arc<dyn Store>, writer: Writer) -> Self {
        let cache = |kept: Duration| {
            Cache::builder()
                .max_capacity(MAX_DOCUMENTS)
                .time_to_live(kept)
        };
        Self {
            client,
            store,
            writer,
            known: cache(KEPT).build(),
            failures: Cache::builder()
                .max_capacity(MAX_DOCUMENTS)
                .time_to_live(FAILURE_KEPT)
                .build(),
            throttle: Mutex::default(),
        }
    }

    /// What is known of a server, fetched if need be.
    ///
    /// # Errors
    /// It publishes nothing usable, or something that contradicts its pinned chain of keys.
    pub async fn known(&self, server: &ServerDid) -> Result<Arc<Known>, Fault> {
        if let Some(known) = self.known.get(server) {
            return Ok(known);
        }
        if let Some(fault) = self.failures.get(server) {
            return Err(fault);
        }
        match self.fetch(server).await {
            Ok(known) => {
                let known = Arc::new(known);
                self.known.insert(server.clone(), Arc::clone(&known));
                Ok(known)
            }
            Err(fault) => {
                self.failures.insert(server.clone(), fault.clone());
                Err(fault)
            }
        }
    }

    async fn fetch(&self, server: &ServerDid) -> Result<Known, Fault> {
        let unusable = |error: &dyn std::error::Error| {
            let detail = format!("{server} publishes no usable document: {error}");
            Fault::new(FaultCode::PeerUnreachable, detail)
        };
        let document = self.client.server_document(server.domain()).await;
        let document = document.map_err(|error| unusable(&error))?;
        let keys = self.client.key_document(server.domain()).await;
        let keys = keys.map_err(|error| unusable(&error))?;
        let mut read = self.store.read().await.map_err(|fault| explain(&fault))?;
        let pinned = read.pin(server).await.map_err(|fault| explain(&fault))?;
        drop(read);
        let (pin, news) = judge(pinned, &document, &keys, now()).map_err(|fault| {
            tracing::error!(%server, %fault, "another server's keys are not the known ones");
            Fault::new(FaultCode::PeerMisbehaved, format!("{server}: {fault}"))
        })?;
        if news {
            let pin = Box::new(pin.clone());
            self.writer.execute(Command::Pin(pin)).await?;
        }
        Ok(Known { document, pin })
    }

    /// Whether a key may sign for a server now, as far as its newest key document says.
    ///
    /// # Errors
    /// What the server publishes cannot be had or judged, or the key is not in use.
    pub async fn check_key(&self, server: &ServerDid, key: &PublicKey) -> Result<(), Fault> {
        if self.known(server).await?.pin.live_key(key, now()) {
            return Ok(());
        }
        if self.doubt(server) && self.known(server).await?.pin.live_key(key, now()) {
            return Ok(());
        }
        let domain = server.domain();
        let detail = format!(
            "the key {key} is not in use in the known chain of key documents of {server}; if its \
             administrator confirms that the server was set up anew, run `entente-homeserver admin \
             peer trust reset {domain}`"
        );
        Err(Fault::new(FaultCode::AuthenticationFailed, detail))
    }

    /// Whether the key document that a server names in its greeting is of the pinned chain.
    ///
    /// # Errors
    /// It contradicts the chain.
    pub async fn check_named(&self, server: &ServerDid, named: KeyDocumentId) -> Result<(), Fault> {
        let judge = |known: &Known| {
            let judged = known.pin.judge_id(named.seq, &named.hash);
            judged.map_err(|fault| {
                tracing::error!(%server, %fault, "a greeting names other keys than the known ones");
                let detail = format!("{server}: {fault}");
                Fault::new(FaultCode::AuthenticationFailed, detail)
            })
        };
        match judge(&*self.known(server).await?)? {
            Named::Pinned => Ok(()),
            Named::Newer if self.doubt(server) => judge(&*self.known(server).await?).map(|_| ()),
            Named::Newer => Ok(()),
        }
    }

    /// What a server publishes did not work: it may have moved, or have other keys. It is asked for
    /// anew next time; not if that was done within the last minute.
    pub fn doubt(&self, server: &ServerDid) -> bool {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = throttle.admit(server.domain(), now()).is_ok();
        if admitted {
            self.known.invalidate(server);
        }
        admitted
    }

    /// A server answered at this address: it is tried first next time.
    pub fn answered(&self, server: &ServerDid, address: SocketAddr) {
        self.client.answered(server.domain(), address);
    }

    /// A server does not answer at this address any more: it is tried last next time.
    pub fn fell_silent(&self, server: &ServerDid, address: SocketAddr) {
        self.client.fell_silent(server.domain(), address);
    }

    /// Where a server takes connections of other servers, in the order to try.
    ///
    /// # Errors
    /// Its host leads nowhere, or somewhere that is not public.
    pub async fn addresses(&self, document: &ServerDocument) -> Result<Vec<SocketAddr>, Fault> {
        let domain = document.did.domain();
        let found = self.client.addresses_of(domain, &document.federation).await;
        found.map_err(|error| {
            let detail = format!("{domain} cannot be located: {error}");
            Fault::new(FaultCode::PeerUnreachable, detail)
        })
    }
}

/// Judges what a server publishes; says whether the pin is new.
fn judge(
    pinned: Option<PinRow>,
    document: &ServerDocument,
    keys: &Signed<KeyDocument>,
    now: UnixMillis,
) -> Result<(KeyPin, bool), KeyPinFault> {
    let first = &document.first_key_document_hash;
    let (pin, news) = match pinned {
        None => (
            KeyPin::first_contact(&document.did, first, keys, now)?,
            true,
        ),
        Some(row) => match row.pin.judge(keys, now) {
            Ok(Judged::Same) => (row.pin, false),
            Ok(Judged::Renewed(pin) | Judged::Rotated(pin)) => (pin, true),
            // A stale cache on the way shows an older issue of the same keys.
            Err(KeyPinFault::OlderIssue { .. }) if row.pin.is_current(now) => (row.pin, false),
            Err(fault) => return Err(fault),
        },
    };
    pin.judge_published(document)?;
    Ok((pin, news))
}
