//! One UDP socket: dials homeservers and peers, and, with an identity, is dialled by them.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, RwLock};

use entente_identity::PublicKey;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

use crate::admission::{self, Admission, AdmissionCounts};
use crate::certificate::ServerIdentity;
use crate::close::{CloseCode, CloseReason};
use crate::connection::{Addresses, Connection, Link};
use crate::limits::{EndpointLimits, HANDSHAKE_LIMIT, SWIFT_DIAL_LIMIT};
use crate::memory::Memory;
use crate::quic_config;
use crate::tls::{self, TlsFault};

/// Accepted connections that wait for [`Endpoint::accept`].
const ACCEPT_BACKLOG: usize = 64;

/// A UDP socket and everything connected through it. Clones are handles to the same endpoint; it
/// closes with the last one.
#[derive(Clone, Debug)]
pub struct Endpoint {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    quic: quinn::Endpoint,
    identity: RwLock<Option<Arc<ServerIdentity>>>,
    accepted: Mutex<mpsc::Receiver<Connection>>,
    admission: Arc<Admission>,
    memory: Arc<Memory>,
}

impl Endpoint {
    /// Listens on `address` for clients and peers, showing `identity`; dials peers under the same
    /// identity. Port 0 lets the system choose.
    ///
    /// # Errors
    /// The address cannot be bound, or the identity is refused by the TLS library.
    pub fn bind(
        address: SocketAddr,
        identity: ServerIdentity,
        limits: impl Into<EndpointLimits>,
    ) -> Result<Self, BindError> {
        let server = quic_config::server(&identity)?;
        let quic = socket(address, Some((&identity, server)))?;
        Ok(Self::new(quic, Some(identity), limits.into()))
    }

    /// Opens a socket that only dials, as devices do.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub fn dial_only(address: SocketAddr) -> Result<Self, BindError> {
        let quic = socket(address, None)?;
        Ok(Self::new(quic, None, EndpointLimits::default()))
    }

    fn new(
        quic: quinn::Endpoint,
        identity: Option<ServerIdentity>,
        limits: EndpointLimits,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(ACCEPT_BACKLOG);
        let admission = Arc::new(Admission::new(limits.admission));
        let memory = Arc::new(Memory::new(limits.streams));
        if identity.is_some() {
            let (admission, memory) = (Arc::clone(&admission), Arc::clone(&memory));
            tokio::spawn(admission::run(quic.clone(), admission, sender, memory));
        }
        let inner = Inner {
            quic,
            identity: RwLock::new(identity.map(Arc::new)),
            accepted: Mutex::new(receiver),
            admission,
            memory,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The address of the socket.
    ///
    /// # Errors
    /// The system does not know it any more.
    pub fn local_address(&self) -> std::io::Result<SocketAddr> {
        self.inner.quic.local_addr()
    }

    /// Shows another key from now on, in new connections of either direction.
    ///
    /// # Errors
    /// The identity is refused by the TLS library; the old one stays.
    pub fn replace_identity(&self, identity: ServerIdentity) -> Result<(), BindError> {
        let server = quic_config::server(&identity)?;
        self.inner.quic.set_server_config(Some(server));
        let mut current = self.inner.identity.write().expect("no holder panics");
        *current = Some(Arc::new(identity));
        Ok(())
    }

    /// Moves to another socket, as a roaming device does.
    #[cfg(test)]
    pub(crate) fn rebind(&self, socket: UdpSocket) {
        self.inner.quic.rebind(socket).expect("a bound socket");
    }

    /// The next connection whose handshake is complete, or `None` once the endpoint is closed.
    pub async fn accept(&self) -> Option<Connection> {
        self.inner.accepted.lock().await.recv().await
    }

    /// How many newcomers were sent back or refused so far.
    #[must_use]
    pub fn admission_counts(&self) -> AdmissionCounts {
        self.inner.admission.counts()
    }

    /// Connects a device to its homeserver, which has to show one of the pinned keys.
    ///
    /// # Errors
    /// The server cannot be reached, or is not who it should be.
    pub async fn connect_client(
        &self,
        address: SocketAddr,
        server_name: &str,
        pins: &[PublicKey],
    ) -> Result<Connection, ConnectError> {
        let to = (address, Addresses::One);
        self.dial(Link::Client, to, server_name, pins, None).await
    }

    /// The same for a server with several addresses: a dial does not take long, and when the connection
    /// falls silent, that is soon known.
    ///
    /// # Errors
    /// Those of [`Self::connect_client`].
    pub async fn connect_client_to_one_of(
        &self,
        (address, addresses): (SocketAddr, Addresses),
        server_name: &str,
        pins: &[PublicKey],
    ) -> Result<Connection, ConnectError> {
        let to = (address, addresses);
        self.dial(Link::Client, to, server_name, pins, None).await
    }

    /// Connects this homeserver to another, which has to show one of the pinned keys. Each side
    /// shows its own certificate.
    ///
    /// # Errors
    /// The peer cannot be reached or is not who it should be, or this endpoint has no identity.
    pub async fn connect_federation(
        &self,
        address: SocketAddr,
        server_name: &str,
        pins: &[PublicKey],
    ) -> Result<Connection, ConnectError> {
        let to = (address, Addresses::One);
        self.connect_federation_to_one_of(to, server_name, pins)
            .await
    }

    /// The same for a server with several addresses: a dial does not take long, and when the connection
    /// falls silent, that is soon known.
    ///
    /// # Errors
    /// Those of [`Self::connect_federation`].
    pub async fn connect_federation_to_one_of(
        &self,
        to: (SocketAddr, Addresses),
        server_name: &str,
        pins: &[PublicKey],
    ) -> Result<Connection, ConnectError> {
        let identity = self
            .inner
            .identity
            .read()
            .expect("no holder panics")
            .clone();
        let identity = identity.ok_or(ConnectError::NoIdentity)?;
        self.dial(Link::Federation, to, server_name, pins, Some(&identity))
            .await
    }

    async fn dial(
        &self,
        link: Link,
        (address, addresses): (SocketAddr, Addresses),
        server_name: &str,
        pins: &[PublicKey],
        identity: Option<&ServerIdentity>,
    ) -> Result<Connection, ConnectError> {
        let (tls, shown) = tls::client_config(link, pins.to_vec(), identity)
            .map_err(|fault| ConnectError::Configuration(fault.to_string()))?;
        let config = quic_config::client(link, addresses, tls);
        let connecting = self.inner.quic.connect_with(config, address, server_name)?;
        let handshake = timeout(
            match addresses {
                Addresses::One | Addresses::LastOfSeveral => HANDSHAKE_LIMIT,
                Addresses::OtherFamily | Addresses::Several => SWIFT_DIAL_LIMIT,
            },
            connecting,
        );
        let outcome = handshake.await.map_err(|_| ConnectError::TimedOut)?;
        match (outcome, shown.get()) {
            (Ok(quic), Some(key)) => {
                let memory = Arc::clone(&self.inner.memory);
                Ok(Connection::dialled(quic, link, *key, memory))
            }
            (Err(_), Some(key)) if !pins.contains(key) => {
                Err(ConnectError::UnknownKey { shown: *key })
            }
            (Err(error), _) => Err(error.into()),
            (Ok(_), None) => unreachable!("every handshake verifies a certificate"),
        }
    }

    /// Closes every connection, then waits until the peers have been told, for a second at most.
    pub async fn close(&self, code: CloseCode, reason: &str) {
        self.inner.quic.close(code.into(), reason.as_bytes());
        let farewell = std::time::Duration::from_secs(1);
        // Peers that were not reached notice by themselves when the connection stays silent.
        let _ = timeout(farewell, self.inner.quic.wait_idle()).await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.quic
            .close(CloseCode::SHUTDOWN.into(), b"endpoint dropped");
    }
}

fn socket(
    address: SocketAddr,
    server: Option<(&ServerIdentity, quinn::ServerConfig)>,
) -> Result<quinn::Endpoint, BindError> {
    let fault = |source| BindError::Socket { address, source };
    let socket = UdpSocket::bind(address).map_err(fault)?;
    let runtime = Arc::new(quinn::TokioRuntime);
    let (identity, server) = server.unzip();
    let config = quic_config::endpoint(identity);
    quinn::Endpoint::new(config, server, socket, runtime).map_err(fault)
}

/// An endpoint could not be made: a fault of the configuration of this machine.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The socket cannot be had.
    #[error("cannot bind UDP {address}: {source}")]
    Socket {
        /// The wanted address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The TLS library refuses the identity.
    #[error("the server identity is not usable: {0}")]
    Identity(String),
}

impl From<TlsFault> for BindError {
    fn from(fault: TlsFault) -> Self {
        Self::Identity(fault.to_string())
    }
}

/// A connection could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The server answered but is not who it should be: never go on without asking its owner.
    #[error("the server shows the key {shown}, which is not one of its known keys")]
    UnknownKey {
        /// The key it showed (its possession is not proven).
        shown: PublicKey,
    },
    /// No answer in time: the server or the way to it is down; try again.
    #[error("no answer in time")]
    TimedOut,
    /// The peer or the way to it ended the attempt; try again unless it is a handshake failure.
    #[error(transparent)]
    Ended(CloseReason),
    /// The address cannot be dialled from this socket.
    #[error("cannot dial {0}")]
    Address(String),
    /// A federation link needs an endpoint with an identity.
    #[error("this endpoint has no identity to show to a peer")]
    NoIdentity,
    /// The endpoint is closed.
    #[error("this endpoint is closed")]
    Closed,
    /// The libraries refuse our own configuration: a bug.
    #[error("bad configuration: {0}")]
    Configuration(String),
}

impl From<quinn::ConnectionError> for ConnectError {
    fn from(error: quinn::ConnectionError) -> Self {
        match CloseReason::from(error) {
            CloseReason::TimedOut => Self::TimedOut,
            CloseReason::Here => Self::Closed,
            reason => Self::Ended(reason),
        }
    }
}

impl From<quinn::ConnectError> for ConnectError {
    fn from(error: quinn::ConnectError) -> Self {
        use quinn::ConnectError as E;
        match error {
            E::EndpointStopping => Self::Closed,
            E::InvalidServerName(name) => Self::Address(format!("the server name {name:?}")),
            E::InvalidRemoteAddress(address) => Self::Address(address.to_string()),
            E::CidsExhausted | E::NoDefaultClientConfig | E::UnsupportedVersion => {
                Self::Configuration(error.to_string())
            }
        }
    }
}
