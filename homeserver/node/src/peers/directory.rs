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
/// How long a failure is remembered: no longer, as a server that was just started answers then.
const FAILURE_KEPT: Duration = Duration::from_secs(1);

/// The documents of other servers.
pub struct Directory {
    client: SafeClient,
    documents: Cache<ServerDid, Arc<ServerDocument>>,
    failures: Cache<ServerDid, Fault>,
    /// The hash of each server's first key document, which never changes.
    chains: Cache<ServerDid, [u8; 32]>,
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
            failures: Cache::builder()
                .max_capacity(MAX_DOCUMENTS)
                .time_to_live(FAILURE_KEPT)
                .build(),
            chains: Cache::new(MAX_DOCUMENTS),
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
        if let Some(fault) = self.failures.get(server) {
            return Err(fault);
        }
        let fetched = self.client.server_document(server.domain()).await;
        let judged = fetched.map_err(|error| {
            let detail = format!("{server} publishes no usable document: {error}");
            Fault::new(FaultCode::PeerUnreachable, detail)
        });
        match judged.and_then(|document| self.check_chain(document)) {
            Ok(document) => {
                let document = Arc::new(document);
                self.documents.insert(server.clone(), Arc::clone(&document));
                Ok(document)
            }
            Err(fault) => {
                self.failures.insert(server.clone(), fault.clone());
                Err(fault)
            }
        }
    }

    /// A document that names another chain of keys than before is not this server's word.
    fn check_chain(&self, document: ServerDocument) -> Result<ServerDocument, Fault> {
        let (server, chain) = (&document.did, document.first_key_document_hash);
        if self.chains.get_with_by_ref(server, || chain) == chain {
            return Ok(document);
        }
        tracing::error!(%server, "a peer's document names another chain of keys than before");
        let detail = format!("{server} shows another chain of keys than before");
        Err(Fault::new(FaultCode::PeerMisbehaved, detail))
    }

    /// Whether a key is one of a server's, as far as its newest document says.
    ///
    /// # Errors
    /// The document cannot be had, or does not list the key.
    pub async fn check_key(&self, server: &ServerDid, key: &PublicKey) -> Result<(), Fault> {
        if self.document(server).await?.keys.contains(key) {
            return Ok(());
        }
        if self.doubt(server) && self.document(server).await?.keys.contains(key) {
            return Ok(());
        }
        let detail = format!("{server} does not list the key {key} in its document");
        Err(Fault::new(FaultCode::AuthenticationFailed, detail))
    }

    /// What a server's document says did not work: it may have moved, or have other keys. Its document
    /// is read anew next time; not if that was done within the last minute.
    pub fn doubt(&self, server: &ServerDid) -> bool {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = throttle.admit(server.domain(), now()).is_ok();
        if admitted {
            self.documents.invalidate(server);
        }
        admitted
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
