//! One QUIC connection: who is at the other end, and the streams on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use entente_identity::PublicKey;
use quinn::crypto::rustls::HandshakeData;
use rustls_pki_types::CertificateDer;

use crate::certificate::certified_key;
use crate::close::{CloseCode, CloseReason};
use crate::incoming::PendingStream;
use crate::limits::FEDERATION_WINDOW_BYTES;
use crate::stream::{FrameReader, FrameWriter, StreamFault};
use crate::tls;

/// Which of the two protocols a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// A person's device and its homeserver.
    Client,
    /// Two homeservers; the one that has something to send dials.
    Federation,
}

impl Link {
    /// The ALPN identifier (RFC 7301).
    #[must_use]
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Self::Client => b"entente-client/1",
            Self::Federation => b"entente-federation/1",
        }
    }

    fn from_alpn(alpn: &[u8]) -> Option<Self> {
        [Self::Client, Self::Federation]
            .into_iter()
            .find(|link| link.alpn() == alpn)
    }
}

/// Which side opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This side.
    Dialled,
    /// The peer.
    Accepted,
}

/// A connection whose handshake is complete. Clones are handles to the same connection.
#[derive(Clone, Debug)]
pub struct Connection {
    quic: quinn::Connection,
    facts: Arc<Facts>,
}

#[derive(Debug)]
struct Facts {
    link: Link,
    side: Side,
    peer_key: Option<PublicKey>,
    first_address: SocketAddr,
}

impl Connection {
    /// Judges a connection that a peer opened; one that breaks the rules is closed with the reason.
    pub(crate) fn accepted(quic: quinn::Connection) -> Result<Self, CloseCode> {
        let refuse = |code: CloseCode| {
            quic.close(code.into(), code.to_string().as_bytes());
            code
        };
        let link = negotiated_link(&quic).ok_or_else(|| refuse(CloseCode::PROTOCOL))?;
        let peer_key = match link {
            Link::Client => None,
            Link::Federation => {
                Some(shown_key(&quic).ok_or_else(|| refuse(CloseCode::NO_CERTIFICATE))?)
            }
        };
        if link == Link::Federation {
            quic.set_receive_window(FEDERATION_WINDOW_BYTES.into());
        }
        Ok(Self::new(quic, link, Side::Accepted, peer_key))
    }

    /// Wraps a connection that this side opened to a server that showed `server_key`.
    pub(crate) fn dialled(quic: quinn::Connection, link: Link, server_key: PublicKey) -> Self {
        Self::new(quic, link, Side::Dialled, Some(server_key))
    }

    fn new(quic: quinn::Connection, link: Link, side: Side, peer_key: Option<PublicKey>) -> Self {
        let facts = Facts {
            link,
            side,
            peer_key,
            first_address: quic.remote_address(),
        };
        Self {
            quic,
            facts: Arc::new(facts),
        }
    }

    /// The protocol spoken.
    #[must_use]
    pub fn link(&self) -> Link {
        self.facts.link
    }

    /// Who opened it.
    #[must_use]
    pub fn side(&self) -> Side {
        self.facts.side
    }

    /// The key that the peer proved to hold in the handshake: a server's federation key. `None` for
    /// a client seen from its homeserver, which authenticates by its device key over
    /// [`Self::channel_binding`].
    #[must_use]
    pub fn peer_key(&self) -> Option<PublicKey> {
        self.facts.peer_key
    }

    /// The peer's address now; a client may roam.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.quic.remote_address()
    }

    /// Smoothed round trip time.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.quic.rtt()
    }

    /// Name of the key exchange group of the handshake.
    #[must_use]
    pub fn key_exchange_group(&self) -> String {
        tls::key_exchange_group()
    }

    /// A value that only the two ends of this connection know (TLS exporter, RFC 8446 §7.5):
    /// signing it binds an authentication to this connection and to no other.
    ///
    /// # Panics
    /// Never: the exporter fails only before the handshake and beyond 255 hash lengths.
    #[must_use]
    pub fn channel_binding(&self, label: &str, context: &[u8]) -> [u8; 32] {
        let mut output = [0; 32];
        self.quic
            .export_keying_material(&mut output, label.as_bytes(), context)
            .expect("the handshake is complete and 32 bytes are few");
        output
    }

    /// Waits for the peer to open a stream. What kind it is comes with its first bytes: call
    /// [`PendingStream::opened`] in a task of the stream's own, as a peer may be slow to send them.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn accept(&self) -> Result<PendingStream, CloseReason> {
        let (send, recv) = self.quic.accept_bi().await?;
        self.check_address()?;
        let reader = FrameReader::new(recv, self.clone());
        Ok(PendingStream::new(FrameWriter::new(send), reader))
    }

    /// Opens a stream; waits while the peer's limit of open streams is reached.
    pub(crate) async fn open(&self) -> Result<(FrameWriter, FrameReader), StreamFault> {
        let opened = self.quic.open_bi().await;
        let (send, recv) = opened.map_err(|error| StreamFault::ConnectionLost(error.into()))?;
        let reader = FrameReader::new(recv, self.clone());
        Ok((FrameWriter::new(send), reader))
    }

    /// A federation link stays where it was authenticated: checked whenever something arrives.
    pub(crate) fn check_address(&self) -> Result<(), CloseReason> {
        if self.facts.link == Link::Federation
            && self.quic.remote_address() != self.facts.first_address
        {
            self.close(CloseCode::ADDRESS_CHANGED, "a federation link does not migrate");
            return Err(CloseReason::Here);
        }
        Ok(())
    }

    /// Closes the connection at once. What streams have not yet delivered is lost.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.quic.close(code.into(), reason.as_bytes());
    }

    /// Waits for the end of the connection.
    pub async fn closed(&self) -> CloseReason {
        self.quic.closed().await.into()
    }

    /// How the connection ended, if it has.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.quic.close_reason().map(Into::into)
    }
}

fn negotiated_link(quic: &quinn::Connection) -> Option<Link> {
    let data = quic.handshake_data()?.downcast::<HandshakeData>().ok()?;
    Link::from_alpn(data.protocol.as_deref()?)
}

fn shown_key(quic: &quinn::Connection) -> Option<PublicKey> {
    let chain = quic
        .peer_identity()?
        .downcast::<Vec<CertificateDer<'static>>>()
        .ok()?;
    certified_key(chain.first()?).ok()
}
