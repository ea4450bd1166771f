//! The fetch itself: bounded in every direction.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use entente_identity::{Domain, Handle, ServerDid, ServerDocument, ServiceEndpoint, UserDocument};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue};
use reqwest::{Client, Response, StatusCode, redirect, retry};
use tokio::sync::Semaphore;

use crate::document_url::DocumentUrl;
use crate::fetch_error::{AddressFault, DocumentError, FetchError, SetupError};
use crate::host_table::HostTable;
use crate::json_depth::is_too_deep;
use crate::lookup::{NameLookup, SystemLookup};
use crate::resolver::Resolver;
use crate::trust::{ExtraCa, tls_config};

/// Largest body of an answer, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Longest time from the first byte sent to the last one received, lookup included, in milliseconds.
pub const MAX_FETCH_MS: u64 = 5_000;

/// Most fetches under way at once.
const MAX_FETCHES: usize = 64;

/// Most headers of an answer.
const MAX_HEADERS: usize = 64;

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
    http: Client,
    resolver: Resolver,
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
        let resolver = Resolver::new(host_table, lookup);
        let http = Client::builder()
            .tls_backend_preconfigured(tls_config(extra_ca.as_ref())?)
            .dns_resolver(resolver.clone())
            .https_only(true)
            .http1_only()
            .http1_max_headers(MAX_HEADERS)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .referer(false)
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_millis(MAX_FETCH_MS))
            .build()
            .map_err(|error| SetupError::Tls(innermost(&error)))?;
        Ok(Self {
            http,
            resolver,
            slots: Semaphore::new(MAX_FETCHES),
        })
    }

    /// Fetches a JSON text. It is bounded in size and depth, and otherwise as it came.
    ///
    /// # Errors
    /// When it does not come, or breaks a bound.
    pub async fn fetch_json(&self, url: &DocumentUrl) -> Result<Bytes, FetchError> {
        let _slot = self.slots.try_acquire().map_err(|_| FetchError::Busy)?;
        let deadline = Duration::from_millis(MAX_FETCH_MS);
        let body = tokio::time::timeout(deadline, self.fetch(url))
            .await
            .map_err(|_| FetchError::Slow)??;
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
        let addresses = self.resolver.quic(domain, &endpoint.host, endpoint.port);
        tokio::time::timeout(deadline, addresses)
            .await
            .unwrap_or_else(|_| {
                let reason = format!("no answer after {MAX_FETCH_MS} ms");
                Err(AddressFault::Unknown {
                    domain: endpoint.host.clone(),
                    reason,
                })
            })
    }

    /// How many addresses have been given out for dialling so far. Nothing else is ever dialled, so
    /// while this stands still, no socket is opened.
    #[must_use]
    pub fn addresses_released(&self) -> u64 {
        self.resolver.released()
    }

    async fn fetch(&self, url: &DocumentUrl) -> Result<Bytes, FetchError> {
        let request = self
            .http
            .get(url.to_string())
            .header(
                ACCEPT,
                HeaderValue::from_static("application/did+json, application/json"),
            )
            .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let response = request
            .send()
            .await
            .map_err(|error| blame(url.domain(), &error))?;
        let vetted = response
            .remote_addr()
            .is_some_and(|address| self.resolver.may_end_at(url.domain(), address));
        if !vetted {
            return Err(FetchError::Astray {
                domain: url.domain().clone(),
            });
        }
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let plain = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"identity");
        if !response
            .headers()
            .get_all(CONTENT_ENCODING)
            .iter()
            .all(plain)
        {
            return Err(FetchError::Encoded);
        }
        body(response, url.domain()).await
    }
}

/// Reads a body piece by piece, so that no more than the bound is ever held.
async fn body(mut response: Response, domain: &Domain) -> Result<Bytes, FetchError> {
    let announced = response.content_length().unwrap_or(0);
    if announced > MAX_BODY_BYTES as u64 {
        return Err(FetchError::TooLarge);
    }
    let mut body = BytesMut::new();
    while let Some(piece) = response
        .chunk()
        .await
        .map_err(|error| blame(domain, &error))?
    {
        if body.len() + piece.len() > MAX_BODY_BYTES {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// Tells apart what the HTTP client puts into one error.
fn blame(domain: &Domain, error: &reqwest::Error) -> FetchError {
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(inner) = cause {
        if let Some(fault) = inner.downcast_ref::<AddressFault>() {
            return FetchError::Address(fault.clone());
        }
        cause = inner.source();
    }
    if error.is_timeout() {
        return FetchError::Slow;
    }
    FetchError::Unreachable {
        domain: domain.clone(),
        reason: innermost(error),
    }
}

/// The cause at the bottom says what happened; those above say during what.
fn innermost(error: &dyn Error) -> String {
    let mut innermost = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
