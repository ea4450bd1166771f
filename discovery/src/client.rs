//! The fetch itself: bounded in every direction.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use entente_identity::{
    Domain, Handle, KeyDocument, ServerDid, ServerDocument, ServiceEndpoint, Signed, UserDocument,
};
use rustls::ClientConfig;
use tokio::sync::Semaphore;

use crate::dial::{DialHook, Service, tell};
use crate::document_url::DocumentUrl;
use crate::exchange::{Question, ask};
use crate::fetch_error::{AddressFault, DocumentError, FetchError, KeyDocumentError, SetupError};
use crate::host_table::HostTable;
use crate::json_depth::is_too_deep;
use crate::lookup::{NameLookup, SystemLookup};
use crate::resolver::{Resolver, Rules};
use crate::trust::{ExtraCa, tls_config};

/// Longest time from the first byte sent to the last one received, lookup included, in milliseconds.
pub const MAX_FETCH_MS: u64 = 5_000;

/// Most fetches under way at once.
const MAX_FETCHES: usize = 64;

/// What is accepted where a DID document is expected.
const JSON: &str = "application/did+json, application/json";

/// What is accepted where signed bytes are expected.
const BYTES: &str = "application/octet-stream";

/// What a client is made of. The default is a client of the public internet.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names with a fixed place.
    pub host_table: HostTable,
    /// An authority that is trusted beside the machine's.
    pub extra_ca: Option<ExtraCa>,
}

/// The only HTTP client: it follows nothing, believes no name, and bounds everything.
pub struct SafeClient {
    tls: Arc<ClientConfig>,
    resolver: Resolver,
    hook: Option<DialHook>,
    slots: Semaphore,
}

impl Options {
    /// Reads what the configuration names; what it does not name stays off.
    ///
    /// # Errors
    /// When a file is missing or wrong.
    pub fn load(host_table: Option<&Path>, extra_ca: Option<&Path>) -> Result<Self, SetupError> {
        Ok(Self {
            host_table: host_table
                .map(HostTable::load)
                .transpose()?
                .unwrap_or_default(),
            extra_ca: extra_ca.map(ExtraCa::load).transpose()?,
        })
    }
}

impl SafeClient {
    /// A client that asks the machine's resolver.
    ///
    /// # Errors
    /// When no certificate authority can be trusted, or TLS does not start.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        Self::with_lookup(options, Arc::new(SystemLookup::default()))
    }

    /// A client that asks another resolver, whose answers are vetted as the machine's are.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_lookup(options: Options, lookup: Arc<dyn NameLookup>) -> Result<Self, SetupError> {
        Self::with_rules(options, lookup, Rules::default(), None)
    }

    /// A client that asks another resolver and tells `hook` of each address before it is dialled.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn with_hook(
        options: Options,
        lookup: Arc<dyn NameLookup>,
        hook: DialHook,
    ) -> Result<Self, SetupError> {
        Self::with_rules(options, lookup, Rules::default(), Some(hook))
    }

    fn with_rules(
        options: Options,
        lookup: Arc<dyn NameLookup>,
        rules: Rules,
        hook: Option<DialHook>,
    ) -> Result<Self, SetupError> {
        let Options {
            host_table,
            extra_ca,
        } = options;
        if !host_table.is_empty() {
            let names = host_table.len();
            tracing::warn!(
                names,
                "a host table is on: its names bypass DNS and may lead inside"
            );
        }
        if extra_ca.is_some() {
            tracing::warn!("an additional certificate authority is trusted for HTTPS");
        }
        Ok(Self {
            tls: Arc::new(tls_config(extra_ca.as_ref())?),
            resolver: Resolver::new(host_table, lookup, rules),
            hook,
            slots: Semaphore::new(MAX_FETCHES),
        })
    }

    /// Fetches a JSON text. It is bounded in size and depth, and otherwise as it came.
    ///
    /// # Errors
    /// When it does not come, or breaks a bound.
    pub async fn fetch_json(&self, url: &DocumentUrl) -> Result<Bytes, FetchError> {
        let body = self.fetch(url, JSON).await?;
        if is_too_deep(&body) {
            return Err(FetchError::TooDeep);
        }
        Ok(body)
    }

    /// Fetches and reads an organization's document.
    ///
    /// # Errors
    /// When it does not come, or is not the document of this domain.
    pub async fn server_document(&self, domain: &Domain) -> Result<ServerDocument, DocumentError> {
        let body = self.fetch_json(&DocumentUrl::of_server(domain)).await?;
        Ok(ServerDocument::parse(
            &ServerDid::new(domain.clone()),
            &body,
        )?)
    }

    /// Fetches and reads a handle's document: which account it is, as the account itself says.
    ///
    /// # Errors
    /// When it does not come, or the account does not say so.
    pub async fn user_document(&self, handle: &Handle) -> Result<UserDocument, DocumentError> {
        let body = self.fetch_json(&DocumentUrl::of_user(handle)).await?;
        Ok(UserDocument::parse(handle, &body)?)
    }

    /// Fetches the key document that an organization's server issued last: a claim, to be judged by
    /// the pin of its chain ([`entente_identity::KeyPin`]).
    ///
    /// # Errors
    /// When it does not come, or is no signed key document.
    pub async fn key_document(
        &self,
        domain: &Domain,
    ) -> Result<Signed<KeyDocument>, KeyDocumentError> {
        let body = self.fetch(&DocumentUrl::of_keys(domain), BYTES).await?;
        Ok(Signed::from_bytes(&body)?)
    }

    /// Where to dial a service of an organization by QUIC: never empty, in the order to try. The host
    /// table decides first, else the vetted addresses of the endpoint's host, with its port.
    ///
    /// # Errors
    /// When the name gives no address that may be dialled.
    pub async fn addresses_of(
        &self,
        domain: &Domain,
        endpoint: &ServiceEndpoint,
    ) -> Result<Vec<SocketAddr>, AddressFault> {
        let deadline = Duration::from_millis(MAX_FETCH_MS);
        let found = self.resolver.quic(domain, &endpoint.host, endpoint.port);
        let addresses = tokio::time::timeout(deadline, found)
            .await
            .unwrap_or_else(|_| {
                let reason = format!("no answer after {MAX_FETCH_MS} ms");
                Err(AddressFault::Unknown {
                    domain: endpoint.host.clone(),
                    reason,
                })
            })?;
        for address in &addresses {
            tell(self.hook.as_ref(), domain, *address, Service::Quic);
        }
        Ok(addresses)
    }

    /// Says that an address of [`Self::addresses_of`] answered, so that it is the first next time.
    pub fn answered(&self, domain: &Domain, address: SocketAddr) {
        self.resolver.answered(domain, Service::Quic, address);
    }

    /// Says that such an address does not answer any more, so that it is the last next time.
    pub fn fell_silent(&self, domain: &Domain, address: SocketAddr) {
        self.resolver.fell_silent(domain, Service::Quic, address);
    }

    /// How many addresses have been given out for dialling so far. Nothing else is ever dialled, so
    /// while this stands still, no socket is opened.
    #[must_use]
    pub fn addresses_released(&self) -> u64 {
        self.resolver.released()
    }

    async fn fetch(&self, url: &DocumentUrl, accept: &'static str) -> Result<Bytes, FetchError> {
        let (mut late, mut tried_first) = (FetchError::Busy, None);
        let fetched = async {
            // Waiting for a slot takes from the fetch's own time.
            let _slot = self.slots.acquire().await.map_err(|_| FetchError::Busy)?;
            late = FetchError::Slow;
            let addresses = self.resolver.https(url.domain()).await?;
            tried_first = addresses.first().copied();
            let question = Question {
                url,
                accept,
                addresses,
            };
            ask(question, Arc::clone(&self.tls), self.hook.as_ref()).await
        };
        let limit = Duration::from_millis(MAX_FETCH_MS);
        let fetched = tokio::time::timeout(limit, fetched).await;
        if let (Err(_), Some(address)) = (&fetched, tried_first) {
            // Perhaps it takes connections and does nothing else: next time another one is asked first.
            let resolver = &self.resolver;
            resolver.fell_silent(url.domain(), Service::Documents, address);
        }
        fetched.map_err(|_| late)?
    }
}

#[cfg(test)]
mod tests;
