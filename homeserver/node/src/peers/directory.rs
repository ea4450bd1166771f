//! Which keys and addresses other servers have, as their documents say.
//!
//! Documents are kept for an hour. One that does not know a key that is shown is fetched anew, at most
//! once a minute for each server, so that a stranger cannot make this server fetch.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use entente_discovery::{FetchThrottle, SafeClient};
use entente_identity::{PublicKey, ServerDid, ServerDocument};
use entente_protocol::fault::{Fault, FaultCode};
use moka::sync::Cache;

use crate::clock::now;

/// Most documents that are kept.
const MAX_DOCUMENTS: u64 = 10_000;
/// How long a document is kept.
const KEPT: Duration = Duration::from_secs(3600);

/// The documents of other servers.
pub struct Directory {
    client: SafeClient,
    documents: Cache<ServerDid, Arc<ServerDocument>>,
    throttle: Mutex<FetchThrottle>,
}

impl Directory {
    /// No documents yet.
    #[must_use]
    pub fn new(client: SafeClient) -> Self {
        let documents = Cache::builder()
            .max_capacity(MAX_DOCUMENTS)
            .time_to_live(KEPT)
            .build();
        Self {
            client,
            documents,
            throttle: Mutex::default(),
        }
    }

    /// A server's document.
    ///
    /// # Errors
    /// It cannot be fetched, or says nothing that holds.
    pub async fn document(&self, server: &ServerDid) -> Result<Arc<ServerDocument>, Fault> {
        if let Some(document) = self.documents.get(server) {
            return Ok(document);
        }
        let fetched = self.client.server_document(server.domain()).await;
        let document = Arc::new(fetched.map_err(|error| {
            let detail = format!("{server} publishes no usable document: {error}");
            Fault::new(FaultCode::PeerUnreachable, detail)
        })?);
        self.documents.insert(server.clone(), Arc::clone(&document));
        Ok(document)
    }

    /// Whether a key is one of a server's, as far as its newest document says.
    ///
    /// # Errors
    /// The document cannot be had, or does not list the key.
    pub async fn check_key(&self, server: &ServerDid, key: &PublicKey) -> Result<(), Fault> {
        if self.document(server).await?.keys.contains(key) {
            return Ok(());
        }
        let admitted = self
            .throttle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(server.domain(), now());
        if admitted.is_ok() {
            self.documents.invalidate(server);
            if self.document(server).await?.keys.contains(key) {
                return Ok(());
            }
        }
        let detail = format!("{server} does not list the key {key} in its document");
        Err(Fault::new(FaultCode::AuthenticationFailed, detail))
    }

    /// A server showed another key than its document lists: the next dial reads the document anew.
    pub fn forget(&self, server: &ServerDid) {
        self.documents.invalidate(server);
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
