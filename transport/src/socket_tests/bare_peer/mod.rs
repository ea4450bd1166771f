//! A peer that speaks TLS as it should and QUIC as the test wants: every packet is made by hand.

pub mod packet;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::RngCore;
use rand::rngs::OsRng;
use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::quic::{ClientConnection, KeyChange, Keys, Version};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use packet::{Header, ID_BYTES, Kind, Said, first_packet, said, seal, varint};

use super::{NAME, public};
use crate::Link;

/// The smallest datagram that may carry an Initial packet (RFC 9000 §14.1), here of its frames alone.
const INITIAL_BYTES: usize = 1200;
/// How much of the handshake is put into one Initial packet.
const CRYPTO_BYTES: usize = 1000;
/// How long a peer waits for the server's next datagram.
const PATIENCE: Duration = Duration::from_secs(5);

/// A client's transport parameters (RFC 9000 §18.2), each an id and its value.
pub type Parameters = Vec<(u64, Vec<u8>)>;

/// The parameters of a peer that takes much and is not to blame.
pub fn parameters(from: &[u8]) -> Parameters {
    vec![
        (0x04, varint(1 << 20)),
        (0x05, varint(1 << 20)),
        (0x06, varint(1 << 20)),
        (0x08, varint(16)),
        (0x0f, from.to_vec()),
    ]
}

pub struct BarePeer {
    socket: UdpSocket,
    tls: ClientConnection,
    initial: Keys,
    handshake: Option<Keys>,
    one_rtt: Option<Keys>,
    from: [u8; ID_BYTES],
    to: Vec<u8>,
    token: Vec<u8>,
    first_flight: Vec<u8>,
    /// The next packet number of Initial, Handshake and 1-RTT packets.
    numbers: [u32; 3],
    /// How much of the server's handshake bytes was read, by the same spaces.
    read: [u64; 3],
    sent_crypto: [u64; 3],
}

fn random_id() -> [u8; ID_BYTES] {
    let mut id = [0; ID_BYTES];
    OsRng.fill_bytes(&mut id);
    id
}

fn initial_keys(to: &[u8]) -> Keys {
    let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("a TLS 1.3 suite");
    let suite = suite.quic_suite().expect("it can do QUIC");
    suite.keys(to, rustls::Side::Client, Version::V1)
}

impl BarePeer {
    /// A peer that has not sent anything yet; `change` makes its transport parameters what they are.
    pub async fn new(server: SocketAddr, change: impl FnOnce(&mut Parameters)) -> Self {
        let socket = UdpSocket::bind(super::LOOPBACK).await.expect("bound");
        socket.connect(server).await.expect("connected");
        let (from, to) = (random_id(), random_id());
        let mut parameters = parameters(&from);
        change(&mut parameters);
        let parameters = parameters
            .into_iter()
            .flat_map(|(id, value)| [varint(id), varint(value.len() as u64), value].concat())
            .collect();
        let pins = vec![public(1)];
        let (config, _) = crate::tls::rustls_client(Link::Client, pins, None).expect("a config");
        let name = NAME.try_into().expect("a name");
        let tls = ClientConnection::new(Arc::new(config), Version::V1, name, parameters);
        Self {
            socket,
            tls: tls.expect("a handshake"),
            initial: initial_keys(&to),
            handshake: None,
            one_rtt: None,
            from,
            to: to.to_vec(),
            token: Vec::new(),
            first_flight: Vec::new(),
            numbers: [0; 3],
            read: [0; 3],
            sent_crypto: [0; 3],
        }
    }

    /// A peer that has gone through the whole handshake.
    pub async fn connected(server: SocketAddr) -> Self {
        let mut peer = Self::new(server, |_| {}).await;
        peer.hello().await;
        while !peer.hear().await.contains(&Said::HandshakeDone) {}
        peer
    }

    /// Sends the first flight.
    pub async fn hello(&mut self) {
        let mut flight = Vec::new();
        assert!(self.tls.write_hs(&mut flight).is_none(), "keys come later");
        self.send_crypto(Kind::Initial, &flight).await;
        self.first_flight = flight;
    }

    /// Begins again with the token that a Retry packet brought.
    async fn hello_again(&mut self, token: Vec<u8>, to: Vec<u8>) {
        self.initial = initial_keys(&to);
        (self.token, self.to) = (token, to);
        self.sent_crypto[0] = 0;
        let flight = self.first_flight.clone();
        self.send_crypto(Kind::Initial, &flight).await;
    }

    async fn send_crypto(&mut self, kind: Kind, flight: &[u8]) {
        for part in flight.chunks(CRYPTO_BYTES) {
            let space = space(kind);
            let offset = self.sent_crypto[space];
            self.sent_crypto[space] += part.len() as u64;
            let length = varint(part.len() as u64);
            let frame = [&[0x06][..], &varint(offset), &length, part].concat();
            self.send(kind, &frame).await;
        }
    }

    /// Sends frames in a packet of their own.
    pub async fn send(&mut self, kind: Kind, frames: &[u8]) {
        let packet = self.seal(kind, frames);
        self.send_raw(&packet).await;
    }

    /// Sends a datagram as it is.
    pub async fn send_raw(&self, datagram: &[u8]) {
        // A port that a server has left refuses what is sent to it.
        let _ = self.socket.send(datagram).await;
    }

    fn seal(&mut self, kind: Kind, frames: &[u8]) -> Vec<u8> {
        let least = match kind {
            Kind::Initial => INITIAL_BYTES,
            Kind::ZeroRtt | Kind::Handshake | Kind::Retry | Kind::Short => 32,
        };
        let mut frames = frames.to_vec();
        frames.resize(frames.len().max(least), 0);
        let keys = match kind {
            Kind::Initial | Kind::ZeroRtt | Kind::Retry => &self.initial,
            Kind::Handshake => self.handshake.as_ref().expect("handshake keys"),
            Kind::Short => self.one_rtt.as_ref().expect("1-RTT keys"),
        };
        let number = &mut self.numbers[space(kind)];
        *number += 1;
        let header = Header {
            kind,
            to: &self.to,
            from: &self.from,
            token: &self.token,
        };
        seal(&header, *number, &frames, &keys.local)
    }

    /// Waits for the server's next datagram, goes on with the handshake, and tells what was said.
    ///
    /// # Panics
    /// Nothing comes.
    pub async fn hear(&mut self) -> Vec<Said> {
        let heard = self.listen(PATIENCE).await;
        heard.expect("the server is silent")
    }

    /// The same, or `None` if nothing comes in time.
    pub async fn listen(&mut self, patience: Duration) -> Option<Vec<Said>> {
        let mut datagram = vec![0; 65_536];
        let received = timeout(patience, self.socket.recv(&mut datagram)).await;
        datagram.truncate(received.ok()?.expect("received"));
        let mut all = Vec::new();
        let mut rest = &datagram[..];
        while rest.first().is_some_and(|first| *first != 0) {
            let packet = first_packet(rest);
            rest = packet.rest;
            let keys = match packet.kind {
                Kind::Retry => {
                    let (token, to) = (packet.retry_token(), packet.from.to_vec());
                    self.hello_again(token, to).await;
                    continue;
                }
                Kind::Initial => Some(&self.initial),
                Kind::Handshake => self.handshake.as_ref(),
                Kind::Short => self.one_rtt.as_ref(),
                Kind::ZeroRtt => panic!("the server sends early data"),
            };
            let Some(frames) = keys.and_then(|keys| packet.open(keys)) else {
                continue;
            };
            if packet.kind != Kind::Short {
                self.to = packet.from.to_vec();
            }
            let said = said(&frames);
            self.go_on(packet.kind, &said).await;
            all.extend(said);
        }
        Some(all)
    }

    async fn go_on(&mut self, kind: Kind, said: &[Said]) {
        for said in said {
            let Said::Crypto { offset, data } = said else {
                continue;
            };
            let read = &mut self.read[space(kind)];
            let skip = usize::try_from(*read - offset).expect("in order on loopback");
            let new = data.get(skip..).unwrap_or_default();
            *read += new.len() as u64;
            self.tls.read_hs(new).expect("the server's TLS holds");
        }
        loop {
            let mut flight = Vec::new();
            let change = self.tls.write_hs(&mut flight);
            let level = if self.handshake.is_some() {
                Kind::Handshake
            } else {
                Kind::Initial
            };
            self.send_crypto(level, &flight).await;
            match change {
                Some(KeyChange::Handshake { keys }) => self.handshake = Some(keys),
                Some(KeyChange::OneRtt { keys, .. }) => self.one_rtt = Some(keys),
                None => return,
            }
        }
    }

    /// Waits until the server closes the connection for a reason of QUIC's; says which, if it does.
    pub async fn transport_error(&mut self) -> Option<u64> {
        while let Some(all) = self.listen(PATIENCE).await {
            for said in all {
                if let Said::Closed { code, .. } = said {
                    return Some(code);
                }
            }
        }
        None
    }
}

fn space(kind: Kind) -> usize {
    match kind {
        Kind::Initial | Kind::Retry => 0,
        Kind::Handshake => 1,
        Kind::ZeroRtt | Kind::Short => 2,
    }
}
