//! How a name becomes addresses: the machine's own resolver, bounded.

use std::future::Future;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;

use entente_identity::Domain;
use tokio::sync::Semaphore;

/// Most lookups under way at once. A lookup occupies a thread until the resolver answers, also when
/// nobody waits for it any more.
const MAX_LOOKUPS: usize = 16;

/// The answer to a lookup, as it came.
pub type LookupAnswer = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Something that knows the addresses of names. Its answers are not trusted.
pub trait NameLookup: Send + Sync {
    /// Looks a name up, once.
    fn lookup(&self, name: &Domain) -> LookupAnswer;
}

/// The machine's resolver (`getaddrinfo`), so that its administrator decides: `/etc/hosts`, a local
/// cache, split DNS.
#[derive(Debug)]
pub struct SystemLookup {
    slots: Arc<Semaphore>,
}

impl Default for SystemLookup {
    fn default() -> Self {
        Self {
            slots: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }
}

impl NameLookup for SystemLookup {
    fn lookup(&self, name: &Domain) -> LookupAnswer {
        let host = name.as_str().to_owned();
        let slots = Arc::clone(&self.slots);
        Box::pin(async move {
            let slot = slots.acquire_owned().await.map_err(io::Error::other)?;
            let answer = tokio::task::spawn_blocking(move || {
                let _occupied = slot;
                (host.as_str(), 0).to_socket_addrs()
            });
            let addresses = answer.await.map_err(io::Error::other)??;
            Ok(addresses.map(|address| address.ip()).collect())
        })
    }
}
