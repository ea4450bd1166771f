//! The only place that opens a socket, and the word of every address before it is dialled.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use entente_identity::Domain;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long one address is waited for before the next is tried beside it (RFC 8305 §5).
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(250);

/// Told of each address before it is dialled; of those for QUIC, before they are handed out. What was
/// not told is not dialled, so that silence proves that no socket was opened.
pub type DialHook = Arc<dyn Fn(&Dial<'_>) + Send + Sync>;

/// One address that is about to be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dial<'a> {
    /// The name that led there.
    pub domain: &'a Domain,
    /// The address with its port.
    pub address: SocketAddr,
    /// For what.
    pub service: Service,
}

/// What is spoken at a dialled address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// HTTPS, for documents.
    Documents,
    /// QUIC, for clients and servers.
    Quic,
}

/// Connects to the first of the addresses that answers, in their order.
pub(crate) async fn dial(
    domain: &Domain,
    addresses: Vec<SocketAddr>,
    hook: Option<&DialHook>,
) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.next() {
            tell(hook, domain, address, Service::Documents);
            attempts.spawn(TcpStream::connect(address));
        }
        match tokio::time::timeout(NEXT_ADDRESS_DELAY, attempts.join_next()).await {
            Ok(Some(Ok(Ok(stream)))) => return Ok(stream),
            Ok(Some(Ok(Err(error)))) => failure = error,
            Ok(Some(Err(error))) => failure = io::Error::other(error),
            Ok(None) if waiting.len() == 0 => return Err(failure),
            Ok(None) | Err(_) => {}
        }
    }
}

/// Says that an address is about to be dialled.
pub(crate) fn tell(
    hook: Option<&DialHook>,
    domain: &Domain,
    address: SocketAddr,
    service: Service,
) {
    if let Some(hook) = hook {
        hook(&Dial {
            domain,
            address,
            service,
        });
    }
}
