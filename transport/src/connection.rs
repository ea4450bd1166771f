//! One QUIC connection: who is at the other end, and the streams on it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use entente_identity::PublicKey;
use quinn::crypto::rustls::HandshakeData;
use rustls_pki_types::CertificateDer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::admission::StrangerPlace;
use crate::certificate::certified_key;
use crate::close::{CloseCode, CloseReason};
use crate::incoming::PendingStream;
use crate::limits::{
    ACCEPTED_SEND_WINDOW_BYTES, CLIENT_WINDOW_BYTES, FEDERATION_WINDOW_BYTES, FLOWS_MAX,
    FRAME_MAX_BYTES, LARGE_FRAMES_MAX, STRANGER_FRAME_MAX_BYTES, STREAMS_MAX, StreamLimits,
};
use crate::memory::{Memory, Share};
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

/// Whether a server may be reached elsewhere too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// It has one address, or this is the last to try of one of each family: the dialler is patient with it.
    One,
    /// It has one address of the other family too, which may well be the same node's: a dial does not take
    /// long, and silence is borne as from a server of one address.
    OtherFamily,
    /// It has others, at which other nodes of it may answer: a dial does not take long, and when the
    /// connection falls silent, that is soon known.
    Several,
    /// It has others, which did not answer: the dialler is patient with this one. When the connection
    /// falls silent, that is soon known.
    LastOfSeveral,
}

impl Addresses {
    /// Pairs the addresses of a server with what the dialler is to know of each, in the order to try. As
    /// many nodes as it has addresses of one family it has at least.
    pub fn in_turn(places: Vec<SocketAddr>) -> impl Iterator<Item = (SocketAddr, Self)> {
        let is_v4 = |place: &&SocketAddr| place.ip().to_canonical().is_ipv4();
        let (count, v4) = (places.len(), places.iter().filter(is_v4).count());
        let nodes = v4.max(count - v4);
        let how = move |index| match (count - index, nodes) {
            (1, 1) => Self::One,
            (_, 1) => Self::OtherFamily,
            (1, _) => Self::LastOfSeveral,
            _ => Self::Several,
        };
        let places = places.into_iter().enumerate();
        places.map(move |(index, place)| (place, how(index)))
    }
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
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    quic: quinn::Connection,
    link: Link,
    side: Side,
    peer_key: Option<PublicKey>,
    first_address: SocketAddr,
    large_frames: Arc<Semaphore>,
    flows: Arc<Semaphore>,
    memory: Arc<Memory>,
    /// A dialled server is trusted by its pinned key, a dialling peer when [`Connection::trust`]
    /// says so. The place among the strangers is free from then on.
    trust: OnceLock<()>,
    stranger: Mutex<Option<StrangerPlace>>,
}

impl Connection {
    /// Judges a connection that a peer opened; one that breaks the rules is closed with the reason.
    /// It counts as a stranger, in `place`, until it is trusted.
    pub(crate) fn accepted(
        quic: quinn::Connection,
        place: StrangerPlace,
        memory: Arc<Memory>,
    ) -> Result<Self, CloseCode> {
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
        let connection = Self::new(quic, link, (Side::Accepted, peer_key), memory);
        *connection.stranger_place() = Some(place);
        Ok(connection)
    }

    /// Wraps a connection that this side opened to a server that showed `server_key`.
    pub(crate) fn dialled(
        quic: quinn::Connection,
        link: Link,
        server_key: PublicKey,
        memory: Arc<Memory>,
    ) -> Self {
        let connection = Self::new(quic, link, (Side::Dialled, Some(server_key)), memory);
        connection.inner.trust.get_or_init(|| ());
        connection
    }

    fn new(
        quic: quinn::Connection,
        link: Link,
        (side, peer_key): (Side, Option<PublicKey>),
        memory: Arc<Memory>,
    ) -> Self {
        let inner = Inner {
            first_address: quic.remote_address(),
            quic,
            link,
            side,
            peer_key,
            large_frames: Arc::new(Semaphore::new(LARGE_FRAMES_MAX)),
            flows: Arc::new(Semaphore::new(FLOWS_MAX)),
            memory,
            trust: OnceLock::new(),
            stranger: Mutex::new(None),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// A handle that does not keep the connection open.
    pub(crate) fn downgrade(&self) -> WeakConnection {
        WeakConnection(Arc::downgrade(&self.inner))
    }

    /// The protocol spoken.
    #[must_use]
    pub fn link(&self) -> Link {
        self.inner.link
    }

    /// Who opened it.
    #[must_use]
    pub fn side(&self) -> Side {
        self.inner.side
    }

    /// The key that the peer proved to hold in the handshake: a server's federation key. `None` for
    /// a client seen from its homeserver, which authenticates by its device key over
    /// [`Self::channel_binding`].
    #[must_use]
    pub fn peer_key(&self) -> Option<PublicKey> {
        self.inner.peer_key
    }

    /// The peer's address now; a client may roam.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.inner.quic.remote_address()
    }

    /// Smoothed round trip time.
    #[must_use]
    pub fn round_trip(&self) -> Duration {
        self.inner.quic.rtt()
    }

    /// Grants the peer of an accepted connection what only known peers get: longer frames, more
    /// streams, larger windows, and to stay longer than [`crate::AdmissionLimits::trust_within`]. To be
    /// called once its login or greeting holds.
    pub fn trust(&self) {
        self.inner.trust.get_or_init(|| {
            let window_bytes = match self.inner.link {
                Link::Client => CLIENT_WINDOW_BYTES,
                Link::Federation => FEDERATION_WINDOW_BYTES,
            };
            self.inner.quic.set_receive_window(window_bytes.into());
            self.inner.quic.set_send_window(ACCEPTED_SEND_WINDOW_BYTES);
            self.inner
                .quic
                .set_max_concurrent_bi_streams(STREAMS_MAX.into());
            *self.stranger_place() = None;
        });
    }

    /// Whether the peer is known, on this side, to be who it should be.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        self.inner.trust.get().is_some()
    }

    fn stranger_place(&self) -> MutexGuard<'_, Option<StrangerPlace>> {
        self.inner.stranger.lock().expect("no holder panics")
    }

    /// Longest frame that is taken from the peer now.
    pub(crate) fn frame_limit(&self) -> usize {
        if self.is_trusted() {
            FRAME_MAX_BYTES
        } else {
            STRANGER_FRAME_MAX_BYTES
        }
    }

    /// A place for one large frame of a peer's call, if one is free.
    pub(crate) fn large_frame_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.large_frames)
            .try_acquire_owned()
            .ok()
    }

    /// A place for one flow of the peer, if one is free.
    pub(crate) fn flow_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.inner.flows).try_acquire_owned().ok()
    }

    /// How long the peer may take on the streams that it opens.
    pub(crate) fn stream_limits(&self) -> &StreamLimits {
        self.inner.memory.limits()
    }

    /// What a stream that the peer opened holds of the memory for half received frames.
    pub(crate) fn memory_share(&self) -> Share {
        self.inner.memory.share(self.inner.link)
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
    pub fn channel_binding(&self, label: &[u8], context: &[u8]) -> [u8; 32] {
        let mut output = [0; 32];
        self.inner
            .quic
            .export_keying_material(&mut output, label, context)
            .expect("the handshake is complete and 32 bytes are few");
        output
    }

    /// Waits for the peer to open a stream. What kind it is comes with its first bytes: call
    /// [`PendingStream::open`] in a task of the stream's own, as a peer may be slow to send them.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn accept(&self) -> Result<PendingStream, CloseReason> {
        let (send, recv) = self.inner.quic.accept_bi().await?;
        self.check_address()?;
        let reader = FrameReader::of_theirs(recv, self.clone());
        let writer = FrameWriter::of_theirs(send, self.stream_limits().stall);
        Ok(PendingStream::new(writer, reader))
    }

    /// Opens a stream; waits while the peer's limit of open streams is reached.
    pub(crate) async fn open(&self) -> Result<(FrameWriter, FrameReader), StreamFault> {
        let opened = self.inner.quic.open_bi().await;
        let (send, recv) = opened.map_err(|error| StreamFault::ConnectionLost(error.into()))?;
        let reader = FrameReader::of_ours(recv, self.clone());
        Ok((FrameWriter::of_ours(send), reader))
    }

    /// A federation link stays where it was authenticated: checked whenever something arrives.
    pub(crate) fn check_address(&self) -> Result<(), CloseReason> {
        if self.inner.link == Link::Federation
            && self.inner.quic.remote_address() != self.inner.first_address
        {
            self.close(
                CloseCode::ADDRESS_CHANGED,
                "a federation link does not migrate",
            );
            return Err(CloseReason::Here);
        }
        Ok(())
    }

    /// Closes the connection at once. What streams have not yet delivered is lost.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.inner.quic.close(code.into(), reason.as_bytes());
    }

    /// Waits for the end of the connection.
    pub async fn closed(&self) -> CloseReason {
        self.inner.quic.closed().await.into()
    }

    /// How the connection ended, if it has.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.inner.quic.close_reason().map(Into::into)
    }
}

/// A handle that does not keep its connection open.
pub(crate) struct WeakConnection(Weak<Inner>);

impl WeakConnection {
    /// The connection, if somebody still holds it.
    pub(crate) fn upgrade(&self) -> Option<Connection> {
        self.0.upgrade().map(|inner| Connection { inner })
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

#[cfg(test)]
mod tests {
    use super::Addresses;

    #[test]
    fn the_last_address_is_waited_for_longest() {
        let how = |places: &[&str]| -> Vec<Addresses> {
            let places = places
                .iter()
                .map(|place| place.parse().expect("an address"));
            let in_turn = Addresses::in_turn(places.collect());
            in_turn.map(|(_, how)| how).collect()
        };
        let (one, several, last) = (Addresses::One, Addresses::Several, Addresses::LastOfSeveral);
        assert_eq!(how(&[]), []);
        assert_eq!(how(&["192.0.2.1:1"]), [one]);
        assert_eq!(how(&["[2001:db8::1]:1"]), [one]);
        let three = ["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"];
        assert_eq!(how(&three), [several, several, last]);
        // One node of both families is not two.
        let both = ["[2001:db8::1]:1", "192.0.2.1:1"];
        assert_eq!(how(&both), [Addresses::OtherFamily, one]);
        let two_of_both = ["[2001:db8::1]:1", "192.0.2.1:1", "192.0.2.2:1"];
        assert_eq!(how(&two_of_both), [several, several, last]);
    }
}
